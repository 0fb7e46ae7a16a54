"""Chapter 08, measuring a GAN: what each measure sees and misses.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 08
"""

import numpy as np


def parzen_log_likelihood(samples, test, sigma):
    """The log-density of test points under a Gaussian around each sample, in nats.

        log p(x) = log of the mean over samples s of N(x; s, sigma^2 I)
                 = log mean exp(-|x - s|^2 / (2 sigma^2)) - d log(sigma sqrt(2 pi))

    d is the number of dimensions. Far from all samples every exponential rounds to 0: take the
    largest exponent out before.

    Args:
        samples: array (n, d).
        test: array (m, d).
        sigma: a number, the width.

    Returns:
        An array (m,), one number for each test point.

    >>> parzen_log_likelihood(np.zeros((1, 1)), np.array([[0.0], [1.0]]), 1.0).round(6).tolist()
    [-0.918939, -1.418939]
    """
    raise NotImplementedError


def inception_score(probs):
    """exp of the mean divergence of each sample's class probabilities from their average.

        exp( mean over samples of  sum over classes of p(y|x) log(p(y|x) / p(y)) )

    p(y) is the mean of p(y|x) over the samples (Salimans et al. 2016, section 4). 0 log 0 = 0.

    Args:
        probs: array (N, K), rows of probabilities.

    Returns:
        A number from 1 to K.

    >>> round(float(inception_score(np.array([[1.0, 0.0], [0.0, 1.0]]))), 6)
    2.0
    """
    raise NotImplementedError


def frechet_distance(mu1, cov1, mu2, cov2):
    """The squared Frechet distance of two Gaussians, with NumPy alone (no SciPy).

        |mu1 - mu2|^2 + trace(cov1 + cov2 - 2 (cov1^(1/2) cov2 cov1^(1/2))^(1/2))

    The roots are roots of matrices: R R = A. (Dowson & Landau 1982.) The covariances may be
    singular, and need not commute.

    Args:
        mu1, mu2: arrays (d,).
        cov1, cov2: arrays (d, d), symmetric, no eigenvalue negative (but for rounding).

    Returns:
        A number.

    >>> one = np.eye(2)
    >>> round(float(frechet_distance(np.zeros(2), one, np.array([3.0, 0.0]), 4 * one)), 6)
    11.0
    """
    raise NotImplementedError


def precision_recall(real, fake, k):
    """Precision and recall by nearest neighbours (Kynkäänniemi et al. 2019).

    Around each point of a set lies a ball that reaches to the k-th nearest of the set's *other*
    points. Precision is the share of fake points that lie in some ball of a real point; recall is
    the share of real points that lie in some ball of a fake point. On the surface is inside (<=).

    Args:
        real: array (n, d).
        fake: array (m, d).
        k: a whole number, at least 1.

    Returns:
        The tuple (precision, recall) of numbers from 0 to 1.

    >>> real, fake = np.array([[0.0], [1.0], [2.0]]), np.array([[0.5], [9.0], [9.1], [9.2]])
    >>> tuple(round(float(v), 6) for v in precision_recall(real, fake, 1))
    (0.25, 1.0)
    """
    raise NotImplementedError


def count_modes(samples, centers, sigma):
    """How many modes of a mixture were found, and how many samples lie in one.

    A sample is good if its nearest center is no further than 3 sigma. A mode is hit if it is the
    nearest to at least one good sample. (The protocol of VEEGAN and PacGAN.)

    Args:
        samples: array (n, d).
        centers: array (k, d).
        sigma: the standard deviation of each mode.

    Returns:
        The tuple (modes hit, share of good samples).

    >>> centers = np.array([[0.0, 0.0], [1.0, 0.0]])
    >>> modes, share = count_modes(np.array([[0.1, 0.0], [0.6, 0.0]]), centers, 0.1)
    >>> int(modes), float(share)
    (1, 0.5)
    """
    raise NotImplementedError
