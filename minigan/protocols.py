"""Layer 5: what Python and NumPy may ask of a Tensor; copies and pickles of all that is trained.

Python and NumPy look for these methods by their names. They are bound here, once, so that the files
of the engine hold what a reader of the engine looks for.
"""

# mypy: disable-error-code="attr-defined, assignment, method-assign"

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import operator
import reprlib
from typing import Any, TypeVar

import numpy

from minigan import backend
from minigan.autograd import Operand, Tensor, _clock, recording
from minigan.backend import Array
from minigan.functional import add, div, mul, sub
from minigan.nn import Module
from minigan.optim import Optimizer

T = TypeVar("T")

# --- Text, numbers and arrays ---------------------------------------------------------------------


def shown(x: Tensor) -> str:
    body = numpy.array2string(x.numpy(), separator=", ", prefix="tensor(", precision=4)
    origin = ", requires_grad=True" if x.is_leaf else f", op={x._node.op}"  # type: ignore[union-attr]
    dtype = "" if x.dtype == "float32" else f", dtype={x.dtype}"
    return f"tensor({body}{dtype}{origin if x.requires_grad else ''})"


def formatted(x: Tensor, spec: str) -> str:
    return object.__format__(x, spec) if x.ndim else format(x.item(), spec)


def truth(x: Tensor) -> bool:
    if x.size != 1:
        raise ValueError(f"the truth of a tensor of shape {x.shape} is ambiguous")
    return bool(x.item())


def host_array(x: Tensor, dtype: Any = None, copy: bool | None = None) -> Array:
    if copy is False:
        raise ValueError("a Tensor becomes a NumPy array only by copying it")
    return x.numpy().astype(dtype or x.dtype, copy=False)


def replaced(x: Tensor, data: Any) -> None:
    """``x.data = data``, an array or a Tensor, whose graph stays behind."""
    array = backend.checked(data.data if isinstance(data, Tensor) else data)
    if array.shape != x.shape or array.dtype != x.dtype:
        raise ValueError(
            f"data: expected an array of shape {x.shape} and dtype {x.dtype}, "
            f"got {array.shape} {array.dtype}"
        )
    x._data, x._stamp = array, [next(_clock)]  # graphs over the old entries must notice


Tensor.data = property(operator.attrgetter("_data"), replaced)
Tensor.__repr__ = shown
Tensor.__format__ = formatted
Tensor.__bool__ = truth
Tensor.__float__ = lambda x: float(x.item())
Tensor.__int__ = lambda x: int(x.item())
Tensor.__array__ = host_array


@reprlib.recursive_repr()
def shown_module(module: Module) -> str:
    lines = [
        f"({name}): {value!r}".replace("\n", "\n  ")
        for name, value in module._members()
        if isinstance(value, Module)
    ]
    if not lines:
        return f"{type(module).__name__}({module.extra_repr()})"
    body = "\n  ".join(lines)
    return f"{type(module).__name__}(\n  {body}\n)"


Module.__repr__ = shown_module

# --- no_grad as a decorator -----------------------------------------------------------------------


def decorated(switch: recording, function: Any) -> Any:
    """A function under a switch of recording: a generator while it runs, not while it waits."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__name__}: others run while an async function waits; "
            "switch by a with block around what does not await"
        )
    if not inspect.isgeneratorfunction(function):
        return contextlib.ContextDecorator.__call__(switch, function)

    @functools.wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        resume, sent = generator.send, None
        while True:
            try:
                with recording(switch.on):
                    item = resume(sent)
            except StopIteration as stop:
                return stop.value
            try:
                resume, sent = generator.send, (yield item)
            except BaseException as error:  # GeneratorExit too: it is closed, or collected
                resume, sent = generator.throw, error

    return generate


recording.__call__ = decorated

# --- Augmented assignments ------------------------------------------------------------------------


def made_anew(function: Any) -> Any:
    """x += y makes a new Tensor, as x = x + y does; a parameter would silently stay as it was."""

    def apply(x: Tensor, y: Operand) -> Any:
        if x.is_leaf and x.requires_grad:
            raise RuntimeError(
                f"{function.__name__}: x += y and the like make a new tensor, and would leave this "
                "leaf as it was; overwrite it with .copy_()"
            )
        return function(x, y)

    return apply


Tensor.__iadd__ = made_anew(add)
Tensor.__isub__ = made_anew(sub)
Tensor.__imul__ = made_anew(mul)
Tensor.__itruediv__ = made_anew(div)

# --- Copies: leaves, each on its own --------------------------------------------------------------


def copied(x: Tensor) -> Tensor:
    """A leaf of its own over the same memory, or the same result; without a gradient yet."""
    twin = _leaf(type(x), x.data, x.requires_grad and x.is_leaf, x._stamp, _attributes(x))
    if not x.is_leaf:
        twin._node = x._node
    return twin


def deeply_copied(x: Tensor, memo: dict[int, Any]) -> Tensor:
    """A leaf of its own, without a gradient yet. What shared memory shares the copy."""
    if not x.is_leaf:
        raise RuntimeError("deepcopy: only a leaf can be copied; use .detach() first")
    if id(x.data) not in memo:
        memo[id(x.data)] = backend.xp.array(x.data)  # its axes lie in memory as they did
    stamp = memo.setdefault(id(x._stamp), [0])
    more = copy.deepcopy(_attributes(x), memo)
    return _leaf(type(x), memo[id(x.data)], x.requires_grad, stamp, more)


def reduced(x: Tensor, protocol: Any) -> tuple[Any, ...]:
    """What pickle stores of a leaf: its entries on the host, without a gradient."""
    if not x.is_leaf:
        raise RuntimeError("pickle: only a leaf can be pickled; use .detach() first")
    strides = x.data.strides
    axes = sorted(range(x.ndim), key=lambda i: -abs(strides[i]))  # as they lie in memory
    host = backend.to_host(x.data.transpose(axes))
    return unpickled, (type(x), host, axes, x.requires_grad), _attributes(x) or None


def unpickled(kind: type[Tensor], host: Array, axes: list[int], requires_grad: bool) -> Tensor:
    """A leaf of the backend in use now."""
    array = backend.xp.array(host).transpose(sorted(axes, key=axes.__getitem__))
    return _leaf(kind, array, requires_grad, [0], {})


def _attributes(x: Tensor) -> dict[str, Any]:
    """What a subclass holds beside a Tensor's slots."""
    return getattr(x, "__dict__", {})


def _leaf(
    kind: type[Tensor], array: Array, requires_grad: bool, stamp: list[int], more: dict[str, Any]
) -> Tensor:
    """A leaf of a class, whose constructor may take what it will."""
    leaf = kind.__new__(kind)
    Tensor.__init__(leaf, array, requires_grad)
    if kind is not Tensor:  # a Parameter
        backend.parameters[id(leaf)] = leaf
    leaf._stamp = stamp
    for name, value in more.items():
        setattr(leaf, name, value)
    return leaf


Tensor.__copy__ = copied
Tensor.__deepcopy__ = deeply_copied
Tensor.__reduce_ex__ = reduced


def shallow_copy(x: T) -> T:
    """What copy.copy makes of x: an object of its class that holds what x holds."""
    twin = object.__new__(type(x))
    vars(twin).update(vars(x))
    return twin


def module_state(module: Module) -> dict[str, Any]:
    """What pickle and deepcopy take: all attributes, results that a forward left without graph."""
    return {name: _without_graph(x) for name, x in vars(module).items()}


def _without_graph(value: Any, around: tuple[Any, ...] = ()) -> Any:
    """The value, in which results of operations, alone or in lists and dicts, are constants."""
    if isinstance(value, Tensor):
        return value if value.is_leaf else value.detach()
    if type(value) not in (list, tuple, dict) or any(value is other for other in around):
        return value
    entries = list(value.values()) if type(value) is dict else value
    ready = [_without_graph(x, (*around, value)) for x in entries]
    if all(x is y for x, y in zip(ready, entries, strict=True)):
        return value
    return dict(zip(value, ready, strict=True)) if type(value) is dict else type(value)(ready)


Module.__copy__ = shallow_copy
Module.__getstate__ = module_state


def optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """What pickle and deepcopy take: the memory as Tensors, which know their way to the host."""
    state = [
        {key: Tensor(x) if hasattr(x, "shape") else x for key, x in entry.items()}
        for entry in optimizer.state
    ]
    return vars(optimizer) | {"state": state}


def restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """The way back of :func:`optimizer_state`."""
    vars(optimizer).update(state)
    optimizer.state = [
        {key: x.data if isinstance(x, Tensor) else x for key, x in entry.items()}
        for entry in optimizer.state
    ]


Optimizer.__copy__ = shallow_copy
Optimizer.__getstate__ = optimizer_state
Optimizer.__setstate__ = restore_optimizer

# --- NumPy ----------------------------------------------------------------------------------------

#: The method that NumPy's operator on an array becomes with a Tensor on its right.
REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__",
    "matmul": "__rmatmul__", "equal": "__eq__", "not_equal": "__ne__", "less": "__gt__",
    "less_equal": "__ge__", "greater": "__lt__", "greater_equal": "__le__",
}  # fmt: skip


class Refusal:
    """Tensor's ``__array_ufunc__``: what becomes of a Tensor among the operands of an array.

    NumPy looks for it on the class, and calls it: array * tensor goes to Tensor.__rmul__, and other
    functions are refused. CuPy looks on the Tensor: None there leaves its operators to the Tensor's
    own.
    """

    def __get__(self, tensor: Tensor | None, owner: type[Tensor]) -> Any:
        return self.refuse if tensor is None else None

    @staticmethod
    def refuse(tensor: Tensor, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        reflected = REFLECTED.get(ufunc.__name__)
        if method == "__call__" and reflected and not keywords and inputs[1] is tensor:
            return getattr(tensor, reflected)(inputs[0])
        raise TypeError(
            f"numpy.{ufunc.__name__} does not take a Tensor: use what minigan.functional has, "
            "t.numpy() outside of a graph, or p.copy_(...) to overwrite a parameter"
        )


Tensor.__array_ufunc__ = Refusal()
