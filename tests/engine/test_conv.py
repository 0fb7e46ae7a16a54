"""Convolution, its two relatives and pooling: against loops, each other, PyTorch, and their layers.

The three functions are one trilinear form T(x, w, y), so that one drawn geometry serves all three:
pictures x, kernels w and maps y that fit together. test_ops.py holds the five functions to finite
differences; here are larger shapes, every kind of memory, and what only convolutions have.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from engine.memory import placed
from hypothesis import given

import minigan as mg
from minigan import backend, nn
from minigan import functional as F
from minigan.autograd import Tensor

try:
    import torch
    import torch.nn.functional as T
except ImportError:
    torch = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch, the oracle, is not installed")

Pair = tuple[int, int]
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])

# --- Drawing --------------------------------------------------------------------------------------

# All but the first two are memory that no convolution makes itself.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda a: a.copy(),
    "channels-last": lambda a: a.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
    "Fortran": lambda a: a.copy(order="F"),
    "negative strides": lambda a: np.flip(np.flip(a).copy()),
    "every second": lambda a: np.repeat(np.repeat(a, 2, axis=-1), 2, axis=1)[:, ::2, :, ::2],
    "inside of a larger one": lambda a: np.pad(a, 1, constant_values=9)[(slice(1, -1),) * 4],
}


def tensor(host: np.ndarray, requires_grad: bool = False) -> Tensor:
    """Of the same memory layout, which mg.tensor does not promise."""
    return Tensor(placed(host), requires_grad)


@dataclass(frozen=True)
class Geometry:
    """Pictures x (n, c, *size), kernels w (o, c, *kernel), maps y (n, o, *out)."""

    n: int
    c: int
    o: int
    size: Pair
    kernel: Pair
    stride: Pair
    padding: Pair

    @property
    def over(self) -> list[int]:
        return [h + 2 * p - k for h, p, k in zip(self.size, self.padding, self.kernel, strict=True)]

    @property
    def out(self) -> Pair:
        return self.over[0] // self.stride[0] + 1, self.over[1] // self.stride[1] + 1

    @property
    def rest(self) -> Pair:
        """The output_padding with which conv_transpose2d gives back ``size``."""
        return self.over[0] % self.stride[0], self.over[1] % self.stride[1]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        n, c, o = self.n, self.c, self.o
        return {"x": (n, c, *self.size), "w": (o, c, *self.kernel), "y": (n, o, *self.out)}

    def array(self, which: str, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(self.shapes[which])


def both(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def geometries(draw: Any, n: tuple[int, int] = (1, 3)) -> Geometry:
    """Every size of picture that holds a window gives, with its rest, every output_padding."""
    kernel, stride, padding = draw(both(1, 4)), draw(both(1, 3)), draw(both(0, 2))
    more = draw(both(0, 4))
    size = [max(1, k - 2 * p) + m for k, p, m in zip(kernel, padding, more, strict=True)]
    channels = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return Geometry(draw(st.integers(*n)), *channels, (size[0], size[1]), kernel, stride, padding)


seeds = st.integers(0, 2**32 - 1)
layouts = st.sampled_from(sorted(LAYOUTS))

# --- The three functions --------------------------------------------------------------------------


def short(pair: Pair) -> int | Pair:
    """One number where both are the same."""
    return pair[0] if pair[0] == pair[1] else pair


# What each is called with, besides a bias with as many entries as the result has channels.
OPERANDS = {"conv2d": "xw", "conv_transpose2d": "yw", "conv2d_weight": "xy"}
RESULT = {"conv2d": "y", "conv_transpose2d": "x", "conv2d_weight": "w"}
every_function = pytest.mark.parametrize("name", OPERANDS)


def parameters(name: str, g: Geometry) -> dict[str, Any]:
    params: dict[str, Any] = {"stride": short(g.stride), "padding": short(g.padding)}
    if name == "conv_transpose2d":
        params["output_padding"] = short(g.rest)
    if name == "conv2d_weight":
        params["kernel_size"] = g.kernel
    return params


def ours(name: str, g: Geometry, *operands: Any) -> Tensor:
    result: Tensor = getattr(F, name)(*operands, **parameters(name, g))
    return result


def theirs(name: str, g: Geometry, *operands: Any) -> Any:
    if name != "conv2d_weight":
        return getattr(T, name)(*operands, **parameters(name, g))
    x, y = operands
    windows = T.unfold(x, g.kernel, padding=g.padding, stride=g.stride)
    return torch.einsum("nkl,nol->ok", windows, y.flatten(2)).reshape(g.shapes["w"])


def bias_for(name: str, g: Geometry) -> tuple[int, ...] | None:
    return {"conv2d": (g.o,), "conv_transpose2d": (g.c,)}.get(name)


def positions(g: Geometry) -> Iterator[tuple[tuple[int, ...], ...]]:
    """The terms of T: an entry of x, of w and of y, where the one of x is not in the padding."""
    (sh, sw), (ph, pw) = g.stride, g.padding
    for n, o, i, j in product(range(g.n), range(g.o), *map(range, g.out)):
        for c, u, v in product(range(g.c), *map(range, g.kernel)):
            a, b = sh * i + u - ph, sw * j + v - pw
            if 0 <= a < g.size[0] and 0 <= b < g.size[1]:
                yield (n, c, a, b), (o, c, u, v), (n, o, i, j)


def loops(name: str, g: Geometry, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The definition, term by term."""
    result = np.zeros(g.shapes[RESULT[name]])
    for x, w, y in positions(g):
        if name == "conv2d":
            result[y] += one[x] * other[w]
        elif name == "conv_transpose2d":
            result[x] += one[y] * other[w]
        else:
            result[w] += one[x] * other[y]
    return result


# --- Values ---------------------------------------------------------------------------------------


@every_function
@given(g=geometries(), seed=seeds, kinds=st.tuples(layouts, layouts))
def test_the_values_are_those_of_the_definition(
    name: str, g: Geometry, seed: int, kinds: tuple[str, str]
) -> None:
    """Of every kind of memory, which is left as it was; a bias is added to each of its channel."""
    rng = np.random.default_rng(seed)
    operands = [
        LAYOUTS[kind](g.array(which, rng))
        for kind, which in zip(kinds, OPERANDS[name], strict=True)
    ]
    tensors = [tensor(a) for a in operands]
    result, expected = ours(name, g, *tensors), loops(name, g, *operands)
    assert result.shape == g.shapes[RESULT[name]] and result.dtype == "float64"
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12, atol=1e-12)
    if shape := bias_for(name, g):
        bias = rng.standard_normal(shape)
        with_bias = ours(name, g, *tensors, mg.tensor(bias)).numpy()
        expected = expected + bias.reshape(1, -1, 1, 1)
        np.testing.assert_allclose(with_bias, expected, rtol=1e-12, atol=1e-12)
    for x, before in zip(tensors, operands, strict=True):
        np.testing.assert_array_equal(x.numpy(), before)


@dtypes
@given(g=geometries(), seed=seeds)
def test_the_three_are_adjoint(dtype: str, g: Geometry, seed: int) -> None:
    """⟨conv2d(x, w), y⟩ = ⟨x, conv_transpose2d(y, w)⟩ = ⟨w, conv2d_weight(x, y)⟩."""
    rng = np.random.default_rng(seed)
    # All entries are positive: where nothing cancels, an error can be relative.
    arrays = {k: rng.uniform(0.5, 1.5, shape).astype(dtype) for k, shape in g.shapes.items()}
    products = []
    for name, operands in OPERANDS.items():
        result = ours(name, g, *(mg.tensor(arrays[k]) for k in operands))
        assert result.dtype == dtype
        left = arrays[RESULT[name]].astype("float64")
        products.append(float((left * result.numpy().astype("float64")).sum()))
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    assert products == pytest.approx([products[0]] * 3, rel=tolerance)


@every_function
@given(g=geometries(n=(1, 7)), seed=seeds)
def test_a_batch_in_slices_is_the_batch_in_one(name: str, g: Geometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    operands = [g.array(which, rng) for which in OPERANDS[name]]
    entries = g.c * math.prod(g.kernel) * math.prod(g.out)  # for one picture
    tensors = [mg.tensor(a) for a in operands]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "CACHED", 10**9)
        assert len(list(backend.cached_slices(g.n, entries))) == 1
        whole = ours(name, g, *tensors).numpy()
        # Single pictures, a limit unrelated to them, and slices of 2 and 3 with a shorter last one.
        for limit in (1, 50, 2 * entries, 3 * entries + 1):
            patch.setattr(backend, "CACHED", limit)
            np.testing.assert_allclose(
                ours(name, g, *tensors).numpy(), whole, rtol=1e-12, atol=1e-12
            )
    alone = []
    for i in range(g.n):
        parts = [a[i : i + 1] for a in operands]
        if "w" in OPERANDS[name]:
            parts[1] = operands[1]
        alone.append(ours(name, g, *map(mg.tensor, parts)).numpy())
    together = sum(alone) if name == "conv2d_weight" else np.concatenate(alone)
    np.testing.assert_allclose(whole, together, rtol=1e-12, atol=1e-12)


@dtypes
@every_function
@given(g=geometries(n=(0, 2)), seed=seeds, kind=layouts, biased=st.booleans())
def test_dtype_and_memory_of_the_results(
    dtype: str, name: str, g: Geometry, seed: int, kind: str, biased: bool
) -> None:
    """The dtype stays, to second order; maps and pictures are channels-last. N may be 0."""
    rng = np.random.default_rng(seed)
    shapes = [g.shapes[k] for k in OPERANDS[name]]
    if biased and (shape := bias_for(name, g)):
        shapes.append(shape)
    leaves = [
        tensor(
            (LAYOUTS[kind] if len(s) == 4 else np.copy)(rng.standard_normal(s).astype(dtype)),
            requires_grad=True,
        )
        for s in shapes
    ]
    z = ours(name, g, *leaves)
    assert z.shape == g.shapes[RESULT[name]] and z.dtype == dtype
    if name != "conv2d_weight":
        assert z.data.transpose(0, 2, 3, 1).flags.c_contiguous
    elif g.n == 0:
        assert not z.numpy().any()
    first = mg.grad(z, leaves, mg.tensor(np.ones(z.shape, dtype)), create_graph=True)
    second = mg.grad(first, leaves, [mg.tensor(np.ones(d.shape, dtype)) for d in first])
    assert [d.shape for d in first] == [d.shape for d in second] == shapes
    assert {str(d.dtype) for d in (*first, *second)} == {dtype}


@given(
    h=st.integers(1, 12),
    k=st.integers(1, 5),
    s=st.integers(1, 4),
    p=st.integers(0, 3),
    r=st.integers(0, 3),
    axis=st.sampled_from([0, 1]),
)
def test_sizes(h: int, k: int, s: int, p: int, r: int, axis: int) -> None:
    """⌊(H + 2p − k)/s⌋ + 1 and (H − 1)·s − 2p + k + output_padding, along either axis."""

    def along(value: int, other: int) -> Pair:
        return (value, other) if axis == 0 else (other, value)

    x, w = t(1, 1, *along(h, 3)), t(1, 1, *along(k, 2))
    stride, padding = along(s, 1), along(p, 0)
    if h + 2 * p >= k:
        there = math.floor((h + 2 * p - k) / s) + 1
        assert F.conv2d(x, w, None, stride, padding).shape == (1, 1, *along(there, 2))
    back = (h - 1) * s - 2 * p + k + r
    if r < s and back >= 1:
        y = F.conv_transpose2d(x, w, None, stride, padding, along(r, 0))
        assert y.shape == (1, 1, *along(back, 4))


def test_one_row_by_hand() -> None:
    """Not flipped, and what the docstrings say about where a window starts."""
    x, w = mg.tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]]), mg.tensor([[[[1.0, 10.0, 100.0]]]])
    assert F.conv2d(x, w).numpy().tolist() == [[[[321, 432, 543]]]]
    assert F.conv2d(x, w, mg.tensor([0.5]), (1, 2), (0, 1)).numpy().tolist() == [
        [[[210.5, 432.5, 54.5]]]
    ]
    y = mg.tensor([[[[1.0, 2.0]]]])
    assert F.conv_transpose2d(y, w, None, (1, 2)).numpy().tolist() == [[[[1, 10, 102, 20, 200]]]]
    cut = F.conv_transpose2d(y, w, mg.tensor([0.5]), (1, 2), (0, 1), (0, 1))
    assert cut.numpy().tolist() == [[[[10.5, 102.5, 20.5, 200.5]]]]
    assert F.conv2d_weight(x, y, (1, 2), (1, 3)).numpy().tolist() == [[[[9, 12]]]]


# --- PyTorch --------------------------------------------------------------------------------------


def agree(mine: Tensor, reference: Any, tolerance: float = 1e-9) -> None:
    assert mine.shape == tuple(reference.shape)
    np.testing.assert_allclose(
        mine.numpy(), reference.numpy(force=True), rtol=tolerance, atol=tolerance
    )


def agree_to_order(
    order: int,
    mine: Callable[..., Tensor],
    reference: Callable[..., Any],
    inputs: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Values, then gradients of random projections, with respect to the projections as well."""
    xs = [tensor(a, requires_grad=True) for a in inputs]
    ts = [torch.tensor(a.copy(), requires_grad=True) for a in inputs]
    zs, us = [mine(*xs)], [reference(*ts)]
    for _ in range(order):
        agree_all(zs, us)
        vs = [rng.standard_normal(z.shape) for z in zs]
        cotangents = [mg.tensor(v, requires_grad=True) for v in vs]
        torchs = [torch.tensor(v, requires_grad=True) for v in vs]
        live = [i for i, u in enumerate(us) if u.requires_grad]
        zs = list(mg.grad(zs, xs, cotangents, create_graph=True))
        us = list(
            torch.autograd.grad(
                [us[i] for i in live],
                ts,
                [torchs[i] for i in live],
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
        )
        xs, ts = xs + cotangents, ts + torchs
    agree_all(zs, us)


def agree_all(mine: list[Tensor], references: list[Any]) -> None:
    for z, u in zip(mine, references, strict=True):
        agree(z, u)


@needs_torch
@every_function
@given(
    g=geometries(),
    seed=seeds,
    kinds=st.tuples(layouts, layouts),
    biased=st.booleans(),
)
def test_pytorch_agrees_to_third_order(
    name: str, g: Geometry, seed: int, kinds: tuple[str, str], biased: bool
) -> None:
    rng = np.random.default_rng(seed)
    inputs = [
        LAYOUTS[kind](g.array(which, rng))
        for kind, which in zip(kinds, OPERANDS[name], strict=True)
    ]
    if biased and (shape := bias_for(name, g)):
        inputs.append(rng.standard_normal(shape))
    # PyTorch refuses the third derivative of an output_padding.
    order = 2 if name == "conv_transpose2d" and any(g.rest) else 3
    agree_to_order(order, lambda *t: ours(name, g, *t), lambda *t: theirs(name, g, *t), inputs, rng)


@needs_torch
def test_pytorch_agrees_at_the_dcgans_sizes() -> None:
    """In float32, with a batch of several slices, forward and back."""
    rng = np.random.default_rng(0)
    for name, shape, channels in (
        ("conv2d", (100, 16, 14, 14), (32, 16)),
        ("conv_transpose2d", (100, 32, 7, 7), (32, 16)),
    ):
        assert len(list(backend.cached_slices(100, 16 * 16 * 7 * 7))) > 1
        x, w = (rng.standard_normal(s).astype("f") for s in (shape, (*channels, 4, 4)))
        xs = [mg.tensor(a, requires_grad=True) for a in (x, w)]
        ts = [torch.tensor(a, requires_grad=True) for a in (x, w)]
        z, u = getattr(F, name)(*xs, None, 2, 1), getattr(T, name)(*ts, None, 2, 1)
        agree(z, u, 1e-3)
        v = rng.standard_normal(z.shape).astype("f")
        for d, e in zip(
            mg.grad(z, xs, mg.tensor(v)), torch.autograd.grad(u, ts, torch.tensor(v)), strict=True
        ):
            agree(d, e, 1e-3)


# --- Pooling --------------------------------------------------------------------------------------


@st.composite
def poolings(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The shape of x, and arguments: windows that meet, overlap or leave gaps; padding to k/2."""
    kernel = draw(both(1, 4))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    more = draw(both(0, 4))
    size = (max(1, k - 2 * p) + m for k, p, m in zip(kernel, padding, more, strict=True))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size)
    stride = draw(st.none() | both(1, 3).map(short))
    return shape, {"kernel_size": short(kernel), "stride": stride, "padding": short(padding)}


def windows(
    shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]], int]]:
    """Each entry of the result, the entries of x in its window, row by row, and its size."""
    pairs = ((v, v) if isinstance(v, int) else v for v in (kernel_size, padding))
    (kh, kw), (ph, pw) = pairs
    sh, sw = (kh, kw) if stride is None else (stride, stride) if isinstance(stride, int) else stride
    n, c, h, w = shape
    starts = product(range(-ph, h + ph - kh + 1, sh), range(-pw, w + pw - kw + 1, sw))
    for top, left in starts:
        for b, channel in product(range(n), range(c)):
            inside = [
                (b, channel, i, j)
                for i, j in product(range(top, top + kh), range(left, left + kw))
                if 0 <= i < h and 0 <= j < w
            ]
            yield (b, channel, (top + ph) // sh, (left + pw) // sw), inside, kh * kw


POOLS = ["avg_pool2d", "max_pool2d"]
every_pool = pytest.mark.parametrize("name", POOLS)


def pool_loops(
    name: str, x: np.ndarray, g: np.ndarray, params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """The pooling of x, and the gradient of its product with g."""
    z, x_bar = np.full(g.shape, np.nan), np.zeros(x.shape)
    for at, inside, entries in windows(x.shape, **params):
        if name == "avg_pool2d":
            z[at] = sum(x[i] for i in inside) / entries
            for i in inside:
                x_bar[i] += g[at] / entries
        else:
            first = max(inside, key=lambda i: x[i])  # of several, the first
            z[at] = x[first]
            x_bar[first] += g[at]
    return z, x_bar


# Few values, so that most windows hold the largest one several times; and none above zero.
ENTRIES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "any": lambda rng, shape: rng.standard_normal(shape),
    "ties": lambda rng, shape: rng.integers(0, 2, shape).astype("float64"),
    "negative": lambda rng, shape: -rng.uniform(1, 2, shape),
}


@every_pool
@pytest.mark.parametrize("entries", ENTRIES)
@given(drawn=poolings(), seed=seeds, kind=layouts)
def test_pooling_is_that_of_the_definition(
    name: str, entries: str, drawn: tuple[Any, Any], seed: int, kind: str
) -> None:
    (shape, params), rng = drawn, np.random.default_rng(seed)
    x = LAYOUTS[kind](ENTRIES[entries](rng, shape))
    leaf = tensor(x, requires_grad=True)
    z = getattr(F, name)(leaf, **params)
    g = rng.standard_normal(z.shape)
    (x_bar,) = mg.grad(z, leaf, mg.tensor(g))
    expected, expected_bar = pool_loops(name, x, g, params)
    np.testing.assert_allclose(z.numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(x_bar.numpy(), expected_bar, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(leaf.numpy(), x)
    assert z.dtype == x_bar.dtype == "float64"
    narrow = tensor(x.astype("float32"), requires_grad=True)
    z = getattr(F, name)(narrow, **params)
    assert z.dtype == mg.grad(z.sum(), narrow)[0].dtype == "float32"


@needs_torch
@every_pool
@pytest.mark.parametrize("entries", ENTRIES)
@given(drawn=poolings(), seed=seeds)
def test_pooling_agrees_with_pytorch_to_second_order(
    name: str, entries: str, drawn: tuple[Any, Any], seed: int
) -> None:
    """Where entries tie and windows overlap, the gradients go to the same ones."""
    (shape, params), rng = drawn, np.random.default_rng(seed)
    agree_to_order(
        2,
        lambda x: getattr(F, name)(x, **params) ** 2,
        lambda x: getattr(T, name)(x, **params) ** 2,
        [ENTRIES[entries](rng, shape)],
        rng,
    )


def test_pooling_by_hand() -> None:
    x = mg.tensor([[[[1.0, 3.0, 3.0], [3.0, 0.0, 2.0]]]], requires_grad=True)
    y = F.max_pool2d(x, 2, 1)
    assert y.numpy().tolist() == [[[[3, 3]]]]
    assert mg.grad(y, x, np.array([[[[1, 10]]]], "f"))[0].numpy().tolist() == [
        [[[0, 11, 0], [0, 0, 0]]]
    ]
    assert F.avg_pool2d(x, 2).numpy().tolist() == [[[[1.75]]]]  # the third column fills no window
    assert F.avg_pool2d(x, 2, padding=1).numpy().tolist() == [[[[0.25, 1.5], [0.75, 0.5]]]]
    assert F.max_pool2d(-x, 2, padding=1).numpy().tolist() == [[[[-1, -3], [-3, 0]]]]


@pytest.mark.parametrize("name", POOLS)
def test_pooling_of_an_empty_batch(name: str) -> None:
    assert getattr(F, name)(np.zeros((0, 3, 4, 6), "f"), 2).shape == (0, 3, 2, 3)


def test_a_window_of_minus_infinities_does_not_pick_its_padding() -> None:
    x = np.full((1, 1, 2, 2), -np.inf)
    x[0, 0, 1, 1] = 7.0
    assert F.max_pool2d(x, 2, 1, 1).numpy()[0, 0].tolist() == [
        [-np.inf, -np.inf, -np.inf],
        [-np.inf, 7.0, 7.0],
        [-np.inf, 7.0, 7.0],
    ]


# --- Mistakes -------------------------------------------------------------------------------------


def t(*shape: int, dtype: str = "float64") -> Tensor:
    return mg.tensor(np.ones(shape, dtype))


# As functions: which library's arrays they are is known when a test runs.
X, W = partial(t, 2, 3, 5, 6), partial(t, 4, 3, 3, 2)  # (N, C, H, W), (O, C, kh, kw)
Y = partial(t, 2, 4, 3, 5)  # conv2d(X, W)

MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # channels
    (
        lambda: F.conv2d(X(), t(4, 2, 3, 2)),
        ValueError,
        r"^conv2d: x has 3 channels, weight expects 2 \(x \(2, 3, 5, 6\), weight \(4, 2, 3, 2\)\)$",
    ),
    (
        lambda: F.conv_transpose2d(X(), W(), t(3)),
        ValueError,
        r"^conv_transpose2d: x has 3 channels, weight expects 4 "
        r"\(x \(2, 3, 5, 6\), weight \(4, 3, 3, 2\), bias \(3,\)\)$",
    ),
    (
        lambda: nn.Conv2d(2, 4, 3)(t(2, 3, 5, 6, dtype="float32")),
        ValueError,
        r"^conv2d: x has 3 channels, weight expects 2 "
        r"\(x \(2, 3, 5, 6\), weight \(4, 2, 3, 3\), bias \(4,\)\)$",
    ),
    # sizes
    (
        lambda: F.conv2d(X(), t(4, 3, 8, 2), None, 1, 1),
        ValueError,
        r"^conv2d: the kernel, \(8, 2\), is larger than x \(2, 3, 5, 6\) with padding \(1, 1\)$",
    ),
    (lambda: F.conv2d(X(), t(4, 3, 2, 7)), ValueError, r"kernel, \(2, 7\), .* padding \(0, 0\)"),
    (
        lambda: F.conv2d_weight(X(), Y(), (6, 2)),
        ValueError,
        r"^conv2d_weight: the kernel, \(6, 2\),",
    ),
    (lambda: F.max_pool2d(X(), 6), ValueError, r"^max_pool2d: the kernel, \(6, 6\), is larger"),
    (lambda: F.avg_pool2d(X(), (2, 7)), ValueError, r"^avg_pool2d: the kernel, \(2, 7\), is"),
    (
        lambda: F.conv_transpose2d(Y(), W(), None, 2, 0, 2),
        ValueError,
        r"^conv_transpose2d: output_padding \(2, 2\) must be smaller than stride \(2, 2\)$",
    ),
    (
        lambda: F.conv_transpose2d(Y(), W(), None, (3, 1), 0, (2, 1)),
        ValueError,
        r"output_padding \(2, 1\) must be smaller than stride \(3, 1\)",
    ),
    (
        lambda: F.conv_transpose2d(t(2, 4, 1, 5), W(), None, 1, (2, 0)),
        ValueError,
        r"^conv_transpose2d: nothing is left of the result, \(-1, 6\) "
        r"\(x \(2, 4, 1, 5\), weight \(4, 3, 3, 2\), stride \(1, 1\), padding \(2, 0\)\)$",
    ),
    (lambda: F.conv_transpose2d(t(1, 1, 2, 1), t(1, 1, 1, 2), None, 1, 1), ValueError, r"0, 0\) "),
    (
        lambda: F.conv2d_weight(X(), t(2, 4, 3, 4), (3, 2)),
        ValueError,
        r"^conv2d_weight: expected y \(2, 4, 3, 5\) for x \(2, 3, 5, 6\), got \(2, 4, 3, 4\)$",
    ),
    (lambda: F.conv2d_weight(X(), t(1, 4, 3, 5), (3, 2)), ValueError, r"expected y \(2, 4, 3, 5\)"),
    (lambda: F.conv2d_weight(X(), Y(), (3, 2), 2), ValueError, r"expected y \(2, 4, 2, 3\)"),
    # axes
    (
        lambda: F.conv2d(t(3, 5, 6), W()),
        ValueError,
        r"^conv2d: expected x \(N, C, H, W\) and a weight of 4 axes, "
        r"got \(x \(3, 5, 6\), weight \(4, 3, 3, 2\)\)$",
    ),
    (lambda: F.conv2d(X(), t(4, 3)), ValueError, r"conv2d: expected .* weight \(4, 3\)"),
    (
        lambda: F.conv_transpose2d(t(4, 5), W()),
        ValueError,
        r"conv_transpose2d: expected .* \(4, 5\)",
    ),
    (
        lambda: F.conv2d_weight(X(), t(2, 4, 3), (3, 2)),
        ValueError,
        r"^conv2d_weight: expected x and y of 4 axes, got \(2, 3, 5, 6\) and \(2, 4, 3\)$",
    ),
    (
        lambda: F.max_pool2d(t(3, 5, 6), 2),
        ValueError,
        r"^max_pool2d: expected floats \(N, C, H, W\), got float64 \(3, 5, 6\)$",
    ),
    (lambda: F.avg_pool2d(t(1, 2, 3, 5, 6), 2), ValueError, r"^avg_pool2d: .* \(1, 2, 3, 5, 6\)$"),
    # bias
    (
        lambda: F.conv2d(X(), W(), t(3)),
        ValueError,
        r"^conv2d: bias must have 4 entries "
        r"\(x \(2, 3, 5, 6\), weight \(4, 3, 3, 2\), bias \(3,\)\)$",
    ),
    (lambda: F.conv2d(X(), W(), t(1, 4)), ValueError, r"bias must have 4 entries .* bias \(1, 4\)"),
    (
        lambda: F.conv_transpose2d(Y(), W(), t(4)),
        ValueError,
        "conv_transpose2d: bias must have 3 ent",
    ),
    # dtypes
    (
        lambda: F.conv2d(X(), t(4, 3, 3, 2, dtype="float32")),
        TypeError,
        r"^conv2d: x is float64 but a parameter is float32 \(x \(2, 3, 5, 6\), weight",
    ),
    (
        lambda: F.conv2d(X(), W(), t(4, dtype="float32")),
        TypeError,
        "conv2d: x is float64 but a param",
    ),
    (
        lambda: F.conv_transpose2d(t(2, 4, 3, 5, dtype="float32"), W()),
        TypeError,
        "conv_transpose2d: x is float32 but a parameter is float64",
    ),
    (
        lambda: F.conv2d_weight(X(), t(2, 4, 3, 5, dtype="float32"), (3, 2)),
        TypeError,
        "^conv2d_weight: x is float64 but y is float32$",
    ),
    (lambda: nn.Conv2d(3, 4, 2)(X()), TypeError, "conv2d: x is float64 but a parameter is float32"),
    (lambda: F.max_pool2d(t(1, 1, 2, 2, dtype="int64"), 2), ValueError, "max_pool2d: .*got int64"),
    (lambda: F.avg_pool2d(t(1, 1, 2, 2, dtype="uint8"), 2), ValueError, "avg_pool2d: .*got uint8"),
    # strides, paddings, kernels
    (lambda: F.conv2d(X(), W(), None, 0), ValueError, "^conv2d: stride must be at least 1, got 0$"),
    (lambda: F.conv2d(X(), W(), None, (1, -1)), ValueError, r"stride must .* 1, got \(1, -1\)$"),
    (
        lambda: F.conv2d(X(), W(), None, 1, -1),
        ValueError,
        "^conv2d: padding must be at least 0, got",
    ),
    (
        lambda: F.conv_transpose2d(Y(), W(), None, 0),
        ValueError,
        "^conv_transpose2d: stride must be at",
    ),
    (
        lambda: F.conv_transpose2d(Y(), W(), None, 1, (0, -2)),
        ValueError,
        "^conv_transpose2d: padding ",
    ),
    (
        lambda: F.conv_transpose2d(Y(), W(), None, 1, 0, -1),
        ValueError,
        "^conv_transpose2d: output_padding must be at least 0, got -1$",
    ),
    (
        lambda: F.conv2d_weight(X(), Y(), (3, 0)),
        ValueError,
        r"kernel_size must be at least 1, got \(3",
    ),
    (
        lambda: F.conv2d_weight(X(), Y(), (3, 2), 0),
        ValueError,
        "^conv2d_weight: stride must be at lea",
    ),
    (
        lambda: F.max_pool2d(X(), 0),
        ValueError,
        "^max_pool2d: kernel_size must be at least 1, got 0$",
    ),
    (lambda: F.max_pool2d(X(), 2, 0), ValueError, "^max_pool2d: stride must be at least 1, got 0$"),
    (
        lambda: F.avg_pool2d(X(), 2, 1, -1),
        ValueError,
        "^avg_pool2d: padding must be at least 0, got",
    ),
    (
        lambda: F.max_pool2d(X(), (3, 2), padding=(2, 1)),
        ValueError,
        r"^max_pool2d: padding \(2, 1\) is more than half of the kernel, \(3, 2\)$",
    ),
    (lambda: F.avg_pool2d(X(), 1, 1, 1), ValueError, r"padding \(1, 1\) is more .* \(1, 1\)$"),
    (
        lambda: F.conv2d(X(), W(), None, 1.0),  # type: ignore[arg-type]
        TypeError,
        "^conv2d: stride must be an integer or a pair of integers, got 1.0$",
    ),
    (lambda: F.conv2d(X(), W(), None, True), TypeError, "conv2d: stride must be .*, got True$"),
    (
        lambda: F.conv2d(X(), W(), None, (1, True)),
        TypeError,
        r"stride must be .*, got \(1, True\)$",
    ),
    (
        lambda: F.conv2d(X(), W(), None, (1, 2, 3)),  # type: ignore[arg-type]
        TypeError,
        r"stride must be .*, got \(1, 2, 3\)$",
    ),
    (lambda: F.conv2d(X(), W(), None, ()), TypeError, r"stride must be .*, got \(\)$"),  # type: ignore[arg-type]
    (lambda: F.conv2d(X(), W(), None, "2"), TypeError, "stride must be .*, got '2'$"),  # type: ignore[arg-type]
    (lambda: F.conv2d(X(), W(), None, 1, None), TypeError, "conv2d: padding must be .*, got None$"),  # type: ignore[arg-type]
    (
        lambda: F.conv_transpose2d(Y(), W(), None, 1, 0, 0.5),  # type: ignore[arg-type]
        TypeError,
        "output_padding must .* 0.5",
    ),
    (lambda: F.max_pool2d(X(), 2.0), TypeError, "^max_pool2d: kernel_size must be .*, got 2.0$"),  # type: ignore[arg-type]
    # layers
    (lambda: nn.Conv2d(0, 1, 3), ValueError, "^Conv2d: in_channels must be a posit.*, got 0$"),
    (lambda: nn.Conv2d(1, True, 3), TypeError, "^Conv2d: out_channels must be .*, got True$"),
    (lambda: nn.ConvTranspose2d(1, 2.0, 3), TypeError, "^ConvTranspose2d: out_channels .* 2.0"),  # type: ignore[arg-type]
    (lambda: nn.Conv2d(1, 1, 0), ValueError, "^Conv2d: kernel_size must be at least 1, got 0$"),
    (lambda: nn.Conv2d(1, 1, (3, 3, 3)), TypeError, "^Conv2d: kernel_size must be an integer or"),  # type: ignore[arg-type]
    (lambda: nn.Conv2d(1, 1, 3, 0), ValueError, "^Conv2d: stride must be at least 1, got 0$"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, 1, -1), ValueError, "^ConvTranspose2d: padding must be"),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3, 2, 1, -1),
        ValueError,
        "^ConvTranspose2d: output_padding must be at least 0, got -1$",
    ),
    (lambda: nn.Conv2d(1, 1, 3, 1, 0, False), TypeError, "positional"),  # type: ignore[misc]
    (lambda: nn.ConvTranspose2d(1, 1, 3, 1, 0, 0, False), TypeError, "positional"),  # type: ignore[misc]
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_a_mistake_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# --- Layers ---------------------------------------------------------------------------------------

# Built with minigan.nn or torch.nn as lib: the arguments are the same.
LAYERS: dict[str, Callable[[Any], Any]] = {
    "Conv2d": lambda lib: lib.Conv2d(2, 3, 2),
    "Conv2d, all by position": lambda lib: lib.Conv2d(2, 3, (3, 2), (2, 1), (0, 1)),
    "Conv2d without bias": lambda lib: lib.Conv2d(2, 3, 3, padding=1, bias=False),
    "ConvTranspose2d": lambda lib: lib.ConvTranspose2d(2, 3, 2),
    "ConvTranspose2d, all by position": lambda lib: lib.ConvTranspose2d(
        2, 3, (3, 2), (2, 3), (1, 0), (1, 2)
    ),
    "ConvTranspose2d without bias": lambda lib: lib.ConvTranspose2d(2, 3, 4, 2, 1, bias=False),
    "MaxPool2d": lambda lib: lib.MaxPool2d(2),
    "MaxPool2d, all by position": lambda lib: lib.MaxPool2d((3, 2), (1, 2), (1, 0)),
    "AvgPool2d": lambda lib: lib.AvgPool2d((2, 3)),
    "AvgPool2d, all by position": lambda lib: lib.AvgPool2d(3, 2, 1),
    "Sequential": lambda lib: lib.Sequential(
        lib.Conv2d(2, 4, 3, (2, 1), 1),
        lib.BatchNorm2d(4),
        lib.LeakyReLU(0.2),
        lib.ConvTranspose2d(4, 3, (3, 4), 2, 1, (1, 0), bias=False),
        lib.MaxPool2d(2, 1),
        lib.AvgPool2d(2),
        lib.Conv2d(3, 2, 1),
    ),
}
every_layer = pytest.mark.parametrize("layer", LAYERS)


@needs_torch
@every_layer
@pytest.mark.parametrize("direction", ["to PyTorch", "from PyTorch"])
def test_a_layer_is_pytorchs_with_the_same_state(layer: str, direction: str) -> None:
    torch.manual_seed(0)
    mg.manual_seed(0)
    net, twin = (lib.Sequential(LAYERS[layer](lib)) for lib in (nn, torch.nn))
    if direction == "to PyTorch":
        state = {k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()}
        twin.load_state_dict(state)
    else:
        net.load_state_dict(twin.state_dict())
    net, twin = net.to("float64"), twin.double()
    agree_to_order(
        2, net, twin, [np.random.default_rng(0).standard_normal((3, 2, 5, 6))],
        np.random.default_rng(1),
    )  # fmt: skip
    v = np.random.default_rng(2).standard_normal((3, 2, 5, 6))
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        agree(mg.grad((net(mg.tensor(v)) ** 2).sum(), p)[0],
              torch.autograd.grad((twin(torch.tensor(v)) ** 2).sum(), q)[0])  # fmt: skip


def test_shapes_of_the_parameters() -> None:
    for kind, weight in ((nn.Conv2d, (5, 3, 4, 2)), (nn.ConvTranspose2d, (3, 5, 4, 2))):
        state = kind(3, 5, (4, 2)).state_dict()
        assert {k: v.shape for k, v in state.items()} == {"weight": weight, "bias": (5,)}
        assert {str(v.dtype) for v in state.values()} == {"float32"}
        assert list(kind(3, 5, (4, 2), bias=False).state_dict()) == ["weight"]


def check_uniform(values: np.ndarray, bound: float) -> None:
    n = values.size
    assert 0.99 * bound < abs(values).max() <= bound * (1 + 1e-6)
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * n)
    # The variance of x² for uniform x is 4b⁴/45.
    assert abs((values**2).mean() - bound**2 / 3) < 5 * bound**2 * math.sqrt(4 / 45 / n)


@pytest.mark.parametrize("of", ["minigan", pytest.param("torch", marks=needs_torch)])
def test_layers_start_uniform_within_1_over_the_root_of_fan_in(of: str) -> None:
    """For the transposed layer fan_in is taken as out·kh·kw: PyTorch's custom, shown on PyTorch."""
    mg.manual_seed(4)
    if of == "torch":
        torch.manual_seed(4)
    lib: Any = nn if of == "minigan" else torch.nn
    for layer, fan_in in (
        (lib.Conv2d(7, 3000, (2, 3)), 42),
        (lib.ConvTranspose2d(7, 3000, (2, 3)), 18000),
    ):
        for parameter in (layer.weight, layer.bias):
            values = parameter.numpy() if of == "minigan" else parameter.numpy(force=True)
            check_uniform(values.astype("float64"), 1 / math.sqrt(fan_in))


def test_repr_shows_the_arguments() -> None:
    assert repr(nn.Conv2d(3, 5, (4, 2), 2, (1, 0))) == (
        "Conv2d(3, 5, kernel_size=(4, 2), stride=(2, 2), padding=(1, 0), bias=True)"
    )
    transposed = repr(nn.ConvTranspose2d(3, 5, 4, 2, 1, bias=False))
    assert transposed.startswith(
        "ConvTranspose2d(3, 5, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1)"
    )
    assert transposed.endswith("bias=False)")
    assert repr(nn.MaxPool2d(2)) == ("MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))")
    assert repr(nn.AvgPool2d((3, 2), 1, 1)) == (
        "AvgPool2d(kernel_size=(3, 2), stride=(1, 1), padding=(1, 1))"
    )


# --- What convolutions lean on: batch norm over pixels, sums over rows ----------------------------


@needs_torch
@given(seed=seeds, training=st.booleans(), shape=st.tuples(*[st.integers(1, 4)] * 4))
def test_batch_norm_does_not_depend_on_the_memory_of_its_pictures(
    seed: int, training: bool, shape: tuple[int, ...]
) -> None:
    """The same value, gradients and statistics for every layout; and they are PyTorch's."""
    n, c, h, w = shape
    shape = (n + 1, c, h, w)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape)
    gamma, beta, mean, g = (rng.standard_normal(s) for s in ((c,), (c,), (c,), shape))
    variance = rng.uniform(0.5, 1.5, c)

    def run(x: np.ndarray) -> list[np.ndarray]:
        leaves = [tensor(a, requires_grad=True) for a in (x, gamma, beta)]
        statistics = mg.tensor(mean), mg.tensor(variance)
        z = F.batch_norm(*leaves, *statistics, training)
        first = mg.grad(z, leaves, mg.tensor(g), create_graph=True)
        second = mg.grad((first[0] * first[0]).sum(), leaves)
        return [a.numpy() for a in (z, *first, *second, *statistics)]

    leaves = [torch.tensor(a, requires_grad=True) for a in (values, gamma, beta)]
    statistics = torch.tensor(mean.copy()), torch.tensor(variance.copy())
    z = T.batch_norm(leaves[0], *statistics, *leaves[1:], training)
    first = torch.autograd.grad(z, leaves, torch.tensor(g), create_graph=True)
    second = torch.autograd.grad((first[0] ** 2).sum(), leaves, materialize_grads=True)
    reference = run(LAYOUTS["C"](values))
    for mine, torchs in zip(reference, (z, *first, *second, *statistics), strict=True):
        np.testing.assert_allclose(mine, torchs.numpy(force=True), rtol=1e-6, atol=1e-9)
    for kind in sorted(LAYOUTS):
        for a, b in zip(run(LAYOUTS[kind](values)), reference, strict=True):
            scale = max(1.0, abs(b).max())
            np.testing.assert_allclose(a / scale, b / scale, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["C", "channels-last"])
@pytest.mark.parametrize("shape", [(16, 3, 5, 5), (128, 4, 14, 14)])
def test_batch_norm_of_a_large_mean(shape: tuple[int, ...], kind: str) -> None:
    """x − μ is taken before squaring, so that σ = 1 survives beside μ = 10⁴ in float32."""
    x = (1e4 + np.random.default_rng(0).standard_normal(shape)).astype("float32")
    c = shape[1]
    exact = x.astype("float64")
    exact -= exact.mean(axis=(0, 2, 3), keepdims=True)
    exact /= np.sqrt((exact**2).mean(axis=(0, 2, 3), keepdims=True) + 1e-5)
    one, zero = mg.tensor([1.0] * c), mg.tensor([0.0] * c)
    z = F.batch_norm(tensor(LAYOUTS[kind](x)), one, zero)
    assert z.dtype == "float32"
    np.testing.assert_allclose(z.numpy(), exact, rtol=0, atol=1e-2)


@dtypes
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape", [(7, 3), (1, 4), (4, 1), (0, 3), (3, 0), (0, 0), (5000, 6)])
def test_the_sum_over_rows_is_numpys(dtype: str, keepdims: bool, shape: Pair) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    flipped = np.flip(np.flip(values).copy())
    apart = np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)[::2, ::2]
    for x in (values, values.copy(order="F"), flipped, apart):
        leaf = tensor(x, requires_grad=True)
        z = leaf.sum(axis=0, keepdims=keepdims)
        expected = x.astype("float64").sum(axis=0, keepdims=keepdims)
        assert z.shape == expected.shape and z.dtype == dtype
        tolerance = {"float32": 1e-3, "float64": 1e-11}[dtype]
        np.testing.assert_allclose(z.numpy(), expected, rtol=1e-5, atol=tolerance)
        assert z.shape == leaf.sum(axis=-2, keepdims=keepdims).shape
        g = np.arange(z.size, dtype=dtype).reshape(z.shape)
        (x_bar,) = mg.grad(z, leaf, mg.tensor(g))
        np.testing.assert_array_equal(x_bar.numpy(), np.broadcast_to(g.reshape(1, -1), shape))
        assert x_bar.dtype == dtype


def test_the_sum_over_rows_of_integers_stays_exact() -> None:
    for values in ([[2**62, 1], [1, 2]], np.full((2, 2), 200, "uint8"), [[True], [True]]):
        x = np.asarray(values)
        z = mg.tensor(x).sum(axis=0)
        assert z.dtype == x.sum(axis=0).dtype and z.dtype.kind in "iu"
        assert z.numpy().tolist() == [sum(column) for column in x.T.tolist()]


# --- Numbers that strain rounding -----------------------------------------------------------------


@pytest.mark.parametrize("rows", [3000, 6272, 25088])
def test_batch_norm_of_constant_channels_is_finite(rows: int) -> None:
    """However large the constant: no variance below 0, no NaN."""
    constants = np.logspace(2, 6, 64).astype("float32")
    x = np.broadcast_to(constants, (rows, 64)).copy()
    running_mean, running_var = mg.tensor(np.zeros(64, "f")), mg.tensor(np.ones(64, "f"))
    y = F.batch_norm(
        x, mg.tensor(np.ones(64, "f")), mg.tensor(np.zeros(64, "f")),
        running_mean, running_var, momentum=1.0, eps=1e-8,
    )  # fmt: skip
    assert np.isfinite(y.numpy()).all()
    assert running_var.numpy().min() >= 0.0
    np.testing.assert_allclose(running_mean.numpy(), constants, rtol=1e-6)


def test_batch_norm_takes_floats_only() -> None:
    with pytest.raises(TypeError, match="batch_norm: expected a float tensor, got int64"):
        F.batch_norm(np.ones((4, 2), int), t(2), t(2))


def test_no_axis_but_the_batchs_may_be_empty() -> None:
    for call in (
        lambda: F.conv2d(t(2, 0, 3, 3), t(1, 0, 2, 2)),
        lambda: F.conv_transpose2d(t(2, 1, 3, 3), t(1, 0, 2, 2)),
        lambda: F.conv2d(t(2, 1, 3, 3), t(1, 1, 0, 2)),
        lambda: F.max_pool2d(t(2, 1, 0, 3), 2, 1, 1),
        lambda: F.conv2d_weight(t(2, 0, 3, 3), t(2, 1, 2, 2), 2),
    ):
        with pytest.raises(ValueError, match=r"2d.*: expected .* got"):
            call()


def test_an_operation_of_which_only_the_bias_is_trained_keeps_its_name() -> None:
    bias = mg.tensor([0.5], requires_grad=True, dtype="float64")
    assert "op=conv2d" in repr(F.conv2d(t(1, 1, 2, 2), t(1, 1, 2, 2), bias))
    assert "op=conv_transpose2d" in repr(F.conv_transpose2d(t(1, 1, 2, 2), t(1, 1, 2, 2), bias))
