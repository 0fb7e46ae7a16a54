"""Chapter 02: other answers."""

import numpy as np
from variant import right, wrong

import minigan as mg


@right("02.1")
def linear_backward(x, weight, grad_y):
    return (
        np.einsum("no,oi->ni", grad_y, weight),
        np.einsum("no,ni->oi", grad_y, x),
        np.ones(len(x)) @ grad_y,
    )


@right("02.1")
def linear_backward(x, weight, grad_y):
    return [grad_y.dot(weight), (x.T @ grad_y).T, np.add.reduce(grad_y)]


@wrong("02.1", "shapes", "a bias gradient that is not summed over the batch")
def linear_backward(x, weight, grad_y):
    return grad_y @ weight, grad_y.T @ x, grad_y


@wrong("02.1", "gradient of the bias", "a bias gradient averaged over the batch")
def linear_backward(x, weight, grad_y):
    return grad_y @ weight, grad_y.T @ x, np.mean(grad_y, axis=0)


@wrong("02.1", "shapes", "a weight gradient that is transposed")
def linear_backward(x, weight, grad_y):
    return np.dot(grad_y, weight), np.dot(x.T, grad_y), grad_y.sum(0)


@wrong("02.1", "gradient of the weight", "a weight gradient averaged over the batch")
def linear_backward(x, weight, grad_y):
    return grad_y @ weight, np.mean(grad_y[:, :, None] * x[:, None, :], axis=0), grad_y.sum(0)


@wrong("02.1", "gradient of x")
def linear_backward(x, weight, grad_y):
    return 2 * grad_y @ weight, grad_y.T @ x, grad_y.sum(0)


@right("02.2")
def bce_with_logits(logits, targets):
    return np.mean(np.logaddexp(0, logits) - targets * logits)


@right("02.2")
def bce_with_logits_grad(logits, targets):
    x = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + x), x / (1 + x)) / logits.size - targets / logits.size


@right("02.2")
def bce_with_logits_grad(logits, targets):
    with np.errstate(over="ignore"):
        return np.subtract(1 / (1 + np.exp(-logits)), targets) / np.prod(np.shape(logits))


@wrong("02.2", "loss with targets 0 and 1", "a sum over the entries instead of a mean")
def bce_with_logits(logits, targets):
    return np.sum(np.logaddexp(0, logits) - targets * logits)


@wrong(
    "02.2",
    "loss of logits as far out as 1000",
    "logarithms of a probability that has rounded to 0 or 1",
)
def bce_with_logits(logits, targets):
    p = 1 / (1 + np.exp(-logits))
    return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))


@wrong(
    "02.2",
    "loss of logits as far out as 1000",
    "probabilities kept away from 0 and 1 by a small number",
)
def bce_with_logits(logits, targets):
    p = np.clip(1 / (1 + np.exp(-logits)), 1e-12, 1 - 1e-12)
    return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))


@wrong("02.2", "loss with targets between 0 and 1", "the targets rounded to 0 or 1")
def bce_with_logits(logits, targets):
    return np.where(targets > 0.5, np.logaddexp(0, -logits), np.logaddexp(0, logits)).mean()


@wrong("02.2", "gradient", "the slope of the sum, not divided by the count")
def bce_with_logits_grad(logits, targets):
    return 1 / (1 + np.exp(-logits)) - targets


@wrong("02.2", "gradient", "divided by the rows only, not by all entries")
def bce_with_logits_grad(logits, targets):
    return (1 / (1 + np.exp(-logits)) - targets) / logits.shape[0]


@wrong("02.2", "gradient at logits as far out as 1000", "e^s / (1 + e^s), which overflows to nan")
def bce_with_logits_grad(logits, targets):
    e = np.exp(logits)
    return (e / (e + 1) - targets) / logits.size


@right("02.3")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = m + (1 - beta1) * (grad - m)
    v = v + (1 - beta2) * (grad * grad - v)
    scale = np.sqrt(1 - beta2**t)
    return param - lr * scale / (1 - beta1**t) * m / (np.sqrt(v) + eps * scale), m, v


@right("02.3")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    param, m, v = param.copy(), m.copy(), v.copy()
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * np.square(grad)
    param -= lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return [param, m, v]


@wrong("02.3", "the first step", "Adam without bias correction")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return param - lr * m / (v**0.5 + eps), m, v


@wrong("02.3", "three arrays")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return param - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


@wrong("02.3", "the averages m and v", "the corrected averages kept for the next step")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = (beta1 * m + (1 - beta1) * grad) / (1 - beta1**t)
    v = (beta2 * v + (1 - beta2) * grad**2) / (1 - beta2**t)
    return param - lr * m / (np.sqrt(v) + eps), m, v


@wrong("02.3", "the averages m and v", "v as a mean of grad, not of its square")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m, v = m + (1 - beta1) * (grad - m), v + (1 - beta2) * (grad - v)
    return param - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


@wrong("02.3", "a later step", "beta where beta^t belongs, which is right at the first step alone")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m, v = m + (1 - beta1) * (grad - m), v + (1 - beta2) * (grad**2 - v)
    return param - lr * m / (1 - beta1) / (np.sqrt(v / (1 - beta2)) + eps), m, v


@wrong("02.3", "the first step", "eps inside of the root")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return param - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + eps), m, v


@wrong("02.3", "a gradient of 0")
def adam_step(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    root = np.sqrt(v / (1 - beta2**t))
    return param - lr * m / (1 - beta1**t) / np.where(root > 0, root + eps, 0.0), m, v


@right("02.4")
def batchnorm_backward(x, gamma, grad_y, eps):
    """Step by step through the graph."""
    n = len(x)
    mu = x.sum(0) / n
    centred = x - mu
    var = (centred**2).sum(0) / n
    inv = (var + eps) ** -0.5
    dx_hat = grad_y * gamma
    dinv = (dx_hat * centred).sum(0)
    dvar = dinv * -0.5 * (var + eps) ** -1.5
    dcentred = dx_hat * inv + dvar * 2 * centred / n
    dmu = -dcentred.sum(0)
    return dcentred + dmu / n, (grad_y * centred * inv).sum(0), grad_y.sum(0)


@right("02.4")
def batchnorm_backward(x, gamma, grad_y, eps):
    """By minigan's own engine."""
    inputs = [mg.tensor(a, requires_grad=True) for a in (x, gamma, np.zeros_like(gamma))]
    y = mg.functional.batch_norm(*inputs, eps=eps)
    return tuple(g.numpy() for g in mg.grad((y * mg.tensor(grad_y)).sum(), inputs))


@wrong("02.4", "gradient of x", "mean and variance held constant")
def batchnorm_backward(x, gamma, grad_y, eps):
    inv = 1 / np.sqrt(x.var(0) + eps)
    return grad_y * gamma * inv, (grad_y * (x - x.mean(0)) * inv).sum(0), grad_y.sum(0)


@wrong("02.4", "gradient of x", "the variance held constant")
def batchnorm_backward(x, gamma, grad_y, eps):
    inv = 1 / np.sqrt(x.var(0) + eps)
    g = grad_y * gamma * inv
    return g - g.mean(0), (grad_y * (x - x.mean(0)) * inv).sum(0), grad_y.sum(0)


@wrong("02.4", "gradient of gamma", "a gamma gradient made with x, not with x_hat")
def batchnorm_backward(x, gamma, grad_y, eps):
    inv = 1 / np.sqrt(x.var(0) + eps)
    x_hat = (x - x.mean(0)) * inv
    g = grad_y * gamma
    dx = inv * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))
    return dx, (grad_y * x).sum(0), grad_y.sum(0)


@wrong("02.4", "gradient of gamma", "a variance divided by N - 1")
def batchnorm_backward(x, gamma, grad_y, eps):
    inv = 1 / np.sqrt(x.var(0, ddof=1) + eps)
    x_hat = (x - x.mean(0)) * inv
    g = grad_y * gamma
    return (
        inv * (g - g.mean(0) - x_hat * (g * x_hat).mean(0)),
        (grad_y * x_hat).sum(0),
        grad_y.sum(0),
    )
