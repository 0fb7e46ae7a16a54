"""What must be right to the last digits: long sums."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine.memory import placed

import minigan as mg
from minigan import functional as F
from minigan import fused, nn
from minigan.autograd import Tensor


def leaf(values: Any, dtype: str = "float32") -> Tensor:
    return mg.tensor(np.array(values, dtype), requires_grad=True)


# --- Long sums in float32 -------------------------------------------------------------------------

ROWS = 10**6
THREE = np.array([0.1, 1 / 3, 0.7], "float32")


def columns(rows: int) -> np.ndarray:
    return np.tile(THREE, (rows, 1))


#: Entries that are the same along the summed axes, and these axes.
LONG: dict[str, Callable[[], tuple[np.ndarray, Any]]] = {
    "rows": lambda: (columns(ROWS), 0),
    "a prime number of rows": lambda: (columns(1_000_003), 0),
    "one column": lambda: (columns(ROWS)[:, :1].copy(), 0),
    "three blocks and a row": lambda: (columns(3 * fused.BLOCK + 1), 0),
    "rows of matrices": lambda: (columns(ROWS).reshape(-1, 2, 3), 0),
    "an axis in the middle": lambda: (columns(ROWS).reshape(2, -1, 3), 1),
    "two axes of three": lambda: (columns(ROWS).reshape(ROWS // 10, 10, 3), (1, 0)),
    "channels first": lambda: (np.tile(THREE[:, None, None], (ROWS // 4, 1, 2, 2)), (0, 2, 3)),
    "channels last": lambda: (columns(ROWS).reshape(100, 100, 100, 3).transpose(0, 3, 1, 2),
                              (0, 2, 3)),
    "channels last, each picture": lambda: (
        columns(ROWS).reshape(2, 500, 1000, 3).transpose(0, 3, 1, 2), (2, 3)),
    "rows of a transposed matrix": lambda: (columns(ROWS).T.copy().T, 0),
    "columns of a transposed matrix": lambda: (columns(ROWS).T, 1),
    "some of the columns": lambda: (np.tile(columns(ROWS), 2)[:, 1:3], 0),
    "all of some columns": lambda: (np.full((ROWS, 3), THREE[0])[:, :2], None),
    "all, transposed": lambda: (np.full((100, 100, 100), THREE[1]).transpose(2, 0, 1), None),
    "every second": lambda: (np.full(2 * ROWS, THREE[2])[::2], 0),
}  # fmt: skip


@pytest.mark.parametrize("case", LONG)
def test_a_long_sum_keeps_six_digits(case: str) -> None:
    x, axis = LONG[case]()
    t, exact = Tensor(placed(x)), x.sum(axis=axis, dtype="float64")
    for keepdims in (False, True):
        z = F.sum(t, axis, keepdims).numpy()
        assert z.dtype == "float32" and z.shape == x.sum(axis=axis, keepdims=keepdims).shape
        np.testing.assert_allclose(z.reshape(exact.shape), exact, rtol=2e-6)
    count = x.size // exact.size
    np.testing.assert_allclose(F.mean(t, axis).numpy(), exact / count, rtol=2e-6)
    expected = math.log(count) + exact / count
    np.testing.assert_allclose(F.logsumexp(t, axis).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(F.softmax(t, axis).numpy() * count, 1.0, rtol=2e-6)


@pytest.mark.parametrize("rows", [10**5, ROWS, ROWS + 3])
def test_gradients_and_statistics_over_many_rows_keep_six_digits(rows: int) -> None:
    g, x = columns(rows), mg.tensor(np.ones((rows, 1), "float32"))
    exact = rows * THREE.astype("float64")

    def close(found: Tensor) -> None:
        np.testing.assert_allclose(found.numpy().reshape(-1), exact, rtol=2e-6)

    bias, row, scale = leaf(np.zeros(3)), leaf(np.zeros((1, 3))), leaf(np.ones((1, 1, 3)))
    F.linear(x, mg.tensor(np.zeros((3, 1), "float32")), bias).backward(g)
    (x + row).backward(g)
    (x.reshape(1, rows, 1) * scale).backward(g[None])
    for parameter in (bias, row, scale):
        close(parameter.grad)

    pixels, filters = x.reshape(1, 1, rows, 1), np.zeros((3, 1, 1, 1), "float32")
    picture = g.T.reshape(1, 3, rows, 1)
    for convolution, weight in (
        (F.conv2d, filters),
        (F.conv_transpose2d, filters.transpose(1, 0, 2, 3)),
    ):
        bias = leaf(np.zeros(3))
        convolution(pixels, mg.tensor(weight), bias).backward(picture)
        close(bias.grad)

    two = mg.tensor(g * np.where(np.arange(rows) % 2, 1, 3)[:, None].astype("float32"))
    norm = nn.BatchNorm1d(3, momentum=1.0)
    norm(two).backward(g)
    close(norm.bias.grad)
    host = two.numpy().astype("float64")
    np.testing.assert_allclose(norm.running_mean.numpy(), host.mean(axis=0), rtol=2e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), host.var(axis=0, ddof=1), rtol=4e-6)
    close(F.inner(two, two * 0.0 + mg.tensor(g)) / two.mean(axis=0))


@pytest.mark.parametrize("rows", [1, 100, 2 * fused.BLOCK])
def test_few_rows_are_one_product(rows: int) -> None:
    """So that a training on small batches has the bits that it had before there were blocks."""
    x = np.random.default_rng(0).standard_normal((rows, 7)).astype("float32")
    np.testing.assert_array_equal(F.sum(x, 0).numpy(), np.ones(rows, "float32") @ x)
