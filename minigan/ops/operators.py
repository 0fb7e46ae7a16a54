"""What a Tensor's operators and methods are: each is a function of minigan.ops, bound here.

autograd.py declares the same names for the type checker.
"""

# mypy: disable-error-code="attr-defined, assignment, method-assign, operator"

from __future__ import annotations

from typing import Any

from minigan.autograd import Tensor
from minigan.ops import elementwise, linalg, reduce, shape


def _reflected(function: Any) -> Any:
    return lambda x, y: function(y, x)


Tensor.__add__ = Tensor.__radd__ = elementwise.add
Tensor.__sub__ = elementwise.sub
Tensor.__rsub__ = _reflected(elementwise.sub)
Tensor.__mul__ = Tensor.__rmul__ = elementwise.mul
Tensor.__truediv__ = elementwise.div
Tensor.__rtruediv__ = _reflected(elementwise.div)
Tensor.__matmul__ = linalg.matmul
Tensor.__rmatmul__ = _reflected(linalg.matmul)
Tensor.__pow__ = elementwise.pow
Tensor.__neg__ = elementwise.neg
Tensor.__abs__ = elementwise.abs
Tensor.__invert__ = lambda x: Tensor(~x.data)
Tensor.__getitem__ = shape.getitem
Tensor.T = property(lambda x: shape.permute(x, tuple(range(x.ndim))[::-1]))

#: By the operator's name, what NumPy calls it.
COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}  # fmt: skip
for operator, ufunc in COMPARISONS.items():
    setattr(Tensor, f"__{operator}__", elementwise.comparison(ufunc))

#: Functions that are methods too, under the same name.
METHODS = {
    elementwise: ("abs", "exp", "log", "sigmoid", "sqrt", "tanh"),
    reduce: ("argmax", "max", "mean", "min", "norm", "std", "sum", "var"),
    shape: ("permute", "reshape", "to", "transpose"),
}
for module, names in METHODS.items():
    for name in names:
        setattr(Tensor, name, getattr(module, name))
