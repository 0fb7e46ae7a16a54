"""What every GAN here has in common: latents in, pictures out, and the scale in between.

A generator G maps latents z ~ N(0, I) to pictures in [−1, 1]; a discriminator D maps pictures to
logits. A new model is a subclass that builds the two in ``__init__``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy

from minigan import backend
from minigan.arguments import integer
from minigan.autograd import Tensor, as_tensor, no_grad
from minigan.nn import LeakyReLU, Module, ReLU, Sequential, Sigmoid, Tanh
from minigan.optim import Adam, Optimizer

__all__ = ["GAN", "to_pixels", "to_tanh_range"]

ACTIVATIONS = (ReLU, LeakyReLU, Sigmoid, Tanh)


def to_tanh_range(images: numpy.ndarray) -> numpy.ndarray:
    """uint8 pixels 0..255 as float32 in [−1, 1], the range of the generator's tanh."""
    return images.astype("float32") / numpy.float32(127.5) - numpy.float32(1.0)


def to_pixels(images: numpy.ndarray) -> numpy.ndarray:
    """The inverse of :func:`to_tanh_range`: clipped to [−1, 1], scaled and rounded to uint8."""
    return numpy.rint((images.clip(-1.0, 1.0) + 1.0) * 127.5).astype("uint8")


@contextlib.contextmanager
def evaluating(*players: Module) -> Iterator[None]:
    """Evaluation mode for the block; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for player in players for module in player.modules()]
    for player in players:
        player.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class GAN:
    """Two players, ``generator``: (N, latent_dim) → (N, 1, 28, 28), ``discriminator`` → (N, 1)."""

    #: The name on the command line, and the defaults there: the field's usual ones.
    name: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {"epochs": 20, "batch_size": 128, "lr": 2e-4}

    #: Of both players' Adam: its β₁ and β₂ (Radford et al. 2016, section 4).
    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)
    #: Whether both players move at once, each against the other as it was, and not D first.
    simultaneous: ClassVar[bool] = False
    #: Whether the last sixth of the images (10,000 of MNIST's) is kept from training.
    holds_out: ClassVar[bool] = False

    generator: Module
    discriminator: Module
    latent_dim: int

    # How it is trained: what a model may have of its own

    def prepare(self, images: numpy.ndarray) -> None:
        """Called once before training, with the images, uint8 (n, 28, 28)."""

    def optimizers(self, lr: float) -> dict[str, Optimizer]:
        """Of "discriminator" and "generator": Adam with the model's ``betas``."""
        return {
            "discriminator": Adam(self.discriminator.parameters(), lr, self.betas),
            "generator": Adam(self.generator.parameters(), lr, self.betas),
        }

    def schedule(
        self, optimizers: Mapping[str, Optimizer], lr: float, step: int, epoch: float
    ) -> None:
        """Called before each step, to set what changes with the ``step`` and ``epoch`` done."""

    # What it draws

    def latents(self, n: int, rng: Any = None) -> Tensor:
        """n latents z ~ N(0, I), (n, latent_dim), from the host generator ``rng``.

        Without one they come from the "latent" stream.
        """
        rng = rng or backend.stream("latent")
        return Tensor(backend.asarray(rng.standard_normal((n, self.latent_dim), dtype="float32")))

    def generate(self, z: Tensor) -> numpy.ndarray:
        """The pictures of given latents, uint8 (n, 28, 28), drawn in evaluation mode."""
        z = as_tensor(z)
        with evaluating(self.generator), no_grad():
            parts = [
                to_pixels(self.generator(z[i : i + 500]).numpy())
                for i in range(0, max(1, len(z)), 500)
            ]
        return numpy.concatenate(parts).reshape(len(z), 28, 28)

    def sample(self, n: int, seed: int | None = None) -> numpy.ndarray:
        """n pictures, uint8 (n, 28, 28), drawn in evaluation mode.

        Args:
            n: how many, at least 1.
            seed: the same integer gives the same pictures; None draws from the "latent" stream.
        """
        if integer("sample", "n", n) < 1:
            raise ValueError(f"sample: n must be at least 1, got {n}")
        return self.generate(self.latents(n, None if seed is None else backend.generator(seed)))

    def interpolate(self, rows: int, steps: int, seed: int | None = None) -> numpy.ndarray:
        """``rows`` walks of ``steps`` pictures between two latents: uint8 (rows·steps, 28, 28).

        A walk turns from a's direction to b's, at angle Ω to it (Shoemake, "Animating rotation with
        quaternion curves", 1985: "slerp"), while its length goes from |a| to |b|:

            z(t) = ((1−t)|a| + t|b|) · (sin (1−t)Ω · a/|a| + sin tΩ · b/|b|) / sin Ω.

        High-dimensional Gaussian latents lie close to a sphere, which a straight line would leave
        for its inside, where G has seen no latents (White, "Sampling generative networks", 2016).
        """
        rows, steps = (integer("interpolate", k, v) for k, v in (("rows", rows), ("steps", steps)))
        if rows < 1 or steps < 2:
            raise ValueError(f"interpolate: expected rows >= 1, steps >= 2, got {rows}, {steps}")
        ends = self.latents(2 * rows, None if seed is None else backend.generator(seed)).numpy()
        lengths = numpy.linalg.norm(ends, axis=1, keepdims=True)
        units = ends / lengths
        a, b = units[:rows, None], units[rows:, None]
        cosine = (a * b).sum(axis=-1, keepdims=True).clip(-0.999, 0.999)  # off 0 and π
        angle, t = numpy.arccos(cosine), numpy.linspace(0.0, 1.0, steps)[:, None]
        z = (numpy.sin((1 - t) * angle) * a + numpy.sin(t * angle) * b) / numpy.sin(angle)
        z *= (1 - t) * lengths[:rows, None] + t * lengths[rows:, None]
        z = z.reshape(rows * steps, -1).astype("float32")
        return self.generate(Tensor(backend.asarray(z)))

    def feature_maps(self, z: Tensor) -> list[tuple[str, numpy.ndarray]]:
        """What each activation makes of z (1, latent_dim), through G and D: names and (C, H, W).

        For players that are Sequential; ValueError for others, whose order of layers is not known,
        and for dense ones, which have no maps.
        """
        found, x = [], z
        with evaluating(self.generator, self.discriminator), no_grad():
            for owner, player in (("G", self.generator), ("D", self.discriminator)):
                if not isinstance(player, Sequential):
                    raise ValueError(
                        f"{self.name}: feature maps are those of Sequential players, "
                        f"{owner} is a {type(player).__name__}"
                    )
                for i, layer in enumerate(player.children()):
                    x = layer(x)
                    if x.ndim == 4 and isinstance(layer, ACTIVATIONS):
                        found.append((f"{owner}, layer {i}: {type(layer).__name__}", x.numpy()[0]))
        if not found:
            raise ValueError(f"{self.name}: its layers hold vectors, there are no feature maps")
        return found
