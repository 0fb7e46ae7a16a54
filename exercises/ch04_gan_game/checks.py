"""Chapter 04: The GAN game.

Oracles: sums written out in plain Python, and closed forms of slopes and values.
"""

from math import exp, inf, log, log1p

import numpy as np

import minigan as mg
from minigan.functional import log as tensor_log
from minigan.functional import sigmoid, softplus
from minigan.grading import Check, Idea, Task
from minigan.grading.views import is_scalar_tensor, slopes, value

# --- Inputs ---------------------------------------------------------------------------------------


def probabilities(rng, *shape):
    """Rows of uneven probabilities."""
    weights = rng.exponential(size=shape) + 0.02
    return weights / weights.sum(axis=-1, keepdims=True)


def with_zeros(p, *at):
    """The rows with no mass at some outcomes."""
    p = p.copy()
    p[..., list(at)] = 0
    return p / p.sum(axis=-1, keepdims=True)


def logits(rng, *shape, dtype="float64"):
    return mg.tensor(rng.normal(0.3, 2.0, shape), requires_grad=True, dtype=dtype)


def fixed(*values, dtype="float64"):
    return mg.tensor(list(values), requires_grad=True, dtype=dtype)


# --- Oracles --------------------------------------------------------------------------------------


def naive_optimum(p, q):
    pairs = zip(np.ravel(p).tolist(), np.ravel(q).tolist(), strict=True)
    return np.array([a / (a + b) if a + b else 0.5 for a, b in pairs]).reshape(np.shape(p))


def naive_divergence(p, q):
    def one(a, b):
        total = 0.0
        for x, y in zip(a, b, strict=True):
            total += x * log(2 * x / (x + y)) / 2 if x else 0.0
            total += y * log(2 * y / (x + y)) / 2 if y else 0.0
        return total

    if np.ndim(p) == 1:
        return np.array(one(p.tolist(), q.tolist()))
    rows = zip(
        p.reshape(-1, p.shape[-1]).tolist(), q.reshape(-1, p.shape[-1]).tolist(), strict=True
    )
    return np.array([one(a, b) for a, b in rows]).reshape(p.shape[:-1])


def plus(s):
    """log(1 + e^s) for one number."""
    return max(s, 0.0) + log1p(exp(-abs(s)))


def logistic(s):
    return 1 / (1 + exp(-s)) if s > -700 else 0.0


def mean_of(function, logits_, sign=1.0):
    numbers = np.ravel(logits_.numpy()).tolist()
    return sum(function(sign * s) for s in numbers) / len(numbers)


def each(function, logits_):
    numbers = logits_.numpy()
    return (
        np.array([function(s) for s in np.ravel(numbers).tolist()]).reshape(numbers.shape)
        / numbers.size
    )


def loss_of_d(real, fake):
    return np.array(mean_of(plus, real, -1.0) + mean_of(plus, fake))


def slopes_of_d(real, fake):
    return each(lambda s: -logistic(-s), real), each(logistic, fake)


def naive_value(p, q, d):
    def term(weight, answer):
        return 0.0 if weight == 0 else weight * log(answer) if answer > 0 else -inf

    return sum(
        term(a, x) + term(b, 1 - x)
        for a, b, x in zip(*(v.tolist() for v in (p, q, d)), strict=True)
    )


# --- Tasks ----------------------------------------------------------------------------------------

OPTIMUM = Task(
    "04.1",
    ("optimal_discriminator",),
    title="the best answer at each x",
    difficulty=1,
    minutes=10,
    read="chapter 04, section 2: The best discriminator",
    hints=(
        "At one x, D chooses a number d to make p log d + q log(1 - d) as large as it can. Where is "
        "the derivative in d zero?",
        "p / d = q / (1 - d) gives d = p / (p + q). What does your code do where p + q is 0?",
        "np.where(total == 0, 0.5, p / safe), where safe is total with its zeros replaced by 1.",
    ),
    oracle=naive_optimum,
    checks=(
        Check(
            "shape",
            why="D answers once for each x.",
            rtol=inf,
            cases=lambda rng: [(rng.random((3, 4)) + 0.1, rng.random((3, 4)) + 0.1)],
        ),
        Check(
            "densities that differ",
            why="D* weighs data against samples: 1 where only data live, 0 where only samples do.",
            cases=lambda rng: [
                (np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])),
                (3 * rng.random(50), rng.random(50)),
            ],
        ),
        Check(
            "where one density vanishes",
            why="G and the data often do not overlap, and D* is then exactly 0 or 1.",
            cases=lambda rng: [(np.array([0.7, 0.0, 0.3]), np.array([0.0, 0.9, 0.1]))],
        ),
        Check(
            "where both vanish",
            why="Nothing is seen there, so nothing is known: 1/2, not nan.",
            cases=lambda rng: [
                (np.array([0.5, 0.0, 0.5]), np.array([0.2, 0.0, 0.8])),
                (np.zeros((2, 2)), np.zeros((2, 2))),
            ],
        ),
        Check(
            "very small densities",
            why="Far out in the tails both are tiny, and their ratio still decides.",
            cases=lambda rng: [(np.array([3e-30, 1e-12]), np.array([1e-30, 4e-12]))],
        ),
    ),
    ideas=(
        Idea("p / q, the ratio that D* is computed from", lambda p, q: p / q),
        Idea("q / (p + q), which is 1 - D*", lambda p, q: 1 - naive_optimum(p, q)),
        Idea("p / (p + q) with no care for 0 / 0", lambda p, q: p / (p + q)),
        Idea(
            "0 for 0 / 0: nan turned into 0, or a constant added to p + q",
            lambda p, q: np.where(p + q, naive_optimum(p, q), 0.0),
        ),
        Idea(
            "0 for 0 / 0: nan turned into 0, or a constant added to p + q",
            lambda p, q: p / (p + q + 1e-8),
        ),
        Idea("a hard decision for the larger density", lambda p, q: (p > q) * 1.0),
    ),
)


def kl(p, q):
    return np.nansum(np.where(p > 0, p * np.log(p / q), 0.0), axis=-1)


DIVERGENCE = Task(
    "04.2",
    ("jensen_shannon",),
    title="how far apart two distributions are",
    difficulty=2,
    minutes=15,
    read="chapter 04, section 3: The distance that G minimises",
    hints=(
        "Compute m first. It is positive wherever p or q is, so only p = 0 makes trouble.",
        "0 log 0 counts as 0, but NumPy makes it nan. Let the logarithm see a 1 where p is 0.",
        "ratio = np.where(p > 0, p, 1) / np.where(p > 0, m, 1); then (p * np.log(ratio)).sum(axis=-1).",
    ),
    oracle=naive_divergence,
    checks=(
        Check(
            "shape",
            why="Each row is a distribution of its own.",
            rtol=inf,
            cases=lambda rng: [
                (probabilities(rng, 3, 5), probabilities(rng, 3, 5)),
                (probabilities(rng, 4), probabilities(rng, 4)),
                (probabilities(rng, 2, 3, 4), probabilities(rng, 2, 3, 4)),
            ],
        ),
        Check(
            "value",
            why="It is measured in nats, as the mean of two divergences from the mixture.",
            cases=lambda rng: [
                (probabilities(rng, 4), probabilities(rng, 4)),
                (probabilities(rng, 3, 5), probabilities(rng, 3, 5)),
            ],
        ),
        Check(
            "no overlap",
            why="Two distributions that share no outcome are log 2 apart, however far: the number "
            "stops telling G where to go.",
            cases=lambda rng: [
                (
                    with_zeros(probabilities(rng, 2, 6), 0, 2, 5),
                    with_zeros(probabilities(rng, 2, 6), 1, 3, 4),
                )
            ],
            expect=lambda p, q: np.full(2, log(2)),
        ),
        Check(
            "a distribution and itself",
            why="The game is over when G's samples are distributed as the data are: 0.",
            cases=lambda rng: [(p, p.copy()) for p in [probabilities(rng, 3, 4)]],
            expect=lambda p, q: np.zeros(3),
            atol=1e-5,
        ),
        Check(
            "outcomes of probability 0",
            why="Real histograms have empty bins, and one nan spoils the whole figure.",
            cases=lambda rng: [
                (
                    with_zeros(probabilities(rng, 2, 6), 1, 4),
                    with_zeros(probabilities(rng, 2, 6), 4, 5),
                )
            ],
        ),
        Check(
            "nearly equal distributions",
            why="At the end of training the divergence is small, and must not drown in rounding.",
            cases=lambda rng: [
                (p, p + 1e-3 * (np.roll(p, 1, -1) - p)) for p in [probabilities(rng, 2, 5)]
            ],
            rtol=1e-4,
        ),
    ),
    ideas=(
        Idea("0 * log 0, which NumPy makes nan", lambda p, q: _jsd_with_nan(p, q)),
        Idea(
            "the sum of both divergences, without the 1/2", lambda p, q: 2 * naive_divergence(p, q)
        ),
        Idea("bits, a logarithm to base 2", lambda p, q: naive_divergence(p, q) / log(2)),
        Idea("the Kullback-Leibler divergence of p from q", kl),
        Idea(
            "the mean of KL(p, q) and KL(q, p), with no mixture",
            lambda p, q: (kl(p, q) + kl(q, p)) / 2,
        ),
        Idea("only the half that starts from p", lambda p, q: kl(p, (p + q) / 2)),
        Idea(
            "the square root, which is the Jensen-Shannon distance",
            lambda p, q: np.sqrt(naive_divergence(p, q)),
        ),
        Idea("one sum over all rows", lambda p, q: np.sum(naive_divergence(p, q))),
        Idea(
            "divergences with their arguments exchanged, KL(m, p)",
            lambda p, q: (kl((p + q) / 2, p) + kl((p + q) / 2, q)) / 2,
        ),
    ),
)


def _jsd_with_nan(p, q):
    m = (p + q) / 2
    return ((p * np.log(p / m)).sum(-1) + (q * np.log(q / m)).sum(-1)) / 2


EXTREME = (
    "logits as far out as 1000",
    "A confident D answers so, and a loss that is inf or a slope that is nan ends the training.",
)

LOSS_OF_D = Task(
    "04.3",
    ("discriminator_loss",),
    title="binary cross-entropy, labels 1 and 0",
    difficulty=2,
    minutes=15,
    read="chapter 04, section 4: The losses on logits",
    hints=(
        "Two means, one over the data's logits and one over the samples'. Which labels do they have?",
        "-log sigmoid(s) is softplus(-s), and 1 - sigmoid(s) is sigmoid(-s).",
        "softplus(-real_logits).mean() plus softplus(fake_logits).mean().",
    ),
    oracle=loss_of_d,
    returns=("slope in real_logits", "slope in fake_logits"),
    checks=(
        Check(
            "a scalar Tensor that gradients flow through",
            why="The optimiser needs one number and its gradient.",
            cases=lambda rng: [
                (logits(rng, 5), logits(rng, 3)),
                (logits(rng, 4, 1, dtype="float32"), logits(rng, 4, 1, dtype="float32")),
            ],
            see=is_scalar_tensor,
            expect=lambda real, fake: "a scalar Tensor",
        ),
        Check(
            "data get the label 1",
            why="D should be rewarded for large logits on data and small ones on samples.",
            cases=lambda rng: [(fixed(2), fixed(-1))],
            see=value,
            label="loss",
        ),
        Check(
            "a D that cannot tell",
            why="At D = 1/2 the loss is 2 log 2 = 1.3863: the number to know when watching a GAN.",
            cases=lambda rng: [(fixed(0, 0), fixed(0, 0))],
            see=value,
            expect=lambda real, fake: 2 * log(2),
            label="loss",
        ),
        Check(
            "value on batches of two sizes",
            why="Each term is a mean, so neither player's batch size changes its weight.",
            cases=lambda rng: [
                (logits(rng, 7), logits(rng, 3)),
                (logits(rng, 2, 1), logits(rng, 6, 1)),
            ],
            see=value,
            label="loss",
        ),
        Check(
            "slopes",
            why="They are what D learns from: -(1 - sigmoid) on data and sigmoid on samples.",
            cases=lambda rng: [
                (logits(rng, 4), logits(rng, 3)),
                (logits(rng, 1, dtype="float32"), logits(rng, 2, dtype="float32")),
            ],
            see=slopes,
            expect=slopes_of_d,
        ),
        Check(
            EXTREME[0],
            why=EXTREME[1],
            cases=lambda rng: [
                (fixed(*real, dtype=dtype), fixed(*fake, dtype=dtype))
                for dtype in ("float64", "float32")
                for real, fake in (((-1000, 4), (1000, 0)), ((1000, -40), (-1000, 50, 1)))
            ],
            see=lambda f, real, fake: {
                "loss": value(f, real, fake),
                "slope in real_logits": slopes(f, real, fake)[0],
                "slope in fake_logits": slopes(f, real, fake)[1],
            },
            expect=lambda real, fake: {
                "loss": loss_of_d(real, fake),
                "slope in real_logits": slopes_of_d(real, fake)[0],
                "slope in fake_logits": slopes_of_d(real, fake)[1],
            },
        ),
    ),
    ideas=(
        Idea(
            "the labels swapped: 0 for data, 1 for samples",
            lambda r, f: softplus(r).mean() + softplus(-f).mean(),
        ),
        Idea(
            "the value V that D maximises, without the minus",
            lambda r, f: -softplus(-r).mean() - softplus(f).mean(),
        ),
        Idea("only the data's term", lambda r, f: softplus(-r).mean() + f.mean() * 0.0),
        Idea(
            "the mean of the two terms, half of L_D",
            lambda r, f: (softplus(-r).mean() + softplus(f).mean()) * 0.5,
        ),
        Idea(
            "sums over the batches instead of means",
            lambda r, f: softplus(-r).sum() + softplus(f).sum(),
        ),
        Idea(
            "the label 1 for samples as well",
            lambda r, f: softplus(-r).mean() + softplus(-f).mean(),
        ),
        Idea(
            "the samples' logits detached, so that D does not learn from them",
            lambda r, f: softplus(-r).mean() + softplus(f.detach()).mean(),
        ),
        Idea(
            "one mean over both batches together, times 2",
            lambda r, f: (softplus(-r).sum() + softplus(f).sum()) * (2 / (r.size + f.size)),
        ),
        Idea(
            "the logarithm of a sigmoid that has rounded to 0",
            lambda r, f: -tensor_log(sigmoid(r)).mean() - tensor_log(1 - sigmoid(f)).mean(),
        ),
        Idea(
            "the logarithm of a sigmoid kept above a small number, which has no slope there",
            lambda r, f: (
                -tensor_log(sigmoid(r) + 1e-8).mean() - tensor_log(1 - sigmoid(f) + 1e-8).mean()
            ),
        ),
        Idea(
            "probabilities put where logits belong, a sigmoid too many",
            lambda r, f: softplus(-sigmoid(r)).mean() + softplus(sigmoid(f)).mean(),
        ),
    ),
)

MINIMAX, NON_SATURATING = "generator_loss_minimax", "generator_loss_non_saturating"


def generator_checks(name, short, expected, slope):
    """The same questions to both losses; ``slope`` is the closed form for one sample."""
    return {
        "value": Check(
            f"value of the {short} loss",
            why="Its sign and its size are what you read off the curves of a run.",
            cases=lambda rng: [(fixed(2, -0.5),), (logits(rng, 5),), (logits(rng, 3, 1),)],
            see=value,
            expect=expected,
            label="loss",
            of=name,
        ),
        "slope": Check(
            f"slopes of the {short} loss",
            why="The batch's gradient is the mean of its samples', whichever logits they have.",
            cases=lambda rng: [(logits(rng, 6),), (logits(rng, 2, 1, dtype="float32"),)],
            see=slopes,
            expect=lambda s: each(slope, s),
            label="slope",
            of=name,
        ),
        "extreme": Check(
            f"{short}: {EXTREME[0]}",
            why=EXTREME[1],
            cases=lambda rng: [
                (fixed(*numbers, dtype=dtype),)
                for dtype in ("float64", "float32")
                for numbers in ((1000.0,), (-1000.0,), (50.0, -50.0, 1.0))
            ],
            see=lambda f, s: {"loss": value(f, s), "slope": slopes(f, s)},
            expect=lambda s: {"loss": expected(s), "slope": each(slope, s)},
            of=name,
        ),
    }


_MM = generator_checks(
    MINIMAX, "minimax", lambda s: np.array(-mean_of(plus, s)), lambda s: -logistic(s)
)
_NS = generator_checks(
    NON_SATURATING,
    "non-saturating",
    lambda s: np.array(mean_of(plus, s, -1.0)),
    lambda s: -logistic(-s),
)

LOSSES_OF_G = Task(
    "04.4",
    (MINIMAX, NON_SATURATING),
    title="two losses, one optimum, other slopes",
    difficulty=2,
    minutes=15,
    read="chapter 04, section 5: The stall",
    hints=(
        "Write down the slope of each loss in one logit s. Which vanishes as s goes to -infinity?",
        "log(1 - sigmoid(s)) is -softplus(s), and -log sigmoid(s) is softplus(-s).",
        "-softplus(fake_logits).mean() for the first, softplus(-fake_logits).mean() for the second.",
    ),
    checks=(
        *(
            Check(
                f"{short}: a scalar Tensor",
                why="The optimiser needs one number and its gradient.",
                cases=lambda rng: [(logits(rng, 5),), (logits(rng, 4, 1, dtype="float32"),)],
                see=is_scalar_tensor,
                expect=lambda s: "a scalar Tensor",
                of=name,
            )
            for name, short in ((MINIMAX, "minimax"), (NON_SATURATING, "non-saturating"))
        ),
        _MM["value"],
        Check(
            "minimax: slope when D confidently rejects",
            why="It is almost 0: this is the stall that the other loss was made against.",
            cases=lambda rng: [(fixed(-6.0),)],
            see=slopes,
            expect=lambda s: np.array([-1 / (1 + exp(6))]),
            label="slope",
            of=MINIMAX,
        ),
        Check(
            "slope when D confidently rejects",
            why="G gets no signal exactly when it is worst.",
            cases=lambda rng: [(fixed(-6.0),)],
            see=slopes,
            expect=lambda s: np.array([-1 / (1 + exp(-6))]),
            label="slope",
            of=NON_SATURATING,
        ),
        _NS["value"],
        _MM["slope"],
        _NS["slope"],
        _MM["extreme"],
        _NS["extreme"],
    ),
    ideas=(
        Idea("the saturating loss log(1 - D(G(z)))", lambda s: -softplus(s).mean(), NON_SATURATING),
        Idea(
            "the minimax loss with its sign turned: it pushes D's answer down",
            lambda s: softplus(s).mean(),
            NON_SATURATING,
        ),
        Idea(
            "log D(G(z)) without the minus: the loss would be maximised",
            lambda s: -softplus(-s).mean(),
            NON_SATURATING,
        ),
        Idea(
            "a sum over the batch instead of a mean", lambda s: softplus(-s).sum(), NON_SATURATING
        ),
        Idea(
            "the logarithm of a sigmoid that has rounded to 0",
            lambda s: -tensor_log(sigmoid(s)).mean(),
            NON_SATURATING,
        ),
        Idea(
            "the logarithm of a sigmoid kept above a small number, which has no slope there",
            lambda s: -tensor_log(sigmoid(s) + 1e-8).mean(),
            NON_SATURATING,
        ),
        Idea(
            "probabilities put where logits belong, a sigmoid too many",
            lambda s: softplus(-sigmoid(s)).mean(),
            NON_SATURATING,
        ),
        Idea("the non-saturating loss -log D(G(z))", lambda s: softplus(-s).mean(), MINIMAX),
        Idea(
            "-log(1 - D(G(z))): the discriminator's term, whose minus belongs to D",
            lambda s: softplus(s).mean(),
            MINIMAX,
        ),
        Idea(
            "log D(G(z)): its sign is turned, G would learn to be rejected",
            lambda s: -softplus(-s).mean(),
            MINIMAX,
        ),
        Idea("a sum over the batch instead of a mean", lambda s: -softplus(s).sum(), MINIMAX),
        Idea(
            "the logarithm of a sigmoid that has rounded to 1",
            lambda s: tensor_log(1 - sigmoid(s)).mean(),
            MINIMAX,
        ),
        Idea(
            "the logarithm of a sigmoid kept above a small number, which has no slope there",
            lambda s: tensor_log(1 - sigmoid(s) + 1e-8).mean(),
            MINIMAX,
        ),
        Idea(
            "probabilities put where logits belong, a sigmoid too many",
            lambda s: -softplus(sigmoid(s)).mean(),
            MINIMAX,
        ),
    ),
)


def terms(p, q, d):
    return np.sum(p * np.log(d)), np.sum(q * np.log(1 - d))


GAME = Task(
    "04.5",
    ("game_value",),
    title="the value of the game",
    difficulty=2,
    minutes=15,
    read="chapter 04, section 1: The rules",
    hints=(
        "Two expectations: log d under p, log(1 - d) under q. Neither is an average over outcomes.",
        "At D*, some d are exactly 0 or 1. The logarithm is then -inf, but its factor is 0.",
        "Sum where p > 0 only: (p[p > 0] * np.log(d[p > 0])).sum(); the same with q and 1 - d.",
    ),
    oracle=naive_value,
    checks=(
        Check(
            "a number",
            why="V is what D raises and G lowers: one number.",
            rtol=inf,
            cases=lambda rng: [(np.array([1.0]), np.array([1.0]), np.array([0.25]))],
        ),
        Check(
            "a D that cannot tell",
            why="At equilibrium D says 1/2 everywhere, and V = -log 4 = -1.3863.",
            cases=lambda rng: [(p, p.copy(), np.full(4, 0.5)) for p in [probabilities(rng, 4)]],
            expect=lambda p, q, d: -log(4),
        ),
        Check(
            "any discriminator",
            why="p weighs log d and q weighs log(1 - d), outcome by outcome.",
            cases=lambda rng: [
                (probabilities(rng, 5), probabilities(rng, 5), rng.uniform(0.05, 0.95, 5)),
                (np.array([0.9, 0.1]), np.array([0.2, 0.8]), np.array([0.8, 0.3])),
            ],
        ),
        Check(
            "the best discriminator",
            why="At D* the value is 2 JSD(p, q) - log 4: what G really lowers is a divergence.",
            cases=lambda rng: [
                (p, q, p / (p + q)) for p, q in [(probabilities(rng, 6), probabilities(rng, 6))]
            ],
            expect=lambda p, q, d: 2 * float(naive_divergence(p, q)) - log(4),
        ),
        Check(
            "outcomes of probability 0",
            why="D* is 0 where there are no data and 1 where there are no samples: 0 log 0 = 0.",
            cases=lambda rng: [
                (np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.4, 0.6]), np.array([1.0, 0.3, 0.0])),
                (np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 0.0])),
            ],
        ),
        Check(
            "a discriminator that is certain, and wrong",
            why="Probability 0 for what does happen costs infinitely much.",
            cases=lambda rng: [(np.array([0.5, 0.5]), np.array([0.3, 0.7]), np.array([0.0, 0.4]))],
        ),
    ),
    ideas=(
        Idea("the average of the two terms", lambda p, q, d: sum(terms(p, q, d)) / 2),
        Idea("the loss of D, which is -V", lambda p, q, d: -sum(terms(p, q, d))),
        Idea(
            "an average over outcomes, not weighted by p and q",
            lambda p, q, d: np.mean(np.log(d)) + np.mean(np.log(1 - d)),
        ),
        Idea(
            "an average over outcomes of the weighted logarithms",
            lambda p, q, d: sum(terms(p, q, d)) / len(p),
        ),
        Idea(
            "log d under q as well", lambda p, q, d: np.sum(p * np.log(d)) + np.sum(q * np.log(d))
        ),
        Idea("p and q exchanged", lambda p, q, d: sum(terms(q, p, d))),
        Idea("0 * log 0, which NumPy makes nan", lambda p, q, d: sum(terms(p, q, d))),
        Idea(
            "probabilities kept above a small number, so that a certain D never pays",
            lambda p, q, d: sum(terms(p, q, np.clip(d, 1e-12, 1 - 1e-12))),
        ),
        Idea(
            "probabilities kept above a small number, so that a certain D never pays",
            lambda p, q, d: sum(terms(p, q, np.clip(d, 1e-8, 1 - 1e-8))),
        ),
        Idea("bits, a logarithm to base 2", lambda p, q, d: sum(terms(p, q, d)) / log(2)),
    ),
)

TASKS = (OPTIMUM, DIVERGENCE, LOSS_OF_D, LOSSES_OF_G, GAME)
