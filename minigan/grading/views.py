"""What checks see of a function that computes a loss from Tensors: its value and its slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.autograd import Tensor, grad
from minigan.grading.tasks import Unlike, kind

Loss = Callable[..., Any]


def scalar_tensor(loss: Loss, *args: Tensor) -> Tensor:
    """The loss, if it is a scalar Tensor of its inputs' dtype that gradients flow through."""
    found = loss(*args)
    if not issubclass(type(found), Tensor):
        raise Unlike("type", kind(found), "a Tensor")
    if found.shape != ():
        raise Unlike("shape", str(found.shape), "()")
    if found.dtype != args[0].dtype:
        raise Unlike("dtype", str(found.dtype), str(args[0].dtype))
    if not found.requires_grad:
        raise Unlike("gradient", "cut off from the input", "flows to the input")
    return found  # type: ignore[no-any-return]


def is_scalar_tensor(loss: Loss, *args: Tensor) -> str:
    """What a first check sees: whether the result is a scalar Tensor, and not yet its value."""
    scalar_tensor(loss, *args)
    return "a scalar Tensor"


def value(loss: Loss, *args: Tensor) -> Any:
    """The loss as a NumPy number."""
    return scalar_tensor(loss, *args).numpy()


def slopes(loss: Loss, *args: Tensor) -> Any:
    """The gradient of the loss in each argument that requires one."""
    wanted = [arg for arg in args if arg.requires_grad]
    found = grad(scalar_tensor(loss, *args), wanted)
    return found[0].numpy() if len(found) == 1 else tuple(g.numpy() for g in found)
