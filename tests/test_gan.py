"""The game: who moves in which step, what a step measures, and which attributes are state."""

import collections
import enum
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from small_gan import BATCH, IMAGES, Recorder, Small, everything, trainer

import minigan as mg
from minigan.checkpoint import load_tensors, save_tensors
from minigan.data.batches import Batch, Batches, Epochs
from minigan.losses import OBJECTIVES, Objective, least_squares, minimax, non_saturating
from minigan.models import DCGAN, GAN, MLPGAN, HalfDCGAN, MaxoutGAN
from minigan.models.gan import discriminator_step, game_of, generator_step
from minigan.models.mixture_gan import MixtureGAN
from minigan.optim import SGD, Adam, Optimizer, RMSprop
from minigan.training import Trainer, fit

nn = mg.nn

Setup = tuple[Small, mg.Tensor, mg.Tensor]


def batch_of_data() -> mg.Tensor:
    rng = np.random.default_rng(0)
    return mg.tensor(rng.uniform(-1, 1, (BATCH, 1, 28, 28)).astype("float32"))


@pytest.fixture
def setup() -> Setup:
    mg.manual_seed(1)
    gan = Small(lr=1e-2)
    return gan, batch_of_data(), gan.latents(BATCH)


# --- Who moves ------------------------------------------------------------------------------------


def parameters(module: nn.Module) -> dict[str, bytes]:
    return {name: p.numpy().tobytes() for name, p in module.named_parameters()}


def assert_moves_only(mover: nn.Module, other: nn.Module, step: Callable[[], Any]) -> None:
    """Every parameter of one changes in ``step``, no parameter and no .grad of the other."""
    marks = []
    for parameter in other.parameters():
        parameter.grad = mg.tensor(np.full(parameter.shape, 7.0, "float32"))
        marks.append(parameter.grad)
    before_mover, before_other = parameters(mover), parameters(other)
    step()
    after = parameters(mover)
    still = [name for name in after if after[name] == before_mover[name]]
    assert still == [], f"these did not move: {still}"
    assert parameters(other) == before_other, "the other player moved"
    for parameter, mark in zip(other.parameters(), marks, strict=True):
        assert parameter.grad is mark, "the other player's gradient was replaced"
        assert (mark.numpy() == 7.0).all(), "the other player's gradient was added to"


@pytest.mark.parametrize("objective", [minimax, non_saturating, least_squares], ids=repr)
def test_discriminator_step_moves_d_alone(setup: Setup, objective: Objective) -> None:
    gan, real, z = setup
    g, d = gan.generator, gan.discriminator
    assert_moves_only(d, g, lambda: discriminator_step(g, d, objective, gan.d_optimizer, real, z))


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=repr)
def test_generator_step_moves_g_alone(setup: Setup, objective: Objective) -> None:
    gan, _, z = setup
    g, d = gan.generator, gan.discriminator
    assert_moves_only(g, d, lambda: generator_step(g, d, objective, gan.g_optimizer, z))


def _detached(g: Any, d: Any, optimizer: Optimizer, z: mg.Tensor) -> None:
    loss = non_saturating.generator(d(g(z).detach()))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _through_both(g: Any, d: Any, optimizer: Optimizer, z: mg.Tensor) -> None:
    optimizer.zero_grad()
    non_saturating.generator(d(g(z))).backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [(_detached, "did not move"), (_through_both, "gradient was replaced")],
)
def test_planted_generator_steps_are_caught(setup: Setup, wrong: Any, complaint: str) -> None:
    gan, _, z = setup
    g, d = gan.generator, gan.discriminator
    with pytest.raises(AssertionError, match=complaint):
        assert_moves_only(g, d, lambda: wrong(g, d, gan.g_optimizer, z))


def test_a_planted_discriminator_step_without_no_grad_is_caught(setup: Setup) -> None:
    gan, real, z = setup
    g, d = gan.generator, gan.discriminator

    def wrong() -> None:
        gan.d_optimizer.zero_grad()
        non_saturating.discriminator(d(real), d(g(z))).backward()
        gan.d_optimizer.step()

    with pytest.raises(AssertionError, match="gradient was replaced"):
        assert_moves_only(d, g, wrong)


def test_both_players_are_in_training_mode_in_both_steps(setup: Setup) -> None:
    gan, real, z = setup
    g, d = gan.generator, gan.discriminator
    statistics = []
    for step in (
        lambda: discriminator_step(g, d, minimax, gan.d_optimizer, real, z),
        lambda: generator_step(g, d, minimax, gan.g_optimizer, z),
    ):
        statistics.append(g.state_dict()["1.running_mean"].numpy())
        step()
    statistics.append(g.state_dict()["1.running_mean"].numpy())
    assert (statistics[0] != statistics[1]).any() and (statistics[1] != statistics[2]).any()


def test_a_gans_step_is_ds_and_then_gs_each_on_latents_of_its_own() -> None:
    def data() -> Batches:
        return Batches(IMAGES, None, BATCH)

    mg.manual_seed(0)
    whole = Small()
    measured = whole.step(data(), 0)
    mg.manual_seed(0)
    parts = Small()
    real, _ = next(data())
    g, d, z = parts.generator, parts.discriminator, parts.latents(BATCH)
    expected = discriminator_step(g, d, non_saturating, parts.d_optimizer, real, z)
    z = parts.latents(BATCH)
    expected |= generator_step(g, d, non_saturating, parts.g_optimizer, z)
    assert list(measured) == list(expected)
    assert [m.item() for m in measured.values()] == [m.item() for m in expected.values()]
    assert parameters(whole.generator) == parameters(g)
    assert parameters(whole.discriminator) == parameters(d)


# --- Both at once: the step of MaxoutGAN ----------------------------------------------------------


class AtOnce(MaxoutGAN):
    """MaxoutGAN's step with small nets, whose dropout, if it is off, draws no masks."""

    def __init__(self, game: Objective = non_saturating, drop: float = 0.0, lr: float = 0.1):
        small = Small()
        self.game, self.latent_dim, self.lr = game, small.latent_dim, lr
        self.generator, self.discriminator = small.generator, small.discriminator
        self.discriminator[3].p = drop
        self.d_optimizer = SGD(self.discriminator.parameters(), lr / 2, momentum=0.5)
        self.g_optimizer = SGD(self.generator.parameters(), lr, momentum=0.5)

    start = GAN.start


class At:
    """Data at some epoch: always the same batch."""

    def __init__(self, real: mg.Tensor, epoch: float = 0.0):
        self.real, self.epoch = real, epoch

    def __next__(self) -> Batch:
        return Batch(self.real, None)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=repr)
def test_a_simultaneous_step_is_both_against_the_other_as_it_was(objective: Objective) -> None:
    def after(
        step: Callable[[AtOnce, mg.Tensor], Any],
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        mg.manual_seed(1)
        gan = AtOnce(objective)
        real, _ = next(Batches(IMAGES, None, BATCH))
        step(gan, real)
        return parameters(gan.generator), parameters(gan.discriminator)

    def ds(gan: AtOnce, real: mg.Tensor, z: mg.Tensor) -> None:
        players = gan.generator, gan.discriminator
        discriminator_step(*players, objective, gan.d_optimizer, real, z)

    def gs(gan: AtOnce, z: mg.Tensor) -> None:
        generator_step(gan.generator, gan.discriminator, objective, gan.g_optimizer, z)

    def in_turns(gan: AtOnce, real: mg.Tensor) -> None:
        z = gan.latents(BATCH)
        ds(gan, real, z)
        gs(gan, z)

    both = after(lambda gan, real: gan.step(At(real), 0))
    only_g = after(lambda gan, real: gs(gan, gan.latents(BATCH)))
    only_d = after(lambda gan, real: ds(gan, real, gan.latents(BATCH)))
    assert both == (only_g[0], only_d[1])
    assert after(in_turns)[0] != both[0]


def test_a_model_may_let_both_move_at_once() -> None:
    class InTurns(AtOnce):
        step = GAN.step

    def rows(kind: type[GAN]) -> list[dict[str, float]]:
        one = trainer(kind=kind, drop=0.3)
        return [one.fetch(one.step()) for _ in range(2)]

    at_once, in_turns = rows(AtOnce), rows(InTurns)
    assert list(at_once[0]) == list(in_turns[0])
    assert at_once[0]["d_loss"] == in_turns[0]["d_loss"]  # of the same first batches
    assert at_once[0]["g_loss"] != in_turns[0]["g_loss"]


# --- What a step measures -------------------------------------------------------------------------


class Spy(Objective):
    """Plays a game and keeps the logits that it was given."""

    def __init__(self, game: Objective):
        self.game, self.logistic = game, game.logistic
        self.real = self.fake = self.generated = np.zeros(0)

    def discriminator(self, real_logits: Any, fake_logits: Any, **options: Any) -> mg.Tensor:
        self.real, self.fake = real_logits.numpy(), fake_logits.numpy()
        return self.game.discriminator(real_logits, fake_logits, **options)

    def generator(self, fake_logits: mg.Tensor) -> mg.Tensor:
        self.generated = fake_logits.numpy()
        return self.game.generator(fake_logits)


def softplus(s: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, s.astype("float64"))


def answer(s: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-s.astype("float64")))


@pytest.mark.parametrize("game", [minimax, non_saturating], ids=repr)
def test_losses_are_their_formulas(setup: Setup, game: Objective) -> None:
    gan, real, z = setup
    spy = Spy(game)
    g, d = gan.generator, gan.discriminator
    for _ in range(5):
        measured = discriminator_step(g, d, spy, gan.d_optimizer, real, z)
        measured |= generator_step(g, d, spy, gan.g_optimizer, z)
        assert list(measured) == ["d_loss", "d_real", "d_fake", "g_loss"]
        assert {m.shape for m in measured.values()} == {()}
        assert not any(m.requires_grad for m in measured.values())
        assert spy.real.shape == spy.fake.shape == spy.generated.shape == (BATCH, 1)
        expected = {
            "d_loss": softplus(-spy.real).mean() + softplus(spy.fake).mean(),
            "d_real": answer(spy.real).mean(),
            "d_fake": answer(spy.fake).mean(),
            "g_loss": softplus(-spy.generated).mean()
            if game is non_saturating
            else -softplus(spy.generated).mean(),
        }
        for name, value in expected.items():
            assert measured[name].item() == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert measured["d_real"].item() - measured["d_fake"].item() > 0.1  # the two are not mixed up


@pytest.mark.parametrize("game", OBJECTIVES.values(), ids=repr)
@pytest.mark.parametrize("simultaneous", [False, True])
def test_ds_answers_are_probabilities_or_scores(
    setup: Setup, game: Objective, simultaneous: bool
) -> None:
    """σ(s) where s is a logit; where it is none, σ(s) would mean nothing, and s itself is shown."""
    gan, real, z = setup
    spy = Spy(game)
    if simultaneous:
        measured = AtOnce(spy).step(At(real), 0)
    else:
        players = gan.generator, gan.discriminator, spy
        measured = discriminator_step(*players, gan.d_optimizer, real, z)
    for name, s in (("d_real", spy.real), ("d_fake", spy.fake)):
        expected = (answer(s) if game.logistic else s.astype("float64")).mean()
        assert measured[name].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert measured[name].shape == () and not measured[name].requires_grad


def test_data_and_samples_are_judged_in_batches_of_their_own(setup: Setup) -> None:
    gan, real, z = setup
    d = Recorder(gan.discriminator)
    with mg.no_grad():
        samples = gan.generator(z).numpy()
    discriminator_step(gan.generator, d, minimax, gan.d_optimizer, real, z)
    assert [x.tobytes() for x in d.seen] == [real.numpy().tobytes(), samples.tobytes()]
    generator_step(gan.generator, d, minimax, gan.g_optimizer, z)
    assert d.seen[2].tobytes() == samples.tobytes()


def test_the_two_games_differ_in_the_generators_loss_alone() -> None:
    first = {}
    for game in (minimax, non_saturating):
        one = trainer(seed=4, game=game)
        first[game.name] = one.fetch(one.step())
    a, b = first["minimax"], first["non_saturating"]
    for same in ("step", "epoch", "d_loss", "d_real", "d_fake", "d_grad_norm"):
        assert a[same] == b[same], same
    assert a["g_loss"] < 0 < b["g_loss"]
    assert a["g_grad_norm"] != b["g_grad_norm"]


def test_references_are_the_games_equilibrium() -> None:
    assert Small().equilibrium() == {"d_loss": 2 * math.log(2), "d_real": 0.5, "d_fake": 0.5}
    assert Small(game=least_squares).equilibrium() == least_squares.equilibrium


@pytest.mark.parametrize("kind", [MLPGAN, DCGAN, HalfDCGAN])
def test_both_optimisers_are_adam_with_the_gans_betas(kind: type[Any]) -> None:
    gan = kind(lr=3e-4)
    for player, optimizer in (
        (gan.generator, gan.g_optimizer),
        (gan.discriminator, gan.d_optimizer),
    ):
        assert isinstance(optimizer, Adam)
        assert (optimizer.lr, optimizer.betas) == (3e-4, (0.5, 0.999))
        assert [id(p) for p in optimizer.params] == [id(p) for p in player.parameters()]


# --- The choice of a game -------------------------------------------------------------------------


def test_a_game_is_chosen_by_name_or_is_an_objective() -> None:
    assert game_of("DCGAN", "hinge") is OBJECTIVES["hinge"]
    own = Spy(minimax)
    assert game_of("DCGAN", own) is own
    for kind in (MLPGAN, DCGAN, HalfDCGAN, MaxoutGAN):
        assert kind(loss="least_squares").game is least_squares
        assert kind().game is non_saturating


@pytest.mark.parametrize("loss", ["wasserstein", OBJECTIVES["wasserstein"]], ids=str)
def test_wasserstein_without_a_bound_is_refused(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"^MLPGAN: the loss wasserstein .* use hinge .*penalty"):
        MLPGAN(loss=loss)


def test_games_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"loss must be one of minimax, .*hinge, got 'hinges'"):
        MLPGAN(loss="hinges")
    with pytest.raises(TypeError, match="DCGAN: loss must be the name of a loss, or an Objective"):
        DCGAN(loss=3)  # type: ignore[arg-type]


# --- A model of one's own -------------------------------------------------------------------------


class Plain(GAN):
    def __init__(self) -> None:
        self.latent_dim = 2
        self.generator = nn.Sequential(nn.Linear(2, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
        self.d_optimizer = RMSprop(self.discriminator.parameters(), 1e-4)
        self.g_optimizer = RMSprop(self.generator.parameters(), 1e-4)


def test_a_model_needs_no_name_no_length_and_no_super() -> None:
    assert (Plain.name, Plain.epochs, Plain.batch_size) == ("Plain", 20, 128)
    one = trainer(kind=Plain)
    assert [row["step"] for row in fit(one, 3)] == [3]
    assert one.model.sample(2, seed=0).shape == (2, 1, 28, 28)
    assert one.model.preview().shape == (64, 1, 28, 28)


def test_a_subclass_is_named_after_itself_unless_it_says_otherwise() -> None:
    class Child(DCGAN):
        pass

    class Grandchild(Child):
        name = "own"

    class GreatGrandchild(Grandchild):
        epochs = 3

    kinds = (DCGAN, HalfDCGAN, Child, Grandchild, GreatGrandchild)
    names = ["dcgan", "dcgan-half", "Child", "own", "GreatGrandchild"]
    assert [kind.name for kind in kinds] == names
    assert [kind.epochs for kind in kinds] == [5, 5, 5, 5, 3]
    assert MixtureGAN.name == "mixture" and GAN.batch_size == DCGAN.batch_size == 128


def test_batches_of_a_model_are_what_its_trainer_draws_from() -> None:
    class Pairs(Epochs):
        def __next__(self) -> np.ndarray:
            return np.stack(self.rows())

    class Paired(GAN):
        def batches(self, images: Any, labels: Any, batch_size: int) -> Epochs:
            return Pairs([len(images), len(labels)], batch_size)

        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            return {"sum": mg.tensor(float(next(data).sum() + t))}

    model = Paired()
    model.latent_dim = 1
    data = model.batches(IMAGES, np.zeros(30), 5)
    one = Trainer(model, data)
    assert data.per_epoch == 6 and one.data is data
    assert one.step()["sum"].item() > 0 and data.drawn == 1


def test_data_whose_place_cannot_be_saved_are_refused() -> None:
    class Listed(Small):
        def batches(self, images: Any, *_: Any) -> Any:
            return [images]

    with pytest.raises(
        TypeError,
        match=r"^Listed\.batches must .*; list lacks __next__, epoch, seen, state, load_state$",
    ):
        trainer(kind=Listed)


def test_start_is_called_once_before_the_first_step() -> None:
    class Starting(Small):
        def start(self, data: Epochs) -> None:
            super().start(data)
            calls.append((data.drawn, data.lengths))

    calls: list[Any] = []
    one = trainer(kind=Starting)
    assert calls == [(0, [50])]
    tensors, info = one.state()
    fit(one, 3)
    one.load_state(tensors, info)
    assert calls == [(0, [50])]


# --- Attributes are state -------------------------------------------------------------------------


class Average:
    """An object of one's own: the mean of a module's weights over the steps."""

    def __init__(self, module: nn.Module):
        self.weights, self.count = module.state_dict(), 0

    def update(self, module: nn.Module) -> None:
        self.count += 1
        for name, value in module.state_dict().items():
            self.weights[name] = self.weights[name] + (value - self.weights[name]) / self.count

    def state_dict(self) -> dict[str, Any]:
        return {**self.weights, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = int(state["count"])
        self.weights = {k: mg.tensor(v) for k, v in state.items() if k != "count"}


class Many(Small):
    """Every kind of attribute that is state; each changes at every step and moves the next."""

    name = "many"

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(mg.tensor([1.0, -1.0]))
        self.pair = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2, bias=False)])
        self.pair.gain = self.pair[1].gain = 1.0
        self.optimizer = SGD([self.scale, *self.pair.parameters()], 0.1, momentum=0.9)
        self.centre = mg.tensor([0.5, 0.25])
        self.average = Average(self.generator)
        self.count, self.rate, self.odd, self.phase, self.last = 0, 0.1, False, "first", None
        self.single, self.small, self.truth = np.float32(0.1), np.int16(3), np.bool(False)
        self.sizes: tuple[Any, ...] = (1, (2.5, "two"), None)
        self.singles = (np.float32(0.1), 0.1)
        self.activation, self.kind, self.make = mg.functional.relu, nn.Linear, partial(nn.Linear, 3)

    def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
        self.d_optimizer.lr *= 0.9  # type: ignore[attr-defined]
        self.g_optimizer.betas = (0.5, 0.999 - 0.01 / (t + 1))  # type: ignore[attr-defined]
        self.optimizer.lr = float(self.single)
        measured = super().step(data, t)
        x = self.pair[1](self.pair[0](self.centre.reshape(1, 2))) * self.scale
        loss = (x * x).mean() * self.rate * self.pair.gain * self.pair[1].gain
        loss = loss + measured["g_loss"] * 0.0
        self.pair.gain, self.pair[1].gain = self.pair.gain * 0.9, self.pair[1].gain * 0.8
        self.optimizer.minimize(loss)

        self.average.update(self.generator)
        self.centre = self.centre * 0.9 + measured["d_loss"]
        self.mean = measured["d_loss"] if t == 0 else self.mean * 0.9 + measured["d_loss"]
        self.count, self.rate, self.odd = self.count + 1, self.rate / 1.1, not self.odd
        self.phase, self.last = f"after {t}", None if t % 2 else t
        self.single, self.small = self.single * np.float32(1.01), np.int16(self.small + 1)
        self.truth, self.sizes = np.bool(not self.truth), (t, (self.rate, self.phase), self.last)
        self.singles = (self.singles[0] * np.float32(1.01), self.singles[1] * 1.01)
        self.late = np.float32(0.1) if t == 0 else self.late * np.float32(1.01)
        return measured | {"loss": loss, "mean": self.mean, "late": mg.tensor(float(self.late))}


def plain(model: GAN) -> dict[str, Any]:
    """The model's numbers, texts and tuples with their types; those of its optimisers too."""

    def typed(x: Any) -> Any:
        return (type(x), [*map(typed, x)] if isinstance(x, tuple) else x)

    kinds = (int, float, str, tuple, np.generic, type(None))
    holders = {"": model, **model.parts(Optimizer)}
    return {
        f"{prefix}.{name}": typed(value)
        for prefix, holder in holders.items()
        for name, value in vars(holder).items()
        if isinstance(value, kinds)
    }


MANY = 7


@pytest.mark.parametrize("stop", range(MANY + 1))
def test_every_kind_of_attribute_goes_on_to_the_same_bytes(stop: int, tmp_path: Path) -> None:
    one = trainer(kind=Many)
    for step in range(MANY):
        if step == stop:
            save_tensors(tmp_path / "state", *one.state())
        one.step()
    if stop == MANY:
        save_tensors(tmp_path / "state", *one.state())
    other = trainer(kind=Many, seed=99)
    other.load_state(*load_tensors(tmp_path / "state"))
    for _ in range(MANY - stop):
        other.step()
    assert everything(other) == everything(one)
    assert plain(other.model) == plain(one.model)
    for name in ("scale", "pair", "centre", "mean", "average"):
        assert type(getattr(other.model, name)) is type(getattr(one.model, name)), name
    assert other.model.optimizer.params[0] is other.model.scale  # type: ignore[attr-defined]


def test_what_is_saved_of_each_kind() -> None:
    one = trainer(kind=Many)
    one.step()
    arrays, values = one.model.state()
    assert {"generator.0.weight", "discriminator.1.bias", "d_optimizer.0.exp_avg", "fixed",
            "optimizer.0.momentum_buffer", "pair.0.weight", "scale", "centre", "mean",
            "average.count", "average.0.weight"} <= set(arrays)  # fmt: skip
    assert all(type(array) is np.ndarray for array in arrays.values())
    assert json.loads(json.dumps(values)).keys() == values.keys()
    assert {"count": 1, "odd": True, "phase": "after 0", "last": 0, "latent_dim": 4}.items() <= (
        values.items()
    )
    assert values["d_optimizer.lr"] == 1e-3 * 0.9 and values["optimizer.momentum"] == 0.9
    assert not {"game", "activation", "kind", "make"} & {k.partition(".")[0] for k in values}


def test_the_comparison_sees_each_array_and_each_value() -> None:
    """A state that lacks one of them does not go on to the same bytes, or is refused."""
    one = trainer(kind=Many)
    for _ in range(3):
        one.step()
    arrays, info = one.state()
    for _ in range(2):
        one.step()
    expected = everything(one) | {"plain": repr(plain(one.model)).encode()}
    unchanged = {"latent_dim", "optimizer.momentum", "optimizer.memory"}
    unchanged |= {f"{o}.{k}" for o in ("d_optimizer", "g_optimizer") for k in (
        "memory", "eps", "weight_decay")} | {"g_optimizer.lr", "d_optimizer.betas"}  # fmt: skip
    unchanged |= {k for k in info["values"] if one.model.parts(nn.Module).keys() & {
        k.partition(".")[0]}} - {"pair.gain", "pair.1.gain"}  # fmt: skip
    derived = {"optimizer.lr", "g_optimizer.betas"}  # set from others at the next step
    survivors = set()
    for lost in [*arrays, *info["values"]]:
        other = trainer(kind=Many, seed=99)
        fewer = {k: v for k, v in arrays.items() if k != lost}
        values = {k: v for k, v in info["values"].items() if k != lost}
        try:
            other.load_state(fewer, info | {"values": values})
            for _ in range(2):
                other.step()
        except (ValueError, KeyError, AttributeError):
            continue
        if everything(other) | {"plain": repr(plain(other.model)).encode()} == expected:
            survivors.add(lost)
    assert survivors <= unchanged | derived | {"phase", "last", "sizes"}  # replaced, not changed


def test_a_schedule_that_multiplies_a_rate_goes_on_exactly() -> None:
    class Decaying(Small):
        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            for optimizer in (self.d_optimizer, self.g_optimizer):
                optimizer.lr *= 0.97
            return super().step(data, t)

    one = trainer(kind=Decaying)
    for _ in range(4):
        one.step()
    state = one.state()
    for _ in range(4):
        one.step()
    other = trainer(kind=Decaying)
    other.load_state(*state)
    for _ in range(4):
        other.step()
    assert other.model.d_optimizer.lr == one.model.d_optimizer.lr < 1e-3 * 0.79
    assert everything(other) == everything(one)


class Named(NamedTuple):
    rate: float


class Phase(enum.IntEnum):
    FIRST = 1


class Colour(enum.Enum):
    RED = 1


class Slotted:
    __slots__ = ("count",)


class Counting(list[int]):
    pass


class Holding(Objective):
    def __init__(self) -> None:
        self.target = 0.9


LOST: dict[str, Callable[[], Any]] = {
    "list": lambda: [1.0],
    "empty list": list,
    "dict": lambda: {"a": 1},
    "set": lambda: {1},
    "frozenset": frozenset,
    "array": lambda: np.zeros(3),
    "array of one": lambda: np.array(3.0),
    "deque": collections.deque,
    "Counter": collections.Counter,
    "Generator": lambda: np.random.default_rng(0),
    "tuple with a Module": lambda: (nn.Linear(2, 2),),
    "tuple with a Tensor": lambda: (1, (mg.tensor(1.0),)),
    "tuple with a list": lambda: ([1],),
    "tuple with names": lambda: Named(0.5),  # which would come back as a tuple without
    "iterator": lambda: iter([1]),
    "generator": lambda: (i for i in range(3)),
    "complex": lambda: 1j,
    "bytes": lambda: b"a",
    "range": lambda: range(3),
    "object with attributes": lambda: Holding(),
    "object with slots": Slotted,
    "subclass of list": Counting,
    "loader": lambda: Batches(IMAGES, None, 2),
    "enum": lambda: Colour.RED,  # a step may well go on to another
    "enum of integers": lambda: Phase.FIRST,
    "date": lambda: np.timedelta64(1, "s"),
}


@pytest.mark.parametrize("thing", LOST)
def test_an_attribute_that_would_be_lost_is_named(thing: str) -> None:
    """Before the first step if it is there by then, else when a state is asked for."""
    value = LOST[thing]()
    told = rf"^Small\.history is an? {type(value).__name__}, which would not be saved with a run: "
    mg.manual_seed(0)
    model = Small()
    model.history = value  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=told):
        Trainer(model, model.batches(IMAGES, None, BATCH))

    class Later(Small):
        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            if t == 1:
                self.history = value
            return super().step(data, t)

    one = trainer(kind=Later)
    one.step()
    one.state()
    one.step()
    with pytest.raises(TypeError, match=told.replace("Small", "Later")):
        one.state()


def test_what_stands_in_the_class_is_named() -> None:
    class Slots(Small):
        __slots__ = ("count",)

    class OfTheClass(Small):
        extra = nn.Linear(2, 2)

    for kind, name in ((Slots, "count"), (OfTheClass, "extra")):
        told = rf"^{kind.__name__}\.{name} belongs to the class {kind.__name__}, and would not"
        with pytest.raises(TypeError, match=told):
            trainer(kind=kind)


def grow(model: Any) -> None:
    model.generator.append(nn.Identity()).append(nn.Linear(2, 2))


def exchange(model: Any) -> None:
    model.activation = mg.functional.softplus


def new_net(model: Any) -> None:
    model.encoder = nn.Linear(2, 2)


def lose_net(model: Any) -> None:
    model.encoder, model.activation = None, 1  # the latter is a number and will be restored


CHANGES: dict[Callable[[Any], None], str] = {
    grow: r"generator\.7\.weight is not what it was before .* \(nothing, now \(2, 2\)\)",
    exchange: r"activation is not .* \(relu, now softplus\)",
    new_net: r"encoder\.weight is not .* \(nothing, now \(2, 2\)\)",
    lose_net: r"encoder\.weight is not .* \(\(2, 2\), now nothing\)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_step_makes_anew_and_no_state_holds_is_named(change: Callable[[Any], None]) -> None:
    """When it is to be saved, and not when the run cannot be resumed any more."""
    mg.manual_seed(0)
    model: Any = Small()
    model.activation = mg.functional.relu
    if change is lose_net:
        model.encoder = nn.Linear(2, 2)
    one = Trainer(model, model.batches(IMAGES, None, BATCH))
    one.state()
    change(model)
    told = CHANGES[change]
    with pytest.raises(TypeError, match=rf"^Small\.{told}, which would not be saved with a run: "):
        one.state()


def test_the_mode_of_a_net_is_state_whether_or_not_pictures_were_drawn() -> None:
    one, other = trainer(), trainer()
    one.model.preview()
    assert everything(one) == everything(other)
    one.model.generator[1].eval()  # type: ignore[index]
    other.load_state(*one.state())
    assert [m.training for m in other.model.generator.modules()] == [True, True, False, *4 * [True]]


@pytest.mark.parametrize("now", [None, 3, "text"])
def test_a_number_may_take_the_place_of_a_tensor_or_a_function(now: Any) -> None:
    def made() -> Trainer:
        model: Any = Small()
        model.centre, model.activation = mg.tensor([1.0]), mg.functional.relu
        return Trainer(model, model.batches(IMAGES, None, BATCH))

    one, other = made(), made()
    one.model.centre = one.model.activation = now  # type: ignore[attr-defined]
    other.load_state(*one.state())
    assert other.model.centre is other.model.activation is now  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [[0.5, 0.9], mg.tensor(0.1)], ids=["list", "tensor"])
def test_what_an_optimiser_would_lose_is_named(value: Any) -> None:
    model: Any = Small()
    model.d_optimizer.betas = value
    with pytest.raises(TypeError, match=r"^Small\.d_optimizer\.betas is a \w+, which would not be"):
        model.state()


def test_the_error_says_what_to_do() -> None:
    model = Small()
    model.nets = [nn.Linear(2, 2)]  # type: ignore[attr-defined]
    with pytest.raises(TypeError) as caught:
        model.state()
    for part in ("Modules in a ModuleList", "arrays as Tensors", "numbers in a tuple",
                 "state_dict() and load_state_dict()"):  # fmt: skip
        assert part in str(caught.value)


class Stateless(Objective):
    name = "stateless"


CONSTANTS: dict[str, Any] = {
    "function": answer,
    "lambda": lambda x: x,
    "method": mg.Tensor.sum,
    "bound method": IMAGES.sum,
    "builtin": len,
    "class": nn.Linear,
    "class of models": Small,
    "module": np,
    "partial": partial(nn.Linear, 3),
    "game": Stateless(),
}


@pytest.mark.parametrize("thing", CONSTANTS)
def test_what_a_step_cannot_change_is_no_state(thing: str) -> None:
    model = Small()
    before = [set(part) for part in model.state()]
    model.helper = CONSTANTS[thing]  # type: ignore[attr-defined]
    assert [set(part) for part in model.state()] == before


class Strange:
    """An object whose state_dict holds what no file of tensors can."""

    def __init__(self, value: Any):
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


@pytest.mark.parametrize(
    "value", ["text", {"a": 1}, None, [1, "a"], 1j, [[1], [1, 2]], np.longdouble(1)], ids=repr
)
def test_a_state_dict_of_what_is_no_number_is_named(value: Any) -> None:
    model = Small()
    model.own = Strange(value)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"^Small\.own: value in its state_dict must be .* array"):
        Trainer(model, model.batches(IMAGES, None, BATCH))


@pytest.mark.parametrize("state", [[1, 2], {0: 1.0}], ids=["list", "integers"])
def test_a_state_dict_without_names_is_refused(state: Any) -> None:
    model: Any = Small()
    model.own = Strange(1.0)
    model.own.state_dict = lambda: state
    with pytest.raises(TypeError, match=r"^Small\.own: its state_dict\(\) must be .* by name, got"):
        model.state()


# --- Another model's state ------------------------------------------------------------------------


def state_of(kind: type[GAN]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    one = trainer(kind=kind)
    one.step()
    return one.model.state()


class Another(Small):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3)
        self.e_optimizer = Adam(self.encoder.parameters())


class Wider(Small):
    def __init__(self) -> None:
        super().__init__()
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
        self.d_optimizer = Adam(self.discriminator.parameters())


class WithTensor(Small):
    def __init__(self) -> None:
        super().__init__()
        self.centre = mg.tensor([1.0])


@pytest.mark.parametrize(
    ("theirs", "mine", "told"),
    [
        (Another, Small, r"^Small: there is no encoder for encoder\.weight$"),
        (Small, Another, r"^load_state_dict: Linear does not fit:\n  missing: weight \(3, 3\)"),
        (Wider, Small, r"^load_state_dict: Sequential does not fit:\n  missing: 1\.weight|wrong"),
        (Small, WithTensor, r"^WithTensor: the state lacks centre$"),
    ],
)
def test_another_models_state_is_refused(theirs: Any, mine: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        mine().load_state(*state_of(theirs))


def test_a_number_of_an_optimiser_that_is_not_there() -> None:
    arrays, values = state_of(Small)
    with pytest.raises(KeyError, match="e_optimizer"):
        Small().load_state(arrays, values | {"e_optimizer.lr": 0.1})


def test_values_alone_can_be_set() -> None:
    one = trainer(kind=Many)
    one.step()
    values = json.loads(json.dumps(one.model.state()[1]))
    other = Many()
    weights = parameters(other.generator)
    other.load_values(values)
    assert plain(other) == plain(one.model)
    assert parameters(other.generator) == weights
