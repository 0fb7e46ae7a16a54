"""The public face of the operations, and what neural networks build from them.

``minigan.functional`` holds every primitive of :mod:`minigan.ops` under one roof, and the
compositions below. Tensors get their operators and methods from :mod:`minigan.ops.operators`.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend, fused
from minigan.arguments import Pair, Size, integer, number, pair
from minigan.autograd import Operand, Tensor, as_tensor, record
from minigan.ops import conv, elementwise, linalg, reduce, shape
from minigan.ops import norm as normalisation
from minigan.ops import operators as operators
from minigan.ops.conv import *
from minigan.ops.elementwise import *
from minigan.ops.elementwise import _float
from minigan.ops.linalg import *
from minigan.ops.norm import *
from minigan.ops.reduce import *
from minigan.ops.shape import *

__all__ = [
    "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "embedding", "interpolate",
    "l1_loss", "mse_loss", "pixel_shuffle",
]  # fmt: skip
__all__ += conv.__all__
__all__ += elementwise.__all__
__all__ += linalg.__all__
__all__ += normalisation.__all__
__all__ += reduce.__all__
__all__ += shape.__all__


def embedding(indices: Any, weight: Operand) -> Tensor:
    """Row ``indices[i]`` of ``weight`` (n, d) for each index: shape (*indices.shape, d)."""
    weight = as_tensor(weight)
    return getitem(weight, _indices("embedding: indices", indices, weight.shape[0]))


def _indices(what: str, values: Any, n: int) -> Tensor:
    """Integers in 0..n−1 as a Tensor; checked on the host, to which a Tensor's are copied."""
    if isinstance(values, list | tuple) and not len(values):
        values = numpy.zeros(0, "int64")  # no numbers to tell by that they are integers
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
    return record(value, (x, lambda g, keep: _dropped(g, keep, scale), keep))


def interpolate(
    x: Operand, size: Size | None = None, scale_factor: Size | None = None, mode: str = "nearest"
) -> Tensor:
    """x (N, C, H, W) enlarged to (N, C, s·H, t·W) by whole factors s and t.

    "nearest":  y[i, j] = x[⌊i/s⌋, ⌊j/t⌋]: each pixel s·t times.
    "bilinear": y[i, j] = x at ((i + ½)/s − ½, (j + ½)/t − ½), linear along both axes between the
    centres of pixels and constant beyond the outermost ones (PyTorch's align_corners=False).

    Args:
        x: floats (N, C, H, W).
        size: the result's (s·H, t·W), or one number for both.
        scale_factor: (s, t), or one number for both; it is given if ``size`` is not.
        mode: "nearest" or "bilinear".
    """
    x, (size, factors) = _float("interpolate", x), enlarged("interpolate", size, scale_factor, mode)
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"interpolate: expected x (N, C, H, W), got {x.shape}")
    n, c, h, w = x.shape
    if size is not None:
        factors = size[0] // h, size[1] // w
    s, t = factors
    if size not in (None, (s * h, t * w)):
        raise ValueError(f"interpolate: size {size} must be whole multiples of x's, {(h, w)}")
    if mode == "nearest":  # with the channels last, as convolutions have them in memory
        pixels = reshape(permute(x, 0, 2, 3, 1), n, h, 1, w, 1, c)
        y = reshape(broadcast_to(pixels, (n, h, s, w, t, c)), n, h * s, w * t, c)
        return permute(y, 0, 3, 1, 2)
    return transpose(_stretched(transpose(_stretched(x, t), 2, 3), s), 2, 3)


def _stretched(x: Tensor, factor: int) -> Tensor:
    """Linear interpolation along the last axis: pixel k counts max(0, 1 − |p − k|) at place p."""
    xp, n = backend.xp, x.shape[-1]
    place = ((xp.arange(n * factor) + 0.5) / factor - 0.5).clip(0, n - 1)
    share = xp.maximum(1.0 - xp.abs(place[:, None] - xp.arange(n)), 0.0)
    return linear(x, Tensor(share.astype(x.dtype)))


def enlarged(op: str, size: Any, scale_factor: Any, mode: Any) -> tuple[Pair | None, Pair]:
    """The hyperparameters of :func:`interpolate`, checked: the size if given, and the factors."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: give either size or scale_factor, got {size} and {scale_factor}")
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f'{op}: mode must be "nearest" or "bilinear", got {mode!r}')
    if size is not None:
        return pair(op, "size", size, 1), (1, 1)
    return None, pair(op, "scale_factor", scale_factor, 1)


def pixel_shuffle(x: Operand, upscale_factor: int) -> Tensor:
    """y[n, c, r·h + i, r·w + j] = x[n, c·r² + r·i + j, h, w] (Shi et al. 2016, section 2.2).

    x (N, C·r², H, W) → y (N, C, r·H, r·W), r = ``upscale_factor``: channels become pixels.
    """
    x, r = as_tensor(x), integer("pixel_shuffle", "upscale_factor", upscale_factor, 1)
    if x.ndim != 4 or x.shape[1] % r**2:
        raise ValueError(f"pixel_shuffle: expected x (N, C·{r**2}, H, W), got {x.shape}")
    n, c, h, w = x.shape[0], x.shape[1] // r**2, *x.shape[2:]
    y = permute(reshape(x, n, c, r, r, h, w), 0, 1, 4, 2, 5, 3)
    return reshape(y, n, c, h * r, w * r)


def binary_cross_entropy_with_logits(logits: Operand, targets: Operand) -> Tensor:
    """mean of −t·log σ(s) − (1 − t)·log(1 − σ(s)) = softplus(s) − t·s, for targets t in [0, 1].

    For the digits that the difference would lose, it is log(1 + e^−|s|) + t·max(−s, 0) +
    (1 − t)·max(s, 0), none of them negative.  s̄ = ḡ·((1 − t)·σ(s) − t·σ(−s)), t̄ = −ḡ·s.
    """
    s, t = _alike("binary_cross_entropy_with_logits", "logits", logits, targets)
    entries = record(
        fused.binary_cross_entropy(s.data, t.data),
        (s, lambda g, s, t: g * ((1.0 - t) * sigmoid(s) - t * sigmoid(-s)), s, t),
        (t, lambda g, s: -g * s, s),
    )
    return mean(entries)


def _alike(op: str, name: str, x: Operand, targets: Operand) -> tuple[Tensor, Tensor]:
    """Both as Tensors of one shape and dtype: targets are not broadcast."""
    x, t = _float(op, x), as_tensor(targets)
    if x.shape != t.shape:
        raise ValueError(f"{op}: {name} {x.shape}, targets {t.shape}; they must have one shape")
    if x.dtype != t.dtype:
        raise TypeError(f"{op}: {name} is {x.dtype}, targets {t.dtype}; convert with .to(dtype)")
    return x, t


def mse_loss(x: Operand, target: Operand) -> Tensor:
    """mean (x − t)² over all entries.  ValueError where the shapes differ."""
    x, target = _alike("mse_loss", "x", x, target)
    return mean((x - target) ** 2)


def l1_loss(x: Operand, target: Operand) -> Tensor:
    """mean |x − t| over all entries.  ValueError where the shapes differ."""
    x, target = _alike("l1_loss", "x", x, target)
    return mean(abs(x - target))


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
    return -mean(getitem(log_softmax(logits), (backend.xp.arange(len(labels)), labels)))
