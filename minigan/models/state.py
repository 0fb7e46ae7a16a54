"""Layer 5: attributes as state: what a model must remember, and how it is put back bit for bit."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy

from minigan import backend
from minigan.arguments import wrong_type
from minigan.autograd import Tensor
from minigan.nn import Module
from minigan.optim import Optimizer

__all__ = ["Stateful", "from_json"]


#: What a class may hold in place of an object's attributes; the last is a slot.
HIDDEN = (Module, Optimizer, Tensor, types.MemberDescriptorType)


class Stateful:
    """An object whose attributes are its state.

    Modules, Optimizers, whatever has ``state_dict`` and ``load_state_dict``, Tensors, numbers,
    texts, None and tuples of the last three are its state; functions, classes and objects without
    attributes are constants. Any other attribute is a TypeError. The numbers and texts of Modules
    and Optimizers belong to the state, and what else an Optimizer holds is a TypeError too.
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
        for kind in type(self).__mro__:
            for name, part in vars(kind).items():
                if isinstance(part, HIDDEN) and name not in vars(self):
                    raise TypeError(
                        f"{type(self).__name__}.{name} belongs to the class {kind.__name__}, and "
                        "would not be saved with a run: let __init__ set it, without __slots__"
                    )
        for name, part in vars(self).items():
            if isinstance(part, Tensor):
                arrays[name] = part.numpy()
            elif _has_state(part):
                entries = _entries(f"{type(self).__name__}.{name}", part)
                arrays |= {f"{name}.{k}": v for k, v in entries.items()}
                # A schedule may have changed the rate of an optimiser, or a number of a net.
                values |= {f"{name}.{k}": _to_json(v) for k, v in _plain_in(part)}
                if isinstance(part, Optimizer):
                    for key in vars(part).keys() - {"params", "state"}:
                        self._check(f"{name}.{key}", vars(part)[key])
            elif _is_plain(part):
                values[name] = _to_json(part)
            else:
                self._check(name, part)
        return arrays, values

    def _check(self, name: str, part: Any) -> None:
        """TypeError for what would be lost."""
        if not (_is_plain(part) or _is_constant(part)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a {type(part).__name__}, which would not be "
                "saved with a run: keep Modules in a ModuleList, arrays as Tensors, numbers in "
                "a tuple, and give an object of your own state_dict() and load_state_dict()"
            )

    def load_state(self, arrays: dict[str, numpy.ndarray], values: dict[str, Any]) -> None:
        """Go on from a :meth:`state`; ValueError or KeyError if it is another model's."""
        mine, _ = self.state()
        stateful = {name: part for name, part in vars(self).items() if _has_state(part)}
        owner = {k: k.partition(".")[0] for k in arrays}
        found = {*owner.values(), *stateful, *values}  # a number may have taken a Tensor's place
        if lacking := {k.partition(".")[0] for k in mine} - found:
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
            *path, attribute = name.split(".")
            holder: Any = self
            for key in path:
                holder = holder[int(key)] if isinstance(holder, list) else vars(holder)[key]
            setattr(holder, attribute, from_json(value))

    def constants(self) -> dict[str, Any]:
        """What no step may change, because a state does not say it, by name.

        Attributes that are no state; the class of what has a ``state_dict``, and the shapes of a
        Module's tensors.
        """
        found: dict[str, Any] = {}
        for name, part in vars(self).items():
            if isinstance(part, Module):
                found |= {f"{name}.{k}": x.shape for k, x in part._named_tensors()}
            if _has_state(part):
                found[name] = type(part)
            elif _is_constant(part):
                found[name] = part
        return found


def _has_state(part: Any) -> bool:
    has_both = hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
    return has_both and not isinstance(part, type)


def _entries(owner: str, part: Any) -> dict[str, numpy.ndarray]:
    """The state_dict of a part as host arrays; TypeError for what no file of tensors can hold."""
    state = part.state_dict()
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise wrong_type(owner, "its state_dict()", "Tensors, arrays or numbers by name", state)
    return {name: _host(owner, name, value) for name, value in state.items()}


def _host(owner: str, name: str, value: Any) -> numpy.ndarray:
    with contextlib.suppress(ValueError):  # of a list that is no array
        array = value.numpy() if isinstance(value, Tensor) else numpy.asarray(value)
        if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
            return array
    raise wrong_type(owner, f"{name} in its state_dict", "a Tensor, an array or a number", value)


def _plain_in(part: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The numbers and texts of an Optimizer, or of a Module and all below it, by their path."""
    if not isinstance(part, (Module, Optimizer)):
        return
    own = {"training": part.training, **vars(part)} if isinstance(part, Module) else vars(part)
    yield from ((name, x) for name, x in own.items() if _is_plain(x))
    for path, x in part._members() if isinstance(part, Module) else ():
        if isinstance(x, Module) and x not in (*above, part):
            yield from ((f"{path}.{name}", y) for name, y in _plain_in(x, (*above, part)))


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
