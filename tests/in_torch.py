"""minigan's nets in PyTorch: the same layers, the same weights, the same random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan import backend, nn
from minigan.models import maxout_gan

torch: Any = pytest.importorskip("torch")


class Dropout(torch.nn.Module):
    """Its masks come from minigan's stream, so that both nets drop the same."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        keep = backend.stream("dropout").random(tuple(x.shape), dtype="float32") >= self.p
        return x * torch.from_numpy(keep.astype("float64")) / (1 - self.p)


class Maxout(torch.nn.Linear):
    def __init__(self, fan_in: int, fan_out: int, pieces: int):
        super().__init__(fan_in, fan_out * pieces)
        self.pieces = pieces

    def forward(self, x: Any) -> Any:
        return super().forward(x).reshape(len(x), self.pieces, -1).amax(1)


class Rescale(torch.nn.Module):
    def __init__(self, scale: float, shift: float):
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, x: Any) -> Any:
        return x * self.scale + self.shift


def _size(layer: nn.Module) -> tuple[int, ...]:
    return tuple(layer.weight.shape[:2])


def _kernel(layer: nn.Module) -> tuple[Any, ...]:
    return layer.weight.shape[2:], layer.stride, layer.padding


#: What makes a layer of PyTorch out of one of minigan's, by the latter's class.
LAYERS: dict[type, Any] = {
    nn.Linear: lambda m: torch.nn.Linear(*_size(m)[::-1], bias=m.bias is not None),
    nn.Conv2d: lambda m: torch.nn.Conv2d(*_size(m)[::-1], *_kernel(m), bias=m.bias is not None),
    nn.ConvTranspose2d: lambda m: torch.nn.ConvTranspose2d(
        *_size(m), *_kernel(m), bias=m.bias is not None
    ),
    nn.BatchNorm1d: lambda m: torch.nn.BatchNorm1d(*m.weight.shape),
    nn.BatchNorm2d: lambda m: torch.nn.BatchNorm2d(*m.weight.shape),
    nn.ReLU: lambda m: torch.nn.ReLU(),
    nn.LeakyReLU: lambda m: torch.nn.LeakyReLU(m.negative_slope),
    nn.Tanh: lambda m: torch.nn.Tanh(),
    nn.Sigmoid: lambda m: torch.nn.Sigmoid(),
    nn.Dropout: lambda m: Dropout(m.p),
    nn.Flatten: lambda m: torch.nn.Flatten(),
    nn.Unflatten: lambda m: torch.nn.Unflatten(m.dim, m.unflattened_size),
    nn.Sequential: lambda m: torch.nn.Sequential(*map(_layer, m)),
    maxout_gan.Maxout: lambda m: Maxout(m.weight.shape[1], m.weight.shape[0] // m.pieces, m.pieces),
    maxout_gan.Rescale: lambda m: Rescale(m.scale, m.shift),
}


def _layer(module: nn.Module) -> Any:
    return LAYERS[type(module)](module)


def in_torch(module: nn.Module) -> Any:
    """The same net in float64, with the same weights."""
    net = _layer(module).double()
    weights = {k: torch.from_numpy(v.numpy()).double() for k, v in module.state_dict().items()}
    missing = net.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    return net


def tensor(x: mg.Tensor | np.ndarray) -> Any:
    """An array of minigan's as float64 of PyTorch's."""
    return torch.from_numpy(np.asarray(x.numpy() if isinstance(x, mg.Tensor) else x)).double()
