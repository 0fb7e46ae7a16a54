"""Layer 2: new Tensors of a given shape on the current backend, float32 unless told otherwise.

A shape is several integers, ``zeros(2, 3)``, or a sequence of them, ``zeros((2, 3))``.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.arguments import integer, number, wrong_type
from minigan.autograd import Operand, Tensor, as_tensor

__all__ = ["arange", "ones", "ones_like", "rand", "randn", "zeros", "zeros_like"]


def _shape(owner: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    return tuple(integer(owner, "a length of the shape", n, 0) for n in shape)


def zeros(*shape: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Entries 0."""
    return Tensor(backend.xp.zeros(_shape("zeros", shape), dtype or "float32"), requires_grad)


def ones(*shape: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Entries 1."""
    return Tensor(backend.xp.ones(_shape("ones", shape), dtype or "float32"), requires_grad)


def zeros_like(x: Operand, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Entries 0, in the shape of x and its dtype unless another one is given."""
    return Tensor(backend.xp.zeros_like(as_tensor(x).data, dtype=dtype), requires_grad)


def ones_like(x: Operand, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Entries 1, in the shape of x and its dtype unless another one is given."""
    return Tensor(backend.xp.ones_like(as_tensor(x).data, dtype=dtype), requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    requires_grad: bool = False,
    dtype: Any = None,
) -> Tensor:
    """start, start + step, ... before ``stop``; of one argument, 0, 1, ... before it.

    int64 if all of them are integers, else float32, unless ``dtype`` says more.

    >>> arange(3).numpy().tolist(), arange(1.0, 2.0, 0.5).numpy().tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    given = {"start": 0, "stop": start} if stop is None else {"start": start, "stop": stop}
    limits = {name: number("arange", name, x) for name, x in {**given, "step": step}.items()}
    if not limits["step"]:
        raise ValueError("arange: step must not be 0")
    if all(isinstance(x, int | numpy.integer) for x in (*given.values(), step)):
        array = backend.xp.arange(*map(int, (*given.values(), step)), dtype="int64")
        return Tensor(array.astype(dtype or "int64", copy=False), requires_grad)
    return Tensor(backend.xp.arange(*limits.values()).astype(dtype or "float32"), requires_grad)


def randn(*shape: Any, rng: Any = None, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Entries from N(0, 1), drawn from the host's "latent" stream.

    Args:
        shape: integers, or a sequence of them.
        rng: another generator, such as ``minigan.backend.generator(seed)`` or
            ``minigan.backend.stream("init")``.
        requires_grad, dtype: as in :func:`minigan.tensor`, but the dtype is one of floats.
    """
    return _drawn("randn", "latent", "standard_normal", shape, rng, requires_grad, dtype)


def rand(*shape: Any, rng: Any = None, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Entries from U[0, 1), drawn from the host's "dropout" stream; arguments as in :func:`randn`.

    So what a penalty or a mask draws changes no latents.
    """
    return _drawn("rand", "dropout", "random", shape, rng, requires_grad, dtype)


def _drawn(
    owner: str, stream: str, method: str, shape: Any, rng: Any, requires_grad: bool, dtype: Any
) -> Tensor:
    """Entries from a method of the stream, or of ``rng``."""
    if not isinstance(rng, type(backend.stream(stream)) | None):
        raise wrong_type(owner, "rng", "a generator, see minigan.backend.generator(seed)", rng)
    dtype = numpy.dtype(dtype or "float32")
    if dtype.kind != "f":
        raise wrong_type(owner, "dtype", "a dtype of floats", dtype.name)
    return Tensor(backend.drawn(method, stream, _shape(owner, shape), dtype, rng), requires_grad)
