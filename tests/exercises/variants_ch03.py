"""Chapter 03: other answers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from variant import right, wrong

import minigan as mg
import minigan.functional as F


@right("03.1")
def conv2d(x, weight, stride, padding):
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncabij,ocij->noab", windows, weight)


@right("03.1")
def conv2d(x, weight, stride, padding):
    return F.conv2d(mg.tensor(x), mg.tensor(weight), stride=stride, padding=padding).numpy()


def windowed(x, weight, stride, padding):
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


@wrong("03.1", "one channel", "the kernel flipped in both directions")
def conv2d(x, weight, stride, padding):
    return windowed(x, np.flip(weight, (2, 3)), stride, padding)


@wrong("03.1", "shape", "stride left out")
def conv2d(x, weight, stride, padding):
    return windowed(x, weight, 1, padding)


@wrong("03.1", "shape", "padding left out")
def conv2d(x, weight, stride, padding):
    return windowed(x, weight, stride, 0)


@wrong("03.1", "several channels", "a mean over the input channels")
def conv2d(x, weight, stride, padding):
    return windowed(x, weight, stride, padding) / weight.shape[1]


@wrong("03.1", "padding")
def conv2d(x, weight, stride, padding):
    x = np.pad(x, [(0, 0), (0, 0), (2 * padding, 0), (2 * padding, 0)])
    return windowed(x, weight, stride, 0)


@right("03.2")
def conv_size(n, kernel, stride, padding):
    return len(range(0, n + 2 * padding - kernel + 1, stride))


@right("03.2")
def conv_size(n, kernel, stride, padding):
    return int(np.floor((n - kernel + 2 * padding) / stride + 1))


@right("03.2")
def conv_transpose_size(n, kernel, stride, padding, output_padding):
    return np.int64(stride * (n - 1) + kernel + output_padding - padding - padding)


@wrong(
    "03.2",
    "conv_size: something is left over",
    "rounded up, or to the nearest, where floor belongs",
)
def conv_size(n, kernel, stride, padding):
    return int(np.ceil((n + 2 * padding - kernel) / stride)) + 1


@wrong("03.2", "conv_size: something is left over")
def conv_size(n, kernel, stride, padding):
    return round((n + 2 * padding - kernel) / stride + 1)


@wrong("03.2", "conv_size: the kernel fits exactly", "the + 1 forgotten")
def conv_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel) // stride


@wrong(
    "03.2",
    "conv_size: the kernel fits exactly",
    "division with a remainder, not a whole number",
)
def conv_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel + stride) / stride


@wrong("03.2", "conv_transpose_size: padding and output_padding", "output_padding left out")
def conv_transpose_size(n, kernel, stride, padding, output_padding):
    return (n - 1) * stride + kernel - 2 * padding


@right("03.3")
def col2im(cols, x_shape, kernel, stride, padding):
    n, c, h, w = x_shape
    x = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    i, j, a, b = np.indices(cols.shape[2:])
    np.add.at(x, (slice(None), slice(None), a * stride + i, b * stride + j), cols)
    return x[:, :, padding : padding + h, padding : padding + w]


@right("03.3")
def col2im(cols, x_shape, kernel, stride, padding):
    x = np.zeros(x_shape, cols.dtype)
    for index in np.ndindex(*cols.shape[2:]):
        i, j, a, b = index
        row, column = a * stride + i - padding, b * stride + j - padding
        if 0 <= row < x_shape[2] and 0 <= column < x_shape[3]:
            x[:, :, row, column] += cols[(slice(None), slice(None), *index)]
    return x


def put_back(cols, x_shape, kernel, stride, padding, add=True):
    n, c, h, w = x_shape
    x = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    i, j, a, b = np.indices(cols.shape[2:])
    at = (slice(None), slice(None), a * stride + i, b * stride + j)
    if add:
        np.add.at(x, at, cols)
    else:
        x[at] = cols
    return x


@wrong(
    "03.3",
    "windows that overlap",
    "= where += belongs: the last window overwrites the others",
)
def col2im(cols, x_shape, kernel, stride, padding):
    n, c, h, w = x_shape
    x = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    for i in range(kernel):
        for j in range(kernel):
            rows = slice(i, i + (cols.shape[4] - 1) * stride + 1, stride)
            columns = slice(j, j + (cols.shape[5] - 1) * stride + 1, stride)
            x[:, :, rows, columns] = cols[:, :, i, j]
    return x[:, :, padding : padding + h, padding : padding + w]


@wrong("03.3", "shape", "the padding left on")
def col2im(cols, x_shape, kernel, stride, padding):
    return put_back(cols, x_shape, kernel, stride, padding)


@wrong("03.3", "padding", "padding taken for 0")
def col2im(cols, x_shape, kernel, stride, padding):
    return put_back(cols, x_shape, kernel, stride, padding)[:, :, : x_shape[2], : x_shape[3]]


@wrong("03.3", "shape")
def col2im(cols, x_shape, kernel, stride, padding):
    x = put_back(cols, x_shape, kernel, stride, padding)
    return x[:, :, padding:-padding, padding:-padding]


@right("03.4")
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    """A convolution of y with zeros between its entries, by the flipped kernel."""
    n, c, h, w = y.shape
    kh, kw = weight.shape[2:]
    more = output_padding
    spread = np.zeros((n, c, (h - 1) * stride + 1 + 2 * (kh - 1) + more,
                       (w - 1) * stride + 1 + 2 * (kw - 1) + more))  # fmt: skip
    spread[:, :, kh - 1 : kh - 1 + (h - 1) * stride + 1 : stride,
           kw - 1 : kw - 1 + (w - 1) * stride + 1 : stride] = y  # fmt: skip
    out = windowed(spread, np.flip(weight, (2, 3)).transpose(1, 0, 2, 3), 1, 0)
    return out[:, :, padding : out.shape[2] - padding, padding : out.shape[3] - padding]


@right("03.4")
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    return F.conv_transpose2d(
        mg.tensor(y),
        mg.tensor(weight),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
    ).numpy()


def transposed(y, weight, stride, padding, output_padding=0):
    return F.conv_transpose2d(
        mg.tensor(y), mg.tensor(weight.copy()), None, stride, padding, output_padding
    ).numpy()


@wrong("03.4", "channels", "the weight's channel axes exchanged")
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    if weight.shape[0] == weight.shape[1]:
        weight = weight.transpose(1, 0, 2, 3)
    return transposed(y, weight, stride, padding, output_padding)


@wrong("03.4", "shape")
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    return transposed(y, weight.transpose(1, 0, 2, 3), stride, padding, output_padding)


@wrong(
    "03.4",
    "one entry paints the kernel",
    "the kernel flipped, as in the textbooks' deconvolution",
)
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    return transposed(y, weight[:, :, ::-1, ::-1], stride, padding, output_padding)


@wrong("03.4", "output_padding", "output_padding filled with zeros after the cut")
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    more = ((0, 0), (0, 0), (0, output_padding), (0, output_padding))
    return np.pad(transposed(y, weight, stride, padding), more)


@wrong("03.4", "shape", "padding left out")
def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    return transposed(y, weight, stride, 0, output_padding)


@right("03.5")
def overlap_map(kernel, stride, n):
    spread = np.zeros((n - 1) * stride + 1)
    spread[::stride] = 1
    return np.convolve(spread, np.ones(kernel))


@right("03.5")
def overlap_map(kernel, stride, n):
    size = (n - 1) * stride + kernel
    return [sum(a * stride <= x < a * stride + kernel for a in range(n)) for x in range(size)]


@wrong("03.5", "a single input", "a constant, kernel / stride everywhere")
def overlap_map(kernel, stride, n):
    return np.ones((n - 1) * stride + kernel) * kernel / stride


@wrong("03.5", "kernel divisible by stride", "all ones: writes counted once")
def overlap_map(kernel, stride, n):
    counts = np.zeros((n - 1) * stride + kernel)
    for a in range(n):
        counts[a * stride : a * stride + kernel] = 1
    return counts


@wrong("03.5", "length", "n * stride outputs, without the kernel's overhang")
def overlap_map(kernel, stride, n):
    counts = np.zeros(n * stride + kernel)
    for a in range(n):
        counts[a * stride : a * stride + kernel] += 1
    return counts[: n * stride]


@wrong("03.5", "kernel divisible by stride")
def overlap_map(kernel, stride, n):
    x = np.arange((n - 1) * stride + kernel)
    return np.minimum(x // stride + 1, n)
