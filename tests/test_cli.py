"""The commands: what they leave behind, how they fail, and that a run repeats and resumes."""

import csv
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from commands import Result, assert_same_runs, content, idx, minigan, refused
from libraries import BOTH, use
from PIL import Image

from minigan import backend, cli, data, nn, plotting, runs
from minigan.checkpoint import Run, load_tensors
from minigan.console import say_once
from minigan.data import mnist
from minigan.models import MODELS, hyperparameters

pytestmark = pytest.mark.usefixtures("own_folder")

BATCH = 64
PER_EPOCH = 3  # 200 // 64


def train(out: Path, *arguments: str | Path) -> Result:
    result = minigan("train", "mlp", "--batch-size", str(BATCH), "--out", out, *arguments)
    assert result.code == 0, result.err
    return result


@pytest.fixture
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second per run, where nobody looks at them."""
    monkeypatch.setattr(plotting, "save_curves", lambda *_: None)


@pytest.fixture(scope="module")
def finished_on(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two epochs and two steps more, on each library that the tests run on."""
    runs = {}
    for library in BOTH:
        with pytest.MonkeyPatch.context() as patch:
            use(library, patch)
            out = runs[backend.name()] = tmp_path_factory.mktemp("finished") / "run"
            train(out, "--data", digits, "--steps", str(2 * PER_EPOCH + 2))
    return runs


@pytest.fixture
def finished(finished_on: dict[str, Path]) -> Path:
    return finished_on[backend.name()]


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


# --- What a run leaves ----------------------------------------------------------------------------


def test_files_of_a_run(finished: Path) -> None:
    assert set(content(finished)) == {
        "config.json",
        "history.csv",
        "timing.csv",
        "samples/epoch_0000.png",
        "samples/epoch_0001.png",
        "samples/epoch_0002.png",
        "samples/epoch_0003.png",
        "checkpoint.safetensors",
        "checkpoint.previous.safetensors",
        "generator.safetensors",
        "discriminator.safetensors",
        "curves.png",
        "training.gif",
    }


def test_config_says_how_to_repeat_the_run(finished: Path, digits: Path) -> None:
    config = json.loads((finished / "config.json").read_text())
    assert config["model"] == "mlp"
    assert config["arguments"] == {
        "epochs": None,
        "steps": 8,
        "data": str(digits),
        "batch_size": 64,
        "seed": 0,
        "hyperparameters": {"lr": 0.0005, "latent_dim": 64, "loss": "non_saturating"},
    }
    assert config["values"]["latent_dim"] == 64 and config["values"]["d_optimizer.lr"] == 0.0005
    assert config["backend"] == backend.name()
    assert config["versions"]["numpy"] == np.__version__
    assert set(config["versions"]) == {"minigan", "numpy", "python"}
    images, labels = data.load(digits)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert config["data_sha256"] == digest
    assert config["data_shape"] == [200, 1, 28, 28]


def test_history_has_no_clock_and_timing_has_it(finished: Path) -> None:
    with open(finished / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "step", "epoch", "d_loss", "d_real", "d_fake", "g_loss", "d_grad_norm", "g_grad_norm",
    ]  # fmt: skip
    assert [int(row["step"]) for row in rows] == [3, 6, 8]
    values = np.array([[float(value) for value in row.values()] for row in rows])
    assert np.isfinite(values).all() and (values[:, 3:5] > 0).all() and (values[:, 3:5] < 1).all()
    with open(finished / "timing.csv", newline="") as file:
        timing = list(csv.DictReader(file))
    assert [int(row["step"]) for row in timing] == [3, 6, 8]
    assert list(timing[0]) == ["step", "seconds", "rate"]


def test_pictures_of_a_run(finished: Path) -> None:
    pixels = []
    for i in range(4):
        with Image.open(finished / "samples" / f"epoch_{i:04d}.png") as image:
            assert image.size == (726, 726)  # 3 · (8 · 28 + 9 · 2)
            pixels.append(image.tobytes())
    assert len(set(pixels)) == 4
    with Image.open(finished / "training.gif") as gif:
        assert gif.n_frames == 4 and gif.info["loop"] == 0
    with Image.open(finished / "curves.png") as image:
        assert image.width > 600


def test_weights_carry_a_digest(finished: Path) -> None:
    for player, first in (("generator", (256, 64)), ("discriminator", (512, 784))):
        with safetensors.safe_open(finished / f"{player}.safetensors", framework="numpy") as file:
            assert len(json.loads(file.metadata()["minigan"])["sha256"]) == 64
            shapes = {name: file.get_tensor(name).shape for name in file.keys()}
        assert next(shape for shape in shapes.values() if len(shape) == 2 and shape == first)


def test_the_checkpoint_is_where_the_run_ended(finished: Path) -> None:
    tensors, info = load_tensors(finished / "checkpoint.safetensors")
    assert info["steps_done"] == 8
    weights, _ = load_tensors(finished / "generator.safetensors")
    for name, value in weights.items():
        assert tensors[f"generator.{name}"].tobytes() == value.tobytes()


#: The command, in a process that says what it opens for writing, makes, renames or links.
WATCHED = """
import os, sys
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def watch(event, details):
    if event == "open" and details[2] & writing or event in ("os.mkdir", "os.rename", "os.link"):
        os.write(2, f"wrote: {os.path.abspath(details[0])}\\n".encode())
sys.addaudithook(watch)
from minigan.cli import main
try:
    main()
finally:
    if "multiprocessing.synchronize" in sys.modules:
        os.write(2, b"wrote: a semaphore\\n")
"""


@pytest.mark.on_the_host("starts a process of its own")
@pytest.mark.slow
def test_a_run_writes_only_into_its_directory(tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir(), home.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, *"train mlp --data mnist-mini --steps 60".split()],
        cwd=work,
        env={k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "MPL"))}
        | {"HOME": str(home)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [str(p.relative_to(work)) for p in work.iterdir()] == ["runs"]
    assert [p.name for p in (work / "runs").iterdir()] == ["mlp"]
    assert list(home.iterdir()) == []
    lines = done.stderr.splitlines()
    written = [Path(line.removeprefix("wrote: ")) for line in lines if line.startswith("wrote: ")]
    out = work / "runs" / "mlp"
    assert len(written) > 20
    assert [p for p in written if out not in [p, *p.parents] and p != out.parent] == []
    assert done.stdout == "done: runs/mlp/samples/epoch_0001.png\n"
    assert "\r" not in done.stderr and "Warning" not in done.stderr
    assert [row["step"] for row in Run.open(out).rows("history.csv")] == [50, 60]


# --- Repeating and resuming -----------------------------------------------------------------------


@pytest.mark.slow
def test_two_runs_are_the_same_bytes(finished: Path, digits: Path, tmp_path: Path) -> None:
    train(tmp_path / "again", "--data", digits, "--steps", "8")
    assert_same_runs(finished, tmp_path / "again")


@pytest.mark.usefixtures("_no_curves")
def test_another_seed_gives_other_bytes(finished: Path, digits: Path, tmp_path: Path) -> None:
    train(tmp_path / "other", "--data", digits, "--steps", "8", "--seed", "1")
    one, other = content(finished), content(tmp_path / "other")
    for name in ("generator.safetensors", "history.csv", "samples/epoch_0000.png"):
        assert one[name] != other[name]


@pytest.mark.parametrize("loss", ["least_squares", "hinge"])
@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_a_run_of_the_games_on_scores(
    model: str, loss: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped and resumed to the same bytes; the curves are drawn as that game's."""
    drawn: list[Any] = []
    monkeypatch.setattr(plotting, "save_curves", lambda *given: drawn.append(given[2:]))
    size = ("--batch-size", "20") if model == "mlp" else ("--batch-size", "8")
    for name, parts in (("whole", ["4"]), ("parts", ["2", "4"])):
        for steps in parts:
            begun = (tmp_path / name).exists()
            start = ["--resume"] if begun else ["--data", digits, "--loss", loss, *size]
            result = minigan("train", model, "--out", tmp_path / name, "--steps", steps, *start)
            assert result.code == 0, result.err
    assert_same_runs(tmp_path / "whole", tmp_path / "parts", ("checkpoint.previous.safetensors",))
    with open(tmp_path / "whole" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "step", "epoch", "d_loss", "d_real", "d_fake", "g_loss", "d_grad_norm", "g_grad_norm",
    ]  # fmt: skip
    assert np.isfinite([[float(value) for value in row.values()] for row in rows]).all()
    at_rest = {"hinge": {}, "least_squares": {"d_loss": 0.5, "d_real": 0.5, "d_fake": 0.5}}
    assert len(drawn) == 3 and all(loss in title for title, _ in drawn)
    assert [references for _, references in drawn] == [at_rest[loss]] * 3
    assert minigan("sample", tmp_path / "whole", "-n", "4", "-o", "grid.png").code == 0


@pytest.mark.slow
def test_epochs_in_two_parts_are_epochs_in_one(digits: Path, tmp_path: Path) -> None:
    train(tmp_path / "whole", "--data", digits, "--epochs", "2", "--loss", "minimax")
    parts = tmp_path / "parts"
    train(parts, "--data", digits, "--epochs", "1", "--loss", "minimax")
    train(parts, "--resume", "--epochs", "2")
    # The checkpoint at the end of the shorter run was followed by none in the longer one.
    assert_same_runs(tmp_path / "whole", parts, ("checkpoint.previous.safetensors",))


@pytest.mark.slow
def test_steps_in_two_parts_are_steps_in_one(finished: Path, digits: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    train(parts, "--data", digits, "--steps", "5")
    train(parts, "--resume", "--steps", "8")
    # The row of step 5 is gone again; its checkpoint is the last one's predecessor.
    assert_same_runs(finished, parts, ("checkpoint.previous.safetensors",))


@pytest.mark.usefixtures("_no_curves")
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(
    finished: Path, copy: Path, digits: Path
) -> None:
    path = copy / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    result = train(copy, "--resume")
    assert "checkpoint.previous.safetensors" in result.err
    # Rows after that checkpoint were forgotten and written again.
    name = "history.csv"
    assert (copy / name).read_bytes() == (finished / name).read_bytes()
    name = "checkpoint.safetensors"
    assert (copy / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.on_the_host("goes from one library to the other")
@pytest.mark.usefixtures("_no_curves")
def test_a_run_goes_on_on_the_other_library_and_it_is_said(
    finished_on: dict[str, Path], tmp_path: Path
) -> None:
    results = []
    for made_on, library in (("numpy", "strict"), ("strict", "numpy")):
        out = Path(shutil.copytree(finished_on[made_on], tmp_path / library))
        with pytest.MonkeyPatch.context() as patch:
            use(library, patch)
            err = train(out, "--resume", "--steps", "10").err
        (said,) = [line for line in err.splitlines() if "made on" in line]
        assert f"made on {made_on}, this is {library}: the same draws, but other rounding" in said
        results.append((out / "generator.safetensors").read_bytes())
    assert results[0] == results[1]  # the stand-in is NumPy under another name


@pytest.mark.parametrize("name", ["generator.safetensors", "discriminator.safetensors"])
@pytest.mark.usefixtures("_no_curves")
def test_weights_are_written_again_from_the_checkpoint(
    name: str, finished: Path, copy: Path
) -> None:
    (copy / name).unlink()
    remedy = f"minigan train mlp --out {copy} --resume"
    refused(minigan("sample", copy), 1, name, f"To write it again: {remedy}")
    train(copy, "--resume")
    assert_same_runs(finished, copy)
    (copy / name).unlink()
    for checkpoint in copy.glob("checkpoint*"):
        checkpoint.unlink()
    refused(minigan("sample", copy), 2, name, "no such file")


def test_a_run_that_lost_its_checkpoints_is_not_started_over(copy: Path) -> None:
    for checkpoint in copy.glob("checkpoint*"):
        checkpoint.unlink()
    before = content(copy)
    refused(
        minigan("train", "mlp", "--out", copy, "--resume"), 1, "checkpoint.safetensors: missing"
    )
    assert content(copy) == before


@pytest.mark.slow
def test_a_picture_with_a_flipped_bit_is_left_out(copy: Path) -> None:
    path = copy / "samples" / "epoch_0001.png"
    picture = bytearray(path.read_bytes())
    picture[picture.index(b"IDAT") + 500] ^= 1
    path.write_bytes(picture)
    err = train(copy, "--resume").err
    assert f"minigan: {path}: damaged" in err and "left out of training.gif" in err
    with Image.open(copy / "training.gif") as gif:
        assert gif.n_frames == 3
    assert "MPLCONFIGDIR" not in os.environ


def test_where_matplotlib_keeps_its_files_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    with runs.matplotlib_in(tmp_path):
        assert Path(os.environ["MPLCONFIGDIR"]).parent == tmp_path
    assert os.environ["MPLCONFIGDIR"] == "mine" and list(tmp_path.iterdir()) == []


def test_a_history_changed_during_the_run_is_written_again(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = plotting.save_grid

    def interfere(images: Any, path: Path) -> None:
        drawn(images, path)
        if path.name == "epoch_0002.png":
            (tmp_path / "run" / "history.csv").write_text("tidy up")

    monkeypatch.setattr(plotting, "save_grid", interfere)
    err = train(tmp_path / "run", "--data", digits, "--epochs", "3").err
    assert "history.csv: was changed during the run" in err
    rows = Run.open(tmp_path / "run").rows("history.csv")
    assert [row["step"] for row in rows] == [PER_EPOCH, 2 * PER_EPOCH, 3 * PER_EPOCH]


def test_a_stop_before_the_run_began(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupt)
    result = minigan("train", "mlp")
    assert result.code == 130 and result.err.splitlines()[-1] == "minigan: stopped"


def test_two_damaged_checkpoints(copy: Path) -> None:
    for name in ("checkpoint.safetensors", "checkpoint.previous.safetensors"):
        (copy / name).write_bytes(b"garbage")
    before = content(copy)
    refused(minigan("train", "mlp", "--out", copy, "--resume"), 1, "checkpoint")
    assert content(copy) == before


def test_resuming_what_is_finished_changes_nothing_and_says_so(copy: Path) -> None:
    def files() -> dict[Path, tuple[int, bytes]]:
        paths = [path for path in copy.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    before = files()
    result = train(copy, "--resume")
    said = f"nothing to train, {copy} is already at step 8 of 8; go on with: minigan train mlp"
    assert result.out.startswith(f"{said} --out {copy} --resume") and result.err == ""
    assert result.out.endswith(" --steps 9, or more\n")
    assert files() == before
    assert "steps 8 to 9" in train(copy, "--resume", "--steps", "9").err


@pytest.mark.usefixtures("_no_curves")
def test_a_finished_run_in_epochs_goes_on_with_more_of_them(digits: Path, tmp_path: Path) -> None:
    train(tmp_path / "run", "--data", digits, "--epochs", "1")
    result = train(tmp_path / "run", "--resume", "--epochs", "1")
    assert "already at step 3 of 3" in result.out and "--epochs 2, or more\n" in result.out
    assert "done: " in train(tmp_path / "run", "--resume", "--epochs", "2").out


def test_resuming_what_is_finished_writes_what_is_missing(finished: Path, copy: Path) -> None:
    for name in ("curves.png", "training.gif", "history.csv"):
        (copy / name).unlink()
    train(copy, "--resume")
    assert_same_runs(finished, copy)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--lr", "0.1", "lr 0.0005"), ("--seed", "5", "seed 0"), ("--batch-size", "32", "64"),
     ("--loss", "minimax", "non_saturating"), ("--data", "mnist-mini", "data"),
     ("--steps", "7", "made for 8 steps"), ("--epochs", "9", "counts steps")],
)  # fmt: skip
def test_resuming_with_another_argument(option: str, value: str, told: str, copy: Path) -> None:
    before = content(copy)
    result = minigan("train", "mlp", "--out", copy, "--resume", option, value)
    refused(result, 2, told)
    assert content(copy) == before


@pytest.mark.usefixtures("_no_curves")
def test_resuming_with_the_same_arguments(copy: Path, digits: Path) -> None:
    train(copy, "--resume", "--lr", "0.0005", "--seed", "0", "--loss", "non_saturating",
          "--data", digits, "--steps", "8")  # fmt: skip


@pytest.mark.usefixtures("_no_curves")
def test_data_in_a_folder_are_found_from_another_one(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(digits, tmp_path / "mnist-mini")  # a name that is a data set's as well
    train(tmp_path / "run", "--data", "./mnist-mini", "--steps", "1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train(tmp_path / "run", "--resume", "--steps", "2")
    train(tmp_path / "run", "--resume", "--steps", "3", "--data", "../mnist-mini")
    monkeypatch.chdir(tmp_path)
    assert "10,000 images" in train(tmp_path / "set", "--data", "mnist-mini", "--steps", "1").err


@pytest.mark.usefixtures("_no_curves")
def test_resuming_with_other_data_in_the_same_folder(digits: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(digits, tmp_path / "digits"))
    out = tmp_path / "run"
    train(out, "--data", folder, "--steps", "1")
    _, labels = data.load(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(labels[::-1].copy()))
    before = content(out)
    result = minigan("train", "mlp", "--out", out, "--resume", "--steps", "2")
    refused(result, 2, "other data")
    assert content(out) == before


@pytest.mark.usefixtures("_no_curves")
def test_a_resumed_run_says_what_it_plays(digits: Path, tmp_path: Path) -> None:
    train(tmp_path / "run", "--data", digits, "--steps", "1", "--loss", "minimax")
    result = train(tmp_path / "run", "--resume", "--steps", "2")
    assert "minimax" in result.err and "non_saturating" not in result.err


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the first step", "in the first step"])
def test_a_run_stopped_before_its_first_step_is_done_can_be_resumed(
    moment: str, finished: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before there was one: nothing is lost but time, and no folder need be deleted."""
    out = tmp_path / "run"
    arguments = ("--batch-size", str(BATCH), "--data", digits, "--steps", "8", "--out", out)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "before the first step":
            patch.setattr(plotting, "save_grid", interrupt)
        else:
            patch.setattr(MODELS["mlp"], "step", interrupt)
        result = minigan("train", "mlp", *arguments)
        assert result.code == 130
    has_one = moment == "in the first step"
    assert Run.open(out).has_checkpoint == has_one
    said = "stopped and saved" if has_one else "stopped"
    assert result.out.startswith(f"{said} at step 0; go on with: minigan train mlp --out {out}")
    train(out, "--resume")
    assert_same_runs(finished, out)


@pytest.mark.on_the_host("starts a process of its own")
@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(finished: Path, digits: Path, tmp_path: Path) -> None:
    """A real process, a real signal."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "minigan", "train", "mlp", "--batch-size", str(BATCH),
               "--data", str(digits), "--out", str(out)]  # fmt: skip
    with subprocess.Popen(
        [*command, "--steps", "20000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            limit = time.monotonic() + 60
            while not (out / "checkpoint.safetensors").exists():
                assert process.poll() is None and time.monotonic() < limit
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in stderr and "KeyboardInterrupt" not in stderr
    steps = load_tensors(out / "checkpoint.safetensors")[1]["steps_done"]
    assert f"step {steps:,}" in stdout
    assert f"minigan train mlp --out {out} --resume" in stdout
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == []

    run = Run.open(out)
    assert run.config["arguments"]["steps"] == 20_000
    # It goes on to the bytes of a run that was never stopped: of a shorter one, which is quick.
    run.config["arguments"]["steps"] = steps + 2
    run.save_config()
    train(out, "--resume")
    whole = tmp_path / "whole"
    train(whole, "--data", digits, "--steps", str(steps + 2))
    assert_same_runs(whole, out, ("checkpoint.previous.safetensors",))


# --- Nothing is overwritten -----------------------------------------------------------------------


def test_an_existing_run_is_never_overwritten(copy: Path, digits: Path) -> None:
    before = content(copy)
    result = minigan("train", "mlp", "--data", digits, "--steps", "1", "--out", copy)
    refused(result, 2, str(copy), "--out", "--resume")
    assert content(copy) == before


def test_a_folder_with_other_things_is_left_alone(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    result = minigan("train", "mlp", "--data", digits, "--steps", "1", "--out", tmp_path / "mine")
    refused(result, 2, "mine")
    assert content(tmp_path / "mine") == {"notes.txt": b"mine"}


def test_out_is_a_file(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(minigan("train", "mlp", "--data", digits, "--steps", "1", "--out", "file"), 2, "file")
    refused(minigan("train", "mlp", "--out", "file", "--resume"), 2, "file")
    assert (tmp_path / "file").read_text() == "mine"


# --- Mistakes: exit 2 -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("train dcgna", ["mlp"]),
        ("train mlp --loss wasserstien", ["minimax", "non_saturating"]),
        *(
            (f"train {model} --loss wasserstein", [model, "bounds", "slope", "no minimum", "hinge"])
            for model in MODELS
        ),
        ("train mlp --data cifar", ["cifar", "mnist", "mnist-mini", "fashion-mnist", "folder"]),
        ("train mlp --backend cudy", ["numpy", "cupy", "auto"]),
        ("train mlp --epochs 1 --steps 1", ["epochs and steps both say how long; give one"]),
        ("train mlp --epochs 0", ["--epochs", "0"]),
        ("train mlp --steps -3", ["--steps", "-3"]),
        ("train mlp --batch-size 1", ["--batch-size", "1"]),
        ("train mlp --lr 0", ["--lr"]),
        ("train mlp --seed -1", ["--seed"]),
        ("train mlp --data mnist-mini --lr nan", ["lr", "nan"]),
        ("train mlp --data mnist-mini --lr inf", ["lr", "inf"]),
        ("train mlp --data mnist-mini --batch-size 10001", ["batch_size", "10000", "10001"]),
        ("train mlp --resume --out nowhere", ["nowhere", "no run"]),
        ("sample nowhere", ["nowhere", "no run"]),
        ("sample nowhere -n 0", ["-n", "0"]),
        ("sample nowhere --seed -1", ["--seed"]),
        ("sample nowhere -o grid.jpg", ["grid.jpg", ".png", ".npz"]),
        ("sample nowhere -o grid", [".png", ".npz"]),
        ("sample nowhere --feature-maps -o x.npz", ["--feature-maps", ".png"]),
        ("sample nowhere --feature-maps --interpolate", ["--feature-maps", "--interpolate"]),
        ("data info cifar", ["cifar", "mnist-mini"]),
        ("data verify cifar", ["cifar", "mnist-mini"]),
        ("data fetch mnist-mini", ["mnist-mini", "fashion-mnist"]),
        ("data vrefiy", ["vrefiy"]),
        ("tarin mlp", ["tarin"]),
        ("train mlp --ecophs 3", ["--ecophs", "--epochs"]),
    ],
)
def test_a_mistake_is_one_line(line: str, parts: list[str], tmp_path: Path) -> None:
    refused(minigan(*line.split()), 2, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that a process is in")
@pytest.mark.parametrize(
    "line",
    [
        "train mlp --data mnist-mini",
        "train mlp --data digits",
        "train mlp --resume",
        "sample run",
        "sample FINISHED",
        "evaluate run",
        "data info digits",
        "data verify ./digits",
        "train mlp --data ..",
    ],
)
def test_the_current_folder_was_deleted(
    line: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    words = line.replace("FINISHED", str(finished)).split()
    refused(minigan(*words), 2, ". The current folder is no longer there: go to another")
    assert list(tmp_path.iterdir()) == []
    assert minigan("sample", finished, "-o", tmp_path / "x.npz").code == 0  # which needs none


def test_a_folder_that_lacks_files(digits: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(digits, tmp_path / "digits"))
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    refused(minigan("train", "mlp", "--data", folder), 2, "t10k-labels-idx1-ubyte")
    (tmp_path / "empty").mkdir()
    refused(minigan("train", "mlp", "--data", "empty"), 2, "empty", "train-images-idx3-ubyte")


@pytest.mark.parametrize("line", ["", "data"])
def test_a_command_without_its_command_shows_the_help(line: str) -> None:
    result = minigan(*line.split())
    assert result.code == 2
    lines = (result.out + result.err).splitlines()
    assert "Commands:" in lines  # as lines, not run together into one


@pytest.mark.usefixtures("_no_curves")
def test_a_backend_that_is_not_there(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    arguments = ("--data", digits, "--steps", "1")
    for line in (["train", "mlp", *arguments], ["sample", "nowhere"], ["bench"]):
        refused(minigan(*line, "--backend", "cupy"), 2, "'cupy'", "pip install 'minigan[cuda12]'")
        monkeypatch.setenv("MINIGAN_BACKEND", "cupy")
        refused(minigan(*line), 2, "'cupy'", "pip install")
        monkeypatch.delenv("MINIGAN_BACKEND")
    assert list(tmp_path.iterdir()) == []
    result = train(tmp_path / "run", *arguments, "--backend", "auto")
    assert [line for line in result.err.splitlines() if "falling back to NumPy" in line]
    again = minigan("train", "mlp", *arguments, "--backend", "auto", "--out", tmp_path / "run")
    refused(again, 2, "exists and is not empty")  # in one line, without a word on the backend


# --- Failures: exit 1 -----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "altered", "no gzip"])
@pytest.mark.parametrize("command", ["train mlp --data", "data verify"])
def test_a_damaged_data_file(damage: str, command: str, digits: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(digits, tmp_path / "digits"))
    path = folder / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes({
        "truncated": whole[:-100],
        "altered": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
        "no gzip": b"garbage",
    }[damage])  # fmt: skip
    refused(minigan(*command.split(), folder), 1, str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["digits"]


def test_a_run_that_diverges(digits: Path, tmp_path: Path) -> None:
    result = minigan("train", "mlp", "--data", digits, "--epochs", "1", "--batch-size", "64",
                     "--lr", "1e30", "--out", "run")  # fmt: skip
    assert result.code == 1
    last = result.err.splitlines()[-1]
    assert last.startswith("minigan: at step 1, g_loss is not finite, nor are generator.")
    assert "run/checkpoint.safetensors is the last good checkpoint" in last and "--lr" in last
    tensors, info, _ = Run.open(tmp_path / "run").load_checkpoint()
    assert info["steps_done"] == 0 and all(np.isfinite(x).all() for x in tensors.values())
    assert "Warning" not in result.err


def test_a_full_disk(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 1:  # config.json found room, the first weights do not
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = minigan("train", "mlp", "--data", digits, "--steps", "2", "--batch-size", "64",
                     "--out", "run")  # fmt: skip
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("minigan: ")
    assert "No space left" in result.err.splitlines()[-1]
    assert [name for name in content(tmp_path / "run") if "partial" in name] == []


def test_an_unwritable_folder(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)  # a mode would not stop root
    result = minigan("train", "mlp", "--data", digits, "--steps", "1", "--out", "locked/run")
    refused(result, 1, "locked")


@pytest.mark.parametrize(
    ("name", "text"),
    [("config.json", b"{"), ("config.json", b"\xff\xfe{}"), ("config.json", b'{"format": 1}'),
     ("generator.safetensors", b""), ("discriminator.safetensors", b"garbage")],
)  # fmt: skip
def test_a_damaged_run_is_not_sampled(name: str, text: bytes, copy: Path, tmp_path: Path) -> None:
    (copy / name).write_bytes(text)
    refused(minigan("sample", copy), 1, name)
    assert not (tmp_path / "grid.png").exists()


def test_an_altered_weight_is_noticed(copy: Path) -> None:
    path = copy / "generator.safetensors"
    altered = bytearray(path.read_bytes())
    altered[-1] ^= 1
    path.write_bytes(bytes(altered))
    refused(minigan("sample", copy), 1, "generator.safetensors", "SHA-256")


# --- Hyperparameters ------------------------------------------------------------------------------

#: One of each kind, other than any default.
OTHER = {"lr": "0.003", "latent_dim": "5", "width": "8", "loss": "hinge"}
CHOICES = [(name, key) for name, kind in MODELS.items() for key in hyperparameters.defaults(kind)]
ONE_STEP = ("--steps", "1", "--batch-size", "20")


@pytest.mark.on_the_host("looks at arguments")
@pytest.mark.usefixtures("_no_curves")
@pytest.mark.parametrize(("model", "key"), CHOICES)
def test_each_hyperparameter_can_be_set(model: str, key: str, digits: Path, tmp_path: Path) -> None:
    out, usual = tmp_path / "run", hyperparameters.defaults(MODELS[model])
    setting = f"{key}={OTHER[key]}"
    result = minigan("train", model, "--data", digits, *ONE_STEP, "--out", out, "--set", setting)
    assert result.code == 0 and f"{model}, {key} {OTHER[key]}, {digits}" in result.err
    config = json.loads((out / "config.json").read_bytes())
    value = type(usual[key])(OTHER[key])
    assert config["arguments"]["hyperparameters"] == {**usual, key: value} != usual
    shapes = {k: v.shape for k, v in load_tensors(out / "generator.safetensors")[0].items()}
    built = hyperparameters.build(MODELS[model], {key: value})
    assert shapes == {k: v.shape for k, v in built.generator.state_dict().items()}


@pytest.mark.parametrize(
    ("model", "options", "parts"),
    [
        ("mlp", "--set width=8", ["mlp has no hyperparameter 'width'"]),
        ("mlp", "--set shape=1,28,28", ["mlp has no hyperparameter 'shape'"]),
        ("mlp", "--set =8", ["mlp has no hyperparameter ''"]),
        ("mlp", "--set lr", ["--set lr: expected KEY=VALUE"]),
        ("mlp", "--set lr=", ["lr must be a number, got ''"]),
        ("mlp", "--set lr= --lr 0.1", ["lr must be a number, got ''"]),
        ("mlp", "--set lr=fast", ["lr must be a number, got 'fast'"]),
        ("mlp", "--set lr=nan", ["lr", "nan"]),
        ("mlp", "--set lr=-1", ["lr", "-1"]),
        ("mlp", "--set latent_dim=1.5", ["latent_dim must be an integer, got '1.5'"]),
        ("mlp", "--set latent_dim=0", ["latent_dim must be a positive integer, got 0"]),
        ("mlp", "--set loss=wasserstien", ["loss must be one of", "hinge", "'wasserstien'"]),
        ("mlp", "--set lr=0.1 --set lr=0.2", ["lr is given twice, as 0.1 and as 0.2"]),
        ("mlp", "--set lr=0.1 --lr 0.2", ["lr is given twice, as 0.1 and as 0.2"]),
        ("mlp", "--loss hinge --set loss=minimax", ["loss is given twice", "minimax", "hinge"]),
        ("dcgan", "--set width=-8", ["width must be a positive integer, got -8"]),
        ("maxout", "--set lr=-1", ["lr must", "-1"]),
    ],
)
def test_a_mistake_in_a_hyperparameter_lists_what_there_is(
    model: str, options: str, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any data are looked for: they might have to be downloaded."""
    monkeypatch.setattr(data, "load", lambda *_: pytest.fail("it was loaded"))
    usual = hyperparameters.defaults(MODELS[model])
    there_is = f"{model} has " + ", ".join(f"{k} = {v}" for k, v in usual.items())
    for rest in ([], ["--data", "mnist-mini", "--out", "x"]):
        refused(minigan("train", model, *options.split(), *rest), 2, *parts, there_is)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_no_curves")
def test_a_mistake_in_a_hyperparameter_where_the_data_are_a_folder(
    digits: Path, tmp_path: Path
) -> None:
    for setting in ("lr=nan", "latent_dim=0"):
        result = minigan("train", "mlp", "--data", digits, "--set", setting)
        refused(
            result,
            2,
            setting.partition("=")[0],
            "mlp has latent_dim = 64, lr = 0.0005, loss",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_no_curves")
def test_lr_and_loss_are_short_for_set(digits: Path, tmp_path: Path) -> None:
    start = ("train", "mlp", "--data", digits, *ONE_STEP, "--out")
    short = ("--lr", "0.002", "--loss", "hinge")
    long = ("--set", "loss=hinge", "--set", "lr=2e-3", "--set", "lr=0.002", "--lr", "0.002")
    for name, options in (("short", short), ("long", long)):
        assert minigan(*start, tmp_path / name, *options).code == 0
    assert_same_runs(tmp_path / "short", tmp_path / "long")


@pytest.fixture(scope="module")
def narrow(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("narrow") / "run"
    made = minigan("train", "dcgan", "--data", digits, *ONE_STEP, "--set", "width=8", "--out", out)
    assert made.code == 0, made.err
    return out


@pytest.mark.on_the_host("a run is made on one library")
def test_a_run_is_sampled_and_measured_with_its_hyperparameters(narrow: Path) -> None:
    assert minigan("sample", narrow, "-n", "20", "-o", "x.npz").code == 0
    model = cli.load_model(Run.open(narrow))
    assert model.parts(nn.Module)["discriminator"][0].weight.shape == (8, 1, 4, 4)
    with np.load("x.npz") as file:
        assert (file["images"] == model.sample(20, 0)).all()
    assert minigan("sample", narrow, "--feature-maps", "-o", "maps.png").code == 0
    assert minigan("sample", narrow, "--interpolate", "-n", "4", "-o", "w.png").code == 0
    result = minigan("evaluate", narrow, "--samples", "20")
    assert result.code == 0 and result.out.startswith("dcgan, width 8, ")
    record = json.loads((narrow / "evaluation.json").read_bytes())
    assert record["arguments"]["hyperparameters"]["width"] == 8


@pytest.mark.on_the_host("a run is made on one library")
@pytest.mark.usefixtures("_no_curves")
def test_a_run_is_resumed_with_its_hyperparameters_alone(narrow: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(narrow, tmp_path / "run"))
    before = content(out)
    for options, told in (
        ("--set width=16", "width 8, not 16"),
        ("--set latent_dim=5", "latent_dim 100, not 5"),
        ("--set lr=nan", "lr 0.001, not nan"),
        ("--lr 0.1", "lr 0.001, not 0.1"),
        ("--loss hinge", "loss 'non_saturating', not 'hinge'"),
    ):
        result = minigan("train", "dcgan", "--out", out, "--resume", *options.split())
        refused(result, 2, f"the run was made with {told}; resuming changes nothing but a larger")
        assert content(out) == before
    same = ("--set", "width=8", "--set", "lr=1e-3", "--steps", "2")
    assert minigan("train", "dcgan", "--out", out, "--resume", *same).code == 0


# --- sample ---------------------------------------------------------------------------------------


def test_sample_arrays(finished: Path, tmp_path: Path) -> None:
    before = content(finished)
    result = minigan("sample", finished, "-n", "10", "-o", "x.npz")
    assert (result.code, result.out, result.err) == (0, "x.npz\n", "")
    with np.load("x.npz") as file:
        assert list(file) == ["images"]
        images = file["images"]
    assert images.dtype == np.uint8 and images.shape == (10, 1, 28, 28)
    assert content(finished) == before
    for name, seed in (("y.npz", "0"), ("z.npz", "1")):
        assert minigan("sample", finished, "-n", "10", "-o", name, "--seed", seed).code == 0
    assert Path("x.npz").read_bytes() == Path("y.npz").read_bytes() != Path("z.npz").read_bytes()


def test_sample_a_picture(finished: Path) -> None:
    assert minigan("sample", finished).code == 0
    with Image.open("grid.png") as image:
        assert image.size == (726, 726)
    for name in ("a.png", "b.png"):
        assert minigan("sample", finished, "-n", "10", "-o", name).code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    with Image.open("a.png") as image:
        assert image.size == (3 * (4 * 30 + 2), 3 * (3 * 30 + 2))
    assert minigan("sample", finished, "-n", "10", "--seed", "7", "--out", "c.png").code == 0
    assert Path("a.png").read_bytes() != Path("c.png").read_bytes()


def test_a_picture_and_the_arrays_show_the_same(finished: Path) -> None:
    assert minigan("sample", finished, "-n", "4", "-o", "a.png").code == 0
    assert minigan("sample", finished, "-n", "4", "-o", "a.npz").code == 0
    with np.load("a.npz") as file, Image.open("a.png") as picture:
        assert (np.asarray(picture)[::3, ::3] == plotting.grid(file["images"])).all()


def test_a_suffix_may_be_in_capitals(finished: Path) -> None:
    for name, capitals in (("a.png", "A.PNG"), ("a.npz", "A.Npz")):
        for out in (name, capitals):
            assert minigan("sample", finished, "-n", "4", "-o", out).code == 0
        assert Path(name).read_bytes() == Path(capitals).read_bytes()
    refused(minigan("sample", finished, "-n", "10001", "-o", "B.PNG"), 2, "-n 10001", "10,000")
    refused(minigan("sample", finished, "--feature-maps", "-o", "B.NPZ"), 2, ".png")


def test_sample_walks(finished: Path) -> None:
    assert minigan("sample", finished, "--interpolate", "-n", "10", "-o", "w.npz").code == 0
    with np.load("w.npz") as arrays:
        walks = arrays["images"]
    assert walks.shape == (12, 1, 28, 28) and walks.dtype == np.uint8  # three rows of four
    assert minigan("sample", finished, "-n", "6", "-o", "ends.npz").code == 0
    with np.load("ends.npz") as arrays:
        ends = arrays["images"].astype(int)
    apart = np.abs(ends - walks[[0, 4, 8, 3, 7, 11]]).reshape(6, -1).max(axis=1)
    assert apart.max() <= 1
    assert minigan("sample", finished, "--interpolate", "-n", "10", "-o", "w.png").code == 0
    with Image.open("w.png") as image:
        assert image.size == (3 * (4 * 30 + 2), 3 * (3 * 30 + 2))


def test_feature_maps_need_maps(finished: Path) -> None:
    refused(minigan("sample", finished, "--feature-maps"), 2, "mlp", "no feature maps")


@pytest.mark.slow
def test_a_dcgan_is_trained_resumed_and_looked_into(tmp_path: Path) -> None:
    start = ["train", "dcgan-half", "--data", "mnist-mini", "--batch-size", "16", "--out"]
    assert minigan(*start, "a", "--steps", "4").code == 0
    assert minigan(*start, "b", "--steps", "2").code == 0
    assert minigan(*start, "b", "--steps", "4", "--resume").code == 0
    for name in ("generator.safetensors", "discriminator.safetensors"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert minigan("sample", "a", "--feature-maps", "-o", "maps.png").code == 0
    with Image.open("maps.png") as image:
        assert image.size == (5 * 312, 444)


def test_sample_into_no_folder(finished: Path) -> None:
    refused(minigan("sample", finished, "-o", "none/x.png"), 2, "none")
    refused(minigan("sample", finished, "-o", "none/x.npz"), 2, "none")


# --- data -----------------------------------------------------------------------------------------


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty cache, and mirrors that refuse the connection."""
    monkeypatch.setattr(mnist.pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(mnist, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(mnist, "_embedded_instead", False)
    monkeypatch.setenv("NO_PROXY", "*")
    say_once.cache_clear()
    for name in ("mnist", "fashion-mnist"):
        monkeypatch.setitem(mnist.MIRRORS, name, ("http://127.0.0.1:9/", "http://127.0.0.1:9/b/"))
    yield
    say_once.cache_clear()


def test_data_info_and_verify(digits: Path) -> None:
    for name in ("mnist-mini", digits):
        result = minigan("data", "info", name)
        assert result.code == 0 and result.err == ""
        for file in ("train-images", "train-labels", "t10k-images", "t10k-labels"):
            assert file in result.out
        assert result.out.count("ok") == 4
        result = minigan("data", "verify", name)
        assert result.code == 0 and "intact" in result.out
    assert "156,816 bytes" in minigan("data", "info", digits).out  # 16 + 200 · 784


def test_data_info_shows_damage(digits: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(digits, tmp_path / "digits"))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"garbage")
    result = minigan("data", "info", folder)
    assert result.code == 0
    assert result.out.count("ok") == 3 and "gzip" in result.out


@pytest.mark.usefixtures("_offline")
def test_fetch_without_a_network(tmp_path: Path) -> None:
    refused(minigan("data", "fetch"), 1, "mnist", "127.0.0.1")
    refused(minigan("data", "fetch", "fashion-mnist"), 1, "fashion-mnist")
    assert content(tmp_path) == {}


@pytest.mark.usefixtures("_offline")
def test_info_and_verify_of_what_is_not_there() -> None:
    refused(minigan("data", "verify", "mnist"), 2, "minigan data fetch", "embedded subset is used")
    say_once.cache_clear()
    result = minigan("data", "info")
    assert result.code == 0 and result.out == minigan("data", "info", "mnist-mini").out
    assert "mnist is not on this machine." in result.err and "embedded subset" in result.err
    result = minigan("data", "info", "fashion-mnist")
    assert (result.code, result.out) == (0, "")
    assert "fashion-mnist is not on this machine." in result.err


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: pooch's platformdirs then raises a RuntimeError."""

    def homeless(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(mnist.pooch, "os_cache", homeless)
    for line in ("data info", "data verify", "data fetch", "train mlp"):
        refused(minigan(*line.split()), 2, "mnist", "could not determine the home directory")
    assert minigan("data", "verify", "mnist-mini").code == 0


@pytest.mark.usefixtures("_offline", "_no_curves")
def test_train_without_a_network_says_what_it_uses(tmp_path: Path) -> None:
    result = train(tmp_path / "run", "--steps", "1")
    assert "embedded subset" in result.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data_shape"] == [
        10_000, 1, 28, 28,
    ]  # fmt: skip


@pytest.mark.usefixtures("_offline")
def test_fashion_has_no_substitute(tmp_path: Path) -> None:
    result = minigan("train", "mlp", "--data", "fashion-mnist", "--out", "run")
    assert result.code in (1, 2) and not (tmp_path / "run").exists()
    assert result.err.splitlines()[-1].startswith("minigan: could not download fashion-mnist")


# --- help -----------------------------------------------------------------------------------------

OPTIONS = {
    "": ["train", "sample", "data", "bench", "--version"],
    "train": ["--loss", "--set", "KEY=VALUE", "--data", "--epochs", "--steps", "--batch-size",
              "--lr", "--seed", "--backend", "--out", "--resume",
              "minimax|non_saturating", "numpy|cupy|auto",
              "mnist|mnist-mini|fashion-mnist|PATH", "model has a default", "runs/MODEL"],
    "sample": ["-n", "--seed", "-o", "RUN", ".png", ".npz"],
    "data": ["info", "verify", "fetch"],
    "data info": ["NAME"],
    "data verify": ["NAME"],
    "data fetch": ["NAME"],
    "bench": ["Usage"],
}  # fmt: skip


@pytest.mark.parametrize("line", OPTIONS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(line: str, flag: str) -> None:
    result = minigan(*line.split(), flag)
    assert result.code == 0 and result.err == ""
    assert [part for part in OPTIONS[line] if part not in result.out] == []
    assert max(map(len, result.out.splitlines())) <= 100


def test_version() -> None:
    result = minigan("--version")
    assert (result.code, result.out) == (0, "minigan, version 0.1.0\n")
