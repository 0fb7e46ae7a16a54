"""The measures, each against a closed form or a computation that shares nothing with it.

What decides between right and wrong is a function ``check_...`` of the measure. It is run on the
measure, and on copies with a planted mistake, where it has to fail.
"""

import inspect
import itertools
import math
import tracemalloc
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import minigan as mg
from minigan import metrics
from minigan.data import grid25, ring8
from minigan.metrics import distances, gaussians, kernels, neighbours, parzen, scores

pytestmark = pytest.mark.on_the_host("host arrays in and out, no array library")

Array = np.ndarray
Metric = Callable[..., Any]
SEEDS = st.integers(0, 10**6)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def rotation(seed: int, d: int) -> Array:
    return np.linalg.qr(normal(seed, d, d))[0]


def covariance(seed: int, d: int, rank: int | None = None) -> Array:
    """Symmetric and positive semi-definite, of eigenvalues about 1 and the given rank."""
    a = normal(seed, d, rank or 3 * d)
    return a @ a.T / a.shape[1]


def lattice(n: int, d: int) -> st.SearchStrategy[Array]:
    """n points with few different coordinates: full of copies and of equal distances."""
    return arrays(np.int64, (n, d), elements=st.integers(-2, 2))


def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few points make many blocks, and a last one of another size."""
    monkeypatch.setattr(distances, "BLOCK", 3)


# --- Moments and the Fréchet distance -------------------------------------------------------------


def check_moments(moments: Metric) -> None:
    for features in (normal(0, 50, 4) + 3, normal(1, 3, 5), normal(2, 2, 1), np.eye(4, dtype=int)):
        mean, cov = moments(features)
        d = features.shape[1]
        assert mean.shape == (d,) and cov.shape == (d, d) and mean.dtype == cov.dtype == np.float64
        np.testing.assert_allclose(mean, np.mean(features, axis=0), atol=1e-14)
        np.testing.assert_allclose(cov, np.cov(features, rowvar=False).reshape(d, d), atol=1e-14)


def test_moments() -> None:
    check_moments(metrics.moments)


def test_moments_of_float32_with_an_offset_lose_nothing() -> None:
    features = (normal(0, 1000, 3) + 1000).astype(np.float32)
    mean, cov = metrics.moments(features)
    np.testing.assert_allclose(mean, features.astype(float).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(cov, np.cov(features.astype(float), rowvar=False), atol=1e-9)


def check_frechet(frechet: Metric) -> None:
    """Closed forms, SciPy's matrix root, and covariances of any rank."""
    linalg = pytest.importorskip("scipy.linalg")
    for m1, s1, m2, s2 in [(0.0, 1.0, 3.0, 1.0), (1.0, 2.0, 1.0, 0.5), (-1.0, 0.0, 2.0, 3.0)]:
        one = (np.array([m1]), np.array([[s1**2]]), np.array([m2]), np.array([[s2**2]]))
        assert frechet(*one) == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, abs=1e-8)
    for d in (2, 5, 16):
        mu1, mu2 = normal(d, 2, d)
        c1, c2 = covariance(d, d), covariance(d + 1, d)
        assert np.abs(c1 @ c2 - c2 @ c1).max() > 0.1  # they do not commute
        root = linalg.sqrtm(c1 @ c2)
        expected = np.sum((mu1 - mu2) ** 2) + np.trace(c1 + c2 - 2 * root.real)
        assert frechet(mu1, c1, mu2, c2) == pytest.approx(expected, abs=1e-8)
        # Commuting: sum over the shared axes of the one-dimensional distances.
        q, (a, b) = rotation(d, d), np.random.default_rng(d).uniform(0, 2, (2, d))
        a[0] = b[-1] = 0.0
        shared = [(q * values) @ q.T for values in (a, b)]
        expected = np.sum((mu1 - mu2) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
        assert frechet(mu1, shared[0], mu2, shared[1]) == pytest.approx(expected, rel=1e-6)
        # Any rank: with C₁ = AAᵀ and C₂ = BBᵀ the last trace is the nuclear norm of AᵀB.
        for rank1, rank2 in itertools.product((1, d // 2, d), repeat=2):
            f, g = normal(rank1, d, rank1), normal(rank2 + 50, d, rank2)
            traces = np.sum(f**2) + np.sum(g**2)
            expected = np.sum((mu1 - mu2) ** 2) + traces - 2 * np.linalg.norm(f.T @ g, "nuc")
            assert frechet(mu1, f @ f.T, mu2, g @ g.T) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance() -> None:
    check_frechet(metrics.frechet_distance)


def test_frechet_distance_of_a_mean_alone() -> None:
    zero = np.zeros((3, 3))
    mu = np.array([1, 2, 2])
    assert metrics.frechet_distance(mu, zero, np.zeros(3), zero) == 9.0
    c = covariance(0, 3)
    assert metrics.frechet_distance(mu, c, np.zeros(3), c) == pytest.approx(9.0, abs=1e-12)
    assert metrics.frechet_distance(mu, c, mu, zero) == pytest.approx(np.trace(c), rel=1e-12)


@given(seed=SEEDS, d=st.integers(1, 12), rank=st.integers(1, 12), scale=st.floats(0.01, 100))
def test_frechet_distance_properties(seed: int, d: int, rank: int, scale: float) -> None:
    mu1, mu2 = normal(seed, 2, d)
    c1, c2 = covariance(seed + 1, d, rank), covariance(seed + 2, d)
    value = metrics.frechet_distance(mu1, c1, mu2, c2)
    q = rotation(seed, d)
    turned = metrics.frechet_distance(q @ mu1, q @ c1 @ q.T, q @ mu2, q @ c2 @ q.T)
    scaled = metrics.frechet_distance(scale * mu1, scale**2 * c1, scale * mu2, scale**2 * c2)
    assert value >= 0.0
    assert metrics.frechet_distance(mu2, c2, mu1, c1) == pytest.approx(value, rel=1e-6, abs=1e-8)
    assert turned == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert scaled == pytest.approx(scale**2 * value, rel=1e-6)
    assert 0.0 <= metrics.frechet_distance(mu1, c1, mu1, c1) < 1e-12 * (1 + np.trace(c1))


def test_frechet_distance_takes_rounding_for_what_it_is() -> None:
    """From float32, with an eigenvalue of −1e-9 and entries that differ in the last digit."""
    q = rotation(0, 4)
    c = (q * np.array([2.0, 1.0, 0.0, -1e-9])) @ q.T
    c[0, 1] += 1e-9
    mu = np.zeros(4)
    assert metrics.frechet_distance(mu, c, mu, np.zeros((4, 4))) == pytest.approx(3.0, abs=1e-8)
    assert metrics.frechet_distance(mu, c, mu, c.astype(np.float32)) < 1e-6


def expected_bias(eigenvalues: Array, n: int, m: int) -> float:
    """Of the Fréchet distance between samples of one Gaussian, to the first order in 1/n and 1/m:
    (1/n + 1/m)[Σλᵢ + ½ Σᵢⱼ λᵢλⱼ(1 + δᵢⱼ)/(λᵢ + λⱼ)]."""
    a, b = eigenvalues[:, None], eigenvalues[None, :]
    pairs = a * b * (1 + np.eye(len(eigenvalues))) / (a + b)
    return (1 / n + 1 / m) * float(eigenvalues.sum() + pairs.sum() / 2)


def test_the_bias_formula_gives_the_sizes_that_chapter_08_prints() -> None:
    assert round(expected_bias(np.ones(64), 10_000, 10_000), 2) == 0.22
    assert round(expected_bias(np.ones(64), 1000, 1000), 1) == 2.2


def moments_of_a_sample(
    rng: np.random.Generator, eigenvalues: Array, n: int
) -> tuple[Array, Array]:
    """Distributed as the moments of n points of N(0, diag λ), without the points: (n − 1)·C is a
    Wishart matrix LLᵀ, of which L has normal entries below a diagonal of chi (Bartlett 1933)."""
    d = len(eigenvalues)
    chi = np.sqrt(rng.chisquare(n - 1 - np.arange(d)))
    root = np.sqrt(eigenvalues)[:, None] * (np.tril(rng.standard_normal((d, d)), -1) + np.diag(chi))
    return rng.standard_normal(d) * np.sqrt(eigenvalues / n), root @ root.T / (n - 1)


@pytest.mark.parametrize("least", [1.0, 0.25], ids=["equal eigenvalues", "unequal"])
def test_small_samples_of_one_gaussian_are_that_far_apart(least: float) -> None:
    rng = np.random.default_rng(0)
    eigenvalues, n, m = np.linspace(least, 1, 16), 30_000, 20_000
    values = [
        metrics.frechet_distance(
            *moments_of_a_sample(rng, eigenvalues, n), *moments_of_a_sample(rng, eigenvalues, m)
        )
        for _ in range(3000)
    ]
    assert np.std(values) / math.sqrt(3000) < 0.003 * np.mean(values)
    assert np.mean(values) == pytest.approx(expected_bias(eigenvalues, n, m), rel=0.01)


def test_so_are_samples_drawn_point_by_point() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.standard_normal((200, 2, 1000, 4))
    values = [metrics.frechet_distance(*metrics.moments(a), *metrics.moments(b)) for a, b in pairs]
    error = np.std(values) / math.sqrt(200)
    assert abs(np.mean(values) - expected_bias(np.ones(4), 1000, 1000)) < 3 * error


# --- The inception score --------------------------------------------------------------------------


def check_inception(score: Metric) -> None:
    """Against its definition in a double loop, with zeros in it."""
    for seed, (n, k) in enumerate([(1, 1), (1, 4), (7, 3), (20, 10)]):
        probs = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), n)
        probs[0] = np.eye(k)[0]
        p_y = [sum(row[c] for row in probs) / n for c in range(k)]
        divergence = sum(
            row[c] * math.log(row[c] / p_y[c]) for row in probs for c in range(k) if row[c] > 0
        )
        assert score(probs) == pytest.approx(math.exp(divergence / n), rel=1e-10)


def test_inception_score() -> None:
    check_inception(metrics.inception_score)


@pytest.mark.parametrize("k", [1, 2, 10])
def test_the_inception_score_goes_from_one_to_the_number_of_classes(k: int) -> None:
    constant = np.tile(np.random.default_rng(k).dirichlet(np.ones(k)), (6, 1))
    assert metrics.inception_score(constant) == pytest.approx(1, abs=1e-10)
    assert metrics.inception_score(np.eye(k)[[0] * 5]) == pytest.approx(1, abs=1e-10)
    assert metrics.inception_score(np.tile(np.eye(k), (3, 1))) == pytest.approx(k, abs=1e-10)
    assert metrics.inception_score(np.eye(k, dtype=int)) == pytest.approx(k, abs=1e-10)


@given(seed=SEEDS, n=st.integers(1, 20), k=st.integers(1, 6))
def test_the_inception_score_knows_no_order(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.3), n)
    value = metrics.inception_score(probs)
    assert 1 - 1e-10 <= value <= k + 1e-10
    shuffled = probs[rng.permutation(n)][:, rng.permutation(k)]
    assert metrics.inception_score(shuffled) == pytest.approx(value, rel=1e-10)
    doubled = np.concatenate([probs, probs])
    assert metrics.inception_score(doubled) == pytest.approx(value, rel=1e-10)


def test_the_inception_score_takes_a_softmax_in_float32_and_the_smallest_number() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(10), 50)
    rough = metrics.inception_score(probs.astype(np.float32))
    assert rough == pytest.approx(metrics.inception_score(probs), rel=1e-5)
    assert metrics.inception_score(np.array([[1.0, 5e-324], [1.0, 0.0]])) == pytest.approx(1)


# --- The kernel distance --------------------------------------------------------------------------


def naive_mmd2(a: Array, b: Array) -> float:
    """The unbiased MMD² of all points, pair by pair."""

    def k(x: Array, y: Array) -> float:
        return float((sum(s * t for s, t in zip(x, y, strict=True)) / len(x) + 1) ** 3)

    def within(points: Array) -> float:
        n = len(points)
        return sum(k(points[i], points[j]) for i, j in itertools.permutations(range(n), 2)) / (
            n * (n - 1)
        )

    return within(a) + within(b) - 2 * sum(k(x, y) for x in a for y in b) / (len(a) * len(b))


def check_kernel(kernel_distance: Metric) -> None:
    for seed, (n, d) in enumerate([(2, 1), (9, 3), (5, 12)]):
        a, b = normal(seed, n, d), normal(seed + 100, n, d) + 0.5
        mean, std = kernel_distance(a, b, subsets=3, size=n, seed=seed)
        assert mean == pytest.approx(naive_mmd2(a, b), rel=1e-10, abs=1e-12)
        assert std < 1e-12 * (1 + abs(mean))  # there is only one subset of all points


def test_kernel_distance() -> None:
    check_kernel(metrics.kernel_distance)


def test_the_kernel_distance_is_the_mean_over_its_subsets() -> None:
    """Every pair of a's three points against every pair of b's: nine values, all of them drawn."""
    a, b = normal(0, 3, 2), normal(1, 3, 2)
    pairs = [np.array(pair) for pair in itertools.combinations(range(3), 2)]
    values = np.array([naive_mmd2(a[i], b[j]) for i in pairs for j in pairs])
    singles = [metrics.kernel_distance(a, b, 1, 2, seed)[0] for seed in range(100)]
    distance = np.abs(np.array(singles)[:, None] - values)
    assert distance.min(axis=1).max() < 1e-12  # each is one of the nine
    assert set(distance.argmin(axis=1)) == set(range(9))
    mean, std = metrics.kernel_distance(a, b, 4000, 2, 7)
    error = values.std() / math.sqrt(4000)
    assert abs(mean - values.mean()) < 4 * error
    assert std == pytest.approx(values.std(), rel=0.05)
    assert metrics.kernel_distance(a, b, 9, 2, 7) == metrics.kernel_distance(a, b, 9, 2, 7)
    assert metrics.kernel_distance(a, b, 9, 2, 7) != metrics.kernel_distance(a, b, 9, 2, 8)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_the_kernel_distance_of_shifted_gaussians(shift: float) -> None:
    """In one dimension k(x, y) = Σⱼ C(3, j) xʲyʲ, so MMD² = Σⱼ C(3, j)(E aʲ − E bʲ)²."""
    exact = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2
    estimates = []
    for seed in range(200):
        a, b = normal(2 * seed, 200, 1), normal(2 * seed + 1, 200, 1) + shift
        estimates.append(metrics.kernel_distance(a, b, 1, 200)[0])
    assert abs(np.mean(estimates) - exact) < 4 * np.std(estimates) / math.sqrt(200)
    if shift == 0.0:  # the mean is 0, so half are negative
        assert 60 < sum(value < 0 for value in estimates) < 160


@given(seed=SEEDS, d=st.integers(1, 8))
def test_kernel_distance_properties(seed: int, d: int) -> None:
    a, b = normal(seed, 12, d), normal(seed + 1, 12, d) + 1
    value, _ = metrics.kernel_distance(a, b, 1, 12)
    q = rotation(seed, d)
    near = pytest.approx(value, rel=1e-9, abs=1e-12)
    assert metrics.kernel_distance(b, a, 1, 12)[0] == near
    assert metrics.kernel_distance(a @ q, b @ q, 1, 12)[0] == near
    assert metrics.kernel_distance(a[::-1], b, 1, 12)[0] == near
    # A set against itself: the pairs of equal points are in the last term alone.
    assert metrics.kernel_distance(a, a, 1, 12)[0] < 0


def test_the_kernel_distance_moves_no_stream() -> None:
    before = mg.backend.rng_state()
    metrics.kernel_distance(normal(0, 5, 2), normal(1, 5, 2), size=3)
    assert mg.backend.rng_state() == before


# --- Distances, the nearest neighbours ------------------------------------------------------------


def all_distances(x: Array, y: Array) -> Array:
    result = np.full((len(x), len(y)), np.nan)
    for rows, columns, block in distances.squared_distances(x, y):
        result[rows, columns] = block
    return result


def check_distances() -> None:
    """A relative 1e-8 even where points nearly meet, far from the origin; 0 where they do meet."""
    for d, offset in itertools.product((1, 2, 1000), (0.0, 1e6)):
        x = normal(d, 20, d) + offset
        y = np.concatenate([x[:7], x[7:14] + 1e-6 * normal(1, 7, d), normal(2, 9, d) + offset])
        exact = ((x[:, None].astype(np.longdouble) - y.astype(np.longdouble)) ** 2).sum(axis=2)
        found = all_distances(x, y)
        np.testing.assert_allclose(found, exact.astype(float), rtol=1e-8, atol=0)
        assert (np.diagonal(found)[:7] == 0).all()


def test_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    check_distances()
    small_blocks(monkeypatch)
    check_distances()


@given(x=lattice(7, 3), y=lattice(5, 3))
def test_distances_of_integers_are_exact(x: Array, y: Array) -> None:
    expected = ((x[:, None] - y) ** 2).sum(axis=2)
    assert (all_distances(x, y) == expected).all()
    assert (all_distances(x + 10**6, y + 10**6) == expected).all()


def check_neighbours(nearest: Metric) -> None:
    """Against all differences in integers, where copies and equal distances abound."""
    rng = np.random.default_rng(0)
    for shape, top in [((2,), 3), ((3, 3), 2), ((28, 28), 256)]:
        x, y = (rng.integers(0, top, (n, *shape), dtype=np.uint8) for n in (11, 17))
        y[9], y[3] = y[8], x[5]
        squares = (x[:, None].astype(int) - y).reshape(11, 17, -1).__pow__(2).sum(axis=2)
        indices, distance = nearest(x, y)
        assert indices.shape == distance.shape == (11,) and distance.dtype == np.float64
        assert indices.tolist() == squares.argmin(axis=1).tolist()
        assert (distance == np.sqrt(squares.min(axis=1))).all()
    black, white = np.zeros((1, 28, 28), np.uint8), np.full((1, 28, 28), 255, np.uint8)
    for pair in ((black, white), (white, black)):
        assert nearest(*pair)[1].tolist() == [28 * 255]


def test_nearest_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    check_neighbours(metrics.nearest_neighbours)
    small_blocks(monkeypatch)
    check_neighbours(metrics.nearest_neighbours)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearest_neighbours_against_scipys_tree(dtype: str) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    x, y = normal(0, 300, 8).astype(dtype), normal(1, 2500, 8).astype(dtype)
    distance, indices = spatial.cKDTree(y).query(x)
    ours = metrics.nearest_neighbours(x, y)
    assert (ours[0] == indices).all()
    np.testing.assert_allclose(ours[1], distance, rtol=1e-12)


def test_a_training_set_in_which_everything_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats: products of the copies may round differently, yet the first of them is named."""
    y = np.tile(normal(0, 40, 50), (3, 1))
    x = normal(1, 30, 50)
    for _ in range(2):
        indices, distance = metrics.nearest_neighbours(x, y)
        assert (indices < 40).all()
        np.testing.assert_allclose(distance, np.linalg.norm(x - y[indices], axis=1), rtol=1e-14)
        indices, distance = metrics.nearest_neighbours(y, y)
        assert (indices == np.tile(np.arange(40), 3)).all() and (distance == 0).all()
        small_blocks(monkeypatch)


# --- Precision and recall -------------------------------------------------------------------------


def naive_precision_recall(real: Array, fake: Array, k: int) -> tuple[float, float]:
    """From the definition, one point at a time."""

    def gap(x: Array, y: Array) -> float:
        return float(np.sum((x.astype(float) - y) ** 2))

    def share(inside: Array, of: Array) -> float:
        radii = [
            sorted(gap(p, other) for j, other in enumerate(of) if j != i)[k - 1]
            for i, p in enumerate(of)
        ]
        hits = [any(gap(p, q) <= r for q, r in zip(of, radii, strict=True)) for p in inside]
        return sum(hits) / len(hits)

    return share(fake, real), share(real, fake)


#: real, fake, k, precision, recall on a line, by hand.
BY_HAND: list[tuple[list[int], list[int], int, float, float]] = [
    # The balls [−10, 10] and [0, 20]: two of the four lie exactly on a surface.
    ([0, 10], [20, 21, -10, -11], 1, 2 / 4, 0 / 2),
    # The nearest other point of 0 is its copy, so its ball is a point and −2 is outside.
    ([0, 0, 5], [-2, 2, 11], 1, 1 / 3, 3 / 3),
    # A collapse on both sides: balls of radius 0, which still hold their centres' copies.
    ([4, 4, 4, 4], [4, 4, 4, 5], 2, 3 / 4, 4 / 4),
    # Fakes crowded in the middle: [−4, 4], [0, 8], [4, 12] against [1, 5], [3, 7].
    ([0, 4, 8], [3, 5], 1, 2 / 2, 1 / 3),
]


def check_precision_recall(precision_recall: Metric) -> None:
    for real, fake, k, precision, recall in BY_HAND:
        sets = (np.array(real)[:, None], np.array(fake)[:, None])
        assert precision_recall(*sets, k) == (precision, recall)
        assert precision_recall(*sets[::-1], k) == (recall, precision)
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.integers(-3, 4, (9, 2)), rng.integers(-1, 6, (8, 2))
        for k in (1, 3):
            assert precision_recall(a, b, k) == naive_precision_recall(a, b, k)


def test_precision_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    check_precision_recall(metrics.precision_recall)
    small_blocks(monkeypatch)
    check_precision_recall(metrics.precision_recall)


@given(real=lattice(8, 2), fake=lattice(6, 2), k=st.integers(1, 5))
def test_precision_recall_where_all_distances_tie(real: Array, fake: Array, k: int) -> None:
    expected = naive_precision_recall(real, fake, k)
    assert metrics.precision_recall(real, fake, k) == expected
    assert metrics.precision_recall(fake, real, k) == expected[::-1]
    assert metrics.precision_recall(real[::-1], fake[::-1], k) == expected
    assert (
        metrics.precision_recall(real * 0.5 + 7, fake * 0.5 + 7, k) == expected
    )  # exact in base 2


@given(seed=SEEDS)
def test_precision_recall_properties(seed: int) -> None:
    real, fake = normal(seed, 30, 5), 2 * normal(seed + 1, 20, 5) + 1
    values = metrics.precision_recall(real, fake)
    q = rotation(seed, 5)
    assert metrics.precision_recall(3 * real @ q + 1e3, 3 * fake @ q + 1e3) == values
    assert metrics.precision_recall(real, real) == (1.0, 1.0)
    assert metrics.precision_recall(real, real + 1e3) == (0.0, 0.0)
    # Floats, where each of the fakes is a copy of a real point, in the ball of which it is.
    assert metrics.precision_recall(real, np.repeat(real[:4], 5, axis=0))[0] == 1.0


@pytest.mark.parametrize("k", [1, 3, 10])
def test_precision_recall_against_scipys_tree(k: int) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    real, fake = normal(0, 1500, 4), 0.7 * normal(1, 1200, 4) + 0.5

    def share(inside: Array, of: Array) -> float:
        radii = spatial.cKDTree(of).query(of, k + 1)[0][:, k]  # the first is the point itself
        return float((spatial.distance.cdist(inside, of) <= radii).any(axis=1).mean())

    expected = (share(fake, real), share(real, fake))
    assert 0.2 < min(expected) < max(expected) < 1
    assert metrics.precision_recall(real, fake, k) == expected


# --- Modes ----------------------------------------------------------------------------------------


def check_modes(count_modes: Metric) -> None:
    centers = np.array([[0, 0], [10, 0], [20, 0]])
    #              on a surface, just outside, nearest 10 but near none, on a centre
    samples = np.array([[3, 0], [3.001, 0], [14, 0], [20, 0]])
    assert count_modes(samples, centers, 1) == (2, 0.5)
    assert count_modes(samples, centers, 1.5) == (3, 1.0)
    assert count_modes(samples[2:3], centers, 1) == (0, 0.0)
    # Centres so near that a sample lies within 3 sigma of both: it finds the nearer alone.
    assert count_modes(np.array([[1.0]]), np.array([[0.0], [1.5]]), 1.0) == (1, 1.0)
    rng = np.random.default_rng(0)
    points, means = rng.uniform(0, 4, (200, 2)), rng.uniform(0, 4, (12, 2))
    for sigma in (0.02, 0.1, 0.3):
        nearest = [min((math.dist(p, c), i) for i, c in enumerate(means)) for p in points]
        good = [i for gap, i in nearest if gap <= 3 * sigma]
        assert count_modes(points, means, sigma) == (len(set(good)), len(good) / 200)


def test_count_modes() -> None:
    check_modes(metrics.count_modes)


@pytest.mark.parametrize("mixture", [ring8(), grid25()], ids=["ring8", "grid25"])
def test_samples_of_the_mixture_itself(mixture: Any) -> None:
    """The radius of a Gaussian in the plane is within 3 sigma with probability 1 − e^(−9/2)."""
    n, expected = 20_000, 1 - math.exp(-9 / 2)
    modes, quality = metrics.count_modes(mixture.sample(n, seed=0), mixture.centers, mixture.sigma)
    assert modes == len(mixture.centers)
    assert abs(quality - expected) < 4 * math.sqrt(expected * (1 - expected) / n)
    one = mixture.centers[:1] + mixture.sigma * normal(0, 500, 2)
    assert metrics.count_modes(one, mixture.centers, mixture.sigma)[0] == 1


# --- Parzen windows -------------------------------------------------------------------------------


def check_parzen(log_likelihood: Metric) -> None:
    """Against SciPy's normal densities, one dimension and one sample at a time."""
    special, stats = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.stats")
    for seed, (n, m, d) in enumerate([(1, 1, 1), (7, 5, 3), (20, 11, 50)]):
        samples, test = normal(seed, n, d), normal(seed + 100, m, d)
        for sigma in (0.05, 1.0, 20.0):
            logs = np.array([[stats.norm.logpdf(t, s, sigma).sum() for s in samples] for t in test])
            expected = special.logsumexp(logs, axis=1) - math.log(n)
            found = log_likelihood(samples, test, sigma)
            assert found.shape == (m,) and found.dtype == np.float64
            np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_parzen_log_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    check_parzen(metrics.parzen_log_likelihood)
    small_blocks(monkeypatch)
    check_parzen(metrics.parzen_log_likelihood)


def test_a_parzen_window_is_a_density() -> None:
    t = np.linspace(-12, 12, 4001)[:, None]
    for sigma in (0.2, 1.5):
        density = np.exp(metrics.parzen_log_likelihood(normal(0, 30, 1), t, sigma))
        assert np.trapezoid(density, t[:, 0]) == pytest.approx(1, abs=1e-10)


def test_parzen_windows_far_away_and_close_by() -> None:
    zero, far = np.zeros((1, 784)), np.full((1, 784), 1e4)
    constant = -784 * math.log(0.1 * math.sqrt(2 * math.pi))
    (value,) = metrics.parzen_log_likelihood(zero, zero, 0.1)
    assert value == pytest.approx(constant, rel=1e-14)
    (value,) = metrics.parzen_log_likelihood(zero, far, 0.1)
    assert value == pytest.approx(constant - 784 * 1e8 / 0.02, rel=1e-12)
    # A sample that is too far to matter costs log 2, no more.
    (value,) = metrics.parzen_log_likelihood(np.concatenate([far, zero]), zero, 0.1)
    assert value == pytest.approx(constant - math.log(2), rel=1e-14)


@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_parzen_properties(seed: int, scale: float) -> None:
    samples, test, q = normal(seed, 9, 4), normal(seed + 1, 6, 4), rotation(seed, 4)
    value = metrics.parzen_log_likelihood(samples, test, 0.5)

    def same(*args: Any, plus: float = 0.0) -> None:
        found = metrics.parzen_log_likelihood(*args) + plus
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9)

    same(samples @ q + 2, test @ q + 2, 0.5)
    same(samples[::-1], test, 0.5)
    same(np.concatenate([samples, samples]), test, 0.5)
    same(scale * samples, scale * test, scale * 0.5, plus=4 * math.log(scale))


def check_choose_sigma(choose_sigma: Metric) -> None:
    """With one sample at 0, in d dimensions, the best σ² is the mean square of a coordinate."""
    zero, validation = np.zeros((1, 6)), 0.4 * normal(0, 50, 6)
    best = math.sqrt(float(np.mean(validation**2)))
    grid = [best * factor for factor in (0.25, 0.9, 1.0, 1.1, 4.0)]
    assert choose_sigma(zero, validation, grid) == grid[2]
    assert choose_sigma(zero, validation, np.array(grid[::-1])) == grid[2]
    default = choose_sigma(zero, validation)
    assert type(default) is float
    assert default == pytest.approx(10 ** (-1 + 6 / 9)) or default == pytest.approx(
        10 ** (-1 + 5 / 9)
    )
    assert choose_sigma(zero, 100 * validation) == 1.0 and choose_sigma(zero, zero) == 0.1


def test_choose_sigma() -> None:
    check_choose_sigma(metrics.choose_sigma)
    assert metrics.choose_sigma(np.zeros((1, 1)), np.ones((1, 1)), [2.0, 2.0]) == 2.0


# --- Mistakes that the checks have to find --------------------------------------------------------


def mutated(module: ModuleType, old: str, new: str) -> ModuleType:
    """A copy of a module in whose source ``old`` became ``new``."""
    source = inspect.getsource(module)
    assert old in source, f"{module.__name__} does not hold {old!r} any more"
    copy = ModuleType(module.__name__)
    copy.__package__ = module.__package__
    exec(compile(source.replace(old, new), f"<{old} -> {new}>", "exec"), copy.__dict__)
    return copy


MISTAKES: list[tuple[Metric, ModuleType, str, str, str]] = [
    (check_moments, gaussians, "moments", "(len(features) - 1)", "len(features)"),
    # An elementwise square root; a root that is right only where the covariances commute.
    (check_frechet, gaussians, "frechet_distance",
     "vectors * numpy.sqrt(numpy.maximum(values, 0)) @ vectors.T", "numpy.sqrt(numpy.abs(cov))"),
    (check_frechet, gaussians, "frechet_distance",
     "numpy.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()",
     "numpy.trace(roots[0] @ roots[1])"),
    (check_frechet, gaussians, "frechet_distance", "numpy.maximum(values, 0)", "values"),
    (check_inception, scores, "inception_score", "p = p[p > 0]", "p = p.ravel()"),
    (check_inception, scores, "inception_score", "math.exp(", "("),
    (check_inception, scores, "inception_score", "probs.mean(axis=0)", "probs.mean(axis=1)"),
    # The biased MMD², with the pairs of a point and itself.
    (check_kernel, kernels, "kernel_distance", " - numpy.trace(aa)", ""),
    (check_kernel, kernels, "kernel_distance", "(n * (n - 1))", "(n * n)"),
    (check_kernel, kernels, "kernel_distance", "base * base * base", "base * base"),
    (check_kernel, kernels, "kernel_distance", " / d", ""),
    (check_kernel, kernels, "kernel_distance", "replace=False", "replace=True"),
    # Images subtracted in uint8; of equal distances the last.
    (check_neighbours, distances, "squared_distances_of_pairs", ", dtype=numpy.float64", ""),
    (check_neighbours, neighbours, "nearest_neighbours", "(exact, i)", "(-j, exact, i)"),
    # A point as its own neighbour; all its copies left out with it; < for <=.
    (check_precision_recall, neighbours, "precision_recall",
     "numpy.fill_diagonal(d2, numpy.inf)", "..."),
    (check_precision_recall, neighbours, "precision_recall",
     "numpy.fill_diagonal(d2, numpy.inf)", "d2[d2 == 0] = numpy.inf"),
    (check_precision_recall, neighbours, "precision_recall", "d2 <= radii_real", "d2 < radii_real"),
    (check_precision_recall, neighbours, "precision_recall", "d2 <= radii_fake", "d2 < radii_fake"),
    (check_precision_recall, neighbours, "precision_recall", "radii_fake[columns]", "0"),
    (check_precision_recall, neighbours, "precision_recall", "nearest.max(", "nearest.min("),
    (check_modes, neighbours, "count_modes", "distance <= 3", "distance < 3"),
    (check_modes, neighbours, "count_modes", "<= 3 * sigma", "<= 2 * sigma"),
    (check_modes, neighbours, "count_modes", "nearest[good]", "nearest"),
    (check_parzen, parzen, "parzen_log_likelihood", " + d * math.log(", " + 0 * math.log("),
    (check_parzen, parzen, "parzen_log_likelihood", "math.log(n) + ", ""),
    (check_parzen, parzen, "parzen_log_likelihood", "-2 * sigma**2", "-(sigma**2)"),
    (check_parzen, parzen, "parzen_log_likelihood", "-= largest[:, None]", "-= 0"),
    (check_choose_sigma, parzen, "choose_sigma", "return max(", "return min("),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "module", "name", "old", "new"),
    MISTAKES,
    ids=[f"{name}: {old} -> {new}" for _, _, name, old, new in MISTAKES],
)
def test_a_planted_mistake_is_found(
    check: Metric,
    module: ModuleType,
    name: str,
    old: str,
    new: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same, wrong = (getattr(mutated(module, old, text), name) for text in (old, new))
    found = pytest.raises((AssertionError, ArithmeticError, RuntimeWarning))
    if hasattr(metrics, name):
        check(same)
        with found:
            check(wrong)
    else:  # what the measure calls
        monkeypatch.setattr(neighbours, name, same)
        check(metrics.nearest_neighbours)
        monkeypatch.setattr(neighbours, name, wrong)
        with found:
            check(metrics.nearest_neighbours)


def test_what_close_pairs_and_the_origin_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the second computation close distances are noise, and those of copies not 0."""
    monkeypatch.setattr(distances, "CLOSE", 0.0)
    with pytest.raises(AssertionError):
        check_distances()


# --- What all of them share -----------------------------------------------------------------------

POINTS = normal(3, 6, 4)
CALLS: list[tuple[str, Callable[[Array, Array], Any]]] = [
    ("moments", lambda x, y: metrics.moments(x)),
    ("kernel_distance", lambda x, y: metrics.kernel_distance(x, y, size=5)),
    ("nearest_neighbours", lambda x, y: metrics.nearest_neighbours(x, y)),
    ("precision_recall", lambda x, y: metrics.precision_recall(x, y)),
    ("count_modes", lambda x, y: metrics.count_modes(x, y, 1.0)),
    ("parzen_log_likelihood", lambda x, y: metrics.parzen_log_likelihood(x, y, 0.7)),
    ("choose_sigma", lambda x, y: metrics.choose_sigma(x, y)),
    ("inception_score", lambda x, y: metrics.inception_score(y)),
    ("frechet_distance", lambda x, y: metrics.frechet_distance(x[0], x, x[1], x)),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_any_memory_layout_and_dtype_will_do(name: str, call: Any) -> None:
    """Integers and float32 are taken as the float64 they stand for; nothing is written to."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (5, 5)), np.eye(5, dtype=np.int64)[rng.permutation(5)]
    a = a @ a.T  # symmetric, for the covariance
    expected = call(a.astype(float), b.astype(float))
    for dtype in ("uint8", "int64", "float32"):
        for order in ("C", "F"):
            x, y = (np.asarray(array, dtype, order=order) for array in (a, b))
            strided = np.zeros((10, 10), dtype)[::2, ::-2]
            strided[...] = x
            for array in (x, y, strided):
                array.flags.writeable = False
            for found in (call(x, y), call(strided, y)):
                for one, other in zip(flat(found), flat(expected), strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def flat(found: Any) -> Sequence[Any]:
    return found if isinstance(found, tuple) else (found,)


SPOILT = POINTS.copy()
SPOILT[2, 1] = np.nan
MU, COV = np.zeros(2), np.eye(2)
SIX = np.full((6, 1), 1 / 6)
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: metrics.moments(POINTS[0]), ValueError,
     r"features must have shape \(n, d\) with n >= 2 and d >= 1, got \(4,\)"),
    (lambda: metrics.moments(POINTS[:1]), ValueError, r"n >= 2 and d >= 1, got \(1, 4\)"),
    (lambda: metrics.moments(POINTS[:, :0]), ValueError, r"d >= 1, got \(6, 0\)"),
    (lambda: metrics.moments(SPOILT), ValueError,
     r"features must be finite, got nan at index \(2, 1\)"),
    (lambda: metrics.moments(POINTS * 1j), TypeError,
     "features must be a NumPy array of integers or floats, got complex128"),
    (lambda: metrics.moments(POINTS > 0), TypeError, "got bool"),
    (lambda: metrics.moments(POINTS.tolist()), TypeError, "got list"),
    (lambda: metrics.moments(mg.tensor(POINTS)), TypeError, "features must be a NumPy array"),
    (lambda: metrics.frechet_distance(COV, COV, MU, COV), ValueError,
     r"mu1 must have shape \(d,\) with d >= 1, got \(2, 2\)"),
    (lambda: metrics.frechet_distance(MU[:0], COV, MU, COV), ValueError, r"mu1 .*got \(0,\)"),
    (lambda: metrics.frechet_distance(MU, COV[:1], MU, COV), ValueError,
     r"mu1 and cov1 must have the shapes \(2,\) and \(2, 2\), got \(2,\) and \(1, 2\)"),
    (lambda: metrics.frechet_distance(MU, COV, np.zeros(3), np.eye(3)), ValueError,
     r"mu2 and cov2 must have the shapes \(2,\) and \(2, 2\), got \(3,\) and \(3, 3\)"),
    (lambda: metrics.frechet_distance(MU, COV, MU, np.array([[1, 0.5], [0.4, 1]])), ValueError,
     r"cov2 must be symmetric, got 0.5 at \(0, 1\) and 0.4 at \(1, 0\)"),
    (lambda: metrics.frechet_distance(MU, -COV, MU, COV), ValueError,
     "cov1 must be positive semi-definite, got the eigenvalue -1"),
    (lambda: metrics.frechet_distance(MU, COV, MU, COV - np.inf), ValueError,
     r"cov2 must be finite, got -inf at index \(0, 0\)"),
    (lambda: metrics.frechet_distance(MU, COV.astype(str), MU, COV), TypeError, "cov1 .*got <U"),
    (lambda: metrics.inception_score(POINTS), ValueError,
     "each row of probs must hold probabilities that add up to 1, got in row 0 the smallest "),
    (lambda: metrics.inception_score(np.array([[0.5, 0.5], [0.5, 0.4]])), ValueError,
     "in row 1 the smallest 0.4 and the sum 0.9"),
    (lambda: metrics.inception_score(np.array([[0.5, 0.5], [1.5, -0.5]])), ValueError,
     "in row 1 the smallest -0.5 and the sum 1.0"),
    (lambda: metrics.inception_score(SIX.ravel()), ValueError, r"probs must have shape \(n, d\)"),
    (lambda: metrics.inception_score(SIX[:0]), ValueError, r"probs .*got \(0, 1\)"),
    (lambda: metrics.kernel_distance(POINTS, POINTS), ValueError,
     "size must be at most 6, the number of points in the smaller of the two sets, got 1000"),
    (lambda: metrics.kernel_distance(POINTS, POINTS[:4], size=5), ValueError, "at most 4"),
    (lambda: metrics.kernel_distance(POINTS, POINTS, size=1), ValueError,
     "size must be at least 2, got 1"),
    (lambda: metrics.kernel_distance(POINTS, POINTS, subsets=0, size=2), ValueError,
     "subsets must be at least 1, got 0"),
    (lambda: metrics.kernel_distance(POINTS, POINTS, size=2.0), TypeError,
     "size must be an integer, got 2.0"),
    (lambda: metrics.kernel_distance(POINTS, POINTS, True, 2), TypeError,
     "subsets must be an integer, got True"),
    (lambda: metrics.kernel_distance(POINTS, POINTS[:, :3], size=2), ValueError,
     r"features_a and features_b must have the same shape but for the first axis, got \(6, 4\) "
     r"and \(6, 3\)"),
    (lambda: metrics.kernel_distance(POINTS, SPOILT, size=2), ValueError, "features_b must be fin"),
    (lambda: metrics.nearest_neighbours(POINTS[0], POINTS), ValueError,
     r"samples must have shape \(n, ...\), two axes or more and none of length 0, got \(4,\)"),
    (lambda: metrics.nearest_neighbours(POINTS, POINTS[:0]), ValueError, r"train .*got \(0, 4\)"),
    (lambda: metrics.nearest_neighbours(POINTS, POINTS.reshape(6, 2, 2)), ValueError,
     r"samples and train must have the same shape .*got \(6, 4\) and \(6, 2, 2\)"),
    (lambda: metrics.nearest_neighbours(POINTS, SPOILT), ValueError, "train must be finite"),
    (lambda: metrics.precision_recall(POINTS, POINTS[:3]), ValueError,
     "k must be at most 2, the number of others in the smaller of the two sets, got 3"),
    (lambda: metrics.precision_recall(POINTS, POINTS, 0), ValueError, "k must be at least 1, got"),
    (lambda: metrics.precision_recall(POINTS, POINTS, 1.5), TypeError, "k must be an integer"),
    (lambda: metrics.precision_recall(POINTS, POINTS[:1]), ValueError, r"fake .*n >= 2"),
    (lambda: metrics.precision_recall(POINTS[:, :2], POINTS), ValueError, "real and fake must"),
    (lambda: metrics.count_modes(POINTS, POINTS[:, :2], 1.0), ValueError, "samples and centers mu"),
    (lambda: metrics.count_modes(POINTS, POINTS[0], 1.0), ValueError, r"centers .*got \(4,\)"),
    (lambda: metrics.count_modes(POINTS[:0], POINTS, 1.0), ValueError, r"samples .*got \(0, 4\)"),
    *((lambda s=s: metrics.count_modes(POINTS, POINTS, s), ValueError,
       f"sigma must be positive and finite, got {s}") for s in (0.0, -1.0, math.nan, math.inf)),
    (lambda: metrics.parzen_log_likelihood(POINTS, POINTS, 0.0), ValueError, "sigma must be pos"),
    (lambda: metrics.parzen_log_likelihood(POINTS, SPOILT, 1.0), ValueError, "test must be finite"),
    (lambda: metrics.parzen_log_likelihood(POINTS[:0], POINTS, 1.0), ValueError, r"samples .*n >="),
    (lambda: metrics.parzen_log_likelihood(POINTS[:, :1], POINTS, 1.0), ValueError,
     "samples and test must have the same shape"),
    (lambda: metrics.choose_sigma(POINTS, POINTS, []), ValueError,
     "sigmas must hold at least one number, got none"),
    (lambda: metrics.choose_sigma(POINTS, POINTS, [0.1, -1.0]), ValueError, "sigma must be pos"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


BOUND = 64 << 20  # bytes; all distances of 4,000 × 4,000 points would take 128 MB


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: metrics.nearest_neighbours(x, y),
        lambda x, y: metrics.precision_recall(x, y),
        lambda x, y: metrics.parzen_log_likelihood(x, y, 1.0),
    ],
    ids=["nearest_neighbours", "precision_recall", "parzen_log_likelihood"],
)
def test_memory_is_bounded(call: Callable[[Array, Array], Any]) -> None:
    x, y = normal(0, 4000, 8), normal(1, 4000, 8)
    tracemalloc.start()
    try:
        call(x, y)
        assert tracemalloc.get_traced_memory()[1] < BOUND < x.shape[0] * y.shape[0] * 8
    finally:
        tracemalloc.stop()


def test_the_package_offers_what_it_lists() -> None:
    assert (
        sorted(metrics.__all__)
        == metrics.__all__
        == sorted(name for name, thing in vars(metrics).items() if inspect.isfunction(thing))
    )
