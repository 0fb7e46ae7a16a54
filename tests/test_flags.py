"""Nonsense in any flag, argument or variable: exit code 2, one line, and nothing is written.

The parameters are those of the commands themselves: a new one is tested by its type, or fails until
OWN says what is nonsense for it.
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
from hypothesis import given
from hypothesis import strategies as st
from test_cli import Result, idx, minigan

from minigan import bench, data
from minigan.backend import LIBRARIES
from minigan.cli import DATA_NAMES, cli
from minigan.data import mnist

pytestmark = pytest.mark.on_the_host("the commands' arguments, whatever the array library")

# --- The commands, and what is in order -----------------------------------------------------------

Name = tuple[str, ...]  # of a command

#: Lines that work: what stays while other parameters are nonsense.
RESTS: dict[Name, list[dict[str, str]]] = {
    (): [{}],
    ("train",): [
        {"model": "mlp", "data_name": ".", "steps": "1", "batch_size": "2", "out": "new"},
        {"model": "mlp", "out": "run", "resume": ""},
    ],
    ("sample",): [{"run_path": "run", "n": "1", "out": "grid.png"}],
    ("data", "info"): [{"name": "."}],
    ("data", "verify"): [{"name": "."}],
    ("data", "fetch"): [{"name": "mnist"}],
    ("bench",): [{}],
}


def found_in(command: click.Command, name: Name) -> Iterator[tuple[Name, click.Parameter]]:
    yield from ((name, parameter) for parameter in command.params)
    for part, child in getattr(command, "commands", {}).items():
        yield from found_in(child, (*name, part))


PARAMETERS = list(found_in(cli, ()))
every_parameter = pytest.mark.parametrize(
    ("command", "parameter"), PARAMETERS, ids=[" ".join((*c, p.opts[0])) for c, p in PARAMETERS]
)


def line(command: Name, rest: dict[str, str], bad: dict[str, str]) -> list[str]:
    """The command with the values of both; those of ``bad`` come first."""
    values = {**rest, **bad}
    if "epochs" in bad and "steps" not in bad:
        values.pop("steps", None)  # else both of them would be the mistake
    options, arguments = [], []
    for parameter in (p for c, p in PARAMETERS if c == command and p.name in values):
        name, option = str(parameter.name), parameter.opts[0]
        if isinstance(parameter, click.Argument):
            arguments.append(values[name])
        elif getattr(parameter, "is_flag", False):
            options.append(f"{option}={values[name]}" if name in bad else option)
        else:
            options += [option, values[name]]
    return [*command, *options, *arguments]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a data set, a run, a file and two folders."""
    folder = tmp_path_factory.mktemp("place")
    for file in mnist.FILES:
        array = np.zeros((8, 28, 28) if "images" in file else 8, np.uint8)
        (folder / f"{file}.gz").write_bytes(idx(array))
    (folder / "file").touch()
    (folder / "empty").mkdir()
    (folder / "picture.png").mkdir()
    with contextlib.chdir(folder):
        assert minigan(*line(("train",), RESTS["train",][0], {"out": "run"})).code == 0
    return folder


@pytest.fixture(autouse=True)
def _environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("MINIGAN_BACKEND", raising=False)
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setattr(bench, "main", lambda: None)
    for name in mnist.MIRRORS:
        monkeypatch.setitem(mnist.MIRRORS, name, ("http://127.0.0.1:9/",))


# --- What is nonsense -----------------------------------------------------------------------------

LONG = ("x" * 300, "x" * 5000)
#: A folder may be called so, and no file in it.
DEEP = "/".join(["d" * 199] * 20 + ["d" * 91])
ODD = ("", " ", "\n", "a\nb", "\r", "\x1b[31m", "\udcff", "½", "--", "-q", "'", ".", "x", *LONG,
       "0", "-1", "1.5", "1e3", "0x10", "1 2", "٣x", str(10**10), "9" * 4000, "9" * 5000,
       "nan", "inf", "-inf", "1e999", "1e-999", "file", "file/x", "empty", "none")  # fmt: skip

#: What a shell can pass: any bytes but NUL, UTF-8 or not.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.binary().map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b""))
)
anything = texts | st.integers().map(str) | st.floats().map(str)
Nonsense = tuple[tuple[str, ...], st.SearchStrategy[str]]  # examples, and others


def where(is_bad: Callable[[str], bool], *more: str) -> Nonsense:
    return (*filter(is_bad, ODD), *more), anything.filter(is_bad)


no_data = where(lambda t: t not in DATA_NAMES and (t == "" or Path(t) != Path()), "MNIST", "run")
OWN: dict[tuple[Name, str], Nonsense] = {
    (("train",), "data_name"): no_data,
    (("data", "info"), "name"): no_data,
    (("data", "verify"), "name"): no_data,
    (("data", "fetch"), "name"): where(lambda text: text not in mnist.MIRRORS, "mnist-mini"),
    (("train",), "out"): (
        ("", ".", "file", "file/x", "/dev/null", f"other/{LONG[0]}", *LONG, DEEP),
        texts.map("file/{}".format),
    ),
    (("sample",), "run_path"): where(lambda text: Path(text) != Path("run")),
    (("sample",), "out"): where(
        lambda text: Path(text).suffix not in (".png", ".npz"),
        *(".png", "x.PNG", "x.png\n", "picture.png", "file/x.png", "none/x.png", "none/x.npz"),
        *(f"{name}.png" for name in LONG),
    ),
}
#: Where a range ends that the type leaves open.
MOST = {"batch_size": 8, "lr": sys.float_info.max}


def nonsense(command: Name, parameter: click.Parameter) -> Nonsense:
    """What is certainly invalid for a parameter, by its type if OWN does not say it."""
    kind, name = parameter.type, str(parameter.name)
    if (command, name) in OWN:
        found = OWN[command, name]
    elif getattr(parameter, "is_flag", False):
        found = where(lambda _: True)
    elif isinstance(kind, click.Choice):
        choices = tuple(map(str, kind.choices))
        found = where(lambda text: text not in choices, choices[0].upper(), f"{choices[0]} ")
    elif isinstance(kind, click.IntRange | click.FloatRange):
        convert: type = int if isinstance(kind, click.IntRange) else float
        most = kind.max or MOST.get(name, float("inf"))

        def outside(text: str) -> bool:
            try:
                value = convert(text)
            except ValueError:
                return True
            return not kind.min <= value <= most or (kind.min_open and value == kind.min)

        found = where(outside)
    else:
        pytest.fail(f"say in OWN what is nonsense for the parameter {name} of {command}")
    if isinstance(parameter, click.Argument):  # "--" and "-h" ask for something else
        known, others = found
        plain = lambda text: text != "--" and not text.startswith(("-h", "--help"))
        found = tuple(filter(plain, known)), others.filter(plain)
    return found


# --- What is demanded -----------------------------------------------------------------------------


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    def hangs(*_: Any) -> NoReturn:
        pytest.fail(f"no answer within {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def files() -> dict[Path, Any]:
    """The folders here, and the files as the system knows them: a rewritten one is another."""
    found = {path: path.lstat() for path in Path().rglob("*")}
    return {p: p.is_dir() or (s.st_ino, s.st_size, s.st_mtime_ns) for p, s in found.items()}


def is_refused(*line: str, run: Callable[..., Result] = minigan, limit: float = 20.0) -> None:
    """The command writes one line, and nothing else anywhere."""
    before = files()
    try:
        with limited(limit):
            result = run(*line)
        assert (result.code, result.out) == (2, ""), result
        assert result.err.startswith("minigan: ") and result.err.strip() != "minigan:", result
        assert result.err.endswith("\n") and result.err.count("\n") == 1, result
        assert files() == before
    except BaseException as error:
        error.add_note(f"the arguments were {line}")
        raise
    finally:  # the next example finds the place as it was
        for path in sorted(files().keys() - before.keys(), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@every_parameter
def test_known_nonsense_is_refused(command: Name, parameter: click.Parameter) -> None:
    for rest in RESTS[command]:
        for value in nonsense(command, parameter)[0]:
            is_refused(*line(command, rest, {str(parameter.name): value}))


@every_parameter
@given(st.data())
def test_any_nonsense_is_refused(
    command: Name, parameter: click.Parameter, draw: st.DataObject
) -> None:
    rest = draw.draw(st.sampled_from(RESTS[command]))
    value = draw.draw(nonsense(command, parameter)[1])
    is_refused(*line(command, rest, {str(parameter.name): value}))


@given(st.data())
def test_nonsense_in_several_parameters_is_refused(draw: st.DataObject) -> None:
    command = draw.draw(st.sampled_from(list(RESTS)))
    rest = draw.draw(st.sampled_from(RESTS[command]))
    bad = {}
    mine = [p for c, p in PARAMETERS if c == command]
    for parameter in draw.draw(st.lists(st.sampled_from(mine), min_size=1, unique=True)):
        known, others = nonsense(command, parameter)
        bad[str(parameter.name)] = draw.draw(st.sampled_from(known) | others)
    is_refused(*line(command, rest, bad))


@given(texts.filter(lambda text: text not in cli.commands and not text.startswith(("-h", "--"))))
def test_an_unknown_command_is_refused(name: str) -> None:
    is_refused(name)
    is_refused("--", name, "x")


@pytest.mark.parametrize("command", RESTS)
@given(texts.filter(lambda text: text.strip("-") not in ("", "h", "help")))
def test_an_unknown_option_or_argument_is_refused(command: Name, text: str) -> None:
    for rest in RESTS[command] if command else []:
        is_refused(*line(command, rest, {}), f"--x{text}")
        is_refused(*line(command, rest, {}), "-q")
        is_refused(*line(command, rest, {}), "--", text)


@given(texts.filter(lambda text: text not in ("", *LIBRARIES)))
def test_a_nonsensical_backend_in_the_environment_is_refused(value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGAN_BACKEND", value)
        for command in (("train",), ("sample",), ("bench",)):
            is_refused(*line(command, RESTS[command][0], {}))


@given(st.sampled_from(LONG) | texts.filter(lambda text: text != "" and not Path(text).is_dir()))
def test_a_nonsensical_folder_in_the_environment_is_refused(value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGAN_DATA", value)
        is_refused(*line(("train",), RESTS["train",][0] | {"data_name": "mnist"}, {}))
        for command in ("info", "verify"):
            is_refused("data", command, "mnist")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ("train mlp --data \udcff\udcfe", {}),
        ("train mlp --lr \udcff --data .", {}),
        ("sample \udcff", {}),
        ("data fetch \udcff", {}),
        ("\udcff", {}),
        ("bench", {"MINIGAN_BACKEND": "\udcff"}),
        ("data info", {"MINIGAN_DATA": "\udcff"}),
    ],
)
def test_nonsense_is_refused_by_a_real_process(
    arguments: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def process(*arguments: str) -> Result:
        done = subprocess.run([sys.executable, "-m", "minigan", *arguments], capture_output=True)
        return Result(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))

    is_refused(*arguments.split(), run=process, limit=60.0)


# --- That this would be noticed -------------------------------------------------------------------


def test_without_nonsense_nothing_is_refused(tmp_path: Path, place: Path) -> None:
    with contextlib.chdir(shutil.copytree(place, tmp_path / "place")):
        for command, rests in RESTS.items():
            for rest in rests if command else []:
                expected = 1 if command == ("data", "fetch") else 0  # there is no network here
                assert minigan(*line(command, rest, {})).code == expected


def raise_another(*_: Any) -> NoReturn:
    raise RuntimeError("a bug")


def say_more(*_: Any) -> NoReturn:
    print("minigan: a second line", file=sys.stderr)
    raise ValueError("no")


def write(*_: Any) -> NoReturn:
    Path("left").mkdir()
    raise ValueError("no")


@pytest.mark.parametrize(
    "fault", [raise_another, say_more, write, lambda *_: time.sleep(9), lambda *_: sys.exit(0)]
)
def test_a_fault_is_noticed(fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    is_refused("data", "verify", "none")
    monkeypatch.setattr(data, "verify", fault)
    with pytest.raises((AssertionError, RuntimeError, pytest.fail.Exception)):
        is_refused("data", "verify", "none", limit=0.2)
    monkeypatch.undo()
    assert not Path("left").exists()
