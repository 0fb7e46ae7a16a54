"""Chapter 02, dense networks: what layers, losses and optimisers compute.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 02
"""

import numpy as np


def linear_backward(x, weight, grad_y):
    """The gradients of a dense layer y = x @ weight.T + bias.

    Entry by entry, y[n, o] = sum over i of x[n, i] weight[o, i], plus bias[o]. With grad_y[n, o]
    the gradient of the loss in y[n, o], the chain rule gives each gradient as a sum.

    Args:
        x: array (N, in).
        weight: array (out, in).
        grad_y: array (N, out).

    Returns:
        The tuple (dx, dweight, dbias), of shapes (N, in), (out, in), (out,).

    >>> x, weight, grad_y = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([[10.0]])
    >>> [g.tolist() for g in linear_backward(x, weight, grad_y)]
    [[[30.0, 40.0]], [[10.0, 20.0]], [10.0]]
    """
    raise NotImplementedError


def bce_with_logits(logits, targets):
    """Binary cross-entropy of the probabilities sigmoid(logits), from the logits themselves.

        mean over all entries of  - t log sigmoid(s) - (1 - t) log(1 - sigmoid(s))
                                = max(s, 0) - s t + log(1 + e^-|s|)

    Args:
        logits: array of any shape, up to +-1000 and beyond.
        targets: array of the same shape, from 0 to 1.

    Returns:
        A number.

    >>> round(float(bce_with_logits(np.array([0.0, 1000.0]), np.array([1.0, 1.0]))), 6)
    0.346574
    """
    raise NotImplementedError


def bce_with_logits_grad(logits, targets):
    """The gradient of bce_with_logits in the logits.

        (sigmoid(s) - t) / (number of entries)

    Args:
        logits, targets: as for bce_with_logits.

    Returns:
        An array of the logits' shape.

    >>> bce_with_logits_grad(np.array([0.0, 1000.0]), np.array([1.0, 1.0])).tolist()
    [-0.25, 0.0]
    """
    raise NotImplementedError


def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    """One step of Adam (Kingma & Ba 2015, algorithm 1).

        m <- beta1 m + (1 - beta1) grad           m_hat = m / (1 - beta1^t)
        v <- beta2 v + (1 - beta2) grad^2         v_hat = v / (1 - beta2^t)
        param <- param - lr m_hat / (sqrt(v_hat) + eps)

    Args:
        param, grad, m, v: arrays of one shape; none is changed in place.
        t: the number of this step, from 1.
        lr, beta1, beta2, eps: numbers.

    Returns:
        The tuple (param, m, v) of new arrays: m and v without the correction.

    >>> zero = np.zeros(1)
    >>> p, m, v = adam_step(np.array([1.0]), np.array([4.0]), zero, zero, 1, 0.1, 0.9, 0.999, 0.0)
    >>> p.round(6).tolist(), m.round(6).tolist(), v.round(6).tolist()
    ([0.9], [0.4], [0.016])
    """
    raise NotImplementedError


def batchnorm_backward(x, gamma, grad_y, eps):
    """The gradients of batch norm in training mode, y = gamma x_hat + beta.

        x_hat = (x - mu) / sqrt(var + eps)

    mu and var are the mean and the variance (divided by N) of each column of x. They depend on
    every row, so each row's gradient has a part that came through them
    (Ioffe & Szegedy 2015, section 3).

    Args:
        x: array (N, C).
        gamma: array (C,).
        grad_y: array (N, C).
        eps: a number.

    Returns:
        The tuple (dx, dgamma, dbeta), of shapes (N, C), (C,), (C,).

    >>> x, grad_y = np.array([[1.0], [3.0]]), np.array([[1.0], [0.0]])
    >>> dx, dgamma, dbeta = batchnorm_backward(x, np.array([2.0]), grad_y, 0.0)
    >>> dx.tolist(), dgamma.tolist(), dbeta.tolist()
    ([[0.0], [0.0]], [-1.0], [1.0])
    """
    raise NotImplementedError
