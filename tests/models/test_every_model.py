"""What every model of MODELS promises, whatever its algorithm: one suite, a row for each model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import minigan
from strict_backend import counts, strict

import minigan as mg
from minigan import backend
from minigan.checkpoint import Run, load_tensors
from minigan.models import GAN, MODELS, hyperparameters
from minigan.models.gan import discriminator_step, generator_step
from minigan.nn import Module
from minigan.optim import Optimizer
from minigan.training import DivergedError, Trainer

pytestmark = pytest.mark.on_the_host("chooses its array libraries itself, and runs commands")
every_model = pytest.mark.parametrize("name", MODELS)

N, BATCH = 40, 8
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (N, 1, 28, 28), dtype="uint8")
LABELS = rng.integers(0, 10, N, dtype="uint8")
DATA = (IMAGES, LABELS)


def made(name: str, seed: int = 0) -> Trainer:
    mg.manual_seed(seed)
    model = MODELS[name]()
    return Trainer(model, model.batches(IMAGES, LABELS, BATCH))


def files(path: Path) -> dict[str, Any]:
    """What a run has learned and told: the nets' and the checkpoint's content, its history."""
    tensors = {p.name: load_tensors(p) for p in sorted(path.glob("*.safetensors"))}
    tensors.pop("checkpoint.previous.safetensors", None)
    content = {
        (file, name): (array.dtype.str, array.shape, array.tobytes())
        for file, (arrays, _) in tensors.items()
        for name, array in arrays.items()
    }
    return {**content, "history.csv": (path / "history.csv").read_bytes()}


# --- The step -------------------------------------------------------------------------------------


@every_model
def test_a_step_moves_every_net_and_measures_its_losses(name: str) -> None:
    trainer = made(name)
    model = trainer.model
    before = {
        net: {k: v.numpy() for k, v in module.named_parameters()}
        for net, module in model.parts(Module).items()
    }
    first = trainer.step()
    for _ in range(3):
        assert list(trainer.step()) == list(first)
    optimizers = model.parts(Optimizer)
    assert optimizers
    for optimizer in optimizers:
        assert optimizer.removesuffix("_optimizer") + "_loss" in first
    for net, module in model.parts(Module).items():
        moved = [
            not np.array_equal(before[net][k], p.numpy()) for k, p in module.named_parameters()
        ]
        assert all(moved), net
    assert all(t.shape == () and math.isfinite(t.item()) for t in first.values())


@every_model
def test_the_columns_of_history(name: str, tmp_path: Path) -> None:
    run = mg.train(name, DATA, steps=3, batch_size=BATCH, seed=0, out=tmp_path / "run")
    measured = list(made(name).step())
    norms = [f"{k.removesuffix('_optimizer')}_grad_norm" for k in run.model.parts(Optimizer)]
    assert list(run.rows[-1]) == ["step", "epoch", *measured, *norms]
    assert run.rows == Run.open(tmp_path / "run").rows("history.csv")


@every_model
def test_a_state_holds_everything(name: str) -> None:
    """A model that takes over another's state goes on as the other does, to the last bit."""
    one = made(name, seed=0)
    one.step()
    arrays, info = one.state()
    arrays, info = {k: v.copy() for k, v in arrays.items()}, json.loads(json.dumps(info))
    rows = [one.fetch(one.step()) for _ in range(7)]
    other = made(name, seed=1)
    other.step()
    other.load_state(arrays, info)
    assert [other.fetch(other.step()) for _ in range(7)] == rows
    mine, theirs = one.state(), other.state()
    assert mine[1] == theirs[1]
    assert {k: v.tobytes() for k, v in mine[0].items()} == {
        k: v.tobytes() for k, v in theirs[0].items()
    }


@every_model
def test_a_step_fetches_nothing_from_the_device(name: str) -> None:
    with backend.using_backend(strict):
        trainer = made(name)
        trainer.step()
        counts.clear()
        for _ in range(4):
            trainer.step()
        assert (counts["downloads"], counts["syncs"]) == (0, 0)
        assert counts["uploads"] > 0


# --- Runs -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Nobody catches it, as nobody catches a signal that kills."""


@every_model
def test_the_same_seed_gives_the_same_bytes_however_the_run_was_cut(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(out: str, **arguments: Any) -> Any:
        return mg.train(name, DATA, batch_size=BATCH, out=tmp_path / out, **arguments)

    whole = train("whole", steps=12, seed=3)
    assert list(whole.path.glob("samples/*.png"))
    train("cut", steps=4, seed=3)
    step = MODELS[name].step

    def killed(model: GAN, data: Any, t: int) -> Any:
        if t == 8:
            raise Killed
        return step(model, data, t)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MODELS[name], "step", killed)
        train("cut", steps=12, resume=True)
    cut = train("cut", steps=12, resume=True)
    assert cut.finished and files(cut.path) == files(whole.path)
    for epoch in range(3):
        picture = Path("samples", f"epoch_{epoch:04d}.png")
        assert (cut.path / picture).read_bytes() == (whole.path / picture).read_bytes()
    other = train("other", steps=12, seed=4)
    assert files(other.path) != files(whole.path)


@every_model
def test_a_model_object_trains_as_its_name_does(name: str, tmp_path: Path) -> None:
    by_name = mg.train(name, DATA, steps=3, batch_size=BATCH, seed=5)
    mg.manual_seed(5)
    by_object = mg.train(MODELS[name](), DATA, steps=3, batch_size=BATCH)
    # The model drew its weights from the stream "init" alone: others begin as they do by name.
    assert by_object.rows == by_name.rows


@every_model
def test_divergence_names_the_first_cause(name: str) -> None:
    (first, *_) = MODELS[name]().parts(Optimizer)
    trainer = made(name)
    optimizer = getattr(trainer.model, first)
    trainer.step()
    last = optimizer.params[-1]
    last.copy_(np.full(last.shape, np.nan, "float32"))
    measured = trainer.step()
    with pytest.raises(DivergedError, match=r"^at step 2, \w+_loss is not finite"):
        trainer.fetch(measured)
    with pytest.raises(DivergedError, match="not finite"):
        mg.train(
            hyperparameters.build(MODELS[name], {"lr": 1e30}), DATA, steps=50, batch_size=BATCH
        )


# --- Pictures -------------------------------------------------------------------------------------


@every_model
def test_samples(name: str) -> None:
    model = made(name).model
    assert model.latents(3).numpy().dtype == "float32"
    digits = model.sample(5, seed=1)
    assert (digits.dtype, digits.shape) == (np.uint8, (5, 1, 28, 28))
    assert (
        digits.tobytes() == model.sample(5, seed=1).tobytes() != model.sample(5, seed=2).tobytes()
    )
    preview = model.preview()
    assert preview.dtype == np.uint8 and preview.shape[1:] == (1, 28, 28)
    assert preview.tobytes() == model.preview().tobytes()
    assert all(module.training for net in model.parts(Module).values() for module in net.modules())


@every_model
def test_the_commands_train_sample_and_evaluate_it(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"

    for command in (
        ("train", name, "--data", "mnist-mini", "--steps", "2", "--out", run),
        ("train", name, "--steps", "3", "--out", run, "--resume"),
        ("sample", run, "-n", "6", "-o", tmp_path / "grid.png"),
        ("sample", run, "-n", "6", "-o", tmp_path / "samples.npz"),
        ("evaluate", run, "--samples", "50"),
    ):
        result = minigan(*command)
        assert result.code == 0, result.err
    assert np.load(tmp_path / "samples.npz")["images"].shape == (6, 1, 28, 28)
    assert "clfFID" in result.out


# --- Twins ----------------------------------------------------------------------------------------


@every_model
def test_every_model_has_a_twin(name: str) -> None:
    twins = pytest.importorskip("twins")
    assert MODELS[name] in twins.TWINS


class Given:
    """A model's data, remembered and in float64, Tensors changed by ``convert``."""

    def __init__(self, data: Any, convert: Any):
        self.data, self.convert = data, convert

    def __next__(self) -> Any:
        return tuple(
            self.convert(part) if isinstance(part, mg.Tensor) else part for part in next(self.data)
        )

    def __getattr__(self, name: str) -> Any:  # epoch, seen
        return getattr(self.data, name)


def double(x: mg.Tensor) -> mg.Tensor:
    return mg.tensor(x.numpy().astype("float64"))


def beside(name: str, **chosen: Any) -> Iterator[tuple[str, Any, Any]]:
    """What two steps measured and where they led, with the twin's beside it."""
    from in_torch import tensor
    from twins import TWINS

    mg.manual_seed(0)
    model = hyperparameters.build(MODELS[name], chosen)
    data = model.batches(IMAGES, LABELS, BATCH)
    model.start(data)
    twin = TWINS[type(model)](model)
    for net in model.parts(Module).values():
        net.to("float64")
    place, streams = data.state(), backend.rng_state()

    latents = model.latents
    model.latents = lambda *a, **k: double(latents(*a, **k))
    ours = [model.step(Given(data, double), t) for t in range(2)]
    model.latents = latents

    data.load_state(place)
    backend.set_rng_state(streams)
    for t, measured in enumerate(ours):
        theirs = twin.step(Given(data, tensor), t)
        assert list(theirs) == list(measured)
        for column, value in theirs.items():
            yield f"{column} of step {t}", measured[column].numpy(), value.detach().numpy()
    for net, module in model.parts(Module).items():
        weights = getattr(twin, net).state_dict()
        for key, value in module.state_dict().items():
            yield f"{net}.{key}", value.numpy(), weights[key].detach().numpy()


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        *((name, {}) for name in MODELS),
        *(
            (name, {"loss": loss})
            for name in ("mlp", "dcgan-half")
            for loss in ("minimax", "least_squares", "hinge")
        ),
    ],
)
def test_two_steps_are_those_of_the_twin_in_pytorch(name: str, chosen: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    for what, ours, theirs in beside(name, **chosen):
        np.testing.assert_allclose(
            ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max(), err_msg=what
        )


def test_the_twin_sees_a_step_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: G is trained on latents that D has seen."""
    pytest.importorskip("torch")

    def step(self: GAN, data: Any, t: int) -> Any:
        real, _ = next(data)
        z, players = self.latents(len(real)), (self.generator, self.discriminator, self.game)
        measured = discriminator_step(*players, self.d_optimizer, real, z)
        return measured | generator_step(*players, self.g_optimizer, z)

    monkeypatch.setattr(MODELS["mlp"], "step", step)
    with pytest.raises(AssertionError):
        for what, ours, theirs in beside("mlp"):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=what)
