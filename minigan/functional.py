"""The public face of the operations, and what neural networks build from them.

``minigan.functional`` holds every primitive of :mod:`minigan.ops` under one roof, the compositions
below, and the table that gives Tensors their operators and methods.
"""

from __future__ import annotations

from typing import Any

from minigan import backend
from minigan.autograd import Operand, Tensor, as_tensor, record
from minigan.backend import Array
from minigan.ops import conv, elementwise, linalg, reduce, shape
from minigan.ops.conv import *
from minigan.ops.elementwise import *
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


def embedding(indices: Any, weight: Tensor) -> Tensor:
    """Row ``indices[i]`` of ``weight`` (n, d) for each index: shape (*indices.shape, d)."""
    return getitem(weight, _indices("embedding: indices", indices, weight.shape[0]))


def _indices(what: str, values: Any, n: int) -> Tensor:
    """Integers in 0..n−1 as a Tensor."""
    indices = as_tensor(values)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers, got {indices.dtype}")
    if indices.size:
        low, high = int(indices.data.min()), int(indices.data.max())
        if low < 0 or high >= n:
            raise ValueError(f"{what} must lie in 0..{n - 1}, got {low}..{high}")
    return indices


def dropout(x: Operand, p: float = 0.5, training: bool = True) -> Tensor:
    """While training, zero each entry with probability p and scale the others by 1/(1 − p).

    The scale keeps the expectation (Srivastava et al. 2014, in the "inverted" form). Masks come
    from the host's "dropout" stream. Outside of training, x itself.
    """
    x = as_tensor(x)
    p = float(p)
    if not 0.0 <= p < 1.0:
        raise ValueError(f"dropout: p must lie in [0, 1), got {p}")
    if not training or p == 0.0:
        return x
    keep = backend.stream("dropout").random(x.shape, dtype="float32") >= p
    mask = Tensor(backend.asarray(keep.astype(x.dtype) / (1.0 - p)))
    return x * mask


def standardise(x: Tensor, eps: float) -> tuple[Tensor, Any, Any]:
    """x̂ = (x − μ)·s, s = (σ² + ε)^−½, for each column of x (M, C); also the arrays μ and σ².

    μ and σ² depend on x, which gives (Ioffe & Szegedy 2015, section 3, collected)

        x̄ = s · (ḡ − mean ḡ − x̂ · mean(ḡ·x̂)).

    That is exact at first order. For second order, x̂ is the op's own output and stays in the graph,
    and s enters as a function of x, with ∂s/∂x = −s²·x̂/M.
    """
    xp, (count, columns) = backend.xp, x.shape
    average = xp.full(count, 1.0 / count, x.dtype)
    mu, rest, variance = average @ x.data, xp.zeros(columns, x.dtype), xp.zeros(columns, x.dtype)
    for s in backend.batches(count, columns):
        centred = x.data[s] - mu
        rest += average[s] @ centred
        variance += average[s] @ (centred * centred)
    mu += rest  # what rounding left of the first mean (Chan, Golub & LeVeque 1983, section 3)
    variance -= rest * rest
    scale = 1.0 / xp.sqrt(variance + eps)
    value = _columnwise(x.data, (xp.subtract, mu), (xp.multiply, scale))

    def vjp(g: Tensor, x_hat: Tensor) -> Tensor:
        s = record(scale, (x, lambda h, s: h * (s * s * x_hat * (-1.0 / count))))
        return s * (g - mean(g, 0) - x_hat * mean(g * x_hat, 0))

    return record(value, (x, vjp)), mu, variance


def _columnwise(x: Array, *steps: tuple[Any, Array]) -> Array:
    """Ufuncs with an operand per column of x (M, C), one after the other, slice by slice."""
    z = backend.xp.empty_like(x)
    for s in backend.batches(*x.shape):
        part = x[s]
        for ufunc, operand in steps:
            part = ufunc(part, operand, out=z[s])
    return z


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """z = γ·x + β for each column of x (M, C).  x̄ = ḡ·γ, γ̄ = Σ ḡ·x, β̄ = Σ ḡ."""
    xp = backend.xp
    return record(
        _columnwise(x.data, (xp.multiply, weight.data), (xp.add, bias.data)),
        (x, lambda g: g * weight),
        (weight, lambda g: sum(g * x, 0)),
        (bias, lambda g: sum(g, 0)),
    )


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
    x = as_tensor(x)
    if x.ndim not in (2, 4):
        raise ValueError(f"batch_norm: expected x (N, C) or (N, C, H, W), got {x.shape}")
    for what, t in (
        ("weight", weight),
        ("bias", bias),
        ("running_mean", running_mean),
        ("running_var", running_var),
    ):
        if t is not None and t.shape != x.shape[1:2]:
            raise ValueError(
                f"batch_norm: {what} must be ({x.shape[1]},) for x {x.shape}, got {t.shape}"
            )
        if t is not None and t.dtype != x.dtype:
            raise TypeError(f"batch_norm: x is {x.dtype} but {what} is {t.dtype}")
    momentum, eps = float(momentum), float(eps)
    count = x.size // (x.shape[1] or 1)
    if training and count < 2:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x {x.shape}"
        )
    if x.ndim == 4:  # every pixel is a case of its own
        y = batch_norm(rows(x), weight, bias, running_mean, running_var, training, momentum, eps)
        return unrows(y, x.shape)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        scale = weight / sqrt(running_var + eps)
        return affine(x, scale, bias - running_mean * scale)
    x_hat, mu, variance = standardise(x, eps)
    unbiased = variance * (count / (count - 1))
    for running, new in ((running_mean, mu), (running_var, unbiased)):
        if running is not None:
            running.data *= 1.0 - momentum
            running.data += momentum * new
            running.mark_written()
    return affine(x_hat, weight, bias)


def binary_cross_entropy_with_logits(logits: Operand, targets: Operand) -> Tensor:
    """mean of −t·log σ(s) − (1 − t)·log(1 − σ(s)) = softplus(s) − t·s, for targets t in [0, 1]."""
    logits = as_tensor(logits)
    targets = as_tensor(targets)
    if logits.shape != targets.shape:
        raise ValueError(
            f"binary_cross_entropy_with_logits: logits {logits.shape}, targets {targets.shape}"
        )
    return mean(softplus(logits) - targets * logits)


def cross_entropy(logits: Operand, labels: Any) -> Tensor:
    """mean of −log softmax(logits)[label].

    Args:
        logits: (N, K).
        labels: N integers in 0..K−1, as an array or a Tensor.
    """
    logits, labels = as_tensor(logits), as_tensor(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            "cross_entropy: expected logits (N, K) and labels (N,), "
            f"got {logits.shape} and {labels.shape}"
        )
    labels = _indices("cross_entropy: labels", labels, logits.shape[1])
    rows = backend.xp.arange(logits.shape[0])
    return -mean(getitem(log_softmax(logits), (rows, labels)))


def _reflected(function: Any) -> Any:
    return lambda x, y: function(y, x)


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
    "__getitem__": getitem,
    "T": property(lambda x: permute(x, tuple(range(x.ndim))[::-1])),
    "reshape": reshape,
    "transpose": transpose,
    "permute": permute,
    "to": to,
    "abs": abs,
    "exp": exp,
    "log": log,
    "sqrt": sqrt,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sum": sum,
    "mean": mean,
    "var": var,
    "max": max,
}.items():
    setattr(Tensor, _name, _function)
