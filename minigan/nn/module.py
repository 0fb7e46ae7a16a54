"""Layer 3: Module, the container of parameters, buffers and other modules.

There is no registry: a Module's state is what its attributes hold, and lists in them, in the order
they were set. A :class:`Parameter` is learned, a Module is walked into, and names are the attribute
path, "0.weight", as in PyTorch. Any other Tensor is a constant: saved and not learned. What is a
constant is decided when it is put there: it is if that is before the module's first forward, or
outside of any forward, and no recorded operation computed it. What a forward leaves behind is none,
but in the place of a constant, whose new value it is.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import threading
import types
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy

from minigan import backend
from minigan.arguments import flag
from minigan.autograd import Tensor, numbers


class Parameter(Tensor):
    """A Tensor that a Module learns: a leaf that requires gradients."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad=True)
        if isinstance(data, Tensor):
            self._stamp = data._stamp  # the same memory
        backend.parameters[id(self)] = self  # so that a switch of backends can refuse to strand it


class _Forwards(threading.local):
    """How many forwards, one within the other, run in this thread."""

    depth = 0


_forwards = _Forwards()


def _counted(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that leaves nothing behind in Modules that is their state."""

    @functools.wraps(forward)
    def counted(self: Module, *inputs: Any, **options: Any) -> Any:
        if self._constants is None:
            self._decide()
        _forwards.depth += 1
        try:
            return forward(self, *inputs, **options)
        finally:
            _forwards.depth -= 1

    counted.is_counted = True  # type: ignore[attr-defined]
    return counted


class Module:
    """Base class: set Parameters and Modules as attributes in ``__init__``, define ``forward``.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.gain = Parameter(numpy.ones(1, "float32"))
    ...
    ...     def forward(self, x):
    ...         return x * self.gain
    >>> [name for name, _ in Scale().named_parameters()]
    ['gain']
    """

    training = True
    #: Where constants are that belong to the state; None, for all, until the first forward.
    _constants: frozenset[str] | None = None

    #: By name, what computes an attribute of this module before each call; it is no state.
    _computed: Mapping[str, Callable[[Module], Tensor]] = types.MappingProxyType({})

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        for name in {"forward", "__call__"} & vars(cls).keys():
            if isinstance(function := vars(cls)[name], types.FunctionType):
                setattr(cls, name, _counted(function))

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) is Tensor and isinstance(vars(self).get(name), Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name}: a Tensor in the place of a Parameter would not be "
                "learned; use .copy_(), or assign a Parameter"
            )
        if name in self._computed:
            raise TypeError(f"{type(self).__name__}.{name} is computed; assign {name}_orig instead")
        if _forwards.depth and type(value) is Tensor and name in (self._constants or ()):
            node, value = value._node, Tensor(value.data.copy())  # for it may be the caller's own
            value._node = node
        super().__setattr__(name, value)
        if not _forwards.depth and self._constants is not None and type(value) not in PLAIN:
            self._decide(name)

    def _decide(self, name: str = "") -> None:
        """Take the constants in an attribute, or in all of them, for state from now on."""
        kept = {p for p in self._constants or () if p.partition(".")[0] != name}
        held = [entry for entry in self._found() if not isinstance(entry[1], Parameter)]
        leaves = [p for p, x, _ in held if isinstance(x, Tensor) and x.is_leaf]
        now = {p for p in leaves if name in ("", p.partition(".")[0])}
        vars(self)["_constants"] = frozenset(kept | now)
        for _, x, _ in held:  # this module's forward may leave something in them before theirs
            if isinstance(x, Module) and x._constants is None:
                x._decide()

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs: Any) -> Any:
        for name, compute in self._computed.items():
            vars(self)[name] = compute(self)
        if hasattr(self.forward, "is_counted"):
            return self.forward(*inputs)
        return _counted(lambda _: self.forward(*inputs))(self)  # no class of Modules defined it

    def _found(self) -> list[tuple[str, Any, str]]:
        """What :func:`_held` finds in the attributes."""
        held = [_held(name, x) for name, x in vars(self).items() if type(x) not in PLAIN]
        return list(itertools.chain.from_iterable(held))

    def _is_state(self, path: str, x: Any) -> bool:
        """Whether what is held there belongs to the state: decided when it was put there."""
        if path in self._computed:
            return False
        if not isinstance(x, Tensor) or isinstance(x, Parameter):
            return True
        return x.is_leaf if self._constants is None else path in self._constants

    def _members(self) -> list[tuple[str, Any]]:
        """The Modules and Tensors of the state by name; TypeError where one would be missed."""
        found = [entry for entry in self._found() if self._is_state(*entry[:2])]
        for kind in type(self).__mro__[: type(self).__mro__.index(Module)]:
            for name, value in vars(kind).items():
                if isinstance(value, HOLDERS) and name not in vars(self):
                    held = [(path, x, "class attribute") for path, x, _ in _held(name, value)]
                    found += [entry for entry in held if isinstance(entry[1], (Module, Parameter))]
        members = [(path, x) for path, x, hidden in found if not hidden]
        reached = {id(x) for _, x in members}
        for path, x, hidden in found:
            if hidden and id(x) not in reached:
                raise TypeError(
                    f"{type(self).__name__}.{path.partition('.')[0]}: a {hidden} of modules or "
                    "tensors would not be trained or saved; let __init__ set attributes, lists or "
                    "a Sequential"
                )
        return members

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        return (value for _, value in self._members() if isinstance(value, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        seen: set[int] = set()
        stack: list[Module] = [self]
        while stack:
            module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield module
                stack.extend(reversed(list(module.children())))

    def _named_tensors(
        self, prefix: str = "", above: tuple[Module, ...] = ()
    ) -> Iterator[tuple[str, Tensor]]:
        above += (self,)
        for name, value in self._members():
            if not isinstance(value, Module):
                yield prefix + name, value
            elif value not in above:  # a module may refer to its parent
                yield from value._named_tensors(f"{prefix}{name}.", above)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, Parameter) in the order they were set; a shared one appears once."""
        seen: set[int] = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """The Parameters of :meth:`named_parameters`."""
        return (parameter for _, parameter in self.named_parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name: copies, a snapshot that training does not change."""
        return {name: Tensor(value.data.copy()) for name, value in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy the values of ``state`` into the parameters and buffers, all or nothing.

        Values may be Tensors, arrays or anything with ``.numpy()``; they take the dtype of what
        they replace. PyTorch's ``num_batches_tracked`` is ignored. ValueError lists every name that
        is missing, unexpected or of another shape.
        """
        own = dict(self._named_tensors())
        given = {
            name: value.data if isinstance(value, Tensor) else _host_array(value)
            for name, value in state.items()
            if name.rpartition(".")[2] != "num_batches_tracked"
        }
        problems = [f"missing: {name} {own[name].shape}" for name in own if name not in given]
        problems += [f"unexpected: {name} {given[name].shape}" for name in given if name not in own]
        problems += [
            f"wrong shape: {name} is {own[name].shape}, in the state {given[name].shape}"
            for name in own
            if name in given and own[name].shape != given[name].shape
        ]
        if problems:
            listing = "\n  ".join(problems)
            raise ValueError(f"load_state_dict: {type(self).__name__} does not fit:\n  {listing}")
        # What cannot be converted fails here, before anything is overwritten.
        ready = {
            name: numbers(f"load_state_dict: {name}", given[name]).astype(t.dtype)
            for name, t in own.items()
        }
        for name, value in own.items():
            _cut(value)
            value.copy_(ready[name])

    def train(self, mode: bool = True) -> Module:
        """Put this module and all below it in training mode (batch statistics, dropout on)."""
        mode = flag(type(self).__name__, "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Put this module and all below it in evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or unfreeze every parameter."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients collected so far (``.grad = None``)."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, dtype: Any) -> Module:
        """Convert every parameter and float buffer to ``dtype``, in place; gradients are lost."""
        if dtype is None or numpy.dtype(dtype).kind != "f":  # None is NumPy's float64
            raise TypeError(f"Module.to: expected a float dtype, got {dtype}")
        for _, value in self._named_tensors():
            if value.dtype.kind == "f" and value.dtype != dtype:
                _cut(value)
                requires_grad = value.requires_grad
                value.requires_grad_(False)
                value._data, value.grad = value.data.astype(dtype), None
                value.requires_grad_(requires_grad)
        return self

    def extra_repr(self) -> str:
        """The arguments shown between the parentheses of ``repr``."""
        return ""


#: Types of attributes that hold nothing.
PLAIN = frozenset({bool, int, float, str, type(None)})
#: Types of class attributes that may hold something.
HOLDERS = (Module, Tensor, list, tuple, dict, set, frozenset, deque)
#: What cannot be looked into without using it up.
ITERATORS = (types.GeneratorType, map, filter, zip)


def _held(
    path: str, value: Any, hidden: str = "", around: tuple[Any, ...] = ()
) -> Iterator[tuple[str, Any, str]]:
    """The Modules and Tensors in a value: the path to each, itself, and what hides it, if any.

    Those in a list are named list.0, list.1, and so on within. All other containers hide: what is
    in them is no part of the state. So do iterators, which are found themselves. Containers that
    are looked into already, ``around``, may be inside themselves.
    """
    if isinstance(value, (Module, Tensor)):
        yield path, value, hidden
    elif isinstance(value, ITERATORS):
        yield path, value, hidden or type(value).__name__
    elif not any(value is other for other in around):
        inside = value if isinstance(value, (list, tuple)) else _hidden(value)
        hidden = hidden if inside is value else hidden or type(value).__name__
        for i, x in enumerate(inside):
            if type(x) not in PLAIN:
                yield from _held(f"{path}.{i}", x, hidden, (*around, value))


def _hidden(value: Any) -> list[Any]:
    """What is in a container that is neither a list nor a tuple: what it refers to."""
    if isinstance(value, numpy.ndarray):
        return list(value.flat) if value.dtype == object else []
    known = isinstance(value, Collection | functools.partial | types.SimpleNamespace)
    looked_into = (known or dataclasses.is_dataclass(value)) and not isinstance(value, type)
    return gc.get_referents(value) if looked_into else []


def _cut(x: Tensor) -> None:
    """Take x out of a graph in which it is no leaf of its own."""
    if x._node is not x._leaf_node:
        x._node = None


def _host_array(value: Any) -> numpy.ndarray:
    if hasattr(value, "detach"):  # PyTorch's .numpy() refuses tensors that require gradients
        value = value.detach()
    return numpy.asarray(value.numpy() if hasattr(value, "numpy") else value)
