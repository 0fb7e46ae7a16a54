"""Matrix products. Z = X Y gives X̄ = Ḡ Yᵀ and Ȳ = Xᵀ Ḡ: products again, so closed at any order."""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.autograd import Operand, Tensor, as_tensor, record
from minigan.ops.shape import broadcast_to, reshape, transpose

__all__ = ["linear", "matmul"]


def matmul(x: Operand, y: Operand) -> Tensor:
    """Z = X Y over the last two axes, leading axes broadcast; 1-D operands as in NumPy.

    X (..., m, k), Y (..., k, n) → Z (..., m, n).  X̄ = Ḡ Yᵀ, Ȳ = Xᵀ Ḡ.
    """
    x, y = as_tensor(x), as_tensor(y)
    if x.dtype != y.dtype:
        raise TypeError(f"matmul: operands of two dtypes, {x.dtype} and {y.dtype}")
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"matmul: a 0-d operand ({x.shape} @ {y.shape}); use * instead")
    if x.ndim == 1 or y.ndim == 1:
        z = matmul(x if x.ndim > 1 else reshape(x, 1, -1), y if y.ndim > 1 else reshape(y, -1, 1))
        rows = z.shape[:-1] if x.ndim > 1 else z.shape[:-2]
        return reshape(z, rows + (z.shape[-1:] if y.ndim > 1 else ()))
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(
            f"matmul: {x.shape[-1]} columns meet {y.shape[-2]} rows ({x.shape} @ {y.shape})"
        )
    if x.shape[:-2] != y.shape[:-2]:
        try:
            lead = numpy.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        except ValueError:
            raise ValueError(f"matmul: {x.shape} @ {y.shape} do not broadcast") from None
        x = broadcast_to(x, lead + x.shape[-2:])
        y = broadcast_to(y, lead + y.shape[-2:])
    return record(
        backend.xp.matmul(x.data, y.data),
        (x, lambda g, y: matmul(g, transpose(y, -1, -2)), y),
        (y, lambda g, x: matmul(transpose(x, -1, -2), g), x),
    )


def operands(
    x: Operand, weight: Operand, bias: Operand | None
) -> tuple[Tensor, Tensor, Tensor | None, str]:
    """A layer's input, weight and bias as Tensors, and their shapes for its error messages."""
    x, weight, bias = as_tensor(x), as_tensor(weight), None if bias is None else as_tensor(bias)
    last = "" if bias is None else f", bias {bias.shape}"
    return x, weight, bias, f"(x {x.shape}, weight {weight.shape}{last})"


def check_layer(
    op: str, n: int, what: str, x: Tensor, weight: Tensor, bias: Any, inside: int, given: str
) -> None:
    """Errors unless weight's axis ``inside`` has n entries, bias as many as its other, all a dtype.

    ``what`` says what the n are of.
    """
    if n != weight.shape[inside]:
        raise ValueError(f"{op}: x has {n} {what}, weight expects {weight.shape[inside]} {given}")
    for t in (weight, bias):
        if t is not None and t.dtype != x.dtype:
            raise TypeError(f"{op}: x is {x.dtype} but a parameter is {t.dtype} {given}")
    if bias is not None and bias.shape != (weight.shape[1 - inside],):
        raise ValueError(f"{op}: bias must have {weight.shape[1 - inside]} entries {given}")


def linear(x: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """Y = X Wᵀ + b, the dense (fully connected) layer.

    X (..., in), W (out, in), b (out,) → Y (..., out).

    X̄ = Ḡ W, W̄ = Ḡᵀ X, b̄ = Σ ḡ over all but the last axis.
    """
    x, weight, bias, given = operands(x, weight, bias)
    if weight.ndim != 2 or x.ndim < 1:
        raise ValueError(f"linear: expected x (..., in) and weight (out, in), got {given}")
    check_layer("linear", x.shape[-1], "features", x, weight, bias, 1, given)
    if x.ndim != 2:
        y = linear(reshape(x, -1, x.shape[-1]), weight, bias)
        return reshape(y, *x.shape[:-1], weight.shape[0])
    value = backend.xp.matmul(x.data, weight.data.T)
    if bias is not None:
        value += bias.data
    return record(
        value,
        (x, lambda g, weight: matmul(g, weight), weight),
        (weight, lambda g, x: matmul(transpose(g, 0, 1), x), x),
        (bias, lambda g: g.sum(axis=0)),
    )
