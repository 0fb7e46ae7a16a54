"""Runs that are killed, stopped, damaged and starved: real processes, real signals, real disks."""

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import Result, assert_same_runs, content, minigan, refused
from conftest import TIER
from hypothesis import given
from hypothesis import strategies as st
from kill_at_every_file import Tiny

from minigan import models, plotting, training
from minigan.checkpoint import Run

pytestmark = [
    pytest.mark.on_the_host("starts processes of its own, or damages their files"),
    pytest.mark.usefixtures("own_folder"),
    pytest.mark.slow,
]

#: How often a run is killed.
KILLS = 30 if TIER == "all" else 5
#: An epoch of twelve steps and its files take the one 0.15 s, the other 0.8 s.
EPOCHS = {"mlp": 5 * KILLS, "dcgan": KILLS}


#: The command, with a checkpoint after every epoch however short, for kills and stops to meet.
MINIGAN = "from minigan import cli, training; training.SAVE_EVERY = 1; cli.main()"


def command(model: str, digits: Path, out: Path, epochs: int = 0) -> list[str]:
    """A run from its start, or the rest of it where there is a part already."""
    line = [sys.executable, "-c", MINIGAN, "train", model, "--out", str(out)]
    if (out / "config.json").exists():
        return [*line, "--resume"]
    epochs = epochs or EPOCHS[model]
    return [*line, "--data", str(digits), "--batch-size", "16", "--epochs", str(epochs)]


def begin(line: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def end(process: subprocess.Popen[str]) -> Result:
    """What a process said, once it has ended."""
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err and "Warning" not in err, err
    return Result(process.returncode, out, err)


def complete(line: list[str], **environment: str) -> Result:
    result = end(begin(line, **environment))
    assert result.code == 0, result.err
    return result


@pytest.fixture(scope="module", params=["mlp", "dcgan"])
def whole(
    request: pytest.FixtureRequest, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A model, and a run of it that nothing ever happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    complete(command(request.param, digits, out), PYTHONHASHSEED="1")
    return request.param, out


# --- The same bytes -------------------------------------------------------------------------------


def test_the_same_seed_in_another_process_gives_the_same_bytes(
    whole: tuple[str, Path], digits: Path, tmp_path: Path
) -> None:
    model, expected = whole
    complete(command(model, digits, tmp_path / "run"), PYTHONHASHSEED="2")
    assert_same_runs(expected, tmp_path / "run")


def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(
    whole: tuple[str, Path], digits: Path, tmp_path: Path
) -> None:
    model, expected = whole
    out, moments, kills = tmp_path / "run", random.Random(7), 0
    while kills < KILLS:
        with begin(command(model, digits, out)) as process:
            time.sleep(moments.uniform(0.0, 1.5 if model == "mlp" else 3.0))
            process.kill()
        if process.returncode == 0:  # it had come to its end: go on with a new one
            assert_same_runs(expected, out)
            shutil.rmtree(out)
            continue
        kills += 1
        if (out / "config.json").exists() and (run := Run.open(out)).has_checkpoint:
            assert run.load_checkpoint()[2] == ""
    complete(command(model, digits, out))
    assert_same_runs(expected, out)


def test_a_run_killed_before_any_of_its_file_operations(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("kill_at_every_file.py"), tmp_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 100


# --- Stopped --------------------------------------------------------------------------------------


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 60
    while not any(folder.glob(pattern)):
        assert process.poll() is None and time.monotonic() < limit, pattern
        time.sleep(0.005)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "moment", ["samples/epoch_0000.png", "samples/epoch_0002.png", ".minigan.matplotlib.*"]
)
def test_a_signal_saves_and_says_how_to_go_on(
    moment: str, signum: int, digits: Path, tmp_path: Path
) -> None:
    out, expected = tmp_path / "my run", tmp_path / "whole"
    with begin(command("mlp", digits, out, 4)) as process:
        wait_for(moment, out, process)  # the last one: the curves are being drawn
        process.send_signal(signum)
        result = end(process)
    assert result.code == 130
    steps = Run.open(out).load_checkpoint()[1]["steps_done"]
    said, go_on = result.out.rstrip().split("; go on with: ")
    assert said == f"stopped and saved at step {steps}"
    complete([sys.executable, "-m", *shlex.split(go_on)])
    complete(command("mlp", digits, expected, 4))
    but = ["checkpoint.previous.safetensors"]  # the stop's own
    assert_same_runs(expected, out, tuple(but if steps < 48 else []))


def test_a_run_that_nobody_listens_to_goes_on(digits: Path, tmp_path: Path) -> None:
    line = shlex.join(command("mlp", digits, tmp_path / "run", 1))
    for closed in ("2>&-", ">&- 2>&-", "2>&1 | head -1"):
        done = subprocess.run(f"{line} {closed}", shell=True, capture_output=True, text=True)
        assert done.returncode == 0 and "Traceback" not in done.stdout
        assert (tmp_path / "run" / "training.gif").exists()
        shutil.rmtree(tmp_path / "run")


# --- In use ---------------------------------------------------------------------------------------


def test_a_run_in_use_is_left_alone(digits: Path, tmp_path: Path) -> None:
    out, expected = tmp_path / "run", tmp_path / "whole"
    complete(command("mlp", digits, expected, 8))
    with begin(command("mlp", digits, out, 8)) as process:
        wait_for("checkpoint.safetensors", out, process)
        process.send_signal(signal.SIGSTOP)  # for as long as the others try
        refused(end(begin(command("mlp", digits, out))), 2, str(out), "in use by another process")
        new = [*command("mlp", digits, tmp_path / "none")[:-1], "9", "--out", str(out)]
        refused(end(begin(new)), 2, str(out), "not empty")
        assert minigan("sample", out, "-o", tmp_path / "x.png").code == 0  # reading needs no claim
        process.send_signal(signal.SIGCONT)
        assert end(process).code == 0
    assert_same_runs(expected, out)


# --- Damaged --------------------------------------------------------------------------------------

FILES = [
    "config.json", "history.csv", "timing.csv", "checkpoint.safetensors", "curves.png",
    "checkpoint.previous.safetensors", "generator.safetensors", "discriminator.safetensors",
    "training.gif", "samples/epoch_0001.png", "samples/epoch_0002.png",
]  # fmt: skip


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Runs of a tiny model, without curves: a few hundred of them take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "mlp", Tiny)
        patch.setattr(training, "SAVE_EVERY", 1)
        patch.setattr(plotting, "save_curves", lambda _, path, title, __: path.write_text(title))
        yield


@pytest.fixture(scope="module")
def expected(quick: None, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs; the same, gone on to four; and what `sample` makes of the first."""
    folder = tmp_path_factory.mktemp("expected")
    start = ("--data", digits, "--batch-size", "64", "--epochs", "2")
    assert minigan("train", "mlp", "--out", folder / "two", *start).code == 0
    shutil.copytree(folder / "two", folder / "four")
    assert longer(folder / "four").code == 0
    assert minigan("sample", folder / "two", "-o", folder / "x.npz").code == 0
    return folder


def longer(run: Path) -> Result:
    return minigan("train", "mlp", "--out", run, "--resume", "--epochs", "4")


@st.composite
def damages(draw: st.DrawFn) -> "Damage":
    kind = draw(st.sampled_from(["cut", "flip", "overwrite", "append"]))
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8))
    values = draw(st.binary(min_size=8, max_size=8))
    return kind, places, values


Damage = tuple[str, list[float], bytes]


def damaged(whole: bytes, damage: Damage) -> bytes:
    kind, places, values = damage
    content = bytearray(whole)
    where = [int(place * len(content)) for place in places]
    match kind:
        case "cut":
            return whole[: where[0]]
        case "append":
            return whole + values
        case "flip":
            for i, value in zip(where, values, strict=False):
                content[i] ^= 1 << value % 8
        case "overwrite":
            for i, value in zip(where, values, strict=False):
                content[i] = value
    return bytes(content)


@pytest.fixture
def alarm() -> Iterator[None]:
    """A hang is an error after a minute, whatever it hangs in."""

    def ring(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60 if TIER != "all" else 600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("name", FILES)
@given(damage=damages())
def test_a_damaged_file_is_refused_or_said_or_does_no_harm(
    name: str, damage: Damage, expected: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Either nothing is changed and one line names the file, or the run ends in the right bytes."""
    folder = tmp_path_factory.mktemp("damaged")
    run, picture = Path(shutil.copytree(expected / "two", folder / "run")), folder / "x.npz"
    (run / name).write_bytes(damaged((run / name).read_bytes(), damage))
    before = content(run)

    result = minigan("sample", run, "-o", picture)
    if result.code == 0:
        assert picture.read_bytes() == (expected / "x.npz").read_bytes()
    else:
        refused(result, 1, str(run / name))
        assert not picture.exists()
    assert content(run) == before

    result = longer(run)
    lines = result.err.splitlines()
    if result.code != 0:
        refused(result, 1, str(run / name))
        assert content(run) == before
    else:
        said = [line for line in lines if line.startswith("minigan: ") and str(run / name) in line]
        but: tuple[str, ...] = ()
        if name.startswith("samples"):  # what is said is that the animation lacks it
            but = (name, "training.gif") if said else (name,)
        assert_same_runs(expected / "four", run, but)
        if name in ("history.csv", "checkpoint.safetensors") and damage[0] != "append":
            assert said or before[name] == content(expected / "two")[name], result.err
    shutil.rmtree(folder)


# --- Starved --------------------------------------------------------------------------------------

#: Runs a script with mounts of its own, for which the user need not be root.
APART = ["unshare", "--map-root-user", "--mount", "sh", "-euc"]
needs_mounts = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run([*APART, "mount -t tmpfs none /mnt"], capture_output=True).returncode != 0,
    reason="a small disk needs mounts of one's own (unshare), which this system does not allow",
)


def apart(script: str, *arguments: Path) -> None:
    done = subprocess.run(
        [*APART, script, "sh", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def one_line(errors: Path, *parts: str) -> None:
    last = errors.read_text().splitlines()[-1]
    assert last.startswith("minigan: ") and "Traceback" not in errors.read_text()
    assert [part for part in parts if part not in last] == [], last


@needs_mounts
@pytest.mark.parametrize("size", ["4k", "100k", "3m", "15m", "27m"])
def test_a_full_disk_loses_nothing(size: str, digits: Path, tmp_path: Path) -> None:
    """Files of an epoch take 22 MB with the checkpoint, and 13 MB while the next is written."""
    disk, expected = tmp_path / "disk", tmp_path / "whole"
    disk.mkdir()
    complete(command("mlp", digits, expected, 2))
    start = shlex.join(command("mlp", digits, disk / "run", 2))
    apart(
        f"""
        mount -t tmpfs -o size={size} none "$1"
        if {start} 2> "$2/err"; then exit 9; else echo $? > "$2/code"; fi
        mount -o remount,size=100m "$1"
        if [ -e "$1/run/config.json" ]; then {start} --resume; else {start}; fi
        cp -r "$1/run" "$2/run"
        """,
        disk,
        tmp_path,
    )
    assert (tmp_path / "code").read_text() == "1\n"
    one_line(tmp_path / "err", "No space left on device", f"{disk}/run/", "--resume")
    assert_same_runs(expected, tmp_path / "run")


@needs_mounts
def test_a_read_only_folder_is_named_and_can_be_read(digits: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    start = shlex.join(command("mlp", digits, disk / "run", 1))
    apart(
        f"""
        mount -t tmpfs none "$1"
        {start}
        mount -o remount,ro "$1"
        if {start}0 --resume 2> "$2/resume"; then exit 9; fi
        if {start.replace("disk/run", "disk/new")} 2> "$2/new"; then exit 9; fi
        {sys.executable} -m minigan sample "$1/run" -o "$2/x.npz"
        """,
        disk,
        tmp_path,
    )
    one_line(tmp_path / "resume", "Read-only file system", f"{disk}/run")
    one_line(tmp_path / "new", "Read-only file system", f"{disk}/new")
    assert len(np.load(tmp_path / "x.npz")["images"]) == 64
