"""What a Tensor's operators and methods are: each is a function of minigan.ops, bound by its line.

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
Tensor.__abs__ = Tensor.abs = elementwise.abs
Tensor.__lt__ = elementwise.comparison("less")
Tensor.__le__ = elementwise.comparison("less_equal")
Tensor.__gt__ = elementwise.comparison("greater")
Tensor.__ge__ = elementwise.comparison("greater_equal")
Tensor.__eq__ = elementwise.comparison("equal")
Tensor.__ne__ = elementwise.comparison("not_equal")
Tensor.__and__ = elementwise.comparison("bitwise_and")
Tensor.__or__ = elementwise.comparison("bitwise_or")
Tensor.__xor__ = elementwise.comparison("bitwise_xor")
Tensor.__invert__ = lambda x: Tensor(~x.data)
Tensor.__getitem__ = shape.getitem
Tensor.T = property(lambda x: shape.permute(x, tuple(range(x.ndim))[::-1]))
Tensor.reshape = shape.reshape
Tensor.transpose = shape.transpose
Tensor.permute = shape.permute
Tensor.to = shape.to
Tensor.sum = reduce.sum
Tensor.mean = reduce.mean
Tensor.var = reduce.var
Tensor.std = reduce.std
Tensor.norm = reduce.norm
Tensor.max = reduce.max
Tensor.min = reduce.min
Tensor.argmax = reduce.argmax
Tensor.exp = elementwise.exp
Tensor.log = elementwise.log
Tensor.sqrt = elementwise.sqrt
Tensor.tanh = elementwise.tanh
Tensor.sigmoid = elementwise.sigmoid
