"""Layer 3: Module, the container of parameters, buffers and other modules.

There is no registry: a Module's state is what its attributes hold, in the order they were set.
A :class:`Parameter` is learned, any other Tensor is a buffer (saved, not learned) unless the graph
computed it, a Module or a list of Modules is walked into, and names are the attribute path,
"0.weight", as in PyTorch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy

from minigan import backend
from minigan.autograd import Tensor


class Parameter(Tensor):
    """A Tensor that a Module learns: a leaf that requires gradients."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad=True)
        if isinstance(data, Tensor):
            self._stamp = data._stamp  # the same memory
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

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def with_next(self, following: Module) -> Callable[[Any], Any] | None:
        """What computes this module and the following one of a Sequential in one pass, or None."""
        return None

    def _members(self) -> Iterator[tuple[str, Any]]:
        """What the attributes hold of Tensors and Modules, by name."""
        for name, value in vars(self).items():
            yield from _held(f"{type(self).__name__}.{name}", name, value)

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

    def _named_tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, value in self._members():
            if isinstance(value, Module):
                yield from value._named_tensors(f"{prefix}{name}.")
            else:
                yield prefix + name, value

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
        ready = {name: given[name].astype(t.dtype) for name, t in own.items()}
        for name, value in own.items():
            value.copy_(ready[name])

    def train(self, mode: bool = True) -> Module:
        """Put this module and all below it in training mode (batch statistics, dropout on)."""
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
        if numpy.dtype(dtype).kind != "f":
            raise TypeError(f"Module.to: expected a float dtype, got {dtype}")
        for _, value in self._named_tensors():
            if value.dtype.kind == "f":
                requires_grad = value.requires_grad
                value.requires_grad_(False)
                value._data, value.grad = value.data.astype(dtype), None
                value.requires_grad_(requires_grad)
        return self

    def extra_repr(self) -> str:
        """The arguments shown between the parentheses of ``repr``."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): {value!r}".replace("\n", "\n  ")
            for name, value in self._members()
            if isinstance(value, Module)
        ]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        body = "\n  ".join(lines)
        return f"{type(self).__name__}(\n  {body}\n)"


def _held(attribute: str, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A Module or Tensor itself; those in a list are named list.0, list.1, and so on within."""
    if isinstance(value, Module) or (isinstance(value, Tensor) and value.is_leaf):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _held(attribute, f"{name}.{i}", item)
    elif isinstance(value, dict) and any(_held(attribute, name, list(value.values()))):
        raise TypeError(
            f"{attribute}: a dict of modules would not be trained or saved; use attributes, a list "
            "or a Sequential"
        )


def _host_array(value: Any) -> numpy.ndarray:
    if hasattr(value, "detach"):  # PyTorch's .numpy() refuses tensors that require gradients
        value = value.detach()
    return numpy.asarray(value.numpy() if hasattr(value, "numpy") else value)


class Sequential(Module):
    """Modules applied one after the other, named "0", "1", ...

    >>> from minigan.nn import Linear, Tanh
    >>> Sequential(Linear(2, 3), Tanh())
    Sequential(
      (0): Linear(2, 3, bias=True)
      (1): Tanh()
    )
    """

    def __init__(self, *modules: Module):
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(
                    f"Sequential: argument {i} is a {type(module).__name__}, not a Module"
                )
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        modules = deque(self.children())
        while modules:
            module = modules.popleft()
            if modules and (both := module.with_next(modules[0])) is not None:
                modules.popleft()
                x = both(x)
            else:
                x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, index: int | slice) -> Module:
        chosen = list(self.children())[index]
        return Sequential(*chosen) if isinstance(chosen, list) else chosen
