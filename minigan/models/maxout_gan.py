"""The GAN of Goodfellow et al. 2014 on MNIST: the one whose Parzen windows the paper reports.

    z ~ U[−√3, √3]¹⁰⁰  →  1200, ReLU  →  1200, ReLU  →  G(z) in [0, 1]⁷⁸⁴
                    x  →  240 maxout units  →  240 maxout units  →  D(x), a logit

What the paper leaves open is as in the configuration that its authors published (mnist.yaml).
Goodfellow 2013: Goodfellow et al., "Maxout networks", ICML 2013.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy

from minigan import backend, nn
from minigan.arguments import integer, number
from minigan.autograd import Tensor
from minigan.models.gan import GAN
from minigan.nn import Module, init
from minigan.optim import SGD, Optimizer

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
    defaults: ClassVar[dict[str, Any]] = {"epochs": 250, "batch_size": 100, "lr": 0.1}
    simultaneous = True
    holds_out = True

    def __init__(self, latent_dim: int = 100):
        self.latent_dim = integer("MaxoutGAN", "latent_dim", latent_dim, 1)
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, 1200),
            nn.ReLU(),
            nn.Linear(1200, 1200),
            nn.ReLU(),
            nn.Linear(1200, 784),
            nn.Sigmoid(),
            Rescale(2.0, -1.0),
            nn.Unflatten(1, (1, 28, 28)),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            Rescale(0.5, 0.5),
            nn.Dropout(0.2),
            Maxout(784, 240, 5),
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

    def latents(self, n: int, rng: Any = None) -> Tensor:
        """n latents, uniform with mean 0 and variance 1 in each of their dimensions."""
        rng = rng or backend.stream("latent")
        z = (2 * rng.random((n, self.latent_dim), dtype="float32") - 1) * math.sqrt(3)
        return Tensor(backend.asarray(z))

    def prepare(self, images: numpy.ndarray) -> None:
        """Start each output at its pixel's mean: b = log p/(1 − p), p kept 1e-6 off 0 and 1."""
        mean = (images.reshape(len(images), -1).mean(axis=0) / 255).clip(1e-6, 1 - 1e-6)
        dict(self.generator.named_parameters())["4.bias"].copy_(numpy.log(mean / (1 - mean)))

    def optimizers(self, lr: float) -> dict[str, Optimizer]:
        """Gradient descent with momentum, D's rate half of G's."""
        return {
            "discriminator": SGD(self.discriminator.parameters(), lr / 2, momentum=0.5),
            "generator": SGD(self.generator.parameters(), lr, momentum=0.5),
        }

    def schedule(
        self, optimizers: Mapping[str, Optimizer], lr: float, step: int, epoch: float
    ) -> None:
        """Rates fall by 1.000004 a step; momentum grows from 0.5 to 0.7 in epochs 1 to 250."""
        for player, share in (("discriminator", 0.5), ("generator", 1.0)):
            optimizer = optimizers[player]
            assert isinstance(optimizer, SGD)
            optimizer.lr = share * lr / 1.000004**step
            optimizer.momentum = 0.5 + 0.2 * min(max(epoch - 1, 0) / 249, 1)
