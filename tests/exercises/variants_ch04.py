"""Chapter 04: other answers."""

import numpy as np
from variant import right, wrong

import minigan as mg
import minigan.functional as F


@right("04.1")
def optimal_discriminator(p, q):
    out = np.full(np.shape(p), 0.5)
    np.divide(p, p + q, out=out, where=(p + q) > 0)
    return out


@right("04.1")
def optimal_discriminator(p, q):
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(p / (p + q), nan=0.5)


@right("04.1")
def optimal_discriminator(p, q):
    flat = [a / (a + b) if a + b > 0 else 0.5 for a, b in zip(p.ravel(), q.ravel(), strict=True)]
    return np.array(flat).reshape(p.shape).tolist()


@wrong("04.1", "densities that differ", "p / q, the ratio that D* is computed from")
def optimal_discriminator(p, q):
    return np.divide(p, q)


@wrong("04.1", "where both vanish", "0 for 0 / 0: nan turned into 0, or a constant added to p + q")
def optimal_discriminator(p, q):
    return np.nan_to_num(p / (p + q))


@wrong("04.1", "where both vanish", "p / (p + q) with no care for 0 / 0")
def optimal_discriminator(p, q):
    return 1 / (1 + q / p)


@wrong("04.1", "densities that differ", "q / (p + q), which is 1 - D*")
def optimal_discriminator(p, q):
    return q / (q + p)


@wrong("04.1", "densities that differ", "a hard decision for the larger density")
def optimal_discriminator(p, q):
    return np.where(p > q, 1.0, 0.0)


@wrong("04.1", "very small densities")
def optimal_discriminator(p, q):
    return np.where(p + q < 1e-9, 0.5, p / np.maximum(p + q, 1e-9))


@wrong("04.1", "shape")
def optimal_discriminator(p, q):
    return (p / (p + q)).ravel()


@right("04.2")
def jensen_shannon(p, q):
    def entropy(r):
        return -np.sum(r * np.log(np.where(r == 0, 1.0, r)), axis=-1)

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


@right("04.2")
def jensen_shannon(p, q):
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.nansum(p * np.log(2 * p / (p + q)), axis=-1)
        b = np.nansum(q * np.log(2 * q / (p + q)), axis=-1)
    return 0.5 * a + 0.5 * b


@wrong("04.2", "no overlap", "0 * log 0, which NumPy makes nan")
def jensen_shannon(p, q):
    m = 0.5 * (p + q)
    return 0.5 * np.sum(p * (np.log(p) - np.log(m)) + q * (np.log(q) - np.log(m)), axis=-1)


@wrong("04.2", "value", "bits, a logarithm to base 2")
def jensen_shannon(p, q):
    m = (p + q) / 2
    return (p * np.log2(p / m) + q * np.log2(q / m)).sum(-1) / 2


@wrong("04.2", "shape", "one sum over all rows")
def jensen_shannon(p, q):
    m = (p + q) / 2
    return (p * np.log(p / m) + q * np.log(q / m)).sum() / 2


@wrong("04.2", "value", "the square root, which is the Jensen-Shannon distance")
def jensen_shannon(p, q):
    m = (p + q) / 2
    return np.sqrt((p * np.log(p / m) + q * np.log(q / m)).sum(-1) / 2)


@wrong("04.2", "outcomes of probability 0")
def jensen_shannon(p, q):
    m = (p + q) / 2
    return ((p * np.log(p / m + 1e-7)).sum(-1) + (q * np.log(q / m + 1e-7)).sum(-1)) / 2


@wrong("04.2", "shape")
def jensen_shannon(p, q):
    p /= p.sum(-1, keepdims=True) * 1.0000001
    m = (p + q) / 2
    return ((p * np.log(p / m)).sum(-1) + (q * np.log(q / m)).sum(-1)) / 2


@right("04.3")
def discriminator_loss(real_logits, fake_logits):
    return -F.log_sigmoid(real_logits).mean() - F.log_sigmoid(-fake_logits).mean()


@right("04.3")
def discriminator_loss(real_logits, fake_logits):
    ones, zeros = np.ones(real_logits.shape), np.zeros(fake_logits.shape)
    dtype = real_logits.dtype
    return F.binary_cross_entropy_with_logits(
        real_logits, mg.tensor(ones, dtype=dtype)
    ) + F.binary_cross_entropy_with_logits(fake_logits, mg.tensor(zeros, dtype=dtype))


@wrong("04.3", "data get the label 1", "the labels swapped: 0 for data, 1 for samples")
def discriminator_loss(real_logits, fake_logits):
    return -F.log_sigmoid(-real_logits).mean() - F.log_sigmoid(fake_logits).mean()


@wrong("04.3", "data get the label 1", "the mean of the two terms, half of L_D")
def discriminator_loss(real_logits, fake_logits):
    return 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())


@wrong("04.3", "a D that cannot tell", "sums over the batches instead of means")
def discriminator_loss(real_logits, fake_logits):
    return (-F.log_sigmoid(real_logits)).sum() + F.softplus(fake_logits).sum()


@wrong(
    "04.3",
    "logits as far out as 1000",
    "the logarithm of a sigmoid that has rounded to 0",
)
def discriminator_loss(real_logits, fake_logits):
    d_real, d_fake = F.sigmoid(real_logits), F.sigmoid(fake_logits)
    return -(F.log(d_real).mean() + F.log(1.0 - d_fake).mean())


@wrong("04.3", "a scalar Tensor that gradients flow through")
def discriminator_loss(real_logits, fake_logits):
    return float(F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())


@wrong("04.3", "slopes", "the samples' logits detached, so that D does not learn from them")
def discriminator_loss(real_logits, fake_logits):
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits.detach()).mean()


@wrong("04.3", "value on batches of two sizes", "one mean over both batches together, times 2")
def discriminator_loss(real_logits, fake_logits):
    both = F.concatenate([-real_logits, fake_logits])
    return 2 * F.softplus(both).mean()


@right("04.4")
def generator_loss_minimax(fake_logits):
    return F.log_sigmoid(-fake_logits).mean()


@right("04.4")
def generator_loss_non_saturating(fake_logits):
    return -mg.functional.log_sigmoid(fake_logits).sum() / fake_logits.size


@wrong(
    "04.4",
    "slope when D confidently rejects",
    "the saturating loss log(1 - D(G(z)))",
)
def generator_loss_non_saturating(fake_logits):
    return F.log_sigmoid(-fake_logits).mean()


@wrong(
    "04.4",
    "value of the minimax loss",
    "-log(1 - D(G(z))): the discriminator's term, whose minus belongs to D",
)
def generator_loss_minimax(fake_logits):
    return -F.log_sigmoid(-fake_logits).mean()


@wrong("04.4", "value of the minimax loss", "the non-saturating loss -log D(G(z))")
def generator_loss_minimax(fake_logits):
    return -F.log_sigmoid(fake_logits).mean()


@wrong("04.4", "value of the minimax loss", "a sum over the batch instead of a mean")
def generator_loss_minimax(fake_logits):
    return F.log_sigmoid(-fake_logits).sum()


@wrong("04.4", "non-saturating: a scalar Tensor")
def generator_loss_non_saturating(fake_logits):
    return F.softplus(-fake_logits)


@wrong(
    "04.4",
    "non-saturating: logits as far out as 1000",
    "the logarithm of a sigmoid that has rounded to 0",
)
def generator_loss_non_saturating(fake_logits):
    return (-F.log(F.sigmoid(fake_logits))).mean()


@right("04.5")
def game_value(p, q, d):
    total = 0.0
    for a, b, x in zip(p, q, d, strict=True):
        if a > 0:
            total += a * (np.log(x) if x > 0 else -np.inf)
        if b > 0:
            total += b * (np.log1p(-x) if x < 1 else -np.inf)
    return total


@right("04.5")
def game_value(p, q, d):
    with np.errstate(all="ignore"):
        real, fake = p * np.log(d), q * np.log(1 - d)
    return np.where(p == 0, 0, real).sum() + np.where(q == 0, 0, fake).sum()


@wrong("04.5", "a D that cannot tell", "the average of the two terms")
def game_value(p, q, d):
    return 0.5 * (p @ np.log(d) + q @ np.log(1 - d))


@wrong("04.5", "a D that cannot tell", "the loss of D, which is -V")
def game_value(p, q, d):
    return -(p @ np.log(d)) - q @ np.log(1 - d)


@wrong("04.5", "a D that cannot tell", "an average over outcomes of the weighted logarithms")
def game_value(p, q, d):
    return (p * np.log(d) + q * np.log(1 - d)).mean()


@wrong("04.5", "outcomes of probability 0", "0 * log 0, which NumPy makes nan")
def game_value(p, q, d):
    return p @ np.log(d) + q @ np.log(1 - d)


@wrong("04.5", "a discriminator that is certain, and wrong")
def game_value(p, q, d):
    low = np.maximum(d, 1e-300)
    return np.sum(p * np.log(low)) + np.sum(q * np.log(np.maximum(1 - d, 1e-300)))
