"""Operations that reduce axes. ``axis`` and ``keepdims`` mean what they mean in NumPy.

The VJP of a reduction spreads ḡ back over the reduced axes: with keepdims restored, that is a
broadcast, followed by whatever weight each entry had.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy

from minigan import backend, fused
from minigan.arguments import integer
from minigan.autograd import OUTPUT, Operand, Tensor, as_tensor, record
from minigan.backend import Array
from minigan.ops.elementwise import _float, gate, where
from minigan.ops.shape import axis_of, broadcast_to, reshape, to

__all__ = [
    "argmax", "log_softmax", "logsumexp", "max", "mean", "min", "norm", "softmax", "std", "sum",
    "var",
]  # fmt: skip

Axis = int | Sequence[int] | None
Axes = tuple[int, ...]
Reduction = TypeVar("Reduction", bound=Callable[..., Tensor])


def _on_the_way(reduction: Reduction) -> Reduction:
    """z is asked for, and what is too small or too large on the way to it is no mistake.

    What underflows is 0, whatever ``numpy.errstate`` says. float16, whose numbers end at 65,504,
    is reduced in float32.
    """

    @functools.wraps(reduction)
    @numpy.errstate(under="ignore")
    def apply(x: Operand, *args: Any, **kwargs: Any) -> Tensor:
        x = as_tensor(x)
        if x.data.dtype != "float16":
            return reduction(x, *args, **kwargs)
        return to(reduction(to(x, "float32"), *args, **kwargs), "float16")

    return cast(Reduction, apply)


def _axes(op: str, x: Tensor, axis: Axis) -> Axes:
    """The reduced axes, all of them for None, as indices from 0."""
    if axis is None:
        return tuple(range(x.ndim))
    several = axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple(axis_of(op, i, x.shape) for i in several)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: an axis appears twice in {axis}")
    return axes


def _count(op: str, x: Tensor, axes: Axes) -> int:
    """How many entries are reduced into one; none at all is an error."""
    count = math.prod(x.shape[i] for i in axes)
    if count == 0:
        raise ValueError(f"{op}: there is nothing to reduce in shape {x.shape}")
    return count


def _floats(op: str, x: Operand, axis: Axis) -> tuple[Tensor, Any, int]:
    """x as a Tensor of floats, the axes, and how many entries are reduced into one."""
    x = _float(op, x)
    axes = _axes(op, x, axis)
    return x, axes, _count(op, x, axes)


def _cut(value: Array, axes: Axes, keepdims: bool) -> Array:
    """The reduced axes, of length 1, are left out unless they are kept."""
    return value if keepdims else value.squeeze(axis=axes)


def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = Σ x over ``axis``.  x̄ = ḡ, broadcast back."""
    x = as_tensor(x)
    axes = _axes("sum", x, axis)
    shape, kept = x.shape, tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    value = fused.total(x.data, axes, keepdims)
    return record(value, (x, lambda g: broadcast_to(reshape(g, kept), shape)))


@_on_the_way
def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = (1/m) Σ x over the m entries of ``axis``."""
    x, _, count = _floats("mean", x, axis)
    return sum(x, axis, keepdims) / count


@_on_the_way
def var(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = (1/m) Σ (x − mean x)²: the population variance, the one that batch norm uses."""
    x = _float("var", x)
    centred = x - mean(x, axis, keepdims=True)
    return mean(centred * centred, axis, keepdims)


@_on_the_way
def norm(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = √Σ x², the Euclidean length over ``axis``.  x̄ = ḡ·x/z, and 0 where z = 0."""
    x = _float("norm", x)
    axes = _axes("norm", x, axis)
    value = backend.xp.sqrt(fused.total(x.data * x.data, axes, keepdims=True))
    kept = value.shape

    def vjp(g: Tensor, x: Tensor, z: Tensor) -> Tensor:
        z = reshape(z, kept)
        return x * (reshape(g, kept) / where(z == 0.0, math.inf, z))

    return record(_cut(value, axes, keepdims), (x, vjp, x, OUTPUT))


@_on_the_way
def std(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = √var x, the population's like :func:`var`; PyTorch divides by m − 1 unless asked not to.

    x̄ = ḡ·(x − mean x)/(m·z), and 0 where z = 0.
    """
    x, _, count = _floats("std", x, axis)
    return norm(x - mean(x, axis, keepdims=True), axis, keepdims) / math.sqrt(count)


def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = max x over ``axis``.  ḡ goes to the largest entry, in equal shares where several tie."""
    x, axes, kept, value = _extreme("max", x, axis, keepdims)
    return record(value, (x, lambda g, x, z: _shared(g, x, z, axes, kept), x, OUTPUT))


def min(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = min x over ``axis``.  ḡ goes to the smallest entry, in equal shares where several tie."""
    x, axes, kept, value = _extreme("min", x, axis, keepdims)
    return record(value, (x, lambda g, x, z: _shared(g, x, z, axes, kept), x, OUTPUT))


def _extreme(op: str, x: Operand, axis: Axis, keepdims: bool) -> tuple[Tensor, Axes, Axes, Array]:
    """x, the reduced axes, the shape with 1 in their place, and the largest or smallest entries."""
    x = as_tensor(x)
    axes = _axes(op, x, axis)
    _count(op, x, axes)
    value = getattr(x.data, op)(axis=axes, keepdims=True)
    return x, axes, value.shape, _cut(value, axes, keepdims)


def _shared(g: Tensor, x: Tensor, top: Tensor, axes: Axes, kept: Axes) -> Tensor:
    """ḡ/n for each of the n entries that equal the extreme one, 0 for the others."""
    best = top.data.reshape(kept)
    same = (x.data == best) | (best != best)  # where NaN is the top, all of them
    hit = Tensor(same.astype(x.dtype))
    count = Tensor(hit.data.sum(axis=axes, keepdims=True))
    return gate(broadcast_to(reshape(g, kept) / count, x.shape), hit, 0.0)


def argmax(x: Operand, axis: int | None = None) -> Tensor:
    """The place of the largest entry along ``axis``, the first of several: int64, no gradient.

    Without an axis, the place among all entries in row-major order.
    """
    x = as_tensor(x)
    axis = None if axis is None else integer("argmax", "axis", axis)
    _count("argmax", x, _axes("argmax", x, axis))
    return Tensor(backend.checked(x.data.argmax(axis=axis)).astype("int64", copy=False))


@_on_the_way
def logsumexp(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = log Σ eˣ = t + log Σ eˣ⁻ᵗ with t = max x, so that no exponent is positive.

    The largest finite number stands for an infinite t.  x̄ = ḡ · softmax(x).
    """
    x, axes, _ = _floats("logsumexp", x, axis)
    xp, large = backend.xp, float(numpy.finfo(x.dtype).max)
    top = x.data.max(axis=axes, keepdims=True).clip(-large, large)
    with numpy.errstate(over="ignore", divide="ignore"):  # x far below t; log 0 = −∞
        value = xp.log(fused.total(xp.exp(x.data - top), axes, keepdims=True)) + top
    kept, value = value.shape, _cut(value, axes, keepdims)
    return record(value, (x, lambda g, x: reshape(g, kept) * _softmax(x, axes, top), x))


@_on_the_way
def log_softmax(x: Operand, axis: Axis = -1) -> Tensor:
    """z = x − log Σ eˣ along ``axis``.  x̄ = ḡ − softmax(x)·Σ ḡ."""
    x, axes, _ = _floats("log_softmax", x, axis)
    value = x.data - x.data.max(axis=axes, keepdims=True)
    value -= backend.xp.log(fused.total(backend.xp.exp(value), axes, keepdims=True))
    return record(value, (x, lambda g, x: g - softmax(x, axes) * sum(g, axes, keepdims=True), x))


@_on_the_way
def softmax(x: Operand, axis: Axis = -1) -> Tensor:
    """z = eˣ / Σ eˣ along ``axis``.  x̄ = z·(ḡ − Σ ḡ·z)."""
    x, axes, _ = _floats("softmax", x, axis)
    return _softmax(x, axes, x.data.max(axis=axes, keepdims=True))


def _softmax(x: Tensor, axes: Axes, top: Array) -> Tensor:
    """softmax(x), computed from x − ``top``."""
    with numpy.errstate(under="ignore", over="ignore"):  # x below the top, and far below it
        e = backend.xp.exp(x.data - top)
        value = e / fused.total(e, axes, keepdims=True)
    return record(value, (x, lambda g, z: z * (g - sum(g * z, axes, keepdims=True)), OUTPUT))
