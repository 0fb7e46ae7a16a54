"""Layer 3: what is done to modules and their gradients: spectral norm, clipping, averages."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from minigan import backend, fused
from minigan.arguments import integer, number, wrong_type
from minigan.autograd import Tensor, no_grad, several
from minigan.functional import maximum, minimum, norm, reshape, stack, transpose
from minigan.nn import init
from minigan.nn.layers import ConvTranspose2d
from minigan.nn.module import Module, Parameter


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12
) -> Module:
    """Let ``module`` use W/σ for its Parameter W, with σ ≈ the largest singular value of W.

    A row of the matrix W is what belongs to one output channel. From one step to the next W changes
    little, so one power iteration at each call keeps u and v close to its singular vectors (Miyato
    et al. 2018, algorithm 1):

        v ← Wᵀu/‖Wᵀu‖,   u ← Wv/‖Wv‖,   σ = uᵀWv

    Gradients go through σ with u and v as constants. In evaluation u and v stay as they are. They
    start with 15 iterations from normal numbers of the "init" stream.

    Args:
        module: the layer, which is changed. It learns ``weight_orig``, its state has ``weight_u``
            and ``weight_v``, and each call of it computes ``weight``, as in PyTorch.
        name: the Parameter's name, which takes the place of "weight" in the others.
        n_power_iterations: how many iterations each call in training makes.
        eps: the least length by which u and v are divided.

    Returns:
        ``module``.

    Raises:
        ValueError: there is no such Parameter, or it has fewer than 2 axes.
    """
    if not isinstance(module, Module):
        raise wrong_type("spectral_norm", "module", "a Module", module)
    weight = vars(module).get(name)
    if not isinstance(weight, Parameter) or weight.ndim < 2:
        raise ValueError(
            f"spectral_norm: {type(module).__name__} has no Parameter {name!r} of 2 or more axes; "
            "it is applied once to each layer"
        )
    dim = 1 if isinstance(module, ConvTranspose2d) else 0
    steps = integer("spectral_norm", "n_power_iterations", n_power_iterations, 1)
    spectral = Spectral(name, dim, steps, number("spectral_norm", "eps", eps, "[0, inf)"))
    del vars(module)[name]
    setattr(module, f"{name}_orig", weight)
    matrix = spectral.matrix(weight)
    for side, n in zip("uv", matrix.shape, strict=True):
        vector = init.normal_(Tensor(backend.xp.zeros(n, weight.dtype)))
        setattr(module, f"{name}_{side}", spectral.unit(vector))
    spectral.iterate(module, matrix, 15)
    module._computed = {**module._computed, name: spectral}
    module._decide(*vars(module))
    vars(module)[name] = weight.detach()  # too late to be a constant
    return module


@dataclass(frozen=True)
class Spectral:
    """A function that computes W/σ before each call of a module; see :func:`spectral_norm`."""

    name: str
    dim: int  # the axis of output channels
    n_power_iterations: int
    eps: float

    def matrix(self, weight: Tensor) -> Tensor:
        return reshape(transpose(weight, 0, self.dim), weight.shape[self.dim], -1)

    def unit(self, x: Tensor) -> Tensor:
        return x / maximum(norm(x), self.eps)

    def iterate(self, module: Module, matrix: Tensor, steps: int) -> None:
        """New Tensors for u and v: graphs of earlier calls keep theirs."""
        u, v = f"{self.name}_u", f"{self.name}_v"
        with no_grad():
            for _ in range(steps):
                vars(module)[v] = self.unit(matrix.T @ vars(module)[u])
                vars(module)[u] = self.unit(matrix @ vars(module)[v])

    def __call__(self, module: Module) -> Tensor:
        weight: Tensor = getattr(module, f"{self.name}_orig")
        matrix = self.matrix(weight)
        if module.training:
            self.iterate(module, matrix, self.n_power_iterations)
        u, v = (getattr(module, f"{self.name}_{side}") for side in "uv")
        sigma: Tensor = u @ (matrix @ v)
        return weight / sigma


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by one number, so that their common length is at most ``max_norm``.

    g ← g · min(1, max_norm/(‖g‖ + 1e-6)), ‖g‖ over the entries of all gradients together (Pascanu
    et al. 2013, algorithm 1). Parameters without a gradient do not count.

    Returns:
        The length ‖g‖ from before, a scalar Tensor. Nothing is fetched from the device.
    """
    params = [p for p in several("clip_grad_norm_", parameters) if p.grad is not None]
    max_norm = number("clip_grad_norm_", "max_norm", max_norm, "[0, inf)")
    with no_grad():
        if not params:
            return Tensor(backend.xp.zeros((), "float32"))
        length = norm(stack([norm(p.grad) for p in params]))
        factor = minimum(max_norm / (length + 1e-6), 1.0)
        for p in params:
            p.grad = p.grad * factor
    return length


class Average(Module):
    """The exponential moving average of a module's parameters, a copy that is not trained.

    a ← decay·a + (1 − decay)·p for each parameter p, at each :meth:`update`; constants, running
    statistics for one, are the newest. Pictures of an averaged generator are better than those of
    the last one (Yazıcı et al. 2019; Karras et al. 2018, appendix A.1).

    Args:
        module: the module that is averaged. The average starts as a copy of it.
        decay: in [0, 1]; 0.999 remembers about a thousand updates.
    """

    def __init__(self, module: Module, decay: float = 0.999):
        if not isinstance(module, Module):
            raise wrong_type("Average", "module", "a Module", module)
        self.decay = number("Average", "decay", decay, "[0, 1]")
        self.module = copy.deepcopy(module).requires_grad_(False)

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def update(self, module: Module) -> None:
        """Move towards ``module``; ValueError where its tensors are others than the average's."""
        mine, theirs = (dict(m._named_tensors()) for m in (self.module, module))
        kinds = [{(name, t.shape, str(t.dtype)) for name, t in d.items()} for d in (mine, theirs)]
        if different := sorted(kinds[0] ^ kinds[1]):
            raise ValueError(
                f"Average.update: {type(module).__name__} is not like the module that is averaged; "
                f"they differ in {', '.join(f'{name} {shape} {d}' for name, shape, d in different)}"
            )
        for name, p in self.module.named_parameters():
            fused.move(theirs[name].data, self.decay, 1.0 - self.decay, out=(p.data,))
            p.mark_written()
        for name, a in mine.items():
            if not isinstance(a, Parameter):
                a.copy_(theirs[name])
