"""Chapter 07, when it fails: collapse, cycling and vanishing, and what helps.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 07
"""

import numpy as np

import minigan as mg


def bilinear_step(x, y, lr, simultaneous):
    """One step of both players in the game f(x, y) = x y: x makes it small, y makes it large.

    x moves against its slope and y along its own, each by lr times the slope. In simultaneous
    steps both see the old values; in alternating ones x moves first, and y sees the new x.

    Args:
        x, y, lr: numbers.
        simultaneous: True or False.

    Returns:
        The tuple (x, y) after the step.

    >>> bilinear_step(1.0, 1.0, 0.5, True), bilinear_step(1.0, 1.0, 0.5, False)
    ((0.5, 1.5), (0.5, 1.25))
    """
    raise NotImplementedError


def smoothed_optimal_discriminator(p, q, alpha=0.9, beta=0.0):
    """The best discriminator if it is told alpha for data and beta for samples, not 1 and 0.

        D*(x) = (alpha p(x) + beta q(x)) / (p(x) + q(x))       (Salimans et al. 2016, section 3.4)

    Where both densities vanish it is 1/2 by agreement.

    Args:
        p, q: arrays of one shape, not negative.
        alpha, beta: the targets for data and for samples.

    Returns:
        An array of that shape.

    >>> p, q = np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])
    >>> smoothed_optimal_discriminator(p, q).tolist()
    [0.9, 0.45, 0.0]
    """
    raise NotImplementedError


def minibatch_stddev(x, group_size):
    """One more channel that says how much the pictures of a group differ.

    Sample i belongs to group i // group_size. In each group and for each channel and pixel take the
    standard deviation over the group's samples, sqrt(mean of (x - mean)^2 + 1e-8), divided by
    group_size. Average these over all channels and pixels: one number for the group, which fills
    the new channel of each of its samples. (Karras et al. 2018, section 3, where the whole batch is
    one group; smaller groups, spread over the batch, and the 1e-8 come from its authors' code.)

    Args:
        x: array (N, C, H, W); group_size divides N.
        group_size: how many samples make a group.

    Returns:
        An array (N, C + 1, H, W): x and the new channel.

    >>> x = np.array([0.0, 2.0, 5.0, 5.0]).reshape(4, 1, 1, 1)
    >>> minibatch_stddev(x, 2)[:, 1].ravel().round(6).tolist()
    [1.0, 1.0, 0.0001, 0.0001]
    """
    raise NotImplementedError


def feature_matching_loss(real_features, fake_features):
    """What a generator minimises to match features of the data on average.

        || E[real_features] - E[fake_features] ||^2            (Salimans et al. 2016, section 3.1)

    E is the mean over a batch; the squared length sums over the features.

    Args:
        real_features, fake_features: Tensors (N, F) and (M, F).

    Returns:
        A Tensor of shape (), through which gradients flow to fake_features.

    >>> real = mg.tensor([[1.0, 0.0], [3.0, 0.0]])
    >>> fake = mg.tensor([[0.0, 1.0]], requires_grad=True)
    >>> feature_matching_loss(real, fake).item()
    5.0
    """
    raise NotImplementedError


def update_ema(average, params, decay):
    """Move a running average of a net's weights a step towards them, in place.

        average <- decay average + (1 - decay) params

    Args:
        average: a list of arrays; each is overwritten, so that whoever holds it sees the change.
        params: a list of arrays of the same shapes; they stay, and share no memory with average.
        decay: a number from 0 to 1.

    >>> average, params = [np.array([1.0, 2.0])], [np.array([3.0, 2.0])]
    >>> held = average[0]
    >>> update_ema(average, params, 0.5)
    >>> held.tolist()
    [2.0, 2.0]
    """
    raise NotImplementedError
