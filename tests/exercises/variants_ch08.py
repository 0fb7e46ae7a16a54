"""Chapter 08: other answers."""

import numpy as np
from variant import right, wrong


def cross(a, b):
    """Squared distances by the binomial formula."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


@right("08.1")
def parzen_log_likelihood(samples, test, sigma):
    n, d = samples.shape
    e = -0.5 * cross(test, samples) / sigma**2
    return np.logaddexp.reduce(e, axis=1) - np.log(n) - 0.5 * d * np.log(2 * np.pi * sigma**2)


@wrong("08.1", "one sample, one dimension", "the normaliser missing")
def parzen_log_likelihood(samples, test, sigma):
    e = -0.5 * cross(test, samples) / sigma**2
    return np.logaddexp.reduce(e, axis=1) - np.log(len(samples))


@wrong(
    "08.1",
    "far from all samples",
    "exponentials that round to 0 before their logarithm is taken",
)
def parzen_log_likelihood(samples, test, sigma):
    d = samples.shape[1]
    density = np.exp(-cross(test, samples) / 2 / sigma**2).mean(1)
    return np.log(density) - d * np.log(sigma * np.sqrt(2 * np.pi))


@wrong(
    "08.1",
    "far from all samples",
    "the largest exponent of all rows taken out, not that of each row",
)
def parzen_log_likelihood(samples, test, sigma):
    e = -cross(test, samples) / (2 * sigma**2)
    density = np.exp(e - e.max()).sum(1) / len(samples)
    return np.log(density) + e.max() - samples.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))


@wrong("08.1", "one sample, one dimension", "the largest exponent taken out and not put back")
def parzen_log_likelihood(samples, test, sigma):
    e = -cross(test, samples) / (2 * sigma**2)
    density = np.exp(e.T - e.max(1)).mean(0)
    return np.log(density) - samples.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))


@wrong("08.1", "several samples", "a sum over the samples instead of a mean")
def parzen_log_likelihood(samples, test, sigma):
    d = samples.shape[1]
    e = -0.5 * cross(test, samples) / sigma**2
    return np.logaddexp.reduce(e, axis=1) - 0.5 * d * np.log(2 * np.pi * sigma**2)


@wrong("08.1", "several dimensions", "the normaliser of one dimension only")
def parzen_log_likelihood(samples, test, sigma):
    e = -0.5 * cross(test, samples) / sigma**2
    return np.logaddexp.reduce(e, 1) - np.log(len(samples) * sigma * np.sqrt(2 * np.pi))


@right("08.2")
def inception_score(probs):
    def entropy(p):
        p = p[p > 0]
        return -(p * np.log(p)).sum()

    return float(np.exp(entropy(probs.mean(0)) - np.mean([entropy(row) for row in probs])))


@wrong("08.2", "soft predictions", "the divergence reversed, of the average from each row")
def inception_score(probs):
    q = probs.mean(0)
    return np.exp((q * (np.log(q) - np.log(probs))).sum(1).mean())


@wrong("08.2", "certain and balanced", "0 * log 0, which NumPy makes nan")
def inception_score(probs):
    return np.exp((probs * (np.log(probs) - np.log(probs.mean(0)))).sum(1).mean())


@wrong("08.2", "all samples alike", "the logarithm of the score: exp forgotten")
def inception_score(probs):
    q = probs.mean(0)
    return (probs * np.log(probs / q)).sum(1).mean()


@wrong(
    "08.2",
    "soft predictions",
    "the mean of exponentials, not the exponential of the mean",
)
def inception_score(probs):
    return np.mean(np.exp((probs * np.log(probs / probs.mean(0))).sum(1)))


def root_of(a):
    u, s, _ = np.linalg.svd(a)
    return (u * np.sqrt(s)) @ u.T


@right("08.3")
def frechet_distance(mu1, cov1, mu2, cov2):
    """The trace of the root is the sum of the singular values of the product of roots."""
    gap = mu1 - mu2
    nuclear = np.linalg.svd(root_of(cov1) @ root_of(cov2), compute_uv=False).sum()
    return gap @ gap + np.trace(cov1 + cov2) - 2 * nuclear


@right("08.3")
def frechet_distance(mu1, cov1, mu2, cov2):
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov1 @ cov2).real, 0))
    return np.sum((mu1 - mu2) ** 2) + np.trace(cov1) + np.trace(cov2) - 2 * roots.sum()


@wrong("08.3", "features that depend on each other", "an elementwise root, of cov1 * cov2")
def frechet_distance(mu1, cov1, mu2, cov2):
    gap = mu1 - mu2
    return gap @ gap + np.trace(cov1 + cov2 - 2 * np.sqrt(abs(cov1 * cov2)))


@wrong("08.3", "means alone", "a distance that is not squared")
def frechet_distance(mu1, cov1, mu2, cov2):
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov1 @ cov2).real, 0))
    return np.linalg.norm(mu1 - mu2) + np.trace(cov1 + cov2) - 2 * roots.sum()


@wrong("08.3", "singular covariances")
def frechet_distance(mu1, cov1, mu2, cov2):
    roots = np.sqrt(np.linalg.eigvalsh(root_of(cov1) @ cov2 @ root_of(cov1)) - 1e-12)
    return np.sum((mu1 - mu2) ** 2) + np.trace(cov1 + cov2) - 2 * roots.sum()


@wrong(
    "08.3",
    "singular covariances",
    "what singular matrices do not have: a Cholesky factor, an inverse, or eigenvalues of which "
    "none is rounded below 0",
)
def frechet_distance(mu1, cov1, mu2, cov2):
    c = np.linalg.cholesky(cov2)
    roots = np.sqrt(np.linalg.eigvalsh(c.T @ cov1 @ c))
    return np.sum((mu1 - mu2) ** 2) + np.trace(cov1 + cov2) - 2 * roots.sum()


@right("08.4")
def precision_recall(real, fake, k):
    def radii(points):
        d = cross(points, points)
        np.fill_diagonal(d, np.inf)
        return np.partition(d, k - 1, axis=1)[:, k - 1]

    d = cross(real, fake)
    precision = (d <= radii(real)[:, None] * (1 + 1e-12)).any(0).mean()
    return [precision, (d <= radii(fake) * (1 + 1e-12)).any(1).mean()]


def shares(real, fake, k):
    def inside(points, owners):
        radius = np.sort(cross(owners, owners), 1)[:, k]
        return (cross(points, owners) <= radius).any(1).mean()

    return inside(fake, real), inside(real, fake)


@wrong("08.4", "any sets, any k", "precision and recall swapped")
def precision_recall(real, fake, k):
    return shares(real, fake, k)[::-1]


@wrong("08.4", "any sets, any k", "the point itself counted among its neighbours")
def precision_recall(real, fake, k):
    return shares(real, fake, k - 1)


@wrong("08.4", "points on the surface", "< where <= belongs")
def precision_recall(real, fake, k):
    def inside(points, owners):
        radius = np.sort(cross(owners, owners), 1)[:, k]
        return (cross(points, owners) < radius).any(1).mean()

    return inside(fake, real), inside(real, fake)


@wrong("08.4", "two numbers")
def precision_recall(real, fake, k):
    return shares(real, fake, k)[0]


@right("08.5")
def count_modes(samples, centers, sigma):
    d = np.linalg.norm(samples[:, None, :] - centers[None, :, :], axis=-1)
    near = np.argmin(d, axis=1)
    good = np.min(d, axis=1) <= 3 * sigma
    hits = np.bincount(near[good], minlength=len(centers))
    return np.count_nonzero(hits), np.count_nonzero(good) / len(samples)


@wrong("08.5", "bad samples", "no quality cut for modes: every sample hits its nearest")
def count_modes(samples, centers, sigma):
    d = np.linalg.norm(samples[:, None] - centers, axis=-1)
    return len(np.unique(d.argmin(1))), float((d.min(1) <= 3 * sigma).mean())


@wrong(
    "08.5",
    "each mode counts once",
    "the number of good samples where their share belongs",
)
def count_modes(samples, centers, sigma):
    d = np.linalg.norm(samples[:, None] - centers, axis=-1)
    good = d.min(1) <= 3 * sigma
    return len(np.unique(d.argmin(1)[good])), good.sum()


@wrong("08.5", "within 3 sigma", "each axis by itself within 3 sigma")
def count_modes(samples, centers, sigma):
    d = abs(samples[:, None] - centers).max(2)
    good = d.min(1) <= 3 * sigma
    return len(np.unique(d.argmin(1)[good])), good.mean()


@wrong(
    "08.5",
    "modes that are close together",
    "every mode within 3 sigma of a sample, not only the nearest",
)
def count_modes(samples, centers, sigma):
    d = np.linalg.norm(samples[:, None] - centers, axis=-1) <= 3 * sigma
    return d.any(0).sum(), d.any(1).mean()
