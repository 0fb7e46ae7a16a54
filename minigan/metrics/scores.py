"""Layer 5: what a classifier says of the samples: sure of each, and of every class in turn?

Salimans 2016: Salimans et al., "Improved techniques for training GANs", NeurIPS 2016.
"""

from __future__ import annotations

import math
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics.checks import Floats, check_points

#: How far the sum of a row's probabilities may be from 1: they may come in float32.
ROUNDING = 1e-5


def inception_score(probs: NDArray[Any]) -> float:
    """exp(E_x KL(p(y|x) ‖ p(y))), from 1 to the number of classes (Salimans 2016, section 4).

    p(y) is the mean of p(y|x) over the samples, so the divergences have the mean
    H(mean p) − mean H(p), with the entropy H(p) = −Σ p log p and 0·log 0 = 0. The score is 1 if the
    classifier answers the same for all samples, and k if it is sure of each sample and each of the
    k classes has as many samples. Only Inception's probabilities make it "the" inception score.

    Args:
        probs: (n, k), the k probabilities p(y|x) of each of n samples.

    Raises:
        ValueError: another shape, or a row that is no distribution.
        TypeError: not an array of integers or floats.

    What it cannot see: the data. One perfect picture of each class scores k, and so does noise
    that the classifier happens to be sure about.
    """
    check_points("probs", probs)
    probs = probs.astype(numpy.float64)
    sums = probs.sum(axis=1)
    wrong = (probs < 0).any(axis=1) | (numpy.abs(sums - 1) > ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            "each row of probs must hold probabilities that add up to 1, got in row "
            f"{row} the smallest {probs[row].min()} and the sum {sums[row]}"
        )
    return math.exp(_entropy(probs.mean(axis=0)) - _entropy(probs) / len(probs))


def _entropy(p: Floats) -> float:
    """−Σ p log p, over all of an array, with 0·log 0 = 0."""
    p = p[p > 0]
    return -float(p @ numpy.log(p))
