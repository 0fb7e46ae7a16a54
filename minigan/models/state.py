"""Layer 5: attributes as state: what a model must remember, and how it is put back bit for bit."""

from __future__ import annotations

import types
from functools import partial
from typing import Any

import numpy

from minigan import backend
from minigan.arguments import wrong_type
from minigan.autograd import Tensor
from minigan.optim import Optimizer

__all__ = ["Stateful", "from_json"]


class Stateful:
    """An object whose attributes are its state.

    Modules, Optimizers, whatever has ``state_dict`` and ``load_state_dict``, Tensors, numbers,
    texts, None and tuples of the last three are its state; functions, classes and objects without
    attributes are constants. Any other attribute is a TypeError.
    """

    def parts(self, kind: Any) -> dict[str, Any]:
        """The attributes of a kind by name, in the order in which they were set."""
        return {name: part for name, part in vars(self).items() if isinstance(part, kind)}

    def state(self) -> tuple[dict[str, numpy.ndarray], dict[str, Any]]:
        """Everything the next step depends on: (host arrays by name, JSON-able values by name).

        TypeError for an attribute that could not be restored.
        """
        arrays: dict[str, numpy.ndarray] = {}
        values: dict[str, Any] = {}
        for name, part in vars(self).items():
            if isinstance(part, Tensor):
                arrays[name] = part.numpy()
            elif _has_state(part):
                owner = f"{type(self).__name__}.{name}"
                arrays |= {f"{name}.{k}": _host(owner, k, v) for k, v in part.state_dict().items()}
                if isinstance(part, Optimizer):  # a schedule may have changed its rate
                    plain = {k: v for k, v in vars(part).items() if _is_plain(v)}
                    values |= {f"{name}.{k}": _to_json(v) for k, v in plain.items()}
            elif _is_plain(part):
                values[name] = _to_json(part)
            elif not _is_constant(part):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a {type(part).__name__}, which would not be "
                    "saved with a run: keep Modules in a ModuleList, arrays as Tensors, numbers in "
                    "a tuple, and give an object of your own state_dict() and load_state_dict()"
                )
        return arrays, values

    def load_state(self, arrays: dict[str, numpy.ndarray], values: dict[str, Any]) -> None:
        """Go on from a :meth:`state`; ValueError or KeyError if it is another model's."""
        mine, _ = self.state()
        stateful = {name: part for name, part in vars(self).items() if _has_state(part)}
        owner = {k: k.partition(".")[0] for k in arrays}
        if lacking := {k.partition(".")[0] for k in mine} - set(owner.values()) - set(stateful):
            raise ValueError(f"{type(self).__name__}: the state lacks {', '.join(sorted(lacking))}")
        for name, part in stateful.items():
            prefix = f"{name}."
            part.load_state_dict(
                {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            )
        for name, array in arrays.items():
            if "." in name:
                if owner[name] not in stateful:
                    raise ValueError(f"{type(self).__name__}: there is no {owner[name]} for {name}")
            elif isinstance(now := vars(self).get(name), Tensor) and now.requires_grad:
                now.copy_(array)
            else:
                setattr(self, name, Tensor(backend.asarray(array)))
        self.load_values(values)

    def load_values(self, values: dict[str, Any]) -> None:
        """Set the numbers and texts of a :meth:`state` alone."""
        for name, value in values.items():
            attribute, _, of_optimizer = name.partition(".")
            holder: Any = vars(self)[attribute] if of_optimizer else self
            setattr(holder, of_optimizer or attribute, from_json(value))

    def constants(self) -> dict[str, Any]:
        """The attributes that are no state, because no step may change them."""
        return {name: part for name, part in vars(self).items() if _is_constant(part)}


def _has_state(part: Any) -> bool:
    has_both = hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
    return has_both and not isinstance(part, type)


def _host(owner: str, name: str, value: Any) -> numpy.ndarray:
    array = value.numpy() if isinstance(value, Tensor) else numpy.asarray(value)
    if array.dtype.kind not in "biuf":
        raise wrong_type(
            owner, f"{name} in its state_dict", "a Tensor, an array or a number", value
        )
    return array


def _is_plain(part: Any) -> bool:
    """Whether it is a number, a text, None or a tuple of these, and comes back as the same type."""
    if type(part) is tuple:
        return all(map(_is_plain, part))
    if isinstance(part, numpy.generic):
        return part.dtype.kind in "biuf" and not isinstance(part.item(), numpy.generic)
    return part is None or type(part) in (bool, int, float, str)


def _to_json(value: Any) -> Any:
    """A plain value as JSON can say it: a tuple is a list, a NumPy scalar {"float32": 0.5}."""
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return {value.dtype.name: value.item()} if isinstance(value, numpy.generic) else value


def from_json(value: Any) -> Any:
    """The plain value that a :func:`_to_json` says."""
    if isinstance(value, dict):
        return next(numpy.dtype(kind).type(number) for kind, number in value.items())
    return tuple(map(from_json, value)) if isinstance(value, list) else value


def _is_constant(part: Any) -> bool:
    """Whether a step cannot change it: a function, a class, or an object without attributes."""
    fixed = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType)
    if isinstance(part, (*fixed, type, partial)):
        return True
    return not getattr(part, "__dict__", True) and not hasattr(part, "__len__")
