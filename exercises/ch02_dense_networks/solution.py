"""Chapter 02, dense networks: solutions, with their reasoning."""

import numpy as np


def linear_backward(x, weight, grad_y):
    # x[n, i] goes into y[n, o] for every o, with weight[o, i]: sum over o. weight[o, i] is used in
    # every row n, with x[n, i]: sum over n. bias[o] is used in every row, with 1: sum over n.
    # Each product has only one order in which its shapes fit.
    return grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=0)


def bce_with_logits(logits, targets):
    # -log sigmoid(s) = log(1 + e^-s), -log(1 - sigmoid(s)) = log(1 + e^s) = log(1 + e^-s) + s.
    # Their mixture is log(1 + e^-s) + (1 - t) s, where log(1 + e^-s) = max(s, 0) - s +
    # log(1 + e^-|s|), whose exponent is never positive.
    return (np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-abs(logits)))).mean()


def bce_with_logits_grad(logits, targets):
    # The derivative of log(1 + e^s) - s t is sigmoid(s) - t, and the mean divides by the count.
    # sigmoid(s) = (1 + tanh(s / 2)) / 2 has no exponential of its own that could overflow.
    return ((1 + np.tanh(logits / 2)) / 2 - targets) / logits.size


def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    # m and v start at 0, and after t steps their weights add up to 1 - beta^t: dividing by that
    # makes them averages. At t = 1 the step is lr * sign(grad), whatever the betas.
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return param - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def batchnorm_backward(x, gamma, grad_y, eps):
    # Moving a whole column by a constant changes nothing, nor (up to eps) does stretching it. So of
    # g = grad_y * gamma, the gradient in x_hat, the part along (1, ..., 1) and the part along x_hat
    # are taken out; what is left is divided by the standard deviation.
    std = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    g = grad_y * gamma
    dx = (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)) / std
    return dx, (grad_y * x_hat).sum(axis=0), grad_y.sum(axis=0)
