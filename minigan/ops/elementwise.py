"""Operations that act entry by entry: z_i = f(x_i, y_i), so x̄_i = ḡ_i · ∂f/∂x_i.

Operands of two shapes are broadcast by NumPy's rules; a broadcast operand's gradient is summed back
by the adjoint of :func:`~minigan.ops.shape.broadcast_to`. Two dtypes in one operation are a
TypeError; Python numbers take the dtype of the tensor they meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from minigan import backend, fused
from minigan.arguments import number
from minigan.autograd import OUTPUT, Operand, Tensor, as_tensor, is_recording, record
from minigan.ops.shape import broadcast_to, to

__all__ = [
    "abs", "add", "clip", "div", "exp", "leaky_relu", "log", "log_sigmoid", "maximum", "minimum",
    "mul", "neg", "pow", "relu", "sigmoid", "softplus", "sqrt", "sub", "tanh", "where",
]  # fmt: skip


#: What may meet a Tensor as a number, in the Tensor's dtype.
NUMBERS = (bool, int, float, numpy.bool, numpy.integer, numpy.floating)


def _pair(op: str, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """Both operands as Tensors of one dtype, broadcast to one shape where a gradient needs it.

    One of them may be a number and stays one: array libraries take it as it is, without an array.
    """
    if not isinstance(x, Tensor) and isinstance(x, NUMBERS):
        y, x = _meet(y, x)
    elif not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        x, y = _meet(x, y)
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        return x, y
    if x._data.dtype != y._data.dtype:
        raise TypeError(
            f"{op}: operands of two dtypes, {x.dtype} {x.shape} and {y.dtype} {y.shape}; "
            "convert one with .to(dtype)"
        )
    if x._data.shape != y._data.shape:
        try:
            shape = numpy.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            raise ValueError(f"{op}: shapes {x.shape} and {y.shape} do not broadcast") from None
        if is_recording():  # constants are left to the array library, which broadcasts for free
            x, y = (broadcast_to(t, shape) if t.requires_grad else t for t in (x, y))
    return x, y


def _meet(x: Operand, other: Operand) -> tuple[Tensor, Operand]:
    """``x`` as a Tensor and what it meets: arrays keep their dtype, numbers take that of x."""
    x = as_tensor(x)
    if not isinstance(other, NUMBERS):
        return x, as_tensor(other)
    if isinstance(other, numpy.generic):
        other = float(other) if isinstance(other, numpy.floating) else other.item()
    if x.dtype.kind != "f" and isinstance(other, float):
        x = to(x, "float32")
    if x.dtype.kind in "bu" and not isinstance(other, bool):
        x = to(x, "int64")  # −1 is no uint8, and 2 is no bool
    return x, other


def _raw(x: Operand) -> Any:
    """The operand as the array library takes it."""
    return x._data if isinstance(x, Tensor) else x


def _float(op: str, x: Operand) -> Tensor:
    """``x`` as a Tensor of floats; a calculus on integers is a mistake, so TypeError."""
    x = as_tensor(x)
    if x.data.dtype.kind != "f":
        raise TypeError(f"{op}: expected a float tensor, got {x.dtype}; convert it with .to()")
    return x


def add(x: Operand, y: Operand) -> Tensor:
    """z = x + y.  x̄ = ḡ, ȳ = ḡ."""
    x, y = _pair("add", x, y)
    return record(backend.xp.add(_raw(x), _raw(y)), (x, lambda g: g), (y, lambda g: g))


def sub(x: Operand, y: Operand) -> Tensor:
    """z = x − y.  x̄ = ḡ, ȳ = −ḡ."""
    x, y = _pair("sub", x, y)
    return record(backend.xp.subtract(_raw(x), _raw(y)), (x, lambda g: g), (y, lambda g: -g))


def mul(x: Operand, y: Operand) -> Tensor:
    """z = x · y.  x̄ = ḡ·y, ȳ = ḡ·x."""
    x, y = _pair("mul", x, y)
    return record(
        backend.xp.multiply(_raw(x), _raw(y)),
        (x, lambda g, y: g * y, y),
        (y, lambda g, x: g * x, x),
    )


def div(x: Operand, y: Operand) -> Tensor:
    """z = x / y.  x̄ = ḡ/y, ȳ = −ḡ·z/y. Integers are divided in float32."""
    x, y = _pair("div", x, y)
    (kind,) = {t.dtype.kind for t in (x, y) if isinstance(t, Tensor)}
    dtype = None if kind == "f" else "float32"
    return record(
        backend.xp.divide(_raw(x), _raw(y), dtype=dtype),
        (x, lambda g, y: g / y, y),
        (y, lambda g, y, z: -g * z / y, y, OUTPUT),
    )


def neg(x: Operand) -> Tensor:
    """z = −x.  x̄ = −ḡ."""
    x = as_tensor(x)
    if x.data.dtype.kind == "b":
        raise TypeError("neg: a boolean tensor has no negative; ~x exchanges True and False")
    return record(backend.xp.negative(x.data), (x, lambda g: -g))


def pow(x: Operand, exponent: float) -> Tensor:
    """z = xⁿ for a number n.  x̄ = ḡ·n·xⁿ⁻¹ (and 0 for n = 0, at x = 0 too)."""
    x = as_tensor(x)
    if not isinstance(exponent, (int, float, numpy.integer, numpy.floating)):
        raise TypeError(f"pow: the exponent must be a Python number, got {type(exponent).__name__}")
    exponent = int(exponent) if isinstance(exponent, (int, numpy.integer)) else float(exponent)
    if x.dtype.kind != "f" and (isinstance(exponent, float) or exponent < 0):
        x = to(x, "float32")
    value = x.data * x.data if exponent == 2 else x.data**exponent
    if exponent == 0:
        return record(value, (x, lambda g: Tensor(backend.xp.zeros(g.shape, g.dtype))))
    return record(value, (x, lambda g, x: g * (x ** (exponent - 1) * exponent), x))


def exp(x: Operand) -> Tensor:
    """z = eˣ.  x̄ = ḡ·z."""
    x = _float("exp", x)
    return record(backend.xp.exp(x.data), (x, lambda g, z: g * z, OUTPUT))


def log(x: Operand) -> Tensor:
    """z = ln x.  x̄ = ḡ/x."""
    x = _float("log", x)
    return record(backend.xp.log(x.data), (x, lambda g, x: g / x, x))


def sqrt(x: Operand) -> Tensor:
    """z = √x.  x̄ = ḡ/(2z)."""
    x = _float("sqrt", x)
    return record(backend.xp.sqrt(x.data), (x, lambda g, z: g / (z * 2.0), OUTPUT))


def abs(x: Operand) -> Tensor:
    """z = |x|.  x̄ = ḡ where x > 0, −ḡ where x < 0, and 0 at x = 0."""
    x = as_tensor(x)
    return record(backend.xp.abs(x.data), (x, lambda g, x: gate(g, x, 0.0) - gate(g, -x, 0.0), x))


def tanh(x: Operand) -> Tensor:
    """z = tanh x.  x̄ = ḡ·(1 − z²)."""
    x = _float("tanh", x)
    return record(backend.xp.tanh(x.data), (x, lambda g, z: g * (1.0 - z * z), OUTPUT))


def sigmoid(x: Operand) -> Tensor:
    """z = σ(x) = 1/(1 + e⁻ˣ) = e^min(x, 0) / (1 + e^−|x|).  x̄ = ḡ·z·(1 − z).

    No exponent is positive, so nothing overflows, and the lower tail keeps its relative accuracy.
    """
    x = _float("sigmoid", x)
    return record(fused.sigmoid(x.data), (x, lambda g, z: g * (z * (1.0 - z)), OUTPUT))


def softplus(x: Operand) -> Tensor:
    """z = log(1 + eˣ) = max(x, 0) + log1p(e^−|x|), finite for every finite x.  x̄ = ḡ·σ(x)."""
    x = _float("softplus", x)
    return record(fused.softplus(x.data), (x, lambda g, x: g * sigmoid(x), x))


def log_sigmoid(x: Operand) -> Tensor:
    """z = log σ(x) = −softplus(−x)."""
    return -softplus(-as_tensor(x))


def relu(x: Operand) -> Tensor:
    """z = max(x, 0).  x̄ = ḡ where x > 0, else 0 (at x = 0 too, as in PyTorch)."""
    x = _float("relu", x)
    return record(backend.xp.maximum(x.data, 0), (x, lambda g, x: gate(g, x, 0.0), x))


def gate(g: Tensor, x: Tensor, slope: float) -> Tensor:
    """g where x > 0, else slope·g: linear in g and its own adjoint.

    With a slope of 0, what is not passed on is 0, also where g is infinite or NaN.
    """
    if slope:
        value = fused.gate(g.data, x.data, slope, 1.0 - slope)
    elif g.dtype.itemsize > 8:  # a long double, for whose bits there is no integer
        value = backend.xp.where(x.data > 0, g.data, 0)
    else:
        value = fused.gate_relu(g.data, x.data)
    return record(value, (g, lambda h, x: gate(h, x, slope), x))


def leaky_relu(x: Operand, negative_slope: float = 0.01) -> Tensor:
    """z = x where x > 0, else a·x, with the number a = ``negative_slope``.  x̄ = ḡ·(1 or a)."""
    x = _float("leaky_relu", x)
    negative_slope = number("leaky_relu", "negative_slope", negative_slope)
    if not negative_slope:  # ∞·0 would be NaN
        return relu(x)
    value = x.data * negative_slope
    pick = backend.xp.maximum if negative_slope <= 1 else backend.xp.minimum
    value = pick(x.data, value, out=value if x.ndim else None)  # 0-d: a scalar, no array
    return record(value, (x, lambda g, x: gate(g, x, negative_slope), x))


def maximum(x: Operand, y: Operand) -> Tensor:
    """z = max(x, y).  ḡ goes to the larger one, half to each where they are equal."""
    x, y = _pair("maximum", x, y)
    return record(
        backend.xp.maximum(_raw(x), _raw(y)),
        (x, lambda g, x, y: _where_larger(g, x, y), x, y),
        (y, lambda g, x, y: _where_larger(g, y, x), x, y),
    )


def minimum(x: Operand, y: Operand) -> Tensor:
    """z = min(x, y).  ḡ goes to the smaller one, half to each where they are equal."""
    x, y = _pair("minimum", x, y)
    return record(
        backend.xp.minimum(_raw(x), _raw(y)),
        (x, lambda g, x, y: _where_larger(g, y, x), x, y),
        (y, lambda g, x, y: _where_larger(g, x, y), x, y),
    )


def _where_larger(g: Tensor, x: Operand, y: Operand) -> Tensor:
    """ḡ where x > y, ½ḡ where x = y, 0 where x < y."""
    a, b = _raw(x), _raw(y)
    return where(Tensor(a > b), g, where(Tensor(a == b), g * 0.5, 0.0))


def clip(x: Operand, low: float | None, high: float | None) -> Tensor:
    """z = min(max(x, low), high); None is no bound.  x̄ = ḡ where low ≤ x ≤ high, else 0."""
    x = _float("clip", x)
    low = number("clip", "low", -math.inf if low is None else low, "[-inf, inf]")
    high = number("clip", "high", math.inf if high is None else high, "[-inf, inf]")
    if low > high:
        raise ValueError(f"clip: low {low:g} is above high {high:g}")
    return record(
        backend.xp.clip(x.data, low, high),
        (x, lambda g, x: where(Tensor((x.data >= low) & (x.data <= high)), g, 0.0), x),
    )


def where(condition: Operand, x: Operand, y: Operand) -> Tensor:
    """z = x where the boolean ``condition`` holds, else y.  ḡ goes to whichever was taken."""
    condition = as_tensor(condition)
    if condition.dtype.kind != "b":
        raise TypeError(f"where: the condition must be boolean, got {condition.dtype}")
    x, y = _pair("where", x, y)
    (dtype,) = {t.dtype for t in (x, y) if isinstance(t, Tensor)}
    x, y = (  # a library's where and full may take an integer of any size, and cut it down
        t if isinstance(t, Tensor) else Tensor(backend.xp.full((), dtype.type(t).item(), dtype))
        for t in (x, y)
    )
    shape = numpy.broadcast_shapes(condition.shape, x.shape, y.shape)
    x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    return record(
        backend.xp.where(condition.data, x.data, y.data),
        (x, lambda g, condition: where(condition, g, 0.0), condition),
        (y, lambda g, condition: where(condition, 0.0, g), condition),
    )


def comparison(ufunc: str) -> Callable[[Tensor, Operand], Tensor]:
    """The comparison or bitwise operation that NumPy calls ``ufunc``, for Tensors.

    The result has no gradient. With what is no number, array or list, it is Python's own answer:
    ``x == None`` is False.
    """

    def compare(x: Operand, y: Operand) -> Tensor:
        if not (isinstance(y, (Tensor, list, tuple, *NUMBERS)) or hasattr(y, "dtype")):
            return NotImplemented  # type: ignore[no-any-return]
        x, y = _pair(ufunc, x, y)
        return record(getattr(backend.xp, ufunc)(_raw(x), _raw(y)))

    return compare
