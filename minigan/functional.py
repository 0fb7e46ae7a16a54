"""The public face of the operations, and what neural networks build from them.

``minigan.functional`` holds every primitive of :mod:`minigan.ops` under one roof, the compositions
below, and the table that gives Tensors their operators and methods.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend, fused
from minigan.arguments import number
from minigan.autograd import Operand, Tensor, as_tensor, record
from minigan.backend import Array
from minigan.ops import conv, elementwise, linalg, reduce, shape
from minigan.ops.conv import *
from minigan.ops.elementwise import *
from minigan.ops.elementwise import _float, gate
from minigan.ops.linalg import *
from minigan.ops.reduce import *
from minigan.ops.shape import *
from minigan.ops.shape import rows, unrows

__all__ = [
    "batch_norm", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "embedding",
]  # fmt: skip
__all__ += conv.__all__
__all__ += elementwise.__all__
__all__ += linalg.__all__
__all__ += reduce.__all__
__all__ += shape.__all__


def embedding(indices: Any, weight: Operand) -> Tensor:
    """Row ``indices[i]`` of ``weight`` (n, d) for each index: shape (*indices.shape, d)."""
    weight = as_tensor(weight)
    return getitem(weight, _indices("embedding: indices", indices, weight.shape[0]))


def _indices(what: str, values: Any, n: int) -> Tensor:
    """Integers in 0..n−1 as a Tensor; checked on the host, to which a Tensor's are copied."""
    host = numpy.asarray(values.numpy() if isinstance(values, Tensor) else values)
    if host.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers, got {host.dtype}")
    if host.size and not (host.min() >= 0 and host.max() < n):
        raise ValueError(f"{what} must lie in 0..{n - 1}, got {host.min()}..{host.max()}")
    return as_tensor(values)


def dropout(x: Operand, p: float = 0.5, training: bool = True) -> Tensor:
    """While training, zero each entry with probability p and scale the others by 1/(1 − p).

    The scale keeps the expectation, so that nothing has to be scaled afterwards (Srivastava et al.
    2014, section 10). Masks come from the host's "dropout" stream. Outside of training, x itself.
    """
    x, p = _float("dropout", x), number("dropout", "p", p, "[0, 1)")
    if not training or p == 0.0:
        return x
    keep = backend.stream("dropout").random(x.shape, dtype="float32") >= p
    return _dropped(x, Tensor(backend.asarray(keep.astype(x.dtype))), 1.0 / (1.0 - p))


def _dropped(x: Tensor, keep: Tensor, scale: float) -> Tensor:
    """scale·x where keep is 1, 0 where it is 0: linear in x and its own adjoint."""
    value = fused.drop(x.data, keep.data, scale)
    return record(value, (x, lambda g: _dropped(g, keep, scale)))


def standardise(x: Tensor, x_hat: Array, scale: Array) -> Tensor:
    """x̂ = (x − μ)·s, s = (σ² + ε)^−½, computed already for each column of x (M, C), as a Tensor.

    μ and σ² depend on x, which makes x̄ a projection of s·ḡ, for which see :func:`project`. For
    derivatives of higher order, x̂ is the op's own output and stays in the graph, and s enters as a
    function of x, with ∂s/∂x = −s²·x̂/M.
    """

    def vjp(g: Tensor, x_hat: Tensor) -> Tensor:
        s = record(scale, (x, lambda h, s: affine(x_hat, h * s * s * (-1.0 / len(x)))))
        return project(g, x_hat, s)

    return record(x_hat, (x, vjp))


def project(g: Tensor, x_hat: Tensor, s: Tensor) -> Tensor:
    """p = s·(g − mean g − x̂·mean(g·x̂)) per column: g without its parts along 1 and x̂, times s.

    It is batch norm's x̄ for the incoming g (Ioffe & Szegedy 2015, section 3, collected), and its
    own adjoint in g.  x̂-bar = −s·(p̄·mean(g·x̂) + g·mean(p̄·x̂)),  s̄ = Σ p̄·p / s.
    """
    count = len(g)
    along_1, along_x = sum(g, 0).data / count, inner(g, x_hat).data / count
    return record(
        fused.project(g.data, x_hat.data, along_x, along_1, s.data),
        (g, lambda h: project(h, x_hat, s)),
        (
            x_hat,
            lambda h: (affine(h, s * inner(g, x_hat)) + affine(g, s * inner(h, x_hat))) / -count,
        ),
        (s, lambda h, p: inner(h, p) / s),
    )


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Σ x·y for each column of x and y (M, C).  x̄ = ḡ·y, ȳ = ḡ·x."""
    value = fused.column_sums(x.data, y.data, of=fused.scale)
    return record(value, (x, lambda g: affine(y, g)), (y, lambda g: affine(x, g)))


def affine(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, value: Array | None = None
) -> Tensor:
    """z = γ·x + β for each column of x (M, C).  x̄ = ḡ·γ, γ̄ = Σ ḡ·x, β̄ = Σ ḡ.

    ``value`` is z, or what was made of it in place, where that has been computed already.
    """
    edges = [(x, lambda g: affine(g, weight)), (weight, lambda g: inner(g, x))]
    if bias is None:
        return record(fused.scale(x.data, weight.data), *edges)
    if value is None:
        value = fused.affine(x.data, weight.data, bias.data)
    return record(value, *edges, (bias, lambda g: sum(g, 0)))


def batch_norm(
    x: Operand,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = γ · (x − μ)/√(σ² + ε) + β for each channel (Ioffe & Szegedy 2015, algorithm 1).

    x is (N, C) or (N, C, H, W); weight γ, bias β and the running statistics are (C,). In training,
    μ and σ² are the batch's, and the running statistics move towards them in place by
    ``momentum``, the variance by its unbiased estimate (PyTorch's convention). In evaluation the
    running statistics are used, so a sample does not depend on its batch mates.
    """
    given = (weight, bias, running_mean, running_var, training, momentum, eps)
    return batch_norm_activated(x, *given, slope=1.0)


def batch_norm_activated(
    x: Operand,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *,
    slope: float,
) -> Tensor:
    """max(y, slope·y) of :func:`batch_norm`'s y, in the same pass over the entries.

    ``slope`` lies in [0, 1]: 0 is a ReLU, 1 no activation.
    """
    x, weight, bias = _float("batch_norm", x), as_tensor(weight), as_tensor(bias)
    if x.dtype == "float16":  # ends at 65,504
        raise TypeError('batch_norm: squares overflow float16; use .to("float32") on x and layer')
    for running in (running_mean, running_var):
        if not (running is None or isinstance(running, Tensor)):
            raise TypeError(
                f"batch_norm: running statistics are Tensors, which training changes in place; got "
                f"{type(running).__name__}"
            )
    if x.ndim not in (2, 4):
        raise ValueError(f"batch_norm: expected x (N, C) or (N, C, H, W), got {x.shape}")
    names = ("weight", "bias", "running_mean", "running_var")
    for what, t in zip(names, (weight, bias, running_mean, running_var), strict=True):
        if t is not None and t.shape != x.shape[1:2]:
            expected = f"({x.shape[1]},) for x {x.shape}"
            raise ValueError(f"batch_norm: {what} must be {expected}, got {t.shape}")
        if t is not None and t.dtype != x.dtype:
            raise TypeError(f"batch_norm: x is {x.dtype} but {what} is {t.dtype}")
    momentum = number("batch_norm", "momentum", momentum, "[0, 1]")
    eps = number("batch_norm", "eps", eps, "[0, inf)")
    count = x.size // (x.shape[1] or 1)
    if training and count < 2:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x {x.shape}"
        )
    if x.ndim == 4:  # every pixel is a case of its own
        given = (weight, bias, running_mean, running_var, training, momentum, eps)
        return unrows(batch_norm_activated(rows(x), *given, slope=slope), x.shape)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        scale = weight / sqrt(running_var + eps)
        y = affine(x, scale, bias - running_mean * scale)
        return y if slope == 1.0 else leaky_relu(y, slope) if slope else relu(y)
    mu = fused.column_sums(x.data) / count
    variance = fused.column_sums(x.data, mu, of=fused.squared_deviation) / count
    unbiased = variance * (count / (count - 1))
    for running, new in ((running_mean, mu), (running_var, unbiased)):
        if running is not None:
            fused.move(new, 1.0 - momentum, momentum, out=(running.data,))
            running.mark_written()
    s = fused.inverse_deviation(variance, eps)
    both = {1.0: fused.normalise, 0.0: fused.normalise_relu}.get(slope, fused.normalise_leaky)
    x_hat, z = both(x.data, mu, s, weight.data, bias.data, slope)
    y = affine(standardise(x, x_hat, s), weight, bias, value=z)
    return y if slope == 1.0 else record(z, (y, lambda g, z: gate(g, z, slope)))


def binary_cross_entropy_with_logits(logits: Operand, targets: Operand) -> Tensor:
    """mean of −t·log σ(s) − (1 − t)·log(1 − σ(s)) = softplus(s) − t·s, for targets t in [0, 1].

    For the digits that the difference would lose, it is log(1 + e^−|s|) + t·max(−s, 0) +
    (1 − t)·max(s, 0), none of them negative.  s̄ = ḡ·((1 − t)·σ(s) − t·σ(−s)), t̄ = −ḡ·s.
    """
    op = "binary_cross_entropy_with_logits"
    s, t = _float(op, logits), as_tensor(targets)
    if s.shape != t.shape:
        raise ValueError(f"{op}: logits {s.shape}, targets {t.shape}")
    if s.dtype != t.dtype:
        raise TypeError(f"{op}: logits are {s.dtype}, targets {t.dtype}; convert with .to(dtype)")
    value = fused.binary_cross_entropy(s.data, t.data)
    edge = s, lambda g: g * ((1.0 - t) * sigmoid(s) - t * sigmoid(-s))
    return mean(record(value, edge, (t, lambda g: -g * s)))


def cross_entropy(logits: Operand, labels: Any) -> Tensor:
    """mean of −log softmax(logits)[label].

    Args:
        logits: (N, K).
        labels: N integers in 0..K−1, as an array or a Tensor.
    """
    logits = as_tensor(logits)
    if logits.ndim != 2 or numpy.shape(labels) != logits.shape[:1]:
        raise ValueError(
            "cross_entropy: expected logits (N, K) and labels (N,), "
            f"got {logits.shape} and {numpy.shape(labels)}"
        )
    labels = _indices("cross_entropy: labels", labels, logits.shape[1])
    rows = backend.xp.arange(logits.shape[0])
    return -mean(getitem(log_softmax(logits), (rows, labels)))


def _reflected(function: Any) -> Any:
    return lambda x, y: function(y, x)


def _anew(function: Any) -> Any:
    """x += y makes a new Tensor, as x = x + y does; a parameter would silently stay as it was."""

    def apply(x: Tensor, y: Operand) -> Any:
        if x.is_leaf and x.requires_grad:
            raise RuntimeError(
                f"{function.__name__}: x += y and the like make a new tensor, and would leave this "
                "leaf as it was; overwrite it with .copy_()"
            )
        return function(x, y)

    return apply


# What a Tensor can do, in one table. (autograd.py declares the same names for the type checker.)
for _name, _function in {
    "__add__": add,
    "__radd__": add,
    "__sub__": sub,
    "__rsub__": _reflected(sub),
    "__mul__": mul,
    "__rmul__": mul,
    "__truediv__": div,
    "__rtruediv__": _reflected(div),
    "__iadd__": _anew(add),
    "__isub__": _anew(sub),
    "__imul__": _anew(mul),
    "__itruediv__": _anew(div),
    "__matmul__": matmul,
    "__rmatmul__": _reflected(matmul),
    "__pow__": pow,
    "__neg__": neg,
    "__lt__": lambda x, y: elementwise.compare("less", x, y),
    "__le__": lambda x, y: elementwise.compare("less_equal", x, y),
    "__gt__": lambda x, y: elementwise.compare("greater", x, y),
    "__ge__": lambda x, y: elementwise.compare("greater_equal", x, y),
    "__eq__": lambda x, y: elementwise.compare("equal", x, y),
    "__ne__": lambda x, y: elementwise.compare("not_equal", x, y),
    "__and__": lambda x, y: elementwise.compare("bitwise_and", x, y),
    "__or__": lambda x, y: elementwise.compare("bitwise_or", x, y),
    "__xor__": lambda x, y: elementwise.compare("bitwise_xor", x, y),
    "__invert__": lambda x: Tensor(~x.data),
    "__getitem__": getitem,
    "T": property(lambda x: permute(x, tuple(range(x.ndim))[::-1])),
    "__abs__": abs,
    "__format__": lambda x, s: object.__format__(x, s) if x.ndim else format(x.item(), s),
    **{f.__name__: f for f in (reshape, transpose, permute, to, sum, mean, var, max)},
    **{f.__name__: f for f in (abs, exp, log, sqrt, tanh, sigmoid)},
}.items():
    setattr(Tensor, _name, _function)
