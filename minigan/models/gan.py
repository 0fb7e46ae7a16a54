"""What every GAN here has in common: latents in, pictures out, and the scale in between.

A generator G maps latents z ~ N(0, I) to pictures in [−1, 1]; a discriminator D maps pictures to
logits. A new model is a subclass that builds the two in ``__init__``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy

from minigan import backend
from minigan.autograd import Tensor, no_grad
from minigan.nn import Module

__all__ = ["GAN", "to_pixels", "to_tanh_range"]


def to_tanh_range(images: numpy.ndarray) -> numpy.ndarray:
    """uint8 pixels 0..255 as float32 in [−1, 1], the range of the generator's tanh."""
    return images.astype("float32") / numpy.float32(127.5) - numpy.float32(1.0)


def to_pixels(images: numpy.ndarray) -> numpy.ndarray:
    """The inverse of :func:`to_tanh_range`: clipped to [−1, 1], scaled and rounded to uint8."""
    return numpy.rint((images.clip(-1.0, 1.0) + 1.0) * 127.5).astype("uint8")


class GAN:
    """Two players, ``generator``: (N, latent_dim) → (N, 1, 28, 28), ``discriminator`` → (N, 1)."""

    #: The name on the command line, and the defaults there: the field's usual ones.
    name: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {"epochs": 20, "batch_size": 128, "lr": 2e-4}

    generator: Module
    discriminator: Module
    latent_dim: int

    def latents(self, n: int, rng: Any = None) -> Tensor:
        """n latents z ~ N(0, I), (n, latent_dim), from the host generator ``rng``.

        Without one they come from the "latent" stream.
        """
        rng = rng or backend.stream("latent")
        return Tensor(backend.asarray(rng.standard_normal((n, self.latent_dim), dtype="float32")))

    def generate(self, z: Tensor) -> numpy.ndarray:
        """The pictures of given latents, uint8 (n, 28, 28), drawn in evaluation mode."""
        modes = [(module, module.training) for module in self.generator.modules()]
        self.generator.eval()
        try:
            with no_grad():
                parts = [self.generator(z[i : i + 500]).numpy() for i in range(0, z.shape[0], 500)]
        finally:
            for module, training in modes:
                module.training = training
        return to_pixels(numpy.concatenate(parts).reshape(-1, 28, 28))

    def sample(self, n: int, seed: int | None = None) -> numpy.ndarray:
        """n pictures, uint8 (n, 28, 28), drawn in evaluation mode.

        Args:
            n: how many, at least 1.
            seed: the same integer gives the same pictures; None draws from the "latent" stream.
        """
        if n < 1:
            raise ValueError(f"sample: n must be at least 1, got {n}")
        return self.generate(self.latents(n, None if seed is None else backend.generator(seed)))
