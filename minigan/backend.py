"""Layer 0: the one file that knows which array library is in use, and where randomness comes from.

Everything above reads the library as ``backend.xp`` *inside* functions: ``xp`` is NumPy or CuPy and
may be switched while the program runs, so a ``from minigan.backend import xp`` would go stale.
Arrays enter through :func:`asarray` and leave through :func:`to_host`; nothing else crosses.

All random numbers are drawn on the host by NumPy generators, one stream per purpose, all spawned
from one seed (Philox or CuPy's own generators would draw other numbers on a GPU than on a CPU).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy

#: An array of the current backend. NumPy and CuPy share no base class, so the type is open.
Array = Any

xp: Any = numpy


def _import_cupy() -> Any:
    """Import CuPy and run one kernel and one product; say which stage fails and what mends it."""
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(
            f"backend 'cupy': the package is not installed ({error}). "
            "Install it with: pip install 'minigan[cuda12]' (or [cuda13] for drivers from 580 on)"
        ) from error
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"backend 'cupy': no usable NVIDIA driver or device ({error}). "
            "Check that nvidia-smi lists a GPU; without one use --backend numpy"
        ) from error
    if devices == 0:
        raise RuntimeError("backend 'cupy': the driver lists no device; use --backend numpy")
    try:
        one = cupy.ones((2, 2), dtype=cupy.float32)
        float(((one + one) @ one)[0, 0])
    except Exception as error:  # CuPy raises many kinds here, all of them from missing libraries
        raise RuntimeError(
            f"backend 'cupy': a device is there but the CUDA libraries are not ({error}). "
            "Install them with: pip install 'minigan[cuda12]' (or [cuda13])"
        ) from error
    return cupy


def set_backend(backend: str | Any) -> None:
    """Choose the array library for the whole process.

    Args:
        backend: ``"numpy"``, ``"cupy"``, ``"auto"`` (CuPy where it works, else NumPy, with a
            warning that says why), or any object with NumPy's namespace.

    Raises:
        ValueError: an unknown name.
        RuntimeError: ``"cupy"`` cannot work here; the message names what is missing.
    """
    global xp
    if not isinstance(backend, str):
        xp = backend
    elif backend == "numpy":
        xp = numpy
    elif backend == "cupy":
        xp = _import_cupy()
    elif backend == "auto":
        try:
            xp = _import_cupy()
        except RuntimeError as error:
            xp = numpy
            warnings.warn(f"falling back to NumPy: {error}", stacklevel=2)
    else:
        raise ValueError(f"unknown backend {backend!r}; expected 'numpy', 'cupy' or 'auto'")


@contextlib.contextmanager
def using_backend(backend: str | Any) -> Iterator[None]:
    """``with using_backend("numpy"): ...`` switches for the block and switches back after it."""
    previous = xp
    set_backend(backend)
    try:
        yield
    finally:
        set_backend(previous)


def name() -> str:
    """The name of the current array library: ``"numpy"`` or ``"cupy"``."""
    return str(getattr(xp, "__name__", type(xp).__name__))


def asarray(data: Any, dtype: Any = None) -> Array:
    """The way in: ``data`` as an array of the current backend, copied only where that is needed."""
    return xp.asarray(data, dtype=dtype)


def to_host(array: Array) -> numpy.ndarray:
    """The way out: a NumPy copy of ``array``, in host memory, of its own."""
    return numpy.array(array.get() if hasattr(array, "get") else array)


# --- Memory ---------------------------------------------------------------------------------------

#: Entries of a slice that stays in cache: 2 MB in float32.
CACHED = 1 << 19


def batches(rows: int, entries: int) -> Iterator[slice]:
    """Slices of range(rows), each of so few rows of ``entries`` that they stay in cache.

    A GPU hides the way to its memory behind many threads: there, slices only bound the memory.
    """
    step = max(1, (CACHED if xp is numpy else CACHED << 9) // max(1, entries))
    return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB instead of giving each back to the system.

    It would fetch the next array of a training step, which is of the same size, page by page again:
    a fifth of the DCGAN's step. Other systems' allocators are left as they are, and so is glibc's
    where its own variables (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_) are set.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # no glibc here
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_keep_freed_memory()

# --- Randomness ---------------------------------------------------------------------------------

#: One independent stream per purpose: drawing more dropout masks never changes the latents.
STREAMS = ("init", "latent", "shuffle", "dropout")

_streams: dict[str, numpy.random.Generator] = {}


def manual_seed(seed: int) -> None:
    """Restart every random stream from ``seed`` (an integer >= 0).

    The streams are the children of ``numpy.random.SeedSequence(seed)``, in the order of
    :data:`STREAMS`, each feeding a PCG64 generator.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, numpy.integer)):
        raise TypeError(f"manual_seed: the seed must be an integer, got {seed!r}")
    if seed < 0:
        raise ValueError(f"manual_seed: the seed must not be negative, got {seed}")
    children = numpy.random.SeedSequence(int(seed)).spawn(len(STREAMS))
    for key, child in zip(STREAMS, children, strict=True):
        _streams[key] = numpy.random.Generator(numpy.random.PCG64(child))


def stream(purpose: str) -> numpy.random.Generator:
    """The host generator for one purpose, one of :data:`STREAMS`."""
    return _streams[purpose]


def generator(seed: int) -> numpy.random.Generator:
    """A host generator of its own, outside of the streams: the same seed, the same numbers."""
    return numpy.random.Generator(numpy.random.PCG64(seed))


def rng_state() -> dict[str, Any]:
    """The position of every stream, as plain JSON-able values; see :func:`set_rng_state`."""
    return {key: generator.bit_generator.state for key, generator in _streams.items()}


def set_rng_state(state: dict[str, Any]) -> None:
    """Put every stream back to where :func:`rng_state` found it."""
    for key in STREAMS:
        _streams[key].bit_generator.state = state[key]


manual_seed(0)
