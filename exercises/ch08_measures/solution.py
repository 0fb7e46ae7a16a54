"""Chapter 08, measuring a GAN: solutions, with their reasoning."""

import numpy as np


def parzen_log_likelihood(samples, test, sigma):
    # log sum exp: the largest exponent is taken out, so one term is exactly 1 and none overflows.
    # The normaliser counts d times: in 784 dimensions it decides the number.
    squared = ((test[:, None] - samples[None]) ** 2).sum(axis=2)
    exponents = -squared / (2 * sigma**2)
    top = exponents.max(axis=1, keepdims=True)
    log_mean = top[:, 0] + np.log(np.exp(exponents - top).mean(axis=1))
    return log_mean - samples.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))


def inception_score(probs):
    # The divergence of each row from the average row. Where p(y|x) = 0 its term is 0; the logarithm
    # sees a 1 there. p(y) is 0 only where all p(y|x) are.
    average = probs.mean(axis=0)
    seen = probs > 0
    ratio = np.where(seen, probs / np.where(average > 0, average, 1), 1)
    return np.exp((probs * np.log(ratio)).sum(axis=1).mean())


def frechet_distance(mu1, cov1, mu2, cov2):
    # A symmetric matrix is V diag(w) V^T, and its root is V diag(sqrt w) V^T. Rounding makes some
    # eigenvalues of singular matrices slightly negative: those are 0. The trace of a root is the
    # sum of the roots of the eigenvalues.
    w, v = np.linalg.eigh(cov1)
    root = (v * np.sqrt(np.maximum(w, 0))) @ v.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov2 @ root), 0)).sum()
    return ((mu1 - mu2) ** 2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * cross


def precision_recall(real, fake, k):
    # In the sorted distances of a point to its own set, the first is the point itself, at 0: the
    # k-th of the others is at index k.
    def distances(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(axis=2)

    def share_inside(points, owners):
        radius = np.sort(distances(owners, owners), axis=1)[:, k]
        return (distances(points, owners) <= radius).any(axis=1).mean()

    return share_inside(fake, real), share_inside(real, fake)


def count_modes(samples, centers, sigma):
    # Only good samples count for modes: a sample halfway between two has found neither.
    distance = np.sqrt(((samples[:, None] - centers[None]) ** 2).sum(axis=2))
    good = distance.min(axis=1) <= 3 * sigma
    return len(set(distance.argmin(axis=1)[good].tolist())), good.mean()
