"""Chapter 07, when it fails: solutions, with their reasoning."""

import numpy as np


def bilinear_step(x, y, lr, simultaneous):
    # The slope of xy in x is y, and in y it is x. x goes down: minus; y goes up: plus.
    new_x = x - lr * y
    new_y = y + lr * (x if simultaneous else new_x)
    return new_x, new_y


def smoothed_optimal_discriminator(p, q, alpha=0.9, beta=0.0):
    # Cross-entropy against a soft target is least at the mean target. At x the target is alpha with
    # weight p and beta with weight q. With beta > 0 the samples stand in the numerator: D would
    # then reward G for staying where its samples are, which is why only the data are smoothed.
    total = p + q
    empty = total == 0
    return np.where(empty, 0.5, (alpha * p + beta * q) / np.where(empty, 1, total))


def minibatch_stddev(x, group_size):
    # Consecutive samples form a group: reshaping (N, ...) to (groups, group_size, ...) keeps them
    # together. If G collapses, all deviations are small, and D can see that in every sample.
    n, c, h, w = x.shape
    groups = x.reshape(n // group_size, group_size, c, h, w)
    deviation = np.sqrt(groups.var(axis=1) + 1e-8).mean(axis=(1, 2, 3))
    channel = np.repeat(deviation, group_size)[:, None, None, None]
    return np.concatenate([x, np.broadcast_to(channel, (n, 1, h, w))], axis=1)


def feature_matching_loss(real_features, fake_features):
    # Means first, then the difference: single samples need not resemble each other.
    difference = real_features.mean(axis=0) - fake_features.mean(axis=0)
    return (difference * difference).sum()


def update_ema(average, params, decay):
    # *= and += write into the arrays themselves. average[i] = ... would put other arrays into the
    # list, and average[i] = params[i] would even be the net's own weights.
    for a, p in zip(average, params, strict=True):
        a *= decay
        a += (1 - decay) * p
