"""The deep convolutional GAN of Radford et al. 2016, at the size of MNIST's digits.

z ~ N(0, I)  →  7×7  →  14×14  →  28×28 = G(z) in [−1, 1]
           x  →  14×14  →  7×7  →  D(x), a score
"""

from __future__ import annotations

from typing import Any

from minigan import nn
from minigan.arguments import integer
from minigan.losses import Objective
from minigan.models.gan import GAN, game_of, picture_shape
from minigan.optim import Adam

__all__ = ["DCGAN", "HalfDCGAN", "players"]


def players(
    nn: Any, latent_dim: int, narrow: int, shape: tuple[int, int, int] = (1, 28, 28)
) -> tuple[Any, Any]:
    """G and D in the layers of ``nn``: minigan's, or PyTorch's, which have the same names."""
    wide, (channels, height, width) = 2 * narrow, shape
    coarse = (wide, height // 4, width // 4)
    generator = nn.Sequential(
        nn.Linear(latent_dim, wide * coarse[1] * coarse[2], bias=False),
        nn.Unflatten(1, coarse),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.ConvTranspose2d(narrow, channels, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(channels, narrow, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(narrow, wide, 4, 2, 1, bias=False),
        nn.BatchNorm2d(wide),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(wide * coarse[1] * coarse[2], 1),
    )
    return generator, discriminator


class DCGAN(GAN):
    """Two strided convolutions in D, two transposed ones in G, ``width`` and 2·``width`` channels.

    The rules of Radford et al. 2016, section 3: strided convolutions in place of pooling; batch
    norm in both nets, but neither on G's output nor on D's input; no dense layer but those that
    lead from the latents and to the logit; ReLU and tanh in G, LeakyReLU in D. From its section 4:
    a slope of 0.2, weights that start as N(0, 0.02²), and Adam's β₁ = 0.5. The kernels are 4×4 with
    stride 2, so that every pixel but a border's is reached by equally many taps (Odena et al. 2016;
    DCGAN itself used 5×5). Adam's rate is five times the paper's 2e-4: better digits in the same
    five epochs.

    Args:
        latent_dim: how many numbers a latent has.
        width: the channels of the fine layer; the coarse layer has twice as many.
        lr: the rate of both players' Adam.
        loss: the name of an objective of :mod:`minigan.losses`, or an Objective.
        shape: the shape of a picture, (C, H, W); 4 divides H and W.
    """

    name = "dcgan"
    epochs = 5

    def __init__(
        self,
        latent_dim: int = 100,
        width: int = 64,
        lr: float = 1e-3,
        loss: str | Objective = "non_saturating",
        shape: tuple[int, int, int] = (1, 28, 28),
    ):
        owner = type(self).__name__
        self.game = game_of(owner, loss)
        self.latent_dim = integer(owner, "latent_dim", latent_dim, 1)
        narrow = integer(owner, "width", width, 1)
        shape = picture_shape(owner, shape)
        if shape[1] % 4 or shape[2] % 4:
            raise ValueError(f"{owner}: H and W of a picture must be divisible by 4, got {shape}")
        self.generator, self.discriminator = players(nn, self.latent_dim, narrow, shape)
        for player in (self.generator, self.discriminator):
            nn.init.dcgan_(player)
        self.d_optimizer = Adam(self.discriminator.parameters(), lr, betas=(0.5, 0.999))
        self.g_optimizer = Adam(self.generator.parameters(), lr, betas=(0.5, 0.999))


class HalfDCGAN(DCGAN):
    """The same with half the channels and a quarter of the arithmetic: a laptop's size."""

    name = "dcgan-half"

    def __init__(
        self,
        latent_dim: int = 100,
        width: int = 32,
        lr: float = 1e-3,
        loss: str | Objective = "non_saturating",
        shape: tuple[int, int, int] = (1, 28, 28),
    ):
        super().__init__(latent_dim, width, lr, loss, shape)
