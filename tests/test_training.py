"""The loop around a model's step: rows, divergence, resume, and a run that repeats to the byte."""

import itertools
import json
import math
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from libraries import small_integers
from small_gan import BATCH, IMAGES, PER_EPOCH, N, Recorder, Small, everything, trainer

import minigan as mg
from minigan import training
from minigan.checkpoint import Run, load_tensors, save_tensors
from minigan.data.batches import Batch, Batches, Epochs
from minigan.divergence import FirstNotFinite
from minigan.losses import Minimax, Objective, minimax, non_saturating
from minigan.models import GAN
from minigan.models.gan import discriminator_step, generator_step
from minigan.optim import SGD, Adam
from minigan.training import DivergedError, Trainer, fit

nn = mg.nn


@pytest.fixture(autouse=True)
def _a_checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 1)


def new_run(path: Path) -> Run:
    return Run.create(path, {"model": "small"})


def saved_step(run: Run) -> int:
    """The step of the newest checkpoint, which holds finite numbers."""
    tensors, info, warning = run.load_checkpoint()
    assert warning == "" and all(np.isfinite(value).all() for value in tensors.values())
    return int(info["steps_done"])


def checkpoint(run: Run) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The state in the newest checkpoint, which holds the history beside it."""
    tensors, info, _ = run.load_checkpoint()
    del tensors["history.csv"]
    return tensors, info


# --- What a row says ------------------------------------------------------------------------------


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


# --- The same seed, the same bytes ----------------------------------------------------------------


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
                one.model.preview()
        results.append(everything(one))
    assert results[0] == results[1]


# --- The order of the data ------------------------------------------------------------------------


def test_an_epoch_shows_every_image_at_most_once() -> None:
    one = trainer()
    recorder = one.model.discriminator = Recorder(one.model.discriminator)
    assert one.data.per_epoch == PER_EPOCH
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
        np.testing.assert_allclose(batch, expected, atol=1e-6)
    epochs = np.concatenate(numbers).reshape(3, PER_EPOCH * BATCH).tolist()
    for order in epochs:
        assert len(set(order)) == 48  # floor(50 / 8) · 8, and no image twice
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert any(sorted(order) != sorted(epochs[0]) for order in epochs[1:])  # others are left out


def test_a_batch_may_be_all_of_the_data() -> None:
    one = trainer(batch_size=N)
    recorder = one.model.discriminator = Recorder(one.model.discriminator)
    one.step()
    assert one.epoch_ended and one.data.per_epoch == 1
    batch = recorder.seen[0]
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
    for lost in ("g_optimizer.", "dropout", "shuffle", "latent", "1.running_mean"):
        one = trainer()
        for _ in range(4):
            one.step()
        tensors, info = one.state()
        fresh = trainer(seed=99).state()
        for name in list(tensors):
            if lost in name:
                if lost.startswith("g_optimizer"):
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


def test_a_step_may_draw_from_any_stream_itself() -> None:
    class Drawing(Small):
        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            drawn = mg.backend.stream("shuffle").permutation(100)[0]
            return super().step(data, t) | {"drawn": mg.tensor(float(drawn))}

    one = trainer(kind=Drawing)
    for _ in range(PER_EPOCH - 2):
        one.step()
    state = one.state()
    rows, expected = [one.fetch(one.step()) for _ in range(4)], everything(one)
    other = trainer(kind=Drawing, seed=9)
    other.load_state(*state)
    assert [other.fetch(other.step()) for _ in range(4)] == rows
    assert everything(other) == expected


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


def of_kind(kind: type[Any], model: type[GAN] = Small, batch_size: int = BATCH) -> Any:
    """A loop of another kind, around a fresh model."""
    mg.manual_seed(0)
    gan = model()
    return kind(gan, gan.batches(IMAGES, None, batch_size))


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
    one = of_kind(Poisoned)
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
    """By D's loss, the first that they reach; a loader of pixels gives none such."""

    class Spoiled(Batches):
        def __next__(self) -> Batch:
            images, labels = super().__next__()
            spoilt = images.numpy()
            if self.drawn == when:
                spoilt[3, 0, 14, 14] = value
            return Batch(mg.tensor(spoilt), labels)

    mg.manual_seed(0)
    one = Trainer(Small(), Spoiled(IMAGES, None, BATCH))
    told = rf"at step {when}, d_loss is not finite, nor are discriminator\.4\.bias\.grad and \d+ "
    with pytest.raises(DivergedError, match=told):
        fit(one, PER_EPOCH)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_single_gradient_is_named_at_its_own_step(
    player: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any loss shows it: Adam makes the parameter NaN, and the next forward the loss."""
    one, name = trainer(), "1.weight"
    parameter = dict(getattr(one.model, player).named_parameters())[name]
    optimizer = getattr(one.model, f"{player[0]}_optimizer")
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
            state = self.model.g_optimizer.state[0]
            state["exp_avg_sq"] = mg.tensor(np.full(state["exp_avg_sq"].shape, np.inf, "f4")).data
            return measured

    run = new_run(tmp_path / "run")
    with pytest.raises(DivergedError, match=r"at step 6, g_optimizer\.0\.exp_avg_sq is not"):
        fit(of_kind(Huge), PER_EPOCH, run)
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

    one = of_kind(Stopped)
    one.when = 3
    run = new_run(tmp_path / "run")
    with pytest.raises(DivergedError, match="at step 3, d_loss is not finite"):  # the first cause
        fit(one, PER_EPOCH, run)
    assert saved_step(run) == 0


def test_the_first_cause_is_the_step_that_the_model_takes_first() -> None:
    """However the attributes are ordered: what a step measures first is what it computes first."""

    class GFirst(Small):
        def __init__(self) -> None:
            super().__init__()
            d_optimizer = self.d_optimizer
            del self.d_optimizer
            self.d_optimizer = d_optimizer

    assert list(GFirst().parts(Adam)) == ["g_optimizer", "d_optimizer"]
    one = of_kind(Poisoned, GFirst)
    one.when = 2
    told = r"at step 2, d_loss is not finite, nor are discriminator\.4\.bias\.grad and"
    with pytest.raises(DivergedError, match=told):
        fit(one, 3)


class Scaled(Small):
    """A Parameter that belongs to no net, whose rate is too large."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(mg.tensor(1.0))
        self.s_optimizer = SGD([self.scale], 1e38)
        self.factor = 1.0

    def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
        measured = super().step(data, t)
        loss = (self.scale * self.factor * 1e-30).sum()
        self.s_optimizer.minimize(loss * 1e30)
        return measured | {"s_loss": loss}


def test_a_parameter_of_the_model_itself_is_named_and_not_saved_once_it_is_infinite(
    tmp_path: Path,
) -> None:
    one = trainer(kind=Scaled)
    one.step()
    one.model.factor = math.inf  # type: ignore[attr-defined]
    one.step()
    with pytest.raises(DivergedError, match=r"step 2, s_loss is not finite, nor is scale\.grad"):
        one.fetch(one.step())

    one, run = trainer(kind=Scaled), new_run(tmp_path / "run")
    with pytest.raises(DivergedError, match=r"^at step 4, scale is not finite$"):
        fit(one, 4, run)  # −1e38 a step
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
        fit(trainer(game=InfiniteSlope()), 1, run)
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


@pytest.mark.parametrize(
    ("bad", "told"), [({2, 7}, "step 2, penalty"), ({6}, "step 6, penalty"), ({7}, "step 7, a new")]
)
def test_steps_may_have_other_tensors(bad: set[int], told: str) -> None:
    """A tensor more in every other step, and another one from the fifth step on."""
    first = FirstNotFinite()
    for step in range(1, 9):
        x = mg.tensor(math.nan if step in bad else 1.0)
        one = mg.tensor(1.0)
        first.watch(
            step,
            ({"penalty": x} if step % 2 == 0 else {})
            | {"d_loss": one}
            | ({"a new layer": x if step == 7 else one} if step >= 5 else {}),
        )
    found = [n for notes in first.notes() for n in mg.backend.to_host(notes).tolist()]
    with pytest.raises(DivergedError, match=f"^at {told}[a-z ]* is not finite$"):
        first.check(found)


# --- What a step may return -----------------------------------------------------------------------


class Returning(Small):
    """Returns what a test asks for, at the step that it asks for."""

    returned: Any = staticmethod(lambda: None)
    at = 0

    def step(self, data: Any, t: int) -> Any:
        usual = super().step(data, t)
        return self.returned() if t == self.at else usual


ZERO = mg.tensor(0.0)
NO_ROWS: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing": (None, TypeError, "must return scalar Tensors by name, got None$"),
    "a Tensor": (ZERO, TypeError, "must return scalar Tensors by name, got tensor"),
    "a tuple": ((ZERO, ZERO), TypeError, "must return scalar Tensors by name, got "),
    "an empty dict": ({}, TypeError, "must return scalar Tensors by name, got {}$"),
    "a float": ({"d_loss": 0.5}, TypeError, "d_loss must be a scalar Tensor, got 0.5$"),
    "a number of NumPy's": (
        {"d_loss": np.float32(0.5)}, TypeError, "d_loss must be a scalar Tensor, got ",
    ),
    "a vector": (
        {"d_loss": mg.tensor([1.0, 2.0])}, TypeError,
        r"d_loss must be a scalar Tensor, got shape \(2,\)$",
    ),
    "the column of steps": ({"step": ZERO}, ValueError, "'step' cannot be the name of a column$"),
    "the column of epochs": ({"epoch": ZERO}, ValueError, "'epoch' cannot be the name of a column"),
    "two words": ({"my loss": ZERO}, ValueError, "'my loss' cannot be the name of a column$"),
    "a comma": ({"a,b": ZERO}, ValueError, "'a,b' cannot be the name of a column$"),
    "no name": ({"": ZERO}, ValueError, "'' cannot be the name of a column$"),
    "a number as name": ({3: ZERO}, ValueError, "3 cannot be the name of a column$"),
    "a norm that fetch adds": (
        {"d_loss": ZERO, "g_grad_norm": ZERO}, ValueError,
        "'g_grad_norm' cannot be the name of a column$",
    ),
}  # fmt: skip


@pytest.mark.on_the_host("its Tensors are made before")
@pytest.mark.parametrize("case", NO_ROWS)
def test_what_is_no_row_is_named(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    returned, kind, told = NO_ROWS[case]
    monkeypatch.setattr(Returning, "returned", staticmethod(lambda: returned))
    with pytest.raises(kind, match=rf"^Returning\.step:? {told}"):
        trainer(kind=Returning).step()


@pytest.mark.parametrize("names", [("d_loss",), ("d_loss", "d_real", "d_fake", "g_loss", "more")])
def test_other_names_at_a_later_step_are_refused(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {name: mg.tensor(0.0) for name in names}
    monkeypatch.setattr(Returning, "returned", staticmethod(lambda: row))
    monkeypatch.setattr(Returning, "at", 2)
    one = trainer(kind=Returning)
    one.step(), one.step()
    began = "d_loss, d_real, d_fake, g_loss"
    told = rf"same names at every step: it began with {began}, now it .* {names[-1]}$"
    with pytest.raises(ValueError, match=told):
        one.step()
    assert one.steps_done == 2


def test_rows_have_the_order_of_the_first_step_and_no_graph() -> None:
    class Turning(Small):
        def step(self, data: Any, t: int) -> Mapping[str, mg.Tensor]:  # type: ignore[override]
            measured = super().step(data, t)
            weight = self.generator[0].weight
            measured["weight"] = (weight * weight).sum().reshape(1, 1)
            return dict(reversed(measured.items())) if t % 2 else measured

    one = trainer(kind=Turning)
    for _ in range(2):
        measured = one.step()
        assert list(measured) == ["d_loss", "d_real", "d_fake", "g_loss", "weight"]
        assert all(m.shape == () and not m.requires_grad for m in measured.values())
    assert list(one.fetch(measured))[2:7] == list(measured)


# --- Several batches in a step, and none ----------------------------------------------------------


class Critic(Small):
    """Several steps of D in one, each on a batch of its own."""

    critic_steps = 3

    def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
        players = self.generator, self.discriminator, self.game
        for _ in range(self.critic_steps):
            real, _ = next(data)
            measured = discriminator_step(*players, self.d_optimizer, real, self.latents(BATCH))
        return measured | generator_step(*players, self.g_optimizer, self.latents(BATCH))


class Four(Critic):
    critic_steps = 4


class Fourteen(Critic):
    critic_steps = 14


class Resting(Small):
    """Draws a batch in every third step, and learns from it in the others too."""

    def start(self, data: Epochs) -> None:
        super().start(data)
        self.real = mg.tensor(np.zeros((BATCH, 1, 28, 28), "float32"))

    def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
        if t % 3 == 2:
            self.real, _ = next(data)
        return super().step(iter([Batch(self.real, None)]), t)


#: After which steps the first epochs have ended.
ENDS: dict[type[Small], list[int]] = {
    Critic: [2, 4, 6],
    Four: [2, 3, 5],  # after 8, 12 and 20 batches of six an epoch
    Fourteen: [1, 1, 2],
    Resting: [18, 36, 54],
}
several = pytest.mark.parametrize("kind", ENDS, ids=lambda kind: kind.__name__)


@several
def test_an_epoch_ends_with_its_last_batch_however_many_a_step_draws(
    kind: type[Small], tmp_path: Path
) -> None:
    one, run = trainer(kind=kind), new_run(tmp_path / "run")
    calls: list[tuple[int, int]] = []
    rows = fit(one, run=run, epochs=3, on_epoch=lambda n: calls.append((n, one.steps_done)))
    ends = ENDS[kind]
    first, last = sorted({0, *ends})[-2:]
    if kind is Fourteen:  # the last of its steps draws more than it needs
        assert calls == [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)]
    else:
        assert calls == [(0, 0), *zip((1, 2, 3), ends, strict=True)]
    assert one.steps_done == last and one.epoch_ended
    assert [row["step"] for row in rows] == sorted({*ends, *range(50, last, 50)})
    assert run.rows("history.csv") == rows
    drawn = one.data.drawn
    assert rows[-1]["epoch"] == round(drawn / PER_EPOCH, 4) and one.data.epoch >= 3
    assert saved_step(run) == last
    _, info = load_tensors(run.previous_path)
    assert info["steps_done"] == first


@several
def test_an_epoch_of_several_draws_shows_every_image_at_most_once(kind: type[Small]) -> None:
    one = trainer(kind=kind)
    recorder = one.model.discriminator = Recorder(one.model.discriminator)
    while one.data.drawn < 3 * PER_EPOCH:
        one.step()
    shown = [x for x in recorder.seen if (x == x[:, :1, :1, :1]).all() and x.any()]  # grey: data
    levels = [tuple(np.rint((x[:, 0, 0, 0] + 1.0) * 127.5 / 5).astype(int)) for x in shown]
    batches = list(dict.fromkeys(levels))[: 3 * PER_EPOCH]  # Resting shows each three times
    for epoch in np.array(batches).reshape(3, PER_EPOCH * BATCH):
        assert len(set(epoch.tolist())) == PER_EPOCH * BATCH


class Bar:
    """A progress bar that keeps what its total was after each step."""

    def __init__(self, total: int, initial: int):
        self.total, self.initial, self.totals = total, initial, list[int]()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def set_postfix(self, *_: Any, **__: Any) -> None:
        pass

    def update(self) -> None:
        self.totals.append(self.total)


@several
def test_the_bars_total_is_the_number_of_steps(
    kind: type[Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Bar] = []

    def progress(total: int, initial: int) -> Bar:
        bars.append(Bar(total, initial))
        return bars[-1]

    monkeypatch.setattr(training, "progress", progress)
    one = trainer(kind=kind)
    fit(one, epochs=2)
    assert bars[-1].initial == 0 and len(bars[-1].totals) == one.steps_done
    assert bars[-1].totals[-1] in (one.steps_done, one.steps_done - 1)  # a step may draw too many
    fit(one, epochs=3)
    assert bars[-1].initial + len(bars[-1].totals) == one.steps_done
    fit(trainer(kind=kind), 5)
    assert (bars[-1].total, bars[-1].totals) == (5, [5] * 5)
    fit(trainer(), epochs=2)
    assert (bars[-1].total, bars[-1].totals) == (12, [12] * 12)


@pytest.mark.parametrize(
    ("kind", "stop"),
    [(kind, stop) for kind in (Critic, Four, Fourteen) for stop in range(1, ENDS[kind][-1])]
    + [(Resting, stop) for stop in (1, 2, 3, 4, 17, 18, 19, 35)],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_a_run_of_epochs_stopped_at_any_step_goes_on_to_the_same_bytes(
    kind: type[Small], stop: int, tmp_path: Path
) -> None:
    whole, run = trainer(kind=kind), new_run(tmp_path / "whole")
    calls: list[int] = []
    length = 2 if kind is Resting else 3
    fit(whole, run=run, epochs=length, on_epoch=calls.append)
    assert stop < whole.steps_done
    expected = everything(whole), content(run)

    one, run = of_kind(Interrupted, kind), new_run(tmp_path / "run")
    one.when, parts = stop, list[int]()
    fit(one, run=run, epochs=length, on_epoch=parts.append)
    assert one.steps_done == stop == saved_step(run)
    other = trainer(kind=kind, seed=9)
    other.load_state(*checkpoint(run))
    assert (other.epoch_ended, other.is_logged, other.is_saved) == (
        one.epoch_ended, one.is_logged, one.is_saved,
    )  # fmt: skip
    fit(other, run=run, epochs=length, on_epoch=parts.append)
    assert (everything(other), content(run)) == expected
    assert parts == calls


def content(run: Run) -> dict[str, bytes]:
    """A run's files but the one with a clock, and the last checkpoint but one."""
    but = ("timing.csv", run.previous_path.name)
    return {p.name: p.read_bytes() for p in run.path.iterdir() if p.name not in but}


class Rows(Epochs):
    def __next__(self) -> list[np.ndarray]:
        return self.rows()


class Idle(GAN):
    """A model without nets, whose steps draw batches and do nothing."""

    latent_dim, draws = 1, 1

    def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
        for _ in range(self.draws):
            next(data)
        return {"zero": mg.tensor(0.0)}


def saved_steps(per_epoch: int, draws: int = 1, cut_every: int = 0) -> list[int]:
    """The first 325 steps after which there is a checkpoint; the run may be cut and taken up."""

    class Drawing(Idle):
        pass

    Drawing.draws = draws
    one, saved = Trainer(Drawing(), Rows([2 * per_epoch], 2)), []
    for step in range(1, 325):
        one.step()
        if cut_every and step % cut_every == 0:
            state = one.state()
            one = Trainer(Drawing(), Rows([2 * per_epoch], 2))
            one.load_state(*state)
        if one.is_saved:
            saved.append(step)
    return saved


@pytest.mark.on_the_host("counts steps")
@pytest.mark.parametrize("cut_every", [0, 1, 7])
@pytest.mark.parametrize(
    ("per_epoch", "draws", "saved"),
    [
        (6, 1, [102, 204, 300]),
        (78, 1, [156, 234, 312]),
        (100, 1, [100, 200, 300]),
        (250, 1, [250]),
        (300, 1, [120, 240, 300]),
        (324, 1, [120, 240, 324]),
        (234, 3, [156, 234, 312]),
        (10, 4, [100, 200, 300]),  # epochs end after 3, 5, 8, 10 … steps
        (3, 14, [100, 200, 300]),  # each step ends one
        (10_000, 0, [120, 240]),
    ],
)
def test_checkpoints_come_with_epochs_and_not_too_often(
    per_epoch: int, draws: int, saved: list[int], cut_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 100)
    monkeypatch.setattr(training, "SAVE_WITHIN", 120 if per_epoch > 299 else 2000)
    assert saved_steps(per_epoch, draws, cut_every) == saved


# --- fit ------------------------------------------------------------------------------------------


def test_fit_logs_at_fifties_at_the_ends_of_epochs_and_at_the_end(tmp_path: Path) -> None:
    mg.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (120, 1, 28, 28), dtype=np.uint8)
    model = Small()
    one = Trainer(model, model.batches(images, None, 2))
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


def test_fit_in_two_parts_is_fit_in_one() -> None:
    one = trainer()
    fit(one, 2 * PER_EPOCH + 1)
    result = everything(one)
    other = trainer()
    fit(other, 5)
    fit(other, 2 * PER_EPOCH + 1)
    assert everything(other) == result


def test_fit_to_epochs_is_fit_to_their_steps() -> None:
    one = trainer()
    rows, expected = fit(one, 2 * PER_EPOCH), everything(one)
    one = trainer()
    assert fit(one, epochs=2) == rows and everything(one) == expected
    assert fit(one, epochs=2) == fit(one, epochs=1) == []


@pytest.mark.parametrize("length", [{}, {"steps": 3, "epochs": 1}], ids=str)
def test_fit_needs_one_length(length: dict[str, int]) -> None:
    one = trainer()
    with pytest.raises(ValueError, match="^give one of steps and epochs, got steps"):
        fit(one, **length)  # type: ignore[arg-type]
    assert one.steps_done == 0


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

    def step(self) -> dict[str, mg.Tensor]:
        def latents(*arguments: Any) -> mg.Tensor:
            if self.steps_done + 1 == self.when:
                os.kill(os.getpid(), self.signum)
            return drawn(*arguments)

        drawn = self.model.latents
        self.model.latents = latents
        try:
            return super().step()
        finally:
            del self.model.latents


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
    one = of_kind(Interrupted)
    one.signum, one.when = signum, when
    run = new_run(tmp_path / "run")
    fit(one, TOTAL, run)
    assert one.steps_done == when
    assert current() == handlers

    other = trainer(seed=9)
    other.load_state(*checkpoint(run))
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


# --- The files of the nets ------------------------------------------------------------------------


def with_nets(*names: str) -> type[Small]:
    class Named(Small):
        name = "small"

        def __init__(self) -> None:
            super().__init__()
            for name in names:
                setattr(self, name, nn.Linear(2, 2))

    return Named


def test_each_net_is_a_file_under_its_own_name(tmp_path: Path) -> None:
    class Twice(with_nets("encoder", "g_average")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rate, self.scale = 0.5, mg.tensor([1.0])

    one, run = trainer(kind=Twice), new_run(tmp_path / "run")
    fit(one, 1, run)
    files = {p.stem for p in run.path.glob("*.safetensors")}
    nets = {"generator", "discriminator", "encoder", "g_average"}
    assert files == nets | {"checkpoint", "checkpoint.previous"}
    for net in nets:
        fresh = getattr(Twice(), net)
        assert run.load_weights(net, fresh)["rate"] == 0.5
        ours, theirs = (m.state_dict() for m in (getattr(one.model, net), fresh))
        assert {k: v.numpy().tobytes() for k, v in ours.items()} == {
            k: v.numpy().tobytes() for k, v in theirs.items()
        }


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("checkpoint",), "attribute checkpoint cannot be written beside checkpoint.safetensors"),
        (("Checkpoint",), "attribute Checkpoint cannot be written beside checkpoint.safetensors"),
        (("g", "G"), "attribute G cannot be written beside g.safetensors"),
        (("Generator",), "attribute Generator cannot be written beside generator.safetensors"),
    ],
)
def test_nets_whose_files_would_be_one_are_refused_before_the_first_step(
    names: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    one, run = trainer(kind=with_nets(*names)), new_run(tmp_path / "run")
    with pytest.raises(ValueError, match=rf"{told}, .*; give it another name$"):
        fit(one, 1, run)
    assert one.steps_done == 0 and not run.has_checkpoint


# --- What fit shows -------------------------------------------------------------------------------


def test_fit_shows_losses_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    fit(trainer(), 10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\r" not in captured.err
    last = captured.err.splitlines()[-1]
    assert re.match(r"^ *100%\|.*\| 10/10 \[", last) and "d_loss=" in last and "g_loss=" in last


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
