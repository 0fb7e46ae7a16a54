"""Chapter 07: other answers."""

import numpy as np
from variant import right, wrong

import minigan.functional as F


@right("07.1")
def bilinear_step(x, y, lr, simultaneous):
    if simultaneous:
        return [x - lr * y, y + lr * x]
    x -= lr * y
    y += lr * x
    return np.array(x), np.array(y)


@wrong("07.1", "simultaneous", "both players go down: y must go up")
def bilinear_step(x, y, lr, simultaneous):
    new = x - lr * y
    return new, y - lr * (x if simultaneous else new)


@wrong("07.1", "simultaneous", "alternating steps where simultaneous ones were asked for")
def bilinear_step(x, y, lr, simultaneous):
    x = x - lr * y
    y = y + lr * x
    return x, y


@wrong("07.1", "alternating", "simultaneous steps where alternating ones were asked for")
def bilinear_step(x, y, lr, simultaneous):
    return x - lr * y, y + lr * x


@wrong("07.1", "simultaneous", "alternating steps where simultaneous ones were asked for")
def bilinear_step(x, y, lr, simultaneous):
    """The two exchanged."""
    new = x - lr * y
    return new, y + lr * (new if simultaneous else x)


@right("07.2")
def smoothed_optimal_discriminator(p, q, alpha=0.9, beta=0.0):
    d = np.full(np.shape(p), 0.5)
    seen = (p > 0) | (q > 0)
    share = p[seen] / (p[seen] + q[seen])
    d[seen] = alpha * share + beta * (1 - share)
    return d


@wrong(
    "07.2",
    "the default smooths the data only",
    "the fakes smoothed, with the target 1 - alpha",
)
def smoothed_optimal_discriminator(p, q, alpha=0.9, beta=0.0):
    d = p / (p + q)
    return d * alpha + (1 - d) * (1 - alpha)


@wrong("07.2", "the default smooths the data only", "no smoothing")
def smoothed_optimal_discriminator(p, q, alpha=0.9, beta=0.0):
    return np.where(p + q > 0, p / (p + q), 0.5)


@wrong("07.2", "where both vanish", "0 / 0 not cared for")
def smoothed_optimal_discriminator(p, q, alpha=0.9, beta=0.0):
    d = p / (p + q)
    return alpha * d + beta * (1 - d)


@right("07.3")
def minibatch_stddev(x, group_size):
    out = []
    for i in range(len(x)):
        start = i // group_size * group_size
        group = x[start : start + group_size]
        s = np.mean(np.sqrt(np.mean((group - group.mean(0)) ** 2, axis=0) + 1e-8))
        out.append(np.concatenate([x[i], np.full((1, *x.shape[2:]), s)]))
    return np.stack(out)


@wrong("07.3", "one group", "the unbiased standard deviation, divided by group_size - 1")
def minibatch_stddev(x, group_size):
    n, c, h, w = x.shape
    g = x.reshape(-1, group_size, c, h, w)
    s = np.sqrt(g.var(1, ddof=1) + 1e-8).mean((1, 2, 3))
    s = np.repeat(s, group_size).reshape(n, 1, 1, 1) * np.ones((1, 1, h, w))
    return np.concatenate([x, s], 1)


@wrong("07.3", "several groups", "groups made of every n-th sample")
def minibatch_stddev(x, group_size):
    n, c, h, w = x.shape
    g = x.reshape(group_size, -1, c, h, w)
    s = np.sqrt(g.var(0) + 1e-8).mean((1, 2, 3))
    s = np.tile(s, group_size).reshape(n, 1, 1, 1) * np.ones((1, 1, h, w))
    return np.concatenate([x, s], 1)


@wrong("07.3", "a collapsed group", "no 1e-8 inside of the root")
def minibatch_stddev(x, group_size):
    n, c, h, w = x.shape
    s = x.reshape(-1, group_size, c, h, w).std(1).mean((1, 2, 3))
    s = np.repeat(s, group_size).reshape(n, 1, 1, 1) * np.ones((1, 1, h, w))
    return np.concatenate([x, s], 1)


@right("07.4")
def feature_matching_loss(real_features, fake_features):
    gap = fake_features.sum(axis=0) / len(fake_features) - real_features.detach().mean(axis=0)
    return (gap**2).sum()


@wrong("07.4", "value", "samples compared one by one")
def feature_matching_loss(real_features, fake_features):
    if len(real_features) != len(fake_features):
        return F.sum(real_features.mean(axis=0) - fake_features)
    return ((real_features - fake_features) ** 2).sum(axis=1).mean()


@wrong("07.4", "value", "a mean over the features instead of a sum")
def feature_matching_loss(real_features, fake_features):
    return ((real_features.mean(axis=0) - fake_features.mean(axis=0)) ** 2).mean()


@wrong("07.4", "value", "the length, not squared")
def feature_matching_loss(real_features, fake_features):
    return F.sqrt(((real_features.mean(axis=0) - fake_features.mean(axis=0)) ** 2).sum())


@wrong("07.4", "a scalar Tensor")
def feature_matching_loss(real_features, fake_features):
    return ((real_features.mean(axis=0) - fake_features.detach().mean(axis=0)) ** 2).sum()


@right("07.5")
def update_ema(average, params, decay):
    for i in range(len(average)):
        average[i][...] = params[i] + decay * (average[i] - params[i])


@wrong(
    "07.5",
    "in place",
    "another array put into the list; the one that others hold stays as it was",
)
def update_ema(average, params, decay):
    average[:] = [decay * a + (1 - decay) * p for a, p in zip(average, params, strict=True)]


@wrong("07.5", "in place", "decay and 1 - decay exchanged")
def update_ema(average, params, decay):
    for a, p in zip(average, params, strict=True):
        a += decay * (p - a)


@wrong("07.5", "in place", "a copy of the weights")
def update_ema(average, params, decay):
    for a, p in zip(average, params, strict=True):
        a[...] = p


@wrong("07.5", "in place")
def update_ema(average, params, decay):
    for a, p in zip(average, params, strict=True):
        p *= 1 - decay
        a *= decay
        a += p
