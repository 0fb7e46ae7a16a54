"""The checker is checked: planted wrong derivatives must be found, right ones must pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan import GradcheckError
from minigan.autograd import Tensor, record


def leaf(*shape: int) -> Tensor:
    return mg.tensor(np.random.default_rng(7).uniform(0.5, 2.0, shape), requires_grad=True)


def square(vjp: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    """x² with the VJP ``vjp(g, x)``."""
    return lambda x: record(x.data * x.data, (x, lambda g: vjp(g, x)))


def product(vjp: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    """A x for the fixed A below, x a vector of three, with the VJP ``vjp(g, A)``."""

    def multiply(x: Tensor) -> Tensor:
        a = mg.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 4.0], [5.0, 6.0, 0.0]], dtype="float64")
        return record(a.data @ x.data, (x, lambda g: vjp(g, a)))

    return multiply


def one_entry_off(g: Tensor, x: Tensor) -> Tensor:
    right = (g * x * 2.0).numpy()
    right[-1] *= 1.01
    return mg.tensor(right)


WRONG = {
    "sign": square(lambda g, x: -(g * x * 2.0)),
    "half": square(lambda g, x: g * x),
    "zero": square(lambda g, x: g * 0.0),
    "missing the incoming gradient": square(lambda g, x: x * 2.0),
    "one entry off by a hundredth": square(one_entry_off),
    "transposed": product(lambda g, a: a @ g),
    # Aᵀ·1 is right when every incoming gradient is 1, and only then.
    "right for the all-ones gradient only": product(lambda g, a: a.sum(axis=0) * g.mean()),
    "NaN": square(lambda g, x: g * x * float("nan")),
    "infinite": square(lambda g, x: g * x * float("inf")),
    "a detached factor": lambda x: x * x.detach(),
    "a missing term": lambda x: x * x + x.detach(),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_wrong_first_order_is_found(name: str) -> None:
    with pytest.raises(
        GradcheckError, match=r"input 0, entry \([0-2],\) of shape \(3,\): analytic"
    ):
        mg.gradcheck(WRONG[name], leaf(3))


def test_the_worst_entry_is_named_with_both_numbers() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        weights = mg.tensor(np.array([[1.0, 1.0], [9.0, 1.0]]))
        return record(x.data * y.data, (x, lambda g: g * y), (y, lambda g: g * x * weights))

    with pytest.raises(
        GradcheckError, match=r"input 1, entry \(1, 0\) of shape \(2, 2\)"
    ) as caught:
        mg.gradcheck(f, [leaf(2, 2), leaf(2, 2)])
    for word in ("analytic", "numeric", "difference", "allowed"):
        assert word in str(caught.value)


def test_one_wrong_input_among_several_outputs_is_found() -> None:
    wrong = square(lambda g, x: g * x)
    with pytest.raises(GradcheckError, match="input 1"):
        mg.gradcheck(lambda x, y: (x * y, x.sum(), wrong(y)), [leaf(2), leaf(2)])


SECOND = {
    "a detached factor": square(lambda g, x: g * (x.detach() * 2.0)),
    "a detached incoming gradient": square(lambda g, x: g.detach() * x * 2.0),
    "a missing term": lambda x: x.exp() * 1.0 + record(x.data**3, (x, lambda g: g * cube(x))),
}


def cube(x: Tensor) -> Tensor:
    """3x², right, with a wrong derivative of its own."""
    return record(3.0 * x.data**2, (x, lambda g: g * x))


@pytest.mark.parametrize("name", SECOND)
def test_right_at_first_order_but_wrong_at_second_is_found(name: str) -> None:
    mg.gradcheck(SECOND[name], leaf(3))
    with pytest.raises(GradcheckError, match=r"input \d, entry \(\d,\)"):
        mg.gradgradcheck(SECOND[name], leaf(3))


def test_right_functions_pass() -> None:
    def f(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x @ y).tanh(), (x * x).sum() / y.exp().sum()

    inputs = [leaf(2, 3), leaf(3, 2)]
    mg.gradcheck(f, inputs)
    mg.gradgradcheck(f, inputs)
    assert all(x.grad is None for x in inputs)


@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_a_function_that_takes_a_gradient_itself_can_be_checked(check: Any) -> None:
    """The squared length of a critic's slope in its input, as in R1 and in a gradient penalty."""
    points = mg.tensor(np.random.default_rng(8).standard_normal((3, 2)))

    def penalty(w: Tensor, v: Tensor, create_graph: bool = True) -> Tensor:
        x = points.detach().requires_grad_()
        (slope,) = mg.grad(((x @ w).tanh() @ v).sum(), x, create_graph=create_graph)
        return (slope * slope).sum()

    check(penalty, [leaf(2, 4), leaf(4)])
    with mg.no_grad():
        check(penalty, [leaf(2, 4), leaf(4)])
    with pytest.raises(GradcheckError, match="analytic"):  # a slope that is no part of the graph
        mg.gradcheck(lambda w, v: penalty(w, v, False) + (w * w).sum(), [leaf(2, 4), leaf(4)])


def test_inputs_without_gradients_are_constants_and_are_not_checked() -> None:
    c = mg.tensor(np.array([2.0, 3.0]))
    wrong = square(lambda g, x: g * x)
    for check in (mg.gradcheck, mg.gradgradcheck):
        check(lambda x, c: x * wrong(c), [leaf(2), c])
        check(lambda x, i: x[i], [leaf(2), mg.tensor([0, 0, 1])])


def test_an_output_that_does_not_depend_on_the_inputs_is_fine() -> None:
    mg.gradcheck(lambda x: (x * 2.0, mg.tensor(np.ones(2))), leaf(2))
    mg.gradgradcheck(lambda x: (x * x, mg.tensor(np.ones(2))), leaf(2))


@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_misuse(check: Any) -> None:
    with pytest.raises(TypeError, match="input 1 is float32; finite differences need float64"):
        check(lambda x, y: x, [leaf(1), mg.tensor([1.0], requires_grad=True)])
    with pytest.raises(ValueError, match="no input requires gradients"):
        check(lambda x: x, mg.tensor(np.ones(1)))
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="gives another result when called again"):
        check(lambda x: x * x * rng.standard_normal(), leaf(2))


def test_tolerances_are_obeyed() -> None:
    slightly = square(lambda g, x: g * x * (2.0 + 1e-4))
    mg.gradcheck(slightly, leaf(2), rtol=1e-3)
    with pytest.raises(GradcheckError):
        mg.gradcheck(slightly, leaf(2), rtol=1e-6, atol=1e-9)
