"""Layer 7: this machine's table: what a training step and an operation cost, against what is there.

Each library runs in a process of its own with the same number of threads, and the two take turns:
a few repetitions here, the same there, again. A pair of turns gives one ratio, and what is reported
is the median over the pairs, so that a slow moment of the machine meets both.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import click
import numpy

from minigan import backend

BATCH = 128
GENERATOR = (100, 256, 512, 1024, 784)
DISCRIMINATOR = (784, 1024, 512, 256, 1)
ADAM: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}
CHAIN = 1_000  # scalar operations in one measurement of the overhead

Task = Callable[[], None]


def _dense(nn: Any, sizes: tuple[int, ...], *last: Any) -> Any:
    """The plain stack of both libraries: dense layers with LeakyReLU 0.2 between them."""
    layers: list[Any] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1], *last)


def _parameters(nn: Any) -> list[Any]:
    """The 2.9 million parameters of both players."""
    return [p for sizes in (GENERATOR, DISCRIMINATOR) for p in _dense(nn, sizes).parameters()]


# --- The same tasks in each library ---------------------------------------------------------------


def _minigan_mlp_step() -> Task:
    """D's and G's step of a dense GAN: forward, backward and Adam, fresh latents for each."""
    import minigan as mg
    from minigan.training import discriminator_step, generator_step

    g, d = _dense(mg.nn, GENERATOR, mg.nn.Tanh()), _dense(mg.nn, DISCRIMINATOR)
    players = (g, d, mg.losses.non_saturating)
    adam_g = mg.optim.Adam(g.parameters(), **ADAM)
    adam_d = mg.optim.Adam(d.parameters(), **ADAM)
    rng = backend.generator(0)
    real = mg.tensor(rng.random((BATCH, DISCRIMINATOR[0]), dtype="float32") * 2 - 1)

    def latents() -> mg.Tensor:
        return mg.Tensor(rng.standard_normal((BATCH, GENERATOR[0]), dtype="float32"))

    def step() -> None:
        discriminator_step(*players, adam_d, real, latents())
        generator_step(*players, adam_g, latents())

    return step


def _pytorch_mlp_step() -> Task:
    import torch
    from torch.nn.functional import softplus

    g, d = _dense(torch.nn, GENERATOR, torch.nn.Tanh()), _dense(torch.nn, DISCRIMINATOR)
    adam_g = torch.optim.Adam(g.parameters(), **ADAM)
    adam_d = torch.optim.Adam(d.parameters(), **ADAM)
    of_g = list(g.parameters())
    rng = backend.generator(0)
    real = torch.from_numpy(rng.random((BATCH, DISCRIMINATOR[0]), dtype="float32") * 2 - 1)

    def latents() -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((BATCH, GENERATOR[0]), dtype="float32"))

    def step() -> None:
        with torch.no_grad():
            fake = g(latents())
        real_logits, fake_logits = d(real), d(fake)
        loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        with torch.no_grad():
            torch.sigmoid(real_logits).mean(), torch.sigmoid(fake_logits).mean()

        loss = softplus(-d(g(latents()))).mean()
        adam_g.zero_grad()
        loss.backward(inputs=of_g)
        adam_g.step()

    return step


def _minigan_adam() -> Task:
    """Both Adams alone, on all parameters of that GAN."""
    import minigan as mg

    params = _parameters(mg.nn)
    for p in params:
        p.grad = mg.tensor(p.data)
    return mg.optim.Adam(params, **ADAM).step


def _pytorch_adam() -> Task:
    import torch

    params = _parameters(torch.nn)
    for p in params:
        p.grad = p.detach().clone()
    step = torch.optim.Adam(params, **ADAM).step
    return lambda: (step(), None)[1]


def _minigan_products() -> Task:
    """The matrix products of that step alone, into buffers that are there: the limit."""
    one = numpy.float32
    products: list[tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]] = []
    rng = backend.generator(0)

    def add(a: numpy.ndarray, b: numpy.ndarray) -> None:
        products.append((a, b, numpy.empty((a.shape[0], b.shape[1]), one)))

    def layers(sizes: tuple[int, ...], forward: int, weights: int, inputs: int) -> None:
        """inputs: how often ∂/∂x is taken, 2 for all layers, 1 for all but the first."""
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            x = rng.standard_normal((BATCH, n_in), dtype=one)
            w = rng.standard_normal((n_out, n_in), dtype=one)
            g = rng.standard_normal((BATCH, n_out), dtype=one)
            for _ in range(forward):
                add(x, w.T)
            for _ in range(weights):
                add(g.T, x)
            for _ in range(inputs if i else inputs - weights):
                add(g, w)

    layers(GENERATOR, forward=2, weights=1, inputs=1)
    layers(DISCRIMINATOR, forward=3, weights=2, inputs=3)

    def run() -> None:
        for a, b, out in products:
            numpy.matmul(a, b, out=out)

    return run


def _minigan_overhead() -> Task:
    """A chain of scalar products, forward and backward: what the engine costs per operation."""
    import minigan as mg

    x = mg.tensor(1.0, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = y * x
        mg.grad(y, x)

    return run


def _pytorch_overhead() -> Task:
    import torch

    x = torch.tensor(1.0, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = y * x
        torch.autograd.grad(y, x)

    return run


#: (row of the table, unit, seconds → unit, library → task)
ROWS: list[tuple[str, str, float, dict[str, Callable[[], Task]]]] = [
    (
        "MLP GAN step (batch 128, Adam)",
        "ms",
        1e3,
        {"minigan": _minigan_mlp_step, "pytorch": _pytorch_mlp_step},
    ),
    ("  its matrix products alone", "ms", 1e3, {"minigan": _minigan_products}),
    ("  its Adam steps alone", "ms", 1e3, {"minigan": _minigan_adam, "pytorch": _pytorch_adam}),
    (
        "one scalar op, forward + backward",
        "µs",
        1e6 / CHAIN,
        {"minigan": _minigan_overhead, "pytorch": _pytorch_overhead},
    ),
]


# --- Taking turns ---------------------------------------------------------------------------------


def _serve(make: Callable[[], Task], threads: int, pipe: Connection) -> None:
    """In a process of its own: build a task, then time it n times whenever n arrives."""
    if importlib.util.find_spec("torch") and make.__name__.startswith("_pytorch"):
        import torch

        torch.set_num_threads(threads)
    task = make()
    for _ in range(5):
        task()
    pipe.send("ready")
    while n := pipe.recv():
        seconds = []
        for _ in range(n):
            start = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - start)
        pipe.send(statistics.median(seconds))


def measure(
    tasks: dict[str, Callable[[], Task]], threads: int, pairs: int = 15, repeats: int = 7
) -> dict[str, list[float]]:
    """Seconds of each turn of each library; the i-th entries were measured next to each other."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)  # read by the children, when they load their libraries
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for library, make in tasks.items():
        pipes[library], child = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(make, threads, child), daemon=True)
        process.start()
        processes.append(process)
        pipes[library].recv()
    turns: dict[str, list[float]] = {library: [] for library in tasks}
    for _ in range(pairs):
        for library, pipe in pipes.items():
            pipe.send(repeats)
            turns[library].append(pipe.recv())
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(0)
        process.join()
    return turns


def main() -> None:
    """Print the table."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    versions = [f"numpy {numpy.__version__}"]
    libraries = ["minigan"]
    if importlib.util.find_spec("torch"):
        import torch

        versions.append(f"torch {torch.__version__}")
        libraries.append("pytorch")
    click.echo(f"{threads} threads each, {', '.join(versions)}; medians, libraries taking turns")
    click.echo(f"{'':36}{'minigan':>12}{'pytorch':>12}{'ratio':>8}")
    for name, unit, scale, tasks in ROWS:
        turns = measure({k: tasks[k] for k in libraries if k in tasks}, threads)
        cells = [
            f"{statistics.median(turns[k]) * scale:9.2f} {unit}" if k in turns else f"{'–':>12}"
            for k in ("minigan", "pytorch")
        ]
        ratio = ""
        if "pytorch" in turns:
            pairs = zip(turns["minigan"], turns["pytorch"], strict=True)
            ratio = f"{statistics.median(ours / theirs for ours, theirs in pairs):8.2f}"
        click.echo(f"{name:36}{cells[0]:>12}{cells[1]:>12}{ratio}")
