"""The deep convolutional GAN of Radford et al. 2016, at the size of MNIST's digits.

z ~ N(0, I)  →  7×7  →  14×14  →  28×28 = G(z) in [−1, 1]
           x  →  14×14  →  7×7  →  D(x), a logit
"""

from __future__ import annotations

from typing import Any, ClassVar

from minigan import nn
from minigan.arguments import integer
from minigan.models.gan import GAN

__all__ = ["DCGAN", "HalfDCGAN", "players"]


def players(nn: Any, latent_dim: int, narrow: int) -> tuple[Any, Any]:
    """G and D in the layers of ``nn``: minigan's, or PyTorch's, which have the same names."""
    wide = 2 * narrow
    generator = nn.Sequential(
        nn.Linear(latent_dim, wide * 7 * 7, bias=False),
        nn.Unflatten(1, (wide, 7, 7)),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.ConvTranspose2d(narrow, 1, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, narrow, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(narrow, wide, 4, 2, 1, bias=False),
        nn.BatchNorm2d(wide),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(wide * 7 * 7, 1),
    )
    return generator, discriminator


class DCGAN(GAN):
    """Two strided convolutions in D, two transposed ones in G, ``width`` and 2·``width`` channels.

    The rules of Radford et al. 2016, section 3: strided convolutions in place of pooling; batch
    norm in both nets, but neither on G's output nor on D's input; no dense layer but those that
    lead from the latents and to the logit; ReLU and tanh in G, LeakyReLU in D. From its section 4:
    a slope of 0.2, and weights that start as N(0, 0.02²). The kernels are 4×4 with stride 2, so
    that every pixel but a border's is reached by equally many taps (Odena et al. 2016; DCGAN itself
    used 5×5). Adam's rate is five times the paper's 2e-4: better digits in the same five epochs.
    """

    name = "dcgan"
    defaults: ClassVar[dict[str, Any]] = {"epochs": 5, "batch_size": 128, "lr": 1e-3}
    width: ClassVar[int] = 64

    def __init__(self, latent_dim: int = 100, width: int | None = None):
        self.latent_dim = integer(type(self).__name__, "latent_dim", latent_dim, 1)
        narrow = integer(type(self).__name__, "width", self.width if width is None else width, 1)
        self.generator, self.discriminator = players(nn, self.latent_dim, narrow)
        for player in (self.generator, self.discriminator):
            nn.init.dcgan_(player)


class HalfDCGAN(DCGAN):
    """The same with half the channels and a quarter of the arithmetic: a laptop's size."""

    name = "dcgan-half"
    width: ClassVar[int] = 32
