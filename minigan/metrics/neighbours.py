"""Layer 5: who lies next to whom: copies of data, precision and recall, modes found and missed.

Kynkäänniemi 2019: Kynkäänniemi et al., "Improved precision and recall metric for assessing
    generative models", NeurIPS 2019.
VEEGAN: Srivastava et al., "VEEGAN: Reducing mode collapse in GANs using implicit variational
    learning", NeurIPS 2017.
PacGAN: Lin, Khetan, Fanti and Oh, "PacGAN: The power of two samples in generative adversarial
    networks", NeurIPS 2018.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics.checks import (
    Floats,
    check_alike,
    check_count,
    check_numbers,
    check_points,
    check_sigma,
)
from minigan.metrics.distances import Indices, squared_distances, squared_distances_of_pairs, where

#: Squared distances that differ by less, relatively, may come from the blocks in either order.
TIE = 1e-6


def nearest_neighbours(samples: NDArray[Any], train: NDArray[Any]) -> tuple[Indices, Floats]:
    """The nearest training image of each sample, by the Euclidean distance √Σ(s − t)².

    Args:
        samples: vectors or images, (n, ...), uint8 too.
        train: the training images (m, ...), of the same shape but for the first axis; axes of
            length 1 do not count, so (m, 28, 28) fits (n, 1, 28, 28).

    Returns:
        (indices, distances): the places (n,) in ``train``, the smallest one where several are
        equally near, and the distances (n,), float64, in the units of a pixel.

    Raises:
        ValueError: shapes that do not fit, a number that is not finite.
        TypeError: not arrays of integers or floats.

    What it cannot see: a copy moved by one pixel, whose distance in pixels is as large as another
    digit's. Small distances prove that samples are copied; large ones prove nothing.
    """
    for name, images in (("samples", samples), ("train", train)):
        check_numbers(name, images)
        if images.ndim < 2 or images.size == 0:
            raise ValueError(
                f"{name} must have shape (n, ...), two axes or more and none of length 0, "
                f"got {images.shape}"
            )
    if [d for d in samples.shape[1:] if d > 1] != [d for d in train.shape[1:] if d > 1]:
        check_alike("samples", samples.shape, "train", train.shape)
    x, y = samples.reshape(len(samples), -1), train.reshape(len(train), -1)
    indices, nearest = numpy.zeros(len(x), numpy.intp), numpy.full(len(x), numpy.inf)
    for rows, columns, d2 in squared_distances(x, y):
        limit = numpy.minimum(d2.min(axis=1), nearest[rows]) * (1 + TIE)
        i, j = where(d2 <= limit[:, None])
        exact = squared_distances_of_pairs(x[rows], y[columns], i, j)
        order = numpy.lexsort((exact, i))  # stable: of equals, the smallest j stays first
        i, first = numpy.unique(i[order], return_index=True)
        best = order[first]
        closer = exact[best] < nearest[rows][i]
        found = rows.start + i[closer]
        nearest[found] = exact[best][closer]
        indices[found] = columns.start + j[best][closer]
    return indices, numpy.sqrt(nearest)


def precision_recall(real: NDArray[Any], fake: NDArray[Any], k: int = 3) -> tuple[float, float]:
    """Which share of the samples looks real, and which of the data is covered (Kynkäänniemi 2019).

    A set stands for the union of balls, one around each of its points that reaches to the k-th
    nearest *other* point of the set. Precision is the share of fake points within the real balls,
    recall the share of real points within the fake balls; a point on a ball's surface is within. A
    point is told from the others by its index: a copy of it, at distance 0, is another point.

    Args:
        real, fake: features of data and of samples, (n, d) and (m, d).
        k: which neighbour a ball reaches to, from 1 to min(n, m) − 1.

    Returns:
        (precision, recall), each from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, k out of range, a number that is not finite.
        TypeError: not arrays of integers or floats, k no integer.

    What they cannot see: how often something is drawn. A mode with one sample in it may count as
    covered as a whole. And an outlier in the data has a huge ball, in which all counts as real.
    """
    check_points("real", real, least=2)
    check_points("fake", fake, least=2)
    check_alike("real", real.shape, "fake", fake.shape)
    fewest = min(len(real), len(fake))
    check_count("k", k, 1, fewest - 1, "the number of others in the smaller of the two sets")
    radii_real, radii_fake = _squared_radii(real, k), _squared_radii(fake, k)
    looks_real, covered = numpy.zeros(len(fake), bool), numpy.zeros(len(real), bool)
    for rows, columns, d2 in squared_distances(real, fake):
        looks_real[columns] |= (d2 <= radii_real[rows, None]).any(axis=0)
        covered[rows] |= (d2 <= radii_fake[columns]).any(axis=1)
    return float(looks_real.mean()), float(covered.mean())


def _squared_radii(points: NDArray[Any], k: int) -> Floats:
    """The squared distance (n,) of each point to the k-th nearest of the others."""
    nearest = numpy.full((len(points), k), numpy.inf)
    for rows, columns, d2 in squared_distances(points, points):
        if rows == columns:
            numpy.fill_diagonal(d2, numpy.inf)
        candidates = numpy.concatenate([nearest[rows], d2], axis=1)
        candidates.partition(k - 1, axis=1)
        nearest[rows] = candidates[:, :k]
    radii: Floats = nearest.max(axis=1)
    return radii


def count_modes(samples: NDArray[Any], centers: NDArray[Any], sigma: float) -> tuple[int, float]:
    """How many modes of a mixture of Gaussians are found, and how many samples lie in one.

    The protocol of VEEGAN and of PacGAN: a sample is of high quality if it lies within 3 sigma of
    its nearest centre, and the mode of that centre is then found. Perfect samples in the plane have
    the quality 1 − e^(−9/2) = 0.989, and not 1.

    Args:
        samples: points, (n, d).
        centers: (k, d), the means of the mixture.
        sigma: the standard deviation of each component along each axis.

    Returns:
        (modes, quality): a number from 0 to k, and the share of high-quality samples.

    Raises:
        ValueError: shapes that do not fit, sigma not positive, a number that is not finite.
        TypeError: not arrays of integers or floats.

    What it cannot see: the proportions and the widths of the modes. One sample finds a mode, and
    samples that all lie exactly on a centre have the quality 1. More samples find more modes, so
    compare only at equal n.
    """
    check_points("samples", samples)
    check_points("centers", centers)
    check_alike("samples", samples.shape, "centers", centers.shape)
    check_sigma("count_modes", sigma)
    nearest, distance = nearest_neighbours(samples, centers)
    good = distance <= 3 * sigma
    return len(numpy.unique(nearest[good])), float(good.mean())
