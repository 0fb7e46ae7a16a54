"""The GAN of Goodfellow et al. 2014 on MNIST: the one whose Parzen windows the paper reports.

    z ~ U[−√3, √3]¹⁰⁰  →  1200, ReLU  →  1200, ReLU  →  G(z) in [0, 1]⁷⁸⁴
                    x  →  240 maxout units  →  240 maxout units  →  D(x), a score

What the paper leaves open is as in the configuration that its authors published (mnist.yaml).
Goodfellow 2013: Goodfellow et al., "Maxout networks", ICML 2013.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan import backend, data, nn
from minigan.arguments import integer, number
from minigan.autograd import Tensor
from minigan.data.batches import Batches
from minigan.losses import Objective
from minigan.models.gan import GAN, answers, game_of, picture_shape
from minigan.nn import Module, init
from minigan.optim import SGD

__all__ = ["Maxout", "MaxoutGAN"]


class Maxout(nn.Linear):
    """h_j(x) = max_k (w_jk·x + b_jk), x (N, in) → (N, out) (Goodfellow 2013, section 3).

    The weight is (pieces · out, in): first the first piece of every unit, which makes the maximum
    one over whole rows.
    """

    def __init__(self, in_features: int, out_features: int, pieces: int):
        self.pieces = integer("Maxout", "pieces", pieces, 1)
        n_out = integer("Maxout", "out_features", out_features, 1)
        super().__init__(in_features, self.pieces * n_out)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).reshape(x.shape[0], self.pieces, -1).max(axis=1)


class Rescale(Module):
    """x → scale·x + shift: the way between the paper's [0, 1] and the [−1, 1] of all GANs here."""

    def __init__(self, scale: float, shift: float):
        super().__init__()
        self.scale = number("Rescale", "scale", scale)
        self.shift = number("Rescale", "shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class MaxoutGAN(GAN):
    """Generator 100 → 1200 → 1200 → 784, discriminator 784 → 240·5 → 240·5 → 1.

    Gradient descent with momentum and a falling rate, dropout on all that D sees, and the last
    sixth of the images kept from training, to choose the width of the Parzen window. Momentum grows
    for 250 epochs, and so long is a run: hours on a processor. Both players move at once, as in the
    authors' code, and not in turns, as in their algorithm 1: with D first, in the run that was
    tried, all samples became one. The authors halve D's loss; here its rate is.
    """

    name = "maxout"
    epochs, batch_size = 250, 100
    d_optimizer: SGD
    g_optimizer: SGD

    def __init__(
        self,
        latent_dim: int = 100,
        lr: float = 0.1,
        loss: str | Objective = "non_saturating",
        shape: tuple[int, int, int] = (1, 28, 28),
    ):
        self.game, self.lr = game_of("MaxoutGAN", loss), number("MaxoutGAN", "lr", lr, "[0, inf)")
        self.latent_dim = integer("MaxoutGAN", "latent_dim", latent_dim, 1)
        shape = picture_shape("MaxoutGAN", shape)
        pixels = math.prod(shape)
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, 1200),
            nn.ReLU(),
            nn.Linear(1200, 1200),
            nn.ReLU(),
            nn.Linear(1200, pixels),
            nn.Sigmoid(),
            Rescale(2.0, -1.0),
            nn.Unflatten(1, shape),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            Rescale(0.5, 0.5),
            nn.Dropout(0.2),
            Maxout(pixels, 240, 5),
            nn.Dropout(0.5),
            Maxout(240, 240, 5),
            nn.Dropout(0.5),
            nn.Linear(240, 1),
        )
        for player, reach in ((self.generator, 0.05), (self.discriminator, 0.005)):
            for parameter in player.parameters():
                if parameter.ndim == 2:
                    init.uniform_(parameter, -reach, reach)
                else:
                    init.zeros_(parameter)
        self.d_optimizer = SGD(self.discriminator.parameters(), lr / 2, momentum=0.5)
        self.g_optimizer = SGD(self.generator.parameters(), lr, momentum=0.5)

    def batches(
        self, images: numpy.ndarray, labels: numpy.ndarray | None, batch_size: int
    ) -> Batches:
        """All pictures but the last sixth."""
        images, _ = data.hold_out(images)
        return Batches(images, None if labels is None else labels[: len(images)], batch_size)

    def start(self, data: Batches) -> None:  # type: ignore[override]
        """Start each output at its pixel's mean: b = log p/(1 − p), p kept 1e-6 off 0 and 1."""
        super().start(data)
        mean = data.images.reshape(len(data.images), -1).mean(axis=0) / 255
        mean = mean.clip(1e-6, 1 - 1e-6)
        *_, last_bias = self.generator.parameters()
        last_bias.copy_(numpy.log(mean / (1 - mean)))

    def step(self, data: Batches, t: int) -> dict[str, Tensor]:
        """Both players at once, each against the other as it was before the step.

        Rates fall by 1.000004 a step; momentum grows from 0.5 to 0.7 in epochs 1 to 250.
        """
        for optimizer, share in ((self.d_optimizer, 0.5), (self.g_optimizer, 1.0)):
            optimizer.lr = share * self.lr / 1.000004**t
            optimizer.momentum = 0.5 + 0.2 * min(max(data.epoch - 1, 0) / 249, 1)
        real, _ = next(data)

        fake = self.generator(self.latents(len(real)))
        real_logits = self.discriminator(real)
        fake_logits = self.discriminator(fake.detach())
        d_loss = self.game.discriminator(real_logits, fake_logits)
        g_loss = self.game.generator(self.discriminator(fake))

        self.d_optimizer.zero_grad()
        self.g_optimizer.zero_grad()
        d_loss.backward(inputs=self.d_optimizer.params)
        g_loss.backward(inputs=self.g_optimizer.params)
        self.d_optimizer.step()
        self.g_optimizer.step()
        return {"d_loss": d_loss, **answers(self.game, real_logits, fake_logits), "g_loss": g_loss}

    def latents(self, n: int, rng: Any = None) -> Tensor:
        """n latents, uniform with mean 0 and variance 1 in each of their dimensions."""
        rng = rng or backend.stream("latent")
        z = (2 * rng.random((n, self.latent_dim), dtype="float32") - 1) * math.sqrt(3)
        return Tensor(backend.asarray(z))
