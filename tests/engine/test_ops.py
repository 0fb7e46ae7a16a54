"""Every differentiable operation, from one table, against finite differences, PyTorch and NumPy.

A row of the table says how to draw inputs (shapes, axes, indices; values away from kinks) and what
the operation is called in minigan, PyTorch and NumPy. The tests below run over all rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from engine.memory import placed
from hypothesis import given

import minigan as mg
from minigan import backend
from minigan import functional as F
from minigan.autograd import Node, Tensor, _reachable, record
from minigan.ops.shape import getitem, scatter, sum_to

try:
    import torch
    import torch.nn.functional as T
except ImportError:
    torch = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch, the oracle, is not installed")

# --- Drawing ------------------------------------------------------------------------------------

Drawn = st.SearchStrategy[tuple[list[np.ndarray], dict[str, Any]]]
MAX_ENTRIES = 12

# Domains: a generator and a number of entries give the entries.
DOMAINS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "any": lambda rng, n: rng.standard_normal(n),
    "positive": lambda rng, n: rng.uniform(0.5, 2.5, n),
    "unit": lambda rng, n: rng.uniform(0.05, 0.95, n),
    # At least 0.2 away from every integer, so from 0 and from every bound used below.
    "off integers": lambda rng, n: rng.integers(-3, 3, n) + rng.uniform(0.2, 0.8, n),
    # No two entries closer than 0.1, whichever input they are in.
    "distinct": lambda rng, n: 0.15 * (rng.permutation(n) - n / 2) + rng.uniform(0, 0.05, n),
}

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda a: a.copy(),
    "Fortran": lambda a: a.copy(order="F"),
    "negative strides": lambda a: np.flip(np.flip(a).copy()),
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
}


@st.composite
def arrays(draw: Any, *shapes: tuple[int, ...], domain: str = "any") -> list[np.ndarray]:
    """One float64 array for each shape, each in a drawn memory layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = [int(np.prod(shape)) for shape in shapes]
    values = np.split(DOMAINS[domain](rng, sum(sizes)), np.cumsum(sizes)[:-1])
    layouts = [LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))] for _ in shapes]
    return [f(v.reshape(s)) for f, v, s in zip(layouts, values, shapes, strict=True)]


def small(shape: tuple[int, ...]) -> bool:
    return int(np.prod(shape)) <= MAX_ENTRIES


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> Any:
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=3
    ).filter(small)


def broadcastable(n: int, min_side: int = 0) -> Any:
    drawn = hnp.mutually_broadcastable_shapes(
        num_shapes=n, max_dims=3, min_side=min_side, max_side=3
    )
    return drawn.filter(lambda b: small(b.result_shape)).map(lambda b: b.input_shapes)


def unary(domain: str = "any", **params: st.SearchStrategy[Any]) -> Drawn:
    drawn = shapes().flatmap(lambda shape: arrays(shape, domain=domain))
    return st.tuples(drawn, st.fixed_dictionaries(params))


def binary(domain: str = "any") -> Drawn:
    drawn = broadcastable(2).flatmap(lambda s: arrays(*s, domain=domain))
    return st.tuples(drawn, st.just({}))


@st.composite
def axes_of(draw: Any, ndim: int) -> Any:
    """None, one axis or several, some of them negative."""
    kinds = [st.none()]
    if ndim:
        one = st.integers(-ndim, ndim - 1)
        kinds += [one, st.lists(one, min_size=1, unique_by=lambda i: i % ndim).map(tuple)]
    return draw(st.one_of(kinds))


@st.composite
def reduction(
    draw: Any, domain: str = "any", min_side: int = 1, keepdims: bool = True, min_dims: int = 0
) -> Any:
    shape = draw(shapes(min_dims, min_side=min_side))
    params = {"axis": draw(axes_of(len(shape)))}
    if keepdims:
        params["keepdims"] = draw(st.booleans())
    return draw(arrays(shape, domain=domain)), params


@st.composite
def where_inputs(draw: Any) -> Any:
    mask, x, y = draw(broadcastable(3))
    return draw(arrays(x, y)), {"condition": draw(hnp.arrays(bool, mask))}


@st.composite
def matmul_inputs(draw: Any) -> Any:
    drawn = hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=1, min_side=0, max_side=3
    )
    x, y = draw(drawn.filter(lambda b: all(map(small, b.input_shapes)))).input_shapes
    return draw(arrays(x, y)), {}


@st.composite
def linear_inputs(draw: Any) -> Any:
    lead, (n, m) = draw(shapes(max_dims=2)), draw(shapes(2, 2, 1))
    bias = [(m,)] if draw(st.booleans()) else []
    return draw(arrays((*lead, n), (m, n), *bias)), {}


@st.composite
def batch_norm_inputs(draw: Any) -> Any:
    n, c = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    image = draw(st.sampled_from([(), (1, 1), (2, 1), (1, 2)]))
    training = draw(st.booleans())
    channels = [(c,)] * (2 if training else 4)
    drawn = draw(arrays((n, c, *image), *channels, domain="distinct"))
    statistics = {}
    if not training:
        statistics = {"running_mean": drawn[3], "running_var": abs(drawn[4]) + 0.5}
    return drawn[:3], {"training": training, "eps": draw(st.sampled_from([1e-5, 0.1]))} | statistics


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, **params: Any) -> Tensor:
    constant = {k: mg.tensor(v, dtype=x.dtype) for k, v in params.items() if "running" in k}
    return F.batch_norm(x, weight, bias, **params | constant)


def torch_batch_norm(
    x: Any, weight: Any, bias: Any, training: bool, eps: float, **stats: Any
) -> Any:
    mean, var = (torch.tensor(s.copy()) for s in stats.values()) if stats else (None, None)
    return T.batch_norm(x, mean, var, weight, bias, training, 0.0, eps)


@st.composite
def several(draw: Any, new_axis: bool) -> Any:
    """One to three tensors to be joined along an axis: of one shape, or differing along it."""
    shape, count = draw(shapes(min_dims=0 if new_axis else 1)), draw(st.integers(1, 3))
    ndim = len(shape) + new_axis
    axis = draw(st.integers(-ndim, ndim - 1))
    parts = [list(shape) for _ in range(count)]
    if not new_axis:
        for part in parts:
            part[axis] = draw(st.integers(0, 3))
    return draw(arrays(*map(tuple, parts))), {"axis": axis}


@st.composite
def pad_inputs(draw: Any) -> Any:
    shape = draw(shapes(min_dims=1, max_dims=3, min_side=1))
    axes = draw(st.integers(0, len(shape)))
    pad = draw(st.tuples(*[st.integers(0, 2)] * (2 * axes)))
    return draw(arrays(shape)), {"pad": pad, "value": draw(st.sampled_from([0.0, -1.5]))}


@st.composite
def indexing(draw: Any) -> Any:
    """A shape and an index into it: basic, integer arrays, a mask, or a mixture."""
    shape = draw(shapes(min_dims=1))
    kinds = [hnp.basic_indices(shape, allow_newaxis=True), hnp.arrays(bool, shape)]
    if 0 not in shape:
        integers = hnp.integer_array_indices(
            shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)
        )
        rows = st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=4)
        kinds += [integers, rows, rows.map(lambda r: (r, Ellipsis))]
        last = st.integers(-shape[-1], shape[-1] - 1)
        kinds += [st.integers(-shape[0], shape[0] - 1), last.map(lambda i: (..., None, i))]
        if len(shape) > 1:
            first = st.slices(shape[0])
            column = st.integers(0, shape[1] - 1)
            kinds.append(st.tuples(first, st.lists(column, min_size=1, max_size=3)))
    return shape, draw(st.one_of(kinds))


def positions(shape: tuple[int, ...], index: Any) -> np.ndarray:
    """Which entry, counted in row-major order, stands where in x[index]: an independent oracle."""
    return np.array(np.arange(int(np.prod(shape))).reshape(shape)[index], order="C")


@st.composite
def getitem_inputs(draw: Any) -> Any:
    shape, index = draw(indexing())
    return draw(arrays(shape)), {"index": index}


@st.composite
def scatter_inputs(draw: Any) -> Any:
    shape, index = draw(indexing())
    return draw(arrays(positions(shape, index).shape)), {"index": index, "shape": shape}


def torch_getitem(x: Any, index: Any) -> Any:
    p = positions(tuple(x.shape), index)
    return x.reshape(-1)[torch.tensor(p.reshape(-1))].reshape(p.shape)


def torch_scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    zeros = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
    p = torch.tensor(positions(shape, index).reshape(-1))
    return zeros.index_add(0, p, x.reshape(-1)).reshape(shape)


@st.composite
def sum_to_inputs(draw: Any) -> Any:
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=(2, 3, 2), max_side=3)
    small_shape = draw(drawn.filter(lambda b: b.result_shape == (2, 3, 2))).input_shapes[0]
    return draw(arrays((2, 3, 2))), {"shape": small_shape}


@st.composite
def broadcast_to_inputs(draw: Any) -> Any:
    x, other = draw(broadcastable(2))
    return draw(arrays(x)), {"shape": np.broadcast_shapes(x, other)}


@st.composite
def permute_inputs(draw: Any) -> Any:
    shape = draw(shapes())
    order = draw(st.permutations(range(len(shape))))
    return draw(arrays(shape)), {"axes": tuple(i - len(shape) * draw(st.booleans()) for i in order)}


@st.composite
def transpose_inputs(draw: Any) -> Any:
    shape = draw(shapes(min_dims=1))
    axis = st.integers(-len(shape), len(shape) - 1)
    return draw(arrays(shape)), {"axis0": draw(axis), "axis1": draw(axis)}


@st.composite
def reshape_inputs(draw: Any) -> Any:
    shape = draw(shapes())
    new = draw(st.sampled_from([(-1,), shape[::-1], (1, *shape), (*shape, 1), (1, -1, 1)]))
    return draw(arrays(shape)), {"shape": new}


@st.composite
def embedding_inputs(draw: Any) -> Any:
    rows = draw(st.integers(1, 4))
    shape = draw(shapes(max_dims=2, min_side=1))  # PyTorch cannot do the second order of none
    indices = draw(
        hnp.arrays(st.sampled_from([np.int64, np.uint8]), shape, elements=st.integers(0, rows - 1))
    )
    return draw(arrays((rows, draw(st.integers(1, 3))))), {"indices": indices}


@st.composite
def cross_entropy_inputs(draw: Any) -> Any:
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return draw(arrays((n, k))), {
        "labels": draw(hnp.arrays(np.uint8, n, elements=st.integers(0, k - 1)))
    }


@st.composite
def bce_inputs(draw: Any) -> Any:
    shape = draw(shapes(min_side=1))
    return draw(arrays(shape)) + draw(arrays(shape, domain="unit")), {}


@st.composite
def window_inputs(draw: Any, op: str) -> Any:
    """Two operands of one of the three convolutions, or the picture of a pooling."""

    def both(low: int, high: int) -> Any:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    n, c, o = draw(st.tuples(*[st.integers(1, 2)] * 3).filter(lambda t: sum(t) < 6))
    kernel, stride, more = both(1, 3), both(1, 2), both(0, 1)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [max(1, k - 2 * p) + m for k, p, m in zip(kernel, padding, more, strict=True)]
    over = [h + 2 * p - k for h, p, k in zip(size, padding, kernel, strict=True)]
    x, w = (n, c, *size), (o, c, *kernel)
    y = (n, o, *(v // s + 1 for v, s in zip(over, stride, strict=True)))
    params: dict[str, Any] = {"stride": stride, "padding": padding}
    if "pool" in op:
        params |= {"kernel_size": kernel, "stride": draw(st.sampled_from([None, stride]))}
        return draw(arrays(x, domain="distinct" if op == "max_pool2d" else "any")), params
    if op == "conv2d_weight":
        return draw(arrays(x, y)), params | {"kernel_size": kernel}
    if op == "conv_transpose2d":
        params["output_padding"] = tuple(v % s for v, s in zip(over, stride, strict=True))
    picture, channels = (x, o) if op == "conv2d" else (y, c)
    bias = [(channels,)] if draw(st.booleans()) else []
    return draw(arrays(picture, w, *bias)), params


@st.composite
def instance_norm_inputs(draw: Any) -> Any:
    n, c = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size = draw(st.sampled_from([(1, 2), (3, 1), (2, 2)]))
    given = [(c,)] * draw(st.sampled_from([0, 1, 2]))
    drawn = draw(arrays((n, c, *size), *given, domain="distinct"))
    return drawn, {"eps": draw(st.sampled_from([1e-5, 0.1]))}


@st.composite
def interpolate_inputs(draw: Any) -> Any:
    """A picture, its factors or its new size, and how it is read between the pixels."""
    shape = draw(hnp.array_shapes(min_dims=4, max_dims=4, max_side=3).filter(small))
    s, t = draw(st.tuples(*[st.integers(1, 3)] * 2))
    new = draw(
        st.sampled_from([{"scale_factor": (s, t)}, {"size": (s * shape[2], t * shape[3])}])
        | st.just({"scale_factor": s})
    )
    return draw(arrays(shape)), {**new, "mode": draw(st.sampled_from(["nearest", "bilinear"]))}


@st.composite
def pixel_shuffle_inputs(draw: Any) -> Any:
    n, c, h, w = draw(st.tuples(*[st.integers(1, 2)] * 4).filter(lambda t: small((*t, 2, 2))))
    r = draw(st.sampled_from([1, 2] if n * c * h * w <= 3 else [1]))
    return draw(arrays((n, c * r * r, h, w))), {"upscale_factor": r}


def two_of_a_shape(domain: str = "any") -> Drawn:
    drawn = shapes(min_side=1).flatmap(lambda shape: arrays(shape, shape, domain=domain))
    return st.tuples(drawn, st.just({}))


def torch_conv2d_weight(x: Any, y: Any, kernel_size: Any, **params: Any) -> Any:
    windows = T.unfold(x, kernel_size, **params)
    rows = torch.einsum("nol,nkl->ok", y.flatten(2), windows)
    return rows.reshape(y.shape[1], x.shape[1], *kernel_size)


def dropout(x: Tensor, p: float) -> Tensor:
    mg.manual_seed(5)  # the same mask every time
    return F.dropout(x, p)


def torch_dropout(x: Any, p: float) -> Any:
    mg.manual_seed(5)
    keep = mg.backend.stream("dropout").random(tuple(x.shape), dtype="float32") >= p
    return x * torch.tensor(keep) / (1 - p)


def dims(x: Any, axis: Any) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


# --- The table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Op:
    """A name of minigan.functional, what it is elsewhere, and how to draw its inputs."""

    name: str
    inputs: Drawn
    torch: Callable[..., Any]
    numpy: Callable[..., Any] | None = None
    fn: Callable[..., Tensor] | None = (
        None  # where the call is not simply F.name(*tensors, **params)
    )
    variant: str = ""

    def __call__(self, *tensors: Tensor, **params: Any) -> Tensor:
        return (self.fn or getattr(F, self.name))(*tensors, **params)


TABLE = [
    # entry by entry
    Op("add", binary(), lambda x, y: x + y, np.add),
    Op("sub", binary(), lambda x, y: x - y, np.subtract),
    Op("mul", binary(), lambda x, y: x * y, np.multiply),
    Op("div", binary("off integers"), lambda x, y: x / y, np.divide),
    Op("maximum", binary("distinct"), lambda x, y: torch.maximum(x, y), np.maximum),
    Op("minimum", binary("distinct"), lambda x, y: torch.minimum(x, y), np.minimum),
    Op("neg", unary(), lambda x: -x, np.negative),
    Op("abs", unary("off integers"), lambda x: x.abs(), np.abs),
    Op("exp", unary(), lambda x: x.exp(), np.exp),
    Op("log", unary("positive"), lambda x: x.log(), np.log),
    Op("sqrt", unary("positive"), lambda x: x.sqrt(), np.sqrt),
    Op("tanh", unary(), lambda x: x.tanh(), np.tanh),
    Op("sigmoid", unary(), lambda x: x.sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    Op("softplus", unary(), lambda x: T.softplus(x), lambda x: np.log(1 + np.exp(x))),
    Op("log_sigmoid", unary(), lambda x: T.logsigmoid(x), lambda x: -np.log(1 + np.exp(-x))),
    Op("relu", unary("off integers"), lambda x: x.relu(), lambda x: np.where(x > 0, x, 0)),
    Op(
        "leaky_relu",
        unary("off integers", negative_slope=st.sampled_from([0.01, 0.2, 0.0, 1.0, 1.5, -0.5])),
        lambda x, negative_slope: T.leaky_relu(x, negative_slope),
        lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
    ),
    Op(
        "clip",
        unary("off integers", low=st.integers(-2, 0), high=st.integers(0, 2)),
        lambda x, low, high: x.clamp(low, high),
        lambda x, low, high: np.where(x < low, low, np.where(x > high, high, x)),
    ),
    Op(
        "pow",
        unary("positive", exponent=st.sampled_from([0, 1, 2, 3, -1, -2, 0.5, 2.5, -1.5, 0.0, 2.0])),
        lambda x, exponent: x**exponent,
        lambda x, exponent: np.exp(exponent * np.log(x)),
    ),
    Op(
        "pow",
        unary("off integers", exponent=st.integers(-3, 4)),
        lambda x, exponent: x**exponent,
        lambda x, exponent: x**exponent,
        variant="of negative numbers",
    ),
    Op(
        "where",
        where_inputs(),
        lambda x, y, condition: torch.where(torch.tensor(condition.copy()), x, y),
        lambda x, y, condition: np.where(condition, x, y),
        lambda x, y, condition: F.where(condition, x, y),
    ),
    Op("dropout", unary(p=st.sampled_from([0.0, 0.3, 0.9])), torch_dropout, fn=dropout),
    # products
    Op("matmul", matmul_inputs(), lambda x, y: x @ y, np.matmul),
    Op(
        "linear",
        linear_inputs(),
        lambda x, w, b=None: T.linear(x, w, b),
        lambda x, w, b=0.0: x @ w.T + b,
    ),
    # reductions
    Op(
        "sum",
        reduction(min_side=0),
        lambda x, axis, keepdims: x.sum(dims(x, axis), keepdims),
        np.sum,
    ),
    Op("mean", reduction(), lambda x, axis, keepdims: x.mean(dims(x, axis), keepdims), np.mean),
    Op(
        "var",
        reduction(),
        lambda x, axis, keepdims: x.var(dims(x, axis), correction=0, keepdim=keepdims),
        np.var,
    ),
    Op(
        "std",  # of one entry PyTorch's second order is NaN
        reduction("distinct", min_side=2, min_dims=1),
        lambda x, axis, keepdims: x.std(dims(x, axis), correction=0, keepdim=keepdims),
        np.std,
    ),
    Op(
        "norm",
        reduction("off integers", min_side=0),
        lambda x, axis, keepdims: torch.linalg.vector_norm(x, dim=dims(x, axis), keepdim=keepdims),
        lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis, keepdims=keepdims)),
    ),
    Op(
        "min",
        reduction("distinct"),
        lambda x, axis, keepdims: x.amin(dims(x, axis), keepdims),
        np.min,
    ),
    Op(
        "max",
        reduction("distinct"),
        lambda x, axis, keepdims: x.amax(dims(x, axis), keepdims),
        np.max,
    ),
    Op(
        "logsumexp",
        reduction(),
        lambda x, axis, keepdims: x.logsumexp(dims(x, axis), keepdims),
        lambda x, **kw: np.log(np.exp(x).sum(**kw)),
    ),
    Op(
        "softmax",
        reduction(keepdims=False),
        lambda x, axis: (x - x.logsumexp(dims(x, axis), True)).exp(),
        lambda x, axis: np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True),
    ),
    Op(
        "log_softmax",
        reduction(keepdims=False),
        lambda x, axis: x - x.logsumexp(dims(x, axis), True),
        lambda x, axis: x - np.log(np.exp(x).sum(axis=axis, keepdims=True)),
    ),
    # moving entries
    Op(
        "broadcast_to",
        broadcast_to_inputs(),
        lambda x, shape: x.broadcast_to(shape),
        np.broadcast_to,
    ),
    Op("sum_to", sum_to_inputs(), lambda x, shape: x.sum_to_size(shape), fn=sum_to),
    Op(
        "reshape",
        reshape_inputs(),
        lambda x, shape: x.reshape(shape),
        lambda x, shape: np.reshape(x, shape),
        lambda x, shape: F.reshape(x, shape),
    ),
    Op(
        "permute",
        permute_inputs(),
        lambda x, axes: x.permute(axes),
        np.transpose,
        lambda x, axes: F.permute(x, axes),
    ),
    Op(
        "transpose",
        transpose_inputs(),
        lambda x, axis0, axis1: x.transpose(axis0, axis1),
        lambda x, axis0, axis1: np.swapaxes(x, axis0, axis1),
    ),
    Op(
        "concatenate",
        several(new_axis=False),
        lambda *xs, axis: torch.cat(xs, axis),
        lambda *xs, axis: np.concatenate(xs, axis),
        lambda *xs, axis: F.concatenate(xs, axis),
    ),
    Op(
        "stack",
        several(new_axis=True),
        lambda *xs, axis: torch.stack(xs, axis),
        lambda *xs, axis: np.stack(xs, axis),
        lambda *xs, axis: F.stack(xs, axis),
    ),
    Op(
        "pad",
        pad_inputs(),
        lambda x, pad, value: T.pad(x, pad, value=value),
        lambda x, pad, value: np.pad(
            x,
            [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))[::-1],
            constant_values=value,
        ),
    ),
    Op("getitem", getitem_inputs(), torch_getitem, lambda x, index: x[index], getitem),
    Op("scatter", scatter_inputs(), torch_scatter, fn=scatter),
    Op(
        "to",  # there and back through another float: exact, so finite differences can see it
        unary(),
        lambda x: x * 1.0,
        np.positive,
        lambda x: F.to(F.to(x, "longdouble"), x.dtype),
    ),
    # windows; test_conv.py has more of them
    Op("conv2d", window_inputs("conv2d"), lambda *xs, **kw: T.conv2d(*xs, **kw)),
    Op(
        "conv_transpose2d",
        window_inputs("conv_transpose2d"),
        lambda *xs, **kw: T.conv_transpose2d(*xs, **kw),
    ),
    Op("conv2d_weight", window_inputs("conv2d_weight"), torch_conv2d_weight),
    Op("avg_pool2d", window_inputs("avg_pool2d"), lambda x, **kw: T.avg_pool2d(x, **kw)),
    Op("max_pool2d", window_inputs("max_pool2d"), lambda x, **kw: T.max_pool2d(x, **kw)),
    Op("interpolate", interpolate_inputs(), lambda x, **kw: T.interpolate(x, **kw)),
    Op(
        "pixel_shuffle",
        pixel_shuffle_inputs(),
        lambda x, upscale_factor: T.pixel_shuffle(x, upscale_factor),
    ),
    # what networks are built from
    Op(
        "instance_norm",
        instance_norm_inputs(),
        lambda x, *wb, eps: T.instance_norm(x, None, None, *wb, eps=eps),
    ),
    Op(
        "mse_loss",
        two_of_a_shape(),
        lambda x, t: T.mse_loss(x, t),
        lambda x, t: ((x - t) ** 2).mean(),
    ),
    Op(
        "l1_loss",
        two_of_a_shape("distinct"),
        lambda x, t: T.l1_loss(x, t),
        lambda x, t: abs(x - t).mean(),
    ),
    Op("batch_norm", batch_norm_inputs(), torch_batch_norm, fn=batch_norm),
    Op(
        "embedding",
        embedding_inputs(),
        lambda w, indices: T.embedding(torch.tensor(indices.astype(int)), w),
        lambda w, indices: w[indices],
        lambda w, indices: F.embedding(indices, w),
    ),
    Op(
        "cross_entropy",
        cross_entropy_inputs(),
        lambda x, labels: T.cross_entropy(x, torch.tensor(labels.astype(int))),
    ),
    Op(
        "binary_cross_entropy_with_logits",
        bce_inputs(),
        lambda s, t: T.binary_cross_entropy_with_logits(s, t),
        lambda s, t: np.mean(t * np.log(1 + np.exp(-s)) + (1 - t) * np.log(1 + np.exp(s))),
    ),
]

# Operations without a gradient: name -> its test.
ELSEWHERE: dict[str, str] = {"argmax": "test_argmax"}


def test_every_public_function_is_in_the_table() -> None:
    assert set(F.__all__) - {op.name for op in TABLE} == set(ELSEWHERE)
    assert all(test in globals() for test in ELSEWHERE.values())


every_op = pytest.mark.parametrize(
    "op", TABLE, ids=[f"{op.name} {op.variant}".strip() for op in TABLE]
)


def leaves(inputs: list[np.ndarray], dtype: str = "float64") -> list[Tensor]:
    return [Tensor(placed(a.astype(dtype, copy=False)), requires_grad=True) for a in inputs]


# --- The tests over all rows --------------------------------------------------------------------


@every_op
@given(data=st.data())
def test_gradients_match_finite_differences_at_first_and_second_order(
    op: Op, data: st.DataObject
) -> None:
    inputs, params = data.draw(op.inputs)
    mg.gradcheck(lambda *xs: op(*xs, **params), leaves(inputs))
    mg.gradgradcheck(lambda *xs: op(*xs, **params), leaves(inputs))


@needs_torch
@every_op
@given(data=st.data())
def test_value_first_and_second_order_match_pytorch(op: Op, data: st.DataObject) -> None:
    """Also where one input is used several times: f·f + f, drawn."""
    inputs, params = data.draw(op.inputs)
    reuse = data.draw(st.booleans(), label="f·f + f")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def twice(y: Any) -> Any:
        return y * y + y if reuse else y

    xs, ts = leaves(inputs), [torch.tensor(a.copy(), requires_grad=True) for a in inputs]
    y, u = twice(op(*xs, **params)), twice(op.torch(*ts, **params))
    agree(y, u)
    v = rng.standard_normal(y.shape)
    xv, tv = mg.tensor(v, requires_grad=True), torch.tensor(v, requires_grad=True)
    first = mg.grad(y, xs, xv, create_graph=True)
    torch_first = torch.autograd.grad(
        u, ts, tv, create_graph=True, allow_unused=True, materialize_grads=True
    )
    for g, h in zip(first, torch_first, strict=True):
        agree(g, h)
    ws = [rng.standard_normal(g.shape) for g in first]
    second = mg.grad(first, [*xs, xv], [mg.tensor(w) for w in ws])
    live = [(h, torch.tensor(w)) for h, w in zip(torch_first, ws, strict=True) if h.requires_grad]
    torch_second = torch.autograd.grad(
        [h for h, _ in live], [*ts, tv], [w for _, w in live], materialize_grads=True
    )
    for g, h in zip(second, torch_second, strict=True):
        agree(g, h)


def agree(ours: Tensor, theirs: Any) -> None:
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(force=True), rtol=1e-9, atol=1e-9)


@every_op
@given(data=st.data())
def test_float32_stays_float32(op: Op, data: st.DataObject) -> None:
    inputs, params = data.draw(op.inputs)
    xs = leaves(inputs, "float32")
    y = op(*xs, **params)
    assert y.dtype == "float32"
    v = mg.tensor(np.ones(y.shape, "float32"), requires_grad=True)
    first = mg.grad(y, xs, v, create_graph=True)
    second = mg.grad(first, [*xs, v], [mg.tensor(np.ones(g.shape, "float32")) for g in first])
    assert {str(g.dtype) for g in (*first, *second)} <= {"float32"}


@every_op
@given(data=st.data())
def test_value_matches_numpy_and_inputs_are_left_alone(op: Op, data: st.DataObject) -> None:
    inputs, params = data.draw(op.inputs)
    xs = leaves(inputs)
    y = op(*xs, **params)
    mg.grad(y, xs, np.ones(y.shape))
    for x, before in zip(xs, inputs, strict=True):
        np.testing.assert_array_equal(x.numpy(), before)
    if op.numpy is not None:
        np.testing.assert_allclose(y.numpy(), op.numpy(*inputs, **params), rtol=1e-12, atol=1e-12)


@every_op
@given(data=st.data())
def test_without_recording_the_value_is_the_same_and_no_graph_is_left(
    op: Op, data: st.DataObject
) -> None:
    inputs, params = data.draw(op.inputs)
    y = op(*leaves(inputs), **params)
    with mg.no_grad():
        z = op(*leaves(inputs), **params)
    assert y.requires_grad and (not z.requires_grad or z.is_leaf)
    np.testing.assert_array_equal(y.numpy(), z.numpy())


@every_op
@given(data=st.data())
def test_a_vjp_is_handed_every_tensor_that_it_needs(op: Op, data: st.DataObject) -> None:
    """At both orders. What it has from elsewhere could change in place without being noticed."""
    inputs, params = data.draw(op.inputs)
    xs = leaves(inputs)
    y = op(*xs, **params)
    v = mg.tensor(np.ones(y.shape), requires_grad=True)
    first = mg.grad(y, xs, v, create_graph=True)
    nodes = _reachable([t._node for t in (y, *first) if t._node is not None])
    assert [node.op for node in nodes if smuggled(node, [t.data for t in (*xs, y, v)])] == []


def smuggled(node: Node, arrays: list[Any]) -> list[Any]:
    """The Tensors that VJPs hold without being handed them, and views of these arrays."""
    return [
        x
        for vjp, *_ in node.vjps or ()
        for x in held_by(vjp)
        if isinstance(x, Tensor)
        or (isinstance(x, backend.xp.ndarray) and any(shares_memory(x, a) for a in arrays))
    ]


def shares_memory(*arrays: Any) -> bool:
    return np.shares_memory(*(getattr(a, "_host", a) for a in arrays))


def held_by(x: Any) -> list[Any]:
    """What a function's closure holds, and what is in the containers and functions there."""
    if isinstance(x, FunctionType):
        inside = [cell.cell_contents for cell in x.__closure__ or ()]
        inside = [*inside, *(x.__defaults__ or ())]
    elif isinstance(x, list | tuple | set | frozenset):
        inside = list(x)
    elif isinstance(x, partial):
        inside = [x.func, *x.args, *x.keywords.values()]
    else:
        return [x]
    return [y for held in inside for y in held_by(held)]


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: [t], lambda t: partial(F.mul, t)])
@pytest.mark.parametrize("held", [lambda x: x, lambda x: x.data, lambda x: x.data[:1]])
def test_a_tensor_that_is_smuggled_into_a_vjp_is_found(wrap: Any, held: Any) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    kept = wrap(held(x))
    for vjp in (lambda g: g if kept else -g, lambda g, kept=kept: g):
        assert smuggled(record(x.data * 1.0, (x, vjp))._node, [x.data])  # type: ignore[arg-type]
    right = record(x.data * 1.0, (x, lambda g, x: g * x, x), (2.0, lambda g, x: g * x, x))
    assert right._node is not None and not smuggled(right._node, [x.data])


# --- Kinks, edges and errors, one by one --------------------------------------------------------


def slope(fn: Callable[[Tensor], Tensor], at: list[float], dtype: str = "float64") -> list[float]:
    x = mg.tensor(at, requires_grad=True, dtype=dtype)
    (g,) = mg.grad(fn(x).sum(), x)
    return g.numpy().tolist()


def test_slopes_at_the_kinks() -> None:
    assert slope(F.relu, [-1.0, 0.0, -0.0, 1.0]) == [0, 0, 0, 1]
    assert slope(F.abs, [-2.0, 0.0, 2.0]) == [-1, 0, 1]
    assert slope(lambda x: F.leaky_relu(x, 0.25), [-1.0, 0.0, 1.0]) == [0.25, 0.25, 1]
    assert slope(lambda x: F.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]) == [0, 1, 1, 1, 0]
    assert slope(lambda x: x**0, [0.0, 3.0]) == [0, 0]
    assert slope(lambda x: x**1, [0.0, 3.0]) == [1, 1]
    assert slope(lambda x: x**2, [0.0, 3.0]) == [0, 6]


def test_ties_share_the_gradient_equally() -> None:
    assert slope(F.max, [1.0, 3.0, 3.0, 0.0]) == [0, 0.5, 0.5, 0]
    assert slope(F.max, [2.0, 2.0, 2.0]) == pytest.approx([1 / 3] * 3, rel=1e-15)
    for f in (F.maximum, F.minimum):
        x, y = (mg.tensor([1.0, 1.0], requires_grad=True) for _ in range(2))
        assert [g.numpy().tolist() for g in mg.grad(f(x, y).sum(), (x, y))] == [[0.5, 0.5]] * 2


def test_the_smallest_entries_share_the_gradient_too() -> None:
    assert slope(F.min, [1.0, 3.0, 1.0, 2.0]) == [0.5, 0, 0.5, 0]
    assert mg.tensor(np.array([3, 0, 255], "uint8")).min().numpy() == 0
    assert mg.tensor([True, False]).min().item() is False


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_a_length_is_0_it_has_slope_0_at_both_orders(dtype: str) -> None:
    """PyTorch's slopes; at second order it has NaN."""
    for fn, at in ((F.norm, [0.0, 0.0, 0.0]), (F.std, [2.0, 2.0, 2.0])):
        x = mg.tensor([at, [1.0, 2.0, 4.0]], requires_grad=True, dtype=dtype)
        z = fn(x, axis=1)
        (g,) = mg.grad(z.sum(), x, create_graph=True)
        (h,) = mg.grad((g * g * g).sum(), x)
        assert z.numpy()[0] == 0 and z.numpy()[1] > 1
        assert g.numpy()[0].tolist() == h.numpy()[0].tolist() == [0, 0, 0]
        assert np.isfinite(h.numpy()).all() and g.numpy()[1].all()
    x = mg.tensor([np.nan, 1.0], requires_grad=True)
    assert np.isnan(mg.grad(F.norm(x), x)[0].numpy()).all()  # a diverged run must show


def test_lengths_in_float16_are_computed_in_float32() -> None:
    x = mg.tensor(np.full(4, 300.0, "float16"))
    assert x.norm().dtype == x.std().dtype == "float16"
    assert x.norm().item() == 600 and x.std().item() == 0


def test_argmax() -> None:
    x = np.array([[1.0, 5.0, 5.0], [7.0, -1.0, 0.0]])
    for a in (x, x.T, x.astype("int64"), x > 2):
        for axis in (None, 0, 1, -1):
            place = mg.tensor(a, requires_grad=a.dtype == "float64").argmax(axis)
            assert place.dtype == "int64" and not place.requires_grad
            np.testing.assert_array_equal(place.numpy(), a.argmax(axis))
    assert F.argmax(3.0).item() == 0
    with pytest.raises(ValueError, match="argmax: there is nothing to reduce"):
        F.argmax(np.zeros((0, 3)), 0)


def test_nearest_pixels_stay_channels_last_in_memory() -> None:
    """As convolutions have them; a copy more would be slower, not wrong."""
    x = mg.tensor(np.zeros((2, 5, 3, 4), "float32").transpose(0, 3, 1, 2))
    assert F.interpolate(x, scale_factor=2).data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_what_was_not_taken_gets_no_part_of_an_infinite_gradient() -> None:
    """As at √0: 0·∞ would be NaN."""
    x, y = leaves([np.array([1.0, -1.0])] * 2)
    g = np.array([np.inf, np.inf])
    for z, x_bar, y_bar in (
        (F.where(np.array([True, False]), x, y), [np.inf, 0], [0, np.inf]),
        (F.clip(x, 0, 2), [np.inf, 0], [0, 0]),
        (F.maximum(x, 0), [np.inf, 0], [0, 0]),
        (F.minimum(0, x), [0, np.inf], [0, 0]),
    ):
        assert [t.numpy().tolist() for t in mg.grad(z, (x, y), g)] == [x_bar, y_bar]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_and_softplus_neither_overflow_nor_lose_their_tails(dtype: str) -> None:
    """Relative accuracy all the way down: a saturated discriminator's slope is small, not zero."""
    s = np.array([-1000, -80, -40, -20, -10, -6, -1, 0, 1, 6, 20, 80, 1000], dtype)
    wide = s.astype("longdouble")
    sigma = np.exp(np.minimum(wide, 0)) / (1 + np.exp(-abs(wide)))
    softplus = np.maximum(wide, 0) + np.log1p(np.exp(-abs(wide)))
    tolerance = {"rtol": 8 * float(np.finfo(dtype).eps), "atol": float(np.finfo(dtype).tiny)}
    np.testing.assert_allclose(F.softplus(s).numpy(), softplus, **tolerance)
    np.testing.assert_allclose(F.log_sigmoid(-s).numpy(), -softplus, **tolerance)
    np.testing.assert_allclose(slope(F.softplus, s.tolist(), dtype), sigma, **tolerance)
    np.testing.assert_allclose(F.sigmoid(s).numpy(), sigma, **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_family_is_finite_for_huge_logits(dtype: str) -> None:
    x = np.array([[1000.0, 0.0], [-1000.0, 1000.0]], dtype)
    assert F.softmax(x).numpy().tolist() == [[1, 0], [0, 1]]
    assert F.logsumexp(x, axis=1).numpy().tolist() == [1000, 1000]
    assert F.log_softmax(x).numpy().tolist() == [[0, -1000], [-2000, 0]]
    assert F.cross_entropy(x, [1, 1]).item() == 500


def test_a_change_of_dtype_has_a_gradient_in_the_old_one() -> None:
    x = mg.tensor([0.5, 2.0], requires_grad=True)
    y = x.to("float64")
    (g,) = mg.grad((y * y).sum(), x)
    assert (y.dtype, g.dtype) == ("float64", "float32") and g.numpy().tolist() == [1, 4]
    assert x.to("float32") is x
    assert not x.to("int64").requires_grad


@pytest.mark.parametrize("scalar", [0.2, np.float64(0.2), np.float32(0.2), 1, np.int64(1), True])
def test_scalars_take_the_dtype_of_the_tensor_they_meet(scalar: Any) -> None:
    x = mg.tensor([1.0, 4.0])
    for y in (x + scalar, scalar + x, x - scalar, scalar - x, x * scalar, scalar * x, x / scalar):
        assert isinstance(y, Tensor) and y.dtype == "float32"
    assert (scalar / x).dtype == F.maximum(x, scalar).dtype == "float32"
    assert F.where(x > scalar, x, scalar).dtype == F.where(x > 2, scalar, x).dtype == "float32"


HALF = np.float64(0.5)
WIDE: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda x: F.leaky_relu(x, HALF),
    "clip": lambda x: F.clip(x, -HALF, HALF),
    "pow": lambda x: F.abs(x) ** np.float64(1.5),
    "dropout": lambda x: F.dropout(x, HALF),
    "pad": lambda x: F.pad(x, (1, 1), value=HALF),
    "batch_norm": lambda x: F.batch_norm(
        x, *(mg.tensor([1.0, 1.0]) for _ in range(4)), momentum=HALF, eps=HALF
    ),
}


@pytest.mark.parametrize("name", WIDE)
def test_numpy_hyperparameters_do_not_promote_float32(name: str) -> None:
    x = mg.tensor([[1.0, -4.0], [2.0, 3.0]], requires_grad=True)
    y = WIDE[name](x)
    assert y.dtype == "float32"
    assert mg.grad(y.sum(), x)[0].dtype == "float32"


def test_integers() -> None:
    n = mg.tensor([1, 2, 3])
    assert (n + 1).dtype == (n * 2).dtype == n.sum().dtype == "int64"
    assert (n / 2).dtype == (n + 0.5).dtype == (n**-1).dtype == (n > 1.5).to("float32").dtype
    assert (n / 2).dtype == "float32" and (n / 2).numpy().tolist() == [0.5, 1, 1.5]
    assert (n > 1.5).numpy().tolist() == [False, True, True]
    for op in (
        "exp",
        "log",
        "sqrt",
        "tanh",
        "sigmoid",
        "softplus",
        "relu",
        "mean",
        "var",
        "softmax",
    ):
        with pytest.raises(TypeError, match=f"{op}: expected a float tensor, got int64"):
            getattr(F, op)(n)


# As functions: which library's arrays they are is known when a test runs.
x23, x32 = (partial(mg.tensor, np.zeros(shape)) for shape in ((2, 3), (3, 2)))
x22 = partial(mg.tensor, np.zeros((1, 3, 2, 2)))
f32 = partial(mg.tensor, np.zeros((2, 3), "float32"))

MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: x23() + x32(), ValueError, r"add: shapes \(2, 3\) and \(3, 2\) do not broadcast"),
    (lambda: x23() * f32(), TypeError, r"mul: operands of two dtypes, float64 .* and float32"),
    (lambda: x23() > f32(), TypeError, "two dtypes"),
    (lambda: f32() * np.ones(3), TypeError, "two dtypes"),
    (lambda: x23() ** x23(), TypeError, "pow: the exponent must be a Python number"),
    (lambda: F.clip(x23(), 1, 0), ValueError, "clip: low 1 is above high 0"),
    (lambda: F.leaky_relu(x23(), x23()[0, 0]), TypeError, "leaky_relu: .* a number, got Tensor"),
    (lambda: F.where(x23(), x23(), x23()), TypeError, "where: the condition must be boolean"),
    (lambda: x23() @ x23(), ValueError, r"matmul: 3 columns meet 2 rows \(\(2, 3\) @ \(2, 3\)\)"),
    (lambda: x23() @ f32().T, TypeError, "matmul: operands of two dtypes"),
    (lambda: x23() @ mg.tensor(1.0, dtype="float64"), ValueError, "matmul: a 0-d operand"),
    (lambda: mg.tensor(np.zeros((2, 1, 1))) @ mg.tensor(np.zeros((3, 1, 1))), ValueError, "matmul"),
    (
        lambda: F.linear(np.zeros((64, 784), "f"), mg.tensor(np.zeros((256, 100), "f"))),
        ValueError,
        r"^linear: x has 784 features, weight expects 100 \(x \(64, 784\), weight \(256, 100\)\)$",
    ),
    (lambda: F.linear(x23(), x23(), x32()), ValueError, "linear: bias must have 2 entries"),
    (lambda: F.linear(x23(), f32()), TypeError, "linear: x is float64 but a parameter is float32"),
    (lambda: F.linear(x23(), x23()[0]), ValueError, "linear: expected x"),
    (lambda: x23().sum(axis=2), ValueError, r"sum: axis 2 does not exist in shape \(2, 3\)"),
    (
        lambda: x23().mean(axis=(0, -2)),
        ValueError,
        "mean: an axis appears twice|sum: an axis appears",
    ),
    (lambda: x23()[:0].mean(axis=0), ValueError, "mean: there is nothing to reduce"),
    (lambda: x23()[:0].max(), ValueError, "max: there is nothing to reduce"),
    (lambda: x23()[:0].min(), ValueError, "min: there is nothing to reduce"),
    (lambda: x23()[:0].std(), ValueError, "std: there is nothing to reduce"),
    (lambda: x23().norm(axis=2), ValueError, r"norm: axis 2 does not exist in shape \(2, 3\)"),
    (lambda: x23().argmax(axis=2), ValueError, r"argmax: axis 2 does not exist in shape"),
    (lambda: x23().argmax(axis=(0, 1)), TypeError, "argmax: axis must be an integer, got"),
    (
        lambda: F.mse_loss(x23(), x23()[0]),
        ValueError,
        r"mse_loss: x \(2, 3\), targets \(3,\); they",
    ),
    (lambda: F.l1_loss(x23(), 0.0), ValueError, r"l1_loss: x \(2, 3\), targets \(\)"),
    (lambda: F.l1_loss(x23(), f32()), TypeError, "l1_loss: x is float64, targets float32"),
    (lambda: F.interpolate(x23(), scale_factor=2), ValueError, "interpolate: expected x .N, C, H"),
    (lambda: F.interpolate(x22()), ValueError, "interpolate: give either size or scale_factor"),
    (lambda: F.interpolate(x22(), 4, 2), ValueError, "interpolate: give either size or scale_fac"),
    (
        lambda: F.interpolate(x22(), 5),
        ValueError,
        r"size \(5, 5\) must be whole multiples .* \(2, 2\)",
    ),
    (lambda: F.interpolate(x22(), (4, 1)), ValueError, r"interpolate: size \(4, 1\) must be whole"),
    (
        lambda: F.interpolate(x22(), None, 1.5),
        TypeError,
        "interpolate: scale_factor must be an int",
    ),
    (
        lambda: F.interpolate(x22(), None, 0),
        ValueError,
        "interpolate: scale_factor must be at least",
    ),
    (
        lambda: F.interpolate(x22(), 4, mode="bicubic"),
        ValueError,
        'interpolate: mode must be "nearest" or "bilinear", got \'bicubic\'',
    ),
    (
        lambda: F.pixel_shuffle(x22(), 2),
        ValueError,
        r"pixel_shuffle: expected x \(N, C·4, H, W\), got",
    ),
    (lambda: F.instance_norm(x23()), ValueError, "instance_norm: expected x .N, C, H, W., H·W > 1"),
    (lambda: F.instance_norm(x22()[:, :, :1, :1]), ValueError, "instance_norm: expected x .* > 1"),
    (
        lambda: F.instance_norm(x22(), x23()),
        ValueError,
        r"instance_norm: weight and bias must be \(3,\) for",
    ),
    (lambda: F.logsumexp(x23()[:0], axis=0), ValueError, "logsumexp: there is nothing to reduce"),
    (lambda: F.softmax(x23()[:0], axis=0), ValueError, "^softmax: there is nothing to reduce"),
    (lambda: F.log_softmax(x23()[:0], 0), ValueError, "log_softmax: there is nothing to reduce"),
    (lambda: F.broadcast_to(x23(), (2, 2)), ValueError, "broadcast_to: .* does not broadcast to"),
    (lambda: x23().reshape(4, 2), ValueError, r"reshape: \(2, 3\) has 6 entries .* fit \(4, 2\)"),
    (lambda: x23().permute(0, 0), ValueError, "permute: .* is not an order of the 2 axes"),
    (lambda: x23().transpose(0, 2), ValueError, "transpose: axis 2 does not exist"),
    (lambda: F.concatenate([]), ValueError, "concatenate: expected at least one"),
    (lambda: F.concatenate([x23(), x32()]), ValueError, "concatenate: .* differ outside of axis 0"),
    (lambda: F.concatenate([x23(), f32()]), TypeError, "concatenate: tensors of two dtypes"),
    (lambda: F.concatenate([x23()], axis=2), ValueError, "concatenate: axis 2 does not exist"),
    (
        lambda: F.concatenate([x23(), x23()[:, 0]], 1),
        ValueError,
        r"\(2, 3\), \(2,\) differ outside",
    ),
    (lambda: F.stack([x23(), x32()]), ValueError, "stack: shapes differ"),
    (lambda: F.stack([]), ValueError, "expected at least one"),
    (lambda: F.pad(x23(), (1,)), ValueError, "pad: expected .before, after."),
    (lambda: F.pad(x23(), (1, 1, -1, 0)), ValueError, "pad: expected .before, after."),
    (lambda: F.embedding([0, 2], x23()), ValueError, r"embedding: indices must lie in 0\.\.1"),
    (lambda: F.embedding([-1], x23()), ValueError, "embedding: indices must lie in"),
    (lambda: F.embedding([0.0], x23()), TypeError, "embedding: indices must be integers"),
    (lambda: F.dropout(x23(), 1.0), ValueError, r"dropout: p must lie in \[0, 1\), got 1.0"),
    (lambda: F.dropout([1, 2]), TypeError, "dropout: expected a float tensor, got int64"),
    (lambda: F.cross_entropy(x23(), [0]), ValueError, "cross_entropy: expected logits"),
    (lambda: F.cross_entropy(x23(), [0.0, 1.0]), TypeError, "labels must be integers"),
    (lambda: F.cross_entropy(x23(), [0, 3]), ValueError, "cross_entropy: labels must lie in"),
    (lambda: F.cross_entropy(x23(), [0, -1]), ValueError, "cross_entropy: labels must lie in"),
    (lambda: F.binary_cross_entropy_with_logits(x23(), x32()), ValueError, "binary_cross_entropy"),
    (lambda: F.batch_norm(x23(), x23()[0], x32()[0]), ValueError, "batch_norm: bias must be .3,."),
    (
        lambda: F.batch_norm(x23(), x23()[0], f32()[0]),
        TypeError,
        "batch_norm: x is float64 but bias",
    ),
    (lambda: F.batch_norm(x23()[0], x23()[0], x23()[0]), ValueError, "batch_norm: expected x"),
    (
        lambda: F.batch_norm(x23()[:1], x23()[0], x23()[0]),
        ValueError,
        "more than one value per channel",
    ),
    (
        lambda: F.batch_norm(x23(), x23()[0], x23()[0], training=False),
        ValueError,
        "evaluation needs",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_a_mistake_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_number_takes_the_dtype_of_what_it_meets() -> None:
    x = mg.tensor([1.0, 2.0])
    for number in (2, 2.0, True, np.float64(2), np.longdouble(2), np.int8(2), np.bool(True)):
        for z in (x * number, number * x, F.where(x > 1.5, x, number), F.maximum(number, x)):
            assert z.dtype == "float32"
    small = mg.tensor(np.array([1, 2], "int8"))
    for f in (lambda: small + 300, lambda: F.where(x > 1.5, small, 300)):
        with pytest.raises(OverflowError):
            f()


def test_a_number_takes_the_dtype_of_an_array_as_well() -> None:
    array, mask = np.array([1.0, 2.0]), np.array([True, False])
    for z in (F.add(array, 1), F.sub(1, array), F.maximum(array, 0.0), F.where(mask, array, 0.0)):
        assert z.dtype == "float64"
    assert F.add(1, 2).item() == 3
