"""Layer 3: the layers. Each holds its parameters and calls one function of minigan.functional."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from minigan import backend
from minigan import functional as F
from minigan.arguments import Size, flag, integer, number, pair, wrong_type
from minigan.autograd import Tensor, as_tensor
from minigan.functional import enlarged
from minigan.nn import init
from minigan.nn.module import Module, Parameter
from minigan.ops.conv import pooled, remainder
from minigan.ops.norm import batch_norm_activated
from minigan.ops.shape import axis_of

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "Embedding",
    "Flatten", "Identity", "InstanceNorm2d", "LeakyReLU", "Linear", "MaxPool2d", "ModuleList",
    "PixelShuffle", "ReLU", "Sequential", "Sigmoid", "Softplus", "Tanh", "Unflatten", "Upsample",
]  # fmt: skip


def _parameter(*shape: int, entries: float = 0.0) -> Parameter:
    return Parameter(backend.xp.full(shape, entries, "float32"))


def _weight_and_bias(
    owner: str, shape: tuple[int, ...], n_out: int, bias: bool
) -> tuple[Parameter, Parameter | None]:
    """Both start uniform in ±1/√fan_in, as in PyTorch."""
    bias, bound = flag(owner, "bias", bias), 1.0 / math.sqrt(math.prod(shape[1:]))
    weight = init.uniform_(_parameter(*shape), -bound, bound)
    return weight, init.uniform_(_parameter(n_out), -bound, bound) if bias else None


class Linear(Module):
    """y = x Wᵀ + b: the dense, or fully connected, layer. x (..., in) → y (..., out).

    ``weight`` (out, in) and ``bias`` (out,) start uniform in ±1/√in, as in PyTorch.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        n_in = integer("Linear", "in_features", in_features, 1)
        n_out = integer("Linear", "out_features", out_features, 1)
        self.weight, self.bias = _weight_and_bias("Linear", (n_out, n_in), n_out, bias)

    def forward(self, x: Any) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}, bias={self.bias is not None}"


class _Convolution(Module):
    """The base of both convolutions holds weight, bias, stride and padding, each checked."""

    inside = 1  # the axis of weight along which the input's channels lie; the output's have 1 or 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        *,
        bias: bool = True,
    ):
        owner = type(self).__name__
        n_in = integer(owner, "in_channels", in_channels, 1)
        n_out = integer(owner, "out_channels", out_channels, 1)
        self.stride = pair(owner, "stride", stride, 1)
        self.padding = pair(owner, "padding", padding, 0)
        kernel = pair(owner, "kernel_size", kernel_size, 1)
        shape = (*((n_out, n_in) if self.inside else (n_in, n_out)), *kernel)
        self.weight, self.bias = _weight_and_bias(owner, shape, n_out, bias)

    def extra_repr(self) -> str:
        shape = self.weight.shape
        return (
            f"{shape[self.inside]}, {shape[1 - self.inside]}, kernel_size={shape[2:]}, "
            f"stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"
        )


class Conv2d(_Convolution):
    """Convolution of (N, in, H, W) to (N, out, H', W'); see :func:`minigan.functional.conv2d`.

    ``weight`` (out, in, kh, kw) and ``bias`` (out,) start uniform in ±1/√fan_in, fan_in = in·kh·kw.
    Sizes, strides and paddings are numbers or pairs.
    """

    def forward(self, x: Any) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class ConvTranspose2d(_Convolution):
    """The adjoint of a convolution; see :func:`minigan.functional.conv_transpose2d`.

    ``weight`` is (in, out, kh, kw). It starts as PyTorch's does, with fan_in taken as out·kh·kw.
    """

    inside = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        *,
        bias: bool = True,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.output_padding = remainder("ConvTranspose2d", output_padding, self.stride)

    def forward(self, x: Any) -> Tensor:
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding
        )


class Embedding(Module):
    """A table of vectors: integer indices (...) → (..., embedding_dim). Rows start as N(0, 1)."""

    def __init__(self, num_embeddings: int, embedding_dim: int):
        n = integer("Embedding", "num_embeddings", num_embeddings, 1)
        self.weight = _parameter(n, integer("Embedding", "embedding_dim", embedding_dim, 1))
        init.normal_(self.weight)

    def forward(self, indices: Any) -> Tensor:
        return F.embedding(indices, self.weight)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))


class BatchNorm1d(Module):
    """Batch normalisation of (N, C) per channel; see :func:`minigan.functional.batch_norm`.

    ``momentum`` and ``eps`` are keywords only, so that 0.8 meant for one never lands in the other.
    """

    ndim = 2

    def __init__(self, num_features: int, *, momentum: float = 0.1, eps: float = 1e-5):
        owner = type(self).__name__
        n = integer(owner, "num_features", num_features, 1)
        self.momentum = number(owner, "momentum", momentum, "[0, 1]")
        self.eps = number(owner, "eps", eps, "[0, inf)")
        self.weight, self.bias = _parameter(n, entries=1.0), _parameter(n)
        self.running_mean = Tensor(backend.xp.zeros(self.weight.shape, "float32"))
        self.running_var = Tensor(backend.xp.ones(self.weight.shape, "float32"))

    def forward(self, x: Any) -> Tensor:
        return self._activated(1.0, x)

    def _activated(self, slope: float, x: Any) -> Tensor:
        x = as_tensor(x)
        if x.ndim != self.ndim:
            raise ValueError(f"{type(self).__name__}: expected {self.ndim} axes, got x {x.shape}")
        state = (self.weight, self.bias, self.running_mean, self.running_var)
        return batch_norm_activated(x, state, self.training, self.momentum, self.eps, slope=slope)

    def extra_repr(self) -> str:
        return f"{self.weight.size}, momentum={self.momentum}, eps={self.eps}"


class BatchNorm2d(BatchNorm1d):
    """Batch normalisation of (N, C, H, W) per channel, over batch and positions."""

    ndim = 4


class InstanceNorm2d(Module):
    """Each picture's channels normalised by themselves; see minigan.functional.instance_norm.

    ``weight`` and ``bias`` (C,), at first 1 and 0, are learned if ``affine``. There are no running
    statistics: training and evaluation do the same.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False):
        self.num_features = integer("InstanceNorm2d", "num_features", num_features, 1)
        self.eps = number("InstanceNorm2d", "eps", eps, "[0, inf)")
        self.affine = flag("InstanceNorm2d", "affine", affine)
        self.weight = _parameter(num_features, entries=1.0) if affine else None
        self.bias = _parameter(num_features) if affine else None

    def forward(self, x: Any) -> Tensor:
        x = as_tensor(x)
        if x.shape[1:2] != (self.num_features,):
            raise ValueError(
                f"InstanceNorm2d: expected {self.num_features} channels, got {x.shape}"
            )
        return F.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"


class Identity(Module):
    """x itself."""

    def forward(self, x: Any) -> Any:
        return x


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> Tensor:
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else ``negative_slope``·x."""

    def __init__(self, negative_slope: float = 0.01):
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Any) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope}"


class Sigmoid(Module):
    """σ(x) = 1/(1 + e⁻ˣ)."""

    def forward(self, x: Any) -> Tensor:
        return F.sigmoid(x)


class Tanh(Module):
    """tanh x."""

    def forward(self, x: Any) -> Tensor:
        return F.tanh(x)


class Softplus(Module):
    """log(1 + eˣ)."""

    def forward(self, x: Any) -> Tensor:
        return F.softplus(x)


class Dropout(Module):
    """While training, zeroes entries with probability ``p``; see minigan.functional.dropout."""

    def __init__(self, p: float = 0.5):
        self.p = number("Dropout", "p", p, "[0, 1)")

    def forward(self, x: Any) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _Pooling(Module):
    """The base of both poolings holds their windows, which do not overlap unless told to."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0):
        given = kernel_size, stride, padding
        self.kernel_size, self.stride, self.padding = pooled(type(self).__name__, *given)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pooling):
    """The largest entry of each window; see :func:`minigan.functional.max_pool2d`."""

    def forward(self, x: Any) -> Tensor:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pooling):
    """The mean over each window; see :func:`minigan.functional.avg_pool2d`."""

    def forward(self, x: Any) -> Tensor:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class Upsample(Module):
    """Pictures (N, C, H, W) enlarged by whole factors; see :func:`minigan.functional.interpolate`.

    As in PyTorch the first argument is the size of the result: Upsample(scale_factor=2) doubles.
    """

    def __init__(
        self, size: Size | None = None, scale_factor: Size | None = None, mode: str = "nearest"
    ):
        size, factors = enlarged("Upsample", size, scale_factor, mode)
        self.size, self.scale_factor, self.mode = size, None if size else factors, mode

    def forward(self, x: Any) -> Tensor:
        return F.interpolate(x, self.size, self.scale_factor, self.mode)

    def extra_repr(self) -> str:
        given = f"size={self.size}" if self.size else f"scale_factor={self.scale_factor}"
        return f"{given}, mode={self.mode!r}"


class PixelShuffle(Module):
    """(N, C·r², H, W) → (N, C, r·H, r·W); see :func:`minigan.functional.pixel_shuffle`."""

    def __init__(self, upscale_factor: int):
        self.upscale_factor = integer("PixelShuffle", "upscale_factor", upscale_factor, 1)

    def forward(self, x: Any) -> Tensor:
        return F.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"{self.upscale_factor}"


class Flatten(Module):
    """(N, ...) → (N, everything else)."""

    def forward(self, x: Any) -> Tensor:
        x = as_tensor(x)
        return F.reshape(x, x.shape[0], math.prod(x.shape[1:]))


class Unflatten(Module):
    """Axis ``dim`` split into the axes ``unflattened_size``: Unflatten(1, (1, 28, 28))."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]):
        self.dim, name = integer("Unflatten", "dim", dim), "unflattened_size"
        if not isinstance(unflattened_size, tuple | list):
            raise wrong_type("Unflatten", name, "a tuple of integers", unflattened_size)
        sizes = tuple(integer("Unflatten", name, size, -1) for size in unflattened_size)
        if not sizes or sizes.count(-1) > 1:
            raise ValueError(f"Unflatten: {name} must hold sizes and at most one -1, got {sizes}")
        self.unflattened_size = sizes

    def forward(self, x: Any) -> Tensor:
        x = as_tensor(x)
        dim = axis_of("Unflatten", self.dim, x.shape)
        return F.reshape(x, x.shape[:dim] + self.unflattened_size + x.shape[dim + 1 :])

    def extra_repr(self) -> str:
        return f"{self.dim}, {self.unflattened_size}"


# --- Modules made of modules ----------------------------------------------------------------------


class ModuleList(Module):
    """Modules in a list, named "0", "1", ...; what is done with them is its owner's business.

    >>> from minigan.nn import Linear
    >>> blocks = ModuleList([Linear(2, 3)]).append(Linear(3, 1))
    >>> len(blocks), [name for name, _ in blocks.named_parameters()]
    (2, ['0.weight', '0.bias', '1.weight', '1.bias'])
    """

    _given = "in one list, ModuleList([Linear(2, 3), Tanh()])"

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Add a module behind the others."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add several modules, all or none; TypeError where one is no Module."""
        if not isinstance(modules, Iterable):
            raise wrong_type(type(self).__name__, "modules", "a list of modules", modules)
        for i, module in enumerate(modules := list(modules)):
            if not isinstance(module, Module):
                raise TypeError(
                    f"{type(self).__name__}: argument {i} is a {type(module).__name__}, not a "
                    f"Module; modules are given {self._given}"
                )
        for i, module in enumerate(modules, len(self)):
            setattr(self, str(i), module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, index: int | slice) -> Module:
        chosen = list(self.children())[index]
        if not isinstance(chosen, list):
            return chosen
        return (Sequential if isinstance(self, Sequential) else ModuleList)().extend(chosen)


class Sequential(ModuleList):
    """Modules applied one after the other, named "0", "1", ...

    >>> from minigan.nn import Linear, Tanh
    >>> Sequential(Linear(2, 3), Tanh())
    Sequential(
      (0): Linear(2, 3, bias=True)
      (1): Tanh()
    )
    """

    _given = "one by one, Sequential(Linear(2, 3), Tanh())"

    def __init__(self, *modules: Module):
        self.extend(modules)

    def forward(self, x: Any) -> Any:
        modules = deque(m for m in vars(self).values() if isinstance(m, Module))
        while modules:
            module = modules.popleft()
            if modules and (slope := _in_one_pass(module, modules[0])) is not None:
                modules.popleft()
                x = module._activated(slope, x)  # type: ignore[attr-defined]
            else:
                x = module(x)
        return x


def _in_one_pass(module: Module, following: Module) -> float | None:
    """The slope of a ReLU or LeakyReLU that stands behind a batch norm, if both are one pass."""
    if type(module) in (BatchNorm1d, BatchNorm2d):  # a subclass may do more
        if type(following) is ReLU:
            return 0.0
        slope = following.negative_slope if type(following) is LeakyReLU else None
        if isinstance(slope, float) and 0.0 < slope < 1.0:
            return slope
    return None
