"""Layer 7: this machine's table: what training steps and operations cost, against what is there.

Each library runs in a process of its own with the same number of threads, and all take turns: a few
repetitions here, the same there, again. A round of turns gives one ratio minigan/other, and what is
reported is the median over the rounds, so that a slow moment of the machine meets all of them. On a
GPU the clock stops when it has finished; memory and the parts of a step are measured on NumPy only.

A training step is D's and G's: forward, backward and Adam, from the same weights, on the same new
batch of 128 digits and the same fresh latents in every library. (Noise in place of digits is no
test: D wins at once, and vanishing gradients fill the arrays with subnormal numbers, which are
slow.) PyTorch runs in eager mode with its default memory format, contiguous (N, C, H, W); minigan's
pictures are channels-last in memory, as inside its networks. tinygrad, with its TinyJit, and HIPS
autograd run the dense step: the one needs seconds for a step of the DCGAN, the other has no strided
convolution over batches.

Where the time goes is measured in minigan's own step, by Python's profiling hook: between two calls
or returns, the time belongs to the file whose function is innermost. Matrix products count apart
wherever they are called; see :func:`_counted_products`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any, NamedTuple

import click
import numpy

from minigan import backend, plotting
from minigan.checkpoint import Run
from minigan.losses import non_saturating
from minigan.models import MLPGAN, dcgan
from minigan.training import Trainer, fit

BATCH = 128
GENERATOR = (100, 256, 512, 1024, 784)
DISCRIMINATOR = (784, 1024, 512, 256, 1)
WIDTH = 64  # the DCGAN's
ADAM: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}
CHAIN = 1_000  # scalar operations in one measurement of the overhead
WARM_UP = 3  # tinygrad's compiler looks on at two steps
SECONDS = 10.0  # for one row, roughly
PAUSE = 0.3  # before a turn: the threads of whoever was on go on spinning for a while

Task = Callable[[], Any]  # a step returns its two losses
Arrays = tuple[numpy.ndarray, ...]

#: What is compared: its name in the table, and its package.
LIBRARIES = {
    "minigan": "minigan",
    "pytorch": "torch",
    "autograd": "autograd",
    "tinygrad": "tinygrad",
}

# --- The same in every library: networks, weights, data, latents ----------------------------------


def _nets(nn: Any, model: str) -> tuple[Any, Any]:
    """G and D of the dense GAN ("mlp", 2.9 million parameters) or of the DCGAN."""
    if model == "mlp":
        g, d = (
            [layer for s in pairwise(sizes) for layer in (nn.Linear(*s), nn.LeakyReLU(0.2))][:-1]
            for sizes in (GENERATOR, DISCRIMINATOR)
        )
        return nn.Sequential(*g, nn.Tanh()), nn.Sequential(*d)
    return dcgan.players(nn, GENERATOR[0], WIDTH)


def _players(model: str) -> tuple[Any, Any]:
    """minigan's own two, as they start; the others take over their weights."""
    import minigan as mg

    mg.manual_seed(0)
    if model == "mlp":
        return _nets(mg.nn, model)
    gan = mg.models.DCGAN(GENERATOR[0], WIDTH)
    return gan.generator, gan.discriminator


@functools.cache
def _digits() -> numpy.ndarray:
    from minigan import data

    return data.load("mnist-mini")[0]


def _draws(model: str) -> Callable[[], Arrays]:
    """A batch of digits, and latents for either player's step: new ones with every call."""
    from minigan.models.gan import to_tanh_range

    shape = (BATCH, 1, 28, 28) if model == "dcgan" else (BATCH, DISCRIMINATOR[0])
    images, rng = _digits(), backend.generator(0)

    def draw() -> Arrays:
        real = to_tanh_range(images[rng.integers(len(images), size=BATCH)]).reshape(shape)
        return real, *rng.standard_normal((2, BATCH, GENERATOR[0]), dtype="float32")

    return draw


def _middle_layer() -> Arrays:
    """x, w, y of the DCGAN's middle convolution, (N, C, H, W) stored as (N, H, W, C)."""
    rng = backend.generator(0)
    shapes = (BATCH, 14, 14, WIDTH), (2 * WIDTH, 4, 4, WIDTH), (BATCH, 7, 7, 2 * WIDTH)
    x, w, y = (rng.standard_normal(s, dtype="float32").transpose(0, 3, 1, 2) for s in shapes)
    return x, numpy.ascontiguousarray(w), y


def _chain(x: Any) -> Any:
    """Scalar products one after the other: what an engine costs per operation."""
    y = x
    for _ in range(CHAIN):
        y = y * x
    return y


# --- minigan --------------------------------------------------------------------------------------


def _minigan_step(model: str) -> Task:
    import minigan as mg
    from minigan.training import discriminator_step, generator_step

    g, d = _players(model)
    draw, players = _draws(model), (g, d, mg.losses.non_saturating)
    adam_g = mg.optim.Adam(g.parameters(), **ADAM)
    adam_d = mg.optim.Adam(d.parameters(), **ADAM)

    def step() -> Any:
        real, z_d, z_g = (mg.Tensor(backend.asarray(array)) for array in draw())
        measured = discriminator_step(*players, adam_d, real, z_d)
        return measured["d_loss"], generator_step(*players, adam_g, z_g)["g_loss"]

    return step


def _minigan_conv(what: str) -> Task:
    import minigan as mg
    from minigan.ops import conv

    x, w, y = (mg.Tensor(backend.asarray(array)) for array in _middle_layer())
    return {
        "forward": lambda: conv.conv2d(x, w, None, 2, 1),
        "input": lambda: conv.conv_transpose2d(y, w, None, 2, 1),  # the same kernel here
        "weight": lambda: conv.conv2d_weight(x, y, (4, 4), 2, 1),
        "transposed": lambda: conv.conv_transpose2d(y, w, None, 2, 1),
    }[what]


def _minigan_chain() -> Task:
    import minigan as mg

    x = mg.tensor(1.0, requires_grad=True)
    return lambda: mg.grad(_chain(x), x)


# --- PyTorch --------------------------------------------------------------------------------------


def _pytorch_device() -> str:
    """Where minigan computes, if this build of PyTorch can."""
    torch: Any = importlib.import_module("torch")
    return "cuda" if backend.on_gpu() and torch.cuda.is_available() else "cpu"


def _pytorch_step(model: str) -> Task:
    import torch
    from torch.nn.functional import softplus

    device = _pytorch_device()
    g, d = (player.to(device) for player in _nets(torch.nn, model))
    for twin, ours in zip((g, d), _players(model), strict=True):
        state = {name: torch.from_numpy(value.numpy()) for name, value in ours.state_dict().items()}
        twin.load_state_dict(state, strict=False)  # batch norm has a num_batches_tracked besides
    draw, of_g = _draws(model), list(g.parameters())
    adam_g, adam_d = (torch.optim.Adam(p, **ADAM) for p in (of_g, d.parameters()))

    def step() -> Any:
        real, z_d, z_g = (torch.from_numpy(array).to(device) for array in draw())
        with torch.no_grad():
            fake = g(z_d)
        real_logits, fake_logits = d(real), d(fake)
        d_loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
        adam_d.zero_grad()
        d_loss.backward()
        adam_d.step()
        with torch.no_grad():
            torch.sigmoid(real_logits).mean(), torch.sigmoid(fake_logits).mean()

        g_loss = softplus(-d(g(z_g))).mean()
        adam_g.zero_grad()
        g_loss.backward(inputs=of_g)
        adam_g.step()
        return d_loss.detach(), g_loss.detach()

    return step


def _pytorch_conv(what: str) -> Task:
    import torch
    from torch.nn import functional, grad

    device = _pytorch_device()
    x, w, y = (torch.from_numpy(array).contiguous().to(device) for array in _middle_layer())
    return {
        "forward": lambda: functional.conv2d(x, w, None, 2, 1),
        "input": lambda: grad.conv2d_input(x.shape, w, y, 2, 1),
        "weight": lambda: grad.conv2d_weight(x, w.shape, y, 2, 1),
        "transposed": lambda: functional.conv_transpose2d(y, w, None, 2, 1),
    }[what]


def _pytorch_chain() -> Task:
    import torch

    x = torch.tensor(1.0, requires_grad=True, device=_pytorch_device())
    return lambda: torch.autograd.grad(_chain(x), x)


# --- HIPS autograd --------------------------------------------------------------------------------


def _autograd_step(model: str) -> Task:
    import autograd.numpy as np
    from autograd import value_and_grad

    g, d = ([p.numpy() for p in player.parameters()] for player in _players(model))
    of_g, of_d = ([(p * 0, p * 0) for p in player] for player in (g, d))
    draw, (beta1, beta2), t = _draws(model), ADAM["betas"], 0

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


def _autograd_chain() -> Task:
    from autograd import grad

    return partial(grad(_chain), 1.0)


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


def _tinygrad_step(model: str) -> Task:
    tinygrad: Any = importlib.import_module("tinygrad")
    nn: Any = importlib.import_module("tinygrad.nn")
    g, d = _nets(_tinygrad_layers(), model)
    for twin, ours in zip((g, d), _players(model), strict=True):
        state = {name: tinygrad.Tensor(value.numpy()) for name, value in ours.state_dict().items()}
        nn.state.load_state_dict(twin, state, strict=False, verbose=False)
    draw, parameters = _draws(model), nn.state.get_parameters
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


# --- The rows -------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A line of the table: seconds · scale = unit; for each library, what builds its task."""

    name: str
    unit: str
    scale: float
    tasks: dict[str, Callable[[], Task]]


def _by_library(*makers: Callable[..., Task], of: str = "") -> dict[str, Callable[[], Task]]:
    return {f.__name__.split("_")[1]: partial(f, of) if of else f for f in makers}


MLP = _by_library(_minigan_step, _pytorch_step, _autograd_step, _tinygrad_step, of="mlp")
DCGAN = _by_library(_minigan_step, _pytorch_step, of="dcgan")
CHAINS = _by_library(_minigan_chain, _pytorch_chain, _autograd_chain)
CONV = {
    what: _by_library(_minigan_conv, _pytorch_conv, of=what)
    for what in ("forward", "input", "weight", "transposed")
}
ROWS = [
    Row("MLP GAN step", "ms", 1e3, MLP),
    Row("DCGAN step", "ms", 1e3, DCGAN),
    Row("convolution 64→128, 14×14, 4×4/2", "ms", 1e3, CONV["forward"]),
    Row("  gradient in the picture", "ms", 1e3, CONV["input"]),
    Row("  gradient in the kernel", "ms", 1e3, CONV["weight"]),
    Row("  transposed (its adjoint)", "ms", 1e3, CONV["transposed"]),
    Row("one scalar op, forward + backward", "µs", 1e6 / CHAIN, CHAINS),
]


# --- Processes and turns --------------------------------------------------------------------------


def _load(library: str, threads: int) -> None:
    """In a process of its own: the library, with its threads."""
    os.environ["TRAINING"] = "1"  # tinygrad reads it when it is loaded
    module: Any = importlib.import_module(LIBRARIES[library])
    if library == "pytorch":
        module.set_num_threads(threads)


def _wait(library: str) -> None:
    """Until the GPU has done what it was asked to, if there is one in use."""
    if library == "minigan" and backend.on_gpu():
        backend.xp.cuda.Device().synchronize()
    elif library == "pytorch" and _pytorch_device() == "cuda":
        module: Any = importlib.import_module("torch")
        module.cuda.synchronize()


def _serve(library: str, make: Callable[[], Task], threads: int, pipe: Connection) -> None:
    """In a process of its own: build a task, then time it n times whenever n arrives."""
    _load(library, threads)
    task, n = make(), WARM_UP
    while n:
        time.sleep(PAUSE)
        task()
        _wait(library)
        seconds, busy = [], time.process_time()
        for _ in range(n):
            start = time.perf_counter()
            task()
            _wait(library)
            seconds.append(time.perf_counter() - start)
        busy = (time.process_time() - busy) / sum(seconds)
        pipe.send((statistics.median(seconds), busy))
        n = pipe.recv()


def measure(
    tasks: dict[str, Callable[[], Task]], threads: int, seconds: float = SECONDS
) -> dict[str, list[tuple[float, float]]]:
    """For each turn of each library, the seconds of its task and how many processors it kept busy.

    The i-th turns were next to each other. A library whose task cannot be built or run is left out
    of the result; its process has then said why on stderr.
    """
    _set_threads(threads)
    spawn = multiprocessing.get_context("spawn")
    pipes, processes, once = {}, {}, {}
    for library, make in tasks.items():
        pipe, child = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(library, make, threads, child), daemon=True)
        process.start()
        child.close()  # so that recv() ends when the process does
        try:
            once[library] = pipe.recv()[0]
        except EOFError:
            continue
        pipes[library], processes[library] = pipe, process
    turns: dict[str, list[tuple[float, float]]] = {library: [] for library in pipes}
    for i in range(15):
        for library, pipe in pipes.items():
            there_is_time_for = seconds / len(pipes) / once[library]  # so many tasks
            if i < max(3, there_is_time_for):  # a slow library drops out early
                pipe.send(max(1, min(7, int(there_is_time_for / 15))))
                turns[library].append(pipe.recv())
    for library, pipe in pipes.items():
        pipe.send(0)
        processes[library].join()
    return turns


def _set_threads(threads: int) -> None:
    """For the processes to come: their libraries read it when they are loaded."""
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUM_CPU_THREADS",  # tinygrad's
    ):
        os.environ[name] = str(threads)


def _apart(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns, or raises, in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def _about(library: str, threads: int) -> str:
    """In a process of its own: a library's version and threads; raises if it does not work here."""
    _load(library, threads)
    if library == "minigan" and backend.on_gpu():
        name = backend.xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return f"minigan: cupy {backend.xp.__version__} on {name}"
    if library == "minigan":
        blas = numpy.show_config("dicts")["Build Dependencies"]["blas"]["name"]
        return f"minigan: numpy {numpy.__version__}, {blas}, {threads} threads in products, else 1"
    head = f"{library} {version(LIBRARIES[library])}: "
    if library == "pytorch":
        torch: Any = importlib.import_module("torch")
        return f"{head}{_pytorch_device()}, {torch.get_num_threads()} threads"
    if library == "autograd":
        return f"{head}the same NumPy, {threads} threads in products, else 1"
    tinygrad: Any = importlib.import_module("tinygrad")
    (tinygrad.Tensor([1.0, 2.0]) + 1).tolist()  # it needs a compiler
    return f"{head}device {tinygrad.Device.DEFAULT}, its own kernels, at most {threads} threads"


# --- Memory ---------------------------------------------------------------------------------------


def _peak() -> int:
    """The largest resident set of this process so far, in bytes; not on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage() would count the process that this one was forked from
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    resource: Any = importlib.import_module("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes, on a Mac


def _memory(library: str, make: Callable[[], Task], threads: int) -> tuple[int, int]:
    """In a process of its own: the peak of five steps beyond the library and the data; in all."""
    _load(library, threads)
    _digits()
    before, task = _peak(), make()
    for _ in range(5):
        task()
    return _peak() - before, _peak()


# --- Where the time goes --------------------------------------------------------------------------

PRODUCTS, PATCHES, ENTRIES = "matrix products", "convolution around them", "elementwise, reductions"
OPTIMISER, ENGINE = "optimiser", "engine and the rest"
#: Beginnings of file names in the package, and whose time is spent there; first match.
PARTS = {
    "backend.py": "",  # the caller's
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
    """A product with a vector is a reduction, and its caller's."""
    return (_product if a.ndim > 1 < b.ndim else _numpy_matmul)(a, b, **out)


def _counted_products() -> None:
    """From now on, in this process, a call of _product for every matrix product of minigan."""
    setattr(numpy, "matmul", _matmul)  # noqa: B010


@functools.cache
def _part(code: CodeType) -> str:
    """Whose time is spent in a function; "" for its caller's."""
    if code is _product.__code__:
        return PRODUCTS
    file = Path(code.co_filename)
    if not file.is_relative_to(Path(__file__).parent):
        return ""
    name = file.relative_to(Path(__file__).parent).as_posix()
    return next(part for start, part in PARTS.items() if name.startswith(start))


def _spent(step: Task) -> dict[str, float]:
    """The seconds of one step, by part."""
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
    """In a process of its own: minigan's median step by part, and the median unobserved."""
    step = _minigan_step(model)
    for _ in range(WARM_UP):
        step()
    _counted_products()
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
    """Knows how long its steps took."""

    seconds = 0.0

    def step(self) -> Any:
        start = time.perf_counter()
        measured = super().step()
        self.seconds += time.perf_counter() - start
        return measured


def what_files_cost(epochs: int = 10) -> float:
    """In a process of its own: what history, grids and checkpoints add to a step, as a share of it.

    Of what can be trained from the command line, the MLP on the embedded digits has the shortest
    epochs, so the most files per step. They go to a folder within the current one, on whose disk
    runs are.
    """
    trainer = _Timed(MLPGAN(), _digits(), non_saturating)
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        contextlib.redirect_stderr(io.StringIO()),  # the progress bar
    ):
        run = Run.create(Path(folder, "run"), {"model": MLPGAN.name})

        def draw(epoch: int) -> None:
            grid = trainer.model.generate(trainer.fixed_latents)
            plotting.save_grid(grid, run.path / f"{epoch}.png")

        start = time.perf_counter()
        fit(trainer, epochs * trainer.steps_per_epoch, run, draw)
        return (time.perf_counter() - start) / trainer.seconds - 1.0


# --- The tables -----------------------------------------------------------------------------------


def line(name: str, libraries: list[str], cells: dict[str, str], ratios: dict[str, float]) -> str:
    """One line of the table: a cell for each library, "–" if it has none; minigan/it, if it has."""
    text = f"{name:34}"
    for library in libraries:
        text += f"{cells.get(library, '–'):>10}"
        if library != "minigan":
            text += f"{ratios[library]:6.2f}" if library in ratios else " " * 6
    return text.rstrip()


def main() -> None:
    """Print the tables, for the array library in use; processes read it from the environment."""
    os.environ["MINIGAN_BACKEND"] = backend.name()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    _set_threads(threads)
    about, notes = {}, []
    for library, package in LIBRARIES.items():
        if importlib.util.find_spec(package):
            try:
                about[library] = _apart(_about, library, threads)
            except Exception as error:
                if library == "minigan":
                    raise
                notes.append(f"{library} is installed, but does not run here: {error}")
    libraries = list(about)
    click.echo("Medians; libraries taking turns; ratio: minigan / the library before it\n")
    click.echo(line("", libraries, {k: k for k in libraries}, {}))
    busy: dict[str, dict[str, float]] = {}  # the processors that each step kept busy
    for name, unit, scale, tasks in ROWS:
        turns = measure({k: tasks[k] for k in libraries if k in tasks}, threads)
        cells = {
            k: f"{statistics.median(s for s, _ in turns[k]) * scale:.1f} {unit}" for k in turns
        }
        ratios = {
            k: statistics.median(a / b for (a, _), (b, _) in zip(turns["minigan"], v, strict=False))
            for k, v in turns.items()
        }
        if name.endswith("step"):
            busy[name] = {k: statistics.median(b for _, b in turns[k]) for k in turns}
        click.echo(line(name, libraries, cells, ratios))
    for name, _, _, tasks in () if os.name == "nt" or backend.on_gpu() else ROWS:
        peaks = {k: _apart(_memory, k, tasks[k], threads) for k in busy.get(name, ())}
        for i, what in enumerate((f"peak memory, {name}", "  with the library itself")):
            cells = {k: f"{peak[i] / 1e6:.0f} MB" for k, peak in peaks.items()}
            ratios = {k: peaks["minigan"][i] / peak[i] for k, peak in peaks.items()}
            if peaks:
                click.echo(line(what, libraries, cells, ratios))
    click.echo()
    for library, text in about.items():
        kept = [f"{b[library]:.1f} in the {name}" for name, b in busy.items() if library in b]
        click.echo(f"{text}; busy: {', '.join(kept)}")
    click.echo("".join(f"{note}\n" for note in notes))

    for model in () if backend.on_gpu() else ("mlp", "dcgan"):
        parts, plain = _apart(where_the_time_goes, model)
        whole = sum(parts.values())
        click.echo(f"Where the time goes in minigan's {model.upper()} step")
        for part, seconds in parts.items():
            click.echo(f"  {part:32}{seconds * 1e3:8.1f} ms{seconds / whole:8.1%}")
        click.echo(f"  {'together':32}{whole * 1e3:8.1f} ms, and {plain * 1e3:.1f} ms unobserved")
        click.echo(f"  {parts[PRODUCTS] / whole:.0%} of the step is matrix product.")
    if not backend.on_gpu():  # whose steps go on while the clock has stopped
        share = _apart(what_files_cost)
        what = "History, grids and checkpoints of `minigan train mlp --data mnist-mini`"
        click.echo(f"{what} add {share:.1%} to its steps.")
