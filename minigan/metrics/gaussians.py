"""Layer 5: two clouds of features as two Gaussians: their moments and the Fréchet distance.

Heusel 2017: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium", NeurIPS 2017.
Dowson & Landau 1982: "The Fréchet distance between multivariate normal distributions", Journal of
    Multivariate Analysis 12.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics.checks import Floats, check_numbers, check_points

#: How asymmetric or indefinite a covariance may be, relative to its largest entry or eigenvalue.
ROUNDING = 1e-6


def moments(features: NDArray[Any]) -> tuple[Floats, Floats]:
    """The mean (d,) and the covariance (d, d) of features (n, d), for :func:`frechet_distance`.

        m = 1/n Σ xᵢ,    C = 1/(n − 1) Σ (xᵢ − m)(xᵢ − m)ᵀ

    The denominator n − 1 is that of ``numpy.cov``, and so of the public code of Heusel 2017. With
    n <= d the covariance is singular, which the distance allows.

    Raises:
        ValueError: another shape, fewer than two rows, or a number that is not finite.
        TypeError: not an array of integers or floats.

    What they cannot see: whatever else a cloud has. Two modes and one wide bell can share them.
    """
    check_points("features", features, least=2)
    mean = features.mean(axis=0, dtype=numpy.float64)
    centred = numpy.subtract(features, mean, dtype=numpy.float64)
    return mean, centred.T @ centred / (len(features) - 1)


def frechet_distance(
    mu1: NDArray[Any], cov1: NDArray[Any], mu2: NDArray[Any], cov2: NDArray[Any]
) -> float:
    """The squared Fréchet distance of N(mu1, cov1) and N(mu2, cov2) (Dowson & Landau 1982).

        |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½)

    On features it is the score of Heusel 2017, "FID" if these are Inception's and not otherwise.
    The trace of the last root is the sum of the singular values of C₁^½ C₂^½, because their squares
    are the eigenvalues of C₁^½ C₂ C₁^½. This spares the root of what rounding made of an eigenvalue
    0, and works for singular covariances and those that do not commute.

    Args:
        mu1, mu2: means, (d,).
        cov1, cov2: covariances, (d, d), symmetric and positive semi-definite up to rounding.

    Returns:
        A number >= 0, in squared units of the features.

    Raises:
        ValueError: other shapes, a matrix that is no covariance, or a number that is not finite.
        TypeError: not arrays of integers or floats.

    What it cannot see: any difference beyond mean and covariance; and the smallness of a sample.
    Between two samples of one distribution it is not 0 but about proportional to 1/n, so compare
    only at equal n, and beside what two samples of real data score.
    """
    roots = []
    for number, (mu, cov) in enumerate(((mu1, cov1), (mu2, cov2)), start=1):
        check_numbers(f"mu{number}", mu)
        check_numbers(f"cov{number}", cov)
        if mu.ndim != 1 or mu.size == 0:
            raise ValueError(f"mu{number} must have shape (d,) with d >= 1, got {mu.shape}")
        if cov.shape != (*mu1.shape, *mu1.shape) or mu.shape != mu1.shape:
            raise ValueError(
                f"mu{number} and cov{number} must have the shapes {mu1.shape} and "
                f"{(*mu1.shape, *mu1.shape)}, got {mu.shape} and {cov.shape}"
            )
        roots.append(_square_root(f"cov{number}", cov.astype(numpy.float64)))
    shift = numpy.subtract(mu1, mu2, dtype=numpy.float64)
    overlap = numpy.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    traces = numpy.trace(cov1, dtype=numpy.float64) + numpy.trace(cov2, dtype=numpy.float64)
    return max(0.0, float(shift @ shift + traces - 2 * overlap))


def _square_root(name: str, cov: Floats) -> Floats:
    """C^½ = V Λ^½ Vᵀ from the eigenvectors and eigenvalues of C, with a rounded −1e-17 as 0."""
    asymmetry = numpy.abs(cov - cov.T)
    if asymmetry.max() > ROUNDING * numpy.abs(cov).max():
        i, j = (int(k) for k in numpy.unravel_index(asymmetry.argmax(), cov.shape))
        raise ValueError(
            f"{name} must be symmetric, got {cov[i, j]} at ({i}, {j}) and {cov[j, i]} at ({j}, {i})"
        )
    values, vectors = numpy.linalg.eigh(cov)
    if values[0] < -ROUNDING * numpy.abs(values).max():
        raise ValueError(
            f"{name} must be positive semi-definite, got the eigenvalue {values[0]:.6g}"
        )
    root: Floats = vectors * numpy.sqrt(numpy.maximum(values, 0)) @ vectors.T
    return root
