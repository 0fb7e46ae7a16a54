"""Chapter 02: Dense networks.

Oracles: sums over single entries, Python's math module, and batch norm's Jacobian written out.
"""

from math import exp, inf, log1p, sqrt

import numpy as np

from minigan.grading import Check, Idea, Task, Unlike, kind


def part(i, *names):
    """See one of the parts of a tuple."""

    def see(f, *args):
        found = f(*args)
        if type(found) not in (tuple, list) or len(found) != len(names):
            raise Unlike("type", kind(found), f"a tuple ({', '.join(names)})")
        return found[i]

    return see


# --- 02.1 -----------------------------------------------------------------------------------------


def layer(rng, n, n_in, n_out):
    return rng.normal(size=(n, n_in)), rng.normal(size=(n_out, n_in)), rng.normal(size=(n, n_out))


def layers(*sizes):
    return lambda rng: [layer(rng, *size) for size in sizes]


def naive_linear(x, weight, grad_y):
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(len(weight))
    for n in range(len(x)):
        for o in range(len(weight)):
            dbias[o] += grad_y[n, o]
            for i in range(x.shape[1]):
                dx[n, i] += grad_y[n, o] * weight[o, i]
                dweight[o, i] += grad_y[n, o] * x[n, i]
    return dx, dweight, dbias


LINEAR_PARTS = ("dx", "dweight", "dbias")
SIZES = ((4, 3, 2), (1, 2, 3), (3, 3, 3))

LINEAR = Task(
    "02.1",
    ("linear_backward",),
    title="a dense layer's gradients",
    difficulty=2,
    minutes=15,
    read="chapter 02, section 1: Layers: many neurons, one product",
    hints=(
        "Where does x[n, i] occur in the formula of y? Add up what comes back from each place.",
        "dx[n, i] sums over o, dweight[o, i] over n, dbias[o] over n. The first two are products.",
        "grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=0).",
    ),
    oracle=naive_linear,
    returns=LINEAR_PARTS,
    checks=(
        Check(
            "shapes",
            why="A gradient has the shape of what it is the gradient of.",
            cases=layers((4, 3, 2), (1, 2, 3)),
            rtol=inf,
        ),
        *(
            Check(
                f"gradient of {what}",
                why=why,
                cases=layers(*SIZES),
                see=part(i, *LINEAR_PARTS),
                expect=lambda x, weight, grad_y, i=i: naive_linear(x, weight, grad_y)[i],
                label=LINEAR_PARTS[i],
            )
            for i, what, why in (
                (2, "the bias", "Each row used the same bias: a value used N times sums N gradients."),
                (1, "the weight", "Every row of the batch adds its part; the loss does the averaging."),
                (0, "x", "It is what the layer below learns from: weight passes it back, transposed."),
            )
        ),
    ),
    ideas=(
        Idea("a bias gradient that is not summed over the batch", lambda x, w, g: (g @ w, g.T @ x, g)),
        Idea("a bias gradient averaged over the batch", lambda x, w, g: (g @ w, g.T @ x, g.mean(0))),
        Idea("a bias gradient summed over the outputs", lambda x, w, g: (g @ w, g.T @ x, g.sum(1))),
        Idea("a weight gradient that is transposed", lambda x, w, g: (g @ w, x.T @ g, g.sum(0))),
        Idea("a weight gradient averaged over the batch", lambda x, w, g: (g @ w, g.T @ x / len(x), g.sum(0))),
        Idea("dx through the transpose of weight", lambda x, w, g: (g @ w.T, g.T @ x, g.sum(0))),
        Idea("dx and dweight exchanged", lambda x, w, g: (g.T @ x, g @ w, g.sum(0))),
    ),
)  # fmt: skip

# --- 02.2 -----------------------------------------------------------------------------------------


def by_entry(function, *arrays):
    flat = [function(*map(float, values)) for values in zip(*map(np.ravel, arrays), strict=True)]
    return np.array(flat).reshape(arrays[0].shape)


def one_loss(s, t):
    return max(s, 0.0) - s * t + log1p(exp(-abs(s)))


def one_slope(s, t):
    return (1 / (1 + exp(-s)) if s > -700 else 0.0) - t


def mean_loss(logits, targets):
    return by_entry(one_loss, logits, targets).mean()


def mean_slope(logits, targets):
    return by_entry(one_slope, logits, targets) / logits.size


def hard(rng, *shape):
    return rng.normal(0, 2, shape), rng.integers(0, 2, shape).astype(float)


def soft(rng, *shape):
    return rng.normal(0, 2, shape), rng.random(shape)


def extremes(rng):
    sure = np.array([1000.0, -1000.0, 1000.0, -1000.0, 40.0])
    return [
        (sure, np.array([1.0, 0.0, 0.0, 1.0, 1.0])),
        (sure.astype("float32"), np.array([1, 0, 0.25, 1, 0], "float32")),
        (np.array([-800.0]), np.array([0.0])),
    ]


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def parts_of(p, t):
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


LOSS, SLOPE = "bce_with_logits", "bce_with_logits_grad"

BCE = Task(
    "02.2",
    (LOSS, SLOPE),
    title="cross-entropy on logits, and its slope",
    difficulty=2,
    minutes=15,
    read="chapter 02, section 2: Losses: from a likelihood to a slope",
    hints=(
        "Do not compute the probability first: at a logit of 1000 it is exactly 1, and log 0 waits.",
        "Use the second form: np.maximum(s, 0) - s * t + np.log1p(np.exp(-abs(s))), then the mean.",
        "The slope is (sigmoid(s) - t) / s.size; (1 + np.tanh(s / 2)) / 2 is a sigmoid that is safe.",
    ),
    checks=(
        Check(
            "the loss is a number",
            why="The mean over all entries, whatever the shape.",
            cases=lambda rng: [hard(rng, 4), hard(rng, 3, 2)],
            expect=mean_loss,
            rtol=inf,
        ),
        Check(
            "loss with targets 0 and 1",
            why="At a logit of 0 it is log 2 = 0.6931, for either target.",
            cases=lambda rng: [
                (np.array([0.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0])),
                hard(rng, 5),
                hard(rng, 3, 2),
            ],
            expect=mean_loss,
            label="loss",
        ),
        Check(
            "loss with targets between 0 and 1",
            why="Smoothed labels such as 0.9 mix both terms.",
            cases=lambda rng: [soft(rng, 6), soft(rng, 2, 3)],
            expect=mean_loss,
            label="loss",
        ),
        Check(
            "loss of logits as far out as 1000",
            why="A network that is sure and wrong pays 1000, not inf.",
            cases=extremes,
            expect=mean_loss,
            label="loss",
        ),
        Check(
            "the gradient's shape",
            why="Each logit has its slope.",
            cases=lambda rng: [hard(rng, 4), hard(rng, 3, 2)],
            expect=mean_slope,
            of=SLOPE,
            rtol=inf,
        ),
        Check(
            "gradient",
            why="Probability minus target, divided by the count because the loss is a mean.",
            cases=lambda rng: [
                (np.array([0.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0])),
                hard(rng, 5),
                soft(rng, 2, 3),
            ],
            expect=mean_slope,
            label="slope",
            of=SLOPE,
        ),
        Check(
            "gradient at logits as far out as 1000",
            why="It is 0 where the network is right, and t or 1 - t away from it where it is wrong.",
            cases=extremes,
            expect=mean_slope,
            label="slope",
            of=SLOPE,
        ),
    ),
    ideas=(
        Idea("a sum over the entries instead of a mean", lambda s, t: by_entry(one_loss, s, t).sum()),
        Idea("one loss for each row, not a mean over all", lambda s, t: by_entry(one_loss, s, t).mean(-1)),
        Idea("logarithms of a probability that has rounded to 0 or 1", lambda s, t: parts_of(sigmoid(s), t).mean()),
        Idea("probabilities kept away from 0 and 1 by a small number", lambda s, t: parts_of(np.clip(sigmoid(s), 1e-7, 1 - 1e-7), t).mean()),
        Idea("probabilities kept away from 0 and 1 by a small number", lambda s, t: parts_of(np.clip(sigmoid(s), 1e-12, 1 - 1e-12), t).mean()),
        Idea("logits taken for probabilities", lambda s, t: parts_of(s, t).mean()),
        Idea("targets exchanged, 1 - t for t", lambda s, t: mean_loss(s, 1 - t)),
        Idea("log(1 + e^s), whose e^s overflows", lambda s, t: (np.log(1 + np.exp(s)) - s * t).mean()),
        Idea("only the term of the target 1", lambda s, t: by_entry(lambda a, b: b * one_loss(a, 1.0), s, t).mean()),
        Idea("the targets rounded to 0 or 1", lambda s, t: mean_loss(s, np.round(t))),
        Idea("the minus forgotten", lambda s, t: -mean_loss(s, t)),
        Idea("the slope of the sum, not divided by the count", lambda s, t: by_entry(one_slope, s, t), SLOPE),
        Idea("divided by the rows only, not by all entries", lambda s, t: by_entry(one_slope, s, t) / len(s), SLOPE),
        Idea("target minus probability, the sign turned", lambda s, t: -mean_slope(s, t), SLOPE),
        Idea("the slope in the probability, not in the logit", lambda s, t: (sigmoid(s) - t) / (sigmoid(s) * (1 - sigmoid(s))) / s.size, SLOPE),
        Idea("logit minus target, the sigmoid forgotten", lambda s, t: (s - t) / s.size, SLOPE),
        Idea("e^s / (1 + e^s), which overflows to nan", lambda s, t: (np.exp(s) / (1 + np.exp(s)) - t) / s.size, SLOPE),
        Idea("the mean of the slopes", lambda s, t: by_entry(one_slope, s, t).mean(), SLOPE),
    ),
)  # fmt: skip

# --- 02.3 -----------------------------------------------------------------------------------------


def state(rng, t, *shape, lr=0.1, beta1=0.8, beta2=0.95, eps=0.3):
    v = rng.random(shape) if t > 1 else np.zeros(shape)
    m = rng.normal(size=shape) if t > 1 else np.zeros(shape)
    return rng.normal(size=shape), rng.normal(size=shape), m, v, t, lr, beta1, beta2, eps


def adam_by_entry(param, grad, m, v, t, lr, beta1, beta2, eps, **wrong):
    def one(p, g, a, b):
        a = beta1 * a + (1 - beta1) * g
        b = beta2 * b + (1 - beta2) * g * g
        step = lr * (a / (1 - beta1**t)) / (sqrt(b / (1 - beta2**t)) + eps)
        return p - step, a, b

    rows = [one(*map(float, e)) for e in zip(*map(np.ravel, (param, grad, m, v)), strict=True)]
    return tuple(np.array(column).reshape(param.shape) for column in zip(*rows, strict=True))


def adam_like(
    corrected=True, power=0, inside=False, sign=-1, square=np.square, swapped=False, keep=False
):
    """Adam with one thing wrong."""

    def step(param, grad, m, v, t, lr, beta1, beta2, eps):
        if swapped:
            beta1, beta2 = beta2, beta1
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * square(grad)
        c1, c2 = (1 - beta1 ** (t + power), 1 - beta2 ** (t + power)) if corrected else (1, 1)
        a, b = m / c1, v / c2
        root = np.sqrt(b + eps) if inside else np.sqrt(b) + eps
        return param + sign * lr * a / root, *((a, b) if keep else (m, v))

    return step


def rate_folded(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    rate = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
    return param - rate * m / (np.sqrt(v) + eps), m, v


def uncounted(param, grad, m, v, t, *rest):
    new_param, *_ = adam_like()(param, grad, m, v, 1, *rest)
    return new_param, *adam_like()(param, grad, m, v, t, *rest)[1:]


def only_first(param, grad, m, v, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return param - lr * m / (1 - beta1**t) / (np.sqrt(v) + eps), m, v


ADAM_PARTS = ("param", "m", "v")
AVERAGES = ((1, "m"), (2, "v"))

ADAM = Task(
    "02.3",
    ("adam_step",),
    title="Adam, by hand",
    difficulty=2,
    minutes=15,
    read="chapter 02, section 3: Optimisers: what to do with a slope",
    hints=(
        "Five lines, one for each equation. Do not write into the arrays that you are given.",
        "m_hat and v_hat are used for this step only; what is returned is m and v.",
        "param - lr * m_hat / (np.sqrt(v_hat) + eps): eps stands outside of the root.",
    ),
    oracle=adam_by_entry,
    returns=ADAM_PARTS,
    checks=(
        Check(
            "three arrays",
            why="The next step needs m and v back.",
            cases=lambda rng: [state(rng, 1, 3), state(rng, 2, 2, 3)],
            rtol=inf,
        ),
        Check(
            "the averages m and v",
            why="They are running means of the gradient and of its square, kept without correction.",
            cases=lambda rng: [state(rng, 1, 3), state(rng, 5, 2, 3)],
            see=lambda f, *args: {n: part(i, *ADAM_PARTS)(f, *args) for i, n in AVERAGES},
            expect=lambda *args: {n: adam_by_entry(*args)[i] for i, n in AVERAGES},
        ),
        Check(
            "the first step",
            why="At t = 1 the corrections cancel the betas: without them the first steps are far "
            "too long or too short.",
            cases=lambda rng: [
                state(rng, 1, 4, eps=1e-8, beta1=0.5, beta2=0.999),
                state(rng, 1, 2, 3, eps=0.3),
            ],
            see=part(0, *ADAM_PARTS),
            expect=lambda *args: adam_by_entry(*args)[0],
            label="param",
        ),
        Check(
            "a later step",
            why="The corrections fade as t grows; eps keeps the divisor away from 0.",
            cases=lambda rng: [state(rng, 2, 4), state(rng, 7, 2, 3), state(rng, 1000, 3)],
            see=part(0, *ADAM_PARTS),
            expect=lambda *args: adam_by_entry(*args)[0],
            label="param",
        ),
        Check(
            "a gradient of 0",
            why="A parameter that was never touched has v = 0, and eps alone prevents 0 / 0.",
            cases=lambda rng: [
                (np.ones(2), np.zeros(2), np.zeros(2), np.zeros(2), 3, 0.1, 0.9, 0.999, 1e-8)
            ],
        ),
    ),
    ideas=(
        Idea("Adam without bias correction", adam_like(corrected=False)),
        Idea("a correction for m alone", only_first),
        Idea("steps counted from 0, t - 1 for t", adam_like(power=-1)),
        Idea("steps counted one too far, t + 1 for t", adam_like(power=1)),
        Idea("eps inside of the root", adam_like(inside=True)),
        Idea("eps added before the correction of v", rate_folded),
        Idea("a step uphill", adam_like(sign=1)),
        Idea("v as a mean of |grad|, not of its square", adam_like(square=np.abs)),
        Idea("v as a mean of grad, not of its square", adam_like(square=np.positive)),
        Idea("beta where beta^t belongs, which is right at the first step alone", uncounted),
        Idea("beta1 and beta2 exchanged", adam_like(swapped=True)),
        Idea("the corrected averages kept for the next step", adam_like(keep=True)),
    ),
)

# --- 02.4 -----------------------------------------------------------------------------------------


def column(x, eps):
    mu = sum(x) / len(x)
    std = sqrt(sum((v - mu) ** 2 for v in x) / len(x) + eps)
    return [(v - mu) / std for v in x], std


def by_jacobian(x, gamma, grad_y, eps):
    """dx_hat_i/dx_j = (delta_ij - 1/N - x_hat_i x_hat_j / N) / std, summed over i."""
    dx, dgamma, dbeta = np.zeros(x.shape), np.zeros(len(gamma)), np.zeros(len(gamma))
    n = len(x)
    for c in range(len(gamma)):
        x_hat, std = column(x[:, c].tolist(), eps)
        for i in range(n):
            dgamma[c] += grad_y[i, c] * x_hat[i]
            dbeta[c] += grad_y[i, c]
            for j in range(n):
                slope = ((i == j) - 1 / n - x_hat[i] * x_hat[j] / n) / std
                dx[j, c] += grad_y[i, c] * gamma[c] * slope
    return dx, dgamma, dbeta


def norm_case(rng, n, c, eps):
    return rng.normal(1.0, 2.0, (n, c)), rng.normal(1.0, 0.5, c), rng.normal(size=(n, c)), eps


def norm_with(through_mean=True, through_var=True, ddof=0, use_eps=True, use_gamma=True):
    """Batch norm's gradients with something left out."""

    def backward(x, gamma, grad_y, eps):
        std = np.sqrt(x.var(0, ddof=ddof) + (eps if use_eps else 0.0))
        x_hat = (x - x.mean(0)) / std
        g = grad_y * gamma if use_gamma else grad_y
        dx = g - through_mean * g.mean(0) - through_var * x_hat * (g * x_hat).mean(0)
        return dx / std, (grad_y * x_hat).sum(0), grad_y.sum(0)

    return backward


def with_dgamma(change):
    def backward(x, gamma, grad_y, eps):
        return change(x, grad_y, *by_jacobian(x, gamma, grad_y, eps))

    return backward


NORM_PARTS = ("dx", "dgamma", "dbeta")

BATCHNORM = Task(
    "02.4",
    ("batchnorm_backward",),
    title="batch norm's gradients",
    difficulty=3,
    minutes=30,
    read="chapter 02, section 4: Batch norm: a layer that sees the whole batch",
    hints=(
        "dbeta and dgamma are sums over the batch. For dx, go through x_hat, then var, then mu.",
        "With g = grad_y * gamma: one part straight through, one through mu, one through var.",
        "dx = (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) / std.",
    ),
    oracle=by_jacobian,
    returns=NORM_PARTS,
    checks=(
        Check(
            "shapes",
            why="A gradient has the shape of what it is the gradient of.",
            cases=lambda rng: [norm_case(rng, 5, 3, 1e-5), norm_case(rng, 3, 1, 1e-5)],
            rtol=inf,
        ),
        *(
            Check(
                f"gradient of {name}",
                why=why,
                cases=lambda rng: [norm_case(rng, 4, 3, 1e-5), norm_case(rng, 4, 2, 0.7)],
                see=part(i, *NORM_PARTS),
                expect=lambda *args, i=i: by_jacobian(*args)[i],
                label=NORM_PARTS[i],
            )
            for i, name, why in (
                (2, "beta", "beta is added to each row."),
                (1, "gamma", "gamma is multiplied by x_hat, not by x."),
            )
        ),
        Check(
            "gradient of x",
            why="Every row moves the mean and the variance of all rows, and these ways count too: so "
            "dx adds up to 0 in each column.",
            cases=lambda rng: [norm_case(rng, 4, 3, 1e-5), norm_case(rng, 3, 2, 1e-5)],
            see=part(0, *NORM_PARTS),
            expect=lambda *args: by_jacobian(*args)[0],
            label="dx",
        ),
        Check(
            "a large eps",
            why="eps belongs into the root, with the variance divided by N.",
            cases=lambda rng: [norm_case(rng, 5, 2, 2.0)],
        ),
    ),
    ideas=(
        Idea("mean and variance held constant", norm_with(False, False)),
        Idea("the variance held constant", norm_with(through_var=False)),
        Idea("the mean held constant", norm_with(through_mean=False)),
        Idea("a variance divided by N - 1", norm_with(ddof=1)),
        Idea("eps left out", norm_with(use_eps=False)),
        Idea("gamma left out of dx", norm_with(use_gamma=False)),
        Idea("a gamma gradient made with x, not with x_hat", with_dgamma(lambda x, g, dx, dg, db: (dx, (g * x).sum(0), db))),
        Idea("means over the batch where sums belong", with_dgamma(lambda x, g, dx, dg, db: (dx, dg / len(x), db / len(x)))),
        Idea("gradients that are not summed over the batch", with_dgamma(lambda x, g, dx, dg, db: (dx, g, g))),
    ),
)  # fmt: skip

TASKS = (LINEAR, BCE, ADAM, BATCHNORM)
