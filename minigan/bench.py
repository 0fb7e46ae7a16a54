"""Layer 7: this machine's table: what training steps and operations cost, beside PyTorch's.

Each library runs in a process of its own with the same number of threads, and all take turns: a few
repetitions here, the same there, again. A round of turns gives one ratio minigan/other, and what is
reported is the median over the rounds, so that a slow moment of the machine meets all of them. The
clock stops when a GPU, if there is one, has finished; memory is measured on NumPy only.

A training step is D's step and G's: forward, backward and Adam, from the same weights, on the same
new batch of 128 digits and the same fresh latents in every library. (Noise in place of digits is no
test: D wins at once, and vanishing gradients fill the arrays with subnormal numbers, which are
slow.) PyTorch runs in eager mode with its default memory format, contiguous (N, C, H, W); minigan's
pictures are channels-last in memory, as inside its networks. In the source tree,
``python -m tools.benchmark`` adds other libraries, and says where the time goes.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy

from minigan import backend
from minigan.models import dcgan
from minigan.nn.init import dcgan_

BATCH = 128
GENERATOR = (100, 256, 512, 1024, 784)
DISCRIMINATOR = (784, 1024, 512, 256, 1)
WIDTH = 64  # the DCGAN's
ADAM: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}
CHAIN = 1_000  # scalar operations in one measurement of the overhead
WARM_UP = 3  # a library's compiler may use the first two steps to learn what to compile
SECONDS = 10.0  # how long one row takes, roughly
PAUSE = 0.3  # seconds before a turn: the previous library's threads keep spinning for a while

Task = Callable[[], Any]  # a step returns its two losses
Tasks = dict[str, Callable[[], Task]]  # for each library, what builds its task
Arrays = tuple[numpy.ndarray, ...]

#: The packages of libraries whose package has another name.
PACKAGES = {"pytorch": "torch"}

# --- The same in every library: networks, weights, data, latents ----------------------------------


class Model(NamedTuple):
    """A GAN whose step is timed.

    Attributes:
        nets: from a library's ``nn``, G and D in its layers.
        init: starts the weights of one of minigan's nets; None keeps those of its layers.
        picture: the shape in which D takes a picture.
    """

    nets: Callable[[Any], tuple[Any, Any]]
    init: Callable[[Any], object] | None
    picture: tuple[int, ...]


def _dense(nn: Any) -> tuple[Any, Any]:
    """G and D of the dense GAN, with 2.9 million parameters together."""
    g, d = (
        [layer for s in pairwise(sizes) for layer in (nn.Linear(*s), nn.LeakyReLU(0.2))][:-1]
        for sizes in (GENERATOR, DISCRIMINATOR)
    )
    return nn.Sequential(*g, nn.Tanh()), nn.Sequential(*d)


def _convolutional(nn: Any) -> tuple[Any, Any]:
    """G and D of the DCGAN."""
    return dcgan.players(nn, GENERATOR[0], WIDTH)


MODELS = {
    "mlp": Model(_dense, None, (784,)),
    "dcgan": Model(_convolutional, dcgan_, (1, 28, 28)),
}


def nets(nn: Any, model: str) -> tuple[Any, Any]:
    """G and D of a model in the layers of ``nn``."""
    return MODELS[model].nets(nn)


def players(model: str) -> tuple[Any, Any]:
    """minigan's G and D as they start; the nets of other libraries take over their weights."""
    import minigan as mg

    mg.manual_seed(0)
    both, init = nets(mg.nn, model), MODELS[model].init
    if init is not None:
        for player in both:
            init(player)
    return both


@cache
def digits() -> numpy.ndarray:
    from minigan import data

    return data.load("mnist-mini")[0]


def draws(model: str) -> Callable[[], Arrays]:
    """A function that gives a new batch of digits, and new latents for either player's step."""
    from minigan.models.gan import to_tanh_range

    shape = (BATCH, *MODELS[model].picture)
    images, rng = digits(), backend.generator(0)

    def draw() -> Arrays:
        real = to_tanh_range(images[rng.integers(len(images), size=BATCH)]).reshape(shape)
        return real, *rng.standard_normal((2, BATCH, GENERATOR[0]), dtype="float32")

    return draw


def _middle_layer() -> Arrays:
    """The DCGAN's middle convolution: input x, kernel w, output y, channels-last in memory."""
    rng = backend.generator(0)
    shapes = (BATCH, 14, 14, WIDTH), (2 * WIDTH, 4, 4, WIDTH), (BATCH, 7, 7, 2 * WIDTH)
    x, w, y = (rng.standard_normal(s, dtype="float32").transpose(0, 3, 1, 2) for s in shapes)
    return x, numpy.ascontiguousarray(w), y


def chain(x: Any) -> Any:
    """CHAIN scalar products one after the other, which tell what an engine costs per operation."""
    y = x
    for _ in range(CHAIN):
        y = y * x
    return y


# --- minigan --------------------------------------------------------------------------------------


def minigan_step(model: str) -> Task:
    import minigan as mg
    from minigan.models.gan import discriminator_step, generator_step

    g, d = players(model)
    draw, game = draws(model), (g, d, mg.losses.non_saturating)
    adam_g = mg.optim.Adam(g.parameters(), **ADAM)
    adam_d = mg.optim.Adam(d.parameters(), **ADAM)

    def step() -> Any:
        real, z_d, z_g = (mg.Tensor(backend.asarray(array)) for array in draw())
        measured = discriminator_step(*game, adam_d, real, z_d)
        return measured["d_loss"], generator_step(*game, adam_g, z_g)["g_loss"]

    return step


def minigan_conv(what: str) -> Task:
    import minigan as mg
    from minigan.ops import conv

    x, w, y = (mg.Tensor(backend.asarray(array)) for array in _middle_layer())
    return {
        "forward": lambda: conv.conv2d(x, w, None, 2, 1),
        "input": lambda: conv.conv_transpose2d(y, w, None, 2, 1),  # the same kernel here
        "weight": lambda: conv.conv2d_weight(x, y, (4, 4), 2, 1),
        "transposed": lambda: conv.conv_transpose2d(y, w, None, 2, 1),
    }[what]


def minigan_chain() -> Task:
    import minigan as mg

    x = mg.tensor(1.0, requires_grad=True)
    return lambda: mg.grad(chain(x), x)


# --- PyTorch --------------------------------------------------------------------------------------


def _pytorch_device() -> str:
    """The device that minigan computes on, if this build of PyTorch can use it."""
    torch: Any = importlib.import_module("torch")
    return "cuda" if backend.on_gpu() and torch.cuda.is_available() else "cpu"


def pytorch_step(model: str) -> Task:
    import torch
    from torch.nn.functional import softplus

    device = _pytorch_device()
    g, d = (player.to(device) for player in nets(torch.nn, model))
    for twin, ours in zip((g, d), players(model), strict=True):
        state = {name: torch.from_numpy(value.numpy()) for name, value in ours.state_dict().items()}
        twin.load_state_dict(state, strict=False)  # batch norm there has num_batches_tracked, too
    draw, of_g = draws(model), list(g.parameters())
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


def pytorch_conv(what: str) -> Task:
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


def pytorch_chain() -> Task:
    import torch

    x = torch.tensor(1.0, requires_grad=True, device=_pytorch_device())
    return lambda: torch.autograd.grad(chain(x), x)


# --- The rows -------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        name: what is timed.
        unit: the unit of its figures.
        scale: how many of the unit a second is.
        tasks: what is timed in each library.
        step: whether it is a training step; these show their memory and busy processors, too.
    """

    name: str
    unit: str
    scale: float
    tasks: Tasks
    step: bool = False


def _tasks(ours: Callable[..., Task], theirs: Callable[..., Task], *of: str) -> Tasks:
    return {"minigan": partial(ours, *of), "pytorch": partial(theirs, *of)}


STEPS = {model: _tasks(minigan_step, pytorch_step, model) for model in MODELS}
CONV = {
    what: _tasks(minigan_conv, pytorch_conv, what)
    for what in ("forward", "input", "weight", "transposed")
}
CHAINS = _tasks(minigan_chain, pytorch_chain)
ROWS = [
    Row("MLP GAN step", "ms", 1e3, STEPS["mlp"], step=True),
    Row("DCGAN step", "ms", 1e3, STEPS["dcgan"], step=True),
    Row("convolution 64→128, 14×14, 4×4/2", "ms", 1e3, CONV["forward"]),
    Row("  gradient in the picture", "ms", 1e3, CONV["input"]),
    Row("  gradient in the kernel", "ms", 1e3, CONV["weight"]),
    Row("  transposed (its adjoint)", "ms", 1e3, CONV["transposed"]),
    Row("one scalar op, forward + backward", "µs", 1e6 / CHAIN, CHAINS),
]


# --- Processes and turns --------------------------------------------------------------------------


def _load(library: str, threads: int) -> None:
    """Import a library and give it ``threads`` threads; called in the library's own process."""
    module: Any = importlib.import_module(PACKAGES.get(library, library))
    if library == "pytorch":
        module.set_num_threads(threads)


def _wait(library: str) -> None:
    """Wait until the GPU, if one is in use, has done what it was asked to."""
    if library == "minigan" and backend.on_gpu():
        backend.xp.cuda.Device().synchronize()
    elif library == "pytorch" and _pytorch_device() == "cuda":
        module: Any = importlib.import_module("torch")
        module.cuda.synchronize()


def _serve(library: str, make: Callable[[], Task], threads: int, pipe: Connection) -> None:
    """Build a task, then time it n times whenever n arrives; it runs in a process of its own."""
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
    tasks: Tasks, threads: int, seconds: float = SECONDS
) -> dict[str, list[tuple[float, float]]]:
    """Time a task in all libraries by turns, each library in a process of its own.

    Returns:
        For each library a pair per turn: the seconds of its task, and how many processors it kept
        busy. The libraries' i-th turns were next to each other. A library whose task cannot be
        built or run is left out; its process has then said why on stderr.
    """
    set_threads(threads)
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
            there_is_time_for = seconds / len(pipes) / once[library]  # in tasks
            if i < max(3, there_is_time_for):  # a slow library drops out early
                pipe.send(max(1, min(7, int(there_is_time_for / 15))))
                turns[library].append(pipe.recv())
    for library, pipe in pipes.items():
        pipe.send(0)
        processes[library].join()
    return turns


def available_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def set_threads(threads: int) -> None:
    """Set the threads of processes to come: their libraries read them when they are loaded."""
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ):
        os.environ[name] = str(threads)


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process; returns what it returns and raises what it raises."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def about_minigan(threads: int) -> str:
    """What the table says of minigan: its array library, and the threads of that library."""
    if backend.on_gpu():
        name = backend.xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return f"cupy {backend.xp.__version__} on {name}"
    blas = numpy.show_config("dicts")["Build Dependencies"]["blas"]["name"]
    return f"numpy {numpy.__version__}, {blas}, {threads} threads in products, else 1"


def about_pytorch(threads: int) -> str:
    """What the table says of PyTorch: its version, device and threads."""
    torch: Any = importlib.import_module("torch")
    return f"{version('torch')} on {_pytorch_device()}, {torch.get_num_threads()} threads"


#: The libraries of the table, and what it says of each.
ABOUT: dict[str, Callable[[int], str]] = {"minigan": about_minigan, "pytorch": about_pytorch}


def _about(library: str, about: Callable[[int], str], threads: int) -> str:
    """What ``about`` says of a library, in a process of its own; raises if it does not work."""
    _load(library, threads)
    return about(threads)


# --- Memory ---------------------------------------------------------------------------------------


def _peak() -> int:
    """The largest resident set of this process so far, in bytes; Windows has no such number."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage() would count the parent process, too
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    resource: Any = importlib.import_module("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes, on a Mac


def _memory(library: str, make: Callable[[], Task], threads: int) -> tuple[int, int]:
    """The peak memory of five steps, without and with the library and the data, in bytes."""
    _load(library, threads)
    digits()
    before, task = _peak(), make()
    for _ in range(5):
        task()
    return _peak() - before, _peak()


# --- The tables -----------------------------------------------------------------------------------


def line(name: str, libraries: list[str], cells: dict[str, str], ratios: dict[str, float]) -> str:
    """One line of the table: for each library its cell, "–" if it has none, and its ratio."""
    text = f"{name:34}"
    for library in libraries:
        text += f"{cells.get(library, '–'):>10}"
        if library != "minigan":
            text += f"{ratios[library]:6.2f}" if library in ratios else " " * 6
    return text.rstrip()


def main() -> None:
    """Print the table of minigan and PyTorch, for the array library in use."""
    print_table(ROWS, ABOUT)


def print_table(rows: list[Row], about: dict[str, Callable[[int], str]]) -> None:
    """Print the rows for those libraries of ``about`` that are installed, and what they are.

    The processes read from the environment which array library and how many threads to use.
    """
    os.environ["MINIGAN_BACKEND"] = backend.name()
    threads = available_threads()
    set_threads(threads)
    found, notes = {}, []
    for library, describe in about.items():
        if importlib.util.find_spec(PACKAGES.get(library, library)):
            try:
                found[library] = apart(_about, library, describe, threads)
            except Exception as error:
                if library == "minigan":
                    raise
                notes.append(f"{library} is installed, but does not run here: {error}")
    libraries = list(found)
    click.echo("Medians; libraries taking turns; ratio: minigan / the library before it\n")
    click.echo(line("", libraries, {k: k for k in libraries}, {}))
    busy: dict[str, dict[str, float]] = {}  # the processors that each step kept busy
    for row in rows:
        turns = measure({k: row.tasks[k] for k in libraries if k in row.tasks}, threads)
        cells = {
            k: f"{statistics.median(s for s, _ in turns[k]) * row.scale:.1f} {row.unit}"
            for k in turns
        }
        ratios = {
            k: statistics.median(a / b for (a, _), (b, _) in zip(turns["minigan"], v, strict=False))
            for k, v in turns.items()
        }
        if row.step:
            busy[row.name] = {k: statistics.median(b for _, b in turns[k]) for k in turns}
        click.echo(line(row.name, libraries, cells, ratios))
    measurable = os.name != "nt" and not backend.on_gpu()
    for row in rows if measurable else ():
        if row.step:
            peaks = {k: apart(_memory, k, row.tasks[k], threads) for k in busy[row.name]}
            for i, what in enumerate((f"peak memory, {row.name}", "  with the library itself")):
                cells = {k: f"{peak[i] / 1e6:.0f} MB" for k, peak in peaks.items()}
                ratios = {k: peaks["minigan"][i] / peak[i] for k, peak in peaks.items()}
                click.echo(line(what, libraries, cells, ratios))
    click.echo()
    for library, text in found.items():
        kept = [f"{b[library]:.1f} in the {name}" for name, b in busy.items() if library in b]
        click.echo(f"{library}: {text}; busy: {', '.join(kept)}")
    for note in notes:
        click.echo(note)
