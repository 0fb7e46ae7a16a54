"""Layer 7: the commands. A user's mistake is one line and exit code 2, a failed run one and 1."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy
from click.exceptions import NoArgsIsHelpError
from tqdm.std import tqdm

import minigan
from minigan import backend, data, evaluation, plotting, runs
from minigan.checkpoint import (
    DamagedFileError,
    ForeignFileError,
    Run,
    RunInUseError,
    write_atomic,
)
from minigan.console import answered, said_first, say
from minigan.grading.commands import COMMANDS, PathName
from minigan.losses import OBJECTIVES
from minigan.models import GAN, MODELS, explore, hyperparameters
from minigan.nn import Module
from minigan.runs import Recipe, Training, WriteError
from minigan.training import DivergedError

#: What the system says of a path that cannot be: a mistake, where a full disk is a failure.
WRONG_NAME = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


class FailedError(click.ClickException):
    """A run that failed, rather than a call that was wrong."""

    exit_code = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(minigan.__version__, prog_name="minigan")
def cli() -> None:
    """Generative adversarial networks, from the arithmetic up.

    \b
    minigan train mlp             train a GAN on MNIST, into runs/mlp
    minigan sample runs/mlp       draw new digits with it
    """


def _use_backend(context: click.Context, _: click.Parameter, name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            backend.set_backend(name)
        except backend.BackendError as error:
            raise click.UsageError(str(error)) from error
    context.obj = [str(warning.message) for warning in caught]


def _say_backend(context: click.Context) -> None:
    """What :func:`_use_backend` had to say, once nothing else that was asked for is refused."""
    for warning in context.obj:
        say(warning)


_backend_option = click.option(
    "--backend",
    type=click.Choice(list(backend.LIBRARIES)),
    envvar="MINIGAN_BACKEND",
    default="numpy",
    show_default=True,
    callback=_use_backend,
    expose_value=False,
    help="The library that holds the arrays.",
)


# --- train ----------------------------------------------------------------------------------------

#: More would take years.
_at_least_1 = click.IntRange(min=1, max=10**9)


@cli.command(short_help="Train MODEL, into a directory.")
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option(
    "--loss",
    type=click.Choice(list(OBJECTIVES)),
    help="What both players minimise; the same as --set loss=NAME. The model has a default.",
)
@click.option(
    "--data",
    metavar="|".join((*data.NAMES, "PATH")),
    help="A data set by name, mnist by default, or a folder with four IDX files or with PNGs.",
)
@click.option(
    "--epochs",
    type=_at_least_1,
    help="How many times the run goes over the data in all. The model has a default.",
)
@click.option("--steps", type=_at_least_1, help="The steps in all, in place of --epochs.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    help="Images per batch. The model has a default.",
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="The learning rate; the same as --set lr=NUMBER. The model has a default.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A hyperparameter of the model, any number of times; an unknown KEY lists what there is.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="The seed of every random number in the run, 0 by default.",
)
@_backend_option
@click.option("--out", type=PathName(), help="The run's directory, runs/MODEL by default.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, from its checkpoint.")
@click.pass_context
def train(
    context: click.Context,
    /,
    model: str,
    out: Path | None,
    resume: bool,
    loss: str | None,
    lr: float | None,
    settings: tuple[str, ...],
    **arguments: Any,
) -> None:
    """Train MODEL and write pictures, curves, weights and checkpoints to a directory.

    Ctrl-C saves; --resume goes on from there, to the same bytes as a run that was never stopped.
    """
    recipe = Recipe(model, _chosen(model, settings, {"loss": loss, "lr": lr}))
    out = out or Path("runs", model)
    if not resume:
        defaults = {"data": "mnist", "seed": 0}
        arguments |= {k: v for k, v in defaults.items() if arguments[k] is None}
    go_on = f"go on with: {_resume_command(model, out)}"
    try:
        with said_first(context.obj):  # a mistake is one line, without what the backend had to say
            ended = runs.train(recipe, out=out, resume=resume, **arguments)
    except DivergedError as error:
        raise FailedError(
            f"{error}. A smaller --lr may help, with another --out than {out}"
        ) from error
    except WriteError as error:
        raise FailedError(f"{error}. When that is mended, {go_on}") from error
    except FileExistsError as error:
        raise click.UsageError(
            f"{error.__cause__}; choose another --out, or go on with it by --resume"
        ) from error
    _say_how_it_ended(context, ended, go_on)


def _chosen(model: str, settings: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters out of --set, --loss and --lr."""
    kind, chosen = MODELS[model], dict[str, Any]()
    for setting in [*settings, *(f"{k}={v}" for k, v in options.items() if v is not None)]:
        key, equals, text = setting.partition("=")
        there_is = hyperparameters.listed(kind)
        if not equals:
            raise click.UsageError(f"--set {setting}: expected KEY=VALUE; {there_is}")
        value = hyperparameters.from_text(kind, {key: text})[key]
        if key in chosen and chosen[key] != value:
            raise click.UsageError(
                f"{key} is given twice, as {chosen[key]} and as {value}; {there_is}"
            )
        chosen[key] = value
    return chosen


def _say_how_it_ended(context: click.Context, ended: Training, go_on: str) -> None:
    assert ended.path is not None
    done = ended.trainer.steps_done
    if not ended.finished:
        saved = "stopped and saved" if Run.open(ended.path).has_checkpoint else "stopped"
        click.echo(f"{saved} at step {done:,}; {go_on}")
        context.exit(130)
    if ended.steps:
        click.echo(f"done: {runs.picture(ended.path, math.ceil(ended.trainer.data.epoch))}")
    else:
        asked = Run.open(ended.path).config["arguments"]
        length = "steps" if asked["steps"] else "epochs"
        click.echo(
            f"nothing to train, {ended.path} is already at step {done:,} of {done:,}; "
            f"{go_on} --{length} {asked[length] + 1}, or more"
        )


def _resume_command(model: str, out: Path) -> str:
    command = f"minigan train {model} --out {shlex.quote(str(out))} --resume"
    return command if backend.name() == "numpy" else f"{command} --backend {backend.name()}"


# --- sample ---------------------------------------------------------------------------------------


@cli.command(short_help="Draw new pictures with the model of a run.")
@click.argument("run_path", metavar="RUN", type=PathName())
@click.option(
    "-n",
    "n",
    type=click.IntRange(1, 10**6),
    default=64,
    show_default=True,
    help="The number of pictures; a .png holds at most 10,000.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The seed of the latents.",
)
@click.option(
    "-o",
    "--out",
    type=PathName(dir_okay=False),
    default=Path("grid.png"),
    show_default=True,
    help="The file: a grid (.png), or arrays (.npz: images, uint8 (N, C, H, W)).",
)
@click.option(
    "--interpolate",
    is_flag=True,
    help="Make each row a walk from one latent to another; -n is rounded up to whole rows.",
)
@click.option(
    "--feature-maps",
    is_flag=True,
    help="Draw one latent's way through the layers of both players.",
)
@_backend_option
@click.pass_context
def sample(
    context: click.Context,
    run_path: Path,
    n: int,
    seed: int,
    out: Path,
    interpolate: bool,
    feature_maps: bool,
) -> None:
    """Draw new pictures with the model of the run in the directory RUN."""
    kind = out.suffix.lower()
    if kind not in (".png", ".npz"):
        raise click.UsageError(f"-o {out}: expected a name that ends in .png or .npz")
    if kind == ".png" and n > 10_000:
        raise click.UsageError(f"-n {n}: a .png holds at most 10,000 pictures, a .npz more")
    if feature_maps and (interpolate or kind != ".png"):
        raise click.UsageError("--feature-maps draws one .png, and takes no --interpolate")
    run = Run.open(run_path)
    model = load_model(run)
    _say_backend(context)
    if feature_maps:
        layers = explore.feature_maps(model, model.latents(1, backend.generator(seed)))
        plotting.save_feature_maps(
            layers, out, f"{runs.title(run)}, latent {seed}: from z through G and D"
        )
        click.echo(out)
        return
    columns = None
    if interpolate:
        columns = max(2, math.ceil(math.sqrt(n)))
        images = explore.interpolate(model, math.ceil(n / columns), columns, seed)
    else:
        images = model.sample(n, seed)
    if kind == ".npz":
        npz = io.BytesIO()
        numpy.savez_compressed(npz, images=images)
        write_atomic(out, npz.getvalue())
    else:
        plotting.save_grid(images, out, columns)
    click.echo(out)


def load_model(run: Run) -> GAN:
    """The model of a run, with its nets' last weights and the numbers that belong to them."""
    name = run.config["model"]
    if name not in MODELS:
        raise click.UsageError(
            f"{run.path} is a run of {name}, a model that the command does not know, only "
            "the Python code that defines it: minigan.train(..., resume=True).model"
        )
    chosen = run.config["arguments"]["hyperparameters"] or {}
    model = hyperparameters.build(MODELS[name], chosen, tuple(run.config["data_shape"][1:]))
    try:
        for net, module in model.parts(Module).items():
            model.load_values(run.load_weights(net, module))
    except (DamagedFileError, FileNotFoundError) as error:
        if not run.has_checkpoint:
            raise
        again = _resume_command(name, run.path)
        raise FailedError(f"{error}. To write it again: {again}") from error
    return model


# --- evaluate -------------------------------------------------------------------------------------


@cli.command("evaluate", short_help="Measure the samples of a run, and real images.")
@click.argument("run_path", metavar="RUN", type=PathName())
@click.option(
    "--samples",
    "n",
    type=click.IntRange(evaluation.FEWEST, 10_000),
    default=10_000,
    show_default=True,
    help="The number of samples, at most as many as there are test images.",
)
@_backend_option
@click.pass_context
def evaluate_run(context: click.Context, run_path: Path, n: int) -> None:
    """Measure the samples of the run in RUN, and real images beside them.

    The table goes to RUN/evaluation.json too, a picture of nearest neighbours to RUN/nearest.png.
    """
    run = Run.open(run_path)
    model = load_model(run)
    name = run.config["arguments"]["data"]
    if name is None:
        raise click.UsageError(
            f"{run.path} was trained on images that no name leads to; measure the samples in "
            "Python: minigan.evaluation.evaluate"
        )
    train_images, train_labels = data.load(name)
    runs.check_data(run, data.fingerprint(train_images, train_labels))
    reference = evaluation.Reference.of(train_images, *data.load(name, "test"), n)
    if len(reference.test) < n:
        say(f"{name} has too few images for {n:,}: {len(reference.test):,} are measured")
    _say_backend(context)
    samples = model.sample(len(reference.test), seed=0)
    table, neighbours = evaluation.evaluate(samples, reference)
    click.echo(f"{runs.title(run)}: {len(samples):,} samples beside as many test images")
    click.echo(_table(table))
    record = {"arguments": run.config["arguments"], "data_sha256": run.config["data_sha256"]}
    text = json.dumps({**record, "weights": run.weights_sha256(), **table}, indent=2)
    write_atomic(run.path / "evaluation.json", f"{text}\n".encode())
    picture = run.path / "nearest.png"
    with runs.matplotlib_in(run.path):
        plotting.save_neighbours(samples, neighbours.images, neighbours.distances, picture)
    click.echo(picture)


def _table(table: dict[str, Any]) -> str:
    """The measures and what each cannot see, as lines of at most 100 characters."""
    own, floor = table["samples"], table["floor"]

    def row(name: str, *cells: str) -> str:
        return f"  {name:<18}{cells[0]:>16}{cells[1]:>16}  {cells[2]}"

    lines = [row("", "samples", "floor *", "better")]
    spread = {"kid": "kid_std", "parzen": "parzen_error"}
    for m in evaluation.MEASURES:
        cells = [
            f"{part[m.key]:.{m.decimals}f}"
            + (f" ± {part[spread[m.key]]:.{m.decimals}f}" if m.key in spread else "")
            for part in (own, floor)
        ]
        lines.append(row(m.name, *cells, m.better))
    lines += ["", "  share of each digit in %"]
    for name, part in (("samples", own), ("floor *", floor)):
        lines.append(f"  {name:<10}" + "".join(f"{100 * share:6.1f}" for share in part["classes"]))
    lines += ["", "  * as many training images in the samples' place; for neighbours, test images"]
    lines += ["", "  What each cannot see"]
    lines += [f"  {m.name:<18}{m.blind}" for m in evaluation.MEASURES]
    return "\n".join(lines)


# --- data -----------------------------------------------------------------------------------------


@cli.group("data", short_help="Find, check or download the data sets.")
def data_group() -> None:
    """Find, check or download the data sets (mnist, mnist-mini, fashion-mnist, or a folder)."""


_name = click.argument("name", default="mnist")


@data_group.command("info")
@_name
def data_info(name: str) -> None:
    """Say which files NAME would be read from, without downloading."""
    for file in data.info(name):
        state = "ok" if file.ok else file.problem
        size = "-" if file.bytes is None else f"{file.bytes:,}"
        click.echo(f"{file.file}\n  {file.kind}: {file.path}\n  {size} bytes, {state}")


@data_group.command("verify")
@_name
def data_verify(name: str) -> None:
    """Read the files of NAME and check them by their SHA-256."""
    source = data.verify(name)
    click.echo(f"{name}: all files are intact ({source.kind}: {source.folder})")


@data_group.command("fetch")
@_name
def data_fetch(name: str) -> None:
    """Download NAME into the cache folder."""
    click.echo(data.fetch(name))


# --- bench ----------------------------------------------------------------------------------------


@cli.command(short_help="Time training steps on this machine.")
@_backend_option
@click.pass_context
def bench(context: click.Context) -> None:
    """Time this machine's training steps, beside PyTorch's where it is installed."""
    _say_backend(context)
    from minigan import bench as benchmark

    benchmark.main()


# --- exercises ------------------------------------------------------------------------------------

for _exercise_command in COMMANDS:
    cli.add_command(_exercise_command)


def main() -> NoReturn:
    """The entry point: every foreseen error becomes one line on stderr and an exit code."""

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    sys.stdout = sys.stdout or open(os.devnull, "w")  # closed by the caller
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # the names of files need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    # One bar needs no lock of multiprocessing's, which from Python 3.14 on writes into the folder
    # for temporary files and starts a process.
    tqdm.set_lock(threading.RLock())
    with answered([signal.SIGTERM], interrupt):  # as Ctrl-C does by itself
        code = _run(lambda: cli.main(prog_name="minigan", standalone_mode=False))
    sys.exit(code)


def _reason(error: OSError) -> str:
    """Without the number, and with the file in front."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    return error.strerror or str(error)


def _run(command: Callable[[], Any]) -> int:
    try:
        result = command()
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        message, code = error.format_message(), error.exit_code
    except click.Abort:
        message, code = "stopped", 130
    except (DamagedFileError, ForeignFileError, data.DamagedDataError, MemoryError) as error:
        message, code = str(error) or "out of memory", 1
    except (ValueError, TypeError, RunInUseError) as error:
        message, code = str(error), 2
    except BrokenPipeError:  # whoever read our words has left: `minigan list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        wrong_name = isinstance(error, FileNotFoundError) or error.errno in WRONG_NAME
        message, code = _reason(error), 2 if wrong_name else 1
    else:
        return result if isinstance(result, int) else 0
    try:
        os.getcwd()
    except FileNotFoundError:
        if "current folder" not in message:
            message = f"{message.rstrip('.')}. The current folder is no longer there: go to another"
    say(message)
    return code
