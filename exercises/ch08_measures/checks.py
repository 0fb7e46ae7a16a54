"""Chapter 08: Measuring a GAN.

Oracles: loops over single points in plain Python, closed forms for Gaussians, eigenvalues of the
product of two covariances, and sets of points whose counts are known.
"""

from math import dist, exp, inf, log, pi, sqrt

import numpy as np

from minigan.grading import Check, Idea, Task

# --- 08.1 -----------------------------------------------------------------------------------------


def naive_parzen(samples, test, sigma):
    d = samples.shape[1]
    found = []
    for x in test.tolist():
        exponents = [-(dist(x, s) ** 2) / (2 * sigma**2) for s in samples.tolist()]
        top = max(exponents)
        mean = sum(exp(e - top) for e in exponents) / len(exponents)
        found.append(top + log(mean) - d * (log(sigma) + log(2 * pi) / 2))
    return np.array(found)


def clouds(rng, n, m, d, sigma):
    return rng.normal(size=(n, d)), rng.normal(0.3, 1.2, (m, d)), sigma


def shifted(change):
    def parzen(samples, test, sigma):
        return naive_parzen(samples, test, sigma) + change(samples.shape[1], len(samples), sigma)

    return parzen


def unstable(samples, test, sigma):
    squared = ((test[:, None] - samples) ** 2).sum(2)
    d = samples.shape[1]
    return np.log(np.exp(-squared / (2 * sigma**2)).mean(1)) - d * np.log(
        sigma * np.sqrt(2 * np.pi)
    )


def stable_but(top_of, samples, test, sigma, put_back=True):
    """With another largest exponent taken out, or without putting it back."""
    e = -((test[:, None] - samples) ** 2).sum(2) / (2 * sigma**2)
    top = top_of(e)
    log_mean = np.log(np.exp(e - top).mean(1)) + (top.ravel() if put_back else 0.0)
    return log_mean - normaliser(samples.shape[1], sigma)


def of_rows(e):
    return e.max(axis=1, keepdims=True)


def normaliser(d, sigma):
    return d * (log(sigma) + log(2 * pi) / 2)


PARZEN = Task(
    "08.1",
    ("parzen_log_likelihood",),
    title="a likelihood from samples",
    difficulty=2,
    minutes=20,
    read="chapter 08, section 2: Parzen windows: a likelihood for a model that has none",
    hints=(
        "All squared distances at once: ((test[:, None] - samples) ** 2).sum(axis=2), shape (m, n).",
        "With top the largest exponent of a row, log mean exp(e) = top + log mean exp(e - top).",
        "Subtract d * log(sigma * sqrt(2 pi)): one normaliser for each dimension.",
    ),
    oracle=naive_parzen,
    checks=(
        Check(
            "shape",
            why="One number for each test point.",
            cases=lambda rng: [clouds(rng, 5, 3, 2, 0.7), clouds(rng, 2, 4, 1, 1.0)],
            rtol=inf,
        ),
        Check(
            "one sample, one dimension",
            why="It is the log-density of a normal distribution, -log(sigma sqrt(2 pi)) at its top.",
            cases=lambda rng: [(np.array([[0.5]]), np.array([[0.5], [2.5]]), 2.0)],
            expect=lambda s, t, sigma: np.array([-log(2 * sqrt(2 * pi)), -0.5 - log(2 * sqrt(2 * pi))]),
        ),
        Check(
            "several samples",
            why="The densities are averaged, not their logarithms.",
            cases=lambda rng: [clouds(rng, 6, 3, 1, 0.5), clouds(rng, 3, 5, 1, 1.5)],
        ),
        Check(
            "several dimensions",
            why="The normaliser counts once for each dimension: 784 times for a digit.",
            cases=lambda rng: [clouds(rng, 4, 3, 3, 0.6), clouds(rng, 4, 2, 30, 1.3)],
        ),
        Check(
            "far from all samples",
            why="e^-1000 rounds to 0, whose logarithm is -inf; real digits are that far away.",
            cases=lambda rng: [
                (rng.normal(size=(4, 3)), rng.normal(40.0, 1.0, (3, 3)), 0.1),
                (rng.normal(size=(4, 100)), rng.normal(size=(2, 100)), 0.05),
            ],
        ),
    ),
    ideas=(
        Idea("the normaliser missing", shifted(lambda d, n, s: normaliser(d, s))),
        Idea("the normaliser of one dimension only", shifted(lambda d, n, s: normaliser(d, s) - normaliser(1, s))),
        Idea("sqrt(2 pi) missing in the normaliser", shifted(lambda d, n, s: d * log(2 * pi) / 2)),
        Idea("a sum over the samples instead of a mean", shifted(lambda d, n, s: log(n))),
        Idea("sigma^2 for 2 sigma^2 in the exponent", lambda s, t, w: naive_parzen(s, t, w / sqrt(2)) + s.shape[1] * log(1 / sqrt(2))),
        Idea("exponentials that round to 0 before their logarithm is taken", unstable),
        Idea("the largest exponent of all rows taken out, not that of each row", lambda s, t, w: stable_but(np.max, s, t, w)),
        Idea("the largest exponent taken out and not put back", lambda s, t, w: stable_but(of_rows, s, t, w, put_back=False)),
        Idea("a mean of logarithms", lambda s, t, w: (-((t[:, None] - s) ** 2).sum(2) / (2 * w**2)).mean(1) - normaliser(s.shape[1], w)),
        Idea("the mean over the test points", lambda s, t, w: naive_parzen(s, t, w).mean()),
        Idea("the nearest sample alone", lambda s, t, w: (-((t[:, None] - s) ** 2).sum(2) / (2 * w**2)).max(1) - normaliser(s.shape[1], w)),
    ),
)  # fmt: skip

# --- 08.2 -----------------------------------------------------------------------------------------


def naive_score(probs):
    rows = probs.tolist()
    average = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    total = sum(p * log(p / a) for row in rows for p, a in zip(row, average, strict=True) if p)
    return exp(total / len(rows))


def predictions(rng, n, k):
    weights = rng.exponential(size=(n, k)) ** 3 + 1e-3
    return weights / weights.sum(1, keepdims=True)


def some_zeros(rng, n, k):
    probs = predictions(rng, n, k)
    probs[::2, 0] = 0
    probs[:, k - 1] = 0  # a class that nobody shows
    return probs / probs.sum(1, keepdims=True)


def divergences(p, q):
    return (p * np.log(p / q)).sum(1)


SCORE = Task(
    "08.2",
    ("inception_score",),
    title="sharp and diverse",
    difficulty=2,
    minutes=15,
    read="chapter 08, section 3: The classifier score: sure of each, and of all in turn",
    hints=(
        "average = probs.mean(axis=0) is p(y). For each row: the sum of p log(p / average).",
        "The mean over the rows, then exp. Which is first in the divergence, the row or the average?",
        "ratio = np.where(probs > 0, probs / safe, 1), safe = average without zeros; then "
        "np.exp((probs * np.log(ratio)).sum(axis=1).mean()).",
    ),
    oracle=naive_score,
    checks=(
        Check(
            "a number",
            why="One score for the whole set.",
            cases=lambda rng: [(predictions(rng, 5, 3),)],
            rtol=inf,
        ),
        Check(
            "all samples alike",
            why="No diversity: the least score, 1.",
            cases=lambda rng: [(np.tile(predictions(rng, 1, 4), (3, 1)),)],
            expect=lambda probs: 1.0,
        ),
        Check(
            "soft predictions",
            why="The divergence of each sample from the average, and exp at the very end.",
            cases=lambda rng: [(predictions(rng, 4, 3),), (predictions(rng, 4, 10),)],
        ),
        Check(
            "certain and balanced",
            why="Sharp predictions of all K classes equally often: the largest score, K.",
            cases=lambda rng: [(np.eye(k),) for k in (2, 5, 10)],
            expect=lambda probs: float(len(probs)),
        ),
        Check(
            "zeros, and a class that nobody shows",
            why="A sure classifier says 0, and 0 log 0 = 0: one nan spoils the score.",
            cases=lambda rng: [(some_zeros(rng, 6, 4),), (np.eye(4)[[0, 0, 1, 2, 2, 2]],)],
        ),
    ),
    ideas=(
        Idea("the divergence reversed, of the average from each row", lambda p: np.exp(np.mean([(a * np.log(a / r)).sum() for a, r in [(p.mean(0), row) for row in p]]))),
        Idea("the logarithm of the score: exp forgotten", lambda p: log(naive_score(p))),
        Idea("the mean of exponentials, not the exponential of the mean", lambda p: np.exp(divergences(p, p.mean(0))).mean()),
        Idea("a logarithm to base 2 under exp", lambda p: naive_score(p) ** (1 / log(2))),
        Idea("0 * log 0, which NumPy makes nan", lambda p: np.exp(divergences(p, p.mean(0)).mean())),
        Idea("the average over classes, not over samples", lambda p: np.exp(divergences(p, p.mean(1, keepdims=True)).mean())),
        Idea("a mean over the classes as well", lambda p: naive_score(p) ** (1 / p.shape[1])),
        Idea("a sum over the samples instead of a mean", lambda p: naive_score(p) ** len(p)),
        Idea("the entropy of the average alone", lambda p: np.exp(-(p.mean(0) * np.log(p.mean(0))).sum())),
    ),
)  # fmt: skip

# --- 08.3 -----------------------------------------------------------------------------------------


def by_eigenvalues(mu1, cov1, mu2, cov2):
    """The eigenvalues of cov1 cov2 are those of the symmetric product: trace of the root."""
    eigenvalues = np.linalg.eigvals(cov1 @ cov2)
    cross = sum(sqrt(max(float(e.real), 0.0)) for e in eigenvalues)
    gap = sum((a - b) ** 2 for a, b in zip(mu1.tolist(), mu2.tolist(), strict=True))
    return gap + float(np.trace(cov1) + np.trace(cov2)) - 2 * cross


def covariance(rng, d, rank=None):
    a = rng.normal(size=(d, rank or d + 2))
    return a @ a.T / a.shape[1]


def gaussians(rng, d):
    return rng.normal(size=d), covariance(rng, d), rng.normal(size=d), covariance(rng, d)


def diagonal(rng, d):
    return (
        rng.normal(size=d),
        np.diag(rng.uniform(0.2, 3, d)),
        rng.normal(size=d),
        np.diag(rng.uniform(0.2, 3, d)),
    )


def deviations_apart(mu1, cov1, mu2, cov2):
    s1, s2 = np.sqrt(np.diag(cov1)), np.sqrt(np.diag(cov2))
    return sum((a - b) ** 2 for a, b in zip([*mu1, *s1], [*mu2, *s2], strict=True))


def singular(rng):
    """Of rank 1 and 2, in planes that meet: in the product only one direction is left."""
    u, v = rng.normal(size=(2, 4))
    return np.zeros(4), np.outer(u, u), np.ones(4), np.outer(v, v), u @ v


def elementwise(mu1, cov1, mu2, cov2):
    root = np.sqrt(np.abs(cov1 * cov2))
    return ((mu1 - mu2) ** 2).sum() + np.trace(cov1 + cov2 - 2 * root)


def of_product(mu1, cov1, mu2, cov2):
    return ((mu1 - mu2) ** 2).sum() + np.trace(cov1 + cov2 - 2 * np.sqrt(np.abs(cov1 @ cov2)))


def by_cholesky(mu1, cov1, mu2, cov2):
    c = np.linalg.cholesky(cov1)
    cross = np.sqrt(np.linalg.eigvalsh(c.T @ cov2 @ c)).sum()
    return ((mu1 - mu2) ** 2).sum() + np.trace(cov1 + cov2) - 2 * cross


SINGULAR = (
    "what singular matrices do not have: a Cholesky factor, an inverse, or eigenvalues of which "
    "none is rounded below 0"
)

FRECHET = Task(
    "08.3",
    ("frechet_distance",),
    title="the distance behind FID",
    difficulty=3,
    minutes=25,
    read="chapter 08, section 4: The Fréchet distance: two clouds as two Gaussians",
    hints=(
        "np.sqrt takes roots of entries. With w, V = np.linalg.eigh(A), the root of A is "
        "V diag(sqrt(w)) V.T.",
        "The trace of a root is the sum of sqrt of the eigenvalues: the outer root is not needed.",
        "root = (V * np.sqrt(np.maximum(w, 0))) @ V.T, then np.linalg.eigvalsh(root @ cov2 @ root).",
    ),
    oracle=by_eigenvalues,
    checks=(
        Check(
            "a number",
            why="One distance.",
            cases=lambda rng: [gaussians(rng, 3)],
            rtol=inf,
        ),
        Check(
            "means alone",
            why="Equal covariances drop out: the squared distance of the means is left.",
            cases=lambda rng: [
                (a, c, b, c.copy()) for a, c, b, _ in [gaussians(rng, 3), gaussians(rng, 1)]
            ],
            expect=lambda mu1, cov1, mu2, cov2: float(((mu1 - mu2) ** 2).sum()),
        ),
        Check(
            "independent features",
            why="With diagonal covariances it is the sum of (mu1 - mu2)^2 + (s1 - s2)^2.",
            cases=lambda rng: [diagonal(rng, 1), diagonal(rng, 4)],
            expect=deviations_apart,
        ),
        Check(
            "features that depend on each other",
            why="The root is a matrix's root; a root of each entry looks right only on diagonals.",
            cases=lambda rng: [gaussians(rng, 2), gaussians(rng, 5)],
            rtol=1e-6,
        ),
        Check(
            "singular covariances",
            why="With fewer samples than features they always are; rounding makes eigenvalues "
            "slightly negative, and their roots nan.",
            cases=lambda rng: [singular(rng)[:4] for _ in range(3)],
            expect=lambda mu1, cov1, mu2, cov2: (
                4 + np.trace(cov1) + np.trace(cov2) - 2 * sqrt(float((cov1 * cov2).sum()))
            ),
            rtol=1e-5,
            atol=1e-5,
        ),
    ),
    ideas=(
        Idea("an elementwise root, of cov1 * cov2", elementwise),
        Idea("an elementwise root, of cov1 @ cov2", of_product),
        Idea("the means left out", lambda a, c, b, e: by_eigenvalues(a, c, a, e)),
        Idea("a distance that is not squared", lambda a, c, b, e: by_eigenvalues(a, c, a, e) + np.linalg.norm(a - b)),
        Idea("the 2 before the root forgotten", lambda a, c, b, e: (by_eigenvalues(a, c, b, e) + ((a - b) ** 2).sum() + np.trace(c + e)) / 2),
        Idea("a distance that is not squared", lambda a, c, b, e: np.sqrt(by_eigenvalues(a, c, b, e))),
        Idea(SINGULAR, by_cholesky),
    ),
)  # fmt: skip

# --- 08.4 -----------------------------------------------------------------------------------------


def naive_pr(real, fake, k, skip=1, inside=lambda a, r: a <= r):
    def share(points, owners):
        owners = owners.tolist()
        radii = [sorted(dist(o, x) ** 2 for x in owners)[k - 1 + skip] for o in owners]
        hit = [
            any(inside(dist(p, o) ** 2, r) for o, r in zip(owners, radii, strict=True))
            for p in points.tolist()
        ]
        return sum(hit) / len(hit)

    return share(fake, real), share(real, fake)


def two_sets(rng, n, m, d, k, spread=0.6):
    return rng.normal(size=(n, d)), rng.normal(0.5, spread, (m, d)), k


def on_a_lattice(rng):
    """Whole coordinates, so that distances are exact and many points lie on surfaces."""
    return [
        (np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[5.0, 0.0], [4.0, -3.0], [9.0, 9.0]]), 1),
        (np.array([[0.0], [2.0], [10.0]]), np.array([[4.0], [12.0], [30.0], [31.0]]), 1),
    ]


def swapped(pair):
    return pair[1], pair[0]


PRECISION = Task(
    "08.4",
    ("precision_recall",),
    title="quality and coverage apart",
    difficulty=2,
    minutes=25,
    read="chapter 08, section 6: Precision and recall: who lies within whom",
    hints=(
        "Write inside(points, owners): the share of points within some owner's ball. Use it twice.",
        "An owner's radius is its distance to the k-th nearest other owner: itself, at 0, comes first.",
        "np.sort(distances(owners, owners), axis=1)[:, k] is the radius; then <= and any(axis=1).",
    ),
    oracle=naive_pr,
    returns=("precision", "recall"),
    checks=(
        Check(
            "two numbers",
            why="Quality and coverage are two things.",
            cases=lambda rng: [two_sets(rng, 8, 6, 2, 2)],
            rtol=inf,
        ),
        Check(
            "any sets, any k",
            why="The radius reaches to the k-th nearest of the others.",
            cases=lambda rng: [two_sets(rng, 15, 12, d, k) for d in (1, 3) for k in (1, 2, 4)],
        ),
        Check(
            "good but not diverse",
            why="Fakes that crowd in one place of the data: precision 1, low recall.",
            cases=lambda rng: [(rng.normal(size=(20, 2)), 0.01 * rng.normal(size=(10, 2)), 3)],
        ),
        Check(
            "diverse but not good",
            why="Fakes that are spread too far: low precision, high recall.",
            cases=lambda rng: [(0.1 * rng.normal(size=(10, 2)), 3 * rng.normal(size=(15, 2)), 2)],
        ),
        Check(
            "points on the surface",
            why="By the definition they are inside.",
            cases=on_a_lattice,
        ),
        Check(
            "duplicates",
            why="Other points in the same place are others all the same: the radius may be 0.",
            cases=lambda rng: [
                (np.array([[0.0], [0.0], [5.0], [6.0]]), np.array([[0.0], [5.5], [20.0]]), 1)
            ],
        ),
    ),
    ideas=(
        Idea("precision and recall swapped", lambda r, f, k: swapped(naive_pr(r, f, k))),
        Idea("the point itself counted among its neighbours", lambda r, f, k: naive_pr(r, f, k, skip=0)),
        Idea("one neighbour too far", lambda r, f, k: naive_pr(r, f, min(k + 1, len(r) - 1, len(f) - 1))),
        Idea("< where <= belongs", lambda r, f, k: naive_pr(r, f, k, inside=lambda a, b: a < b)),
        Idea("precision twice", lambda r, f, k: (naive_pr(r, f, k)[0],) * 2),
        Idea("balls of the points that are tested, not of the other set", lambda r, f, k: tuple(_own_balls(a, b, k) for a, b in ((f, r), (r, f)))),
        Idea("percent", lambda r, f, k: tuple(100 * v for v in naive_pr(r, f, k))),
    ),
)  # fmt: skip


def _own_balls(points, others, k):
    points = points.tolist()
    radii = [sorted(dist(p, x) for x in points)[k] for p in points]
    hits = [
        min(dist(p, o) for o in others.tolist()) <= r for p, r in zip(points, radii, strict=True)
    ]
    return sum(hits) / len(hits)


# --- 08.5 -----------------------------------------------------------------------------------------


def naive_modes(samples, centers, sigma, reach=3.0):
    found, good = set(), 0
    for x in samples.tolist():
        distances = [dist(x, c) for c in centers.tolist()]
        nearest = min(range(len(distances)), key=lambda i: distances[i])
        if distances[nearest] <= reach * sigma:
            good += 1
            found.add(nearest)
    return len(found), good / len(samples)


def ring(n=8, radius=1.0):
    angle = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angle) + 0.3, np.sin(angle) - 0.2], axis=1)


def around(rng, centers, which, sigma, noise=1.0):
    return centers[list(which)] + noise * sigma * rng.normal(size=(len(which), centers.shape[1]))


def mixture(rng, which=(0, 0, 1, 3, 3, 3, 6), junk=4):
    centers = ring()
    good = around(rng, centers, which, 0.04, 0.5)
    return [(np.concatenate([good, rng.normal(0.2, 0.1, (junk, 2))]), centers, 0.04)]


def halfway(rng):
    """Half of the samples lie between two modes, where no data are."""
    centers = ring()
    between = (centers[[4, 5]] + centers[[5, 6]]) / 2
    return [(np.concatenate([around(rng, centers, (0, 1), 0.04, 0.3), between]), centers, 0.04)]


def at_a_distance(*steps):
    """Samples that are so many sigmas from their mode, in one dimension."""
    return lambda rng: [(np.array([[s * 0.25] for s in steps]), np.array([[0.0], [8.0]]), 0.25)]


MODES = Task(
    "08.5",
    ("count_modes",),
    title="how many modes were found",
    difficulty=1,
    minutes=15,
    read="chapter 08, section 7: Mode counts: where the centres are known",
    hints=(
        "All distances at once: samples[:, None] - centers, shape (n, k, d). Which center is nearest?",
        "good = the distance to the nearest is at most 3 sigma. Only good samples hit modes.",
        "len(set(distance.argmin(axis=1)[good].tolist())), good.mean().",
    ),
    oracle=naive_modes,
    returns=("modes", "share"),
    checks=(
        Check(
            "two numbers",
            why="How many modes, and how good the samples are.",
            cases=mixture,
            see=lambda f, *args: tuple(float(v) for v in f(*args)),
            expect=lambda *args: tuple(float(v) for v in naive_modes(*args)),
            rtol=inf,
        ),
        Check(
            "each mode counts once",
            why="Three samples in one mode have found one mode.",
            cases=lambda rng: mixture(rng, junk=0),
        ),
        Check(
            "bad samples",
            why="A sample between two modes is near to neither: it hits none, and lowers the share.",
            cases=lambda rng: [*halfway(rng), *mixture(rng)],
        ),
        Check(
            "within 3 sigma",
            why="The distance counts, not its square and not each axis by itself; 3 sigma is inside.",
            cases=lambda rng: [
                *at_a_distance(0.0, 2.5, 2.9, 3.0, 3.1, 4.0)(rng),
                (np.array([[2.5, 2.5], [1.0, 2.0]]), np.zeros((1, 2)), 1.0),
                (np.array([[0.02, 0.0], [0.5, 0.0]]), np.zeros((1, 2)), 0.01),
            ],
        ),
        Check(
            "no mode at all",
            why="A generator that never hits has 0 modes and a share of 0.",
            cases=lambda rng: [(np.full((5, 2), 30.0), ring(), 0.05)],
        ),
        Check(
            "modes that are close together",
            why="Each sample belongs to its nearest mode only.",
            cases=lambda rng: [(np.array([[0.1], [0.2]]), np.array([[0.0], [1.0], [2.0]]), 1.0)],
        ),
    ),
    ideas=(
        Idea("no quality cut for modes: every sample hits its nearest", lambda s, c, w: (naive_modes(s, c, inf)[0], naive_modes(s, c, w)[1])),
        Idea("no quality cut at all", lambda s, c, w: naive_modes(s, c, inf)),
        Idea("within 1 sigma", lambda s, c, w: naive_modes(s, c, w, 1.0)),
        Idea("the number of good samples, not of modes", lambda s, c, w: (round(naive_modes(s, c, w)[1] * len(s)), naive_modes(s, c, w)[1])),
        Idea("the share of modes, not of samples", lambda s, c, w: (naive_modes(s, c, w)[0], naive_modes(s, c, w)[0] / len(c))),
        Idea("the number of good samples where their share belongs", lambda s, c, w: (naive_modes(s, c, w)[0], naive_modes(s, c, w)[1] * len(s))),
        Idea("squared distances compared with 3 sigma", lambda s, c, w: naive_modes(s, c, sqrt(w / 3))),
        Idea("every mode within 3 sigma of a sample, not only the nearest", lambda s, c, w: (sum(min(dist(x, m) for x in s.tolist()) <= 3 * w for m in c.tolist()), naive_modes(s, c, w)[1])),
        Idea("each axis by itself within 3 sigma", lambda s, c, w: (naive_modes(s, c, w)[0], float((abs(s[:, None] - c).max(2).min(1) <= 3 * w).mean()))),
    ),
)  # fmt: skip

TASKS = (PARZEN, SCORE, FRECHET, PRECISION, MODES)
