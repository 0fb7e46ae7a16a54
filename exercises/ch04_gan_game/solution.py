"""Chapter 04, the GAN game: solutions, with their reasoning."""

import numpy as np

from minigan.functional import softplus


def optimal_discriminator(p, q):
    # At each x the discriminator maximises p log d + q log(1 - d). The derivative p/d - q/(1 - d)
    # is zero at d = p / (p + q). Where p + q = 0, any other divisor than 0 will do, since the
    # quotient is then replaced.
    total = p + q
    empty = total == 0
    return np.where(empty, 0.5, p / np.where(empty, 1, total))


def jensen_shannon(p, q):
    # Both are compared with their mean m, which is positive wherever p or q is; so the only
    # trouble is log 0, and that is multiplied by 0. Replace p / m by 1 there, whose log is 0.
    m = (p + q) / 2

    def kl(a):
        seen = a > 0
        ratio = np.where(seen, a, 1) / np.where(seen, m, 1)
        return (a * np.log(ratio)).sum(axis=-1)

    return (kl(p) + kl(q)) / 2


def discriminator_loss(real_logits, fake_logits):
    # -log sigmoid(s) = log(1 + e^-s) = softplus(-s), and 1 - sigmoid(s) = sigmoid(-s), so
    # -log(1 - sigmoid(s)) = softplus(s). No probability is computed, so none can round to 0.
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def generator_loss_minimax(fake_logits):
    # log(1 - sigmoid(s)) = -softplus(s). The slope -sigmoid(s) vanishes where D rejects.
    return -softplus(fake_logits).mean()


def generator_loss_non_saturating(fake_logits):
    # -log sigmoid(s) = softplus(-s). The slope tends to -1 where D rejects.
    return softplus(-fake_logits).mean()


def game_value(p, q, d):
    # Each sum is taken over the outcomes that happen. Elsewhere the factor 0 decides, and the
    # logarithm, which might be -inf, must not be asked.
    def mean_log(weights, answers):
        happens = weights > 0
        with np.errstate(divide="ignore"):  # log 0 = -inf is meant
            return (weights[happens] * np.log(answers[happens])).sum()

    return mean_log(p, d) + mean_log(q, 1 - d)
