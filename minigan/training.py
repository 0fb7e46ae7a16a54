"""Layer 6: the loop around a model's step: rows, divergence, checkpoints, resume.

What a step is, the model says (``GAN.step``). Here it is called until a run is long enough; what
it measured is watched on the device and fetched for a row of history.csv now and then; everything
that the next step depends on is one state, so that a run can be cut anywhere and goes on to the
same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from minigan import backend
from minigan.autograd import Tensor
from minigan.checkpoint import CLOCK, Arrays, Run
from minigan.console import progress, stop_requested
from minigan.data.batches import Epochs
from minigan.divergence import (
    DivergedError,
    FirstNotFinite,
    gradient_norm,
    losses_and_gradients,
    optimizers,
)
from minigan.models import GAN
from minigan.nn import Module, Parameter
from minigan.optim import Optimizer

__all__ = ["DivergedError", "Trainer", "fit", "is_finished"]

#: Steps between two rows of history.csv; between them nothing is fetched from the device.
LOG_EVERY = 50
#: Steps for each checkpoint, on average, where epochs are shorter: it costs as much as two steps.
SAVE_EVERY = 200
#: Steps without a checkpoint where an epoch is longer.
SAVE_WITHIN = 2000
#: What a model's data must have: they are an iterator that knows and restores its place.
OF_DATA = ("__next__", "epoch", "seen", "state", "load_state")
#: Columns of history.csv, beside the gradients' norms, that no step may measure under such a name.
RESERVED = ("step", "epoch")


class Trainer:
    """A model and its place in the data: all that a run is made of.

    Args:
        model: what is trained; its ``start`` is called here.
        data: what it learns from, as ``model.batches`` gives it.

    Attributes:
        steps_done: steps so far, over all parts of a run.
        epoch_ended: whether the last step drew the last batch of an epoch.
    """

    def __init__(self, model: GAN, data: Epochs):
        if lacking := [name for name in OF_DATA if not hasattr(data, name)]:
            raise TypeError(
                f"{model.name}.batches must return an iterator that can save its place, such as "
                f"minigan.data.batches.Epochs; {type(data).__name__} lacks {', '.join(lacking)}"
            )
        self.model, self.data = model, data
        model.start(data)
        self.steps_done, self.epoch_ended = 0, False
        self._epoch_began = 0  # after how many steps
        self._columns: tuple[str, ...] = ()
        self._finite = FirstNotFinite()
        self._constants = model.constants()
        model.state()  # a TypeError for what could not be saved comes before the first step

    @property
    def is_logged(self) -> bool:
        """Whether history.csv has a row for the last step, however the run was cut into parts."""
        return self.epoch_ended or (self.steps_done > 0 and self.steps_done % LOG_EVERY == 0)

    @property
    def is_saved(self) -> bool:
        """Whether a checkpoint follows the last step, however the run was cut into parts.

        One follows the end of an epoch that came to or over a multiple of SAVE_EVERY steps, and
        every SAVE_WITHIN steps of a longer epoch.
        """
        if self.epoch_ended:
            return self.steps_done // SAVE_EVERY > self._epoch_began // SAVE_EVERY
        in_epoch = self.steps_done - self._epoch_began
        return in_epoch > 0 and in_epoch % SAVE_WITHIN == 0

    def step(self) -> dict[str, Tensor]:
        """The model's next step; what it measured, 0-d Tensors by name, still on the device."""
        if self.epoch_ended:
            self._epoch_began = self.steps_done
        epoch = math.floor(self.data.epoch)
        measured = self._checked(self.model.step(self.data, self.steps_done))
        self.steps_done += 1
        self.epoch_ended = math.floor(self.data.epoch) > epoch
        self._finite.watch(self.steps_done, losses_and_gradients(self.model, measured))
        return measured

    def _checked(self, measured: Any) -> dict[str, Tensor]:
        """What a step returned, outside of any graph; TypeError or ValueError if it is no row."""
        where = f"{self.model.name}.step"
        if not isinstance(measured, Mapping) or not measured:
            raise TypeError(f"{where} must return scalar Tensors by name, got {measured!r}")
        reserved = {*RESERVED, *(f"{player}_grad_norm" for player in optimizers(self.model))}
        for name, value in measured.items():
            if not isinstance(value, Tensor) or value.size != 1:
                got = f"shape {value.shape}" if isinstance(value, Tensor) else repr(value)
                raise TypeError(f"{where}: {name} must be a scalar Tensor, got {got}")
            if not str(name).isidentifier() or name in reserved:
                raise ValueError(f"{where}: {name!r} cannot be the name of a column")
        self._columns = self._columns or tuple(measured)
        if set(measured) != set(self._columns):
            raise ValueError(
                f"{where} must return the same names at every step: it began with "
                f"{', '.join(self._columns)}, now it returned {', '.join(measured)}"
            )
        return {name: measured[name].detach().reshape() for name in self._columns}

    def fetch(self, measured: dict[str, Tensor]) -> dict[str, float]:
        """A row of history.csv: what a step measured and all gradients' norms, on the host.

        Raises DivergedError if a loss or a gradient was not finite at any step so far.
        """
        values = {name: t.data for name, t in measured.items()}
        for player, optimizer in optimizers(self.model).items():
            values[f"{player}_grad_norm"] = gradient_norm(optimizer.params)
        row = backend.xp.stack([v.astype("float64") for v in values.values()])
        joined = backend.xp.concatenate([row, *self._finite.notes()])
        numbers = backend.to_host(joined).tolist()
        self._finite.check(numbers[len(values) :])
        return {
            "step": self.steps_done,
            "epoch": round(self.data.epoch, 4),
            **dict(zip(values, numbers, strict=False)),
        }

    # --- What a checkpoint holds

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything the next step depends on: (arrays by name, JSON-able values).

        TypeError for an attribute of the model that could not be restored.
        """
        arrays, values = self.model.state()
        before, now = self._constants, self.model.constants()
        shapes = [name for name, was in before.items() if isinstance(was, tuple)]
        for name in [*now, *shapes]:  # a number in the place of another constant is saved
            was, is_ = (found.get(name, "nothing") for found in (before, now))
            if was is not is_ and not (isinstance(was, tuple) and was == is_):
                raise TypeError(
                    f"{type(self.model).__name__}.{name} is not what it was before the first step "
                    f"({_shown(was)}, now {_shown(is_)}), which would not be saved with a run: "
                    "make all that steps need in __init__ or start, and choose in them by a number"
                )
        place = {name: getattr(self, name) for name in PLACE}
        return arrays, {
            **place,
            "values": values,
            "data": self.data.state(),
            "rng": backend.rng_state(),
            "backend": backend.name(),
        }

    def load_state(self, arrays: Arrays, info: dict[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self.model.load_state(arrays, info["values"])
        for name in PLACE:
            setattr(self, name, info[name])
        self._finite = FirstNotFinite()
        self.data.load_state(info["data"])
        backend.set_rng_state(info["rng"])  # a step may have drawn from "shuffle" too


def _shown(constant: Any) -> str:
    """A constant in a few words."""
    return getattr(constant, "__name__", None) or str(constant)


#: Where a Trainer is in its run.
PLACE = ("steps_done", "epoch_ended", "_epoch_began")


def fit(
    trainer: Trainer,
    steps: int | None = None,
    run: Run | None = None,
    on_epoch: Callable[[int], None] | None = None,
    *,
    epochs: int | None = None,
) -> list[dict[str, float]]:
    """Train until so many steps or epochs are done in all, or SIGINT or SIGTERM asks to stop.

    Args:
        trainer: fresh, or with a loaded state; afterwards it says how far it came.
        steps, epochs: the total, given as one of the two.
        run: claimed by the caller; where rows, weights and checkpoints go, the latter two before
            the first step, where :attr:`Trainer.is_saved` says so, at the end and at a stop.
        on_epoch: called with the number of finished epochs, before the checkpoint; also with 0
            before the first step.

    Returns:
        The rows of history.csv that were logged here.
    """
    rows: list[dict[str, float]] = []
    start, start_step, data = time.perf_counter(), trainer.steps_done, trainer.data

    def finished() -> bool:
        return is_finished(trainer, steps, epochs)

    def save() -> None:
        if run is not None:
            arrays, info = trainer.state()
            learned = trainer.model.parts((Module, Parameter, Optimizer))
            for name, value in arrays.items():  # with a huge step, Adam's squares come first
                if name.partition(".")[0] in learned and not numpy.isfinite(value).all():
                    raise DivergedError(f"at step {trainer.steps_done}, {name} is not finite")
            run.save_weights(trainer.model.parts(Module), arrays, info["values"])
            run.save_checkpoint(arrays, info)

    finished()  # a ValueError unless there is one length
    with (
        numpy.errstate(over="ignore", invalid="ignore"),  # fetch() finds and names what they mean
        stop_requested() as stopping,
        progress(expected_steps(trainer, steps, epochs), start_step) as bar,
    ):
        if start_step == 0:
            if on_epoch is not None:
                on_epoch(0)
            save()
        while not finished() and not stopping.is_set():
            epoch = math.floor(data.epoch)
            measured = trainer.step()
            logged = trainer.is_logged or finished()
            if logged:
                row = trainer.fetch(measured)
                rows.append(row)
                losses = {k: f"{v:.3f}" for k, v in row.items() if k.endswith("_loss")}
                bar.set_postfix(losses, refresh=False)
                if run is not None:
                    run.append("history.csv", row)
                    seconds = time.perf_counter() - start
                    rate = (trainer.steps_done - start_step) / seconds
                    clock = trainer.steps_done, round(seconds, 3), round(rate, 3)
                    run.append("timing.csv", dict(zip(CLOCK, clock, strict=True)))
            bar.total = expected_steps(trainer, steps, epochs)
            bar.update()
            if on_epoch is not None:
                for ended in range(epoch + 1, math.floor(data.epoch) + 1):
                    on_epoch(ended)
            if trainer.is_saved:
                save()
        if trainer.steps_done > start_step and not trainer.is_saved:
            if not logged:
                trainer.fetch(measured)  # a checkpoint must not hold what has diverged
            save()
    return rows


def is_finished(trainer: Trainer, steps: int | None, epochs: int | None) -> bool:
    """Whether so many steps, or epochs, are done in all."""
    if steps is not None and epochs is None:
        return trainer.steps_done >= steps
    if epochs is not None and steps is None:
        return trainer.data.epoch >= epochs
    raise ValueError(f"give one of steps and epochs, got steps {steps} and epochs {epochs}")


def expected_steps(trainer: Trainer, steps: int | None, epochs: int | None) -> int | None:
    """How many steps a run will have, as far as can be told: a step may draw several batches."""
    if epochs is None:
        return steps
    if trainer.steps_done and trainer.data.epoch:
        return round(epochs * trainer.steps_done / trainer.data.epoch)
    per_epoch = getattr(trainer.data, "per_epoch", None)
    return per_epoch and epochs * per_epoch
