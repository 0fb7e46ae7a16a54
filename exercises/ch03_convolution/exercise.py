"""Chapter 03, convolution and its transpose: why "deconvolution" is convolution's gradient.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 03
"""

import numpy as np


def conv2d(x, weight, stride, padding):
    """A convolution layer without bias, as networks have it: the kernel is not flipped.

        y[n, o, a, b] = sum over c, i, j of x[n, c, a stride + i, b stride + j] weight[o, c, i, j]

    where x has first got ``padding`` zeros on each of its four sides. a and b run as far as the
    kernel stays inside.

    Args:
        x: array (N, C, H, W).
        weight: array (O, C, kh, kw).
        stride, padding: whole numbers, the same for both directions.

    Returns:
        An array (N, O, oh, ow), where oh = floor((H + 2 padding - kh) / stride) + 1.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.array([[[[1.0, 10.0]]]]), 1, 0).tolist()
    [[[[10.0, 21.0], [43.0, 54.0], [76.0, 87.0]]]]
    """
    raise NotImplementedError


def conv_size(n, kernel, stride, padding):
    """How many outputs a convolution has along an axis of n inputs.

        floor((n + 2 padding - kernel) / stride) + 1

    Args:
        n, kernel, stride, padding: whole numbers; the kernel fits into the padded input.

    Returns:
        A whole number.

    >>> conv_size(28, 4, 2, 1), conv_size(28, 5, 2, 2), conv_size(7, 3, 2, 0)
    (14, 14, 3)
    """
    raise NotImplementedError


def conv_transpose_size(n, kernel, stride, padding, output_padding):
    """How many outputs a transposed convolution has along an axis of n inputs.

        (n - 1) stride - 2 padding + kernel + output_padding

    Args:
        n, kernel, stride, padding, output_padding: whole numbers.

    Returns:
        A whole number.

    >>> conv_transpose_size(7, 4, 2, 1, 0), conv_transpose_size(7, 5, 2, 2, 1)
    (14, 14)
    """
    raise NotImplementedError


def col2im(cols, x_shape, kernel, stride, padding):
    """Put the windows of a convolution back where they came from, and add where they overlap.

    cols[n, c, i, j, a, b] belongs to the padded entry [n, c, a stride + i, b stride + j]. An entry
    that several windows cover gets the sum, one that none covers gets 0. The padding is cut off.
    This is the adjoint of cutting the windows out, and so the gradient of it.

    Args:
        cols: array (N, C, k, k, oh, ow).
        x_shape: the tuple (N, C, H, W).
        kernel, stride, padding: whole numbers; kernel is k.

    Returns:
        An array (N, C, H, W).

    >>> cols = np.ones((1, 1, 2, 2, 2, 2))
    >>> col2im(cols, (1, 1, 3, 3), 2, 1, 0).tolist()
    [[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]
    """
    raise NotImplementedError


def conv_transpose2d(y, weight, stride, padding, output_padding=0):
    """A transposed convolution without bias: each input entry paints its copy of the kernel.

        x[n, o, a stride + i, b stride + j]  gets  sum over c of y[n, c, a, b] weight[c, o, i, j]

    for all a, b, i, j, and what meets in one entry adds up. Then ``padding`` rows and columns are
    cut off on each side, and ``output_padding`` is added to the size at the bottom and on the
    right: these entries get what was painted there (0 beyond all paint). It is the adjoint of
    conv2d with the same weight.

    Args:
        y: array (N, C_in, H, W).
        weight: array (C_in, C_out, kh, kw).
        stride, padding, output_padding: whole numbers; output_padding is less than stride.

    Returns:
        An array (N, C_out, (H - 1) stride - 2 padding + kh + output_padding, and so for W and kw).

    >>> y, weight = np.array([[[[1.0, 10.0]]]]), np.array([[[[1.0, 2.0, 3.0]]]])
    >>> conv_transpose2d(y, weight, 2, 0).tolist()
    [[[[1.0, 2.0, 13.0, 20.0, 30.0]]]]
    """
    raise NotImplementedError


def overlap_map(kernel, stride, n):
    """How often a transposed convolution writes to each of its outputs, in one dimension.

    Input a writes to the outputs a stride, ..., a stride + kernel - 1. There is no padding. Uneven
    counts are what shows as a checkerboard (Odena et al. 2016).

    Args:
        kernel, stride: whole numbers.
        n: how many inputs there are.

    Returns:
        An array of (n - 1) stride + kernel counts.

    >>> overlap_map(3, 2, 3).tolist()
    [1, 1, 2, 1, 2, 1, 1]
    >>> overlap_map(4, 2, 3).tolist()
    [1, 1, 2, 2, 2, 2, 1, 1]
    """
    raise NotImplementedError
