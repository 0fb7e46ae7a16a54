"""Layer 6: a run from start to end: what ``minigan train`` does, for a notebook too.

    model, data  →  batches  →  steps (``training.fit``)  →  rows, pictures, weights, checkpoints

A run in a directory can be stopped and killed at any moment, and goes on to the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy

from minigan import backend, plotting
from minigan import data as datasets
from minigan.arguments import flag, integer, wrong_type
from minigan.checkpoint import LENGTH, PARTIAL, DamagedFileError, Run, RunInUseError
from minigan.console import in_a_notebook, say
from minigan.losses import Objective
from minigan.models import GAN, MODELS, hyperparameters
from minigan.nn import Module
from minigan.training import DivergedError, Trainer, fit, is_finished

__all__ = ["Recipe", "Training", "WriteError", "picture", "title", "train"]


@dataclass(frozen=True)
class Recipe:
    """A model by its name and what is chosen of its hyperparameters, built when a run begins."""

    name: str
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise ValueError(f"train: no model {self.name!r}, expected one of {', '.join(MODELS)}")


class WriteError(RuntimeError):
    """A file of a run could not be written; its last checkpoint is whole."""


@dataclass
class Training:
    """What a run has come to.

    Attributes:
        model: the GAN, as the last step left it.
        rows: of history.csv, of all parts of the run: numbers by column.
        path: the run's directory, None if nothing was written.
        trainer: the model's place in the data.
        steps: how many of the run's steps were done in this call.
        finished: whether the run has its whole length; else it was asked to stop.
    """

    model: GAN = field(repr=False)
    rows: list[dict[str, float]] = field(repr=False)
    path: Path | None
    trainer: Trainer = field(repr=False)
    steps: int
    finished: bool


def train(
    model: str | GAN | Recipe,
    data: Any = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Training:
    """Train a model and, with ``out``, write pictures, curves, weights and checkpoints there.

    Progress is shown in a terminal, a notebook or a log file, in a notebook with the pictures of
    each epoch. Ctrl-C, or a notebook's stop button, ends the run after a step and saves it; a
    resumed run ends in the same bytes as one that was never stopped.

    Args:
        model: a name of ``minigan.models.MODELS``, a GAN, which keeps the weights it has, or a
            Recipe: a name with hyperparameters.
        data: the name of a data set, a folder, images as uint8 (N, H, W) or (N, C, H, W), or
            (images, labels). With ``resume`` it may be left out if the run has a name for it.
        epochs, steps: the length in all, given as one of the two; the model's ``epochs`` if none.
        batch_size: pictures in a batch, the model's if None.
        seed: starts all random streams; a model given by name is built after that. With None they
            go on from where they are.
        out: the run's directory, new or empty. None writes nothing.
        resume: go on with the run in ``out``, from its last checkpoint. It may become longer;
            all other arguments are the run's, and may be left out.

    Raises:
        ValueError, TypeError: an argument makes no sense, or is not the run's.
        DivergedError: a loss or a gradient is not finite. WriteError: a file cannot be written.
        FileExistsError: there is a run in ``out`` already. FileNotFoundError: there is none.
        DamagedFileError, ForeignFileError, RunInUseError: about files of the run.
    """
    if isinstance(model, str):
        model = Recipe(model)
    if not isinstance(model, (GAN, Recipe)):
        raise TypeError(f"train: model must be a name or a GAN, got {type(model).__name__}")
    recipe = model if isinstance(model, Recipe) else None
    kind: type[GAN] = MODELS[model.name] if isinstance(model, Recipe) else type(model)
    name, folder = model.name, _folder(out)
    if flag("train", "resume", resume) and folder is None:
        raise ValueError("train: resume needs out, the directory of the run to go on with")
    numbers = {"epochs": (epochs, 1), "steps": (steps, 1), "batch_size": (batch_size, 2),
               "seed": (seed, 0)}  # fmt: skip
    given = {k: integer("train", k, v, least) for k, (v, least) in numbers.items() if v is not None}
    if epochs is not None and steps is not None:
        raise ValueError("epochs and steps both say how long; give one of them")
    asked = _asked(kind, recipe, data, given)
    if recipe and not resume and asked["data"] in datasets.NAMES:  # all of one shape
        with backend.streams_kept():  # a mistake is told before a download
            hyperparameters.build(kind, asked["hyperparameters"])

    with contextlib.ExitStack() as stack:
        run = None
        if resume and folder is not None:
            stack.enter_context(Run.open(folder).claimed())
            run = Run.open(folder)  # once more: until it was claimed, it could change
            _merge(run, name, asked, {*given}, recipe)
            asked = run.config["arguments"]
        images, labels = _loaded(asked["data"] if data is None else data)
        fingerprint = datasets.fingerprint(images, labels)
        if asked["seed"] is not None:
            backend.manual_seed(asked["seed"])
        gan = model
        if isinstance(gan, Recipe):
            chosen = asked["hyperparameters"]
            if chosen is None:  # the run was made with a GAN; what it has is compared below
                chosen = gan.chosen
            gan = hyperparameters.build(kind, chosen, images.shape[1:])
        trainer = Trainer(gan, gan.batches(images, labels, asked["batch_size"]))
        length = {key: asked[key] for key in LENGTH}
        values = _values(gan)
        if run is not None:
            _load_state(run, trainer, values, fingerprint, length)
        elif folder is not None:
            run = _create(folder, name, asked, values, fingerprint, images)
            stack.enter_context(run.claimed())
            if run.has_checkpoint:  # a resume came between
                raise RunInUseError(f"{folder} is in use by another process")
        return _go(trainer, run, length, f"{_words(name, asked)}: {len(images):,} images")


def _go(trainer: Trainer, run: Run | None, length: dict[str, Any], what: str) -> Training:
    """Train to the whole length; draw on the way and at the end."""
    before, rows = trainer.steps_done, []
    try:
        draw = _drawing(trainer.model, run)
        if not is_finished(trainer, **length):
            unit = next(key for key in LENGTH if length[key] is not None)
            done = math.floor(trainer.data.epoch) if unit == "epochs" else before
            into = f", into {run.path}" if run else ""
            say(f"{what}, {unit} {done:,} to {length[unit]:,}{into}")
            rows = fit(trainer, run=run, on_epoch=draw, **length)
        finished, last = is_finished(trainer, **length), math.ceil(trainer.data.epoch)
        if finished and draw is not None and trainer.data.epoch < last:  # ended within an epoch
            draw(last)
        if finished and run is not None:
            _draw_summary(run, trainer.model, [picture(run.path, i) for i in range(last + 1)])
    except DivergedError as error:
        good = f"; {run.checkpoint_path} is the last good checkpoint" if run else ""
        raise DivergedError(f"{error}{good}") from error
    except OSError as error:  # a full disk, for one
        raise WriteError(f"{error.filename or what}: {error.strerror or error}") from error
    except KeyboardInterrupt:  # while it draws: fit() itself only stops
        finished = False
    if run is not None:
        rows = run.rows("history.csv")
    steps = trainer.steps_done - before
    path = None if run is None else run.path
    return Training(trainer.model, rows, path, trainer, steps, finished)


# --- What is asked for ----------------------------------------------------------------------------


def _folder(out: Any) -> Path | None:
    """The run's directory, None for none."""
    if out is None:
        return None
    if not isinstance(out, (str, os.PathLike)):
        raise wrong_type("train", "out", "the path of a directory", out)
    if not os.fspath(out):
        raise ValueError("train: out must be the path of a directory, got no name")
    return Path(out)


def _asked(
    kind: type[GAN], recipe: Recipe | None, data: Any, given: Mapping[str, int]
) -> dict[str, Any]:
    """What config.json says was asked for: what was given, and else the usual."""
    asked = {
        "epochs": kind.epochs if "steps" not in given else None,
        "steps": None,
        "data": _data_name(data),
        "batch_size": kind.batch_size,
        "seed": None,
        **given,
        "hyperparameters": {**hyperparameters.defaults(kind), **recipe.chosen} if recipe else None,
    }
    as_read: dict[str, Any] = json.loads(json.dumps(asked))  # tuples become lists
    return as_read


def _data_name(data: Any) -> str | None:
    """What config.json says of the data: a name, a folder wherever a run is resumed, or None."""
    if not isinstance(data, (str, os.PathLike)):
        return None
    name = os.fspath(data)
    return os.path.abspath(name) if os.path.isdir(name) and name not in datasets.NAMES else name


def _loaded(data: Any) -> tuple[numpy.ndarray, numpy.ndarray | None]:
    """Images, uint8 (N, C, H, W), and labels (N,) or None."""
    if data is None:
        raise ValueError("train: there are no data: give a name, a folder, or images")
    if isinstance(data, (str, os.PathLike)):
        images, labels = datasets.load(os.fspath(data))
    elif isinstance(data, tuple) and len(data) == 2:
        images, labels = data
    elif isinstance(data, numpy.ndarray):
        images, labels = data, None
    else:
        raise TypeError(
            "train: data must be a name, a folder, an array of images, or the pair (images, "
            f"labels), got a {type(data).__name__}"
        )
    images = datasets.as_images(images)
    if labels is not None:
        labels = numpy.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise TypeError(f"train: labels must be integers, got {labels.dtype}")
        if labels.shape != (len(images),):
            raise ValueError(
                f"train: labels must have shape ({len(images)},), one per image, got {labels.shape}"
            )
    return images, labels


def _create(
    out: Path,
    name: str,
    asked: dict[str, Any],
    values: dict[str, Any],
    fingerprint: str,
    images: numpy.ndarray,
) -> Run:
    """A new run's directory, with everything in config.json that repeating the run needs."""
    config = {
        "model": name,
        "arguments": asked,
        "values": values,
        "backend": backend.name(),
        "data_sha256": fingerprint,
        "data_shape": list(images.shape),
        "versions": {
            "minigan": version("minigan"),
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }
    try:
        return Run.create(out, config)
    except FileExistsError as error:
        raise FileExistsError(
            f"{error}; go on with a run by resume=True, or choose another out"
        ) from error


def _merge(
    run: Run, name: str, asked: dict[str, Any], given: set[str], recipe: Recipe | None
) -> None:
    """Check what was asked for against a run's arguments; only the length may grow."""
    stored = run.config.get("arguments", {})
    if "data_sha256" not in run.config or stored.keys() != asked.keys():
        raise DamagedFileError(f"{run.path / 'config.json'}: damaged (a part is missing)")
    theirs, ours = stored["hyperparameters"] or {}, asked["hyperparameters"] or {}
    pairs = [("model", run.config["model"], name)]
    if None not in (stored["data"], asked["data"]):  # arrays have no name; their hash is compared
        pairs.append(("data", stored["data"], asked["data"]))
    pairs += [(k, stored[k], asked[k]) for k in sorted(given - {*LENGTH})]
    pairs += [(k, theirs[k], ours[k]) for k in (recipe.chosen if recipe else ()) if k in theirs]
    for key, was, is_ in pairs:
        if was != is_:
            raise ValueError(
                f"the run was made with {key} {was!r}, not {is_!r}; "
                "resuming changes nothing but a larger number of epochs or steps"
            )
    for key, other in (("epochs", "steps"), ("steps", "epochs")):
        if key not in given:
            continue
        if stored[key] is None:
            raise ValueError(f"the run counts {other}; give a larger number of {other}")
        if asked[key] < stored[key]:
            raise ValueError(
                f"the run was made for {stored[key]} {key}, and {asked[key]} are fewer"
            )
        stored[key] = asked[key]


def _load_state(
    run: Run, trainer: Trainer, values: dict[str, Any], fingerprint: str, length: dict[str, Any]
) -> None:
    """Put the trainer where the run's checkpoint is, and the run's files with it."""
    check_data(run, fingerprint)
    history = b""
    if run.has_checkpoint:  # else it was stopped before the first one: start at step 0
        history = _load_checkpoint(run, trainer, values)
    elif run.logs["history.csv"]:  # which has no row before the first checkpoint is written
        raise DamagedFileError(
            f"{run.checkpoint_path}: missing, and so is the one before; nothing was changed. "
            "To start anew, choose another directory"
        )
    else:
        _check_values(run, values)
    done = trainer.steps_done
    if done and not is_finished(trainer, **length) and not trainer.is_logged:
        done -= 1  # a shorter run's last row, which a longer one does not have
    for warning in run.restore_logs(history, done):
        say(warning)
    run.save_config()


def check_data(run: Run, fingerprint: str) -> None:
    """ValueError if a run was trained on other data than those of a fingerprint."""
    if run.config["data_sha256"] != fingerprint:
        raise ValueError(
            f"{run.path} was trained on other data ({run.config['data_sha256'][:12]}…, "
            f"now {fingerprint[:12]}…)"
        )


def _values(model: GAN) -> dict[str, Any]:
    """What tells a model from others of its class: numbers, its optimisers' too, and its game."""
    games = {name: game.name for name, game in model.parts(Objective).items()}
    values: dict[str, Any] = json.loads(json.dumps(model.state()[1] | games))
    return values


def _check_values(run: Run, values: dict[str, Any], saved: dict[str, Any] | None = None) -> None:
    """ValueError if a model's values are neither what the run began with nor what it saved."""
    began = run.config["values"]
    for key in sorted(values.keys() | began.keys()):
        was, is_ = (v.get(key, "nothing") for v in (began, values))
        if repr(is_) not in map(repr, (was, (saved or {}).get(key, was))):  # NaN is not NaN
            raise ValueError(f"the run began with {key} {was!r}, this model has {is_!r}")


def _load_checkpoint(run: Run, trainer: Trainer, values: dict[str, Any]) -> bytes:
    """Set the trainer and the nets' files to the newest checkpoint; its history.csv."""
    arrays, info, warning = run.load_checkpoint()
    _check_values(run, values, info.get("values"))
    if warning:
        say(warning)
    try:
        made_on, history = info["backend"], arrays.pop("history.csv").tobytes()
        trainer.load_state(arrays, info)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(
            f"{run.checkpoint_path}: not this run's state ({error!r})"
        ) from error
    run.save_weights(trainer.model.parts(Module), arrays, info["values"])
    if made_on != backend.name():
        say(
            f"the checkpoint was made on {made_on}, this is {backend.name()}: "
            "the same draws, but other rounding"
        )
    return history


# --- Pictures -------------------------------------------------------------------------------------


def picture(path: Path, epoch: int) -> Path:
    """Where a run has the preview after an epoch."""
    return path / "samples" / f"epoch_{epoch:04d}.png"


def _drawing(model: GAN, run: Run | None) -> Callable[[int], None] | None:
    """What draws the preview after an epoch: into a file, into a notebook, or both."""
    notebook = in_a_notebook()
    if run is not None:
        (run.path / "samples").mkdir(exist_ok=True)
    elif not notebook:
        return None
    handle: Any = None

    def draw(epoch: int) -> None:
        nonlocal handle
        pictures = model.preview()
        if run is not None:
            plotting.save_grid(pictures, picture(run.path, epoch))
        if notebook:
            from IPython.display import display

            shown = plotting.on_screen(pictures)
            if handle is None:
                handle = display(shown, display_id=True)
            else:
                handle.update(shown)

    return draw


def _draw_summary(run: Run, model: GAN, frames: list[Path]) -> None:
    """The curves and the animation of a run that is finished."""
    for warning in run.mend_logs():
        say(warning)
    with matplotlib_in(run.path):
        path, references = run.path / "curves.png", model.equilibrium()
        plotting.save_curves(run.rows("history.csv"), path, title(run), references)
    for problem in plotting.save_animation(frames, run.path / "training.gif"):
        say(problem)


@contextlib.contextmanager
def matplotlib_in(folder: Path) -> Iterator[None]:
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


def title(run: Run) -> str:
    """A run in a line: the model, what was chosen of it, the data and the seed."""
    return _words(run.config["model"], run.config["arguments"])


def _words(name: str, asked: dict[str, Any]) -> str:
    usual = hyperparameters.defaults(MODELS[name]) if name in MODELS else {}
    chosen = {k: v for k, v in (asked["hyperparameters"] or {}).items() if usual.get(k) != v}
    words = [name, *(f"{k} {v}" for k, v in chosen.items())]
    if asked["data"]:  # a folder's name need not be text
        words.append(asked["data"].encode(errors="surrogateescape").decode(errors="replace"))
    if asked["seed"] is not None:
        words.append(f"seed {asked['seed']}")
    return ", ".join(words)
