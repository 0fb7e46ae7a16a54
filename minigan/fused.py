"""Layer 1: formulas over entries, each in one pass, written once for both array libraries.

On a GPU a small GAN waits for launches: an operation at a time, Adam alone is fourteen for every
parameter. Here its whole step is one text, which is C++ and Python at once:

    m *= beta1; m += g * rest1; v *= beta2; v += g * g * rest2; p -= m / (sqrt(v) + eps) * rate

CuPy compiles it into one kernel. NumPy runs it as Python, over slices so short that what it reads
again and again stays in the processor's cache. In a text, a name is an entry (in Python, a slice of
them); T is the arrays' type, so T(x > 0) is 1 or 0; an output may be read, and written part by part.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array

#: C++'s names in formulas, and NumPy's functions for them.
FUNCTIONS = {"sqrt": numpy.sqrt, "max": numpy.maximum}


class Formula:
    """One pass over arrays of one dtype.

    Args:
        name: of the kernel.
        inputs, outputs: the names of what is read, and of what is written and may be read too.
        text: statements that are both C++ and Python, divided by "; ".
    """

    def __init__(self, name: str, inputs: str, outputs: str, text: str):
        self.name, self.text = name, text
        self.inputs, self.outputs = inputs.split(", "), outputs.split(", ")
        self._python = compile(text.replace("; ", "\n"), name, "exec")

    def __call__(self, *inputs: Array | float, out: tuple[Array, ...] = ()) -> Any:
        """The outputs: ``out``, overwritten, or new arrays like the first input.

        The first input is an array; others are arrays of its shape, numbers or, if it is a matrix
        (M, C), vectors (C,).
        """
        xp, first = backend.xp, inputs[0]
        if hasattr(xp, "ElementwiseKernel"):
            out = out or tuple(xp.empty_like(first) for _ in self.outputs)
            self.kernel(xp)(*inputs, *out)
        else:
            vectors = first.ndim == 2 and any(getattr(a, "ndim", 2) == 1 for a in inputs)
            wide = side_by_side(*inputs) if vectors else inputs
            written = out or tuple(xp.empty_like(wide[0]) for _ in self.outputs)
            for parts in slices(*wide, *written):
                self._run(parts)
            out = out or tuple(z.reshape(first.shape) for z in written)
        return out[0] if len(out) == 1 else out

    @functools.cache  # noqa: B019 - formulas are made once, for good
    def kernel(self, xp: Any) -> Any:
        """The same as one kernel of CuPy's."""
        inputs, outputs = (", ".join(f"T {n}" for n in ns) for ns in (self.inputs, self.outputs))
        return xp.ElementwiseKernel(inputs, outputs, self.text, self.name)

    def _run(self, parts: list[Any]) -> None:
        values = dict(zip(self.inputs + self.outputs, parts, strict=True))
        exec(self._python, {**FUNCTIONS, "T": parts[0].dtype.type}, values)
        for name, target in zip(self.outputs, parts[len(self.inputs) :], strict=True):
            if values[name] is not target:
                target[...] = values[name]


def column_sums(*operands: Array, of: Formula | None = None) -> Array:
    """Σ over the rows of a matrix (M, C), or of a formula's output: (C,)."""
    xp, c, total = backend.xp, operands[0].shape[1], None
    for parts in slices(*side_by_side(*operands)):
        rows = of(*parts) if of else parts[0]
        part = xp.ones(len(rows), rows.dtype) @ rows  # a product: the fastest sum
        total = part if total is None else total + part
    return total if len(total) == c else total.reshape(-1, c).sum(axis=0)


def slices(*operands: Any) -> Iterator[list[Any]]:
    """The operands for a few rows of the first at a time; those with fewer axes are not cut."""
    first = operands[0]
    if not first.ndim:
        yield list(operands)
        return
    # Several arrays share the cache, and a core's own is smaller.
    for s in backend.batches(len(first), 8 * math.prod(first.shape[1:])):
        yield [a[s] if getattr(a, "ndim", 0) == first.ndim else a for a in operands]


def side_by_side(*operands: Any) -> list[Any]:
    """Matrices (M, C) with several rows in one, vectors (C,) repeated as often.

    NumPy's loops run along a row and start anew with each; a GPU has no loops.
    """
    m, c = operands[0].shape
    k = 1 if backend.on_gpu() else math.gcd(m, 2048 // (c or 1) or 1)
    wide = {2: lambda a: a.reshape(m // k, k * c), 1: lambda a: backend.xp.tile(a, k)}
    return [wide[a.ndim](a) if hasattr(a, "ndim") and k > 1 else a for a in operands]


sgd = Formula("sgd", "g, lr", "p", "p -= g * lr")
sgd_momentum = Formula(
    "sgd_momentum", "g, momentum, lr", "p, b", "b *= momentum; b += g; p -= b * lr"
)
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

NORMALISE = "x_hat = (x - mu) * s; z = x_hat * w + b"
normalise, normalise_relu, normalise_leaky = (
    Formula(f"normalise{name}", "x, mu, s, w, b, slope", "x_hat, z", NORMALISE + activation)
    for name, activation in (
        ("", ""),
        ("_relu", "; z = max(z, T(0))"),
        ("_leaky", "; z = max(z, z * slope)"),
    )
)
project = Formula(
    "project", "g, x, along_1, along_x, s", "z", "z = (g - x * along_x - along_1) * s"
)
affine = Formula("affine", "x, w, b", "z", "z = x * w + b")
scale = Formula("scale", "x, w", "z", "z = x * w")
squared_deviation = Formula("squared_deviation", "x, mu", "z", "z = x - mu; z *= z")
move = Formula("move", "new, rest, momentum", "old", "old *= rest; old += new * momentum")

gate = Formula("gate", "g, x, slope, rest", "z", "z = T(x > 0) * rest + slope; z *= g")
gate_relu = Formula("gate_relu", "g, x", "z", "z = g * T(x > 0)")
