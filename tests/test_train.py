"""`minigan.train`, for a notebook: any data, any GAN, a class of one's own; the command's bytes."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from commands import assert_same_runs, content, minigan, refused
from PIL import Image

import minigan as mg
from minigan import console, data, nn, plotting
from minigan.checkpoint import DamagedFileError, ForeignFileError, Run, load_tensors
from minigan.models import DCGAN, GAN, MLPGAN, MaxoutGAN
from minigan.runs import WriteError
from minigan.training import DivergedError

pytestmark = pytest.mark.usefixtures("own_folder")

Images = np.ndarray
PREVIOUS = ("checkpoint.previous.safetensors",)


class LeastSquares(GAN):
    """A learner's own: nets in three lines, the step of Mao et al. 2017 in eight."""

    epochs, batch_size = 1, 50

    def __init__(self, lr: float = 1e-3, shape: tuple[int, ...] = (1, 28, 28)):
        self.latent_dim, pixels = 8, math.prod(shape)
        self.generator = nn.Sequential(nn.Linear(8, pixels), nn.Tanh(), nn.Unflatten(1, shape))
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 1))
        self.d_optimizer = mg.optim.Adam(self.discriminator.parameters(), lr)
        self.g_optimizer = mg.optim.Adam(self.generator.parameters(), lr)

    def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
        real, _ = next(data)
        D, fake = self.discriminator, self.generator(self.latents(len(real)))
        d_loss = ((D(real) - 1) ** 2).mean() + (D(fake.detach()) ** 2).mean()
        self.d_optimizer.minimize(d_loss)
        g_loss = ((D(fake) - 1) ** 2).mean()
        self.g_optimizer.minimize(g_loss)
        return {"d_loss": d_loss, "g_loss": g_loss}


@pytest.fixture
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second per run, where nobody looks at them."""
    monkeypatch.setattr(plotting, "save_curves", lambda *_: None)


quick = pytest.mark.usefixtures("_no_curves")


@pytest.fixture(scope="module")
def images(digits: Path) -> Images:
    found: Images = data.as_images(data.load(str(digits))[0])
    return found


def fresh(lr: float = 1e-3) -> LeastSquares:
    """The same weights every time."""
    mg.manual_seed(0)
    return LeastSquares(lr)


def arrays(run: Path) -> dict[str, bytes]:
    found, _ = load_tensors(run / "checkpoint.safetensors")
    return {name: array.tobytes() for name, array in found.items()}


# --- A class of one's own -------------------------------------------------------------------------


def test_a_gan_of_ones_own_is_trained_resumed_and_drawn(images: Images, tmp_path: Path) -> None:
    whole = mg.train(fresh(), images, steps=6, seed=0, out="whole")
    assert (whole.path, whole.steps, whole.finished) == (Path("whole"), 6, True)
    assert [row["step"] for row in whole.rows] == [4, 6]
    assert list(whole.rows[0]) == [
        "step", "epoch", "d_loss", "g_loss", "d_grad_norm", "g_grad_norm",
    ]  # fmt: skip
    assert np.isfinite([list(row.values()) for row in whole.rows]).all()
    assert set(content(Path("whole"))) == {
        "config.json", "history.csv", "timing.csv", "checkpoint.safetensors", "curves.png",
        "checkpoint.previous.safetensors", "generator.safetensors", "discriminator.safetensors",
        "training.gif", *(f"samples/epoch_000{i}.png" for i in range(3)),
    }  # fmt: skip

    mg.train(fresh(), images, steps=3, seed=0, out="parts")
    resumed = mg.train(fresh(), images, steps=6, out="parts", resume=True)
    assert (resumed.steps, resumed.finished) == (3, True) and resumed.rows == whole.rows
    assert_same_runs(Path("whole"), Path("parts"), PREVIOUS)
    for drawn in (whole.model.sample(5, seed=1), resumed.model.sample(5, seed=1)):
        assert drawn.shape == (5, 1, 28, 28) and drawn.dtype == np.uint8
    assert (whole.model.sample(5, seed=1) == resumed.model.sample(5, seed=1)).all()
    assert (whole.model.sample(5, seed=1) != fresh().sample(5, seed=1)).any()

    config = json.loads(Path("whole/config.json").read_bytes())
    assert config["model"] == "LeastSquares" and config["data_shape"] == [200, 1, 28, 28]
    assert config["arguments"] == {
        "epochs": None, "steps": 6, "data": None, "batch_size": 50, "seed": 0,
        "hyperparameters": None,
    }  # fmt: skip
    assert config["values"]["d_optimizer.lr"] == 1e-3


@quick
def test_the_command_says_that_python_alone_knows_a_gan_of_ones_own(images: Images) -> None:
    mg.train(fresh(), images, steps=1, seed=0, out="runs/mlp")
    before = content(Path("runs/mlp"))
    for command in ("sample", "evaluate"):
        refused(minigan(command, "runs/mlp"), 2, "LeastSquares", "minigan.train(..., resume=True)")
    told = "the run was made with model 'LeastSquares', not 'mlp'"
    refused(minigan("train", "mlp", "--resume"), 2, told)
    assert content(Path("runs/mlp")) == before


# --- As the command -------------------------------------------------------------------------------


@quick
@pytest.mark.parametrize("model", ["mlp", "dcgan-half"])
def test_the_same_bytes_as_the_command(model: str, digits: Path, tmp_path: Path) -> None:
    minigan("train", model, "--data", digits, "--steps", "3", "--batch-size", "20", "--out", "a")
    mg.train(model, digits, steps=3, batch_size=20, seed=0, out="b")
    assert_same_runs(Path("a"), Path("b"))
    # Each goes on with the other's.
    mg.train(model, out="a", resume=True, steps=5)
    assert minigan("train", model, "--out", "b", "--resume", "--steps", "5").code == 0
    assert_same_runs(Path("a"), Path("b"))
    ended = mg.train(model, out="b", resume=True)
    assert ended.finished and ended.steps == 0 and [r["step"] for r in ended.rows] == [5]


@quick
def test_a_gan_as_the_name_it_has(digits: Path) -> None:
    """Its weights are those of its making; its run goes on by name, and a name's with a GAN."""
    named = mg.train("mlp", digits, steps=3, batch_size=20, seed=0, out="named")
    mg.manual_seed(0)
    given = mg.train(MLPGAN(), digits, steps=3, batch_size=20, seed=0, out="given")
    assert given.rows == named.rows and arrays(Path("given")) == arrays(Path("named"))
    assert minigan("sample", "given", "-o", "a.npz").code == 0
    assert minigan("sample", "named", "-o", "b.npz").code == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert minigan("train", "mlp", "--out", "given", "--resume", "--steps", "5").code == 0
    mg.train(MLPGAN(), digits, steps=5, out="named", resume=True)
    assert arrays(Path("given")) == arrays(Path("named"))


@quick
def test_a_gan_with_other_numbers_than_the_runs_is_refused(images: Images, digits: Path) -> None:
    mg.train("mlp", digits, steps=2, batch_size=20, seed=0, out="named")
    mg.train(MLPGAN(lr=0.01, loss="hinge"), digits, steps=2, batch_size=20, out="given")
    mg.train(fresh(), images, steps=2, out="own")
    before = content(Path())
    for out, model, told in (
        ("named", MLPGAN(lr=0.01), "began with d_optimizer.lr 0.0005, this model has 0.01"),
        ("named", MLPGAN(loss="hinge"), "began with game 'non_saturating', this model has 'hinge'"),
        ("named", MLPGAN(latent_dim=5), "began with latent_dim 64, this model has 5"),
        ("named", fresh(), "was made with model 'mlp', not 'LeastSquares'"),
        ("given", MLPGAN(loss="hinge"), "began with d_optimizer.lr 0.01, this model has 0.0005"),
        ("given", "mlp", "began with d_optimizer.lr 0.01, this model has 0.0005"),
        ("own", fresh(lr=0.1), "began with d_optimizer.lr 0.001, this model has 0.1"),
    ):
        with pytest.raises(ValueError, match=told):
            mg.train(model, images if out == "own" else None, steps=3, out=out, resume=True)
    result = minigan("train", "mlp", "--out", "given", "--resume", "--steps", "3")
    refused(result, 2, "the run began with d_optimizer.lr 0.01, this model has 0.0005")
    assert content(Path()) == before
    chosen = ("--set", "lr=0.01", "--loss", "hinge", "--steps", "3")
    assert minigan("train", "mlp", "--out", "given", "--resume", *chosen).code == 0


@quick
def test_a_gan_of_another_width_is_refused_and_nothing_changed(digits: Path) -> None:
    mg.train(DCGAN(width=8), digits, steps=1, batch_size=20, out="run")
    before = content(Path("run"))
    for again in (lambda: mg.train("dcgan", out="run", resume=True, steps=2),
                  lambda: mg.train(DCGAN(width=4), out="run", resume=True, steps=2)):  # fmt: skip
        with pytest.raises(ValueError, match=r"began with generator\.1\.unflattened_size \[16, "):
            again()
    other: Any = DCGAN(width=8)
    other.centre = mg.zeros(2)
    with pytest.raises(
        DamagedFileError, match="not this run's state.*DCGAN: the state lacks centre"
    ):
        mg.train(other, out="run", resume=True, steps=2)
    refused(minigan("sample", "run"), 1, "run/generator.safetensors: not the weights of this model")
    assert content(Path("run")) == before
    assert mg.train(DCGAN(width=8), out="run", resume=True, steps=2).steps == 1


@quick
def test_a_number_of_a_net_is_the_runs_and_nan_is_nan(images: Images) -> None:
    def made(p: float) -> Any:
        model: Any = DCGAN(width=4)
        model.discriminator.append(mg.nn.Dropout(p))
        model.best = float("nan")
        return model

    mg.train(made(0.25), images, steps=1, batch_size=20, out="run")
    with pytest.raises(
        ValueError, match=r"began with discriminator\.7\.p 0\.25, this model has 0\.5"
    ):
        mg.train(made(0.5), images, out="run", resume=True, steps=2)
    assert mg.train(made(0.25), images, out="run", resume=True, steps=2).steps == 1


@quick
def test_a_look_at_samples_before_a_run_makes_no_other_model(images: Images) -> None:
    looked_at = fresh()
    looked_at.sample(2)
    mg.train(looked_at, images, steps=1, batch_size=20, out="run")
    assert mg.train(fresh(), images, out="run", resume=True, steps=2).steps == 1


@quick
def test_a_gan_goes_on_in_the_session_in_which_it_was_trained(images: Images) -> None:
    """Although a schedule has changed its numbers meanwhile."""
    model, length = MaxoutGAN(), {"batch_size": 20, "out": "run"}
    mg.train(model, images, steps=2, seed=0, **length)
    assert model.g_optimizer.lr < 0.1
    mg.train(model, images, steps=4, resume=True, **length)
    with pytest.raises(ValueError, match=r"began with g_optimizer\.lr 0\.1, this model has 0\.05"):
        model.g_optimizer.lr = 0.05
        mg.train(model, images, steps=5, resume=True, **length)


# --- Data -----------------------------------------------------------------------------------------


@quick
def test_the_same_data_in_any_form(digits: Path) -> None:
    images, labels = data.load(str(digits))
    images = data.as_images(images)
    forms = (str(digits), digits, images, images[:, 0], (images, labels), (images, None),
             (images[:, 0], labels.tolist()))  # fmt: skip
    rows = [mg.train(fresh(), form, steps=5, seed=0).rows for form in forms]
    assert rows[0] and all(r == rows[0] for r in rows)


@quick
def test_labels_reach_the_batches(digits: Path) -> None:
    seen: list[Any] = []

    class Labelled(LeastSquares):
        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            batch = next(data)
            seen.append(batch.labels)
            return {"d_loss": (self.discriminator(batch.images) ** 2).mean()}

    images, labels = data.load(str(digits))
    mg.train(Labelled(), digits, epochs=1)
    assert sorted(np.concatenate(seen)) == sorted(labels)
    mg.train(Labelled(), images, steps=1)
    assert seen[-1] is None


@quick
def test_a_data_set_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    done = mg.train(fresh(), "mnist-mini", steps=2, out="run")
    assert done.trainer.data.per_epoch == 10_000 // 50
    err = capsys.readouterr().err
    assert "minigan: LeastSquares, mnist-mini: 10,000 images, steps 0 to 2, into run\n" in err
    mg.train(fresh(), steps=3, out="run", resume=True)  # the run has the name
    with pytest.raises(ValueError, match="was made with data 'mnist-mini', not 'mnist'"):
        mg.train(fresh(), "mnist", steps=3, out="run", resume=True)


@quick
def test_a_run_on_arrays_is_resumed_with_the_same_ones(images: Images, digits: Path) -> None:
    labels = data.load(str(digits))[1]
    mg.train("mlp", (images, labels), steps=1, batch_size=20, seed=0, out="run")
    before = content(Path("run"))
    for other in (images[::-1], (images, labels[::-1])):
        with pytest.raises(ValueError, match="run was trained on other data"):
            mg.train("mlp", other, steps=2, out="run", resume=True)
    with pytest.raises(ValueError, match="there are no data: give a name, a folder, or images"):
        mg.train("mlp", steps=2, out="run", resume=True)
    for command in ("train mlp --resume --out run --steps 2", "evaluate run"):
        refused(minigan(*command.split()), 2, "data" if "train" in command else "no name leads to")
    assert content(Path("run")) == before
    mg.train("mlp", (images[:, 0], labels), steps=2, out="run", resume=True)
    mg.train("mlp", digits, steps=3, out="run", resume=True)  # the same, from files


# --- Length, seed and what is written -------------------------------------------------------------


@quick
def test_length_and_size_of_batches(images: Images) -> None:
    for given, steps in (
        ({}, 4),  # an epoch of batches of 50, as the class says
        ({"epochs": 2}, 8),
        ({"steps": 3}, 3),
        ({"batch_size": 100}, 2),
        ({"epochs": np.int64(1), "batch_size": np.uint8(40), "seed": np.int32(1)}, 5),
    ):
        ended = mg.train(fresh(), images, **given)
        assert ended.steps == ended.trainer.steps_done == ended.rows[-1]["step"] == steps
        assert ended.finished and ended.path is None


@quick
def test_a_seed_starts_all_streams_and_none_goes_on_with_them(images: Images) -> None:
    one, same = (mg.train("mlp", images, steps=2, seed=4, batch_size=20).rows for _ in range(2))
    assert one == same
    mg.manual_seed(4)
    assert mg.train("mlp", images, steps=2, batch_size=20).rows == one
    assert mg.train("mlp", images, steps=2, batch_size=20).rows != one
    mg.manual_seed(5)
    assert mg.train("mlp", images, steps=2, batch_size=20, seed=4).rows == one
    mg.manual_seed(4)
    model = MLPGAN()
    mg.manual_seed(5)  # a GAN keeps its weights
    assert mg.train(model, images, steps=2, batch_size=20, seed=4).rows == one


@quick
def test_without_a_seed_a_run_resumes_to_the_same_bytes_too(images: Images) -> None:
    mg.manual_seed(7)
    mg.train("mlp", images, steps=4, batch_size=20, out="whole")
    mg.manual_seed(7)
    mg.train("mlp", images, steps=2, batch_size=20, out="parts")
    mg.manual_seed(99)
    mg.train("mlp", images, steps=4, out="parts", resume=True)
    assert_same_runs(Path("whole"), Path("parts"), PREVIOUS)


#: A call, in a process that says what it opens for writing, makes, renames or links.
WATCHED = """
import os, sys
import minigan
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def watch(event, details):
    if event == "open" and details[2] & writing or event in ("os.mkdir", "os.rename", "os.link"):
        print("wrote:", details)
sys.addaudithook(watch)
done = minigan.train("mlp", "mnist-mini", steps=60, batch_size=20)
print(done.path, [row["step"] for row in done.rows])
"""


@pytest.mark.on_the_host("starts a process of its own")
@pytest.mark.slow
def test_without_out_nothing_is_written_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED], capture_output=True, text=True, check=True
    )
    assert done.stdout == "None [50, 60]\n"
    assert list(tmp_path.iterdir()) == [] and "Warning" not in done.stderr


@quick
def test_a_training_is_short_to_print(images: Images) -> None:
    assert repr(mg.train(fresh(), images)) == "Training(path=None, steps=4, finished=True)"


# --- Mistakes -------------------------------------------------------------------------------------

ONE = np.zeros((8, 1, 28, 28), "uint8")
MISTAKES: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "no model": (TypeError, "model must be a name or a GAN, got int", {"model": 3}),
    "a class": (TypeError, "model must be a name or a GAN, got type", {"model": MLPGAN}),
    "another name": (ValueError, "no model 'mpl', expected one of mlp, dcgan", {"model": "mpl"}),
    "no data": (ValueError, "no data: give a name, a folder, or images", {"data": None}),
    "another data set": (ValueError, "cifar.*mnist, mnist-mini", {"data": "cifar"}),
    "a list": (TypeError, r"data must be a name, .* or the pair .*, got a list", {"data": [ONE]}),
    "three": (TypeError, "the pair .*, got a tuple", {"data": (ONE, None, None)}),
    "a number": (TypeError, "data must be a name, a folder, .*, got a int", {"data": 3}),
    "labels too few": (ValueError, r"labels must .* \(8,\), .*\(3,\)", {"data": (ONE, [1, 2, 3])}),
    "one-hot": (ValueError, r"labels must .* \(8, 10\)", {"data": (ONE, np.zeros((8, 10), int))}),
    "real labels": (TypeError, "labels must be integers, got f", {"data": (ONE, np.zeros(8))}),
    "epochs 0": (ValueError, "epochs must be a positive integer, got 0", {"epochs": 0}),
    "epochs 1.5": (TypeError, "epochs must be a positive integer, got 1.5", {"epochs": 1.5}),
    "steps -1": (ValueError, "steps must be a positive integer, got -1", {"steps": -1}),
    "steps True": (TypeError, "steps must be a positive integer, got True", {"steps": True}),
    "both": (ValueError, "epochs and steps both say how long", {"epochs": 1, "steps": 1}),
    "batch of 1": (ValueError, "batch_size must be an integer >= 2, got 1", {"batch_size": 1}),
    "batch of '8'": (TypeError, "batch_size must be an .*, got '8'", {"batch_size": "8"}),
    "batch of 9": (ValueError, "between 2 and the 8 images, got 9", {"batch_size": 9}),
    "seed -1": (ValueError, "seed must be an integer >= 0, got -1", {"seed": -1}),
    "seed 0.0": (TypeError, "seed must be an integer >= 0, got 0.0", {"seed": 0.0}),
    "out 3": (TypeError, "out must be the path of a directory, got 3", {"out": 3}),
    "no name": (ValueError, "out must be the path of a directory, got no name", {"out": ""}),
    "a file": (FileExistsError, "a file", {"out": __file__}),
    "resume what": (ValueError, "resume needs out", {"resume": True}),
    "resume 1": (TypeError, "resume must be True or False, got 1", {"resume": 1, "out": "run"}),
    "no run": (FileNotFoundError, "run holds no run", {"resume": True, "out": "run"}),
}


@pytest.mark.on_the_host("looks at arguments")
@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_sentence(case: str, tmp_path: Path) -> None:
    expected, told, wrong = MISTAKES[case]
    given = {"model": "mlp", "data": ONE, "batch_size": 4, "out": "new", "resume": False} | wrong
    if case == "resume what":
        del given["out"]
    if "steps" not in given:
        given.setdefault("epochs", 1)
    before = mg.backend.rng_state()
    with pytest.raises(expected, match=told) as caught:
        mg.train(given.pop("model"), **given)
    assert type(caught.value) is expected and str(caught.value).count("\n") == 0
    assert list(tmp_path.iterdir()) == []
    if case not in ("batch of 9", "a file"):  # found out with the model in hand
        assert mg.backend.rng_state() == before


@quick
def test_a_runs_arguments_are_its_own(images: Images) -> None:
    mg.train("mlp", images, steps=2, batch_size=20, seed=3, out="run")
    before = content(Path("run"))
    for given, told in (
        ({"seed": 4}, "made with seed 3, not 4"),
        ({"batch_size": 21}, "made with batch_size 20, not 21"),
        ({"steps": 1}, "made for 2 steps, and 1 are fewer"),
        ({"epochs": 9}, "counts steps; give a larger number of steps"),
    ):
        with pytest.raises(ValueError, match=told):
            mg.train("mlp", images, out="run", resume=True, **given)
    with pytest.raises(FileExistsError, match="run exists and is not empty"):
        mg.train("mlp", images, batch_size=20, out="run")
    assert content(Path("run")) == before


@quick
def test_attributes_that_would_be_lost_are_refused_before_anything_is_written(
    images: Images, tmp_path: Path
) -> None:
    model = fresh()
    model.nets = [nn.Linear(2, 2)]  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"LeastSquares\.nets is a list, .* ModuleList"):
        mg.train(model, images, out="run")
    assert list(tmp_path.iterdir()) == []


# --- Runs that do not come to their end -----------------------------------------------------------


@pytest.mark.parametrize("name", ["d_loss", "g_loss"])
@quick
def test_divergence_says_when_what_and_where_the_last_good_state_is(
    name: str, images: Images
) -> None:
    class Spoilt(LeastSquares):
        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            losses = {}
            for player in ("discriminator", "generator"):
                real, _ = next(data)
                key, fake = f"{player[0]}_loss", self.generator(self.latents(len(real)))
                factor = math.nan if (t, key) == (2, name) else 1.0
                losses[key] = self.discriminator(fake).mean() * factor
                getattr(self, f"{player[0]}_optimizer").minimize(losses[key])
            return losses

    with pytest.raises(DivergedError, match=rf"^at step 3, {name} is not finite, nor") as caught:
        mg.train(Spoilt(), images, epochs=2, out="run")
    assert str(caught.value).endswith("; run/checkpoint.safetensors is the last good checkpoint")
    tensors, info, _ = Run.open(Path("run")).load_checkpoint()
    assert info["steps_done"] == 0 and all(np.isfinite(x).all() for x in tensors.values())
    with pytest.raises(DivergedError) as caught:
        mg.train(Spoilt(), images, epochs=2)
    assert "checkpoint" not in str(caught.value)


@quick
def test_a_stop_ends_a_run_after_a_step_and_it_goes_on(images: Images) -> None:
    """As the stop button of a notebook does it, by SIGINT, while the kernel is in the call."""

    class Stopped(LeastSquares):
        name = "LeastSquares"
        at: ClassVar[int] = 2

        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            if t == self.at:
                signal.raise_signal(signal.SIGINT)
            return super().step(data, t)

    handler = signal.getsignal(signal.SIGINT)
    mg.train(fresh(), images, epochs=2, seed=0, out="whole")
    mg.manual_seed(0)
    ended = mg.train(Stopped(), images, epochs=2, seed=0, out="run")
    assert (ended.finished, ended.steps, ended.path) == (False, 3, Path("run"))
    assert signal.getsignal(signal.SIGINT) is handler
    assert not Path("run/training.gif").exists() and ended.rows == []
    Stopped.at = 5
    ended = mg.train(ended.model, images, out="run", resume=True)
    assert (ended.finished, ended.steps) == (False, 3) and ended.trainer.steps_done == 6
    assert mg.train(fresh(), images, out="run", resume=True).finished
    assert_same_runs(Path("whole"), Path("run"), PREVIOUS)
    Stopped.at = 0
    ended = mg.train(Stopped(), images, epochs=2)  # where nothing is written
    assert (ended.finished, ended.steps, ended.rows) == (False, 1, [])


@quick
def test_a_stop_while_the_curves_are_drawn(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plotting, "save_curves", interrupt)
        ended = mg.train(fresh(), images, out="run")
    assert not ended.finished and ended.steps == 4 and [r["step"] for r in ended.rows] == [4]
    assert mg.train(fresh(), images, out="run", resume=True).finished
    assert Path("run/training.gif").exists()


@quick
def test_a_full_disk_names_the_file(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    class Full(LeastSquares):
        name = "LeastSquares"

        def step(self, data: Any, t: int) -> dict[str, mg.Tensor]:
            patch.setattr(os, "fsync", full)
            return super().step(data, t)

    with (
        monkeypatch.context() as patch,
        pytest.raises(WriteError, match=r"^run/.*: No space left on device$"),
    ):
        mg.train(Full(), images, out="run")
    assert mg.train(fresh(), images, out="run", resume=True).finished


def test_a_run_of_the_first_edition_is_told_from_a_damaged_one(images: Images) -> None:
    run = Path("runs/mlp")
    run.mkdir(parents=True)
    (run / "config.json").write_text(
        '{"format": 2, "model": "mlp", "arguments": {"model": "mlp", "loss": "non_saturating", '
        '"data": "mnist-mini", "epochs": null, "steps": 1, "batch_size": 128, "lr": 0.0005, '
        '"seed": 0}, "backend": "numpy", "data_images": 10000, "sha256": "0"}\n'
    )
    before = content(run)
    told = "runs/mlp/config.json: format 2, this minigan reads format 3; use the version"
    for command in ("train mlp --resume", "sample runs/mlp", "evaluate runs/mlp"):
        refused(minigan(*command.split()), 1, told)
    with pytest.raises(ForeignFileError, match=told):
        mg.train("mlp", images, out=run, resume=True)
    assert content(run) == before


# --- In a notebook --------------------------------------------------------------------------------


class Display:
    """What IPython.display.display does with an id: a place whose picture is replaced."""

    def __init__(self) -> None:
        self.places: list[list[Any]] = []

    def display(self, thing: Any, display_id: bool = False) -> Any:
        assert display_id
        place = [thing]
        self.places.append(place)
        return SimpleNamespace(update=place.append)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Display]:
    """A kernel as far as anybody asks: see the tests of the progress bar."""
    screen = Display()
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", screen)  # type: ignore[arg-type]
    monkeypatch.setattr(console, "auto_tqdm", console.plain_tqdm)  # which needs no widgets
    yield screen


@quick
@pytest.mark.parametrize("out", [None, "run"])
def test_a_notebook_shows_pictures_in_one_place(
    out: str | None, images: Images, shown: Display
) -> None:
    mg.train(fresh(), images, steps=10, seed=0, out=out)
    (pictures,) = shown.places  # before the first step, after two epochs, and at the end
    assert len(pictures) == 4
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert all(isinstance(picture, Image.Image) for picture in pictures)
    if out:
        for i, picture in enumerate(pictures):
            with Image.open(f"run/samples/epoch_{i:04d}.png") as saved:
                assert saved.tobytes() == picture.tobytes()
        mg.train(fresh(), images, steps=13, out=out, resume=True)
        assert [len(pictures) for pictures in shown.places] == [4, 2]  # each call has its own


@quick
def test_elsewhere_nothing_is_shown_or_drawn(
    images: Images, shown: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = SimpleNamespace(get_ipython=lambda: SimpleNamespace())  # IPython's, without a kernel
    monkeypatch.setattr(LeastSquares, "preview", lambda _: pytest.fail("it was drawn"))
    for ipython in (terminal, SimpleNamespace(get_ipython=lambda: None), None):
        monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
        assert mg.train(fresh(), images).finished
    assert shown.places == []


# --- In colour ------------------------------------------------------------------------------------

PIXELS = (3, 32, 32)


@pytest.fixture(scope="module")
def colours() -> Images:
    """Pictures with a bright disc, red, green or blue, each in a place of its own."""
    rng = np.random.default_rng(0)
    across, down = np.meshgrid(np.arange(32), np.arange(32))
    pictures = rng.integers(0, 40, (60, *PIXELS)).astype("uint8")
    for i, (x, y) in enumerate(rng.integers(8, 24, (60, 2))):
        pictures[i, i % 3][(across - x) ** 2 + (down - y) ** 2 < 49] = 250
    return pictures


def is_coloured(image: Image.Image) -> bool:
    red, green, blue = np.asarray(image.convert("RGB")).astype(int).transpose(2, 0, 1)
    return bool((abs(red - green) > 8).any() and (abs(green - blue) > 8).any())


@pytest.mark.on_the_host("looks at pictures; the models have tests on both")
@quick
@pytest.mark.parametrize("model", [LeastSquares, "mlp", "dcgan"])
def test_pictures_in_colour(model: Any, colours: Images, shown: Display) -> None:
    for out, lengths in (("whole", [4]), ("parts", [2, 4])):
        for steps in lengths:
            mg.manual_seed(0)
            made = model if isinstance(model, str) else model(shape=PIXELS)
            resume = Path(out).exists()
            ended = mg.train(
                made, colours, steps=steps, batch_size=20, seed=0, out=out, resume=resume
            )
            assert ended.finished
    assert_same_runs(Path("whole"), Path("parts"), PREVIOUS)
    drawn = ended.model.sample(5, seed=1)
    assert drawn.shape == (5, *PIXELS) and drawn.dtype == np.uint8
    for name in ("samples/epoch_0000.png", "samples/epoch_0002.png"):
        with Image.open(Path("whole", name)) as grid:
            assert grid.mode == "RGB" and grid.size == (3 * (8 * 34 + 2), 3 * (8 * 34 + 2))
            assert is_coloured(grid)
    with Image.open("whole/training.gif") as gif:
        gif.seek(gif.n_frames - 1)
        assert gif.n_frames == 3 and is_coloured(gif)
    assert all(picture.mode == "RGB" for place in shown.places for picture in place)
    if isinstance(model, str):
        assert minigan("sample", "whole", "-n", "4", "-o", "x.npz").code == 0
        with np.load("x.npz") as file:
            assert (file["images"] == ended.model.sample(4, seed=0)).all()
        assert minigan("sample", "whole", "-n", "4", "-o", "x.png").code == 0
        with Image.open("x.png") as grid:
            assert grid.mode == "RGB"


@pytest.mark.on_the_host("reads files; the model has tests on both")
@quick
def test_a_folder_of_pictures_in_colour(colours: Images) -> None:
    """The command reads it; its run is that of the same pictures in an array."""
    for i, picture in enumerate(colours):
        Path("discs", "rgb"[i % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.transpose(1, 2, 0)).save(f"discs/{'rgb'[i % 3]}/{i:02}.png")
    length = ("--steps", "2", "--batch-size", "20")
    result = minigan("train", "dcgan", "--data", "discs", "--set", "width=8", *length)
    assert result.code == 0 and "60 images, steps 0 to 2, into runs/dcgan" in result.err
    config = json.loads(Path("runs/dcgan/config.json").read_bytes())
    assert config["data_shape"] == [60, 3, 32, 32]
    assert config["arguments"]["data"] == str(Path("discs").absolute())

    by_class = np.concatenate([colours[2::3], colours[1::3], colours[0::3]])  # b, g, r
    mg.manual_seed(0)
    model = DCGAN(width=8, shape=PIXELS)
    mg.train(model, (by_class, [0] * 20 + [1] * 20 + [2] * 20), steps=2, batch_size=20, seed=0,
             out="array")  # fmt: skip
    assert arrays(Path("array")) == arrays(Path("runs/dcgan"))
    assert minigan("train", "dcgan", "--resume", "--steps", "3").code == 0
    assert minigan("sample", "runs/dcgan", "-o", "x.png").code == 0
    with Image.open("x.png") as grid:
        assert grid.mode == "RGB"
    refused(minigan("evaluate", "runs/dcgan", "--samples", "10"), 2)


@quick
def test_a_size_that_a_model_cannot_draw(tmp_path: Path) -> None:
    pictures = np.zeros((8, 3, 30, 30), "uint8")
    with pytest.raises(
        ValueError, match=r"divisible by 4, got \(3, 30, 30\); dcgan has latent_dim = "
    ):
        mg.train("dcgan", pictures, batch_size=4, out="run")
    assert list(tmp_path.iterdir()) == []
