"""What a Tensor's operators and methods are: each is a function of minigan.ops, bound by its line.

autograd.py declares the same names for the type checker.
"""

# mypy: disable-error-code="attr-defined, assignment, method-assign, operator"

from __future__ import annotations

from typing import Any

from minigan.autograd import Operand, Tensor
from minigan.ops import elementwise, linalg, reduce, shape


def _reflected(function: Any) -> Any:
    return lambda x, y: function(y, x)


def _anew(function: Any) -> Any:
    """x += y makes a new Tensor, as x = x + y does; a parameter would silently stay as it was."""

    def apply(x: Tensor, y: Operand) -> Any:
        if x.is_leaf and x.requires_grad:
            raise RuntimeError(
                f"{function.__name__}: x += y and the like make a new tensor, and would leave this "
                "leaf as it was; overwrite it with .copy_()"
            )
        return function(x, y)

    return apply


Tensor.__add__ = Tensor.__radd__ = elementwise.add
Tensor.__sub__ = elementwise.sub
Tensor.__rsub__ = _reflected(elementwise.sub)
Tensor.__mul__ = Tensor.__rmul__ = elementwise.mul
Tensor.__truediv__ = elementwise.div
Tensor.__rtruediv__ = _reflected(elementwise.div)
Tensor.__iadd__ = _anew(elementwise.add)
Tensor.__isub__ = _anew(elementwise.sub)
Tensor.__imul__ = _anew(elementwise.mul)
Tensor.__itruediv__ = _anew(elementwise.div)
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
Tensor.__format__ = lambda x, s: object.__format__(x, s) if x.ndim else format(x.item(), s)
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
