"""Nonsense in any flag, argument or variable: exit code 2, one line, and nothing is written.

The parameters are those of the commands themselves: a new one is tested by its type, or fails until
OWN says what is nonsense for it.
"""

import contextlib
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np
import pytest
from hypothesis import strategies as st
from test_cli import Result, idx, minigan

from minigan import bench
from minigan.cli import DATA_NAMES, cli
from minigan.data import mnist

pytestmark = pytest.mark.on_the_host("the commands' arguments, whatever the array library")

LIMIT = 10.0  # seconds until a command counts as hanging
LONG = ("x" * 300, "x" * 5000)
DEEP = "/".join(["d" * 199] * 20 + ["d" * 91])  # a folder may be called so, and no file in it
ODD = ("", " ", "\n", "a\nb", "\r", "\x1b[31m", "\udcff", "½", "--", "-q", "'", *LONG)

#: What a shell can pass: any bytes but NUL, UTF-8 or not.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.binary().map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b""))
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a data set's files, a run, a file and two folders."""
    folder = tmp_path_factory.mktemp("place")
    for file in mnist.FILES:
        array = np.zeros((8, 28, 28) if "images" in file else 8, np.uint8)
        (folder / f"{file}.gz").write_bytes(idx(array))
    (folder / "file").touch()
    (folder / "empty").mkdir()
    (folder / "picture.png").mkdir()
    with contextlib.chdir(folder):
        assert minigan(*line(("train",), RESTS["train",][0], {})).code == 0
        os.rename("new", "run")
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
    return {
        path: path.is_dir() or (seen.st_ino, seen.st_size, seen.st_mtime_ns)
        for path, seen in found.items()
    }


def is_refused(*arguments: str, run: Callable[..., Result] = minigan) -> None:
    """The command writes one line, and nothing else anywhere."""
    before = files()
    try:
        with limited(LIMIT):
            result = run(*arguments)
        shown = f"{arguments} gave {result}"
        assert result.code == 2, shown
        assert result.out == "", shown
        assert result.err.startswith("minigan: ") and len(result.err) > len("minigan: \n"), shown
        assert result.err.endswith("\n") and result.err.count("\n") == 1, shown
        assert "Traceback" not in result.err, shown
        assert files() == before, shown
    except BaseException as error:
        error.add_note(f"by {arguments}")
        raise
    finally:  # hypothesis looks for a shorter example, which must find the place as it was
        for path in sorted(files().keys() - before.keys(), reverse=True):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- What is nonsense -----------------------------------------------------------------------------

Name = tuple[str, ...]  # of a command
Nonsense = tuple[tuple[str, ...], st.SearchStrategy[str]]  # examples, and others


def found_in(command: click.Command, name: Name) -> Iterator[tuple[Name, click.Parameter]]:
    yield from ((name, parameter) for parameter in command.params)
    for part, child in getattr(command, "commands", {}).items():
        yield from found_in(child, (*name, part))


PARAMETERS = list(found_in(cli, ()))
COMMANDS = [name for name, _ in itertools.groupby(PARAMETERS, lambda found: found[0]) if name]

#: Per command, lines that are in order: what stays while another parameter is nonsense.
RESTS: dict[Name, list[dict[str, str]]] = {
    ("train",): [
        {"model": "mlp", "data_name": ".", "steps": "1", "batch_size": "2", "out": "new"},
        {"model": "mlp", "out": "run", "resume": ""},
    ],
    ("sample",): [{"run_path": "run", "n": "1", "out": "grid.png"}],
    ("data", "info"): [{"name": "."}],
    ("data", "verify"): [{"name": "."}],
    ("data", "fetch"): [{"name": "mnist"}],
    ("bench",): [{}],
    (): [{}],
}

no_data = (
    (*ODD, "none", "file", "file/x", "empty", "run", "..", "/", "/dev/null", "MNIST", "mnist\n"),
    texts.filter(lambda text: text not in DATA_NAMES and (text == "" or Path(text) != Path())),
)
no_run = ("", "none", "file", "file/x", "empty", ".", "/dev/null", "a\nb", "\udcff", *LONG)
#: What is nonsense for a text or a path.
OWN: dict[tuple[Name, str], Nonsense] = {
    (("train",), "data_name"): no_data,
    (("data", "info"), "name"): no_data,
    (("data", "verify"), "name"): no_data,
    (("data", "fetch"), "name"): ((*no_data[0], "mnist-mini", "."), no_data[1]),
    (("train",), "out"): (
        ("", ".", "file", "file/x", "/dev/null", "/dev/null/x", f"other/{LONG[0]}", *LONG, DEEP),
        texts.map("file/{}".format),
    ),
    (("sample",), "run_path"): (no_run, texts.filter(lambda text: Path(text) != Path("run"))),
    (("sample",), "out"): (
        (*ODD, ".png", "x.PNG", "x.jpg", "x.png\n", "x.npz ", "empty", "picture.png", "file/x.png",
         "none/x.npz", "/none/x.png", *(f"{name}.png" for name in LONG)),
        texts.filter(lambda text: Path(text).suffix not in (".png", ".npz"))
        | texts.map("none/{}.png".format),
    ),
}  # fmt: skip
#: What the range of a number does not say.
TOO_MUCH = {"batch_size": ("9", str(10**9), "9" * 4000)}


def fails(convert: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            convert(text)
        except ValueError:
            return True
        return False

    return check


def nonsense(command: Name, parameter: click.Parameter) -> Nonsense:
    """What is certainly invalid for a parameter, by its type if OWN does not say it."""
    kind, name = parameter.type, str(parameter.name)
    words = (*ODD, "x", "0x10", "1 2", "1,0", "٣x", "nan", "inf", "-inf", "1e999", "9" * 5000)
    if getattr(parameter, "is_flag", False):
        found: Nonsense = (*ODD, "1", "true"), texts
    elif isinstance(kind, click.Choice):
        choices = tuple(map(str, kind.choices))
        bad = (*(f"{c} " for c in choices), *(c.upper() for c in choices), "\t".join(choices))
        found = (*ODD, *bad), texts.filter(lambda text: text not in choices)
    elif isinstance(kind, click.IntRange) and kind.min is not None:
        bad = (str(kind.min - 1), "-1", "1.5", "1.0", "1e3", *TOO_MUCH.get(name, ()))
        others = st.integers(max_value=kind.min - 1).map(str) | st.floats().map(repr)
        if kind.max is not None:
            bad = (*bad, str(kind.max + 1), "9" * 4000)
            others |= st.integers(min_value=kind.max + 1).map(str)
        found = (*words, *bad), others | texts.filter(fails(int))
    elif isinstance(kind, click.FloatRange) and kind.min == 0 and kind.min_open:
        bad = ("0", "-0.0", "-1", "1e-999", "-1e-9", "infinity", "-nan")
        others = st.floats(max_value=0, exclude_min=False).map(repr)
        found = (*words, *bad), others | texts.filter(fails(float))
    elif (command, name) in OWN:
        found = OWN[command, name]
    else:
        pytest.fail(f"give the parameter {name} of {command} a strategy, in OWN or by its type")
    if isinstance(parameter, click.Argument):  # these would ask for help, or stand for no argument
        asks = lambda text: text == "--" or text.startswith(("-h", "--help"))
        known, others = found
        found = tuple(itertools.filterfalse(asks, known)), others.filter(lambda t: not asks(t))
    return found


def line(command: Name, rest: dict[str, str], bad: dict[str, str]) -> list[str]:
    """A command line with the values of both, where ``bad`` comes first."""
    values = {**rest, **bad}
    if "epochs" in bad and "steps" not in bad:
        values.pop("steps", None)  # only one of them may be given
    options, arguments = [], []
    for _, parameter in filter(lambda found: found[0] == command, PARAMETERS):
        name, option = str(parameter.name), parameter.opts[0]
        if name not in values:
            continue
        if isinstance(parameter, click.Argument):
            arguments.append(values[name])
        elif getattr(parameter, "is_flag", False):
            options.append(f"{option}={values[name]}" if name in bad else option)
        else:
            options += [option, values[name]]
    return [*command, *options, *arguments]


every_parameter = pytest.mark.parametrize(
    ("command", "parameter"),
    PARAMETERS,
    ids=[" ".join((*name, parameter.opts[0])) for name, parameter in PARAMETERS],
)

# --- The tests ------------------------------------------------------------------------------------
