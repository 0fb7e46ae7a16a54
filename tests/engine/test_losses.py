"""The games' values and slopes, exactly, over the whole range of logits."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.autograd import Tensor
from minigan.functional import conv2d, leaky_relu, tanh
from minigan.losses import (
    OBJECTIVES,
    Minimax,
    Objective,
    gradient_penalty,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    r1,
    wasserstein,
)

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


def on_data(game: Objective) -> Any:
    """L_D as a function of the score on data, less what 0 on samples costs."""
    return lambda s: game.discriminator(s, s.detach() * 0.0) - game.discriminator(s * 0.0, s * 0.0)


def on_samples(game: Objective) -> Any:
    return lambda s: game.discriminator(s.detach() * 0.0, s) - game.discriminator(s * 0.0, s * 0.0)


#: For each loss, (value, slope) at scores; D's, on data and on samples, less its value at 0, 0.
CLOSED_FORMS = {
    "least squares, D on data": (
        on_data(least_squares),
        {s: ((s - 1) ** 2 - 1, 2 * (s - 1)) for s in (-1000, -0.5, 0, 1, 3, 1000)},
    ),
    "least squares, D on samples": (
        on_samples(least_squares),
        {s: (s**2, 2 * s) for s in (-1000, -0.5, 0, 1, 3, 1000)},
    ),
    "least squares, G": (
        least_squares.generator,
        {s: ((s - 1) ** 2, 2 * (s - 1)) for s in (-1000, -0.5, 0, 1, 3, 1000)},
    ),
    "hinge, D on data": (
        on_data(hinge),
        {-1000: (1000, -1), -1: (1, -1), 0.5: (-0.5, -1), 1.5: (-1, 0), 1000: (-1, 0)},
    ),
    "hinge, D on samples": (
        on_samples(hinge),
        {-1000: (-1, 0), -1.5: (-1, 0), -0.5: (-0.5, 1), 1: (1, 1), 1000: (1000, 1)},
    ),
    "hinge, G": (hinge.generator, {s: (-s, -1) for s in (-1000, -1, 0, 1, 1000)}),
    "wasserstein, D on data": (on_data(wasserstein), {s: (-s, -1) for s in (-1000, 0, 1000)}),
    "wasserstein, D on samples": (on_samples(wasserstein), {s: (s, 1) for s in (-1000, 0, 1000)}),
    "wasserstein, G": (wasserstein.generator, {s: (-s, -1) for s in (-1000, 0, 1000)}),
}


@DTYPES
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_values_and_slopes_of_the_games_on_scores(name: str, dtype: str) -> None:
    loss, expected = CLOSED_FORMS[name]
    for s, (value, slope) in expected.items():
        found = value_and_slope(loss, s, dtype)
        assert found == (pytest.approx(value, rel=1e-6), slope), s


GAMES: dict[str, Objective] = {
    "least_squares": mg.losses.least_squares,
    "hinge": mg.losses.hinge,
    "wasserstein": mg.losses.wasserstein,
}


def test_what_the_games_cost_where_d_says_nothing() -> None:
    """s = 0 everywhere: no halves, and the margins of both batches in full."""
    s = logits(0, 0, 0)
    values = {n: (g.discriminator(s, s).item(), g.generator(s).item()) for n, g in GAMES.items()}
    assert values == {"least_squares": (1, 1), "hinge": (2, 0), "wasserstein": (0, 0)}


@DTYPES
def test_the_games_on_scores_are_means_over_batches(dtype: str) -> None:
    """Each sample meets its own margin, and its own square: no function of the mean score."""
    r, f = np.array([-2.0, 0.5, 4.0]), np.array([[-3.0], [0.0], [0.25], [2.0]])
    expected = {
        "least_squares": (((r - 1) ** 2).mean() + (f**2).mean(), ((f - 1) ** 2).mean()),
        "hinge": (np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(), -f.mean()),
        "wasserstein": (f.mean() - r.mean(), -f.mean()),
    }
    real, fake = (mg.tensor(s, dtype=dtype) for s in (r, f))
    for name, values in expected.items():
        losses = GAMES[name].discriminator(real, fake), GAMES[name].generator(fake)
        assert [y.item() for y in losses] == pytest.approx(values, rel=1e-6), name


@pytest.mark.parametrize("game", OBJECTIVES.values(), ids=repr)
def test_second_derivatives_are_finite_far_out(game: Objective) -> None:
    for far in (-1000.0, 1000.0):
        r, f = logits(far), logits(far)
        for y in (game.discriminator(r, f), game.generator(f)):
            first = mg.grad(y, [r, f], create_graph=True)
            twice = mg.grad(first[0].sum() + first[1].sum(), [r, f])
            assert all(np.isfinite(g.numpy()).all() for g in (*first, *twice))


@given(p=st.floats(0.05, 1), q=st.floats(0.05, 1), at=st.floats(-2, 2))
def test_the_best_score_of_least_squares_is_p_over_p_plus_q(p: float, q: float, at: float) -> None:
    s = logits(at)
    real, fake = (loss(least_squares)(s) for loss in (on_data, on_samples))
    slope = mg.grad(real * p + fake * q, s)[0].item()
    assert slope == pytest.approx(2 * (p + q) * (at - p / (p + q)), abs=1e-12)


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
    assert GAMES.items() <= OBJECTIVES.items()
    assert [n for n, game in OBJECTIVES.items() if game.logistic] == ["minimax", "non_saturating"]
    assert all(str(game) == f"minigan.losses.{name}" for name, game in OBJECTIVES.items())
    for target in (0.0, 1.1, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"real_target must lie in \(0, 1\]"):
            minimax.discriminator(logits(0), logits(0), real_target=target)


# --- Penalties ------------------------------------------------------------------------------------


def batch(*shape: int, seed: int = 0, dtype: str = "float64") -> Tensor:
    return mg.tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def between(n: int, *ones: int, seed: int = 7) -> Tensor:
    return mg.tensor(np.random.default_rng(seed).random((n, *ones)))


def linear(w: Tensor) -> Any:
    """x (N, ...) → ⟨w, x⟩ of each sample, (N, 1)."""
    return lambda x: x.reshape(len(x), -1) @ w.reshape(-1, 1)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 3)], ids=["points", "pictures"])
@pytest.mark.parametrize("length", [0.3, 1.0, 4.0])
def test_penalties_of_a_linear_critic(shape: tuple[int, ...], length: float) -> None:
    """(‖w‖ − 1)² and 2(‖w‖ − 1)w/‖w‖; ‖w‖² and 2w: wherever the samples are."""
    direction = batch(*shape, seed=1).numpy()
    start = length * direction / np.linalg.norm(direction)
    w = mg.tensor(start, requires_grad=True)
    real, fake = batch(6, *shape), batch(6, *shape, seed=2)
    penalty = gradient_penalty(linear(w), real, fake)
    assert penalty.shape == () and penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-10)
    expected = 2 * (length - 1) * start / length
    np.testing.assert_allclose(mg.grad(penalty, w)[0].numpy(), expected, atol=1e-10)
    slope = r1(linear(w), real)
    assert slope.shape == () and slope.item() == pytest.approx(length**2, rel=1e-12)
    np.testing.assert_allclose(mg.grad(slope, w)[0].numpy(), 2 * start, rtol=1e-12)


def test_the_best_linear_critics() -> None:
    """Of L_D + λ·penalty: w* = (1 + ‖Δμ‖/(2λ)) Δμ/‖Δμ‖; of L_D + γ/2·R₁: w* = Δμ/γ."""
    real, fake, lam, gamma = batch(50, 4) + 1.5, batch(50, 4, seed=2), 10.0, 3.0
    shift = (real.mean(0) - fake.mean(0)).numpy()
    distance = np.linalg.norm(shift)
    best = {
        "penalty": (1 + distance / (2 * lam)) * shift / distance,
        "r1": shift / gamma,
    }
    for name, optimum in best.items():
        w = mg.tensor(optimum, requires_grad=True)
        loss = wasserstein.discriminator(linear(w)(real), linear(w)(fake))
        if name == "penalty":
            loss = loss + gradient_penalty(linear(w), real, fake) * lam
        else:
            loss = loss + r1(linear(w), real) * (gamma / 2)
        np.testing.assert_allclose(mg.grad(loss, w)[0].numpy(), 0, atol=1e-10, err_msg=name)


def test_x_hat_is_alpha_of_the_data_and_the_rest_of_the_samples() -> None:
    """∇½x² = x, so the penalty says where it was taken; nothing flows into either batch."""
    real, fake = batch(4, 3), batch(4, 3, seed=2)
    for t in (real, fake):
        t.requires_grad_()
    w = mg.tensor(1.0, requires_grad=True, dtype="float64")
    alpha = between(4, 1)
    penalty = gradient_penalty(lambda x: (x * x).sum(axis=1) * 0.5 * w, real, fake, alpha)
    a, r, f = alpha.numpy(), real.numpy(), fake.numpy()
    norms = np.linalg.norm(a * r + (1 - a) * f, axis=1)
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-10)
    for g in mg.grad(penalty, [real, fake]):
        assert (g.numpy() == 0).all()
    penalty = r1(lambda x: (x * x).sum(axis=1) * 0.5 * w, real)
    assert penalty.item() == pytest.approx((r * r).sum(axis=1).mean(), rel=1e-12)
    assert (mg.grad(penalty, real)[0].numpy() == 0).all()


@DTYPES
@pytest.mark.parametrize("shape", [(5,), (1, 4, 4)], ids=["points", "pictures"])
def test_alpha_is_drawn_for_each_sample_from_the_dropout_stream(
    shape: tuple[int, ...], dtype: str
) -> None:
    real, fake = batch(6, *shape, dtype=dtype), batch(6, *shape, seed=2, dtype=dtype)
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.numpy())
        return (x * x).reshape(6, -1).sum(axis=1)

    others = {k: v for k, v in mg.backend.rng_state().items() if k != "dropout"}
    mg.manual_seed(0)
    drawn = gradient_penalty(critic, real, fake)
    assert {k: v for k, v in mg.backend.rng_state().items() if k != "dropout"} == others
    mg.manual_seed(0)
    ones = (1,) * len(shape)
    alpha = mg.backend.stream("dropout").random((6, *ones), dtype="float32").astype(dtype)
    given = gradient_penalty(critic, real, fake, mg.tensor(alpha))
    assert drawn.item() == given.item() and drawn.dtype == dtype
    again = gradient_penalty(critic, real, fake)
    assert again.item() != drawn.item()
    share = (seen[0] - fake.numpy()) / (real.numpy() - fake.numpy())
    np.testing.assert_allclose(share, np.broadcast_to(alpha, share.shape), atol=1e-4)
    assert len(set(alpha.ravel().tolist())) == 6


@pytest.mark.parametrize("name", ["gradient_penalty", "r1"])
def test_penalties_against_pytorch(name: str) -> None:
    """Value, and gradients in the weights, of a small convolutional critic in float64."""
    torch = pytest.importorskip("torch")
    nets = []
    for lib in (mg.nn, torch.nn):
        net = lib.Sequential(
            lib.Conv2d(2, 4, 3, padding=1),
            lib.LeakyReLU(0.2),
            lib.Conv2d(4, 6, 4, stride=2, padding=1),
            lib.Tanh(),
            lib.Flatten(),
            lib.Linear(6 * 9, 1),
        )
        nets.append(net)
    mine, theirs = nets[0].to("float64"), nets[1].double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in mine.state_dict().items()})
    real, fake, alpha = batch(5, 2, 6, 6), batch(5, 2, 6, 6, seed=2), between(5, 1, 1, 1)
    if name == "r1":
        x, ours = torch.tensor(real.numpy(), requires_grad=True), r1(mine, real)
    else:
        r, f, a = (torch.tensor(t.numpy()) for t in (real, fake, alpha))
        x, ours = (a * r + (1 - a) * f).requires_grad_(), gradient_penalty(mine, real, fake, alpha)
    (slope,) = torch.autograd.grad(theirs(x).sum(), x, create_graph=True)
    squares = slope.square().sum(dim=(1, 2, 3))
    target = (((squares + 1e-12).sqrt() - 1) ** 2 if name == "gradient_penalty" else squares).mean()
    assert ours.item() == pytest.approx(target.item(), rel=1e-12)
    target.backward()
    named = dict(theirs.named_parameters())
    ours.backward()
    for key, p in mine.named_parameters():
        g = named[key].grad
        if key == "5.bias":  # moves all scores alike
            assert g is None and p.grad is None
            continue
        np.testing.assert_allclose(p.grad.numpy(), g.numpy(), rtol=1e-10, atol=1e-14)
        assert np.abs(g.numpy()).max() > 1e-4


def test_derivatives_through_the_penalties_of_both_orders() -> None:
    w, k = (mg.tensor(batch(*s, seed=3) * 0.5, requires_grad=True) for s in ((9, 2), (2, 1, 3, 3)))
    real, fake, alpha = batch(3, 1, 3, 3), batch(3, 1, 3, 3, seed=2), between(3, 1, 1, 1)

    def critic(k: Tensor, w: Tensor) -> Any:
        def scores(x: Tensor) -> Tensor:
            hidden = leaky_relu(conv2d(x, k, padding=1), 0.2).reshape(3, 2, 9)
            return (tanh(hidden) * w.T).sum(axis=(1, 2))

        return scores

    def both(k: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return gradient_penalty(critic(k, w), real, fake, alpha), r1(critic(k, w), real)

    mg.gradcheck(both, [k, w])
    mg.gradgradcheck(both, [k, w])


@DTYPES
def test_a_critic_of_slope_zero_has_a_gradient(dtype: str) -> None:
    """√(Σ + 1e-12) is 1e-6 there, and its own slope 0; √Σ would make NaN of it."""
    w = mg.tensor(np.zeros(3), requires_grad=True, dtype=dtype)
    penalty = gradient_penalty(linear(w), batch(4, 3, dtype=dtype), batch(4, 3, dtype=dtype))
    assert penalty.item() == pytest.approx((1e-6 - 1) ** 2, rel=1e-7)
    assert (mg.grad(penalty, w)[0].numpy() == 0).all()


def scored(x: Tensor) -> Tensor:
    return x @ batch(3, 1)


PENALTY_MISTAKES = {
    "fewer samples than data": (
        lambda: gradient_penalty(scored, batch(4, 3), batch(2, 3)),
        ValueError,
        r"^gradient_penalty: real and fake must have one shape .*, got \(4, 3\) and \(2, 3\)$",
    ),
    "alpha for each entry": (
        lambda: gradient_penalty(scored, batch(4, 3), batch(4, 3), between(4, 3)),
        ValueError,
        r"^gradient_penalty: alpha must be \(4, 1\) for real \(4, 3\), got \(4, 3\)$",
    ),
    "alpha without axes": (
        lambda: gradient_penalty(lambda x: x, batch(4, 1, 2, 2), batch(4, 1, 2, 2), between(4)),
        ValueError,
        r"^gradient_penalty: alpha must be \(4, 1, 1, 1\) for real .*, got \(4,\)$",
    ),
    "a mean of the scores": (
        lambda: gradient_penalty(lambda x: scored(x).mean(), batch(4, 3), batch(4, 3)),
        ValueError,
        r"^gradient_penalty: expected a score for each row of \(4, 3\), .*, got \(\)$",
    ),
    "several scores": (
        lambda: r1(lambda x: x, batch(4, 3)),
        ValueError,
        r"^r1: expected a score for each row of \(4, 3\), \(4,\) or \(4, 1\), got \(4, 3\)$",
    ),
    "no batch": (
        lambda: r1(lambda x: x, mg.tensor(1.0)),
        ValueError,
        r"^r1: expected a batch \(N, ...\), got one number$",
    ),
    "bytes": (
        lambda: r1(lambda x: x, mg.tensor(np.ones((4, 1), "uint8"))),
        TypeError,
        r"^r1: expected a float tensor, got uint8; .*$",
    ),
    "constant scores": (
        lambda: gradient_penalty(lambda x: batch(2, 1), batch(2, 3), batch(2, 3)),
        RuntimeError,
        r"^gradient_penalty: the scores do not depend on what was scored, .*no_grad\(\)\?$",
    ),
    "detached on the way": (
        lambda: r1(lambda x: scored(x.detach()), batch(2, 3)),
        RuntimeError,
        r"^r1: the scores do not depend on what was scored, .*$",
    ),
    "scores of weights alone": (  # whose slope would be 0, in silence
        lambda: r1(lambda x: mg.tensor([1.0, 2.0], requires_grad=True) * 2.0, batch(2, 3)),
        RuntimeError,
        r"^r1: the scores do not depend on what was scored, .*$",
    ),
    "under no_grad": (
        mg.no_grad()(lambda: r1(scored, batch(2, 3))),
        RuntimeError,
        r"^r1: the scores do not depend on what was scored, .*$",
    ),
}


@pytest.mark.parametrize("name", PENALTY_MISTAKES)
def test_mistakes_with_penalties_are_named_in_one_line(name: str) -> None:
    mistake, kind, message = PENALTY_MISTAKES[name]
    with pytest.raises(kind, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)
