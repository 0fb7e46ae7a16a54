"""Layer 1: formulas over entries, each in one pass, written once for both array libraries.

On a GPU a small GAN waits for launches: an operation at a time, Adam alone is a dozen for every
parameter. Here its whole step is one text, which is C++ and Python at once:

    m *= beta1; m += g * rest1; v *= beta2; v += g * g * rest2; p -= m / (sqrt(v) + eps) * rate

CuPy compiles it into one kernel. For NumPy it becomes a list of calls, which :class:`Formula` goes
through for one slice of the arrays after another, so short that whatever is read again is still in
the processor's cache. In a text, a name stands for an entry, an output may be read as well as
written, and T is the arrays' type: T(x > 0) is 1 or 0, and masked(x > 0, g) is g or 0, also where
g is infinite or NaN, of which a product with 0 would make NaN.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array

#: What formulas are made of, in Python's grammar and under C++'s names, and NumPy's names for it.
OPERATORS = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide",
    ast.USub: "negative",
}  # fmt: skip
FUNCTIONS = {name: name for name in ("abs", "exp", "log1p", "sqrt")}
FUNCTIONS |= {"max": "maximum", "min": "minimum"}
#: CUDA's own would take NaN for the smaller and for the larger one: a diverged run must show.
PREAMBLE = """
#define max(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define min(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define masked(condition, a) ((condition) ? (a) : T(0))
"""
UFUNCS = {
    name: getattr(numpy, name)
    for name in [*OPERATORS.values(), *FUNCTIONS.values(), "greater", "bitwise_and"]
}


def calls(text: str) -> list[str]:
    """The formula as calls of NumPy, each with the array that it overwrites.

    What has no name in the formula goes there too as far as that can be, or else to scratch arrays.

    >>> calls("m += g * rest")
    ['multiply(g, rest, out=_1)', 'add(m, _1, out=m)']
    """
    found: list[str] = []

    def evaluate(node: Any, into: str, depth: int = 0) -> str:
        """Append what computes the node; return where it is then: a name or a number."""
        match node:
            case ast.Name() | ast.Constant():
                return ast.unparse(node)
            case ast.Call(func=ast.Name(id="T"), args=[ast.Constant() as number]):
                return ast.unparse(number)
            case ast.Call(func=ast.Name(id="T"), args=[ast.Compare(left=x, ops=[ast.Gt()])]):
                found.append(f"{into}[...] = greater({ast.unparse(x)}, 0)")
                return into
            case ast.Call(func=ast.Name(id="masked"), args=[ast.Compare(left=x), ast.Name(id=g)]):
                # A mask's bits are all 0 or all 1, and "and" takes a tenth of numpy.where's time.
                found.append(f"bits = {into}.view(f'i{{{into}.itemsize}}')")
                found.append(f"bits[...] = greater({ast.unparse(x)}, 0)")
                found.append("negative(bits, out=bits)")
                found.append(f"bitwise_and({g}.view(bits.dtype), bits, out=bits)")
                return into
            case ast.Call(func=ast.Name(id=function)):
                ufunc, parts = FUNCTIONS[function], node.args
            case ast.UnaryOp():
                ufunc, parts = OPERATORS[type(node.op)], [node.operand]
            case ast.BinOp():
                ufunc, parts = OPERATORS[type(node.op)], [node.left, node.right]
        busy = into in {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        operands = [
            evaluate(part, f"_{depth + i}" if i or busy else into, depth + i)
            for i, part in enumerate(parts)
        ]
        found.append(f"{ufunc}({', '.join(operands)}, out={into})")
        return into

    for statement in ast.parse(text.replace("; ", "\n")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)]):
                evaluate(statement.value, target)
            case ast.AugAssign(target=ast.Name(id=target)):
                evaluate(ast.BinOp(statement.target, statement.op, statement.value), target)
    return found


class Formula:
    """One pass over arrays of one dtype.

    Args:
        name: the kernel is called so.
        inputs, outputs: names, of what is read and of what is written and may be read too.
        text: statements that are both C++ and Python, divided by "; ".
    """

    in_numpy: Callable[..., None]

    def __init__(self, name: str, inputs: str, outputs: str, text: str):
        self.name, self.text = name, text
        self.inputs, self.outputs = inputs.split(", "), outputs.split(", ")
        body = "\n    ".join(calls(text))
        self._scratch = sorted(set(re.findall(r"\b_\d\b", body)))
        arguments = ", ".join([*self.inputs, *self.outputs, *self._scratch])
        exec(f"def in_numpy({arguments}):\n    {body}", UFUNCS, vars(self))

    @numpy.errstate(under="ignore")  # exp(−|x|) and g·g are meant to vanish
    def __call__(self, *inputs: Any, out: tuple[Array, ...] = ()) -> Any:
        """The outputs: ``out``, overwritten, or new arrays like the first input.

        The first input is an array; others are arrays of its shape, numbers or, if it is a matrix
        (M, C), vectors (C,), and then there is no ``out``.
        """
        xp, first = backend.xp, inputs[0]
        vectors = first.ndim == 2 and any(getattr(a, "ndim", 2) == 1 for a in inputs)
        order = "C" if vectors else "K"  # rows, for side_by_side; else as in memory already
        if xp.ndarray is not numpy.ndarray:
            out = out or tuple(xp.empty_like(first, order=order) for _ in self.outputs)
            self.kernel(xp)(*inputs, *out)
        else:
            wide = side_by_side(*inputs) if vectors else inputs
            written = out or tuple(xp.empty_like(wide[0], order=order) for _ in self.outputs)
            for parts in pieces([*wide, *written], len(self._scratch)):
                self.in_numpy(*parts, *(numpy.empty_like(parts[0]) for _ in self._scratch))
            out = out or tuple(z.reshape(first.shape) for z in written)
        return out[0] if len(out) == 1 else out

    @functools.cache  # noqa: B019 - formulas are made once, for good
    def kernel(self, xp: Any) -> Any:
        """The same as one kernel of CuPy's."""
        inputs, outputs = (", ".join(f"T {n}" for n in ns) for ns in (self.inputs, self.outputs))
        return xp.ElementwiseKernel(inputs, outputs, self.text, self.name, preamble=PREAMBLE)


def column_sums(*operands: Array, of: Formula | None = None) -> Array:
    """Σ over the rows of a matrix (M, C), or of a formula's output: (C,)."""
    xp, first, cut = backend.xp, operands[0], pieces(side_by_side(*operands), 1)
    parts = [sum_of_rows(of(*rows) if of else rows[0]) for rows in cut]
    if not parts:  # no rows
        return xp.zeros(first.shape[1], first.dtype)
    z = parts[0] if len(parts) == 1 else sum_of_rows(xp.stack(parts))
    return z if z.shape == first.shape[1:] else sum_of_rows(z.reshape(-1, first.shape[1]))


#: The number of rows that are added up in float32. A GPU, whose threads share them, takes 256 times
#: as many.
BLOCK = 128


def sum_of_rows(x: Array) -> Array:
    """Σ over the rows of a matrix (M, C), as a product with ones, which is the fastest sum: (C,).

    In float32, one long sum loses digits: 10⁶ rows of 0.1 make 100,350. So there is a product for
    each block of rows, and the blocks' sums are added up in float64.
    """
    xp, (m, c) = backend.xp, x.shape
    block = BLOCK << 8 if backend.on_gpu() else BLOCK
    if m <= block or x.dtype != "float32":
        return xp.ones(m, x.dtype) @ x
    n = m // block
    blocks, rest = x[: n * block].reshape(n, block, c), x[n * block :]
    sums = (xp.ones(block, x.dtype) @ blocks).sum(axis=0, dtype="float64")
    return (sums + xp.ones(len(rest), x.dtype) @ rest).astype(x.dtype)


def total(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """Σ over ``axes`` (from 0 on), to six digits in float32, however many entries there are.

    Along the last axes in memory NumPy adds in pairs, along others one entry after the other.
    """
    if x.dtype == "float16":
        return total(x.astype("float32"), axes, keepdims).astype("float16")
    if x.ndim == 2 and axes == (0,) and x.dtype.kind == "f":
        return sum_of_rows(x)[None] if keepdims else sum_of_rows(x)
    m = math.prod(x.shape[i] for i in axes)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    last = tuple(i for i in axes if not kept or i > kept[-1]) if x.flags.c_contiguous else ()
    if m <= BLOCK or x.dtype != "float32" or len(last) == len(axes):
        return x.sum(axis=axes, keepdims=keepdims)
    x = x.sum(axis=last, keepdims=True) if last else x
    rows = x.transpose(*sorted(axes, key=lambda i: -x.strides[i]), *kept)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i in kept]
    matrix = [math.prod(x.shape[i] for i in group) for group in (axes, kept)]
    return sum_of_rows(rows.reshape(matrix)).reshape(shape)


def pieces(operands: Sequence[Any], more: int) -> Iterator[Sequence[Any]]:
    """The operands for a few rows of the first at a time; those with fewer axes are not cut.

    They share the cache with ``more`` arrays of their size.
    """
    axes = operands[0].ndim
    whole = [getattr(a, "ndim", 0) == axes for a in operands]
    if not axes:
        yield operands
        return
    a_row_of_all = math.prod(operands[0].shape[1:]) * (sum(whole) + more)
    for s in backend.cached_slices(len(operands[0]), a_row_of_all):
        yield [a[s] if cut else a for a, cut in zip(operands, whole, strict=True)]


def side_by_side(*operands: Any) -> list[Any]:
    """Matrices (M, C) with several rows in one, vectors (C,) repeated as often.

    NumPy's loops run along a row and start anew with each; a GPU has no loops.
    """
    m, c = operands[0].shape
    k = 1 if backend.on_gpu() else math.gcd(m, 2048 // (c or 1) or 1)
    wide = {2: lambda a: a.reshape(m // k, k * c), 1: lambda a: backend.xp.tile(a, k)}
    return [wide[a.ndim](a) if hasattr(a, "ndim") and k > 1 else a for a in operands]


sgd = Formula("sgd", "g, lr", "p", "p -= g * lr")
momentum = Formula("momentum", "g, decay, lr", "p, b", "b *= decay; b += g; p -= b * lr")
rmsprop = Formula(
    "rmsprop",
    "g, alpha, rest, lr, eps",
    "p, v",
    "v *= alpha; v += g * g * rest; p -= g * lr / (sqrt(v) + eps)",
)
adam = Formula(
    "adam",
    "g, beta1, rest1, beta2, rest2, rate, eps",
    "p, m, v",
    "m *= beta1; m += g * rest1; v *= beta2; v += g * g * rest2; p -= m / (sqrt(v) + eps) * rate",
)

GIVEN, NORMALISE = "x, mu, s, w, b, slope", "x_hat = (x - mu) * s; z = x_hat * w + b"
RELU, LEAKY = "; z = max(z, T(0))", "; z = max(z, z * slope)"
normalise = Formula("normalise", GIVEN, "x_hat, z", NORMALISE)
normalise_relu = Formula("normalise_relu", GIVEN, "x_hat, z", NORMALISE + RELU)
normalise_leaky = Formula("normalise_leaky", GIVEN, "x_hat, z", NORMALISE + LEAKY)
project = Formula("project", "g, x, a, b, s", "z", "z = (g - x * a - b) * s")
affine = Formula("affine", "x, w, b", "z", "z = x * w + b")
scale = Formula("scale", "x, w", "z", "z = x * w")
inverse_deviation = Formula("inverse_deviation", "x, eps", "s", "s = 1 / sqrt(x + eps)")
squared_deviation = Formula("squared_deviation", "x, mu", "z", "z = x - mu; z *= z")
move = Formula("move", "x, rest, momentum", "mean", "mean *= rest; mean += x * momentum")

sigmoid = Formula("sigmoid", "x", "z", "z = exp(min(x, T(0))) / (exp(-abs(x)) + 1)")
softplus = Formula("softplus", "x", "z", "z = max(x, T(0)) + log1p(exp(-abs(x)))")
binary_cross_entropy = Formula(
    "binary_cross_entropy",
    "x, t",
    "z",
    "z = log1p(exp(-abs(x))) + t * max(-x, T(0)) + (1 - t) * max(x, T(0))",
)
gate = Formula("gate", "g, x, slope, rest", "z", "z = T(x > 0) * rest + slope; z *= g")
drop = Formula("drop", "x, keep, scale", "z", "z = masked(keep > 0, x) * scale")
gate_relu = Formula("gate_relu", "g, x", "z", "z = masked(x > 0, g)")
