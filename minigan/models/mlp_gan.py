"""A GAN of dense layers for MNIST, after Goodfellow et al. 2014, with two later ideas it needs.

z ~ N(0, I)  →  G(z) in [−1, 1]²⁸ˣ²⁸,     x  →  D(x), a score; no sigmoid is in the model.
"""

from __future__ import annotations

import math

from minigan import nn
from minigan.arguments import integer
from minigan.losses import Objective
from minigan.models.gan import GAN, game_of, picture_shape
from minigan.optim import Adam

__all__ = ["MLPGAN"]


class MLPGAN(GAN):
    """Generator 64 → 256 → 512 → 784, discriminator 784 → 512 → 256 → 1.

    Why so: a plain stack of dense layers trained in the same way is much slower to draw anything
    that can be read. Batch norm (Ioffe & Szegedy 2015) keeps G's activations in a range where
    gradients flow; dropout (Srivastava et al. 2014) makes D's answers harder to exploit. A dense
    layer straight before a batch norm has no bias, since the batch mean would take it out again.
    Adam's usual 2e-4 works too, but more slowly; β₁ = 0.5 is that of Radford et al. 2016.

    Args:
        latent_dim: how many numbers a latent has.
        lr: the rate of both players' Adam.
        loss: the name of an objective of :mod:`minigan.losses`, or an Objective.
        shape: the shape of a picture, (C, H, W).
    """

    name = "mlp"
    epochs = 40

    def __init__(
        self,
        latent_dim: int = 64,
        lr: float = 5e-4,
        loss: str | Objective = "non_saturating",
        shape: tuple[int, int, int] = (1, 28, 28),
    ):
        self.game = game_of("MLPGAN", loss)
        self.latent_dim = integer("MLPGAN", "latent_dim", latent_dim, 1)
        shape = picture_shape("MLPGAN", shape)
        pixels = math.prod(shape)
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, 256, bias=False),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, 512, bias=False),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Linear(512, pixels),
            nn.Tanh(),
            nn.Unflatten(1, shape),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, 512),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(512, 256),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(256, 1),
        )
        self.d_optimizer = Adam(self.discriminator.parameters(), lr, betas=(0.5, 0.999))
        self.g_optimizer = Adam(self.generator.parameters(), lr, betas=(0.5, 0.999))
