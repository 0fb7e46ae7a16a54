"""Layer 5: mixtures of Gaussians in the plane: modes found and modes missed can be counted.

Both standard layouts are those of Lin, Khetan, Fanti and Oh, "PacGAN: The power of two samples in
generative adversarial networks" (2018, arXiv:1712.04086):

    ring of 8:   μₖ = (cos(2πk/8), sin(2πk/8)),   variance 1e-4  (σ = 0.01)
    grid of 25:  μ ∈ {−4, −2, 0, 2, 4}²,          variance 0.0025  (σ = 0.05)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from minigan.arguments import integer, number


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """p(x) = 1/K Σₖ N(x; μₖ, σ²I); the μₖ are the rows of ``centers`` (K, 2), σ is ``sigma``."""

    centers: NDArray[numpy.float64]
    sigma: float

    def __post_init__(self) -> None:
        centers = numpy.array(self.centers, dtype=numpy.float64)
        if centers.ndim != 2 or centers.shape[0] == 0 or centers.shape[1] != 2:
            raise ValueError(f"centers must have shape (K, 2) with K > 0, got {centers.shape}")
        if not numpy.isfinite(centers).all():
            raise ValueError(f"centers must be finite, got {centers.tolist()}")
        number("GaussianMixture", "sigma", self.sigma, "(0, inf)")
        centers.flags.writeable = False
        object.__setattr__(self, "centers", centers)

    def sample(
        self, n: int, seed: int | numpy.random.Generator | None = None
    ) -> NDArray[numpy.float32]:
        """n independent points, float32 (n, 2).

        The same int as ``seed`` gives the same points; a Generator is drawn from and moves on.
        """
        if integer("sample", "n", n) < 1:
            raise ValueError(f"sample: n must be at least 1, got {n}")
        rng = numpy.random.default_rng(seed)
        component = rng.integers(len(self.centers), size=n)
        points = self.centers[component] + self.sigma * rng.standard_normal((n, 2))
        return points.astype(numpy.float32)


def ring8(radius: float = 1.0, sigma: float = 0.01) -> GaussianMixture:
    """Eight Gaussians, evenly spaced on a circle, the first at (radius, 0).

    >>> ring8().sample(3, seed=0).shape
    (3, 2)
    """
    radius = number("ring8", "radius", radius, "(0, inf)")
    angle = 2 * numpy.pi * numpy.arange(8) / 8
    return GaussianMixture(
        radius * numpy.stack([numpy.cos(angle), numpy.sin(angle)], axis=1), sigma
    )


def grid25() -> GaussianMixture:
    """Twenty-five Gaussians, σ = 0.05, on a square grid, row by row from (−4, −4) to (4, 4)."""
    axis = numpy.arange(-4.0, 5.0, 2.0)
    y, x = numpy.meshgrid(axis, axis, indexing="ij")
    return GaussianMixture(numpy.stack([x.ravel(), y.ravel()], axis=1), sigma=0.05)
