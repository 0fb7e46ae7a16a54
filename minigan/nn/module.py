"""Layer 3: Module, the container of parameters, buffers and other modules.

There is no registry: a Module's state is what its attributes hold, and lists in them, in the order
they were set. A :class:`Parameter` is learned, a Module is walked into, and names are the attribute
path, "0.weight", as in PyTorch. Any other Tensor is a constant: it is saved and not learned. What
counts as one is decided at the end of this file.
"""

from __future__ import annotations

import threading
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy

from minigan import backend
from minigan.arguments import flag
from minigan.autograd import Tensor, numbers, record


class Parameter(Tensor):
    """A Tensor that a Module learns: a leaf that requires gradients."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad=True)
        self._stamp = getattr(data, "_stamp", self._stamp)  # a Tensor's memory is shared
        backend.parameters[id(self)] = self  # so that a switch of backends can refuse to strand it


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
    #: Functions that compute attributes of this module before each call; those are no state.
    _computed: Mapping[str, Callable[[Module], Tensor]] = types.MappingProxyType({})
    #: The paths of its constants. It is None until the first call, which takes all that are held.
    _constants: frozenset[str] | None = None

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs: Any) -> Any:
        if self._constants is None:
            self._decide(*vars(self))
        for name, compute in self._computed.items():
            vars(self)[name] = compute(self)
        _calls.depth += 1
        try:
            return self.forward(*inputs)
        finally:
            _calls.depth -= 1

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        return (value for _, value in self._members() if isinstance(value, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        below = (x for _, x in self._walk() if isinstance(x, Module))
        return iter(dict.fromkeys([self, *below]))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, Parameter) in the order they were set; a shared one appears once."""
        seen: set[int] = set()
        for name, x in self._walk():
            if isinstance(x, Parameter) and id(x) not in seen:
                seen.add(id(x))
                yield name, x

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
        mine, theirs = ({name: x.shape for name, x in d.items()} for d in (own, given))
        problems = [f"missing: {name} {mine[name]}" for name in mine if name not in theirs]
        problems += [f"unexpected: {name} {theirs[name]}" for name in theirs if name not in mine]
        problems += [
            f"wrong shape: {name} is {shape}, in the state {theirs[name]}"
            for name, shape in mine.items()
            if theirs.get(name, shape) != shape
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
            if not value.is_leaf:  # a constant that a forward computed leaves its graph
                value._node = None
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
                requires_grad = value.requires_grad and value.is_leaf
                value._data, value.grad, value._node = value.data.astype(dtype), None, None
                value.requires_grad_(requires_grad)
        return self

    def extra_repr(self) -> str:
        """The arguments shown between the parentheses of ``repr``."""
        return ""

    # --- What is state ----------------------------------------------------------------------------
    #
    # A Tensor that is no Parameter is a constant if it was put there before the module's first
    # call, or outside of any call, and no operation of the graph computed it. So a call leaves no
    # state behind, except in the place of a constant, whose new value it is.

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) is Tensor and isinstance(vars(self).get(name), Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name}: a Tensor in the place of a Parameter would not be "
                "learned; use .copy_(), or assign a Parameter"
            )
        if name in self._computed:
            raise TypeError(f"{type(self).__name__}.{name} is computed; assign {name}_orig instead")
        if _calls.depth and type(value) is Tensor and name in (self._constants or ()):
            # The module overwrites its constants in place, and this may be the caller's own.
            value = record(value.data.copy(), (value, lambda g: g))
        super().__setattr__(name, value)
        if not _calls.depth and self._constants is not None:
            self._decide(name)

    def _decide(self, *names: str) -> None:
        """Take for constants those that these attributes hold now, and no others."""
        held = [entry for name in names for entry in _held(name, vars(self)[name])]
        kept = {path for path in self._constants or () if path.partition(".")[0] not in names}
        leaves = {path for path, x, _ in held if isinstance(x, Tensor) and x.is_leaf}
        vars(self)["_constants"] = frozenset(kept | leaves)
        for _, x, _ in held:  # this module's forward may leave something in one that waits
            if isinstance(x, Module) and x._constants is None:
                x._decide(*vars(x))

    def _walk(self, prefix: str = "", *above: Module) -> Iterator[tuple[str, Any]]:
        """The Modules and Tensors of the state here and below, in order, each after its name."""
        for name, x in self._members():
            yield prefix + name, x
            if isinstance(x, Module) and x not in (self, *above):  # it may refer to its parent
                yield from x._walk(f"{prefix}{name}.", self, *above)

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, x) for name, x in self._walk() if isinstance(x, Tensor))

    def _is_state(self, path: str, x: Any) -> bool:
        """True if what is held there belongs to the state."""
        constants = self._constants
        return type(x) is not Tensor or (x.is_leaf if constants is None else path in constants)

    def _members(self) -> list[tuple[str, Any]]:
        """The Modules and Tensors of the state by name; TypeError where one would be missed."""
        held = [entry for name, value in vars(self).items() for entry in _held(name, value)]
        found = [entry for entry in held if self._is_state(*entry[:2])]
        for kind in type(self).__mro__[: type(self).__mro__.index(Module)]:
            for name, value in vars(kind).items():
                if name not in vars(self):
                    held = list(_held(name, value, "class attribute"))
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


class _Calls(threading.local):
    """How many calls of modules, one within the other, run in this thread."""

    depth = 0


_calls = _Calls()
#: What is looked into: lists and tuples hold state, the others would hide it.
CONTAINERS = (list, tuple, dict, set, frozenset, deque)
#: What cannot be looked into without using it up.
ITERATORS = (types.GeneratorType, map, filter, zip)


def _held(
    path: str, value: Any, hidden: str = "", around: tuple[Any, ...] = ()
) -> Iterator[tuple[str, Any, str]]:
    """The Modules, Tensors and iterators in a value: the path to each, itself, and what hides it.

    Those in a list are named list.0, list.1, and so on within. Containers that are looked into
    already, ``around``, may be inside themselves.
    """
    if isinstance(value, (Module, Tensor)):
        yield path, value, hidden
    elif isinstance(value, ITERATORS):
        yield path, value, hidden or type(value).__name__
    elif isinstance(value, numpy.ndarray) and value.dtype == object:
        yield from _held(path, list(value.flat), hidden or "ndarray", around)
    elif isinstance(value, CONTAINERS) and not any(value is other for other in around):
        if not isinstance(value, (list, tuple)):
            hidden = hidden or type(value).__name__
        for i, x in enumerate(value.values() if isinstance(value, dict) else value):
            yield from _held(f"{path}.{i}", x, hidden, (*around, value))


def _host_array(value: Any) -> numpy.ndarray:
    if hasattr(value, "detach"):  # PyTorch's .numpy() refuses tensors that require gradients
        value = value.detach()
    return numpy.asarray(value.numpy() if hasattr(value, "numpy") else value)
