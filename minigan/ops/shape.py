"""Operations that move entries without changing them. Each one's VJP is another of them.

They come in adjoint pairs, A and Aᵀ with ⟨A x, g⟩ = ⟨x, Aᵀ g⟩: ``broadcast_to`` and ``sum_to``,
``getitem`` and ``scatter``, ``reshape`` and ``permute`` with their own inverses. Being linear, each
is its own derivative, so a pair is closed under differentiation of any order.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy

from minigan import backend, fused
from minigan.arguments import number
from minigan.autograd import Operand, Tensor, as_tensor, record

__all__ = [
    "broadcast_to", "concatenate", "getitem", "pad", "permute", "reshape", "scatter", "stack",
    "sum_to", "to", "transpose",
]  # fmt: skip


def to(x: Operand, dtype: Any) -> Tensor:
    """The entries in another dtype.  x̄ = ḡ in the old dtype."""
    x = as_tensor(x)
    if dtype is None or numpy.dtype(dtype).kind not in "fiub":  # None is NumPy's float64
        raise TypeError(f"to: expected a dtype of numbers, got {dtype}")
    old = x.dtype
    if old == dtype:
        return x
    value = x.data.astype(dtype)
    if value.dtype.kind != "f":
        return record(value)
    return record(value, (x, lambda g: to(g, old)))


def broadcast_to(x: Operand, shape: Sequence[int]) -> Tensor:
    """Repeat x along new and length-1 axes up to ``shape``, as a view.  x̄ = sum_to(ḡ)."""
    x = as_tensor(x)
    old, new = x.shape, tuple(shape)
    if old == new:
        return x
    try:
        value = backend.xp.broadcast_to(x.data, new)
    except ValueError:
        raise ValueError(f"broadcast_to: {old} does not broadcast to {new}") from None
    return record(value, (x, lambda g: sum_to(g, old)), shares=x)


def sum_to(x: Operand, shape: Sequence[int]) -> Tensor:
    """Sum over the axes along which ``shape`` was broadcast to x's.  x̄ = broadcast_to(ḡ)."""
    x = as_tensor(x)
    old, new = x.shape, tuple(shape)
    if old == new:
        return x
    lead = len(old) - len(new)
    axes = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(new) if n == 1 and old[lead + i] != 1
    )
    value = fused.total(x.data, axes, keepdims=True).reshape(new)
    return record(value, (x, lambda g: broadcast_to(g, old)))


def reshape(x: Operand, *shape: Any) -> Tensor:
    """The same entries, in row-major order, in another shape; one length may be −1."""
    x = as_tensor(x)
    old, new = x.shape, _sequence(shape)
    try:
        value = x.data.reshape(new)
    except ValueError:
        raise ValueError(f"reshape: {old} has {x.size} entries and does not fit {new}") from None
    return record(value, (x, lambda g: reshape(g, old)), shares=x)


def permute(x: Operand, *axes: Any) -> Tensor:
    """Axis i of the result is axis ``axes[i]`` of x.  x̄ = ḡ permuted back."""
    x = as_tensor(x)
    order = tuple(axis_of("permute", axis, x.shape) for axis in _sequence(axes))
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"permute: {order} is not an order of the {x.ndim} axes of {x.shape}")
    inverse = tuple(sorted(range(len(order)), key=order.__getitem__))
    return record(x.data.transpose(order), (x, lambda g: permute(g, inverse)), shares=x)


def transpose(x: Operand, axis0: int, axis1: int) -> Tensor:
    """x with two axes exchanged."""
    x = as_tensor(x)
    axis0, axis1 = (axis_of("transpose", axis, x.shape) for axis in (axis0, axis1))
    value = x.data.swapaxes(axis0, axis1)
    return record(value, (x, lambda g: transpose(g, axis0, axis1)), shares=x)


def rows(x: Tensor) -> Tensor:
    """(N, C, H, W) as a matrix (N·H·W, C), a row per pixel; a view of channels-last memory."""
    return reshape(permute(x, 0, 2, 3, 1), -1, x.shape[1])


def unrows(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of :func:`rows`: a matrix (N·H·W, C) as ``shape`` (N, C, H, W)."""
    n, c, h, w = shape
    return permute(reshape(x, n, h, w, c), 0, 3, 1, 2)


def getitem(x: Tensor, index: Any) -> Tensor:
    """z = x[index], with slices, integers, integer arrays and boolean masks.  x̄ = scatter(ḡ)."""
    x, index = as_tensor(x), _arrays(index)
    shape, basic = x.shape, _is_basic(index)
    value = x.data[index]
    return record(value, (x, lambda g: scatter(g, index, shape)), shares=x if basic else None)


def scatter(x: Operand, index: Any, shape: Sequence[int]) -> Tensor:
    """Zeros of ``shape`` with x added at ``index``, repeated indices adding up.  x̄ = ḡ[index]."""
    x, index = as_tensor(x), _arrays(index)
    value = backend.xp.zeros(tuple(shape), x.dtype)
    if _is_basic(index):
        value[index] = x.data
    else:
        backend.xp.add.at(value, index, x.data)
    return record(value, (x, lambda g: getitem(g, index)))


def concatenate(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """The tensors one after the other along ``axis``.  Each one's gradient is its slice of ḡ."""
    parts = [as_tensor(t) for t in tensors]
    if not parts:
        raise ValueError("concatenate: expected at least one tensor")
    first = parts[0]
    axis = axis_of("concatenate", axis, first.shape)
    for t in parts:
        if t.dtype != first.dtype:
            raise TypeError(f"concatenate: tensors of two dtypes, {first.dtype} and {t.dtype}")
    if len({(t.ndim, *t.shape[:axis], *t.shape[axis + 1 :]) for t in parts}) > 1:
        shapes = ", ".join(str(t.shape) for t in parts)
        raise ValueError(f"concatenate: {shapes} differ outside of axis {axis}")

    edges, start = [], 0
    for t in parts:
        window = (slice(None),) * axis + (slice(start, start + t.shape[axis]),)
        edges.append((t, lambda g, window: getitem(g, window), window))
        start += t.shape[axis]
    return record(backend.xp.concatenate([t.data for t in parts], axis=axis), *edges)


def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    parts = [as_tensor(t) for t in tensors]
    if len({t.shape for t in parts}) > 1:
        raise ValueError(f"stack: shapes differ: {', '.join(str(t.shape) for t in parts)}")
    axis = axis_of("stack", axis, (*parts[0].shape, 1)) if parts else axis
    grown = [reshape(t, *t.shape[:axis], 1, *t.shape[axis:]) for t in parts]
    return concatenate(grown, axis)


def pad(x: Operand, pad: Sequence[int], *, value: float = 0.0) -> Tensor:
    """Surround x by ``value``.  x̄ = the inner window of ḡ.

    ``pad`` is PyTorch's: (before, after) of the last axis, then of the one before it, and so on.
    """
    x = as_tensor(x)
    if len(pad) % 2 or len(pad) > 2 * x.ndim or min(pad, default=0) < 0:
        raise ValueError(
            "pad: expected (before, after) >= 0 for the last axis, then for the one before it, "
            f"at most {2 * x.ndim} numbers for x {x.shape}; got {tuple(pad)}"
        )
    widths = [(0, 0)] * (x.ndim - len(pad) // 2)
    widths += [(pad[i], pad[i + 1]) for i in reversed(range(0, len(pad), 2))]
    inner = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
    value = number("pad", "value", value, "[-inf, inf]")
    padded = backend.xp.pad(x.data, widths, constant_values=value)
    return record(padded, (x, lambda g: getitem(g, inner)))


def _sequence(values: tuple[Any, ...]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = tuple(values[0])
    return tuple(operator.index(v) for v in values)


def axis_of(op: str, axis: int, shape: Sequence[int]) -> int:
    """``axis`` counted from 0; ValueError where ``shape`` has no such axis."""
    i, ndim = operator.index(axis), len(shape)
    if not -ndim <= i < ndim:
        raise ValueError(f"{op}: axis {i} does not exist in shape {tuple(shape)}")
    return i % ndim


def _arrays(index: Any) -> Any:
    """An index whose Tensors, lists and arrays are copied to arrays of the current backend."""
    if isinstance(index, tuple):
        return tuple(_arrays(i) for i in index)
    if isinstance(index, (Tensor, list, numpy.ndarray)):
        array = backend.xp.array(index.data if isinstance(index, Tensor) else index)
        # An empty list has no numbers to tell by that they are integers.
        return array.astype("int64") if isinstance(index, list) and not array.size else array
    return index


#: What makes a view of an array, in which no entry can appear twice.
BASIC = (slice, int, numpy.integer, type(None), type(Ellipsis))


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, BASIC) and not isinstance(i, bool) for i in parts)
