"""Nonsense in any flag, argument or variable: exit code 2, one line, and nothing is written.

The parameters are those of the commands themselves: a new one is tested by its type, or fails until
RANGES or OWN says what is nonsense for it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np
import pytest
from commands import Result, idx, minigan
from hypothesis import given
from hypothesis import strategies as st

from minigan import bench, data, evaluation
from minigan.backend import LIBRARIES
from minigan.cli import cli
from minigan.data import mnist
from minigan.grading.course import Course

pytestmark = pytest.mark.on_the_host("looks at arguments, touches no array library")

# --- What is in order -----------------------------------------------------------------------------

#: By command, what stays in order while other parameters are nonsense.
RESTS: dict[str, list[dict[str, str]]] = {
    "train": [
        {"model": "mlp", "data": ".", "steps": "1", "batch_size": "2", "out": "new"},
        {"model": "mlp", "out": "run", "resume": ""},
    ],
    "sample": [{"run_path": "run", "n": "1", "out": "grid.png"}],
    "data info": [{"name": "."}],
    "data verify": [{"name": "."}],
    "data fetch": [{"name": "mnist"}],
    "evaluate": [{"run_path": "run", "n": "10"}],
    "bench": [{}],
    "start": [{"what": "01"}],
    "list": [{}],
    "check": [{"what": "01.1"}],
    "hint": [{"what": "01.1"}],
    "grade": [{"folder": "learners", "numbers": "01", "as_csv": ""}],
}


COURSE = Course.find(Path(__file__).parent)
NO_WORK = shutil.ignore_patterns("work", "__pycache__")


def found_in(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Parameter]]:
    yield from ((name, parameter) for parameter in command.params)
    for part, child in getattr(command, "commands", {}).items():
        yield from found_in(child, f"{name} {part}".strip())


PARAMETERS = list(found_in(cli))


def line(command: str, rest: dict[str, str], bad: dict[str, str]) -> list[str]:
    """The command with the values of both; where they differ, with those of ``bad``."""
    values = rest | bad
    if "epochs" in bad and "steps" not in bad:
        values.pop("steps", None)  # else the mistake would be to give both
    options, arguments = [], []
    for parameter in (p for c, p in PARAMETERS if c == command and p.name in values):
        name, option = str(parameter.name), parameter.opts[0]
        if isinstance(parameter, click.Argument):
            arguments.append(values[name])
        elif getattr(parameter, "is_flag", False):
            options.append(f"{option}={values[name]}" if name in bad else option)
        else:
            options += [option, values[name]]
    return [*command.split(), *options, *arguments]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a data set, a run, a file and some folders."""
    folder = tmp_path_factory.mktemp("place")
    for file in mnist.FILES:
        array = np.zeros((12, 28, 28) if "images" in file else 12, np.uint8)
        (folder / f"{file}.gz").write_bytes(idx(array))
    (folder / "file").touch()
    for name in ("empty", "picture.png", "folder/config.json"):
        (folder / name).mkdir(parents=True)
    exercises = shutil.copytree(COURSE.root / "exercises", folder / "exercises", ignore=NO_WORK)
    (folder / "learners").mkdir()
    shutil.copy(exercises / "ch01_autograd" / "exercise.py", folder / "learners" / "ada.py")
    with contextlib.chdir(folder):
        assert minigan(*line("train", RESTS["train"][0], {"out": "run"})).code == 0
    return folder


@pytest.fixture(autouse=True)
def _environment(own_folder: None, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(bench, "main", lambda: None)
    monkeypatch.setattr(evaluation, "READABLE", 0)  # black images have no right answer
    for name in mnist.MIRRORS:
        monkeypatch.setitem(mnist.MIRRORS, name, ("http://127.0.0.1:9/",))


# --- What is nonsense -----------------------------------------------------------------------------

LONG = ("x" * 300, "x" * 5000)
#: A folder may be called so, but no file in it.
DEEP = "/".join(["d" * 199] * 20 + ["d" * 91])
ODD = ("", " ", "\n", "a\nb", "\r", "\x1b[31m", "\udcff", "½", "٣x", "--", "-q", ".", *LONG, "0",
       "-1", "1.5", "1e3", "0x10", "1 2", "10001", str(10**10), "9" * 4000, "9" * 5000, "nan",
       "inf", "-inf", "1e999", "1e-999", "file", "file/x", "folder", "none")  # fmt: skip

#: What a shell can pass: any bytes but NUL, UTF-8 or not.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.binary().map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b""))
)
anything = texts | st.integers().map(str) | st.floats().map(str)
Nonsense = tuple[tuple[str, ...], st.SearchStrategy[str]]  # examples, and others


def where(is_bad: Callable[[str], bool], *more: str) -> Nonsense:
    return (*filter(is_bad, ODD), *more), anything.filter(is_bad)


def is_named(text: str) -> bool:
    """Whether it is a chapter or a task of the exercises."""
    try:
        COURSE.select(text)
    except ValueError:
        return False
    return True


no_data = where(lambda t: t not in data.NAMES and (t == "" or Path(t) != Path()), "MNIST", "empty")
no_task = where(lambda text: text != "" and not is_named(text), "99", "01.9", "1.1.1", "ch01")
no_name = where(lambda text: not text.isidentifier())
#: By command and parameter.
OWN: dict[str, Nonsense] = {
    **{f"{command} what": no_task for command in ("start", "check", "hint", "solution", "reset")},
    **{f"{command} what": no_task for command in ("list", "watch")},
    "grade numbers": no_task,
    "grade folder": where(lambda text: text not in (".", "learners", "folder"), "empty"),
    "grade out": (("", ".", "folder", "none/grades.csv", "file/x"), st.just("folder")),
    "scaffold name": no_name,
    "scaffold function": no_name,
    "train data": no_data,
    "train settings": where(
        lambda text: text.partition("=")[0] not in ("lr", "latent_dim", "loss"),
        *(
            "lr",
            "lr=",
            "lr=x",
            "lr=nan",
            "lr=-1",
            "lr=inf",
            "lr=1e999",
            "lr=1,2",
            "LR=0.1",
            " lr=1",
        ),
        *("latent_dim=", "latent_dim=0", "latent_dim=-1", "latent_dim=1.5", "latent_dim=1e1"),
        *(f"latent_dim={'9' * 300}", f"latent_dim={'9' * 5000}", "shape=1,28,28", "game=hinge"),
        *("loss=", "loss=wasserstein", "loss=Hinge", "loss=hinge ", "=", "==", "=lr=1", "lr=0=0"),
    ),
    "data info name": no_data,
    "data verify name": no_data,
    "data fetch name": where(lambda text: text not in mnist.MIRRORS, "mnist-mini"),
    "train out": (
        ("", ".", "file", "file/x", "/dev/null", f"none/{LONG[0]}", *LONG, DEEP),
        texts.map("file/{}".format),
    ),
    "sample run_path": where(lambda text: Path(text) != Path("run")),
    "evaluate run_path": where(lambda text: Path(text) != Path("run")),
    "sample out": where(
        lambda text: Path(text).suffix.lower() not in (".png", ".npz"),
        *(".png", "x.png\n", "picture.png", "file/x.png", "none/x.png", "none/x.npz"),
        *(f"{name}.png" for name in LONG),
    ),
}
#: The least and the largest number for a data set of 12 and a picture.
RANGES = {"epochs": (1, 10**9), "steps": (1, 10**9), "batch_size": (2, 12), "n": (1, 10_000),
          "number": (1, 99), "lr": (5e-324, sys.float_info.max),
          "seed": (0, float("inf"))}  # fmt: skip


def nonsense(command: str, parameter: click.Parameter) -> Nonsense:
    """What is certainly invalid for a parameter, by its type if OWN does not say it."""
    kind, name = parameter.type, str(parameter.name)
    if f"{command} {name}" in OWN:
        found = OWN[f"{command} {name}"]
    elif getattr(parameter, "is_flag", False):
        found = where(lambda _: True)
    elif isinstance(kind, click.Choice):
        first, *_ = choices = [str(choice) for choice in kind.choices]
        found = where(lambda text: text not in choices, first.upper(), f"{first} ")
    elif name in RANGES:
        least, most = RANGES[name]

        def is_outside(text: str) -> bool:
            try:
                return not least <= (float if name == "lr" else int)(text) <= most
            except ValueError:
                return True

        found = where(is_outside)
    else:
        pytest.fail(f"say in RANGES or OWN what is nonsense for: {command} {name}")
    if isinstance(parameter, click.Argument):  # "--" and "-h" are something else
        plain = lambda text: text != "--" and not text.startswith(("-h", "--help"))
        found = tuple(filter(plain, found[0])), found[1].filter(plain)
    return found


# --- What is demanded -----------------------------------------------------------------------------


def files() -> dict[Path, Any]:
    """The folders here, and the files as the system knows them: a rewritten one is another."""
    found = {path: path.lstat() for path in Path().rglob("*")}
    return {p: p.is_dir() or (s.st_ino, s.st_size, s.st_mtime_ns) for p, s in found.items()}


def is_refused(*arguments: str, run: Callable[..., Result] = minigan, limit: float = 20) -> None:
    """One line, exit code 2, and every file here as it was."""

    def hangs(*_: Any) -> NoReturn:
        pytest.fail(f"no answer within {limit} seconds")

    before, handler = files(), signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        result = run(*arguments)
        assert (result.code, result.out) == (2, ""), result
        assert result.err.startswith("minigan: ") and result.err.strip() != "minigan:", result
        assert result.err.endswith("\n") and result.err.count("\n") == 1, result
        assert files() == before
    except BaseException as error:
        error.add_note(f"the arguments were {arguments}")
        for path in sorted(files().keys() - before.keys(), reverse=True):  # for the next example
            path.rmdir() if path.is_dir() else path.unlink()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


every_parameter = pytest.mark.parametrize(
    ("command", "parameter"), PARAMETERS, ids=[f"{c} {p.opts[0]}".strip() for c, p in PARAMETERS]
)


@every_parameter
def test_known_nonsense(command: str, parameter: click.Parameter) -> None:
    for rest in RESTS.get(command, [{}]):
        for value in nonsense(command, parameter)[0]:
            is_refused(*line(command, rest, {str(parameter.name): value}))


@every_parameter
@given(st.data())
def test_any_nonsense(command: str, parameter: click.Parameter, draw: st.DataObject) -> None:
    rest = draw.draw(st.sampled_from(RESTS.get(command, [{}])))
    value = draw.draw(nonsense(command, parameter)[1])
    is_refused(*line(command, rest, {str(parameter.name): value}))


def test_no_name_is_not_the_current_folder() -> None:
    with contextlib.chdir("run"):
        is_refused("sample", "")
        is_refused("train", "mlp", "--data", "..", "--resume", "--out", "")
    with contextlib.chdir("empty"):
        is_refused("train", "mlp", "--data", "..", "--steps", "1", "--batch-size", "2", "--out", "")


@given(st.data())
def test_nonsense_in_several_parameters(draw: st.DataObject) -> None:
    command = draw.draw(st.sampled_from(list(RESTS)))
    mine = [parameter for name, parameter in PARAMETERS if name == command]
    bad = {}
    for parameter in draw.draw(st.lists(st.sampled_from(mine), min_size=1, unique=True)):
        known, others = nonsense(command, parameter)
        bad[str(parameter.name)] = draw.draw(st.sampled_from(known) | others)
    is_refused(*line(command, draw.draw(st.sampled_from(RESTS[command])), bad))


@pytest.mark.parametrize("command", [*RESTS, "", "data"])
@given(texts.map("--x{}".format) | texts.map("-q{}".format) | texts.map("-- {}".format))
def test_an_unknown_command_option_or_argument(command: str, more: str) -> None:
    for rest in RESTS.get(command, [{}]):
        is_refused(*line(command, rest, {}), *more.split(" ", 1))


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [("MINIGAN_BACKEND", "train mlp --data . --out new"), ("MINIGAN_BACKEND", "sample run"),
     ("MINIGAN_BACKEND", "bench"), ("MINIGAN_DATA", "train mlp --out new"),
     ("MINIGAN_DATA", "data info"), ("MINIGAN_DATA", "data verify")],
)  # fmt: skip
@given(st.sampled_from([*LONG, "file"]) | texts)
def test_nonsense_in_the_environment(variable: str, arguments: str, value: str) -> None:
    if value not in ("", *LIBRARIES) and not os.path.isdir(value):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, value)
            is_refused(*arguments.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    ["train mlp --data \udcff", "sample \udcff", "data info", "\udcff", "bench --backend \udcff"],
)
def test_a_process_that_is_given_bytes(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def process(*arguments: str) -> Result:
        done = subprocess.run([sys.executable, "-m", "minigan", *arguments], capture_output=True)
        return Result(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))

    monkeypatch.setenv("MINIGAN_DATA", "\udcff")
    is_refused(*arguments.split(), run=process)


# --- That it would be noticed ---------------------------------------------------------------------


def test_without_nonsense_nothing_is_refused(tmp_path: Path, place: Path) -> None:
    with contextlib.chdir(shutil.copytree(place, tmp_path / "place")):
        for command, rests in RESTS.items():
            for rest in rests:
                expected = {
                    "data fetch": 1,  # from a mirror that is none
                    "check": 3,  # not started
                }
                assert minigan(*line(command, rest, {})).code == expected.get(command, 0)


FAULTS: dict[str, Callable[[], Any]] = {
    "another error": lambda: 1 / 0,
    "a second line": lambda: print("minigan: and", file=sys.stderr),
    "a folder": lambda: Path("left").mkdir(),
    "silence": lambda: sys.exit(2),
    "success": lambda: sys.exit(0),
    "patience": lambda: time.sleep(20),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(_: str) -> NoReturn:
        FAULTS[fault]()
        raise ValueError("no")

    monkeypatch.setattr(data, "verify", verify)
    with pytest.raises((AssertionError, ZeroDivisionError, pytest.fail.Exception)):
        is_refused("data", "verify", limit=2 if fault == "patience" else 20)
    assert not Path("left").exists()
