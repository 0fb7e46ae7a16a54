"""Layer 6: the adversarial game, one step at a time, and the loop around it.

    D's step:   minimise L_D(D(x), D(G(z)))  over D, with G held fixed
    G's step:   minimise L_G(D(G(z)))        over G, with D held fixed

(Goodfellow et al. 2014, algorithm 1, with one D step per G step; the losses are an Objective.) A
model may ask for both at once instead.
"""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy
from tqdm.auto import tqdm as auto_tqdm
from tqdm.std import tqdm as plain_tqdm

from minigan import backend, data
from minigan.arguments import integer
from minigan.autograd import Tensor, no_grad
from minigan.backend import Array
from minigan.checkpoint import CLOCK, Arrays, Run
from minigan.functional import sigmoid
from minigan.losses import Objective
from minigan.models import GAN
from minigan.models.gan import to_tanh_range
from minigan.nn import Module
from minigan.optim import Optimizer

__all__ = [
    "DivergedError",
    "Trainer",
    "discriminator_step",
    "fit",
    "generator_step",
    "handling",
    "progress",
    "simultaneous_step",
]

#: Steps between two rows of history.csv; between them nothing is fetched from the device.
LOG_EVERY = 50
#: Steps for each checkpoint, on average, where epochs are shorter: it costs as much as two steps.
SAVE_EVERY = 200
#: Pictures in the grid that is drawn from the same latents after every epoch.
FIXED = 64


class DivergedError(RuntimeError):
    """Data, a loss or a gradient is infinite or NaN; the message says which, and at which step."""


class FirstNotFinite:
    """For each tensor of a run, the first step at which it held NaN or an infinity.

    The device itself takes the note: a host that looked at every step would wait for it each time.
    Steps need not have the same tensors: each set of names is a note of its own.
    """

    def __init__(self) -> None:
        # By the names, float64 with an entry for each: a step, or ∞ for none. (In a browser and on
        # old systems the default integer has 32 bits; a float64 is the same everywhere.)
        self._first: dict[tuple[str, ...], Array] = {}

    def watch(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Look at a step's tensors, which are in the order of cause and effect."""
        xp, names = backend.xp, tuple(tensors)
        finite = xp.stack([xp.isfinite(t.data).all() for t in tensors.values()])
        if names not in self._first:
            self._first[names] = xp.full(len(names), math.inf, "float64")
        first = self._first[names]
        self._first[names] = xp.where(finite, first, xp.minimum(first, step))

    def notes(self) -> list[Array]:
        """What :meth:`check` needs, still on the device: float64 arrays, to be joined into one."""
        return list(self._first.values())

    def check(self, first: list[float]) -> None:
        """Raise DivergedError if the joined :meth:`notes` name a step."""
        if (bad := min(first, default=math.inf)) < math.inf:
            names = [name for names in self._first for name in names]
            name, *others = [n for n, at in zip(names, first, strict=True) if at == bad]
            rest = f", nor are {others[0]} and {len(others) - 1} others" if others else ""
            raise DivergedError(f"at step {bad:.0f}, {name} is not finite{rest}")


# --- The two steps --------------------------------------------------------------------------------


def discriminator_step(
    generator: Module,
    discriminator: Module,
    objective: Objective,
    optimizer: Optimizer,
    real: Tensor,
    z: Tensor,
) -> dict[str, Tensor]:
    """One step of D on a batch of data and a batch of samples: its loss, and what D answered."""
    with no_grad():  # D's step sends no gradient into G
        fake = generator(z)
    real_logits = discriminator(real)
    fake_logits = discriminator(fake)  # a batch of its own: batch norm must not mix the two
    loss = objective.discriminator(real_logits, fake_logits)

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return _answers(objective, loss, real_logits, fake_logits)


def generator_step(
    generator: Module,
    discriminator: Module,
    objective: Objective,
    optimizer: Optimizer,
    z: Tensor,
) -> dict[str, Tensor]:
    """One step of G on a batch of its samples, as D judges them: its loss."""
    fake_logits = discriminator(generator(z))
    loss = objective.generator(fake_logits)

    optimizer.zero_grad()
    loss.backward(inputs=optimizer.params)  # through D, but D's own gradients are not computed
    optimizer.step()
    return {"g_loss": loss.detach()}


def simultaneous_step(
    generator: Module,
    discriminator: Module,
    objective: Objective,
    optimizers: Mapping[str, Optimizer],
    real: Tensor,
    z: Tensor,
) -> dict[str, Tensor]:
    """One step of both players at once, each against the other as it was before the step."""
    fake = generator(z)
    real_logits = discriminator(real)
    fake_logits = discriminator(fake.detach())
    d_loss = objective.discriminator(real_logits, fake_logits)
    g_loss = objective.generator(discriminator(fake))

    for optimizer in optimizers.values():
        optimizer.zero_grad()
    d_loss.backward()
    g_loss.backward(inputs=optimizers["generator"].params)
    for optimizer in optimizers.values():
        optimizer.step()
    return _answers(objective, d_loss, real_logits, fake_logits) | {"g_loss": g_loss.detach()}


def _answers(
    objective: Objective, d_loss: Tensor, real_logits: Tensor, fake_logits: Tensor
) -> dict[str, Tensor]:
    """What history.csv says of D: its loss, and its mean answers on data and on samples.

    An answer is a probability σ(s), or the score s itself if the objective takes s for no logit.
    """
    with no_grad():
        answers = [sigmoid(s) if objective.logistic else s for s in (real_logits, fake_logits)]
        return {
            "d_loss": d_loss.detach(),
            "d_real": answers[0].mean(),
            "d_fake": answers[1].mean(),
        }


# --- The loop -------------------------------------------------------------------------------------


class Trainer:
    """A model, its two optimisers and its place in the data: all that a run is made of.

    Args:
        model: what is trained.
        images: uint8 (N, 28, 28), from 0 for black to 255 for white.
        objective: the game, from minigan.losses.
        batch_size: of each player's batch, at most N; the model's default if None. The last,
            incomplete batch of an epoch is dropped.
        lr: of the model's optimisers, its default if None.
    """

    def __init__(
        self,
        model: GAN,
        images: numpy.ndarray,
        objective: Objective,
        *,
        batch_size: int | None = None,
        lr: float | None = None,
    ):
        batch_size = model.defaults["batch_size"] if batch_size is None else batch_size
        batch_size = integer("Trainer", "batch_size", batch_size)
        lr = model.defaults["lr"] if lr is None else lr
        if model.holds_out:
            images, _ = data.hold_out(images)
        if not 2 <= batch_size <= len(images):
            raise ValueError(
                f"batch_size must lie between 2 and the {len(images)} images, got {batch_size}"
            )
        if images.dtype != numpy.uint8:
            raise TypeError(f"images must be uint8, from 0 to 255, got {images.dtype}")
        self.model, self.images, self.objective = model, images, objective
        self.batch_size, self.lr = batch_size, lr
        model.prepare(images)
        self.optimizers = model.optimizers(lr)
        self.fixed_latents = model.latents(FIXED)
        self.steps_done = 0
        self._finite = FirstNotFinite()
        self._start_epoch()

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images) // self.batch_size

    def is_logged(self, step: int) -> bool:
        """Whether history.csv has a row for this step, however the run was cut into parts."""
        return step % LOG_EVERY == 0 or step % self.steps_per_epoch == 0

    def is_saved(self, step: int) -> bool:
        """Whether this step is followed by a checkpoint, however the run was cut into parts.

        The last step of an epoch is, if the epoch came to or over a multiple of SAVE_EVERY.
        """
        ends, per_epoch = step % self.steps_per_epoch == 0, self.steps_per_epoch
        return ends and step // SAVE_EVERY > (step - per_epoch) // SAVE_EVERY

    def _start_epoch(self) -> None:
        shuffle = backend.stream("shuffle")
        self._shuffle_before = shuffle.bit_generator.state
        self._order = shuffle.permutation(len(self.images))

    def next_batch(self) -> Tensor:
        """The next batch of data, float32 (batch_size, 1, 28, 28) in [−1, 1], on the device."""
        position = self.steps_done % self.steps_per_epoch
        if position == 0 and self.steps_done > 0:
            self._start_epoch()
        chosen = self._order[position * self.batch_size : (position + 1) * self.batch_size]
        return Tensor(backend.asarray(to_tanh_range(self.images[chosen])[:, None]))

    def step(self) -> dict[str, Tensor]:
        """D's step, then G's with fresh latents, or both at once; 0-d Tensors, on the device.

        Their names are columns of history.csv, so they are the same at every step.
        """
        model, z = self.model, self.model.latents
        players = (model.generator, model.discriminator, self.objective)
        done = self.steps_done
        model.schedule(self.optimizers, self.lr, done, done / self.steps_per_epoch)
        real = self.next_batch()
        d, g = self.optimizers["discriminator"], self.optimizers["generator"]
        if model.simultaneous:
            measured = simultaneous_step(*players, self.optimizers, real, z(self.batch_size))
        else:
            measured = discriminator_step(*players, d, real, z(self.batch_size))
            measured |= generator_step(*players, g, z(self.batch_size))
        self.steps_done += 1
        self._finite.watch(self.steps_done, {"the batch of data": real, **self._results(measured)})
        return measured

    def _results(self, measured: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses and gradients of a step, in the order in which one spoils the next."""
        found = {}
        for player in ("discriminator", "generator"):
            loss = f"{player[0]}_loss"
            found[loss] = measured[loss]
            for name, p in reversed(list(getattr(self.model, player).named_parameters())):
                found[f"{player}.{name}.grad"] = p if p.grad is None else p.grad
        return found

    def fetch(self, measured: dict[str, Tensor]) -> dict[str, float]:
        """A row of history.csv: what a step measured and the norms of both gradients, on the host.

        Raises DivergedError if data, a loss or a gradient was not finite at any step so far.
        """
        values = {name: t.data for name, t in measured.items()}
        for player, optimizer in self.optimizers.items():
            values[f"{player[0]}_grad_norm"] = _norm(optimizer.params)
        row = backend.xp.stack([v.astype("float64") for v in values.values()])
        joined = backend.xp.concatenate([row, *self._finite.notes()])
        numbers = backend.to_host(joined).tolist()
        self._finite.check(numbers[len(values) :])
        epoch = self.steps_done / self.steps_per_epoch
        return {
            "step": self.steps_done,
            "epoch": round(epoch, 4),
            **dict(zip(values, numbers, strict=False)),
        }

    # What a checkpoint holds

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything the next step depends on: (arrays by name, JSON-able values)."""
        tensors = {"fixed_latents": self.fixed_latents.numpy()}
        for part, state in self._parts().items():
            tensors |= {f"{part}.{k}": v.numpy() for k, v in state.state_dict().items()}
        rng = backend.rng_state() | {"shuffle": self._shuffle_before}
        return tensors, {"steps_done": self.steps_done, "rng": rng, "backend": backend.name()}

    def load_state(self, tensors: Arrays, info: dict[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        for part, owner in self._parts().items():
            prefix = part + "."
            owner.load_state_dict(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
        self.fixed_latents = Tensor(backend.asarray(tensors["fixed_latents"]))
        self.steps_done = int(info["steps_done"])
        self._finite = FirstNotFinite()
        backend.set_rng_state(info["rng"])
        self._start_epoch()

    def _parts(self) -> dict[str, Any]:
        return {
            "generator": self.model.generator,
            "discriminator": self.model.discriminator,
            "optimizer.generator": self.optimizers["generator"],
            "optimizer.discriminator": self.optimizers["discriminator"],
        }


def _norm(params: Iterable[Tensor]) -> Array:
    """The Euclidean norm of all gradients together, on the device."""
    squares = [(p.grad.data.astype("float64") ** 2).sum() for p in params if p.grad is not None]
    return backend.xp.sqrt(sum(squares))


def fit(
    trainer: Trainer,
    steps: int,
    run: Run | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> list[dict[str, float]]:
    """Train until ``steps`` steps are done in all, or until SIGINT or SIGTERM asks to stop.

    Args:
        trainer: fresh, or with a loaded state.
        steps: the total; ``trainer.steps_done`` says afterwards how many there were.
        run: claimed by the caller; where rows, weights and checkpoints go, the latter two before
            the first step, after epochs (see :meth:`Trainer.is_saved`), at the end and at a stop.
        on_epoch: called with the number of finished epochs, before the checkpoint; also with 0
            before the first step.

    Returns:
        The rows of history.csv that were logged here.
    """
    rows: list[dict[str, float]] = []
    start, start_step = time.perf_counter(), trainer.steps_done
    per_epoch = trainer.steps_per_epoch

    def save() -> None:
        if run is not None:
            tensors, info = trainer.state()
            for name, value in tensors.items():  # with a huge step, Adam's squares come first
                if not numpy.isfinite(value).all():
                    raise DivergedError(f"at step {trainer.steps_done}, {name} is not finite")
            run.save_weights(tensors)
            run.save_checkpoint(tensors, info)

    with (
        numpy.errstate(over="ignore", invalid="ignore"),  # fetch() finds and names what they mean
        _stop_requested() as stopping,
        progress(steps, start_step) as bar,
    ):
        if start_step == 0:
            if on_epoch is not None:
                on_epoch(0)
            save()
        while trainer.steps_done < steps and not stopping.is_set():
            measured = trainer.step()
            done = trainer.steps_done
            epoch_ends = done % per_epoch == 0
            logged = trainer.is_logged(done) or done == steps
            if logged:
                row = trainer.fetch(measured)
                rows.append(row)
                bar.set_postfix({k: f"{row[k]:.3f}" for k in ("d_loss", "g_loss")}, refresh=False)
                if run is not None:
                    run.append("history.csv", row)
                    seconds = time.perf_counter() - start
                    clock = done, round(seconds, 3), round((done - start_step) / seconds, 3)
                    run.append("timing.csv", dict(zip(CLOCK, clock, strict=True)))
            bar.update()
            if epoch_ends and on_epoch is not None:
                on_epoch(done // per_epoch)
            if trainer.is_saved(done):
                save()
        if trainer.steps_done > start_step and not trainer.is_saved(trainer.steps_done):
            if not logged:
                trainer.fetch(measured)  # a checkpoint must not hold what has diverged
            save()
    return rows


@contextlib.contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a step is never torn in two."""
    event = threading.Event()
    with handling((signal.SIGINT, signal.SIGTERM), lambda *_: event.set()):
        yield event


@contextlib.contextmanager
def handling(signals: Iterable[int], handler: Callable[..., Any]) -> Iterator[None]:
    """Let ``handler`` answer the signals until the block ends; in the main thread only."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # others cannot set handlers
        previous = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


class _LogLines(plain_tqdm):  # type: ignore[misc]
    """Progress for a log file: whole lines, one every half minute, nothing overwritten."""

    def __init__(self, **options: Any):
        super().__init__(mininterval=30.0, maxinterval=math.inf, ascii=True, ncols=100, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        try:
            self.fp.write(f"{msg or self}\n")
            self.fp.flush()
        except OSError:  # nobody reads it any more, which is no reason to stop
            self.disable: bool = True
        return True

    def close(self) -> None:
        if not self.disable:  # close() is called twice, by hand and by the destructor
            self.disable = True
            self.display()


def progress(total: int, initial: int = 0) -> Any:
    """A progress bar in steps, with rate and time left: on a terminal, in a notebook, in a log."""
    ipython = sys.modules.get("IPython")
    in_a_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    if sys.stderr.isatty() or in_a_notebook:
        return auto_tqdm(total=total, initial=initial, unit="step", dynamic_ncols=True)
    return _LogLines(total=total, initial=initial, unit="step")
