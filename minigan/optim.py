"""Layer 4: optimisers, in order of increasing memory. Each step's equation stands above its code.

Parameters are large and the arithmetic per entry is small, so a step is bound by memory traffic,
and on a GPU by launches: every update is one formula of minigan.fused, in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy

from minigan import backend, fused
from minigan.arguments import number, wrong_type
from minigan.autograd import Tensor, _mismatch, several
from minigan.backend import Array


class Optimizer:
    """Base class: holds the parameters and, by parameter, what the method remembers.

    ``lr`` may be changed between steps. A subclass defines ``update(parameter, gradient, state)``
    on arrays, in place, and names the arrays that it keeps for each parameter in ``memory``.
    """

    memory: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float):
        owner = type(self).__name__
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise wrong_type(owner, "params", "a list, or .parameters()", params)
        self.params = several(owner, params, least=1)
        for i, p in enumerate(self.params):
            name = f"{owner}: parameter {i}, of shape {p.shape},"
            if not (p.is_leaf and p.requires_grad):
                raise ValueError(f"{name} is not a leaf that requires gradients")
            if any(p is q for q in self.params[:i]):
                raise ValueError(f"{name} appears twice")
        self.lr = number(owner, "lr", lr, "[0, inf)")
        self.state: list[dict[str, Any]] = [{} for _ in self.params]

    def update(self, p: Array, g: Array, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def start(self, p: Array) -> dict[str, Any]:
        """The memory of a parameter before its first step: arrays like it, and integers."""
        return {key: backend.xp.zeros_like(p) for key in self.memory}

    def step(self) -> None:
        """Update every parameter that has a gradient, in place.

        Before anything moves: ValueError or TypeError for one of another shape or dtype, and for a
        memory of another dtype.
        """
        name = f"{type(self).__name__}.step"
        self.lr = number(name, "lr", self.lr, "[0, inf)")  # it may have been changed
        triples = enumerate(zip(self.params, self.state, strict=True))
        moving = [(i, p, state) for i, (p, state) in triples if p.grad is not None]
        for i, p, state in moving:
            if not isinstance(p.grad, Tensor):
                raise wrong_type(name, f"the gradient of parameter {i}", "a Tensor", p.grad)
            if (p.grad.shape, p.grad.dtype) != (p.shape, p.dtype):
                raise _mismatch(name, p.grad, p)
            if why := self._misfit(p, state):
                raise TypeError(f"{name}: parameter {i} of shape {p.shape} is {p.dtype}, {why}")
        for _, p, state in moving:
            if not state:
                state.update(self.start(p.data))
            self.update(p.data, p.grad.data, state)  # type: ignore[union-attr]
            p.mark_written()

    def _misfit(self, p: Tensor, state: dict[str, Any]) -> str:
        """Why the parameter's dtype does not fit the method or its memory; "" where it does."""
        for key, x in state.items():
            if getattr(x, "dtype", p.dtype) != p.dtype:
                return (
                    f"its {key} {x.dtype}; make the optimizer after .to(), or convert its memory: "
                    "optimizer.load_state_dict(optimizer.state_dict())"
                )
        return ""

    def minimize(self, loss: Tensor) -> None:
        """One step down the gradient of ``loss``, a scalar, in these parameters and no others.

        It clears their gradients, goes backward, which frees the graph, and steps. A parameter on
        which ``loss`` does not depend stays as it is.
        """
        self.zero_grad()
        loss.backward(inputs=self.params)
        self.step()

    def zero_grad(self) -> None:
        """Forget the gradients collected so far (``.grad = None``)."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """A snapshot of the method's memory: "3.exp_avg" belongs to the fourth parameter."""
        return {
            f"{i}.{key}": Tensor(backend.xp.array(x, dtype="int64" if isinstance(x, int) else None))
            for i, state in enumerate(self.state)
            for key, x in state.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a :meth:`state_dict` of the same method on the same parameters."""
        owner = f"{type(self).__name__}.load_state_dict"
        fresh = [self.start(p.data) for p in self.params]
        places = {f"{i}.{key}": (i, key) for i, entry in enumerate(fresh) for key in entry}
        given: list[dict[str, Any]] = [{} for _ in self.params]
        for name, value in state.items():
            if name not in places:
                raise ValueError(f"{owner}: unexpected {name!r}")
            i, key = places[name]
            host = numpy.asarray(value.numpy() if isinstance(value, Tensor) else value)
            like = fresh[i][key]
            counts, expected = isinstance(like, int), getattr(like, "shape", ())
            if host.shape != expected:
                raise ValueError(f"{owner}: {name} is {host.shape}, expected {expected}")
            given[i][key] = int(host) if counts else backend.asarray(host.astype(like.dtype))
        for i, (entry, whole) in enumerate(zip(given, fresh, strict=True)):
            if missing := sorted(whole.keys() - entry.keys()) if entry else []:
                raise ValueError(f"{owner}: parameter {i} lacks {missing}")
        self.state = given


class SGD(Optimizer):
    """Gradient descent with (Polyak's) momentum: b ← μ·b + g, p ← p − lr·b.

    With μ = 0 no buffer is kept and p ← p − lr·g. PyTorch's form, without dampening.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.0):
        super().__init__(params, lr)
        self.momentum = number("SGD", "momentum", momentum, "[0, 1)")
        self.memory = ("momentum_buffer",) if momentum else ()

    def update(self, p: Array, g: Array, state: dict[str, Any]) -> None:
        if self.momentum and not self.memory:
            raise ValueError(
                "SGD: momentum was 0, and no buffer was made; begin with another number"
            )
        if self.momentum:
            fused.momentum(g, self.momentum, self.lr, out=(p, state["momentum_buffer"]))
        else:
            fused.sgd(g, self.lr, out=(p,))


class _RootMeanSquare(Optimizer):
    """The base of methods that divide by √v, v a mean of g². In float16 small g² would be 0."""

    def _misfit(self, p: Tensor, state: dict[str, Any]) -> str:
        if p.dtype == "float16":
            return "in which small gradients' squares are 0; use float32"
        return super()._misfit(p, state)


class RMSprop(_RootMeanSquare):
    """v ← α·v + (1 − α)·g²,  p ← p − lr·g / (√v + ε)   (Tieleman & Hinton 2012, lecture 6e)."""

    memory = ("square_avg",)

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8
    ):
        super().__init__(params, lr)
        self.alpha = number("RMSprop", "alpha", alpha, "[0, 1)")
        self.eps = number("RMSprop", "eps", eps, "[0, inf)")

    def update(self, p: Array, g: Array, state: dict[str, Any]) -> None:
        numbers = (self.alpha, 1.0 - self.alpha, self.lr, self.eps)
        fused.rmsprop(g, *numbers, out=(p, state["square_avg"]))


class Adam(_RootMeanSquare):
    """Adaptive moments (Kingma & Ba 2015, algorithm 1), step t from 1:

    m ← β₁·m + (1 − β₁)·g          v ← β₂·v + (1 − β₂)·g²
    p ← p − lr · m̂ / (√v̂ + ε)      m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)

    With weight_decay λ, g is the gradient of the loss plus ½λ‖p‖², g + λ·p. (AdamW differs: it
    leaves g alone and shrinks p.)
    """

    memory = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise wrong_type("Adam", "betas", "a pair of numbers", betas)
        self.betas = tuple(number("Adam", f"betas[{i}]", b, "[0, 1)") for i, b in enumerate(betas))
        self.eps = number("Adam", "eps", eps, "[0, inf)")
        self.weight_decay = number("Adam", "weight_decay", weight_decay, "[0, inf)")

    def start(self, p: Array) -> dict[str, Any]:
        return {"step": 0, **super().start(p)}

    def update(self, p: Array, g: Array, state: dict[str, Any]) -> None:
        beta1, beta2 = self.betas
        if self.weight_decay:
            g = fused.affine(p, self.weight_decay, g)
        t = state["step"] = state["step"] + 1
        # lr·m̂/(√v̂ + ε) with both bias corrections moved into two numbers, which saves two passes:
        root = math.sqrt(1.0 - beta2**t)
        rate, eps = self.lr * root / (1.0 - beta1**t), self.eps * root
        numbers = (beta1, 1.0 - beta1, beta2, 1.0 - beta2, rate, eps)
        fused.adam(g, *numbers, out=(p, state["exp_avg"], state["exp_avg_sq"]))
