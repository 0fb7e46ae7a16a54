"""Layer 1: Tensors, the graph that operations leave behind, and reverse-mode differentiation.

Every differentiable operation computes an array and calls :func:`record`, which remembers, for
each input, its *vector-Jacobian product* (VJP): the function that turns the gradient of a scalar
with respect to the output into its gradient with respect to that input. With v̄ short for ∂L/∂v,
:func:`grad` walks the graph from the output back and adds up, for each value v,

    v̄ = Σ c̄ · ∂c/∂v      over the operations c that used v            (the chain rule)

VJPs are themselves written in differentiable operations. A walk with ``create_graph=True`` records
them, and the gradient can be differentiated again, to any order; a plain walk runs the same VJPs
with recording off and pays nothing for that. (Baydin et al. 2018, "Automatic Differentiation in
Machine Learning: a Survey", section 3.2.)
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy

from minigan import backend
from minigan.arguments import flag
from minigan.backend import Array

#: Stands in an edge, as the last entry, for the operation's own output, which does not exist yet
#: when :func:`record` is called.
OUTPUT: Any = object()
#: What an operator takes on its other side: a Tensor, a number or an array.
Operand: TypeAlias = "Tensor | float | Any"

# One clock for the whole process: it numbers operations as they are recorded and in-place writes as
# they happen, so "was this array overwritten after that operation saved it?" compares two numbers.
_clock = itertools.count(1)


class Node:
    """One recorded operation, or a leaf (a Tensor that asked for gradients itself).

    Attributes:
        parents: the nodes of its differentiable inputs; a leaf has none.
        vjps: for each parent, the VJP and what it needs; None once the graph was freed.
        order: the time at which it was recorded. Inputs come before what uses them, so descending
            order is a topological order of the backward walk.
        shape, dtype: these belong to the value that the node stands for, and to its gradient.
        value: the output without its graph, kept only where a VJP asks for it. (The node never
            holds the output itself, which holds the node: that would be a cycle.)
        leaf: a weak reference to the Tensor of a leaf, whose ``.grad`` collects gradients.
    """

    __slots__ = ("_vjp_name", "dtype", "leaf", "order", "parents", "shape", "value", "vjps")

    def __init__(self, parents: Sequence[Node], vjps: Sequence[Sequence[Any]], value: Array):
        self.parents = parents
        self.vjps: Sequence[Sequence[Any]] | None = vjps
        self._vjp_name = getattr(vjps[0][0], "__qualname__", "custom") if vjps else "leaf"
        self.order = next(_clock)
        self.shape = value.shape
        self.dtype = value.dtype
        self.value: Any = None
        self.leaf: weakref.ref[Tensor] | None = None

    @property
    def op(self) -> str:
        """The name of the operation, which is the function that its VJPs were written in."""
        return self._vjp_name.partition(".")[0]

    def apply(self, vjp: Sequence[Any], g: Tensor) -> Tensor:
        """One VJP of this operation, with what it needs and what it returns checked."""
        function, *needed = vjp
        if needed and needed[-1] is OUTPUT:
            needed[-1] = self.value.detach()
            needed[-1]._node = self
        for x in needed:
            if isinstance(x, Tensor) and x._stamp[0] > self.order:
                raise RuntimeError(
                    f"{self.op}: a tensor of shape {x.shape} that its gradient needs was changed in"
                    " place after the forward pass (by an optimizer step or a load); run the"
                    " forward pass again before this backward"
                )
        part = function(g, *needed)
        if not isinstance(part, Tensor):
            raise TypeError(f"vjp of {self.op}: expected a Tensor, got {type(part).__name__}")
        return part


def record(value: Array, *edges: Sequence[Any], shares: Tensor | None = None) -> Tensor:
    """Wrap what an operation computed and remember how to differentiate it.

    The operation is called, in errors and drawings, by the name of the function in which the first
    VJP was written.

    Args:
        value: the output array.
        edges: for each differentiable input, (input, VJP, *needed); an input that is a number or
            None has no gradient, and its edge is passed over. The VJP is called as
            ``vjp(g, *needed)`` and returns a Tensor of the input's shape, computed by
            differentiable operations. It may need Tensors, numbers and, as the last, the output,
            for which :data:`OUTPUT` stands. To change such a Tensor in place before the backward
            pass is an error. The graph keeps all of them alive, so a VJP that needs but a shape
            takes that from its closure.
        shares: the input whose memory ``value`` is a view of.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> y = record(x.data**3, (x, lambda g, x: g * x * x * 3.0, x))
    >>> grad(y.sum(), x)[0].numpy().tolist()
    [3.0, 12.0]
    """
    out = Tensor.__new__(Tensor)  # without the checks of __init__: this runs for every operation
    out._data = value if isinstance(value, backend.xp.ndarray) else backend.checked(value)
    out.grad = out._node = out._leaf_node = None
    out._stamp = [0] if shares is None else shares._stamp
    if _recording.on:
        parents, vjps, wanted = [], [], False
        for edge in edges:
            x = edge[0]
            if isinstance(x, Tensor) and x._node is not None:
                parents.append(x._node)
                vjps.append(edge[1:])
                wanted |= edge[-1] is OUTPUT
        if parents:
            out._node = Node(parents, vjps, out._data)
            if wanted:
                out._node.value = out.detach()
    return out


# --- Backward -------------------------------------------------------------------------------------


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """The gradient of Σ ⟨grad_outputs, outputs⟩ with respect to each input.

    Args:
        outputs: one Tensor or several.
        inputs: leaves or intermediate results; zeros come back for one that no output depends on.
        grad_outputs: one incoming gradient per output, of its shape; may be left out for scalars.
        create_graph: record the backward pass too, so that what comes back can be differentiated
            again. Without it the graph is freed on the way.

    Returns:
        A tuple of Tensors, one per input, each of its input's shape and dtype. They may share
        memory with each other: copy before writing into one.

    Raises:
        RuntimeError: an output has no graph, because it was computed under :func:`no_grad`, say;
            an input does not require gradients.

    >>> x = tensor(3.0, requires_grad=True)
    >>> (dy,) = grad(x * x, x, create_graph=True)
    >>> dy.item(), grad(dy, x)[0].item()
    (6.0, 2.0)
    """
    outputs, inputs = several("grad", outputs, least=1), _inputs("grad", inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: {len(outputs)} outputs but {len(grad_outputs)} grad_outputs")
    pairs = zip(outputs, grad_outputs, strict=True)
    seeds = [_seed("grad", i, y, g) for i, (y, g) in enumerate(pairs)]
    found = _gradients(outputs, inputs, seeds, create_graph)
    gradients = []
    for x in inputs:
        g = found[x._node] if x._node in found else Tensor(backend.xp.zeros(x.shape, x.dtype))
        if create_graph and g._node is None:  # a constant: to be differentiated again, to zero
            g = g.detach()
            g._node = Node((), (), g.data)
        gradients.append(g)
    return tuple(gradients)


def _gradients(
    outputs: Sequence[Tensor], inputs: Iterable[Tensor], seeds: Sequence[Tensor], create_graph: bool
) -> dict[Node | None, Tensor]:
    """The gradients of those inputs on which an output depends, by the inputs' nodes."""
    grads: dict[Any, Tensor] = {}
    with recording(create_graph), numpy.errstate(under="ignore"):  # what vanishes is 0
        for y, g in zip(outputs, seeds, strict=True):
            grads[y._node] = grads[y._node] + g if y._node in grads else g
        return _walk(grads, {x._node for x in inputs}, create_graph)  # type: ignore[misc]


def _walk(
    grads: dict[Node, Tensor], targets: set[Node], create_graph: bool
) -> dict[Node | None, Tensor]:
    """Backward over the graph below ``grads``, visiting only what leads to ``targets``."""
    nodes = _reachable(grads)
    needed = set(targets)
    for node in nodes:
        if not needed.isdisjoint(node.parents):
            needed.add(node)

    found: dict[Node | None, Tensor] = {}
    owned: set[Node] = set()  # whose running sum is a buffer made here: it is added to in place
    for node in reversed(nodes):
        if node not in needed:
            continue
        g = grads.pop(node)
        if node in targets:
            found[node] = g
        if needed.isdisjoint(node.parents):
            continue
        if node.vjps is None:
            raise RuntimeError(
                f"{node.op}: its graph was freed by an earlier backward; take that one by "
                "grad(..., create_graph=True), or compute the forward pass again"
            )
        for parent, vjp in zip(node.parents, node.vjps, strict=True):
            if parent not in needed:
                continue
            part = node.apply(vjp, g)
            if part._data.shape != parent.shape or part._data.dtype != parent.dtype:
                raise _mismatch(f"vjp of {node.op}", part, parent)
            if parent not in grads:
                grads[parent] = part
            elif parent in owned:
                backend.xp.add(grads[parent].data, part.data, out=grads[parent].data)
            else:
                grads[parent] = grads[parent] + part
                if not create_graph:
                    owned.add(parent)
        if not create_graph:
            node.vjps = node.value = None
    return found


def _reachable(roots: Iterable[Any]) -> list[Node]:
    """All nodes that the roots depend on, the roots included, in the order they were recorded."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(node.parents)
    return sorted(seen, key=lambda node: node.order)


def _leaves_below(y: Tensor) -> list[Tensor]:
    """The leaves that y depends on and that want gradients still."""
    pairs = [(node, node.leaf()) for node in _reachable([y._node]) if node.leaf is not None]
    return [leaf for node, leaf in pairs if leaf is not None and leaf._node is node]


def _seed(op: str, i: int, output: Tensor, gradient: Any) -> Tensor:
    """The incoming gradient of an output: the given one, checked, or 1 for a scalar."""
    if output._node is None:
        raise RuntimeError(
            f"{op}: output {i}, of shape {output.shape}, does not depend on any tensor that "
            "requires gradients; was it detached, or computed under no_grad(), or by grad() "
            "without create_graph=True?"
        )
    if gradient is None:
        if output.size != 1:
            raise RuntimeError(
                f"{op} from shape {output.shape}: only a scalar has an obvious gradient; "
                "pass one of the same shape, or reduce with .sum() or .mean()"
            )
        return Tensor(backend.xp.ones(output.shape, output.dtype))
    number = isinstance(gradient, (int, float))
    g = tensor(gradient, dtype=output.dtype) if number else as_tensor(gradient)
    if g.shape != output.shape or g.dtype != output.dtype:
        raise _mismatch(op, g, output)
    return g


def several(op: str, tensors: Tensor | Iterable[Tensor], least: int = 0) -> list[Tensor]:
    """One Tensor or several, as a list; TypeError for what is none, ValueError for too few."""
    one = hasattr(tensors, "dtype") or not isinstance(tensors, Iterable)
    found: list[Any] = [tensors] if one else list(tensors)
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(f"{op}: expected Tensors, got {type(t).__name__}")
    if len(found) < least:
        raise ValueError(f"{op}: expected at least one Tensor, got none (a generator used up?)")
    return found


def _inputs(op: str, tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """One Tensor or several; RuntimeError for one that has no gradient."""
    found = several(op, tensors, least=1)
    for i, x in enumerate(found):
        if x._node is None:
            raise RuntimeError(f"{op}: input {i}, of shape {x.shape}, does not require gradients")
    return found


def _mismatch(op: str, g: Tensor, of: Tensor | Node) -> Exception:
    if g.shape != of.shape:
        return ValueError(f"{op}: a gradient of shape {g.shape} for a value of shape {of.shape}")
    return TypeError(f"{op}: a gradient of dtype {g.dtype} for a value of dtype {of.dtype}")


# --- Tensors --------------------------------------------------------------------------------------


class Tensor:
    """An array that remembers how it was computed.

    Args:
        data: an array of the current backend, not copied; for lists, numbers or a copy use
            :func:`tensor`.
        requires_grad: make it a leaf of the graph: gradients with respect to it can be asked for.

    Attributes:
        data: the array itself. Another of the same shape and dtype may be put in its place.
        grad: a Tensor of the same shape, collected by :meth:`backward`, or None.
    """

    __slots__ = ("__weakref__", "_data", "_leaf_node", "_node", "_stamp", "grad")

    grad: Tensor | None
    _node: Node | None
    _leaf_node: Node | None  # outlasts a freeze, so that graphs recorded before it stay valid

    def __init__(self, data: Array, requires_grad: bool = False):
        self._data = numbers("Tensor", backend.checked(data))
        self.grad = None
        self._node = self._leaf_node = None
        self._stamp = [0]  # when it was last overwritten; shared with views of the same memory
        if requires_grad:
            self.requires_grad_(requires_grad)

    data = property(operator.attrgetter("_data"))
    dtype = property(operator.attrgetter("_data.dtype"))
    ndim = property(operator.attrgetter("_data.ndim"), doc="The number of axes.")
    size = property(operator.attrgetter("_data.size"), doc="The number of entries, as in NumPy.")

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def requires_grad(self) -> bool:
        """True for a leaf that asked for gradients and for everything computed from one."""
        return self._node is not None

    @property
    def is_leaf(self) -> bool:
        """True unless an operation of the recorded graph computed it."""
        return self._node is None or self._node.leaf is not None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients (or stop asking), in place. Only floats have any: else TypeError."""
        if not self.is_leaf:
            raise RuntimeError("requires_grad_: only a leaf can be changed; use .detach() first")
        if not flag("Tensor", "requires_grad", requires_grad):
            self._node = None
        elif self._node is None:
            if self.dtype.kind != "f":
                raise TypeError(
                    f"requires_grad: only float tensors have gradients, this one is {self.dtype}"
                )
            if self._leaf_node is None or self._leaf_node.dtype != self.dtype:
                self._leaf_node = Node((), (), self.data)
                self._leaf_node.leaf = weakref.ref(self)
            self._node = self._leaf_node
        return self

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return record(self._data, shares=self)

    def numpy(self) -> Array:
        """A NumPy copy in host memory, also of a tensor that requires gradients."""
        return backend.to_host(self.data)

    def item(self) -> Any:
        """The one entry of a one-entry tensor, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: expected one entry, got shape {self.shape}")
        return self.numpy().item()

    def copy_(self, source: Any) -> Self:
        """Overwrite the entries in place with those of ``source`` (array, Tensor or nested list).

        The dtype stays. ValueError for another shape, RuntimeError for an intermediate result.
        """
        if not self.is_leaf:
            raise RuntimeError("copy_: only a leaf can be overwritten; use .detach() first")
        array = backend.asarray(source.data if isinstance(source, Tensor) else source)
        if numbers("copy_", array).shape != self.shape:
            raise ValueError(f"copy_: expected shape {self.shape}, got {array.shape}")
        self.data[...] = array
        self.mark_written()
        return self

    def mark_written(self) -> None:
        """Say that ``data`` was overwritten in place; whoever does that must call this."""
        self._stamp[0] = next(_clock)

    def backward(
        self, gradient: Any = None, *, inputs: Tensor | Iterable[Tensor] | None = None
    ) -> None:
        """Add ∂self/∂leaf to the ``.grad`` of every leaf (or of ``inputs``), and free the graph.

        Args:
            gradient: the incoming gradient, of self's shape; may be left out for a scalar.
            inputs: the leaves to serve; what others would need is then not computed. The ``.grad``
                of one that self does not depend on stays as it is.
        """
        seed = _seed("backward", 0, self, gradient)
        leaves = _leaves_below(self) if inputs is None else _inputs("backward", inputs)
        found = _gradients([self], leaves, [seed], create_graph=False)
        taken = {id(seed.data)}
        for leaf in dict.fromkeys(leaves):
            if (g := found.get(leaf._node)) is None:
                continue
            if leaf.grad is not None:
                g = Tensor(leaf.grad.data + g.data)
            elif id(g.data) in taken or g.data.base is not None:
                g = Tensor(g.data.copy())  # two .grad must not share memory
            taken.add(id(g.data))
            leaf.grad = g

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        return id(self)

    if TYPE_CHECKING:  # what minigan/ops/operators.py binds to functions of minigan.ops
        T: Tensor

        def _unary(self) -> Tensor: ...
        def _binary(self, other: Operand) -> Tensor: ...
        def _reduce(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def __pow__(self, exponent: float) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def _integers(self, *integers: Any) -> Tensor: ...
        def transpose(self, axis0: int, axis1: int) -> Tensor: ...
        def to(self, dtype: Any) -> Tensor: ...
        def argmax(self, axis: int | None = None) -> Tensor: ...

        __neg__ = __abs__ = abs = exp = log = sqrt = tanh = sigmoid = _unary
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _binary
        __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary
        __eq__ = __ne__ = _binary  # type: ignore[assignment]
        sum = mean = var = std = norm = max = min = _reduce
        reshape = permute = _integers


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """A new Tensor with a copy of ``data``: a number, nested lists, an array or a Tensor.

    An array keeps its dtype; Python floats become float32, integers int64, and booleans stay what
    they are.

    >>> tensor([1.0, 2.0]).dtype
    dtype('float32')
    """
    if isinstance(data, Tensor):
        data = data.data
    is_array = hasattr(data, "dtype") and hasattr(data, "shape")
    array = backend.xp.array(data, dtype=dtype)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: expected numbers, got {data!r:.60} of dtype {array.dtype}")
    if dtype is None and not is_array and array.dtype.kind in "fi":
        array = array.astype("float32" if array.dtype.kind == "f" else "int64", copy=False)
    return Tensor(array, requires_grad)


def as_tensor(data: Any) -> Tensor:
    """``data`` itself if it is a Tensor, else :func:`tensor` of it."""
    return data if isinstance(data, Tensor) else tensor(data)


def numbers(op: str, array: Array) -> Array:
    """The array itself; TypeError if its entries are not real numbers or booleans."""
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: expected numbers, got dtype {array.dtype}")
    return array


# --- Recording or not -----------------------------------------------------------------------------


class _Recording(threading.local):
    def __init__(self) -> None:
        self.on = True
        self.outside: list[bool] = []  # the value before each switch that is still entered


_recording = _Recording()


def is_recording() -> bool:
    """Whether operations leave a graph behind at this moment, in this thread."""
    return _recording.on


class recording(contextlib.ContextDecorator):
    """``with recording(False): ...`` switches recording for this thread, and back afterwards.

    It can be entered again, within itself too, and by several threads. As a decorator it switches
    for each call; what it makes of generators stands in protocols.py.
    """

    def __init__(self, on: bool):
        self.on = on

    def __enter__(self) -> None:
        _recording.outside.append(_recording.on)
        _recording.on = self.on

    def __exit__(self, *_: object) -> None:
        _recording.on = _recording.outside.pop()


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """``with no_grad(): ...``, or ``@no_grad()``: operations inside leave no graph behind."""
    return recording(False) if function is None else recording(False)(function)
