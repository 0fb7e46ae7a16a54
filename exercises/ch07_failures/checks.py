"""Chapter 07: When it fails.

Oracles: the slopes of xy and exact radii, sums written out in plain Python, and closed forms.
"""

from math import inf, sqrt

import numpy as np

import minigan as mg
from minigan.grading import Check, Idea, Task
from minigan.grading.views import is_scalar_tensor, slopes, value

# --- 07.1 -----------------------------------------------------------------------------------------


def points(rng):
    return [(float(x), float(y)) for x, y in rng.normal(0, 2, (3, 2))]


def steps(simultaneous):
    return lambda rng: [(x, y, float(rng.uniform(0.05, 0.9)), simultaneous) for x, y in points(rng)]


def by_matrix(x, y, lr, simultaneous):
    """The step is linear: simultaneous [[1, -h], [h, 1]], alternating [[1, -h], [h, 1 - h^2]]."""
    corner = 1.0 if simultaneous else 1 - lr**2
    return x - lr * y, lr * x + corner * y


def radius_growth(f, x, y, lr, simultaneous):
    new = f(x, y, lr, simultaneous)
    return (new[0] ** 2 + new[1] ** 2) / (x**2 + y**2)


def conserved(f, x, y, lr, simultaneous):
    for _ in range(5):
        x, y = f(x, y, lr, simultaneous)
    return x * x + y * y - lr * x * y


BILINEAR = Task(
    "07.1",
    ("bilinear_step",),
    title="two players who circle",
    difficulty=1,
    minutes=10,
    read="chapter 07, section 1: Cycling: the smallest game",
    hints=(
        "The slope of xy in x is y; the slope in y is x. Who goes down, and who goes up?",
        "x - lr * y, and y + lr * x: with the old x, or with the new one?",
        "new_x = x - lr * y; new_y = y + lr * (x if simultaneous else new_x).",
    ),
    oracle=by_matrix,
    returns=("x", "y"),
    checks=(
        Check(
            "two numbers",
            why="Both players have moved.",
            cases=lambda rng: [(1.0, 2.0, 0.1, True), (1.0, 2.0, 0.1, False)],
            rtol=inf,
        ),
        Check(
            "simultaneous",
            why="Both see the old values.",
            cases=lambda rng: [(1.0, 2.0, 0.1, True), *steps(True)(rng)],
        ),
        Check(
            "alternating",
            why="y answers to what x has just done, which keeps the orbit bounded.",
            cases=lambda rng: [(1.0, 2.0, 0.1, False), *steps(False)(rng)],
        ),
        Check(
            "simultaneous: the radius grows",
            why="x^2 + y^2 is multiplied by exactly 1 + lr^2 at each step: the players spiral out.",
            cases=steps(True),
            see=radius_growth,
            expect=lambda x, y, lr, simultaneous: 1 + lr**2,
            label="growth",
        ),
        Check(
            "alternating: what is conserved",
            why="x^2 + y^2 - lr x y never changes, so the players neither meet nor part.",
            cases=steps(False),
            see=conserved,
            expect=lambda x, y, lr, simultaneous: x * x + y * y - lr * x * y,
            label="x^2 + y^2 - lr x y",
        ),
    ),
    ideas=(
        Idea("both players go down: y must go up", lambda x, y, h, s: (x - h * y, y - h * (x if s else x - h * y))),
        Idea("both players go up: x must go down", lambda x, y, h, s: (x + h * y, y + h * (x if s else x + h * y))),
        Idea("the players exchanged: x goes up and y down", lambda x, y, h, s: (x + h * y, y - h * (x if s else x + h * y))),
        Idea("alternating steps where simultaneous ones were asked for", lambda x, y, h, s: by_matrix(x, y, h, False)),
        Idea("simultaneous steps where alternating ones were asked for", lambda x, y, h, s: by_matrix(x, y, h, True)),
        Idea("y first, and x sees the new y", lambda x, y, h, s: (x - h * y, y + h * x) if s else (x - h * (y + h * x), y + h * x)),
        Idea("each player moving along its own value", lambda x, y, h, s: (x - h * x, y + h * y)),
    ),
)  # fmt: skip

# --- 07.2 -----------------------------------------------------------------------------------------


def mean_target(p, q, alpha=0.9, beta=0.0):
    def one(a, b):
        return (alpha * a + beta * b) / (a + b) if a + b else 0.5

    pairs = zip(np.ravel(p).tolist(), np.ravel(q).tolist(), strict=True)
    return np.array([one(a, b) for a, b in pairs]).reshape(np.shape(p))


SMOOTHED = Task(
    "07.2",
    ("smoothed_optimal_discriminator",),
    title="one-sided label smoothing",
    difficulty=1,
    minutes=10,
    read="chapter 07, section 4: Four remedies of 2016",
    hints=(
        "It is exercise 04.1 with other targets: the mean target at x, weighted by p and q.",
        "alpha belongs to the data, p; beta to the samples, q. Mind p + q = 0.",
        "np.where(total == 0, 0.5, (alpha * p + beta * q) / safe), safe without zeros.",
    ),
    oracle=mean_target,
    checks=(
        Check(
            "shape",
            why="D answers once for each x.",
            cases=lambda rng: [(rng.random((3, 4)) + 0.1, rng.random((3, 4)) + 0.1)],
            rtol=inf,
        ),
        Check(
            "the default smooths the data only",
            why="D says 0.9 where only data live and 0 where only samples do.",
            cases=lambda rng: [
                (np.array([0.6, 0.4, 0.0]), np.array([0.2, 0.0, 0.8])),
                (3 * rng.random(20), rng.random(20)),
            ],
        ),
        Check(
            "any targets",
            why="With beta > 0 the samples stand in the numerator too, and D rewards G for them.",
            cases=lambda rng: [
                (rng.random(6), 2 * rng.random(6), 0.8, 0.1),
                (rng.random((2, 3)), rng.random((2, 3)), 1.0, 0.0),
                (rng.random(4), rng.random(4), 0.7, 0.3),
            ],
        ),
        Check(
            "where both vanish",
            why="Nothing is seen there: 1/2 by agreement, not nan.",
            cases=lambda rng: [(np.array([0.5, 0.0]), np.array([0.2, 0.0]), 0.8, 0.05)],
        ),
    ),
    ideas=(
        Idea("the fakes smoothed, with the target 1 - alpha", lambda p, q, a=0.9, b=0.0: mean_target(p, q, a, 1 - a)),
        Idea("the targets exchanged", lambda p, q, a=0.9, b=0.0: mean_target(p, q, b, a)),
        Idea("no smoothing", lambda p, q, a=0.9, b=0.0: mean_target(p, q, 1.0, 0.0)),
        Idea("beta left out", lambda p, q, a=0.9, b=0.0: mean_target(p, q, a, 0.0)),
        Idea("the densities smoothed in the divisor as well", lambda p, q, a=0.9, b=0.0: a * p / (a * p + q)),
        Idea("0 / 0 not cared for", lambda p, q, a=0.9, b=0.0: (a * p + b * q) / (p + q)),
        Idea("0 for 0 / 0: nan turned into 0, or a constant added to p + q", lambda p, q, a=0.9, b=0.0: (a * p + b * q) / (p + q + 1e-12)),
    ),
)  # fmt: skip

# --- 07.3 -----------------------------------------------------------------------------------------


def by_group(x, group_size, ddof=0, eps=1e-8):
    n, c, h, w = x.shape
    out = np.zeros((n, c + 1, h, w))
    out[:, :c] = x
    for start in range(0, n, group_size):
        total = 0.0
        for at in np.ndindex(c, h, w):
            numbers = [float(x[(i, *at)]) for i in range(start, start + group_size)]
            mu = sum(numbers) / group_size
            total += sqrt(sum((v - mu) ** 2 for v in numbers) / (group_size - ddof) + eps)
        out[start : start + group_size, c] = total / (c * h * w)
    return out


def groups(*cases):
    return lambda rng: [
        (rng.normal(0, 1 + 2 * rng.random((n, 1, 1, 1)), (n, *rest)), g) for n, *rest, g in cases
    ]


def interleaved(x, group_size):
    order = np.arange(len(x)).reshape(group_size, -1).T.ravel()
    out = np.empty((len(x), x.shape[1] + 1, *x.shape[2:]))
    out[order] = by_group(x[order], group_size)
    return out


def with_channel(function):
    """An idea about the numbers in the new channel, broadcast to (N, 1, H, W)."""

    def stddev(x, group_size):
        n, _, h, w = x.shape
        parts = x.reshape(-1, group_size, *x.shape[1:])
        found = np.repeat(function(parts), group_size, axis=0)
        channel = (
            found.reshape(n, 1, *found.shape[-2:]) if found.ndim > 1 else found[:, None, None, None]
        )
        return np.concatenate([x, np.broadcast_to(channel, (n, 1, h, w))], axis=1)

    return stddev


STDDEV = Task(
    "07.3",
    ("minibatch_stddev",),
    title="a channel that sees collapse",
    difficulty=2,
    minutes=20,
    read="chapter 07, section 4: Four remedies of 2016",
    hints=(
        "Reshape to (N // group_size, group_size, C, H, W): axis 1 is the group.",
        "np.sqrt(groups.var(axis=1) + 1e-8), then the mean over C, H, W: one number for each group.",
        "np.repeat(numbers, group_size) gives one for each sample; concatenate it as a channel.",
    ),
    oracle=by_group,
    checks=(
        Check(
            "shape",
            why="One more channel, whatever the group size.",
            cases=groups((4, 3, 2, 5, 2), (6, 1, 3, 2, 3)),
            rtol=inf,
        ),
        Check(
            "the pictures stay",
            why="They are what the new channel is added to.",
            cases=groups((4, 3, 2, 2, 2)),
            see=lambda f, x, g: np.asarray(f(x, g))[:, :-1],
            expect=lambda x, g: x,
            label="first channels",
        ),
        Check(
            "one group",
            why="The deviation over samples, averaged over channels and pixels, divided by N.",
            cases=groups((3, 2, 2, 3, 3), (2, 1, 1, 1, 2)),
        ),
        Check(
            "several groups",
            why="Consecutive samples form a group, and each group has its own number.",
            cases=groups((6, 2, 2, 3, 2), (6, 2, 3, 2, 3), (8, 1, 2, 2, 2)),
        ),
        Check(
            "a collapsed group",
            why="Equal pictures have deviation 0, where the root has no slope: hence the 1e-8.",
            cases=lambda rng: [
                (np.ones((2, 2, 3, 2)), 2),
                (np.repeat(rng.normal(size=(2, 2, 2, 3)), 2, axis=0), 2),
                (rng.normal(size=(2, 1, 2, 2)), 1),
            ],
        ),
    ),
    ideas=(
        Idea("the unbiased standard deviation, divided by group_size - 1", lambda x, g: by_group(x, g, ddof=1)),
        Idea("groups made of every n-th sample", interleaved),
        Idea("one group of the whole batch", lambda x, g: by_group(x, len(x))),
        Idea("no 1e-8 inside of the root", lambda x, g: by_group(x, g, eps=0.0)),
        Idea("the variance, without its root", with_channel(lambda parts: (parts.var(1) + 1e-8).mean((1, 2, 3)))),
        Idea("the root of the averaged variance", with_channel(lambda parts: np.sqrt(parts.var(1).mean((1, 2, 3)) + 1e-8))),
        Idea("the deviation over pixels as well as samples", with_channel(lambda parts: np.sqrt(parts.var((1, 2, 3, 4)) + 1e-8))),
        Idea("a map that is averaged over channels, but not over pixels", with_channel(lambda parts: np.sqrt(parts.var(1) + 1e-8).mean(1))),
    ),
)  # fmt: skip

# --- 07.4 -----------------------------------------------------------------------------------------


def features(rng, n, m, f, dtype="float64"):
    real = mg.tensor(rng.normal(1.0, 1.0, (n, f)), dtype=dtype)
    return real, mg.tensor(rng.normal(-0.5, 2.0, (m, f)), requires_grad=True, dtype=dtype)


def gaps(real, fake):
    r, f = real.numpy().tolist(), fake.numpy().tolist()
    return [
        sum(a) / len(a) - sum(b) / len(b)
        for a, b in zip(zip(*r, strict=True), zip(*f, strict=True), strict=True)
    ]


def squared_gap(real, fake):
    return sum(g * g for g in gaps(real, fake))


def fake_as_first(view):
    """The views take their dtype from the first argument, and their slopes from what needs one."""
    return lambda f, real, fake: view(lambda b, a: f(a, b), fake, real)


SIZES = ((5, 5, 3), (4, 7, 2))

MATCHING = Task(
    "07.4",
    ("feature_matching_loss",),
    title="match features, on average",
    difficulty=1,
    minutes=10,
    read="chapter 07, section 4: Four remedies of 2016",
    hints=(
        "Two means over the batch, one difference, and the sum of its squares.",
        "The means come first: samples are not compared one by one, and N and M may differ.",
        "d = real_features.mean(axis=0) - fake_features.mean(axis=0); (d * d).sum().",
    ),
    checks=(
        Check(
            "a scalar Tensor",
            why="The optimiser needs one number and its gradient.",
            cases=lambda rng: [features(rng, 4, 4, 3), features(rng, 3, 5, 2, "float32")],
            see=fake_as_first(is_scalar_tensor),
            expect=lambda real, fake: "a scalar Tensor",
        ),
        Check(
            "value",
            why="The squared length of the difference of the means, summed over features.",
            cases=lambda rng: [features(rng, *size) for size in SIZES],
            see=fake_as_first(value),
            expect=squared_gap,
            label="loss",
        ),
        Check(
            "batches in another order",
            why="Only the means count: a batch and itself, shuffled, match exactly.",
            cases=lambda rng: [
                (real, mg.tensor(real.numpy()[::-1].copy(), requires_grad=True))
                for real, _ in [features(rng, 5, 5, 3)]
            ],
            see=fake_as_first(value),
            expect=lambda real, fake: 0.0,
            label="loss",
        ),
        Check(
            "slopes",
            why="Every sample is pushed the same way, by -2 / M times the gap.",
            cases=lambda rng: [features(rng, *size) for size in SIZES],
            see=fake_as_first(slopes),
            expect=lambda real, fake: np.tile(-2 * np.array(gaps(real, fake)) / fake.shape[0], (fake.shape[0], 1)),
            label="slope",
        ),
    ),
    ideas=(
        Idea("samples compared one by one", lambda r, f: ((r - f) * (r - f)).sum(axis=1).mean() if r.shape == f.shape else (r.mean(axis=0) - f).sum()),
        Idea("a mean over the features instead of a sum", lambda r, f: ((r.mean(axis=0) - f.mean(axis=0)) ** 2).mean()),
        Idea("the length, not squared", lambda r, f: ((r.mean(axis=0) - f.mean(axis=0)) ** 2).sum().sqrt()),
        Idea("absolute values instead of squares", lambda r, f: (r.mean(axis=0) - f.mean(axis=0)).abs().sum()),
        Idea("sums over the batch instead of means", lambda r, f: ((r.sum(axis=0) - f.sum(axis=0)) ** 2).sum()),
        Idea("means over the features, one for each sample", lambda r, f: (r.mean() - f.mean()) ** 2),
    ),
)  # fmt: skip

# --- 07.5 -----------------------------------------------------------------------------------------


def two_lists(rng, decay):
    shapes = ((2, 3), (4,), ())
    return [rng.normal(size=s) for s in shapes[:2]], [rng.normal(size=s) for s in shapes[:2]], decay


def held_arrays(f, average, params, decay):
    held = list(average)
    f(average, params, decay)
    return tuple(np.array(a) for a in held)


def mixed(average, params, decay):
    pairs = zip(average, params, strict=True)
    return tuple(decay * a + (1 - decay) * p for a, p in pairs)


def several(f, average, params, decay):
    held = list(average)
    for _ in range(3):
        f(average, params, decay)
    return tuple(np.array(a) for a in held)


def after_training(f, average, params, decay):
    """The average must not follow when the net moves on."""
    held = list(average)
    f(average, params, decay)
    for p in params:
        p += 100.0
    return tuple(np.array(a) for a in held)


def replaced(average, params, decay):
    for i, (a, p) in enumerate(zip(list(average), params, strict=True)):
        average[i] = decay * a + (1 - decay) * p


def in_place(rule):
    def update(average, params, decay):
        for a, p in zip(average, params, strict=True):
            a[...] = rule(a, p, decay)

    return update


def first_only(average, params, decay):
    in_place(lambda a, p, d: d * a + (1 - d) * p)(average[:1], params[:1], decay)


def aliased(average, params, decay):
    average[:] = params


EMA = Task(
    "07.5",
    ("update_ema",),
    title="an average of weights",
    difficulty=1,
    minutes=10,
    read="chapter 07, section 4: Four remedies of 2016",
    hints=(
        "Go through both lists together and change each array of the first.",
        "average[i] = ... changes the list, not the array. Which operators write into an array?",
        "a *= decay; a += (1 - decay) * p.",
    ),
    mutates=(0,),
    checks=(
        Check(
            "in place",
            why="The average belongs to a second net, which must see the change in its own arrays.",
            cases=lambda rng: [two_lists(rng, 0.9), two_lists(rng, 0.3)],
            see=held_arrays,
            expect=mixed,
            label="array",
        ),
        Check(
            "decay 1 and decay 0",
            why="1 keeps the average as it is, 0 copies the weights.",
            cases=lambda rng: [two_lists(rng, 1.0), two_lists(rng, 0.0)],
            see=held_arrays,
            expect=mixed,
            label="array",
        ),
        Check(
            "three updates",
            why="What is left of the start is decay^3.",
            cases=lambda rng: [two_lists(rng, 0.8)],
            see=several,
            expect=lambda average, params, decay: mixed(average, params, decay**3),
            label="array",
        ),
        Check(
            "memory of its own",
            why="If it shared memory with the weights it would follow them, and average nothing.",
            cases=lambda rng: [two_lists(rng, 0.0), two_lists(rng, 0.6)],
            see=lambda f, average, params, decay: after_training(f, average, [p.copy() for p in params], decay),
            expect=mixed,
            label="array",
        ),
    ),
    ideas=(
        Idea("another array put into the list; the one that others hold stays as it was", replaced),
        Idea("another array put into the list; the one that others hold stays as it was", aliased),
        Idea("decay and 1 - decay exchanged", in_place(lambda a, p, d: (1 - d) * a + d * p)),
        Idea("a copy of the weights", in_place(lambda a, p, d: p)),
        Idea("a sum, without the factor 1 - decay", in_place(lambda a, p, d: d * a + p)),
        Idea("only the first array", first_only),
        Idea("the plain mean of both", in_place(lambda a, p, d: (a + p) / 2)),
    ),
)  # fmt: skip

TASKS = (BILINEAR, SMOOTHED, STDDEV, MATCHING, EMA)
