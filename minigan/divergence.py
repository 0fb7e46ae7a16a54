"""Layer 6: what shows that a run has diverged: the first loss or gradient that is not finite.

Nothing is fetched from the device for that but once for each row of history.csv.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from minigan import backend
from minigan.autograd import Tensor
from minigan.backend import Array
from minigan.models import GAN
from minigan.nn import Module, Parameter
from minigan.optim import Optimizer

__all__ = ["DivergedError", "FirstNotFinite", "gradient_norm", "losses_and_gradients", "optimizers"]


class DivergedError(RuntimeError):
    """A loss or a gradient is infinite or NaN; the message says which, and at which step."""


class FirstNotFinite:
    """For each tensor of a run, the first step at which it held NaN or an infinity.

    The device itself takes the note: a host that looked at every step would wait for it each time.
    Steps need not have the same tensors: each set of names is a note of its own.
    """

    def __init__(self) -> None:
        # By the names, float64 with an entry for each: a step, or ∞ for none. (In a browser and on
        # old systems the default integer has 32 bits; a float64 is the same everywhere.)
        self._first: dict[tuple[str, ...], Array] = {}

    def watch(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Look at a step's tensors, which are in the order of cause and effect."""
        xp, names = backend.xp, tuple(tensors)
        if not names:
            return
        finite = xp.stack([xp.isfinite(t.data).all() for t in tensors.values()])
        if names not in self._first:
            self._first[names] = xp.full(len(names), math.inf, "float64")
        first = self._first[names]
        self._first[names] = xp.where(finite, first, xp.minimum(first, step))

    def notes(self) -> list[Array]:
        """What :meth:`check` needs, still on the device: float64 arrays, to be joined into one."""
        return list(self._first.values())

    def check(self, first: list[float]) -> None:
        """Raise DivergedError if the joined :meth:`notes` name a step."""
        if (bad := min(first, default=math.inf)) < math.inf:
            names = [name for names in self._first for name in names]
            name, *others = [n for n, at in zip(names, first, strict=True) if at == bad]
            rest = f", nor are {others[0]} and {len(others) - 1} others" if others else ""
            rest = f", nor is {others[0]}" if len(others) == 1 else rest
            raise DivergedError(f"at step {bad:.0f}, {name} is not finite{rest}")


def optimizers(model: GAN) -> dict[str, Optimizer]:
    """A model's optimisers by what their names begin with: ``d`` for ``d_optimizer``."""
    found = model.parts(Optimizer).items()
    return {name.removesuffix("_optimizer"): optimizer for name, optimizer in found}


def losses_and_gradients(model: GAN, measured: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A step's losses and gradients by name, in the order in which one spoils the next.

    Players come in the order in which the step returned their losses, and a player's gradients
    from the last parameter to the first, as the backward pass computes them.
    """
    names = {
        id(p): f"{attribute}.{name}.grad"
        for attribute, net in model.parts(Module).items()
        for name, p in net.named_parameters()
    }
    names |= {id(p): f"{name}.grad" for name, p in model.parts(Parameter).items()}
    known, found = optimizers(model), {}
    players = [name.removesuffix("_loss") for name in measured]
    for player in dict.fromkeys(p for p in (*players, *known) if p in known):
        if (loss := f"{player}_loss") in measured:
            found[loss] = measured[loss]
        for i, p in reversed(list(enumerate(known[player].params))):
            if p.grad is not None:
                found[names.get(id(p), f"gradient {i} of {player}_optimizer")] = p.grad
    losses = {k: v for k, v in measured.items() if k.endswith("loss") and k not in found}
    return found | losses


def gradient_norm(params: Iterable[Tensor]) -> Array:
    """The Euclidean norm of all gradients together, on the device."""
    squares = [(p.grad.data.astype("float64") ** 2).sum() for p in params if p.grad is not None]
    return backend.xp.sqrt(sum(squares, backend.xp.zeros((), "float64")))
