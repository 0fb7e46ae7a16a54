"""Chapter 04, the GAN game: what the two players compute.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 04
"""

import numpy as np

import minigan as mg


def optimal_discriminator(p, q):
    """The discriminator that no other beats, for data of density p and samples of density q.

        D*(x) = p(x) / (p(x) + q(x))          (Goodfellow et al. 2014, proposition 1)

    Where both densities vanish nothing is ever seen, and D* is 1/2 by agreement.

    Args:
        p, q: arrays of one shape, densities or probabilities, not negative.

    Returns:
        An array of that shape, of numbers from 0 to 1.

    >>> optimal_discriminator(np.array([3.0, 2.0, 0.0]), np.array([1.0, 2.0, 0.0])).tolist()
    [0.75, 0.5, 0.5]
    """
    raise NotImplementedError


def jensen_shannon(p, q):
    """The Jensen-Shannon divergence of distributions over finitely many outcomes, in nats.

        JSD(p, q) = 1/2 KL(p, m) + 1/2 KL(q, m),   m = (p + q) / 2,   KL(p, m) = sum p log(p / m)

    An outcome of probability 0 adds nothing: 0 log 0 = 0.

    Args:
        p, q: arrays (..., K) whose last axis holds probabilities that sum to 1.

    Returns:
        An array of shape (...): one divergence, from 0 to log 2, for each row.

    >>> jensen_shannon(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]]))
    array([0.69314718, 0.        ])
    """
    raise NotImplementedError


def discriminator_loss(real_logits, fake_logits):
    """What the discriminator minimises: binary cross-entropy with labels 1 for data, 0 for samples.

        L_D = - E[log sigmoid(real_logits)] - E[log(1 - sigmoid(fake_logits))]

    E is the mean over a batch, and the two batches may differ in size. For logits as far out as
    +-1000 the loss and its gradient are finite and exact: minigan.functional has softplus(s), which
    is log(1 + e^s), and log_sigmoid.

    Args:
        real_logits, fake_logits: Tensors of D's logits, of shape (N,) or (N, 1), (M,) or (M, 1).

    Returns:
        A Tensor of shape (), through which gradients flow.

    >>> round(discriminator_loss(mg.tensor([0.0, 0.0]), mg.tensor([0.0])).item(), 6)
    1.386294
    """
    raise NotImplementedError


def generator_loss_minimax(fake_logits):
    """What the generator minimises in the game as stated.

        L_G = E[log(1 - sigmoid(fake_logits))]          (Goodfellow et al. 2014, equation 1)

    Its slope in a logit s is -sigmoid(s), divided by the size of the batch.

    Args:
        fake_logits: a Tensor of D's logits of samples, of shape (N,) or (N, 1); up to +-1000.

    Returns:
        A Tensor of shape (), through which gradients flow.

    >>> round(generator_loss_minimax(mg.tensor([0.0])).item(), 6)
    -0.693147
    """
    raise NotImplementedError


def generator_loss_non_saturating(fake_logits):
    """What the generator minimises in practice.

        L_G = - E[log sigmoid(fake_logits)]             (Goodfellow et al. 2014, section 3)

    Its slope in a logit s is -(1 - sigmoid(s)), divided by the size of the batch.

    Args:
        fake_logits: a Tensor of D's logits of samples, of shape (N,) or (N, 1); up to +-1000.

    Returns:
        A Tensor of shape (), through which gradients flow.

    >>> round(generator_loss_non_saturating(mg.tensor([0.0])).item(), 6)
    0.693147
    """
    raise NotImplementedError


def game_value(p, q, d):
    """The value of the game for finitely many outcomes and any discriminator.

        V = sum_i p_i log d_i + sum_i q_i log(1 - d_i)   (Goodfellow et al. 2014, equation 1)

    An outcome of probability 0 adds nothing, whatever d says there: 0 log 0 = 0. If D gives
    probability 0 to what does happen, V is -inf.

    Args:
        p, q: arrays (K,), the probabilities of data and of samples.
        d: array (K,), the discriminator's answers, from 0 to 1.

    Returns:
        A number.

    >>> half = np.array([0.5, 0.5])
    >>> round(float(game_value(half, half, half)), 6)
    -1.386294
    """
    raise NotImplementedError
