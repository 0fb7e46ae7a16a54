"""The mixtures of Gaussians: their layouts, and what their samples add up to."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.data import GaussianMixture, grid25, ring8

pytestmark = pytest.mark.on_the_host("draws NumPy arrays, touches no array library")

N = 100_000


def test_ring8_layout() -> None:
    centers = ring8(radius=2.0, sigma=0.1).centers
    half = np.sqrt(2.0)
    expected = [[2, 0], [half, half], [0, 2], [-half, half], [-2, 0]]
    np.testing.assert_allclose(centers[:5], expected, atol=1e-12)
    np.testing.assert_allclose(centers[4:], -centers[:4], atol=1e-12)
    assert ring8().sigma == 0.01
    np.testing.assert_allclose(np.hypot(*ring8().centers.T), 1)


def test_grid25_layout() -> None:
    grid = grid25()
    axis = (-4, -2, 0, 2, 4)
    assert grid.centers.tolist() == [[x, y] for y in axis for x in axis]
    assert grid.sigma == 0.05


@pytest.mark.parametrize("mixture", [ring8(), grid25()], ids=["ring8", "grid25"])
def test_samples_have_the_stated_means_sigma_and_weights(mixture: GaussianMixture) -> None:
    points = mixture.sample(N, seed=0)
    assert points.dtype == np.float32 and points.shape == (N, 2)
    offsets = points[:, None] - mixture.centers
    nearest = (offsets**2).sum(axis=2).argmin(axis=1)
    k = len(mixture.centers)
    counts = np.bincount(nearest, minlength=k)
    # Five standard deviations of a binomial count, of a mean and of a variance.
    assert abs(counts - N / k).max() < 5 * np.sqrt(N / k)
    for i in range(k):
        own = offsets[nearest == i, i]
        n = len(own)
        assert abs(own.mean(axis=0)).max() < 5 * mixture.sigma / np.sqrt(n)
        covariance = own.T @ own / n
        error = covariance - mixture.sigma**2 * np.eye(2)
        assert abs(error).max() < 5 * mixture.sigma**2 * np.sqrt(2 / n)


def test_seeds() -> None:
    ring = ring8()
    assert (ring.sample(9, seed=3) == ring.sample(9, seed=3)).all()
    assert (ring.sample(9, seed=3) != ring.sample(9, seed=4)).any()
    assert (ring.sample(9) != ring.sample(9)).any()
    rng = np.random.default_rng(3)
    first, second = ring.sample(9, seed=rng), ring.sample(9, rng)
    assert (first == ring.sample(9, seed=3)).all() and (first != second).any()


def test_a_mixture_does_not_change() -> None:
    centers = np.zeros((1, 2))
    mixture = GaussianMixture(centers, 1.0)
    centers[0] = 7
    assert mixture.centers.tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="read-only"):
        mixture.centers[0] = 7
    with pytest.raises(AttributeError):
        mixture.sigma = 2.0  # type: ignore[misc]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_sizes_must_be_positive(value: float) -> None:
    with pytest.raises(ValueError, match=f"radius must be positive and finite, got {value}"):
        ring8(radius=value)
    with pytest.raises(ValueError, match=f"sigma must be positive and finite, got {value}"):
        ring8(sigma=value)
    with pytest.raises(ValueError, match=f"sigma must be positive and finite, got {value}"):
        GaussianMixture(np.zeros((3, 2)), value)


@pytest.mark.parametrize("n", [0, -3])
def test_n_must_be_positive(n: int) -> None:
    with pytest.raises(ValueError, match=f"n must be at least 1, got {n}"):
        grid25().sample(n)


@pytest.mark.parametrize("shape", [(2,), (0, 2), (3, 3), (2, 2, 2)])
def test_centers_must_be_points_in_the_plane(shape: Any) -> None:
    with pytest.raises(ValueError, match="centers must have shape .*, got "):
        GaussianMixture(np.zeros(shape), 1.0)


def test_centers_must_be_finite() -> None:
    with pytest.raises(ValueError, match="centers must be finite, got .*nan"):
        GaussianMixture(np.array([[0, np.nan]]), 1.0)


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 2**32))
def test_any_size_can_be_drawn(n: int, k: int, seed: int) -> None:
    points = GaussianMixture(np.arange(2.0 * k).reshape(k, 2), 0.5).sample(n, seed)
    assert points.shape == (n, 2) and np.isfinite(points).all()
