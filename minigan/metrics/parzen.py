"""Layer 5: the likelihood of held-out data under a Parzen window: a Gaussian around every sample.

Goodfellow 2014: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, section 5.
Theis 2016: Theis, van den Oord and Bethge, "A note on the evaluation of generative models",
    ICLR 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics.checks import Floats, check_alike, check_points, check_sigma
from minigan.metrics.distances import squared_distances


def parzen_log_likelihood(samples: NDArray[Any], test: NDArray[Any], sigma: float) -> Floats:
    """log p(t) for each test point t, where p is a Gaussian around every sample (Goodfellow 2014).

        log p(t) = log 1/n Σᵢ exp(−|t − sᵢ|² / 2σ²) − d log(σ √2π)

    Args:
        samples: points (n, d), in the same units as ``test``: pixels in [0, 1] in the paper.
        test: points (m, d).
        sigma: σ, the width of the window; see :func:`choose_sigma`.

    Returns:
        The logarithms (m,), float64, in nats, finite however far away the samples are. The paper
        reports their mean, and its standard error std/√m.

    Raises:
        ValueError: shapes that do not fit, sigma not positive, a number that is not finite.
        TypeError: not arrays of integers or floats.

    What it cannot see: the likelihood under the model itself, from which it is far in many
    dimensions, however many the samples; and the quality of pictures. It ranks centres that k-means
    finds in the training set above true samples of the data (Theis 2016).
    """
    check_points("samples", samples)
    check_points("test", test)
    check_alike("samples", samples.shape, "test", test.shape)
    check_sigma("parzen_log_likelihood", sigma)
    n, d = samples.shape
    total = numpy.full(len(test), -numpy.inf)
    for rows, _, exponents in squared_distances(test, samples):
        exponents /= -2 * sigma**2
        largest = exponents.max(axis=1)
        exponents -= largest[:, None]
        sums = numpy.exp(exponents, out=exponents).sum(axis=1)
        total[rows] = numpy.logaddexp(total[rows], largest + numpy.log(sums))
    total -= math.log(n) + d * math.log(sigma * math.sqrt(2 * math.pi))
    return total


def choose_sigma(
    samples: NDArray[Any], validation: NDArray[Any], sigmas: Sequence[float] | None = None
) -> float:
    """The width of the Parzen window under which validation data are likeliest (Goodfellow 2014).

    Args:
        samples: points (n, d).
        validation: held-out points (m, d), and none of those that the result is reported on.
        sigmas: the widths to choose from; by default the ten of the paper's code, logspace(−1, 0).

    Returns:
        The width with the largest mean of :func:`parzen_log_likelihood`, the first if there are
        several.

    Raises:
        ValueError, TypeError: as :func:`parzen_log_likelihood`; ValueError also for no sigmas.

    What it cannot see: any width between and beyond ``sigmas``. If it chooses the first or the
    last, a better width may lie outside.
    """
    grid = list(numpy.logspace(-1, 0, 10) if sigmas is None else sigmas)
    if not grid:
        raise ValueError("sigmas must hold at least one number, got none")
    for sigma in grid:
        check_sigma("choose_sigma", sigma)
    return max(
        map(float, grid), key=lambda s: float(parzen_log_likelihood(samples, validation, s).mean())
    )
