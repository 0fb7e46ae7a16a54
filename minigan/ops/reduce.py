"""Operations that reduce axes. ``axis`` and ``keepdims`` mean what they mean in NumPy.

The VJP of a reduction spreads ḡ back over the reduced axes: with keepdims restored, that is a
broadcast, followed by whatever weight each entry had.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from minigan import backend, fused
from minigan.autograd import Operand, Tensor, as_tensor, record
from minigan.ops.elementwise import _float, gate
from minigan.ops.shape import broadcast_to, reshape

__all__ = ["log_softmax", "logsumexp", "max", "mean", "softmax", "sum", "var"]

Axis = int | Sequence[int] | None


def _axes(op: str, x: Tensor, axis: Axis) -> tuple[int, ...]:
    """The reduced axes, all of them for None, as indices from 0."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = tuple(axis) if isinstance(axis, Sequence) else (operator.index(axis),)
    for i in axes:
        if not -x.ndim <= i < x.ndim:
            raise ValueError(f"{op}: axis {i} does not exist in shape {x.shape}")
    axes = tuple(i % x.ndim for i in axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: an axis appears twice in {axis}")
    return axes


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with 1 in place of each reduced axis."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _count(op: str, x: Tensor, axes: tuple[int, ...]) -> int:
    """How many entries are reduced into one; none at all is an error."""
    count = math.prod(x.shape[i] for i in axes)
    if count == 0:
        raise ValueError(f"{op}: there is nothing to reduce in shape {x.shape}")
    return count


def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = Σ x over ``axis``.  x̄ = ḡ, broadcast back."""
    x = as_tensor(x)
    axes = _axes("sum", x, axis)
    shape, kept = x.shape, _kept(x.shape, axes)
    value = fused.total(x.data, axes, keepdims)
    return record(value, (x, lambda g: broadcast_to(reshape(g, kept), shape)))


def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = (1/m) Σ x over the m entries of ``axis``."""
    x = _float("mean", x)
    return sum(x, axis, keepdims) / _count("mean", x, _axes("mean", x, axis))


def var(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = (1/m) Σ (x − mean x)²: the population variance, the one that batch norm uses."""
    x = _float("var", x)
    centred = x - mean(x, axis, keepdims=True)
    return mean(centred * centred, axis, keepdims)


def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = max x over ``axis``.  ḡ goes to the largest entry, in equal shares where several tie."""
    x = as_tensor(x)
    axes = _axes("max", x, axis)
    _count("max", x, axes)
    top = x.data.max(axis=axes, keepdims=True)
    kept = top.shape
    value = top if keepdims else top.squeeze(axis=axes)
    return record(
        value,
        (x, lambda g, z: _shared(reshape(g, kept), x, reshape(z, kept), axes)),
    )


def _shared(g: Tensor, x: Tensor, top: Tensor, axes: tuple[int, ...]) -> Tensor:
    """ḡ/n for each of the n entries that equal the largest one, 0 for the others."""
    hit = Tensor((x.data == top.data).astype(x.dtype))
    count = Tensor(hit.data.sum(axis=axes, keepdims=True))
    return gate(broadcast_to(g / count, x.shape), hit, 0.0)


def logsumexp(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """z = log Σ eˣ = t + log Σ eˣ⁻ᵗ with t = max x, so that no exponent is positive.

    x̄ = ḡ · softmax(x), for which see :func:`softmax`.
    """
    x = _float("logsumexp", x)
    axes = _axes("logsumexp", x, axis)
    _count("logsumexp", x, axes)
    top = x.data.max(axis=axes, keepdims=True)
    value = backend.xp.exp(x.data - top)
    value = backend.xp.log(fused.total(value, axes, keepdims=True)) + top
    kept = value.shape
    if not keepdims:
        value = value.squeeze(axis=axes)
    return record(value, (x, lambda g: reshape(g, kept) * softmax(x, axes)))


def log_softmax(x: Operand, axis: Axis = -1) -> Tensor:
    """z = x − log Σ eˣ along ``axis``."""
    x = _float("log_softmax", x)
    return x - logsumexp(x, axis, keepdims=True)


def softmax(x: Operand, axis: Axis = -1) -> Tensor:
    """z = eˣ / Σ eˣ along ``axis``.  x̄ = z·(ḡ − Σ ḡ·z)."""
    x = _float("softmax", x)
    axes: Any = _axes("softmax", x, axis)
    e = backend.xp.exp(x.data - x.data.max(axis=axes, keepdims=True))
    value = e / fused.total(e, axes, keepdims=True)
    return record(value, (x, lambda g, z: z * (g - sum(g * z, axes, keepdims=True))))
