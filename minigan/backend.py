"""Layer 0: the one file that knows which array library is in use, and where randomness comes from.

Everything above reads the library as ``backend.xp`` *inside* functions: ``xp`` is NumPy or CuPy and
may be switched while the program runs, so a ``from minigan.backend import xp`` would go stale.
Arrays enter through :func:`asarray` and leave through :func:`to_host`; nothing else crosses.

All random numbers are drawn on the host by NumPy generators, one stream per purpose, all spawned
from one seed (Philox or CuPy's own generators would draw other numbers on a GPU than on a CPU).
"""

from __future__ import annotations

import contextlib
import gc
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from minigan.arguments import integer

#: An array of the current backend. NumPy and CuPy share no base class, so the type is open.
Array = Any

xp: Any = numpy

# --- The switch -----------------------------------------------------------------------------------


class BackendError(RuntimeError):
    """The array library that was asked for cannot be used; the message says what to do."""


#: For each name, the function that finds the library; minigan/devices.py adds "cupy" and "auto".
LIBRARIES: dict[str, Callable[[], Any]] = {"numpy": lambda: numpy}


def set_backend(backend: str | Any) -> None:
    """Choose the array library for the whole process; the environment's MINIGAN_BACKEND does too.

    Args:
        backend: ``"numpy"``, ``"cupy"``, ``"auto"`` (CuPy where it works, else NumPy, with a
            warning that says why), or any object with NumPy's namespace.

    Raises:
        ValueError: an unknown name. TypeError: neither a name nor such an object.
        BackendError: (a RuntimeError) ``"cupy"`` cannot work here, and the message names what is
            missing; or parameters of the library in use are alive, which the other could not use.
    """
    global xp
    if isinstance(backend, str):
        if backend not in LIBRARIES:
            expected = ", ".join(map(repr, LIBRARIES))
            raise ValueError(f"unknown backend {backend!r}; expected one of {expected}")
        backend = LIBRARIES[backend]()
    elif not hasattr(backend, "ndarray"):
        raise TypeError(f"expected a backend's name or a namespace like NumPy's, got {backend!r}")
    if backend is not xp:
        _refuse_to_strand(backend)
    xp = backend


@contextlib.contextmanager
def using_backend(backend: str | Any) -> Iterator[None]:
    """``with using_backend("numpy"): ...`` switches for the block and switches back after it.

    Raises what :func:`set_backend` does, before the block. Parameters made inside of it can be used
    in another such block, but not between.
    """
    global xp
    previous = xp
    set_backend(backend)
    try:
        yield
    finally:
        xp = previous


#: Every Parameter that is alive, by its identity.
parameters: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def _refuse_to_strand(other: Any) -> None:
    """BackendError if there are parameters whose arrays are not ``other``'s."""

    def stranded() -> list[tuple[int, ...]]:  # shapes: the error must not keep the arrays alive
        return [p.shape for p in parameters.values() if not isinstance(p.data, other.ndarray)]

    if stranded():
        gc.collect()  # models that nothing but a cycle holds do not count
    if left := stranded():
        raise BackendError(
            f"cannot switch to backend {name(other)!r}: {len(left)} parameters live on "
            f"{name()!r}, the first of shape {left[0]}; choose the backend before building "
            "models, or delete them and their optimizers first (a state_dict() can be saved)"
        )


class _FromEnvironment:
    """Stands for the library that MINIGAN_BACKEND names, until its first use looks for it.

    So importing minigan never fails, and an explicit choice comes before the variable.
    """

    def __getattr__(self, attribute: str) -> Any:
        set_backend(os.environ["MINIGAN_BACKEND"])
        return getattr(xp, attribute)


if os.environ.get("MINIGAN_BACKEND"):
    xp = _FromEnvironment()


def name(library: Any = None) -> str:
    """The name of an array library, the current one if none is given: ``"numpy"``, ``"cupy"``."""
    return str(getattr(library or xp, "__name__", "unnamed"))


def on_gpu() -> bool:
    """True where time goes to launches, and not to the way from memory through the caches."""
    return name() == "cupy"


# --- The way in and the way out -------------------------------------------------------------------


def asarray(data: Any, dtype: Any = None) -> Array:
    """The way in: ``data`` as an array of the current backend, copied only where that is needed."""
    return xp.asarray(data, dtype=dtype)


def checked(value: Any) -> Array:
    """``value`` if it is an array of the current backend, else TypeError.

    NumPy's ufuncs make scalars of 0-d arrays; these become arrays again.
    """
    if isinstance(value, xp.ndarray):
        return value
    if isinstance(value, numpy.generic) and xp.ndarray is numpy.ndarray:
        return numpy.asarray(value)
    raise TypeError(
        f"expected an array of backend {name()!r}, got {type(value).__module__}."
        f"{type(value).__name__}; use minigan.tensor(data), and no tensors made on another backend"
    )


def to_host(array: Array) -> numpy.ndarray:
    """The way out, and the only one: a NumPy copy of ``array``, in host memory, of its own."""
    return array.get() if hasattr(array, "get") else numpy.array(array)


# --- Memory ---------------------------------------------------------------------------------------

#: Entries of a slice that stays in cache: 2 MB in float32.
CACHED = 1 << 19
#: Pictures that a trained net is shown at a time: more are not faster.
CHUNK = 500


def slices(n: int, step: int) -> Iterator[slice]:
    """range(n) in slices of ``step``, of which the last may be shorter."""
    return (slice(i, min(i + step, n)) for i in range(0, n, step))


def cached_slices(n: int, entries: int) -> Iterator[slice]:
    """:func:`slices` of so few of n rows, of ``entries`` each, that they stay in cache.

    A GPU hides the way to its memory behind many threads: there, slices only bound the memory.
    """
    return slices(n, max(1, (CACHED << 9 if on_gpu() else CACHED) // max(1, entries)))


# --- Randomness ---------------------------------------------------------------------------------

#: One independent stream per purpose: drawing more dropout masks never changes the latents.
STREAMS = ("init", "latent", "shuffle", "dropout")

_streams: dict[str, numpy.random.Generator] = {}


def manual_seed(seed: int) -> None:
    """Restart every random stream from ``seed`` (an integer >= 0).

    The streams are the children of ``numpy.random.SeedSequence(seed)``, in the order of
    :data:`STREAMS`, each feeding a PCG64 generator.
    """
    seed = integer("manual_seed", "the seed", seed, 0)
    children = numpy.random.SeedSequence(seed).spawn(len(STREAMS))
    for key, child in zip(STREAMS, children, strict=True):
        _streams[key] = numpy.random.Generator(numpy.random.PCG64(child))


def stream(purpose: str) -> numpy.random.Generator:
    """The host generator for one purpose, one of :data:`STREAMS`."""
    return _streams[purpose]


def drawn(method: str, purpose: str, shape: Any, dtype: Any = "float32", rng: Any = None) -> Array:
    """An array of floats from a stream, or from another generator.

    ``method`` is "random" or "standard_normal". What is narrower than float64 is drawn in float32.
    """
    width = "float64" if numpy.dtype(dtype).itemsize > 4 else "float32"
    return asarray(getattr(rng or stream(purpose), method)(shape, dtype=width), dtype)


def generator(seed: int) -> numpy.random.Generator:
    """A host generator of its own, outside of the streams: the same seed, the same numbers."""
    return numpy.random.Generator(numpy.random.PCG64(integer("generator", "the seed", seed, 0)))


def rng_state() -> dict[str, Any]:
    """The position of every stream, as plain JSON-able values; see :func:`set_rng_state`."""
    return {key: generator.bit_generator.state for key, generator in _streams.items()}


def set_rng_state(state: dict[str, Any]) -> None:
    """Put every stream back to where :func:`rng_state` found it."""
    for key in STREAMS:
        _streams[key].bit_generator.state = state[key]


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """After the block every stream is where it was before: what is built inside draws nothing."""
    before = rng_state()
    try:
        yield
    finally:
        set_rng_state(before)


manual_seed(0)
