"""Chapter 03, convolution and its transpose: solutions, with their reasoning."""

import numpy as np


def conv2d(x, weight, stride, padding):
    # For one place (i, j) of the kernel, the entries of x that it meets in all windows are a
    # strided slice. So loop over the few places of the kernel, not over the many windows.
    p = padding
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    kh, kw = weight.shape[2:]
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = 0
    for i in range(kh):
        for j in range(kw):
            rows = slice(i, i + (oh - 1) * stride + 1, stride)
            columns = slice(j, j + (ow - 1) * stride + 1, stride)
            y = y + np.einsum("ncab,oc->noab", x[:, :, rows, columns], weight[:, :, i, j])
    return y


def conv_size(n, kernel, stride, padding):
    # The first window starts at 0, the last at n + 2 padding - kernel at most, in steps of stride.
    return (n + 2 * padding - kernel) // stride + 1


def conv_transpose_size(n, kernel, stride, padding, output_padding):
    # The first copy of the kernel starts at 0, the last at (n - 1) stride; 2 padding are cut off.
    # Several input sizes of a convolution lead to one output size: output_padding says which.
    return (n - 1) * stride + kernel - 2 * padding + output_padding


def col2im(cols, x_shape, kernel, stride, padding):
    # Windows overlap, but the entries that one place (i, j) of the kernel meets do not: so one
    # slice at a time, += is safe. Work on the padded size and cut at the end.
    n, c, h, w = x_shape
    oh, ow = cols.shape[4:]
    x = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    for i in range(kernel):
        for j in range(kernel):
            rows = slice(i, i + (oh - 1) * stride + 1, stride)
            columns = slice(j, j + (ow - 1) * stride + 1, stride)
            x[:, :, rows, columns] += cols[:, :, i, j]
    return x[:, :, padding : padding + h, padding : padding + w]


def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    # The place (i, j) of the kernel writes to a strided slice, and there to each entry once. The
    # canvas is large enough for the paint and for output_padding; then cut.
    n, _, h, w = y.shape
    _, c_out, kh, kw = weight.shape
    p, more = padding, output_padding
    x = np.zeros((n, c_out, (h - 1) * stride + kh + more, (w - 1) * stride + kw + more))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i, i + (h - 1) * stride + 1, stride)
            columns = slice(j, j + (w - 1) * stride + 1, stride)
            x[:, :, rows, columns] += np.einsum("ncab,co->noab", y, weight[:, :, i, j])
    return x[:, :, p : x.shape[2] - p, p : x.shape[3] - p]


def overlap_map(kernel, stride, n):
    # Count by writing 1 where the layer would write: a transposed convolution of ones. Inside, each
    # output gets kernel / stride writes if that is a whole number, and unequal numbers if not.
    counts = np.zeros((n - 1) * stride + kernel, dtype=int)
    for a in range(n):
        counts[a * stride : a * stride + kernel] += 1
    return counts
