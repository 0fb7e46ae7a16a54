"""The game: who moves in which step, what a step measures, and a run that repeats to the byte."""

import itertools
import json
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from libraries import small_integers

import minigan as mg
from minigan import training
from minigan.checkpoint import Run, load_tensors, save_tensors
from minigan.losses import (
    OBJECTIVES,
    Minimax,
    Objective,
    least_squares,
    minimax,
    non_saturating,
)
from minigan.models import GAN
from minigan.optim import SGD, Adam, Optimizer
from minigan.training import (
    DivergedError,
    Trainer,
    discriminator_step,
    fit,
    generator_step,
    simultaneous_step,
)

nn = mg.nn

N, BATCH = 50, 8
PER_EPOCH = 6  # 50 // 8

#: Image i is grey of level 5·i, so that it can be recognised in a batch.
IMAGES = np.repeat(5 * np.arange(N, dtype=np.uint8), 784).reshape(N, 28, 28)


class Small(GAN):
    """Every kind of layer that an MLPGAN has, with a fiftieth of its weights."""

    name = "small"

    def __init__(self) -> None:
        self.latent_dim = 4
        self.generator = nn.Sequential(
            nn.Linear(4, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 784),
            nn.Tanh(),
            nn.Unflatten(1, (1, 28, 28)),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1)
        )


@pytest.fixture(autouse=True)
def _a_checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 1)


def trainer(seed: int = 0, objective: Objective = non_saturating, **options: Any) -> Trainer:
    mg.manual_seed(seed)
    return Trainer(Small(), IMAGES, objective, **{"batch_size": BATCH, "lr": 1e-3, **options})


def new_run(path: Path) -> Run:
    return Run.create(path, {"model": "small"})


def saved_step(run: Run) -> int:
    """The step of the newest checkpoint, which holds finite numbers."""
    tensors, info, warning = run.load_checkpoint()
    assert warning == "" and all(np.isfinite(value).all() for value in tensors.values())
    return int(info["steps_done"])


Setup = tuple[GAN, dict[str, Optimizer], mg.Tensor, mg.Tensor]


@pytest.fixture
def setup() -> Setup:
    mg.manual_seed(1)
    gan = Small()
    optimizers: dict[str, Optimizer] = {
        "generator": Adam(gan.generator.parameters(), 1e-2),
        "discriminator": Adam(gan.discriminator.parameters(), 1e-2),
    }
    rng = np.random.default_rng(0)
    real = mg.tensor(rng.uniform(-1, 1, (BATCH, 1, 28, 28)).astype("float32"))
    return gan, optimizers, real, gan.latents(BATCH)


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
    gan, optimizers, real, z = setup
    g, d = gan.generator, gan.discriminator
    assert_moves_only(
        d, g, lambda: discriminator_step(g, d, objective, optimizers["discriminator"], real, z)
    )


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=repr)
def test_generator_step_moves_g_alone(setup: Setup, objective: Objective) -> None:
    gan, optimizers, _, z = setup
    g, d = gan.generator, gan.discriminator
    assert_moves_only(g, d, lambda: generator_step(g, d, objective, optimizers["generator"], z))


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
    gan, optimizers, _, z = setup
    g, d = gan.generator, gan.discriminator
    with pytest.raises(AssertionError, match=complaint):
        assert_moves_only(g, d, lambda: wrong(g, d, optimizers["generator"], z))


def test_a_planted_discriminator_step_without_no_grad_is_caught(setup: Setup) -> None:
    gan, optimizers, real, z = setup
    g, d = gan.generator, gan.discriminator

    def wrong() -> None:
        optimizers["discriminator"].zero_grad()
        non_saturating.discriminator(d(real), d(g(z))).backward()
        optimizers["discriminator"].step()

    with pytest.raises(AssertionError, match="gradient was replaced"):
        assert_moves_only(d, g, wrong)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=repr)
def test_a_simultaneous_step_is_both_against_the_other_as_it_was(objective: Objective) -> None:
    def after(step: Callable[..., Any]) -> tuple[dict[str, bytes], dict[str, bytes]]:
        mg.manual_seed(1)
        gan = Small()
        for layer in gan.discriminator:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0  # else the masks would differ
        step(gan.generator, gan.discriminator, gan.optimizers(1e-2), gan.latents(BATCH))
        return parameters(gan.generator), parameters(gan.discriminator)

    def in_turns(g: Any, d: Any, by: dict[str, Optimizer], z: mg.Tensor) -> None:
        discriminator_step(g, d, objective, by["discriminator"], real, z)
        generator_step(g, d, objective, by["generator"], z)

    real = mg.tensor(np.random.default_rng(0).uniform(-1, 1, (BATCH, 1, 28, 28)).astype("float32"))
    both = after(lambda g, d, by, z: simultaneous_step(g, d, objective, by, real, z))
    only_g = after(lambda g, d, by, z: generator_step(g, d, objective, by["generator"], z))
    only_d = after(
        lambda g, d, by, z: discriminator_step(g, d, objective, by["discriminator"], real, z)
    )
    assert both == (only_g[0], only_d[1])
    assert after(in_turns)[0] != both[0]


def test_a_model_may_ask_for_both_at_once() -> None:
    class AtOnce(Small):
        simultaneous = True

    def rows(kind: type[Small]) -> list[dict[str, float]]:
        mg.manual_seed(0)
        one = Trainer(kind(), IMAGES, non_saturating, batch_size=BATCH, lr=1e-3)
        return [one.fetch(one.step()) for _ in range(2)]

    at_once, in_turns = rows(AtOnce), rows(Small)
    assert list(at_once[0]) == list(in_turns[0])
    assert at_once[0]["d_loss"] == in_turns[0]["d_loss"]  # of the same first batches
    assert at_once[0]["g_loss"] != in_turns[0]["g_loss"]


def test_both_players_are_in_training_mode_in_both_steps(setup: Setup) -> None:
    gan, optimizers, real, z = setup
    g, d = gan.generator, gan.discriminator
    statistics = []
    for step in (
        lambda: discriminator_step(g, d, minimax, optimizers["discriminator"], real, z),
        lambda: generator_step(g, d, minimax, optimizers["generator"], z),
    ):
        statistics.append(g.state_dict()["1.running_mean"].numpy())
        step()
    statistics.append(g.state_dict()["1.running_mean"].numpy())
    assert (statistics[0] != statistics[1]).any() and (statistics[1] != statistics[2]).any()


# --- What a step measures -------------------------------------------------------------------------


class Spy(Objective):
    """Plays a game and keeps the logits that it was given."""

    def __init__(self, game: Objective):
        self.game = game
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
    gan, optimizers, real, z = setup
    spy = Spy(game)
    g, d = gan.generator, gan.discriminator
    for _ in range(5):
        measured = discriminator_step(g, d, spy, optimizers["discriminator"], real, z)
        measured |= generator_step(g, d, spy, optimizers["generator"], z)
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
    gan, optimizers, real, z = setup
    spy = Spy(game)
    spy.logistic = game.logistic
    players = gan.generator, gan.discriminator, spy
    if simultaneous:
        measured = simultaneous_step(*players, optimizers, real, z)
    else:
        measured = discriminator_step(*players, optimizers["discriminator"], real, z)
    for name, s in (("d_real", spy.real), ("d_fake", spy.fake)):
        expected = (answer(s) if game.logistic else s.astype("float64")).mean()
        assert measured[name].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert measured[name].shape == () and not measured[name].requires_grad


class Recorder(nn.Module):
    """A discriminator that keeps what it was shown."""

    def __init__(self, inner: nn.Module):
        self.inner = inner
        self.seen: list[np.ndarray] = []

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        self.seen.append(x.numpy())
        return self.inner(x)


def test_data_and_samples_are_judged_in_batches_of_their_own(setup: Setup) -> None:
    gan, optimizers, real, z = setup
    d = Recorder(gan.discriminator)
    with mg.no_grad():
        samples = gan.generator(z).numpy()
    discriminator_step(gan.generator, d, minimax, optimizers["discriminator"], real, z)
    assert [x.tobytes() for x in d.seen] == [real.numpy().tobytes(), samples.tobytes()]
    generator_step(gan.generator, d, minimax, optimizers["generator"], z)
    assert d.seen[2].tobytes() == samples.tobytes()


def test_the_two_games_differ_in_the_generators_loss_alone() -> None:
    first = {}
    for game in (minimax, non_saturating):
        one = trainer(seed=4, objective=game)
        first[game.name] = one.fetch(one.step())
    a, b = first["minimax"], first["non_saturating"]
    for same in ("step", "epoch", "d_loss", "d_real", "d_fake", "d_grad_norm"):
        assert a[same] == b[same], same
    assert a["g_loss"] < 0 < b["g_loss"]
    assert a["g_grad_norm"] != b["g_grad_norm"]


def test_gradient_norms_are_those_of_all_parameters_together() -> None:
    one = trainer()
    row = one.fetch(one.step())
    for player in ("generator", "discriminator"):
        gradients = [p.grad.numpy().ravel() for p in getattr(one.model, player).parameters()]
        norm = np.linalg.norm(np.concatenate(gradients).astype("float64"))
        assert row[f"{player[0]}_grad_norm"] == pytest.approx(norm, rel=1e-5)
        assert norm > 0


def test_gradient_norms_do_not_overflow() -> None:
    one = trainer()
    measured = one.step()
    for p in one.model.generator.parameters():
        p.grad = mg.tensor(np.full(p.shape, 1e25, "float32"))
    entries = sum(p.size for p in one.model.generator.parameters())
    assert one.fetch(measured)["g_grad_norm"] == pytest.approx(1e25 * entries**0.5, rel=1e-5)


def test_a_row_is_made_of_python_numbers() -> None:
    one = trainer()
    row = one.fetch(one.step())
    assert list(row) == [
        "step", "epoch", "d_loss", "d_real", "d_fake", "g_loss", "d_grad_norm", "g_grad_norm",
    ]  # fmt: skip
    assert row["step"] == 1 and row["epoch"] == round(1 / PER_EPOCH, 4)
    assert {type(value) for value in row.values()} <= {int, float}
    assert all(np.isfinite(list(row.values())))


def test_both_optimisers_are_adam_with_the_gans_betas() -> None:
    for optimizer in trainer(lr=3e-4).optimizers.values():
        assert isinstance(optimizer, Adam)
        assert (optimizer.lr, optimizer.betas) == (3e-4, (0.5, 0.999))


# --- The same seed, the same bytes ----------------------------------------------------------------


def everything(one: Trainer) -> dict[str, bytes]:
    """Each array that the trainer's next step depends on."""
    tensors, info = one.state()
    bits = {name: value.tobytes() for name, value in tensors.items()}
    return bits | {"info": json.dumps(info, sort_keys=True).encode()}


def test_the_same_seed_gives_the_same_bytes() -> None:
    results = []
    for seed in (0, 0, 1):
        one = trainer(seed)
        rows = [one.fetch(one.step()) for _ in range(10)]
        results.append((everything(one), rows, one.model.sample(4).tobytes()))
    first, again, other = results
    assert first == again
    assert first[0]["generator.0.weight"] != other[0]["generator.0.weight"]
    assert first[1] != other[1]
    assert first[2] != other[2]


def test_what_is_drawn_between_steps_for_a_picture_changes_nothing() -> None:
    results = []
    for look in (False, True):
        one = trainer()
        for _ in range(3):
            one.step()
            if look:
                one.model.sample(4, seed=9)
                one.model.generate(one.fixed_latents)
        results.append(everything(one))
    assert results[0] == results[1]


# --- The order of the data ------------------------------------------------------------------------


def test_an_epoch_shows_every_image_at_most_once() -> None:
    one = trainer()
    recorder = one.model.discriminator = Recorder(one.model.discriminator)
    assert one.steps_per_epoch == PER_EPOCH
    for _ in range(3 * PER_EPOCH):
        one.step()
    shown = recorder.seen[::3]  # then come D's samples and G's
    assert len(shown) == 3 * PER_EPOCH
    for batch in shown:
        assert batch.shape == (BATCH, 1, 28, 28) and batch.dtype == np.float32
        assert batch.min() >= -1.0 and batch.max() <= 1.0
    numbers = [np.rint((batch[:, 0, 0, 0] + 1.0) * 127.5 / 5).astype(int) for batch in shown]
    for i, batch in enumerate(shown):
        expected = IMAGES[numbers[i]].astype("float64") / 127.5 - 1.0
        np.testing.assert_allclose(batch[:, 0], expected, atol=1e-6)
    epochs = np.concatenate(numbers).reshape(3, PER_EPOCH * BATCH).tolist()
    for order in epochs:
        assert len(set(order)) == 48  # floor(50 / 8) · 8, and no image twice
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert any(sorted(order) != sorted(epochs[0]) for order in epochs[1:])  # others are left out


def test_a_batch_may_be_all_of_the_data() -> None:
    one = trainer(batch_size=N)
    assert one.steps_per_epoch == 1
    batch = one.next_batch().numpy()
    assert sorted(np.rint((batch[:, 0, 0, 0] + 1.0) * 127.5).astype(int)) == list(range(0, 250, 5))


@pytest.mark.parametrize("size", [-1, 0, 1, N + 1])
def test_batch_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(ValueError, match=f"{N}.*got {size}"):
        trainer(batch_size=size)


# --- Going on from a state ------------------------------------------------------------------------

TOTAL = 15


@pytest.fixture
def uninterrupted() -> tuple[dict[str, bytes], list[dict[str, float]], bytes]:
    one = trainer()
    rows = [one.fetch(one.step()) for _ in range(TOTAL)]
    return everything(one), rows, one.model.sample(3).tobytes()


@pytest.mark.parametrize("stop", [0, 1, 4, PER_EPOCH, PER_EPOCH + 1, 2 * PER_EPOCH, TOTAL])
def test_a_run_goes_on_to_the_same_bytes(stop: int, uninterrupted: Any, tmp_path: Path) -> None:
    one = trainer()
    rows = [one.fetch(one.step()) for _ in range(stop)]
    save_tensors(tmp_path / "state", *one.state())
    for _ in range(3):
        one.step()  # what came after the checkpoint is lost

    other = trainer(seed=99)
    other.step()
    other.load_state(*load_tensors(tmp_path / "state"))
    assert other.steps_done == stop
    rows += [other.fetch(other.step()) for _ in range(TOTAL - stop)]
    assert (everything(other), rows, other.model.sample(3).tobytes()) == uninterrupted


def test_the_comparison_sees_each_part_of_the_state(uninterrupted: Any) -> None:
    """A state that lacks one of its parts does not go on to the same bytes."""
    for lost in ("optimizer.generator.", "dropout", "shuffle", "latent", "1.running_mean"):
        one = trainer()
        for _ in range(4):
            one.step()
        tensors, info = one.state()
        fresh = trainer(seed=99).state()
        for name in list(tensors):
            if lost in name:
                if lost.startswith("optimizer"):
                    del tensors[name]
                else:
                    tensors[name] = fresh[0][name]
        if lost in info["rng"]:
            info["rng"][lost] = fresh[1]["rng"][lost]
        other = trainer(seed=99)
        other.load_state(tensors, info)
        for _ in range(TOTAL - 4):
            other.step()
        assert everything(other) != uninterrupted[0], lost


def test_a_state_is_a_snapshot() -> None:
    one = trainer()
    one.step()
    tensors, info = one.state()
    before = {name: value.tobytes() for name, value in tensors.items()}, json.dumps(info)
    one.step()
    assert ({name: value.tobytes() for name, value in tensors.items()}, json.dumps(info)) == before


@pytest.mark.parametrize("damage", ["missing", "another shape"])
def test_a_state_that_does_not_fit(damage: str) -> None:
    one = trainer()
    one.step()
    tensors, info = one.state()
    if damage == "missing":
        del tensors["generator.0.weight"]
    else:
        tensors["generator.0.weight"] = tensors["generator.0.weight"][:-1]
    with pytest.raises(ValueError, match=r"0\.weight"):
        trainer().load_state(tensors, info)


# --- A run that diverges --------------------------------------------------------------------------


class Poisoned(Trainer):
    """Makes one weight NaN before a given step."""

    when, player = 1, "generator"

    def step(self) -> dict[str, mg.Tensor]:
        if self.steps_done + 1 == self.when:
            weight = next(getattr(self.model, self.player).parameters())
            poison = weight.numpy()
            poison[0, 0] = np.nan
            weight.copy_(poison)
        return super().step()


def poisoned(when: int, player: str = "generator") -> Poisoned:
    mg.manual_seed(0)
    one = Poisoned(Small(), IMAGES, non_saturating, batch_size=BATCH)
    one.when, one.player = when, player
    return one


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("when", [1, 4, PER_EPOCH])
def test_nan_stops_the_run_and_names_step_and_tensor(player: str, when: int) -> None:
    told = rf"at step {when}, d_loss is not finite, nor are discriminator\.4\.bias\.grad and \d+ "
    with pytest.raises(DivergedError, match=told):
        fit(poisoned(when, player), 2 * PER_EPOCH)


def test_a_huge_learning_rate_diverges() -> None:
    with pytest.raises(DivergedError, match=r"at step 1, g_loss is not finite, nor are generator"):
        fit(trainer(lr=1e30), 2 * PER_EPOCH)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("when", [1, 5])
def test_data_that_is_not_finite_is_named(value: float, when: int) -> None:
    class Spoiled(Trainer):
        def next_batch(self) -> mg.Tensor:
            batch = super().next_batch().numpy()
            if self.steps_done + 1 == when:
                batch[3, 0, 14, 14] = value
            return mg.tensor(batch)

    mg.manual_seed(0)
    with pytest.raises(DivergedError, match=f"at step {when}, the batch of data is not finite"):
        fit(Spoiled(Small(), IMAGES, non_saturating, batch_size=BATCH), PER_EPOCH)


def test_images_are_bytes() -> None:
    with pytest.raises(TypeError, match="uint8.*float32"):
        Trainer(Small(), IMAGES.astype("float32"), non_saturating, batch_size=BATCH)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_single_gradient_is_named_at_its_own_step(
    player: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any loss shows it: Adam makes the parameter NaN, and the next forward the loss."""
    one, name = trainer(), "1.weight"
    parameter = dict(getattr(one.model, player).named_parameters())[name]
    optimizer = one.optimizers[player]
    real_step, calls = optimizer.step, []

    def step() -> None:
        calls.append(player)
        if len(calls) == 4:
            gradient = parameter.grad.numpy()
            gradient.flat[0] = value
            parameter.grad = mg.tensor(gradient)
        real_step()

    monkeypatch.setattr(optimizer, "step", step)
    with pytest.raises(DivergedError, match=rf"at step 4, {player}\.{name}\.grad is not finite"):
        fit(one, PER_EPOCH)


def test_a_square_that_overflows_is_not_saved(tmp_path: Path) -> None:
    """Of a finite gradient of 1e25, say: in Adam that parameter would never move again."""

    class Huge(Trainer):
        def step(self) -> dict[str, mg.Tensor]:
            measured = super().step()
            state = self.optimizers["generator"].state[0]
            state["exp_avg_sq"] = mg.tensor(np.full(state["exp_avg_sq"].shape, np.inf, "f4")).data
            return measured

    mg.manual_seed(0)
    run = new_run(tmp_path / "run")
    with pytest.raises(
        DivergedError, match=r"at step 6, optimizer\.generator\.0\.exp_avg_sq is not"
    ):
        fit(Huge(Small(), IMAGES, non_saturating, batch_size=BATCH), PER_EPOCH, run)
    assert saved_step(run) == 0


def test_what_diverged_is_not_saved(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(DivergedError):
        fit(poisoned(PER_EPOCH + 2), 2 * PER_EPOCH, run)
    assert saved_step(run) == PER_EPOCH
    assert [row["step"] for row in run.rows("history.csv")] == [PER_EPOCH]
    for player in ("generator", "discriminator"):
        weights, _ = load_tensors(run.path / f"{player}.safetensors")
        assert all(np.isfinite(value).all() for value in weights.values())


def test_a_stop_request_does_not_save_what_diverged(tmp_path: Path) -> None:
    class Stopped(Poisoned):
        def step(self) -> dict[str, mg.Tensor]:
            measured = super().step()
            if self.steps_done == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return measured

    mg.manual_seed(0)
    one = Stopped(Small(), IMAGES, non_saturating, batch_size=BATCH)
    one.when = 3
    run = new_run(tmp_path / "run")
    with pytest.raises(DivergedError, match="at step 3, d_loss is not finite"):  # the first cause
        fit(one, PER_EPOCH, run)
    assert saved_step(run) == 0


class InfiniteSlope(Minimax):
    """Losses that stay finite, and a generator's gradient that does not: √0 has slope ∞."""

    name = "infinite_slope"

    def generator(self, fake_logits: mg.Tensor) -> mg.Tensor:
        zero = (fake_logits * 0.0).sum()
        return non_saturating.generator(fake_logits) + zero.sqrt()


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_gradient_that_is_not_finite_stops_the_run_too(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(DivergedError, match=r"at step 1, generator\.\d\.\w+\.grad is not finite"):
        fit(trainer(objective=InfiniteSlope()), 1, run)
    assert saved_step(run) == 0


def test_a_trainer_that_diverged_can_go_back_to_a_good_state() -> None:
    one = poisoned(3)
    one.step()
    good = one.state()
    with pytest.raises(DivergedError):
        fit(one, PER_EPOCH)
    one.load_state(*good)
    one.when = 0
    rows = fit(one, PER_EPOCH)
    assert [row["step"] for row in rows] == [PER_EPOCH]
    assert all(np.isfinite(list(rows[0].values())))


@pytest.mark.on_the_host("chooses an array library itself")
def test_a_platform_of_small_integers_trains_to_the_same_bytes() -> None:
    def trained() -> tuple[Any, Any]:
        one = trainer()
        return fit(one, PER_EPOCH + 1), everything(one)

    expected = trained()
    with mg.backend.using_backend(small_integers):
        assert small_integers.where(np.ones(1) > 0, np.iinfo("int64").max, 1) == -1  # it is one
        assert trained() == expected
        with pytest.raises(DivergedError, match="at step 4, d_loss is not finite"):
            fit(poisoned(4), PER_EPOCH)


class Growing(Trainer):
    """Looks at a tensor more in every other step, and at another one from the fifth step on."""

    def _results(self, measured: dict[str, mg.Tensor]) -> dict[str, mg.Tensor]:
        found = super()._results(measured)
        if self.steps_done % 2 == 0:
            found = {"penalty": self.at(2, 6), **found}
        if self.steps_done >= 5:
            found["a new layer"] = self.at(7)
        return found

    def at(self, *steps: int) -> mg.Tensor:
        return mg.tensor(math.nan if self.steps_done in self.bad.intersection(steps) else 1.0)

    bad = frozenset[int]()


@pytest.mark.parametrize(
    ("bad", "told"), [({2, 7}, "step 2, penalty"), ({6}, "step 6, penalty"), ({7}, "step 7, a new")]
)
def test_steps_may_have_other_tensors(bad: set[int], told: str) -> None:
    mg.manual_seed(0)
    one = Growing(Small(), IMAGES[:16], non_saturating, batch_size=2)
    fit(one, 8)
    one.bad, one.steps_done = frozenset(bad), 0
    with pytest.raises(DivergedError, match=f"^at {told}[a-z ]* is not finite$"):
        fit(one, 8)


# --- fit ------------------------------------------------------------------------------------------


def test_fit_logs_at_fifties_at_the_ends_of_epochs_and_at_the_end(tmp_path: Path) -> None:
    mg.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (120, 28, 28), dtype=np.uint8)
    one = Trainer(Small(), images, non_saturating, batch_size=2)
    run = new_run(tmp_path / "run")
    rows = fit(one, 110, run)
    assert [row["step"] for row in rows] == [50, 60, 100, 110]
    assert [row["epoch"] for row in rows] == [0.8333, 1.0, 1.6667, 1.8333]
    assert run.rows("history.csv") == rows
    timing = run.rows("timing.csv")
    assert [row["step"] for row in timing] == [50, 60, 100, 110]
    assert list(timing[0]) == ["step", "seconds", "rate"]
    assert all(0 < a["seconds"] <= b["seconds"] for a, b in itertools.pairwise(timing))
    _, info, _ = run.load_checkpoint()
    assert info["steps_done"] == one.steps_done == 110


def test_fit_calls_on_epoch_with_the_number_of_finished_ones(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int | None]] = []
    one = trainer()
    run = new_run(tmp_path / "run")

    def on_epoch(epoch: int) -> None:
        saved = saved_step(run) if run.has_checkpoint else None
        calls.append((epoch, one.steps_done, saved))

    fit(one, 2 * PER_EPOCH + 3, run, on_epoch)
    # Each comes before its checkpoint: a crash in between repeats it, rather than losing it.
    assert calls == [(0, 0, None), (1, PER_EPOCH, 0), (2, 2 * PER_EPOCH, PER_EPOCH)]
    calls.clear()
    fit(one, 3 * PER_EPOCH, run, on_epoch)
    assert calls == [(3, 3 * PER_EPOCH, 2 * PER_EPOCH + 3)]


@pytest.mark.parametrize(
    ("per_epoch", "saved"),
    [(6, [102, 204, 300]), (78, [156, 234, 312]), (100, [100, 200, 300]), (250, [250])],
)
def test_checkpoints_come_with_epochs_and_not_too_often(
    per_epoch: int, saved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 100)
    monkeypatch.setattr(Trainer, "steps_per_epoch", per_epoch)
    one = trainer()
    assert [step for step in range(1, 325) if one.is_saved(step)] == saved


def test_fit_in_two_parts_is_fit_in_one() -> None:
    one = trainer()
    fit(one, 2 * PER_EPOCH + 1)
    result = everything(one)
    other = trainer()
    fit(other, 5)
    fit(other, 2 * PER_EPOCH + 1)
    assert everything(other) == result


def test_fit_past_the_end_does_nothing(tmp_path: Path) -> None:
    one = trainer()
    fit(one, 4)
    before = everything(one)
    run = new_run(tmp_path / "run")
    assert fit(one, 3, run) == fit(one, 4, run) == []
    assert everything(one) == before
    assert not run.checkpoint_path.exists()


class Interrupted(Trainer):
    """Sends a signal to its own process in the middle of a step."""

    signum, when = signal.SIGINT, 4

    def next_batch(self) -> mg.Tensor:
        if self.steps_done + 1 == self.when:
            os.kill(os.getpid(), self.signum)
        return super().next_batch()


@pytest.fixture
def handlers() -> Iterator[dict[int, Any]]:
    """A mark in the place of each handler, to be found there again."""

    def never(*_: Any) -> None:
        raise AssertionError("the handler from before was called")

    previous = {n: signal.signal(n, never) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield {n: never for n in previous}
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def current() -> dict[int, Any]:
    return {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", [1, 4, PER_EPOCH, PER_EPOCH + 1])
def test_a_signal_stops_at_the_end_of_a_step_and_saves(
    signum: int, when: int, handlers: dict[int, Any], uninterrupted: Any, tmp_path: Path
) -> None:
    mg.manual_seed(0)
    one = Interrupted(Small(), IMAGES, non_saturating, batch_size=BATCH, lr=1e-3)
    one.signum, one.when = signum, when
    run = new_run(tmp_path / "run")
    fit(one, TOTAL, run)
    assert one.steps_done == when
    assert current() == handlers

    other = trainer(seed=9)
    tensors, info, _ = run.load_checkpoint()
    other.load_state(tensors, info)
    fit(other, TOTAL, run)
    assert everything(other) == uninterrupted[0]


def test_a_signal_from_outside_while_an_epoch_ends(handlers: dict[int, Any]) -> None:
    one = trainer()

    def on_epoch(epoch: int) -> None:
        if epoch == 1:
            sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
            sender.start()
            sender.join()

    fit(one, TOTAL, on_epoch=on_epoch)
    assert one.steps_done == PER_EPOCH
    assert current() == handlers


def test_handlers_come_back_after_an_error(handlers: dict[int, Any]) -> None:
    with pytest.raises(DivergedError):
        fit(poisoned(2), PER_EPOCH)
    assert current() == handlers


def test_fit_runs_in_a_thread_too(handlers: dict[int, Any]) -> None:
    one = trainer()
    thread = threading.Thread(target=fit, args=(one, 3))
    thread.start()
    thread.join()
    assert one.steps_done == 3
    assert current() == handlers


# --- Progress -------------------------------------------------------------------------------------


class Notebook:
    """What IPython's get_ipython() gives in a notebook, as far as anybody asks."""

    kernel = None


LINE = re.compile(
    r"^ *(\d+)%\|.*\| (\d+)/10 \[\d\d:\d\d<(\d\d:\d\d|\?), +(\?|[\d.]+)(step/s|s/step)(, .*)?\]$"
)


def test_progress_in_a_log_is_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with training.progress(10, 2) as bar:
        bar.mininterval = 0.0
        for _ in range(8):
            bar.update()
    err = capsys.readouterr().err
    assert err.endswith("\n")
    assert "\r" not in err and "\x1b" not in err
    matches = [LINE.match(line) for line in err.splitlines()]
    assert all(matches), err
    counts = [int(m[2]) for m in matches if m]
    assert counts[0] == 2 and counts[-1] == 10 and counts == sorted(counts)
    assert len(counts) > 3
    middle = next(m for m in matches if m and m[2] == "5")
    assert middle[3] != "?" and middle[4] != "?"  # rate and time left


def test_progress_is_a_bar_in_a_notebook_and_not_where_its_modules_are_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for shell, in_a_notebook in ((None, False), (object(), False), (Notebook(), True)):
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setattr(training, "auto_tqdm", training.plain_tqdm)  # which needs no widgets
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())  # who only imports it...
        with training.progress(10) as bar:
            bar.update()
        assert ("\r" in capsys.readouterr().err) == in_a_notebook


def test_progress_in_a_log_is_rare(capsys: pytest.CaptureFixture[str]) -> None:
    with training.progress(10_000) as bar:
        for _ in range(10_000):
            bar.update()
    assert len(capsys.readouterr().err.splitlines()) <= 3


def test_fit_shows_losses_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    fit(trainer(), 10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\r" not in captured.err
    last = captured.err.splitlines()[-1]
    assert LINE.match(last) and "d_loss=" in last and "g_loss=" in last


def test_an_error_leaves_the_last_line_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DivergedError):
        fit(poisoned(3), 10)
    assert capsys.readouterr().err.endswith("\n")


# --- Learning -------------------------------------------------------------------------------------

MEAN = np.array([2.0, -1.0], "float32")
VARIANCE = 2.0
RATE, GAME_BATCH = 0.2, 128


class Shift(nn.Module):
    """G(z) = A z + b. Its samples' mean is b exactly."""

    def __init__(self) -> None:
        self.inner = nn.Linear(2, 2)
        self.inner.weight.copy_(VARIANCE**0.5 * np.eye(2))
        self.inner.bias.copy_([0.0, 0.0])

    def forward(self, z: mg.Tensor) -> mg.Tensor:
        return self.inner(z)


@pytest.mark.slow
@pytest.mark.parametrize("game", [minimax, non_saturating], ids=repr)
def test_a_small_gan_finds_the_mean(game: Objective) -> None:
    """An affine G against a linear D, s = w·x, on one Gaussian of variance σ² and mean μ.

    With δ = b − μ and both small, gradient descent of step h follows w' = −½δ − ½σ²w, δ' = ½w
    (across μ; along μ the first damping is larger), whose slowest mode decays by e^−0.015 a step
    here. What stays is the noise of the batches, var w = h·σ²/(2B) a step: solving for the
    stationary covariance gives var δ = var w = h/(2B). Five standard deviations are allowed.
    """
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    g, d = Shift(), nn.Linear(2, 1, bias=False)
    optimizers = SGD(g.parameters(), RATE), SGD(d.parameters(), RATE)
    tolerance = 5.0 * (RATE / (2 * GAME_BATCH)) ** 0.5  # 0.14

    def normal() -> np.ndarray:
        return rng.standard_normal((GAME_BATCH, 2)).astype("float32")

    assert np.abs(g.inner.bias.numpy() - MEAN).min() > 5 * tolerance
    losses = []
    for _ in range(700):
        real = mg.tensor(np.float32(VARIANCE**0.5) * normal() + MEAN)
        losses.append(
            discriminator_step(g, d, game, optimizers[1], real, mg.tensor(normal()))[
                "d_loss"
            ].item()
        )
        generator_step(g, d, game, optimizers[0], mg.tensor(normal()))
    assert np.abs(g.inner.bias.numpy() - MEAN).max() < tolerance
    assert np.abs(d.weight.numpy()).max() < tolerance
    assert min(losses[:50]) < 1.2  # D was ahead at first,
    assert np.mean(losses[-100:]) == pytest.approx(
        2 * np.log(2), abs=0.01
    )  # and can do nothing now
