"""What the README shows is run: its Python, its commands, its make targets."""

import doctest
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from commands import assert_same_runs

import minigan
from minigan import data
from minigan.cli import cli
from minigan.data import mnist
from minigan.training import DivergedError

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.on_the_host("runs what the README shows as a reader would")

README, MAKEFILE = ROOT / "README.md", ROOT / "Makefile"


def blocks(text: str, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [body for language, body in found if language in languages]


def commands(text: str) -> list[str]:
    """The `minigan ...` lines of the console blocks, without prompt, folder and variables."""
    lines = []
    for body in blocks(text, "console", "sh", "bash", "shell"):
        for line in body.replace("\\\n", " ").splitlines():
            match = re.match(r"\s*(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?minigan(?= |$)(.*)", line)
            if match:
                lines.append(match[1].strip())
    return lines


def parse(line: str) -> None:
    """Raise click's own error unless ``line`` is a command with options that exist."""
    words = shlex.split(line, comments=True)
    command: click.Command = cli
    context: click.Context | None = None
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        # With its parent's settings: a command keeps the help option of its first context.
        context = click.Context(command, parent=context, **command.context_settings)
        name = words.pop(0)
        if name not in command.commands:
            raise click.UsageError(f"no such command: {name}")
        command = command.commands[name]
    try:
        command.make_context("minigan", words, parent=context)
    except click.exceptions.Exit as done:  # --help and --version
        assert done.exit_code == 0


def targets(text: str) -> list[str]:
    """What follows `make` in code, inline or in a block."""
    code = [*blocks(text, "console", "sh", "bash", "shell"), *re.findall(r"`([^`\n]+)`", text)]
    return [
        target
        for part in code
        for target in re.findall(
            r"(?:^|\$ |&& )make(?: \w+=\S+)* ([a-z][\w-]*)", part, re.MULTILINE
        )
    ]


def readme() -> str:
    assert README.is_file(), "there is no README.md"
    return README.read_text(encoding="utf-8")


# --- The README -----------------------------------------------------------------------------------


def test_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks(readme(), "python", "py")
    assert found, "the README shows no Python"
    monkeypatch.chdir(tmp_path)
    # Neither the network nor the user's cache: what asks for MNIST gets the embedded digits, or
    # what MINIGAN_DATA names.
    monkeypatch.setattr(mnist.pooch, "os_cache", lambda project: tmp_path / "cache")
    monkeypatch.setitem(mnist.MIRRORS, "mnist", ("http://127.0.0.1:9/",))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(mnist, "_embedded_instead", False)
    namespace: dict[str, Any] = {"__name__": "readme"}
    for i, block in enumerate(found):
        name = f"README.md, Python block {i + 1}"
        if block.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block, namespace, name, name, 0)
            runner = doctest.DocTestRunner()
            runner.run(test, clear_globs=False)
            assert runner.summarize(verbose=False).failed == 0
            namespace.update(test.globs)
        else:
            exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_lines_fit_on_a_screen(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) >= 120] == []


def test_the_readers_own_gan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is short, trains, draws, goes on to the same bytes and says when it diverges."""
    (block,) = [b for b in blocks(readme(), "python") if "class LeastSquaresGAN" in b]
    definitions, _, call = block.partition("run = mg.train(")
    body = definitions.partition("class LeastSquaresGAN")[2].strip().splitlines()
    assert len([line for line in body if line.strip()]) <= 20
    monkeypatch.chdir(tmp_path)

    def new(**chosen: float) -> Any:
        namespace: dict[str, Any] = {"__name__": "readme"}
        exec(definitions, namespace)
        return namespace["LeastSquaresGAN"](**chosen)

    exec(block, shown := {"__name__": "readme"})
    run = shown["run"]
    assert run.finished and run.path == Path("runs/least-squares") and run.rows[-1]["epoch"] == 1
    for file in ("curves.png", "training.gif", "samples/epoch_0001.png", "generator.safetensors"):
        assert (run.path / file).is_file()
    assert (shown["digits"].shape, shown["digits"].dtype) == ((16, 1, 28, 28), "uint8")
    assert "resume=True" in readme().partition(call)[2]  # the text after the block

    images = data.load("mnist-mini")[0][:256]
    for out, epochs in (("whole", 2), ("parts", 1)):
        minigan.train(new(), images, epochs=epochs, seed=0, out=out)
    minigan.train(new(), images, epochs=2, out="parts", resume=True)
    assert_same_runs(Path("whole"), Path("parts"), but=("checkpoint.previous.safetensors",))
    with pytest.raises(
        DivergedError, match="at step 1, g_loss is not finite.*last good checkpoint"
    ):
        minigan.train(new(lr=1e30), images, epochs=9, seed=0, out="diverged")


def test_commands_are_commands() -> None:
    found = commands(readme())
    assert any(line.startswith("train") for line in found)
    for line in found:
        parse(line)


def test_make_targets_exist() -> None:
    exist = re.findall(r"^([a-z][\w-]*):", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    named = targets(readme())
    assert "test" in named  # how a change is judged
    assert [target for target in named if target not in exist] == []


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_half_an_environment_is_not_left_behind(tmp_path: Path) -> None:
    """Debian's python3 without python3-venv fails when .venv/bin/python is already there."""
    shutil.copy(MAKEFILE, tmp_path)
    python = tmp_path / "python3"
    python.write_text(
        '#!/bin/sh\n[ "$1" = -c ] || { mkdir -p "$3/bin"; >"$3/bin/python"; exit 1; }\n'
    )
    python.chmod(0o755)
    for _ in range(2):  # the second time is no other
        make = ["make", "PYTHON=./python3", ".venv/bin/python"]
        done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2, done.stdout
        assert sorted(p.name for p in tmp_path.iterdir()) == ["Makefile", "python3"]


def test_links_to_files_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", readme())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (ROOT / link).exists()] == []


# --- These tests can fail -------------------------------------------------------------------------

SAMPLE = """
Use `make test-fast`, `make PYTHON=python3.12 lint` or make sense.

```console
$ minigan train mlp --data mnist-mini \\
      --epochs 1   # a comment
$ MINIGAN_DATA=/data .venv/bin/minigan sample runs/mlp -n 16
done: runs/mlp/samples/epoch_0001.png
$ make demo
```
```python
x = 1
```
```text
minigan is not a command here
```
"""


def test_what_is_found_in_a_readme() -> None:
    assert [shlex.split(line, comments=True) for line in commands(SAMPLE)] == [
        ["train", "mlp", "--data", "mnist-mini", "--epochs", "1"],
        ["sample", "runs/mlp", "-n", "16"],
    ]
    assert blocks(SAMPLE, "python") == ["x = 1\n"]
    assert sorted(targets(SAMPLE)) == ["demo", "lint", "test-fast"]


@pytest.mark.parametrize(
    "line",
    ["train mlp --data mnist-mini --epochs 1 # quick", "--help", "train --help", "data verify",
     "sample runs/mlp -o x.npz", "--version", "train mlp --out 'runs/my run' --resume"],
)  # fmt: skip
def test_right_lines_parse(line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    "line",
    ["trian mlp", "train", "train mpl", "train mlp --epoch-count 3", "train mlp --epochs many",
     "sample", "data verfiy", "train mlp extra", "--no-such-option"],
)  # fmt: skip
def test_wrong_lines_do_not(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)
