"""A GAN of points in the plane: the nets of Lin et al. 2018 for mixtures of Gaussians.

    z ~ N(0, I) in ℝ²  →  400 → 400 → 400 → 400, each batch norm and ReLU  →  G(z) in ℝ²
               x in ℝ²  →  200 → 200 → 200 maxout units  →  D(x), a logit

Lin et al. 2018: Lin, Khetan, Fanti and Oh, "PacGAN: The power of two samples in generative
    adversarial networks", NeurIPS 2018; and the code that its authors published.
"""

from __future__ import annotations

import numpy

from minigan import nn
from minigan.arguments import integer
from minigan.autograd import Tensor, no_grad
from minigan.losses import non_saturating
from minigan.models.gan import GAN, evaluating
from minigan.models.maxout_gan import Maxout
from minigan.nn import init
from minigan.optim import Adam

__all__ = ["MixtureGAN"]


class MixtureGAN(GAN):
    """Generator 2 → 4×400 → 2, discriminator 2 → 3×200·5 → 1; weights ~ N(0, 0.02²), biases 0."""

    name = "mixture"
    batch_size = 100

    def __init__(self, latent_dim: int = 2, lr: float = 1e-4):
        self.game = non_saturating
        self.latent_dim = integer("MixtureGAN", "latent_dim", latent_dim, 1)
        hidden = []
        for fan_in in (latent_dim, 400, 400, 400):
            hidden += [nn.Linear(fan_in, 400, bias=False), nn.BatchNorm1d(400), nn.ReLU()]
        self.generator = nn.Sequential(*hidden, nn.Linear(400, 2))
        self.discriminator = nn.Sequential(
            Maxout(2, 200, 5), Maxout(200, 200, 5), Maxout(200, 200, 5), nn.Linear(200, 1)
        )
        for player in (self.generator, self.discriminator):
            for name, parameter in player.named_parameters():
                if parameter.ndim == 2:
                    init.normal_(parameter, 0.0, 0.02)
                elif name.endswith("bias"):
                    init.zeros_(parameter)
        self.d_optimizer = Adam(self.discriminator.parameters(), lr, betas=(0.8, 0.999))
        self.g_optimizer = Adam(self.generator.parameters(), lr, betas=(0.8, 0.999))

    def generate(self, z: Tensor) -> numpy.ndarray:
        """The points of given latents, float32 (n, 2), drawn in evaluation mode."""
        with evaluating(self.generator), no_grad():
            points: numpy.ndarray = self.generator(z).numpy()
        return points
