"""Layer 5: two clouds of features compared by a kernel, without taking them for Gaussians.

Bińkowski 2018: Bińkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.metrics.checks import Floats, check_alike, check_count, check_points


def kernel_distance(
    features_a: NDArray[Any],
    features_b: NDArray[Any],
    subsets: int = 50,
    size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The kernel distance, KID on Inception's features: an unbiased MMD² (Bińkowski 2018).

        MMD² = E k(a, a') + E k(b, b') − 2 E k(a, b),    k(x, y) = (⟨x, y⟩/d + 1)³

    Each expectation is a mean over pairs of different points. Leaving out the pairs of a point with
    itself makes the estimate unbiased: its mean is the true MMD² at any size. Where that is 0, some
    estimates have to fall below it, so a negative value is no mistake.

    Args:
        features_a, features_b: two sets of features, (n, d) and (m, d).
        subsets: how many times ``size`` points of each set are drawn, without replacement.
        size: how many points a subset has, at least 2 and at most n and m.
        seed: the same seed draws the same subsets.

    Returns:
        (mean, std) of the estimates over the subsets. These share points, and at size = n = m they
        are all the same: the std says how much one subset varies, and is not the mean's error.

    Raises:
        ValueError: other shapes, numbers out of range, features that are not finite.
        TypeError: not arrays of integers or floats, a count that is no integer.

    What it cannot see: any difference beyond the features' moments up to the third, since the
    kernel is a polynomial of that degree; and a difference smaller than its own noise.
    """
    check_points("features_a", features_a, least=2)
    check_points("features_b", features_b, least=2)
    check_alike("features_a", features_a.shape, "features_b", features_b.shape)
    check_count("subsets", subsets, least=1)
    fewest = min(len(features_a), len(features_b))
    check_count("size", size, 2, fewest, "the number of points in the smaller of the two sets")
    rng = backend.generator(seed)

    def drawn(features: NDArray[Any]) -> Floats:
        rows = rng.choice(len(features), size, replace=False)
        return features[rows].astype(numpy.float64)

    estimates = [_mmd2(drawn(features_a), drawn(features_b)) for _ in range(subsets)]
    return float(numpy.mean(estimates)), float(numpy.std(estimates))


def _mmd2(a: Floats, b: Floats) -> float:
    """The unbiased estimate of MMD² from a and b, (n, d) each."""
    n, d = a.shape

    def kernel(x: Floats, y: Floats) -> Floats:
        base: Floats = x @ y.T / d + 1
        return base * base * base  # ** 3 would call pow for each, which is far slower

    aa, bb = kernel(a, a), kernel(b, b)
    within = aa.sum() - numpy.trace(aa) + bb.sum() - numpy.trace(bb)
    return float(within / (n * (n - 1)) - 2 * kernel(a, b).mean())
