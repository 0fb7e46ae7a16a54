"""The games' values and slopes, exactly, over the whole range of logits."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.autograd import Tensor
from minigan.losses import OBJECTIVES, Minimax, Objective, minimax, non_saturating

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def logits(*values: float, dtype: str = "float64") -> Tensor:
    return mg.tensor(list(values), requires_grad=True, dtype=dtype)


def value_and_slope(loss: Any, s: float, dtype: str) -> tuple[float, float]:
    x = logits(s, dtype=dtype)
    y = loss(x)
    (g,) = mg.grad(y, x)
    assert y.shape == () and y.dtype == g.dtype == dtype
    return y.item(), g.item()


@DTYPES
def test_extreme_logits_are_exact(dtype: str) -> None:
    """(value, slope) at s = ±1000 and 0; the suite turns every overflow warning into an error."""
    for loss, expected in (
        (minimax.generator, {-1000: (0, 0), 0: (-math.log(2), -0.5), 1000: (-1000, -1)}),
        (non_saturating.generator, {-1000: (1000, -1), 0: (math.log(2), -0.5), 1000: (0, 0)}),
        (
            lambda s: minimax.discriminator(s, s.detach() * 0.0 - 1000.0),
            {-1000: (1000, -1), 0: (math.log(2), -0.5), 1000: (0, 0)},
        ),
        (
            lambda s: non_saturating.discriminator(s.detach() * 0.0 + 1000.0, s),
            {-1000: (0, 0), 0: (math.log(2), 0.5), 1000: (1000, 1)},
        ),
    ):
        for s, (value, slope) in expected.items():
            found = value_and_slope(loss, s, dtype)
            assert found == (pytest.approx(value, rel=1e-7 if dtype == "float32" else 1e-15), slope)


@DTYPES
def test_slopes_at_minus_six(dtype: str) -> None:
    """A confident discriminator leaves the minimax generator 0.25 % of the slope."""
    sigma = 1 / (1 + math.exp(6))
    rel = 1e-12 if dtype == "float64" else 1e-6
    assert value_and_slope(minimax.generator, -6, dtype)[1] == pytest.approx(-sigma, rel=rel)
    assert value_and_slope(non_saturating.generator, -6, dtype)[1] == pytest.approx(
        sigma - 1, rel=rel
    )
    assert (round(sigma, 4), round(1 - sigma, 4)) == (0.0025, 0.9975)


@DTYPES
@pytest.mark.parametrize("s", [-30.0, -15.0, -6.0, -1.0, 0.0, 2.0, 6.0])
def test_the_two_generators_slopes_have_the_ratio_e_to_the_s(s: float, dtype: str) -> None:
    (_, a), (_, b) = (value_and_slope(g.generator, s, dtype) for g in (minimax, non_saturating))
    assert a / b == pytest.approx(math.exp(s), rel=1e-12 if dtype == "float64" else 1e-6, abs=0)


def test_the_value_of_the_game_at_equilibrium() -> None:
    """D = ½ everywhere: log 4 for the discriminator, log 2 for the non-saturating generator."""
    s = logits(0, 0, 0)
    assert minimax.discriminator(s, s).item() == pytest.approx(math.log(4), abs=1e-15)
    assert f"{non_saturating.discriminator(s, s).item():.6f}" == "1.386294"
    assert f"{non_saturating.generator(s).item():.6f}" == "0.693147"
    assert f"{minimax.generator(s).item():.6f}" == "-0.693147"


def test_losses_are_means_so_batch_sizes_may_differ() -> None:
    one, many = logits(0.3), logits(0.3, 0.3, 0.3)
    for game in OBJECTIVES.values():
        assert game.discriminator(one, many).item() == pytest.approx(
            game.discriminator(many, one).item(), rel=1e-15
        )
        column = many.reshape(3, 1)
        assert game.generator(column).item() == pytest.approx(game.generator(one).item())


@given(
    p=st.floats(0.05, 1), q=st.floats(0.05, 1), alpha=st.floats(0.3, 1), at=st.floats(0.01, 0.99)
)
def test_the_best_answer_is_alpha_p_over_p_plus_q(
    p: float, q: float, alpha: float, at: float
) -> None:
    """At one point with densities p and q the loss is flat exactly at D* = αp/(p + q)."""

    def slope(d: float) -> float:
        s = logits(math.log(d / (1 - d)))
        c = s.detach()
        real = minimax.discriminator(s, c, real_target=alpha)
        fake = minimax.discriminator(c, s)
        return mg.grad(real * p + fake * q, s)[0].item()

    best = alpha * p / (p + q)
    assert abs(slope(best)) < 1e-12
    assert slope(at) == pytest.approx((p + q) * (at - best), abs=1e-12)


class Smoothed(Minimax):
    """One-sided label smoothing, as a game of its own."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, **_: Any) -> Tensor:
        return super().discriminator(real_logits, fake_logits, real_target=0.9)


class Wasserstein(Objective):
    """A game of another kind, with what CONTRIBUTING.md asks for and no more."""

    name = "wasserstein"

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits.mean() - real_logits.mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()


@pytest.mark.parametrize(
    "game", [*OBJECTIVES.values(), Smoothed(), Wasserstein()], ids=lambda game: type(game).__name__
)
def test_gradients_of_both_orders(game: Objective) -> None:
    rng = np.random.default_rng(1)
    real, fake = (mg.tensor(2 * rng.standard_normal((n, 1)), requires_grad=True) for n in (4, 3))

    def both(r: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        return game.discriminator(r, f), game.generator(f)

    mg.gradcheck(both, [real, fake])
    mg.gradgradcheck(both, [real, fake])


def test_a_game_without_an_equation_is_not_played_with_anothers() -> None:
    class HalfAGame(Objective):
        def generator(self, fake_logits: Tensor) -> Tensor:
            return -fake_logits.mean()

    with pytest.raises(NotImplementedError, match="HalfAGame does not define discriminator"):
        HalfAGame().discriminator(logits(0), logits(0))
    with pytest.raises(NotImplementedError, match="Objective does not define generator"):
        Objective().generator(logits(0))


@given(seed=st.integers(0, 10**6), target=st.sampled_from([1.0, 0.9, 0.5]))
def test_against_pytorchs_cross_entropy(seed: int, target: float) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    r, f = 10 * rng.standard_normal(5), 10 * rng.standard_normal(4)
    tr, tf = (torch.tensor(a, requires_grad=True) for a in (r, f))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    theirs = [
        bce(tr, torch.full_like(tr, target)) + bce(tf, torch.zeros_like(tf)),
        -bce(tf, torch.zeros_like(tf)),
        bce(tf, torch.ones_like(tf)),
    ]
    xr, xf = mg.tensor(r, requires_grad=True), mg.tensor(f, requires_grad=True)
    ours = [
        minimax.discriminator(xr, xf, real_target=target),
        minimax.generator(xf),
        non_saturating.generator(xf),
    ]
    for y, u in zip(ours, theirs, strict=True):
        assert y.item() == pytest.approx(u.item(), rel=1e-12)
        grads = torch.autograd.grad(u, [tr, tf], materialize_grads=True)
        for g, h in zip(mg.grad(y, [xr, xf]), grads, strict=True):
            np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-10, atol=1e-15)


def test_registry_and_mistakes() -> None:
    assert OBJECTIVES["minimax"] is minimax and OBJECTIVES["non_saturating"] is non_saturating
    assert all(str(game) == f"minigan.losses.{name}" for name, game in OBJECTIVES.items())
    for target in (0.0, 1.1, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"real_target must lie in \(0, 1\]"):
            minimax.discriminator(logits(0), logits(0), real_target=target)
