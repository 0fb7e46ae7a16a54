"""Each model's step once more, in PyTorch: from the same weights, batches and random numbers.

A twin is made from a model before its first step; its ``step(data, t)`` draws from ``data`` by
``next``, as the model's step does, what the model drew, in float64, and returns the columns that
the model's step returns. Its nets have the names of the model's attributes.
"""

from __future__ import annotations

from typing import Any

from in_torch import in_torch, tensor, torch
from torch.nn.functional import softplus

from minigan.models import DCGAN, GAN, MLPGAN, HalfDCGAN, MaxoutGAN

LOSSES: dict[str, tuple[Any, Any]] = {
    "minimax": (
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        lambda fake: -softplus(fake).mean(),
    ),
    "non_saturating": (
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        lambda fake: softplus(-fake).mean(),
    ),
    "least_squares": (
        lambda real, fake: (real - 1).square().mean() + fake.square().mean(),
        lambda fake: (fake - 1).square().mean(),
    ),
    "hinge": (
        lambda real, fake: (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean(),
        lambda fake: -fake.mean(),
    ),
}


class TwoPlayers:
    """D's step, then G's (Goodfellow et al. 2014, algorithm 1)."""

    def __init__(self, model: GAN):
        self.model, self.loss = model, model.game.name
        self.generator, self.discriminator = map(in_torch, (model.generator, model.discriminator))
        self.d_optimizer, self.g_optimizer = (
            torch.optim.Adam(net.parameters(), ours.lr, ours.betas, ours.eps)
            for net, ours in (
                (self.discriminator, model.d_optimizer),
                (self.generator, model.g_optimizer),
            )
        )

    def latents(self, n: int) -> Any:
        return tensor(self.model.latents(n))

    def step(self, data: Any, t: int) -> dict[str, Any]:
        of_discriminator, of_generator = LOSSES[self.loss]
        real, _ = next(data)
        fake = self.generator(self.latents(len(real))).detach()
        on_data, on_samples = self.discriminator(real), self.discriminator(fake)
        d_loss = of_discriminator(on_data, on_samples)
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()

        g_loss = of_generator(self.discriminator(self.generator(self.latents(len(real)))))
        self.g_optimizer.zero_grad()
        g_loss.backward()
        self.g_optimizer.step()
        return {"d_loss": d_loss, **self.answers(on_data, on_samples), "g_loss": g_loss}

    def answers(self, on_data: Any, on_samples: Any) -> dict[str, Any]:
        probability = torch.sigmoid if self.loss in ("minimax", "non_saturating") else lambda s: s
        return {"d_real": probability(on_data).mean(), "d_fake": probability(on_samples).mean()}


class Maxout(TwoPlayers):
    """Both players at once, by gradient descent with momentum."""

    def __init__(self, model: MaxoutGAN):
        self.model, self.loss = model, model.game.name
        self.generator, self.discriminator = map(in_torch, (model.generator, model.discriminator))
        self.d_optimizer = torch.optim.SGD(
            self.discriminator.parameters(), model.lr / 2, momentum=0.5
        )
        self.g_optimizer = torch.optim.SGD(self.generator.parameters(), model.lr, momentum=0.5)

    def step(self, data: Any, t: int) -> dict[str, Any]:
        of_discriminator, of_generator = LOSSES[self.loss]
        real, _ = next(data)
        for optimizer, share in ((self.d_optimizer, 0.5), (self.g_optimizer, 1.0)):
            optimizer.param_groups[0]["lr"] = share * self.model.lr / 1.000004**t
        fake = self.generator(self.latents(len(real)))
        on_data, on_samples = self.discriminator(real), self.discriminator(fake.detach())
        d_loss = of_discriminator(on_data, on_samples)
        g_loss = of_generator(self.discriminator(fake))
        g_gradients = torch.autograd.grad(g_loss, list(self.generator.parameters()))
        self.d_optimizer.zero_grad()
        d_loss.backward()
        for p, g in zip(self.generator.parameters(), g_gradients, strict=True):
            p.grad = g
        self.d_optimizer.step()
        self.g_optimizer.step()
        return {"d_loss": d_loss, **self.answers(on_data, on_samples), "g_loss": g_loss}


#: By the model's class.
TWINS: dict[type[GAN], type[Any]] = {
    MLPGAN: TwoPlayers,
    DCGAN: TwoPlayers,
    HalfDCGAN: TwoPlayers,
    MaxoutGAN: Maxout,
}
