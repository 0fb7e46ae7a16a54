"""Layer 7: the commands. A user's mistake is one line and exit code 2, a failed run one and 1."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import platform
import shlex
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy
from click.core import ParameterSource
from click.exceptions import NoArgsIsHelpError
from tqdm.std import tqdm

import minigan
from minigan import backend, data, evaluation, plotting
from minigan.checkpoint import (
    LENGTH,
    PARTIAL,
    DamagedFileError,
    ForeignFileError,
    Run,
    RunInUseError,
    write_atomic,
)
from minigan.grading.commands import COMMANDS
from minigan.losses import OBJECTIVES, wasserstein
from minigan.models import GAN, MODELS
from minigan.options import PathName
from minigan.training import DivergedError, Trainer, fit, handling

#: What the system says of a path that cannot be: a mistake, where a full disk is a failure.
WRONG_NAME = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
DATA_NAMES = ("mnist", "mnist-mini", "fashion-mnist")


class FailedError(click.ClickException):
    """A run that failed, rather than a call that was wrong."""

    exit_code = 1


def _say(message: str) -> None:
    """One line on stderr, and no character of a name in it is a command to the terminal."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(message.split()))
    click.echo(f"minigan: {line}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(minigan.__version__, prog_name="minigan")
def cli() -> None:
    """Generative adversarial networks, from the arithmetic up.

    \b
    minigan train mlp             train a GAN on MNIST, into runs/mlp
    minigan sample runs/mlp       draw new digits from it
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
        _say(warning)


_backend_option = click.option(
    "--backend",
    type=click.Choice(list(backend.LIBRARIES)),
    envvar="MINIGAN_BACKEND",
    default="numpy",
    show_default=True,
    callback=_use_backend,
    expose_value=False,
    help="Where the arrays live.",
)


# --- train ----------------------------------------------------------------------------------------

#: More would take years.
_at_least_1 = click.IntRange(min=1, max=10**9)


@cli.command()
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option(
    "--loss",
    type=click.Choice(list(OBJECTIVES)),
    default="non_saturating",
    show_default=True,
    help="What both players minimise.",
)
@click.option(
    "--data",
    "data_name",
    default="mnist",
    show_default=True,
    metavar="|".join((*DATA_NAMES, "PATH")),
    help="A data set by name, or a folder with four IDX files.",
)
@click.option(
    "--epochs",
    type=_at_least_1,
    show_default="the model's",
    help="Passes over the data in all.",
)
@click.option("--steps", type=_at_least_1, help="Steps in all, in place of --epochs.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    show_default="the model's",
    help="Of each player's batch.",
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    show_default="the model's",
    help="Of both players.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of every random number in the run.",
)
@_backend_option
@click.option("--out", type=PathName(), help="The run's directory. [runs/MODEL]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, from its checkpoint.")
@click.pass_context
def train(
    context: click.Context,
    model: str,
    loss: str,
    data_name: str,
    epochs: int | None,
    steps: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int,
    out: Path | None,
    resume: bool,
) -> None:
    """Train MODEL and write pictures, curves, weights and checkpoints to a directory.

    Ctrl-C saves; --resume goes on from there, to the same bytes as a run that was never stopped.
    """
    if epochs is not None and steps is not None:
        raise click.UsageError("--epochs and --steps both say how long; give one of them")
    if OBJECTIVES[loss] is wasserstein:
        raise click.UsageError(
            f"--loss wasserstein has no minimum for {model}: nothing there bounds the critic's "
            "slope, and the steeper the critic, the lower its loss; use hinge or least_squares, or "
            "add minigan.losses.gradient_penalty in a loop of your own"
        )
    defaults = MODELS[model].defaults
    asked: dict[str, Any] = {
        "model": model,
        "loss": loss,
        "data": data_name,
        "epochs": epochs,
        "steps": steps,
        "batch_size": batch_size if batch_size is not None else defaults["batch_size"],
        "lr": lr if lr is not None else defaults["lr"],
        "seed": seed,
    }
    if epochs is None and steps is None:
        asked["epochs"] = defaults["epochs"]
    if data_name not in DATA_NAMES and os.path.isdir(data_name):
        # For a --resume from another folder.
        asked["data"] = os.path.abspath(data_name)
    out = out or Path("runs") / model

    run = None
    if resume:
        context.with_resource(Run.open(out).claimed())
        run = Run.open(out)  # once more: until it was claimed, it could change
        _merge_into(run, asked, context)
        asked = run.config["arguments"]
    images, labels = data.load(asked["data"])
    fingerprint = data.fingerprint(images, labels)

    backend.manual_seed(asked["seed"])
    gan = MODELS[model]()
    trainer = Trainer(
        gan,
        images,
        OBJECTIVES[asked["loss"]],
        batch_size=asked["batch_size"],
        lr=asked["lr"],
    )
    total = asked["steps"] or asked["epochs"] * trainer.steps_per_epoch
    if run is None:
        run = _create_run(out, asked, fingerprint, len(images))
        context.with_resource(run.claimed())
        if run.has_checkpoint:  # a --resume came between
            raise RunInUseError(f"{out} is in use by another process")
    else:
        _load_state(run, trainer, fingerprint, total)
    _say_backend(context)
    before = trainer.steps_done
    if before < total:
        click.echo(
            f"{model} on {len(trainer.images):,} images, {asked['loss']}, seed {asked['seed']}, "
            f"steps {before:,} to {total:,}, into {out}",
            err=True,
        )

    samples = run.path / "samples"
    samples.mkdir(exist_ok=True)

    def grid(epoch: int) -> Path:
        return samples / f"epoch_{epoch:04d}.png"

    def draw(epoch: int) -> None:
        plotting.save_grid(gan.generate(trainer.fixed_latents), grid(epoch))

    go_on = f"go on with: {_resume_command(run)}"
    last = math.ceil(total / trainer.steps_per_epoch)
    try:
        if before < total:
            fit(trainer, total, run, draw)
        finished = trainer.steps_done >= total
        if finished:
            if total % trainer.steps_per_epoch:  # --steps ended within an epoch
                draw(last)
            _draw_summary(run, [grid(epoch) for epoch in range(last + 1)])
    except DivergedError as error:
        raise FailedError(
            f"{error}; {run.checkpoint_path} is the last good checkpoint. A smaller --lr may help, "
            f"with another --out than {out}"
        ) from error
    except OSError as error:  # a full disk, for one
        raise FailedError(f"{_reason(error)}. When that is mended, {go_on}") from error
    except KeyboardInterrupt:  # after the last step; fit() itself only stops
        finished = False
    if not finished:
        saved = "stopped and saved" if run.has_checkpoint else "stopped"
        click.echo(f"{saved} at step {trainer.steps_done:,}; {go_on}")
        context.exit(130)
    if before < total:
        click.echo(f"done: {grid(last)}")
    else:
        length = "steps" if asked["steps"] else "epochs"
        click.echo(
            f"nothing to train, {run.path} is already at step {before:,} of {total:,}; "
            f"{go_on} --{length} {asked[length] + 1}, or more"
        )


def _draw_summary(run: Run, frames: list[Path]) -> None:
    """The curves and the animation of a run that is finished."""
    for warning in run.mend_logs():
        _say(warning)
    with _matplotlib_in(run.path):
        logistic = OBJECTIVES[run.config["arguments"]["loss"]].logistic
        save = plotting.save_curves if logistic else plotting.save_score_curves
        save(run.rows("history.csv"), run.path / "curves.png", _title(run))
    for problem in plotting.save_animation(frames, run.path / "training.gif"):
        _say(problem)


@contextlib.contextmanager
def _matplotlib_in(folder: Path) -> Iterator[None]:
    """Let matplotlib keep its list of fonts there, and no longer than the block.

    On its own it would write into the user's home, where a run has no business.
    """
    name, (first, last) = "MPLCONFIGDIR", PARTIAL
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(last, f"{first}matplotlib.", folder) as cache:
        os.environ[name] = cache
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


def _create_run(out: Path, asked: dict[str, Any], fingerprint: str, n_images: int) -> Run:
    """A new run's directory, with everything in config.json that repeating the run needs."""
    config = {
        "model": asked["model"],
        "arguments": asked,
        "backend": backend.name(),
        "data_sha256": fingerprint,
        "data_images": n_images,
        "versions": {
            "minigan": minigan.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }
    try:
        return Run.create(out, config)
    except FileExistsError as error:
        raise click.UsageError(
            f"{_reason(error)}; choose another --out, or go on with it by --resume"
        ) from error


def _merge_into(run: Run, asked: dict[str, Any], context: click.Context) -> None:
    """Check what was asked for against a run's arguments; only the length may grow."""
    stored = run.config.get("arguments", {})
    if "data_sha256" not in run.config or stored.keys() != asked.keys():
        raise DamagedFileError(f"{run.path / 'config.json'}: damaged (a part is missing)")
    given = {
        name
        for name in asked
        if context.get_parameter_source("data_name" if name == "data" else name)
        is ParameterSource.COMMANDLINE
    }
    for name in sorted(given - set(LENGTH)):
        if asked[name] != stored[name]:
            raise click.UsageError(
                f"the run was made with {name} {stored[name]!r}, not {asked[name]!r}; "
                "--resume changes nothing but a larger --epochs or --steps"
            )
    for name, other in (("epochs", "steps"), ("steps", "epochs")):
        if name not in given:
            continue
        if stored[name] is None:
            raise click.UsageError(f"the run counts {other}; give a larger --{other}")
        if asked[name] < stored[name]:
            raise click.UsageError(
                f"the run was made for {stored[name]} {name}; --{name} {asked[name]} is fewer"
            )
        stored[name] = asked[name]


def _load_state(run: Run, trainer: Trainer, fingerprint: str, total: int) -> None:
    """Put the trainer where the run's checkpoint is, and the run's files with it."""
    _check_data(run, fingerprint)
    history = b""
    if run.has_checkpoint:  # else it was stopped before the first one: start at step 0
        history = _load_checkpoint(run, trainer)
    elif run.logs["history.csv"]:  # which has no row before the first checkpoint is written
        raise DamagedFileError(
            f"{run.checkpoint_path}: missing, and so is the one before; nothing was changed. "
            "To start anew, choose another --out"
        )
    done = trainer.steps_done
    if done < total and not trainer.is_logged(done):
        done -= 1  # a shorter run's last row, which a longer one does not have
    for warning in run.restore_logs(history, done):
        _say(warning)
    run.save_config()


def _check_data(run: Run, fingerprint: str) -> None:
    if run.config["data_sha256"] != fingerprint:
        raise click.UsageError(
            f"{run.path} was trained on other data ({run.config['data_sha256'][:12]}…, "
            f"now {fingerprint[:12]}…)"
        )


def _load_checkpoint(run: Run, trainer: Trainer) -> bytes:
    """Set the trainer and the weights' files to the newest checkpoint; its history.csv."""
    tensors, info, warning = run.load_checkpoint()
    if warning:
        _say(warning)
    try:
        made_on, history = info["backend"], tensors["history.csv"].tobytes()
        trainer.load_state(tensors, info)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"{run.checkpoint_path}: not this run's state ({error!r})"
        ) from error
    run.save_weights(tensors)
    if made_on != backend.name():
        _say(
            f"the checkpoint was made on {made_on}, this is {backend.name()}: "
            "the same draws, but other rounding"
        )
    return history


def _resume_command(run: Run) -> str:
    command = f"minigan train {run.config['model']} --out {shlex.quote(str(run.path))} --resume"
    return command if backend.name() == "numpy" else f"{command} --backend {backend.name()}"


def _title(run: Run) -> str:
    asked = run.config["arguments"]
    data_name = click.format_filename(asked["data"])
    return f"{asked['model']}, {asked['loss']}, {data_name}, seed {asked['seed']}"


# --- sample ---------------------------------------------------------------------------------------


@cli.command()
@click.argument("run_path", metavar="RUN", type=PathName())
@click.option(
    "-n",
    "n",
    type=click.IntRange(1, 10**6),
    default=64,
    show_default=True,
    help="How many digits; at most 10,000 in a picture.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the latents."
)
@click.option(
    "-o",
    "--out",
    type=PathName(dir_okay=False),
    default=Path("grid.png"),
    show_default=True,
    help="A picture (.png), or the arrays (.npz: images, uint8 (N, 28, 28)).",
)
@click.option(
    "--interpolate",
    is_flag=True,
    help="Make each row a walk from one latent to another; -n is rounded up to whole rows.",
)
@click.option(
    "--feature-maps", is_flag=True, help="Draw one digit's way through the layers of both players."
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
    """Draw new digits with the generator of the run in the directory RUN."""
    kind = out.suffix.lower()
    if kind not in (".png", ".npz"):
        raise click.UsageError(f"-o {out}: expected a name that ends in .png or .npz")
    if kind == ".png" and n > 10_000:
        raise click.UsageError(f"-n {n}: a picture holds at most 10,000 digits, a .npz more")
    if feature_maps and (interpolate or kind != ".png"):
        raise click.UsageError("--feature-maps draws one .png, and takes no --interpolate")
    run = Run.open(run_path)
    model = load_model(run)
    _say_backend(context)
    if feature_maps:
        layers = model.feature_maps(model.latents(1, backend.generator(seed)))
        plotting.save_feature_maps(
            layers, out, f"{_title(run)}, latent {seed}: from z through G and D"
        )
        click.echo(out)
        return
    columns = None
    if interpolate:
        columns = max(2, math.ceil(math.sqrt(n)))
        images = model.interpolate(math.ceil(n / columns), columns, seed)
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
    """The model of a run, with its generator's and its discriminator's last weights."""
    try:
        model = MODELS[run.config["model"]]()
    except KeyError as error:
        raise DamagedFileError(f"{run.path / 'config.json'}: unknown model {error}") from error
    try:
        run.load_weights("generator", model.generator)
        run.load_weights("discriminator", model.discriminator)
    except (DamagedFileError, FileNotFoundError) as error:
        if not run.has_checkpoint:
            raise
        raise FailedError(f"{error}. To write it again: {_resume_command(run)}") from error
    return model


# --- evaluate -------------------------------------------------------------------------------------


@cli.command("evaluate")
@click.argument("run_path", metavar="RUN", type=PathName())
@click.option(
    "--samples",
    "n",
    type=click.IntRange(evaluation.FEWEST, 10_000),
    default=10_000,
    show_default=True,
    help="How many, and at most as many as there are test images.",
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
    train_images, train_labels = data.load(name)
    _check_data(run, data.fingerprint(train_images, train_labels))
    reference = evaluation.Reference.of(train_images, *data.load(name, "test"), n)
    if len(reference.test) < n:
        _say(f"{name} has too few images for {n:,}: {len(reference.test):,} are measured")
    _say_backend(context)
    samples = model.sample(len(reference.test), seed=0)
    table, neighbours = evaluation.evaluate(samples, reference)
    click.echo(f"{_title(run)}: {len(samples):,} samples beside as many test images")
    click.echo(_table(table))
    record = {"arguments": run.config["arguments"], "data_sha256": run.config["data_sha256"]}
    text = json.dumps({**record, "weights": run.weights_sha256("generator"), **table}, indent=2)
    write_atomic(run.path / "evaluation.json", f"{text}\n".encode())
    picture = run.path / "nearest.png"
    with _matplotlib_in(run.path):
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


@cli.group("data")
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
    click.echo(f"{name}: all four files are intact ({source.kind}: {source.folder})")


@data_group.command("fetch")
@_name
def data_fetch(name: str) -> None:
    """Download NAME into the cache folder."""
    click.echo(data.fetch(name))


# --- bench ----------------------------------------------------------------------------------------


@cli.command()
@_backend_option
@click.pass_context
def bench(context: click.Context) -> None:
    """Time this machine's training steps, against what else is installed."""
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
    with handling([signal.SIGTERM], interrupt):  # as Ctrl-C does by itself
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
    _say(message)
    return code
