"""Layer 3: starting values for parameters. All draws come from the host's "init" stream.

Each function overwrites a tensor in place and returns it. Dense and convolution weights are
(out, in, *kernel), so fan_in = in·∏kernel and fan_out = out·∏kernel.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy

from minigan import backend
from minigan.arguments import number, wrong_type
from minigan.autograd import Tensor
from minigan.nn.module import Module

T = TypeVar("T", bound=Tensor)


def _host_dtype(owner: str, tensor: Tensor) -> type[numpy.floating]:
    if not isinstance(tensor, Tensor) or tensor.dtype.kind != "f":
        raise wrong_type(owner, "tensor", "a Tensor of floats", tensor)
    return numpy.float64 if tensor.dtype == "float64" else numpy.float32


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Entries from N(mean, std²)."""
    mean, std = number("normal_", "mean", mean), number("normal_", "std", std, "[0, inf)")
    dtype = _host_dtype("normal_", tensor)
    draw = backend.stream("init").standard_normal(tensor.shape, dtype=dtype)
    return tensor.copy_(draw * std + mean)


def uniform_(tensor: T, low: float = 0.0, high: float = 1.0) -> T:
    """Entries from U[low, high)."""
    low, high = number("uniform_", "low", low), number("uniform_", "high", high)
    if low > high:
        raise ValueError(f"uniform_: low must not be above high, got {low} and {high}")
    dtype = _host_dtype("uniform_", tensor)
    draw = backend.stream("init").random(tensor.shape, dtype=dtype)
    return tensor.copy_(draw * (high - low) + low)


def zeros_(tensor: Tensor) -> Tensor:
    """All entries 0."""
    _host_dtype("zeros_", tensor)
    return tensor.copy_(numpy.zeros(tensor.shape))


def ones_(tensor: Tensor) -> Tensor:
    """All entries 1."""
    _host_dtype("ones_", tensor)
    return tensor.copy_(numpy.ones(tensor.shape))


def _fans(tensor: Tensor) -> tuple[int, int]:
    _host_dtype("fan-in and fan-out", tensor)
    if tensor.ndim < 2:
        raise ValueError(f"fan-in and fan-out need a weight of 2 or more axes, got {tensor.shape}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U[−b, b], b = gain·√(6/(fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""
    fan_in, fan_out = _fans(tensor)
    gain = number("xavier_uniform_", "gain", gain, "[0, inf)")
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0) -> Tensor:
    """U[−b, b], b = √(6/((1 + a²)·fan_in)), for leaky ReLUs of slope a (He et al. 2015, eq. 15).

    With a = √5, b = 1/√fan_in: what PyTorch's dense and convolution layers start from.
    """
    fan_in, _ = _fans(tensor)
    a = number("kaiming_uniform_", "a", a)
    bound = math.sqrt(6.0 / ((1.0 + a * a) * fan_in))
    return uniform_(tensor, -bound, bound)


def dcgan_(module: Module) -> Module:
    """Weights N(0, 0.02²), batch-norm weights N(1, 0.02²), biases 0.

    The first is Radford et al. 2016, section 4; the others are what its authors' code did. Matrices
    and kernels below ``module`` count as weights, vectors called ``weight`` as batch norm's.
    """
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2:
            normal_(parameter, 0.0, 0.02)
        elif name.rpartition(".")[2] == "weight":
            normal_(parameter, 1.0, 0.02)
        else:
            zeros_(parameter)
    return module
