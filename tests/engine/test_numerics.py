"""What must be right to the last digits: long sums, tails of the losses, infinities, float16.

The suite turns every warning into an error, so what stands here comes without any.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine.memory import placed

import minigan as mg
from minigan import functional as F
from minigan import fused, nn, optim
from minigan.autograd import Tensor
from minigan.losses import minimax, non_saturating
from minigan.ops.norm import inner

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch, the oracle, is not installed")
INF, NAN = math.inf, math.nan


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
    "a block and a row": lambda: (columns(fused.BLOCK + 1), 0),
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
    close(inner(two, two * 0.0 + mg.tensor(g)) / two.mean(axis=0))


@pytest.mark.parametrize("rows", [1, 100, fused.BLOCK])
def test_few_rows_are_one_product(rows: int) -> None:
    """So that a training on small batches has the bits that it had before there were blocks."""
    x = np.random.default_rng(0).standard_normal((rows, 7)).astype("float32")
    np.testing.assert_array_equal(F.sum(x, 0).numpy(), np.ones(rows, "float32") @ x)


# --- The tails of the losses ----------------------------------------------------------------------


TARGETS = [1.0, 0.0, 0.5, 0.9, 1 - 2**-20, 2**-20]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("s", [15.0, -15.0, 0.0, 1e-3, 3.0, -40.0, 80.0, -80.0, 1000.0, -1000.0])
def test_binary_cross_entropy_in_both_tails(s: float, dtype: str) -> None:
    rel = 1e-6 if dtype == "float32" else 1e-14
    for target in TARGETS:
        x, y = leaf(s, dtype), leaf(target, dtype)
        loss = F.binary_cross_entropy_with_logits(x, y)
        slopes = mg.grad(loss, [x, y], create_graph=True)
        assert {t.dtype for t in (loss, *slopes)} == {np.dtype(dtype)}
        s, t, small = x.item(), y.item(), math.exp(-abs(s))
        left, right = (small / (1 + small), 1 / (1 + small))[:: 1 if s > 0 else -1]  # σ(−s), σ(s)
        value = math.log1p(small) + (1 - t) * max(s, 0.0) + t * max(-s, 0.0)
        assert loss.item() == pytest.approx(value, rel=rel, abs=0)
        # Between the ends the slope is a difference, which is 0 somewhere.
        near = 0 if t in (0, 1) else 0.1 * rel
        assert slopes[0].item() == pytest.approx((1 - t) * right - t * left, rel=rel, abs=near)
        assert slopes[1].item() == -s
        curvature, mixed = (g.item() for g in mg.grad(slopes[0], [x, y]))
        assert curvature == pytest.approx(left * right, rel=rel, abs=rel)
        assert mixed == pytest.approx(-1.0, rel=rel)


@needs_torch
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_binary_cross_entropy_at_infinity_is_pytorchs(target: float) -> None:
    """But where PyTorch subtracts ∞ from ∞ although the answer is ∞."""
    for s in (INF, -INF):
        x, t = leaf([s, 0.5]), leaf([target, 0.5])
        u, v = (torch.tensor(a.numpy(), requires_grad=True) for a in (x, t))
        theirs = torch.nn.functional.binary_cross_entropy_with_logits(u, v)
        with np.errstate(invalid="ignore"):
            ours = F.binary_cross_entropy_with_logits(x, t)
        assert ours.item() == INF or (math.isnan(ours.item()) and math.isnan(theirs.item()))
        for g, h in zip(mg.grad(ours, [x, t]), torch.autograd.grad(theirs, [u, v]), strict=True):
            np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-6)


def test_binary_cross_entropy_refuses_two_dtypes_and_integers() -> None:
    for logits, targets in (("float32", "float64"), ("float32", "int64"), ("int64", "int64")):
        with pytest.raises(TypeError, match="binary_cross_entropy_with_logits: .*int64|float64"):
            F.binary_cross_entropy_with_logits(np.ones(2, logits), np.ones(2, targets))


@pytest.mark.parametrize("alpha", [1e-6, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("s", [15.0, -15.0, -1000.0, 1000.0])
def test_a_smoothed_label_loses_no_digits(s: float, alpha: float) -> None:
    x, nothing = leaf([s]), mg.tensor([-1000.0])
    loss = minimax.discriminator(x, nothing, real_target=alpha)
    small = math.log1p(math.exp(-abs(s)))
    exact = small + alpha * max(-s, 0.0) + (1 - alpha) * max(s, 0.0)
    assert loss.item() == pytest.approx(exact, rel=1e-6, abs=0)
    sigma = 1 / (1 + math.exp(-s)) if s > 0 else math.exp(s) / (1 + math.exp(s))
    other = math.exp(-s) / (1 + math.exp(-s)) if s > 0 else 1 / (1 + math.exp(s))
    slope = (1 - alpha) * sigma - alpha * other
    assert mg.grad(loss, x)[0].item() == pytest.approx(slope, rel=1e-6, abs=1e-12)


def test_log_softmax_far_from_zero() -> None:
    """x − t is exact there, and log Σ eˣ, rounded to float32, is not."""
    x = np.array([[1e4, 1e4 + 1.5, 9990.0], [-3e7, -3e7 + 2, -3e7 + 4]], "float32")
    wide = x.astype("float64") - x.max(axis=1, keepdims=True)
    exact = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(F.log_softmax(x).numpy(), exact, rtol=1e-6)
    loss = F.cross_entropy(x, [0, 1])
    assert loss.item() == pytest.approx(-(exact[0, 0] + exact[1, 1]) / 2, rel=1e-6)


# --- Infinities -----------------------------------------------------------------------------------

#: Logits, a part of them masked by −∞, as for a batch of sequences or for illegal moves.
MASKED = [[-INF, 1.0, 2.0], [0.5, -INF, -INF], [3.0, -1.0, 2.0], [-1000.0, 1000.0, -INF]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logsumexp_of_infinities(dtype: str) -> None:
    for row, expected in (
        ([-INF, -INF], -INF), ([-INF], -INF), ([INF, 1.0], INF), ([INF, -INF], INF),
        ([INF, INF], INF), ([INF, 1000.0], INF), ([-INF, 1.5], 1.5), ([NAN, 1.0], NAN),
        ([NAN, INF], NAN), ([NAN, -INF], NAN), ([-3e38, 3e38], 3e38),
    ):  # fmt: skip
        x = np.array(row, dtype)
        np.testing.assert_equal(F.logsumexp(x).numpy(), np.array(expected, dtype))
        square = np.stack([x, x[::-1]])  # the same along both axes
        for axis in (1, (-1,), None, (1, 0)):
            for keepdims in (False, True):
                z = F.logsumexp(square, axis, keepdims).numpy()
                assert z.shape == np.zeros(square.shape).sum(axis=axis, keepdims=keepdims).shape
                if not abs(expected) < INF:
                    np.testing.assert_equal(z, np.full(z.shape, expected, dtype))


@needs_torch
@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
def test_masked_logits_are_pytorchs_at_three_orders(op: str, axis: Any) -> None:
    x = leaf(MASKED, "float64")
    u = torch.tensor(MASKED, dtype=torch.float64, requires_grad=True)
    ours = getattr(F, op)(x, axis)
    if op == "logsumexp":
        theirs = u.logsumexp(axis)
    else:
        flat = u.reshape(-1) if isinstance(axis, tuple) else u
        theirs = getattr(torch, op)(flat, 0 if isinstance(axis, tuple) else axis).reshape(u.shape)
    weights = np.linspace(0.5, 2.0, x.size).reshape(x.shape)
    wanted = np.linspace(1.0, 3.0, ours.size).reshape(ours.shape)
    (g,) = mg.grad(ours, x, mg.tensor(wanted), create_graph=True)
    (h,) = torch.autograd.grad(theirs, u, torch.tensor(wanted), create_graph=True)
    (gg,) = mg.grad(g, x, mg.tensor(weights))
    (hh,) = torch.autograd.grad(h, u, torch.tensor(weights))
    for a, b in ((ours, theirs), (g, h), (gg, hh)):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-15)
    assert np.isfinite(g.numpy()).all() and np.isfinite(gg.numpy()).all()


@needs_torch
def test_cross_entropy_of_masked_logits_is_pytorchs() -> None:
    labels = [2, 0, 1, 1]
    x, u = leaf(MASKED), torch.tensor(MASKED, requires_grad=True)
    ours, theirs = F.cross_entropy(x, labels), torch.nn.functional.cross_entropy
    loss = theirs(u, torch.tensor(labels))
    assert ours.item() == pytest.approx(loss.item(), rel=1e-6)
    (g,), (h,) = mg.grad(ours, x), torch.autograd.grad(loss, u)
    np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-6, atol=1e-8)
    assert F.cross_entropy(x, [0, 0, 0, 0]).item() == INF


@needs_torch
@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
def test_where_nothing_is_right_it_is_pytorchs_and_numpy_says_so(op: str) -> None:
    for row in ([-INF, -INF], [INF, 1.0], [INF, 1000.0], [INF, INF], [INF, -INF], [NAN, 1.0]):
        x, u = leaf([row, [0.5, 1.0]]), torch.tensor([row, [0.5, 1.0]], requires_grad=True)
        with np.errstate(invalid="ignore"):
            ours = getattr(F, op)(x, 1)
            (g,) = mg.grad(ours.sum(), x)
        theirs = getattr(torch, op)(u, 1)
        (h,) = torch.autograd.grad(theirs.sum(), u)
        for a, b in ((ours, theirs), (g, h)):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-6, atol=1e-7)
    if op != "logsumexp":
        with pytest.warns(RuntimeWarning, match="invalid value"):
            getattr(F, op)(np.array([INF, 1.0]))


# --- float16 --------------------------------------------------------------------------------------


def half(values: Any) -> Tensor:
    return leaf(values, "float16")


@pytest.mark.parametrize(
    ("reduced", "value", "slope"),
    [
        (lambda: (F.mean, half(np.ones(100_000))), 1.0, 1e-5),
        (lambda: (F.var, half(np.tile([200.0, -200.0], 2))), 40_000.0, 100.0),
        (lambda: (F.sum, half(np.ones(4096))), 4096.0, 1.0),
        (lambda: (lambda x: F.sum(x, 0)[1], half(np.full((65_000, 2), 0.5))), 32_500.0, 0.0),
        (lambda: (F.logsumexp, half([60_000.0, -60_000.0])), 60_000.0, 1.0),
        (lambda: (lambda x: F.softmax(x)[0], half(np.zeros(70_000))), 1 / 70_000, 1 / 70_000),
        (lambda: (lambda x: F.log_softmax(x)[1], half([60_000.0, 0.0])), -60_000.0, -1.0),
        (lambda: (lambda x: F.cross_entropy(x, [1] * 70_000), half([[20.0, 0.0]] * 70_000)),
         20.0, 1 / 70_000),
    ],
)  # fmt: skip
def test_a_reduction_of_float16_is_right_if_the_answer_fits(
    reduced: Any, value: float, slope: float
) -> None:
    reduce, x = reduced()
    z = reduce(x)
    assert z.dtype == "float16" and z.item() == pytest.approx(value, rel=1e-3, abs=6e-8)
    z.backward()
    assert x.grad.dtype == "float16"
    assert x.grad.numpy().ravel()[0] == pytest.approx(slope, rel=1e-3, abs=6e-8)


def test_gradients_of_what_was_repeated_in_float16() -> None:
    row, g = half([0.0, 0.0]), np.ones((4096, 2), "float16")
    (half(g) + row).backward(g)
    assert row.grad.numpy().tolist() == [4096.0, 4096.0]
    bias = half([0.0])
    F.linear(half(np.ones((4096, 1))), half([[1.0]]), bias).backward(g[:, :1])
    assert bias.grad.item() == 4096.0


def test_batch_norm_refuses_float16() -> None:
    with pytest.raises(TypeError, match=r"float16.*\.to\(.float32.\)"):
        nn.BatchNorm1d(2).to("float16")(half([[300.0, -300.0], [-300.0, 300.0]]))


# --- Where the user has NumPy raise ---------------------------------------------------------------

FAR = np.array([[-1000.0, -100.0, -90.0], [1000.0, 100.0, 90.0], [0.5, 0.0, -0.5]], "float32")


@pytest.mark.parametrize(
    "op",
    [
        F.sigmoid, F.softplus, F.log_sigmoid, F.softmax, F.log_softmax, F.logsumexp,
        lambda x: F.mean(F.softplus(x[0])),
        lambda x: F.softmax(x, 0), lambda x: F.logsumexp(x, (0, 1)),
        lambda x: F.cross_entropy(x, [0, 1, 2]),
        lambda x: F.binary_cross_entropy_with_logits(x, mg.tensor((FAR > 0).astype("float32"))),
        lambda x: minimax.discriminator(x, -x) + minimax.generator(x),
        lambda x: minimax.discriminator(x, x, real_target=0.9) + non_saturating.generator(x),
    ],
)  # fmt: skip
def test_what_vanishes_on_purpose_raises_nothing(op: Callable[[Tensor], Tensor]) -> None:
    x = mg.tensor(FAR)
    expected = op(x).numpy()
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(op(x).numpy(), expected)


@pytest.mark.parametrize("method", [optim.SGD, optim.RMSprop, optim.Adam])
def test_a_step_with_tiny_gradients_raises_nothing(method: Any) -> None:
    p = leaf([1.0, 2.0, 3.0])
    steps = method([p], lr=0.1)
    for tiny in (1e-30, 1e-44):
        p.grad = mg.tensor(np.full(3, tiny, "float32"))
        with np.errstate(all="raise"):
            steps.step()
    assert np.isfinite(p.numpy()).all()


def test_what_the_user_asks_for_raises_as_in_numpy() -> None:
    with np.errstate(all="raise"):
        for op, x, what in (
            (F.exp, -1000.0, "underflow"), (F.exp, 1000.0, "overflow"), (F.log, 0.0, "divide"),
            (F.mean, 3e38, "overflow"), (F.softmax, INF, "invalid"),
        ):  # fmt: skip
            with pytest.raises(FloatingPointError, match=what):
                op(np.full(2, x, "float32"))


def test_a_backward_whose_gradients_vanish_raises_nothing() -> None:
    for op in (minimax.generator, non_saturating.generator, lambda x: minimax.discriminator(x, x)):
        x = leaf([100.0, -100.0])
        with np.errstate(all="raise"):
            (g,) = mg.grad(op(x), x, create_graph=True)
            mg.grad(g.sum(), x)


def test_a_leaky_relu_without_slope_is_a_relu_at_infinity_too() -> None:
    x = leaf([-INF, -1.0, 0.0, INF])
    y = F.leaky_relu(x, 0.0)
    np.testing.assert_array_equal(y.numpy(), [0.0, 0.0, 0.0, INF])
    np.testing.assert_array_equal(mg.grad(y, x, mg.tensor([INF] * 4))[0].numpy(), [0, 0, 0, INF])


def test_a_maximum_that_is_nan_divides_by_no_zero() -> None:
    x = leaf([[math.nan, 1.0], [1.0, 2.0]])
    with np.errstate(all="raise"):
        (g,) = mg.grad(F.max(x, axis=1).sum(), x)
    np.testing.assert_array_equal(g.numpy(), [[0.5, 0.5], [0.0, 1.0]])


def test_a_relu_of_long_doubles_has_a_gradient() -> None:
    x = mg.tensor(np.array([-1.0, 2.0], np.longdouble), requires_grad=True)
    np.testing.assert_array_equal(mg.grad(F.relu(x).sum(), x)[0].numpy(), [0.0, 1.0])
