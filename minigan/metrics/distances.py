"""Layer 5: all squared Euclidean distances between two sets of points, a block at a time.

    |x − y|² = |x|² + |y|² − 2⟨x, y⟩

turns nearly all of the work into a matrix product. But where x and y are close the right side is a
small difference of large numbers: it loses digits, and may even turn negative. Two things mend it:

- One of the points is made the origin first. A shift changes no distance, an offset that all points
  share no longer takes up digits, and integers stay integers, so that their distances are exact.
- Pairs whose distance is small beside their norms are computed once more, from x − y itself.

So every distance has a relative error of at most about 1e-8 (a bound for d = 1000; usually 1e-12),
and that of equal points is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.backend import slices
from minigan.metrics.checks import Floats

Indices = NDArray[numpy.intp]

#: How many points a block's side has: 8 MB of distances, and several times as much at work.
BLOCK = 1024

#: A pair is close if |x − y|² < CLOSE·(|x|² + |y|²): there four digits or more would be lost.
CLOSE = 1e-4


def squared_distances(x: NDArray[Any], y: NDArray[Any]) -> Iterator[tuple[slice, slice, Floats]]:
    """Yield (rows, columns, block), where block[i, j] = |x[rows][i] − y[columns][j]|².

    x is (n, d) and y is (m, d). Blocks come row by row, and the caller may write into them.
    """
    origin = x[0]
    for rows in slices(len(x), BLOCK):
        a = numpy.subtract(x[rows], origin, dtype=numpy.float64)
        norms_a = numpy.einsum("nd,nd->n", a, a)[:, None]
        for columns in slices(len(y), BLOCK):
            b = numpy.subtract(y[columns], origin, dtype=numpy.float64)
            norms = norms_a + numpy.einsum("md,md->m", b, b)
            block = a @ (-2 * b).T
            block += norms
            norms *= CLOSE
            i, j = where(block < norms)
            block[i, j] = squared_distances_of_pairs(x[rows], y[columns], i, j)
            yield rows, columns, block


def squared_distances_of_pairs(x: NDArray[Any], y: NDArray[Any], i: Indices, j: Indices) -> Floats:
    """|x[i] − y[j]|² for each pair (i, j) of indices, from the difference itself."""
    result = numpy.empty(len(i))
    for part in slices(len(i), max(1, BLOCK * BLOCK // x.shape[1])):
        difference = numpy.subtract(x[i[part]], y[j[part]], dtype=numpy.float64)
        result[part] = numpy.einsum("pd,pd->p", difference, difference)
    return result


def where(mask: NDArray[numpy.bool_]) -> tuple[Indices, Indices]:
    """The rows and columns of a matrix's true entries: ``numpy.nonzero``, but fast for few.

    >>> where(numpy.array([[False, True], [True, True]]))
    (array([0, 1, 1]), array([1, 0, 1]))
    """
    return numpy.divmod(numpy.flatnonzero(mask), mask.shape[1])
