"""Convolution, transposed convolution and the kernel's gradient: one trilinear form.

For pictures x (N, C, H, W), kernels w (O, C, kh, kw), maps y (N, O, H', W'), stride s, padding p:

    T(x, w, y) = Σ x[n, c, s·i + u − p, s·j + v − p] · w[o, c, u, v] · y[n, o, i, j]

over all n, c, o, i, j, u, v, with x read as 0 outside. Leave one of the three out, and what remains
is a map to it, linear in each of the other two:

    conv2d            (x, w) → y        Σ over c, u, v of x·w
    conv_transpose2d  (y, w) → x        Σ over o, i, j, u, v of y·w, where s·i + u − p is x's row
    conv2d_weight     (x, y) → w        Σ over n, i, j of x·y

With ḡ for the missing argument, the derivative of each is another: x̄ = conv_transpose2d(ḡ, w),
w̄ = conv2d_weight(x, ḡ), and so on. Three kernels serve every order of differentiation, and the
transposed convolution is the adjoint of convolution (Dumoulin & Visin 2016, chapter 4).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from minigan import backend
from minigan.arguments import Pair, Size, pair
from minigan.autograd import Operand, Tensor, as_tensor, record
from minigan.backend import Array
from minigan.ops.linalg import check_layer, operands
from minigan.ops.reduce import sum
from minigan.ops.shape import getitem, reshape, rows

__all__ = ["avg_pool2d", "conv2d", "conv2d_weight", "conv_transpose2d", "max_pool2d"]

# --- The kernels, on arrays -----------------------------------------------------------------------
#
# Logical shapes are (N, C, H, W), memory is channels-last, (N, H, W, C): then the C·kw numbers of
# one row of a window lie next to each other. A window of 4×4 moved by a stride of 2, along one axis
# of a picture padded by p = 1:
#
#     position in the padded picture    0 1 2 3 4 5 6 7 8 9        s·i + u
#     window i = 0                      u u u u
#     window i = 1                          u u u u
#     window i = 2                              u u u u
#     window i = 3                                  u u u u
#
# conv2d and conv2d_weight read all windows as the rows of one matrix, "patches"; conv_transpose2d
# adds to them, s taps of a row at a time: there no two windows meet, since they are s apart.


def _channels_last(x: Array) -> Array:
    """(N, C, H, W) as contiguous (N, H, W, C), copied only where its memory is in another order."""
    return backend.xp.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _padded(n: int, size: Pair, channels: int, padding: Pair, dtype: Any) -> tuple[Array, Array]:
    """Zeros (n, H + 2p, W + 2p, C), and the view of their inside, (n, H, W, C)."""
    (h, w), (ph, pw) = size, padding
    x = backend.xp.zeros((n, h + 2 * ph, w + 2 * pw, channels), dtype)
    return x, x[:, ph : ph + h, pw : pw + w]


def _windows(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The view (N, H', W', kh, kw, C) of x (N, H, W, C): at [n, i, j, u, v], x[n, si+u, sj+v]."""
    n, h, w, c = x.shape
    (kh, kw), (sh, sw) = kernel, stride
    dn, dh, dw, dc = x.strides
    shape = (n, *_out_size((h, w), kernel, stride, (0, 0)), kh, kw, c)
    return backend.xp.lib.stride_tricks.as_strided(x, shape, (dn, sh * dh, sw * dw, dh, dw, dc))


def _patches(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Every window of x (n, C, H, W) as a row: (n·H'·W', kh·kw·C)."""
    padded, inside = _padded(x.shape[0], x.shape[2:], x.shape[1], padding, x.dtype)
    inside[...] = x.transpose(0, 2, 3, 1)
    return _windows(padded, kernel, stride).reshape(-1, math.prod(kernel) * x.shape[1])


def _conv(x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
    """y = patches(x) · W, with W (kh·kw·C, O)."""
    (o, c, *kernel), size = w.shape, _out_size(x.shape[2:], w.shape[2:], stride, padding)
    matrix = w.transpose(2, 3, 1, 0).reshape(-1, o)
    y = backend.xp.empty((len(x), *size, o), x.dtype)
    for s in backend.cached_slices(len(x), c * math.prod(kernel) * math.prod(size)):
        patches = _patches(x[s], kernel, stride, padding)
        backend.xp.matmul(patches, matrix, out=y[s].reshape(-1, o))
    return y.transpose(0, 3, 1, 2)


def _conv_transpose(y: Array, w: Array, stride: Pair, padding: Pair, size: Pair) -> Array:
    """x = patchesᵀ(y · Wᵀ): what each y contributes is added to the window that it came from."""
    (o, c, kh, kw), sw = w.shape, stride[1]
    rows_of_taps = {
        (u, v): w[:, :, u, v : v + sw].transpose(0, 2, 1).reshape(o, -1)
        for u, v in product(range(kh), range(0, kw, sw))
    }
    x = backend.xp.empty((len(y), *size, c), y.dtype)
    for s in backend.cached_slices(len(y), c * math.prod(size) + o * math.prod(y.shape[2:])):
        y_rows = _channels_last(y[s]).reshape(-1, o)
        padded, inside = _padded(len(y[s]), size, c, padding, y.dtype)
        windows = _windows(padded, (kh, kw), stride)
        for (u, v), taps in rows_of_taps.items():
            run = windows[:, :, :, u, v : v + sw]
            run += backend.xp.matmul(y_rows, taps).reshape(run.shape)
        x[s] = inside
    return x.transpose(0, 3, 1, 2)


def _conv_weight(x: Array, y: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """W = patches(x)ᵀ · y, summed over the batch."""
    c, o = x.shape[1], y.shape[1]
    matrix = backend.xp.zeros((math.prod(kernel) * c, o), x.dtype)
    for s in backend.cached_slices(len(x), c * math.prod(kernel) * math.prod(y.shape[2:])):
        patches = _patches(x[s], kernel, stride, padding)
        matrix += backend.xp.matmul(patches.T, _channels_last(y[s]).reshape(-1, o))
    return backend.xp.ascontiguousarray(matrix.reshape(*kernel, c, o).transpose(3, 2, 0, 1))


def _moves(size: Any, kernel: Any, stride: Pair, padding: Pair) -> list[Pair]:
    """divmod(H + 2p − k, s) for each axis: how often a window can move, and what is left over."""
    axes = zip(size, kernel, stride, padding, strict=True)
    return [divmod(n + 2 * p - k, s) for n, k, s, p in axes]


def _out_size(size: Any, kernel: Any, stride: Pair, padding: Pair) -> Pair:
    """H' = ⌊(H + 2p − k)/s⌋ + 1 for both axes."""
    return tuple(moves + 1 for moves, _ in _moves(size, kernel, stride, padding))


# --- The operations, on Tensors -------------------------------------------------------------------


def conv2d(
    x: Operand, weight: Operand, bias: Operand | None = None, stride: Size = 1, padding: Size = 0
) -> Tensor:
    """y[n, o, i, j] = b[o] + Σ w[o, c, u, v] · x[n, c, s·i + u − p, s·j + v − p], over c, u, v.

    x (N, C, H, W), weight (O, C, kh, kw), bias (O,) → y (N, O, H', W'), H' = ⌊(H + 2p − kh)/s⌋ + 1.
    ``stride`` s and ``padding`` p are numbers, or pairs for height and width. As in all of deep
    learning the kernel is not flipped: strictly this is a cross-correlation.

    x̄ = conv_transpose2d(ḡ, w), w̄ = conv2d_weight(x, ḡ), b̄ = Σ ḡ over n, i, j.
    """
    s, p = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    x, weight, bias = _operands("conv2d", x, weight, bias, inside=1)
    kernel = weight.shape[2:]
    rest = _rest("conv2d", x, kernel, s, p)
    value = _conv(x.data, weight.data, s, p)
    if bias is not None:
        value += bias.data[:, None, None]
    return record(
        value,
        (x, lambda g, weight: conv_transpose2d(g, weight, None, s, p, rest), weight),
        (weight, lambda g, x: conv2d_weight(x, g, kernel, s, p), x),
        (bias, lambda g: sum(rows(g), 0)),
    )


def conv_transpose2d(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
) -> Tensor:
    """The adjoint of :func:`conv2d`: ⟨conv2d(a, w), x⟩ = ⟨a, conv_transpose2d(x, w)⟩.

    x (N, C, H, W), weight (C, O, kh, kw), bias (O,) → (N, O, H', W') with
    H' = (H − 1)·s − 2p + kh + output_padding: entry (i, j) of x adds x·w to the window of the
    result that starts at (s·i − p, s·j − p). ``output_padding``, below the stride, chooses among
    the pictures that conv2d maps to the same size.

    x̄ = conv2d(ḡ, w), w̄ = conv2d_weight(ḡ, x), b̄ = Σ ḡ over n, i, j.
    """
    op = "conv_transpose2d"
    s, p = pair(op, "stride", stride, 1), pair(op, "padding", padding, 0)
    rest = remainder(op, output_padding, s)
    x, weight, bias = _operands(op, x, weight, bias, inside=0)
    kernel = weight.shape[2:]
    size = tuple(
        (n - 1) * t - 2 * q + k + r
        for n, t, q, k, r in zip(x.shape[2:], s, p, kernel, rest, strict=True)
    )
    if min(size) < 1:
        raise ValueError(
            f"{op}: nothing is left of the result, {size} "
            f"(x {x.shape}, weight {weight.shape}, stride {s}, padding {p})"
        )
    value = _conv_transpose(x.data, weight.data, s, p, size)
    if bias is not None:
        value += bias.data[:, None, None]
    return record(
        value,
        (x, lambda g, weight: conv2d(g, weight, None, s, p), weight),
        (weight, lambda g, x: conv2d_weight(g, x, kernel, s, p), x),
        (bias, lambda g: sum(rows(g), 0)),
    )


def conv2d_weight(
    x: Operand, y: Operand, kernel_size: Size, stride: Size = 1, padding: Size = 0
) -> Tensor:
    """w[o, c, u, v] = Σ x[n, c, s·i + u − p, s·j + v − p] · y[n, o, i, j], over n, i, j.

    x (N, C, H, W), y (N, O, H', W') → w (O, C, kh, kw): the gradient of :func:`conv2d` in its
    weight, for the incoming gradient y.  x̄ = conv_transpose2d(y, ḡ), ȳ = conv2d(x, ḡ).
    """
    op = "conv2d_weight"
    x, y, kernel = as_tensor(x), as_tensor(y), pair(op, "kernel_size", kernel_size, 1)
    s, p = pair(op, "stride", stride, 1), pair(op, "padding", padding, 0)
    if x.dtype != y.dtype:
        raise TypeError(f"{op}: x is {x.dtype} but y is {y.dtype}")
    if x.ndim != 4 or y.ndim != 4 or 0 in x.shape[1:] + y.shape[1:]:
        raise ValueError(f"{op}: expected x and y of 4 axes, got {x.shape} and {y.shape}")
    rest = _rest(op, x, kernel, s, p)
    expected = (x.shape[0], y.shape[1], *_out_size(x.shape[2:], kernel, s, p))
    if y.shape != expected:
        raise ValueError(f"{op}: expected y {expected} for x {x.shape}, got {y.shape}")
    return record(
        _conv_weight(x.data, y.data, kernel, s, p),
        (x, lambda g, y: conv_transpose2d(y, g, None, s, p, rest), y),
        (y, lambda g, x: conv2d(x, g, None, s, p), x),
    )


def avg_pool2d(
    x: Operand, kernel_size: Size, stride: Size | None = None, padding: Size = 0
) -> Tensor:
    """The mean over each window, padding counted as zeros; windows do not overlap unless asked to.

    x (N, C, H, W) → (N, C, H', W'), sizes as in :func:`conv2d`, stride = kernel_size if None. It is
    the convolution of each channel with a kernel whose entries are all 1/(kh·kw).
    """
    x, kernel, s, p = _pooling("avg_pool2d", x, kernel_size, stride, padding)
    weight = Tensor(backend.xp.full((1, 1, *kernel), 1.0 / math.prod(kernel), x.dtype))
    n, c, h, w = x.shape
    z = conv2d(reshape(x, n * c, 1, h, w), weight, None, s, p)
    return reshape(z, n, c, *z.shape[2:])


def max_pool2d(
    x: Operand, kernel_size: Size, stride: Size | None = None, padding: Size = 0
) -> Tensor:
    """The largest entry of each window; ḡ goes to the first such entry, as in PyTorch.

    x (N, C, H, W) → (N, C, H', W'), sizes as in :func:`conv2d`, stride = kernel_size if None.
    """
    x, kernel, s, p = _pooling("max_pool2d", x, kernel_size, stride, padding)
    xp, (n, c, h, w) = backend.xp, x.shape
    padded, inside = _padded(n, (h, w), c, p, x.dtype)
    padded[...] = -xp.inf
    inside[...] = x.data.transpose(0, 2, 3, 1)
    windows = _windows(padded, kernel, s)
    flat = windows.reshape(*windows.shape[:3], math.prod(kernel), c)
    at = flat.argmax(axis=3).transpose(0, 3, 1, 2)
    i, j = (xp.arange(size) for size in at.shape[2:])
    row = at // kernel[1] + (i[:, None] * s[0] - p[0])
    column = at % kernel[1] + (j * s[1] - p[1])
    # A window of nothing but −inf may have chosen its padding; its nearest entry is −inf as well.
    row, column = row.clip(0, h - 1), column.clip(0, w - 1)
    return getitem(x, (xp.arange(n)[:, None, None, None], xp.arange(c)[:, None, None], row, column))


def _pooling(op: str, x: Operand, *given: Any) -> tuple[Tensor, Pair, Pair, Pair]:
    """The arguments of a pooling, checked."""
    x, (kernel, s, p) = as_tensor(x), pooled(op, *given)
    if x.ndim != 4 or x.dtype.kind != "f" or 0 in x.shape[1:]:
        raise ValueError(f"{op}: expected floats (N, C, H, W), got {x.dtype} {x.shape}")
    _rest(op, x, kernel, s, p)
    return x, kernel, s, p


def pooled(op: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[Pair, Pair, Pair]:
    """A pooling's hyperparameters as pairs, the stride by default the kernel's size."""
    kernel = pair(op, "kernel_size", kernel_size, 1)
    s = kernel if stride is None else pair(op, "stride", stride, 1)
    p = pair(op, "padding", padding, 0)
    if any(2 * q > k for q, k in zip(p, kernel, strict=True)):
        raise ValueError(f"{op}: padding {p} is more than half of the kernel, {kernel}")
    return kernel, s, p


def remainder(op: str, output_padding: Any, stride: Pair) -> Pair:
    """A transposed convolution's ``output_padding`` as a pair, below the stride."""
    rest = pair(op, "output_padding", output_padding, 0)
    if any(r >= t for r, t in zip(rest, stride, strict=True)):
        raise ValueError(f"{op}: output_padding {rest} must be smaller than stride {stride}")
    return rest


def _rest(op: str, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """(H + 2p − k) mod s: the rows beyond the last window, which x̄ needs to have x's size."""
    moves = _moves(x.shape[2:], kernel, stride, padding)
    if min(moves)[0] < 0:
        raise ValueError(
            f"{op}: the kernel, {kernel}, is larger than x {x.shape} with padding {padding}"
        )
    return tuple(rest for _, rest in moves)


def _operands(
    op: str, x: Operand, weight: Operand, bias: Operand | None, *, inside: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Tensors that fit: x's channels on the axis ``inside`` of weight, bias's on the other one."""
    x, weight, bias, given = operands(x, weight, bias)
    if x.ndim != 4 or weight.ndim != 4 or 0 in x.shape[1:] + weight.shape:
        raise ValueError(f"{op}: expected x (N, C, H, W) and a weight of 4 axes, got {given}")
    check_layer(op, x.shape[1], "channels", x, weight, bias, inside, given)
    return x, weight, bias
