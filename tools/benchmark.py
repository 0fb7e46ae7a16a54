"""The whole benchmark: ``python -m tools.benchmark``, which is ``make bench``.

It prints the table of ``minigan bench``, with two more libraries where they are installed. HIPS
autograd and tinygrad, with its TinyJit, run the dense step alone: autograd has no strided
convolution over batches, and tinygrad needs seconds for a step of the DCGAN. Then it prints, on
NumPy, where the time goes in minigan's own step, and what a run's files add to it.

Where the time goes is measured by Python's profiling hook: between two calls or returns, the time
belongs to the file whose function is innermost. Matrix products are counted by themselves,
wherever they are called; see :func:`counted_products`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import statistics
import sys
import tempfile
import time
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import click
import numpy

import minigan
from minigan import backend, bench, data, plotting
from minigan.bench import ADAM, WARM_UP, Task, apart, chain, draws, minigan_step, nets, players
from minigan.checkpoint import Run
from minigan.models import MLPGAN
from minigan.training import Trainer, fit

# --- HIPS autograd --------------------------------------------------------------------------------


def autograd_step(model: str) -> Task:
    import autograd.numpy as np
    from autograd import value_and_grad

    g, d = ([p.numpy() for p in player.parameters()] for player in players(model))
    of_g, of_d = ([(p * 0, p * 0) for p in player] for player in (g, d))
    draw, (beta1, beta2), t = draws(model), ADAM["betas"], 0

    def forward(player: Any, x: Any) -> Any:
        for i in range(0, len(player), 2):
            x = np.where(x > 0, x, 0.2 * x) if i else x
            x = np.dot(x, player[i].T) + player[i + 1]
        return x

    def loss(logits: Any) -> Any:
        return np.mean(np.logaddexp(numpy.float32(0), -logits))

    def d_loss(d: Any, real: Any, fake: Any) -> Any:
        return loss(forward(d, real)) + loss(-forward(d, fake))

    def g_loss(g: Any, z: Any) -> Any:
        return loss(forward(d, np.tanh(forward(g, z))))

    def adam(player: Any, gradients: Any, moments: Any) -> None:
        root = (1 - beta2**t) ** 0.5
        rate, eps = ADAM["lr"] * root / (1 - beta1**t), 1e-8 * root
        for p, gradient, (m, v) in zip(player, gradients, moments, strict=True):
            m += (1 - beta1) * (gradient - m)
            v += (1 - beta2) * (gradient * gradient - v)
            p -= rate * m / (numpy.sqrt(v) + eps)

    def step() -> Any:
        nonlocal t
        t += 1
        real, z_d, z_g = draw()
        of_both, gradients = value_and_grad(d_loss)(d, real, np.tanh(forward(g, z_d)))
        adam(d, gradients, of_d)
        of_one, gradients = value_and_grad(g_loss)(g, z_g)
        adam(g, gradients, of_g)
        return of_both, of_one

    return step


def autograd_chain() -> Task:
    from autograd import grad

    return partial(grad(chain), 1.0)


# --- tinygrad -------------------------------------------------------------------------------------


def _tinygrad_layers() -> Any:
    """The dense net's layers under PyTorch's names."""
    tensor: Any = importlib.import_module("tinygrad").Tensor
    return SimpleNamespace(
        Sequential=lambda *layers: [*layers],
        Linear=importlib.import_module("tinygrad.nn").Linear,
        LeakyReLU=lambda slope: partial(tensor.leaky_relu, neg_slope=slope),
        Tanh=lambda: tensor.tanh,
    )


def tinygrad_step(model: str) -> Task:
    tinygrad: Any = importlib.import_module("tinygrad")
    nn: Any = importlib.import_module("tinygrad.nn")
    g, d = nets(_tinygrad_layers(), model)
    for twin, ours in zip((g, d), players(model), strict=True):
        state = {name: tinygrad.Tensor(value.numpy()) for name, value in ours.state_dict().items()}
        nn.state.load_state_dict(twin, state, strict=False, verbose=False)
    draw, parameters = draws(model), nn.state.get_parameters
    adam_g, adam_d = (nn.optim.Adam(parameters(p), ADAM["lr"], *ADAM["betas"]) for p in (g, d))

    def step(real: Any, z_d: Any, z_g: Any) -> Any:
        fake = z_d.sequential(g).detach()
        d_loss = (-real.sequential(d)).softplus().mean() + fake.sequential(d).softplus().mean()
        adam_d.zero_grad()
        d_loss.backward()
        d_loss.realize(*adam_d.schedule_step())  # before D's weights change: it is lazy
        g_loss = (-z_g.sequential(g).sequential(d)).softplus().mean()
        adam_g.zero_grad()
        g_loss.backward()  # D's own gradients are then never computed
        return d_loss, g_loss.realize(*adam_g.schedule_step())

    compiled = tinygrad.TinyJit(step)
    return lambda: [x.item() for x in compiled(*(tinygrad.Tensor(a).realize() for a in draw()))]


# --- Where the time goes --------------------------------------------------------------------------

PRODUCTS, PATCHES, ENTRIES = "matrix products", "convolution around them", "elementwise, reductions"
OPTIMISER, ENGINE = "optimiser", "engine and the rest"
PACKAGE = Path(minigan.__file__).parent
#: Beginnings of the names of the package's files, and whose time is spent there; the first counts.
PARTS = {
    "backend.py": "",  # the time is the caller's, here and below
    "bench.py": "",
    "fused.py": "",
    "ops/conv.py": PATCHES,
    "ops/": ENTRIES,
    "functional.py": ENTRIES,
    "losses.py": ENTRIES,
    "optim.py": OPTIMISER,
    "": ENGINE,
}
_numpy_matmul = numpy.matmul


def _product(a: Any, b: Any, **out: Any) -> Any:
    return _numpy_matmul(a, b, **out)


def _matmul(a: Any, b: Any, **out: Any) -> Any:
    """numpy.matmul, where a product with a vector is a reduction and so its caller's time."""
    return (_product if a.ndim > 1 < b.ndim else _numpy_matmul)(a, b, **out)


def counted_products() -> None:
    """Let every matrix product of minigan in this process call ``_product`` from now on."""
    setattr(numpy, "matmul", _matmul)  # noqa: B010


@cache
def _part(code: CodeType) -> str:
    """The part whose time is spent in a function; "" if the time is its caller's."""
    if code is _product.__code__:
        return PRODUCTS
    file = Path(code.co_filename)
    if not file.is_relative_to(PACKAGE):
        return ""
    name = file.relative_to(PACKAGE).as_posix()
    return next(part for start, part in PARTS.items() if name.startswith(start))


def _spent(step: Task) -> dict[str, float]:
    """The seconds that each part of one step takes."""
    spent = dict.fromkeys((PRODUCTS, PATCHES, ENTRIES, OPTIMISER, ENGINE), 0.0)
    stack, last = [ENGINE], time.perf_counter()

    def passed(frame: Any, event: str, _: Any) -> None:
        nonlocal last
        spent[stack[-1]] += time.perf_counter() - last
        if event == "call":
            stack.append(_part(frame.f_code) or stack[-1])
        elif event == "return":
            stack.pop()
        last = time.perf_counter()

    sys.setprofile(passed)
    try:
        step()
    finally:
        sys.setprofile(None)
    return spent


def where_the_time_goes(model: str, steps: int = 15) -> tuple[dict[str, float], float]:
    """The seconds of each part of minigan's median step, and the median of steps unobserved."""
    step = minigan_step(model)
    for _ in range(WARM_UP):
        step()
    counted_products()
    plain, parts = [], []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        plain.append(time.perf_counter() - start)
        parts.append(_spent(step))
    parts.sort(key=lambda spent: sum(spent.values()))
    return parts[steps // 2], statistics.median(plain)


# --- What a run's files cost ----------------------------------------------------------------------


class _Timed(Trainer):
    """A trainer that knows how many seconds its steps took."""

    seconds = 0.0

    def step(self) -> Any:
        start = time.perf_counter()
        measured = super().step()
        self.seconds += time.perf_counter() - start
        return measured


def what_files_cost(epochs: int = 10) -> float:
    """What history, grids and checkpoints add to a step, as a share of the step.

    Of what can be trained from the command line, the MLP on the embedded digits has the shortest
    epochs, so the most files per step. They go to a folder within the current one, on whose disk
    runs are.
    """
    model = MLPGAN()
    images, labels = data.load("mnist-mini")
    trainer = _Timed(model, model.batches(images, labels, model.batch_size))
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        contextlib.redirect_stderr(io.StringIO()),  # the progress bar
    ):
        run = Run.create(Path(folder, "run"), {"model": MLPGAN.name})

        def draw(epoch: int) -> None:
            plotting.save_grid(model.preview(), run.path / f"{epoch}.png")

        start = time.perf_counter()
        fit(trainer, run=run, on_epoch=draw, epochs=epochs)
        return (time.perf_counter() - start) / trainer.seconds - 1.0


# --- The tables -----------------------------------------------------------------------------------

#: What builds a row's task in other libraries, by the name of the row.
OTHERS: dict[str, bench.Tasks] = {
    "MLP GAN step": {
        "autograd": partial(autograd_step, "mlp"),
        "tinygrad": partial(tinygrad_step, "mlp"),
    },
    "one scalar op, forward + backward": {"autograd": autograd_chain},
}
ROWS = [row._replace(tasks=row.tasks | OTHERS.get(row.name, {})) for row in bench.ROWS]


def about_autograd(threads: int) -> str:
    return f"{version('autograd')}: the same NumPy, {threads} threads in products, else 1"


def about_tinygrad(threads: int) -> str:
    tinygrad: Any = importlib.import_module("tinygrad")
    (tinygrad.Tensor([1.0, 2.0]) + 1).tolist()  # it needs a compiler
    device = tinygrad.Device.DEFAULT
    return f"{version('tinygrad')}: device {device}, its own kernels, at most {threads} threads"


def main() -> None:
    """Print the tables, for the array library that MINIGAN_BACKEND names."""
    # tinygrad reads these when it is loaded, in processes to come.
    os.environ |= {"TRAINING": "1", "NUM_CPU_THREADS": str(bench.available_threads())}
    others = {"autograd": about_autograd, "tinygrad": about_tinygrad}
    bench.print_table(ROWS, bench.ABOUT | others)
    if backend.on_gpu():  # its steps go on when the clock has stopped
        return
    click.echo()
    for model in ("mlp", "dcgan"):
        parts, plain = apart(where_the_time_goes, model)
        whole = sum(parts.values())
        click.echo(f"Where the time goes in minigan's {model.upper()} step")
        for part, seconds in parts.items():
            click.echo(f"  {part:32}{seconds * 1e3:8.1f} ms{seconds / whole:8.1%}")
        click.echo(f"  {'together':32}{whole * 1e3:8.1f} ms, and {plain * 1e3:.1f} ms unobserved")
        click.echo(f"  {parts[PRODUCTS] / whole:.0%} of the step is matrix product.")
    what = "History, grids and checkpoints of `minigan train mlp --data mnist-mini`"
    click.echo(f"{what} add {apart(what_files_cost):.1%} to its steps.")


if __name__ == "__main__":
    main()
