"""What a graph is and does: who gets gradients, when it is freed, what it notices and refuses."""

import contextlib
import copy
import functools
import gc
import math
import operator as operators
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan.autograd import OUTPUT, Tensor, is_recording, record


def leaf(*values: float) -> Tensor:
    return mg.tensor(np.array(values), requires_grad=True)


def custom(x: Tensor, vjp: Callable[[Tensor], Tensor]) -> Tensor:
    """The identity, with a VJP of one's own."""
    return record(x.data.copy(), (x, lambda g: vjp(g)))


def memory_of(x: Tensor) -> weakref.ref[np.ndarray]:
    """Weakly, x's array: on the stand-in for CuPy, the host's array behind it."""
    return weakref.ref(getattr(x.data, "_host", x.data))


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Only reference counts free memory here, so a reference cycle would show."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- grad and backward --------------------------------------------------------------------------


def test_grad_returns_one_tensor_per_input_and_touches_no_grad_attribute() -> None:
    x, y = leaf(2.0), leaf(5.0)
    gradients = mg.grad((x * y).sum(), [x, y])
    assert isinstance(gradients, tuple) and [g.item() for g in gradients] == [5, 2]
    assert x.grad is None and y.grad is None
    assert not any(g.requires_grad for g in gradients)


def test_grad_gives_zeros_for_an_input_that_the_output_does_not_depend_on() -> None:
    x, y = leaf(2.0), mg.tensor(np.ones((2, 3), "float32"), requires_grad=True)
    (g,) = mg.grad(x.sum(), y)
    assert g.shape == (2, 3) and g.dtype == "float32" and not g.numpy().any()


def test_several_outputs_add_up_weighted_by_their_incoming_gradients() -> None:
    x = leaf(1.0, 2.0)
    (g,) = mg.grad([x * x, x.sum()], x, [mg.tensor([1.0, 10.0], dtype="float64"), None])
    assert g.numpy().tolist() == [3, 41]
    (g,) = mg.grad([x.sum(), x.sum()], x)
    assert g.numpy().tolist() == [2, 2]
    y = x.sum()
    assert mg.grad([y, y], x)[0].numpy().tolist() == [2, 2]


def test_backward_accumulates_until_grad_is_cleared() -> None:
    x = leaf(3.0)
    for expected in (6, 12):
        (x * x).sum().backward()
        assert x.grad is not None and x.grad.item() == expected
    x.grad = None
    x.sum().backward()
    assert x.grad is not None and x.grad.item() == 1


def test_backward_on_a_leaf_itself() -> None:
    x = mg.tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad is not None and x.grad.item() == 1


def test_two_grad_attributes_never_share_memory_nor_the_callers_gradient() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    incoming = mg.tensor(np.ones(2))
    (x + y).backward(incoming)
    assert x.grad is not None and y.grad is not None
    x.grad.data[...] = 7
    assert y.grad.numpy().tolist() == [1, 1] and incoming.numpy().tolist() == [1, 1]


def test_nor_do_they_share_it_as_views() -> None:
    x, y = leaf(1.0, 2.0), mg.tensor(np.zeros((2, 1)), requires_grad=True)
    (x.reshape(2, 1) + y).backward(mg.tensor(np.ones((2, 1))))
    assert x.grad is not None and y.grad is not None
    x.grad.data[...] = 7
    assert y.grad.numpy().tolist() == [[1], [1]]
    y.grad = None
    y.sum().backward()  # as a view, one number in two places
    y.grad.data[0] = 7
    assert y.grad.numpy().tolist() == [[7], [1]]


def test_an_accumulated_gradient_is_not_written_into_an_array_someone_else_has() -> None:
    x = leaf(1.0)
    x.sum().backward()
    first = x.grad
    x.sum().backward()
    assert first is not None and first.item() == 1


def test_backward_with_inputs_serves_only_those() -> None:
    x, y = leaf(2.0), leaf(5.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad is not None and x.grad.item() == 5 and y.grad is None
    (x * y).sum().backward(inputs=[y, y])
    assert y.grad is not None and y.grad.item() == 2


def test_a_leaf_that_nobody_holds_any_more_gets_no_gradient() -> None:
    x = leaf(2.0)
    y = (x * 5.0 + leaf(1.0)).sum()  # no VJP needs the 1
    y.backward()
    assert x.grad is not None and x.grad.item() == 5


def test_a_constant_gets_no_gradient() -> None:
    x, c = leaf(2.0), mg.tensor(np.array([3.0]))
    (x * c).sum().backward()
    assert c.grad is None and not c.requires_grad


def test_intermediate_results_can_be_asked_for() -> None:
    x = leaf(2.0)
    h = x * x
    gx, gh = mg.grad((h * h).sum(), [x, h])
    assert (gx.item(), gh.item()) == (32, 8)


def test_the_chain_rule_by_hand_across_two_calls() -> None:
    """grad(y, h) stops at h, so what lies below h is still there for grad(h, x)."""
    x = leaf(2.0)
    h = x * x
    (gh,) = mg.grad((h * h).sum(), h)
    (gx,) = mg.grad(h, x, gh)
    assert gx.item() == 32


def test_what_lies_below_a_requested_intermediate_need_not_be_there_any_more() -> None:
    x = leaf(2.0)
    h = x * x
    y = h * h
    h.sum().backward()
    assert mg.grad(y.sum(), h)[0].item() == 8


def test_a_diamond_is_walked_once_and_its_sides_add_up() -> None:
    x, calls = leaf(1.0), []
    h = custom(x, lambda g: (calls.append(1), g)[1])
    for _ in range(20):  # 2²⁰ paths
        h = h * 0.5 + h * 1.5
    (g,) = mg.grad(h.sum(), x)
    assert g.item() == 2.0**20 and calls == [1]


@pytest.mark.parametrize("view", [lambda x: x.reshape(2, 1), lambda x: x[:, None]])
def test_a_gradient_that_is_a_view_is_not_added_to_in_place(view: Any) -> None:
    """x̄ arrives as a view of q̄'s memory, then a second term of x̄: q̄ must stay 1."""
    x, q = leaf(1.0, 2.0), mg.tensor(np.zeros((2, 1)), requires_grad=True)
    w = x * 10.0
    y = ((view(x) + q) * 1.0).sum() + w.sum()
    gx, gq = mg.grad(y, [x, q])
    assert gx.numpy().tolist() == [11, 11] and gq.numpy().tolist() == [[1], [1]]


def test_a_requested_intermediate_gradient_is_not_added_to_later() -> None:
    x = leaf(1.0, 2.0)
    w = x * 10.0
    for h in (x.reshape(2, 1), x.T, x[:], x + 0.0):
        y = (h * 3.0).sum() + w.sum()
        gx, gh = mg.grad(y, [x, h], create_graph=False)
        assert gh.numpy().reshape(-1).tolist() == [3, 3] and gx.numpy().tolist() == [13, 13]
        w = x * 10.0


def test_the_same_tensor_on_both_sides() -> None:
    x = leaf(3.0)
    assert mg.grad((x * x + x).sum(), x)[0].item() == 7
    assert mg.grad((x / x).sum(), x)[0].item() == 0
    assert mg.grad((x - x).sum(), x)[0].item() == 0


def test_only_what_the_requested_inputs_need_is_computed() -> None:
    def forbidden(g: Tensor) -> Tensor:
        raise AssertionError("this gradient was not asked for")

    x, y = leaf(2.0), leaf(3.0)
    z = (x * custom(y, forbidden)).sum()
    assert mg.grad(z, x, create_graph=True)[0].item() == 3
    z.backward(inputs=[x])
    product = record(x.data * y.data, (x, lambda g: g * y), (y, forbidden))
    assert mg.grad(product.sum(), x)[0].item() == 3
    with pytest.raises(AssertionError, match="not asked for"):
        mg.grad((x * custom(y, forbidden)).sum(), y)


@pytest.mark.slow
def test_a_chain_of_a_hundred_thousand_operations() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = -y
    assert y.item() == 1 and mg.grad(y.sum(), x)[0].item() == 1


@pytest.mark.slow
def test_a_long_chain_may_be_dropped_without_a_backward() -> None:
    y = leaf(1.0)
    for _ in range(100_000):
        y = -y
    node = weakref.ref(y)
    del y
    assert node() is None


# --- higher orders ------------------------------------------------------------------------------


def derivatives(f: Callable[[Tensor], Tensor], at: float, orders: int) -> list[float]:
    x = mg.tensor(at, requires_grad=True, dtype="float64")
    y, found = f(x), []
    for _ in range(orders):
        (y,) = mg.grad(y, x, create_graph=True)
        found.append(y.item())
    return found


def test_higher_derivatives_match_closed_forms() -> None:
    assert derivatives(lambda x: x**4, 3.0, 6) == [108, 108, 72, 24, 0, 0]
    assert derivatives(lambda x: x * x * x * x, 3.0, 5) == [108, 108, 72, 24, 0]
    assert derivatives(F.exp, 0.5, 4) == pytest.approx([math.exp(0.5)] * 4, rel=1e-14)
    t = math.tanh(0.3)
    s = 1 - t * t
    expected = [s, -2 * t * s, s * (6 * t * t - 2), s * (16 * t - 24 * t**3)]
    assert derivatives(F.tanh, 0.3, 4) == pytest.approx(expected, rel=1e-13)
    p = 1 / (1 + math.exp(-0.3))
    q = p * (1 - p)
    expected = [p, q, q * (1 - 2 * p), q * (1 - 6 * p + 6 * p * p)]
    assert derivatives(F.softplus, 0.3, 4) == pytest.approx(expected, rel=1e-13)
    assert derivatives(F.log, 2.0, 4) == pytest.approx([0.5, -0.25, 0.25, -0.375], rel=1e-14)
    assert derivatives(F.sqrt, 4.0, 3) == pytest.approx([1 / 4, -1 / 32, 3 / 256], rel=1e-14)


def test_a_gradient_penalty_trains() -> None:
    """∂/∂w of (‖∂(w·x)/∂x‖ − 1)² is 2(‖w‖ − 1)·w/‖w‖ (Gulrajani et al. 2017, linear critic)."""
    w, x = leaf(3.0, 4.0), leaf(1.0, 1.0)
    (g,) = mg.grad((w * x).sum(), x, create_graph=True)
    penalty = (F.sqrt((g * g).sum()) - 1.0) ** 2
    penalty.backward(inputs=[w])
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), [2 * 4 * 3 / 5, 2 * 4 * 4 / 5], rtol=1e-14)


def test_create_graph_keeps_the_graph_and_a_plain_backward_frees_it() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    (g,) = mg.grad(y, x, create_graph=True)
    assert g.requires_grad and mg.grad(y, x, create_graph=True)[0].item() == 4
    mg.grad(y, x)
    with pytest.raises(
        RuntimeError,
        match=r"^(sum|mul): its graph was freed by an earlier backward; take that one by grad\(",
    ):
        y.backward()


def test_a_freed_graph_is_noticed_from_another_output_too() -> None:
    x = leaf(2.0)
    h = x.exp()
    y, z = h.sum(), (h * h).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="exp: its graph was freed"):
        z.backward()


# --- refusals -----------------------------------------------------------------------------------


def test_backward_from_more_than_one_entry_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"backward from shape \(2,\): only a scalar"):
        (x * x).backward()
    (x * x).backward(np.array([1.0, 10.0]))
    assert x.grad is not None and x.grad.numpy().tolist() == [2, 40]
    x[:1].backward()  # one entry is a scalar in any shape


def test_an_incoming_gradient_must_fit() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"gradient of shape \(3,\) for a value of shape \(2,\)"):
        (x * x).backward(np.ones(3))
    with pytest.raises(TypeError, match="gradient of dtype float32 for a value of dtype float64"):
        (x * x).backward(np.ones(2, "float32"))
    with pytest.raises(ValueError, match="1 outputs but 2 grad_outputs"):
        mg.grad(x * x, x, [np.ones(2), np.ones(2)])


def test_a_tensor_outside_the_graph_is_refused() -> None:
    x, c = leaf(1.0), mg.tensor(1.0)
    with pytest.raises(RuntimeError, match="backward: output 0.*does not depend on any"):
        c.backward()
    with pytest.raises(RuntimeError, match=r"grad: input 1, of shape \(\), does not require"):
        mg.grad(x.sum(), [x, c])


def test_integers_and_booleans_have_no_gradients() -> None:
    for data in ([1, 2], [True], np.zeros(3, "uint8")):
        with pytest.raises(TypeError, match="only float tensors have gradients"):
            mg.tensor(data, requires_grad=True)
    with pytest.raises(TypeError, match="only float tensors have gradients, this one is int64"):
        mg.tensor(1).requires_grad_()


def test_a_vjp_that_returns_another_shape_or_dtype_is_reported_by_name() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"vjp of custom: a gradient of shape \(\) .* \(2,\)"):
        custom(x, lambda g: g.sum()).sum().backward()
    with pytest.raises(TypeError, match="vjp of custom: a gradient of dtype float32"):
        custom(x, lambda g: g.to("float32")).sum().backward()


# --- arrays overwritten between forward and backward --------------------------------------------


def overwritten_by_optimiser(w: Tensor) -> None:
    w.grad = mg.tensor(np.ones(w.shape))
    mg.optim.SGD([w], lr=0.1).step()


def overwritten_by_load(w: Tensor) -> None:
    module = mg.nn.Module()
    module.weight = w  # type: ignore[attr-defined]
    module.load_state_dict({"weight": np.zeros(w.shape)})


OVERWRITES = [
    overwritten_by_optimiser,
    overwritten_by_load,
    lambda w: w.copy_(np.zeros(w.shape)),
    lambda w: w.detach().copy_(np.zeros(w.shape)),
    lambda w: mg.nn.Parameter(w).copy_(np.zeros(w.shape)),
    lambda w: mg.nn.init.normal_(w),
]
USES = {
    "itself": lambda w, x: x @ w,
    "w.T": lambda w, x: x @ w.T,
    "w[:1]": lambda w, x: x[:, :1] @ w[:1],
    "w.reshape": lambda w, x: x @ w.reshape(2, 2),
    "permuted, then transposed": lambda w, x: x @ w.permute(1, 0).transpose(0, 1),
    "broadcast": lambda w, x: x[:, :, None] * w[None],
    "detached": lambda w, x: x @ w.detach(),
    "linear": lambda w, x: F.linear(x, w),
}


@pytest.mark.parametrize("overwrite", OVERWRITES)
@pytest.mark.parametrize("use", USES)
def test_overwriting_an_array_that_a_gradient_needs_is_detected(
    use: str, overwrite: Callable[[Tensor], Any]
) -> None:
    w, x = leaf(1.0, 2.0, 3.0, 4.0), mg.tensor(np.ones((3, 2)), requires_grad=True)
    w = mg.tensor(w.numpy().reshape(2, 2), requires_grad=True)
    y = USES[use](w, x).sum()
    overwrite(w)
    with pytest.raises(RuntimeError, match="needs was changed in place after the forward pass"):
        mg.grad(y, x)


def test_overwriting_an_array_that_no_gradient_needs_is_fine() -> None:
    w, b, x = leaf(2.0), leaf(1.0), leaf(3.0)
    y = (x * w + b).sum()
    b.copy_([5.0])
    assert mg.grad(y, [x, w, b])[0].item() == 2
    w.copy_([7.0])  # before the next forward pass
    assert mg.grad((x * w).sum(), x)[0].item() == 7


def test_overwriting_a_mask_or_an_index_that_a_gradient_needs_is_detected_or_harmless() -> None:
    """Either the backward raises or it uses what the forward pass used; never the new one."""
    x = leaf(1.0, 2.0)
    mask, index = mg.tensor([True, False]), mg.tensor([0, 0])
    host_index = np.array([0, 0])
    for y, overwrite, expected in (
        (F.where(mask, x, 0.0), lambda: mask.copy_([False, True]), [1, 0]),
        (x[index], lambda: index.copy_([1, 1]), [2, 0]),
        (x[host_index], lambda: host_index.fill(1), [2, 0]),
        (F.embedding(mg.tensor([0, 0]), x.reshape(2, 1)), lambda: None, [2, 0]),
    ):
        overwrite()
        try:
            (g,) = mg.grad(y.sum(), x)
        except RuntimeError as error:
            assert "changed in place" in str(error)
        else:
            assert g.numpy().tolist() == expected


def test_overwriting_a_result_through_detach_is_refused_or_detected() -> None:
    x = leaf(1.0)
    y = x.exp()
    with pytest.raises(RuntimeError):
        y.detach().copy_([0.0])
        y.sum().backward()


def test_a_result_cannot_be_overwritten() -> None:
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="only a leaf can be overwritten"):
        (x * x).copy_([1.0])
    with pytest.raises(RuntimeError, match="only a leaf can be changed"):
        (x * x).requires_grad_(False)


@pytest.mark.parametrize("operator", ["iadd", "isub", "imul", "itruediv"])
def test_an_augmented_assignment_does_not_leave_a_parameter_behind(operator: str) -> None:
    """PyTorch would overwrite it, in no_grad; a loop over parameters would train nothing here."""
    change, name = getattr(operators, operator), operator.replace("true", "")[1:]
    parameter = mg.nn.Parameter(mg.tensor([1.0, 1.0]))
    for context in (mg.no_grad(), contextlib.nullcontext()):
        with context, pytest.raises(RuntimeError, match=rf"{name}: .* \.copy_"):
            change(parameter, 0.5)
    for x in (mg.tensor(np.ones(2)), parameter * 1.0):
        y = change(x, 0.5)
        assert y is not x and x.numpy().tolist() == [1, 1] and y.numpy()[0] != 1


def test_a_second_order_graph_notices_too() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (g,) = mg.grad((x * x * w).sum(), w, create_graph=True)  # x², whose gradient needs x
    x.copy_([5.0])
    with pytest.raises(RuntimeError, match="changed in place"):
        mg.grad(g.sum(), x)


# --- no_grad ------------------------------------------------------------------------------------


def test_no_grad_nests_and_comes_back_after_an_exception() -> None:
    x = leaf(1.0)
    with mg.no_grad():
        with mg.no_grad():
            assert not (x * x).requires_grad
        assert not is_recording()
    assert is_recording() and (x * x).requires_grad
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert is_recording()


def test_no_grad_decorates() -> None:
    @mg.no_grad()
    def square(x: Tensor) -> Tensor:
        return x * x

    assert not square(leaf(1.0)).requires_grad and not square(leaf(1.0)).requires_grad
    assert is_recording()


def test_no_grad_concerns_this_thread_alone() -> None:
    seen: list[bool] = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_recording()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_plain_backward_runs_the_vjps_with_recording_off() -> None:
    x, seen = leaf(1.0), []
    y = custom(x, lambda g: (seen.append(is_recording()), g)[1]).sum()
    mg.grad(y, x, create_graph=True)
    with mg.no_grad():
        mg.grad(y, x, create_graph=True)
    mg.grad(y, x)
    assert seen == [True, True, False] and is_recording()


def test_recording_comes_back_after_a_failed_backward() -> None:
    def broken(g: Tensor) -> Tensor:
        raise ZeroDivisionError

    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError):
        custom(x, broken).sum().backward()
    assert is_recording()


def test_detach_leaves_the_graph_and_keeps_the_memory() -> None:
    x = leaf(1.0)
    y = x.detach()
    assert not y.requires_grad and y.data is x.data
    assert mg.grad((x * y).sum(), x)[0].item() == 1


# --- memory -------------------------------------------------------------------------------------


def test_backward_frees_the_intermediate_arrays_without_the_collector() -> None:
    with no_collector():
        x = leaf(1.0, 2.0)
        h = x.exp()
        array = memory_of(h)
        y = (h * h).sum()
        del h
        assert array() is not None  # the graph needs it
        y.backward()
        assert array() is None


def test_a_graph_dropped_without_a_backward_is_freed_without_the_collector() -> None:
    with no_collector():
        x = leaf(1.0, 2.0)
        h = F.softmax(x) * F.tanh(x)
        array = memory_of(h)
        (g,) = mg.grad((h * h).sum(), x, create_graph=True)
        del h, g
        assert array() is None


def training_steps() -> Callable[[int], None]:
    mg.manual_seed(0)
    net = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.LeakyReLU(0.2), mg.nn.Linear(8, 1))
    sgd = mg.optim.SGD(net.parameters(), lr=1e-3)
    x = mg.tensor(np.random.default_rng(0).standard_normal((64, 4)).astype("float32"))

    def train(steps: int) -> None:
        for _ in range(steps):
            sgd.zero_grad()
            net(x).mean().backward()
            sgd.step()

    return train


def test_training_makes_no_reference_cycles() -> None:
    train = training_steps()
    train(2)
    with no_collector():
        train(20)
        assert gc.collect() == 0  # the number of objects that only the collector could free


@pytest.mark.slow
def test_memory_does_not_grow_over_training_steps() -> None:
    train = training_steps()
    peaks = []
    with no_collector():
        tracemalloc.start()
        try:
            train(20)
            for _ in range(2):
                tracemalloc.reset_peak()
                train(500)
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # One activation kept per step would be a megabyte. CPython itself keeps up to 2,000 freed
    # tuples of each length for reuse, which counts as memory here.
    assert peaks[1] <= peaks[0] + 200_000


# --- what a Tensor is ---------------------------------------------------------------------------


def test_tensor_takes_numbers_lists_arrays_and_tensors() -> None:
    assert mg.tensor(1.5).dtype == mg.tensor([[1.5]]).dtype == "float32"
    assert mg.tensor(1).dtype == "int64" and mg.tensor([True]).dtype == "bool"
    assert mg.tensor([1, 2.5]).dtype == "float32"
    assert mg.tensor(np.zeros(2)).dtype == mg.tensor(np.float64(1)).dtype == "float64"
    assert mg.tensor(np.zeros(2), dtype="float32").dtype == "float32"
    assert mg.tensor(mg.tensor([1.0], dtype="float64")).dtype == "float64"
    for data in ("text", None, 1j, [object()]):
        with pytest.raises(TypeError, match="expected numbers"):
            mg.tensor(data)
    with pytest.raises(TypeError, match=r"use minigan\.tensor"):
        Tensor([1.0])


def test_tensor_copies_and_numpy_copies() -> None:
    array = np.zeros(2)
    t = mg.tensor(array, requires_grad=True)
    array[0], t.numpy()[1] = 1, 1
    assert t.numpy().tolist() == [0, 0]
    host = np.asarray(t)
    host[0] = 1
    assert type(host) is np.ndarray and t.numpy().tolist() == [0, 0]
    assert np.asarray(t, dtype="float32").dtype == "float32"
    with pytest.raises(ValueError, match="only by copying"):
        np.asarray(t, copy=False)


def test_shape_dtype_and_friends() -> None:
    t = mg.tensor(np.zeros((2, 3, 1), "float32"))
    assert (t.shape, t.ndim, t.size, len(t)) == ((2, 3, 1), 3, 6, 2)
    assert t.dtype == np.float32 and t.is_leaf and not t.requires_grad
    assert t.T.shape == (1, 3, 2) and t.transpose(0, -1).shape == (1, 3, 2)
    assert t.permute(2, 0, 1).shape == t.permute((2, 0, 1)).shape == (1, 2, 3)
    assert t.reshape(3, -1).shape == t.reshape((3, -1)).shape == (3, 2)
    assert t[0].shape == (3, 1) and t[:, 0].shape == (2, 1) and t[..., None].shape == (2, 3, 1, 1)
    with pytest.raises(TypeError, match="0-d"):
        len(mg.tensor(1.0))


def test_numbers_come_out() -> None:
    t = mg.tensor([[2.5]])
    assert type(t.item()) is float and t.item() == float(t) == 2.5 and int(t) == 2 and bool(t)
    assert type(mg.tensor(3).item()) is int and not mg.tensor(0.0)
    with pytest.raises(ValueError, match=r"item: expected one entry, got shape \(2,\)"):
        mg.tensor([1.0, 2.0]).item()
    with pytest.raises(ValueError, match=r"shape \(2,\) is ambiguous"):
        bool(mg.tensor([1.0, 2.0]))


def test_repr() -> None:
    assert repr(mg.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(mg.tensor(1)) == "tensor(1, dtype=int64)"
    x = mg.tensor(2.0, requires_grad=True)
    assert repr(x) == "tensor(2., requires_grad=True)"
    assert repr(x * x) == "tensor(4., op=mul)"


def test_a_loss_is_formatted_as_a_number() -> None:
    loss = mg.tensor(-0.25, requires_grad=True) * 3
    assert f"{loss:.1f} {abs(loss):5.2f} {loss}" == "-0.8  0.75 -0.75"
    assert f"{mg.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{mg.tensor([1.0]):.1f}"


def test_comparisons_are_boolean_tensors_and_hash_is_identity() -> None:
    t = leaf(1.0, 2.0)
    for result, expected in (
        (t < 2, [True, False]),
        (t <= 1, [True, False]),
        (t > 1, [False, True]),
        (2 <= t, [False, True]),
        (t == 2.0, [False, True]),
        (t != t, [False, False]),
        (t == np.array([1.0, 3.0]), [True, False]),
    ):
        assert result.dtype == "bool" and result.numpy().tolist() == expected
        assert not result.requires_grad
    assert len({t, t, leaf(1.0, 2.0)}) == 2


def test_iteration() -> None:
    assert [row.numpy().tolist() for row in mg.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError):
        iter(mg.tensor(1.0)).__next__()


@pytest.mark.parametrize("operate", [lambda a, t: a + t, lambda a, t: a * t, lambda a, t: a @ t])
def test_an_array_on_the_left_gives_a_tensor_with_a_gradient(operate: Any) -> None:
    t = mg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = operate(np.array([3.0, 4.0]), t)
    assert isinstance(y, Tensor) and y.requires_grad
    other = operate(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(y.numpy(), other)


def test_copy_writes_in_place_and_keeps_the_dtype() -> None:
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    array = t.data
    assert t.copy_(mg.tensor([3.0, 4.0], dtype="float64")) is t and t.data is array
    assert t.dtype == "float32" and t.numpy().tolist() == [3, 4] and t.requires_grad
    with pytest.raises(ValueError, match=r"copy_: expected shape \(2,\), got \(3,\)"):
        t.copy_([1.0, 2.0, 3.0])


# Each of these was wrong once.


def test_a_deep_copy_is_a_leaf_of_its_own() -> None:
    x = leaf(1.0, 2.0)
    x.grad = mg.tensor(np.ones(2))
    y, c = copy.deepcopy([x, mg.tensor([1])])
    (y * y).sum().backward()
    assert y.grad.numpy().tolist() == [2, 4] and x.grad.numpy().tolist() == [1, 1]
    assert c.dtype == "int64" and not c.requires_grad
    y.copy_([5.0, 5.0])
    assert x.numpy().tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="deepcopy: only a leaf can be copied"):
        copy.deepcopy(x * x)


def test_requires_grad_is_a_yes_or_no() -> None:
    """Not the dtype, which NumPy takes there."""
    for call in (lambda: mg.tensor([1.0], "float64"), lambda: leaf(1.0).requires_grad_(0)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="requires_grad must be True or False, got"):
            call()
    assert mg.tensor([1.0], np.bool(True)).requires_grad


def test_freezing_and_unfreezing_a_leaf_keeps_the_graph_recorded_before() -> None:
    w = mg.tensor([2.0, 3.0], requires_grad=True)
    y = (w * w).sum()
    w.requires_grad_(False)
    w.requires_grad_(True)
    y.backward()
    assert w.grad is not None and w.grad.numpy().tolist() == [4.0, 6.0]


def test_a_leaf_that_is_frozen_at_the_backward_collects_nothing() -> None:
    w, x = mg.tensor([2.0], requires_grad=True), mg.tensor([5.0], requires_grad=True)
    y = (w * x).sum()
    w.requires_grad_(False)
    y.backward()
    assert w.grad is None and x.grad is not None and x.grad.item() == 2.0


def test_backward_takes_one_tensor_as_its_inputs() -> None:
    w = mg.tensor([2.0, 3.0], requires_grad=True)
    (w * w).sum().backward(inputs=w)
    assert w.grad is not None and w.grad.numpy().tolist() == [4.0, 6.0]


@pytest.mark.parametrize("w_first", [True, False])
def test_a_freed_branch_matters_only_where_its_gradient_is_wanted(w_first: bool) -> None:
    def leaf(value: float) -> mg.Tensor:
        return mg.tensor(value, requires_grad=True)

    w = leaf(3.0) if w_first else None
    x = leaf(2.0)
    w = w or leaf(3.0)
    a = x * x
    mg.grad(a, x)
    assert mg.grad(a * w, w)[0].item() == 4.0
    with pytest.raises(RuntimeError, match="mul: its graph was freed"):
        mg.grad(a * w, x)


def test_one_grad_output_does_not_serve_two_outputs() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="2 outputs but 1 grad_outputs"):
        mg.grad([x * 2.0, x * 3.0], x, mg.tensor([1.0, 1.0]))


def test_a_number_as_the_incoming_gradient_takes_the_dtype_of_the_output() -> None:
    x = mg.tensor(3.0, requires_grad=True, dtype="float64")
    (x * x).backward(2.0)
    assert x.grad is not None and x.grad.item() == 12.0


def test_the_output_of_max_is_watched_for_changes_in_place() -> None:
    x = mg.tensor([[1.0, 5.0], [3.0, 2.0]], requires_grad=True)
    y = x.max(axis=0)
    y.detach().copy_([9.0, 9.0])
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_numbers_meet_booleans_and_unsigned_integers_as_integers() -> None:
    assert (mg.tensor([True, False]) * 2).numpy().tolist() == [2, 0]
    assert (mg.tensor(np.array([0, 255], "uint8")) > -1).numpy().all()
    assert (mg.tensor(np.array([0, 255], "uint8")) + 1).numpy().tolist() == [1, 256]


@pytest.mark.parametrize("n", [41, 47, 49, 55, 61])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mean_of_ones_is_one(n: int, dtype: str) -> None:
    assert mg.tensor(np.ones(n, dtype)).mean().item() == 1.0


def test_an_op_is_named_by_its_function() -> None:
    x = mg.tensor([1.0], requires_grad=True)
    assert "op=concatenate" in repr(mg.functional.concatenate([x, x]))


# --- masks and gradients that are not finite ----------------------------------------------------

INFINITE = {
    "relu": (F.relu, [-1.0, 0.0, 4.0], [0.0, 0.0, np.inf]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.0), [-1.0, 0.0, 4.0], [0.0, 0.0, np.inf]),
    "abs": (F.abs, [-1.0, 0.0, 4.0], [-np.inf, 0.0, np.inf]),
    "clip": (lambda x: F.clip(x, 0.0, 1.0), [-1.0, 0.5, 4.0], [0.0, np.inf, 0.0]),
    "maximum": (lambda x: F.maximum(x, 0.0), [-1.0, 1.0, 4.0], [0.0, np.inf, np.inf]),
    "minimum": (lambda x: F.minimum(x, 0.0), [-1.0, 1.0, 4.0], [np.inf, 0.0, 0.0]),
    "max": (lambda x: F.max(x, keepdims=True), [-1.0, 0.0, 4.0], [0.0, 0.0, np.inf]),
    "where": (lambda x: F.where(mg.tensor([False, True]), x, 0.0), [1.0, 2.0], [0.0, np.inf]),
    "getitem": (lambda x: x[[2, 2]], [1.0, 2.0, 3.0], [0.0, 0.0, np.inf]),
    "pow of 0": (lambda x: x**0, [-1.0, 0.0, 4.0], [0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", INFINITE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_mask_holds_back_is_zero_whatever_it_was(name: str, dtype: str, bad: float) -> None:
    op, values, expected = INFINITE[name]
    x = mg.tensor(np.array(values, dtype), requires_grad=True)
    y = op(x)
    y.backward(np.full(y.shape, bad, dtype))
    assert x.grad is not None
    passed = np.array(expected)
    with np.errstate(invalid="ignore"):
        passed[passed != 0] = np.sign(passed[passed != 0]) * bad
    np.testing.assert_array_equal(x.grad.numpy(), passed)


def test_dropout_holds_back_what_it_dropped() -> None:
    x = mg.tensor(np.ones(64, "float32"), requires_grad=True)
    y = F.dropout(x, 0.5)
    y.backward(np.full(64, np.inf, "float32"))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), np.where(y.numpy() > 0, np.inf, 0.0))
    assert 0 < (y.numpy() == 0).sum() < 64


def test_a_dead_row_leaves_the_gradient_of_a_norm_alone() -> None:
    x = leaf(-1.0, 0.0, 4.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # 1/(2·√0), and that times 0
        F.sqrt(F.relu(x)).sum().backward()
    assert x.grad is not None and x.grad.numpy().tolist() == [0.0, 0.0, 0.25]

    weight = mg.tensor(np.eye(2), requires_grad=True)
    h = F.relu(F.linear(np.array([[3.0, 4.0], [-1.0, -2.0]]), weight))  # the second row is dead
    with np.errstate(divide="ignore", invalid="ignore"):
        F.sqrt((h * h).sum(axis=1)).sum().backward()
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.numpy(), [[1.8, 2.4], [2.4, 3.2]])


def test_batch_norm_with_its_activation_holds_back_what_the_activation_does() -> None:
    norm = mg.nn.Sequential(mg.nn.BatchNorm1d(1), mg.nn.ReLU()).to("float64")
    with mg.no_grad():
        norm[0].bias.copy_([-10.0])  # every entry is below 0
    x = leaf(1.0, 2.0, 4.0).reshape(3, 1).detach().requires_grad_()
    norm(x).backward(np.full((3, 1), np.inf))
    assert x.grad is not None and x.grad.numpy().tolist() == [[0.0]] * 3
    assert norm[0].weight.grad.numpy().tolist() == [0.0]


# --- no_grad, entered in every way --------------------------------------------------------------


def test_a_generator_under_no_grad_does_not_record_and_its_caller_does() -> None:
    @mg.no_grad()
    def numbers() -> Any:
        try:
            sent = yield is_recording()
            while True:
                sent = yield (sent, is_recording())
        except KeyError:
            yield "caught", is_recording()
        finally:
            ended.append(is_recording())
        return "returned"

    def outer() -> Any:
        return (yield from numbers())

    ended: list[bool] = []
    inside = outer()
    assert next(inside) is False and is_recording()
    assert inside.send(3) == (3, False) and is_recording()
    assert inside.throw(KeyError()) == ("caught", False) and is_recording()
    with pytest.raises(StopIteration, match="returned"):
        next(inside)
    closed = numbers()
    next(closed)
    closed.close()
    assert ended == [False, False] and is_recording()


def test_no_grad_is_entered_again_and_decorates_without_parentheses() -> None:
    @mg.no_grad
    def plain(x: Tensor) -> tuple[bool, Tensor]:
        return is_recording(), x * 2.0

    assert plain.__name__ == "plain"
    on, y = plain(leaf(1.0))
    assert not on and not y.requires_grad and is_recording()
    one = mg.no_grad()
    for _ in range(2):
        with one:
            with one:
                assert not is_recording()
            assert not is_recording()
        assert is_recording()
    with pytest.raises(ZeroDivisionError), one:
        _ = 1 // 0
    assert is_recording()


def test_an_async_function_is_refused_by_no_grad() -> None:
    async def wait() -> None: ...

    async def stream() -> Any:
        yield 1

    for function in (wait, stream):
        with pytest.raises(TypeError, match=rf"{function.__name__}: others run while an async"):
            mg.no_grad()(function)


# --- what has no graph --------------------------------------------------------------------------


def test_grad_of_what_has_no_graph_is_refused_as_backward_is() -> None:
    w = leaf(2.0)
    with mg.no_grad():
        forgotten = (w * 3.0).sum()
    for y in (forgotten, (w * 3.0).sum().detach(), mg.tensor(1.0, dtype="float64")):
        with pytest.raises(RuntimeError, match="grad: output 0.*does not depend.*no_grad"):
            mg.grad(y, w)
    with pytest.raises(RuntimeError, match="grad: output 1"):
        mg.grad([(w * 3.0).sum(), forgotten], w)
    (slope,) = mg.grad((w * w).sum(), w)
    with pytest.raises(RuntimeError, match="create_graph=True"):
        mg.grad(slope.sum(), w)


def test_a_constant_gradient_can_be_differentiated_to_zero() -> None:
    x, other = leaf(1.0, -2.0), leaf(5.0)
    for y in ((x * 3.0).sum(), F.relu(x).sum()):
        for g in mg.grad(y, [x, other], create_graph=True):
            assert g.requires_grad and not g.is_leaf
            (second,) = mg.grad((g * g).sum(), x)
            assert second.numpy().tolist() == [0.0, 0.0]


def test_backward_leaves_what_the_loss_does_not_reach_without_a_gradient() -> None:
    used, unused = (mg.nn.Parameter(mg.tensor([1.0, 1.0])) for _ in range(2))
    optimizer = mg.optim.Adam([used, unused], lr=0.1)
    (used * used).sum().backward(inputs=[used, unused])
    assert used.grad is not None and unused.grad is None
    optimizer.step()
    assert set(optimizer.state_dict()) == {"0.step", "0.exp_avg", "0.exp_avg_sq"}
    assert unused.numpy().tolist() == [1.0, 1.0]
    unused.grad = mg.tensor(np.ones(2, "float32"))
    (used * used).sum().backward(inputs=[used, unused])
    assert unused.grad.numpy().tolist() == [1.0, 1.0]  # as it was


# --- data that is put in an array's place -------------------------------------------------------


def test_data_may_be_replaced_by_a_tensor_or_an_array_as_in_pytorch() -> None:
    p = mg.nn.Parameter(mg.tensor([1.0, 2.0]))
    (p * p).sum().backward()
    assert p.grad is not None
    p.data = p.data - 0.5 * p.grad
    assert p.numpy().tolist() == [0.0, 0.0] and p.is_leaf and p.requires_grad
    p.data = mg.tensor([3.0, 4.0]).data
    assert mg.grad((p * p).sum(), p)[0].numpy().tolist() == [6.0, 8.0]
    for bad in (mg.tensor([1.0]), mg.tensor([1, 2]), mg.tensor([1.0, 2.0], dtype="float64")):
        with pytest.raises(ValueError, match=r"data: expected an array of shape \(2,\) and dtype"):
            p.data = bad
    with pytest.raises(TypeError, match="expected an array"):
        p.data = [1.0, 2.0]
    assert p.numpy().tolist() == [3.0, 4.0]


def test_a_graph_notices_that_data_was_replaced() -> None:
    p, view = leaf(1.0, 2.0), mg.tensor([1.0], requires_grad=True)
    y = (p * p).sum()
    kept = (view.detach() * view).sum()
    p.data = p.data * 2.0
    with pytest.raises(RuntimeError, match="mul: a tensor of shape"):
        y.backward()
    kept.backward()  # whose array nothing has changed


@pytest.mark.on_the_host("what NumPy makes of a Tensor")
def test_numpy_says_what_to_do_with_a_tensor() -> None:
    p, array = mg.nn.Parameter(mg.tensor([1.0, 1.0])), np.array([2.0, 4.0], "float32")
    with pytest.raises(TypeError, match=r"numpy.subtract does not take a Tensor.*copy_"):
        p.data -= 0.1 * p
    with pytest.raises(TypeError, match=r"numpy.exp does not take a Tensor.*minigan.functional"):
        np.exp(p)
    with pytest.raises(TypeError, match=r"numpy.maximum does not take a Tensor"):
        np.maximum(p, 0.0)
    for result, expected in {
        array + p: [3.0, 5.0], array - p: [1.0, 3.0], array * p: [2.0, 4.0],
        array / p: [2.0, 4.0], array @ p: 6.0, array == p: [False, False],
        array != p: [True, True], array > p: [True, True], array < p: [False, False],
        array >= p: [True, True], array <= p: [False, False],
    }.items():  # fmt: skip
        assert isinstance(result, Tensor) and result.numpy().tolist() == expected
    assert (array - p).requires_grad


def test_only_real_numbers_become_tensors() -> None:
    for data in (["a"], [1j], [None], [b"x"], [{}]):
        with pytest.raises(TypeError, match=r"expected numbers, got .* of dtype"):
            mg.tensor(data)
    x = mg.tensor([1.0])
    for dtype in ("complex64", "U3", object, "datetime64[s]"):
        with pytest.raises(TypeError, match="to: expected a dtype of numbers, got"):
            x.to(dtype)


@pytest.mark.on_the_host("arrays that a GPU cannot hold")
def test_only_arrays_of_real_numbers_are_wrapped() -> None:
    for array in (np.array(["a"]), np.array([1j]), np.array([None]), np.zeros(1, "M8[s]")):
        with pytest.raises(TypeError, match="Tensor: expected numbers, got dtype"):
            Tensor(array)


# --- VJPs ---------------------------------------------------------------------------------------


def test_any_callable_is_a_vjp() -> None:
    two = mg.tensor([2.0], dtype="float64")
    for vjp in (functools.partial(operators.mul, two), two.__mul__, lambda g, y=two: g * y):
        x = leaf(1.0)
        y = record(x.data, (x, vjp))
        assert "op=" in repr(y) and mg.grad(y.sum(), x)[0].item() == 2


def test_a_vjp_is_handed_what_it_needs() -> None:
    x, y, seen = leaf(2.0), mg.tensor([5.0]), []

    def vjp(g: Tensor, *needed: Any) -> Tensor:
        seen.extend(needed)
        return g

    z = record(x.data * 3.0, (x, vjp, y, 4.0, x, OUTPUT))
    mg.grad((z * 1.0).sum(), x)
    assert seen[0] is y and seen[1] == 4.0 and seen[2] is x and seen[3].item() == 6
    z = record(x.data**3, (x, lambda g, x, z: g * z / x * 3.0, x, OUTPUT))
    (slope,) = mg.grad(z.sum(), x, create_graph=True)
    assert slope.item() == 12 and mg.grad(slope.sum(), x)[0].item() == 12  # through the output too


def test_what_a_vjp_needs_is_watched_where_its_gradient_is_asked_for() -> None:
    x, y, held = leaf(1.0), leaf(3.0), mg.tensor([2.0], dtype="float64")

    def product() -> Tensor:
        return record(x.data * y.data, (x, lambda g, y: g * y, y), (y, lambda g, h: g * h, held))

    first, second = product(), product()
    held.copy_([1.0])
    assert mg.grad(first.sum(), x)[0].item() == 3
    with pytest.raises(RuntimeError, match="a tensor of shape .* was changed in place"):
        mg.grad(second.sum(), y)


def test_a_vjp_that_returns_no_tensor_is_named() -> None:
    x = leaf(1.0)
    for wrong in (lambda g: None, lambda g: g.numpy(), lambda g: 1.0):
        with pytest.raises(TypeError, match="vjp of custom: expected a Tensor, got"):
            custom(x, wrong).sum().backward()


# --- small habits -------------------------------------------------------------------------------


def test_an_empty_list_selects_nothing() -> None:
    x = mg.tensor(np.ones((3, 2)), requires_grad=True)
    assert x[[]].shape == (0, 2) and x[:, []].shape == (3, 0)
    x[[]].sum().backward()
    assert x.grad is not None and not x.grad.numpy().any()
    with pytest.raises(IndexError):
        _ = x[[0.5]]


def test_a_comparison_with_a_stranger_is_pythons() -> None:
    x = mg.tensor([1.0, 2.0])
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert (x == "a") is False and x not in (None, "a")
    with pytest.raises(TypeError, match="not supported between instances of 'Tensor' and"):
        _ = x < None
    assert (x == [1.0, 3.0]).numpy().tolist() == [True, False]


def test_masks_are_combined_and_inverted() -> None:
    a, b = mg.tensor([True, True, False]), mg.tensor([True, False, False])
    assert (~a).numpy().tolist() == [False, False, True]
    assert (a & b).numpy().tolist() == [True, False, False]
    assert (a | b).numpy().tolist() == [True, True, False]
    assert (a ^ b).numpy().tolist() == [False, True, False]
    with pytest.raises(TypeError, match="neg: a boolean tensor has no negative; ~x"):
        _ = -a


def test_clip_takes_one_bound() -> None:
    x = leaf(-1.0, 2.0, 5.0)
    assert F.clip(x, None, 3.0).numpy().tolist() == [-1.0, 2.0, 3.0]
    assert F.clip(x, 0.0, None).numpy().tolist() == [0.0, 2.0, 5.0]
    F.clip(x, None, 3.0).sum().backward()
    assert x.grad is not None and x.grad.numpy().tolist() == [1.0, 1.0, 0.0]


def test_operations_take_arrays_and_lists_for_every_operand() -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s).astype("float32") for s in ((2, 3), (4, 3), (4,)))
    picture, kernel = (
        rng.standard_normal(s).astype("float32") for s in ((2, 1, 4, 4), (3, 1, 2, 2))
    )
    calls: list[tuple[Callable[..., Tensor], tuple[Any, ...]]] = [
        (F.linear, (x, w, b)),
        (F.conv2d, (picture, kernel, b[:3])),
        (F.conv_transpose2d, (picture, kernel[:1], b[:1])),
        (F.batch_norm, (x, b[:3], b[:3])),
        (lambda weight: F.embedding([2, 0], weight), (w,)),
        (mg.nn.Flatten(), (picture,)),
        (mg.nn.Unflatten(1, (1, 3)), (x,)),
        (mg.nn.BatchNorm1d(3), (x,)),
        (mg.nn.BatchNorm2d(1), (picture,)),
        (mg.nn.Sequential(mg.nn.Flatten(), mg.nn.Linear(3, 1), mg.nn.Sigmoid()), (x,)),
    ]
    for function, arrays in calls:
        expected = function(*map(mg.tensor, arrays)).numpy()
        for given in (arrays, [a.tolist() for a in arrays]):
            np.testing.assert_array_equal(function(*given).numpy(), expected)


def test_what_is_no_tensor_is_named_where_only_tensors_do() -> None:
    y, array = leaf(1.0).sum(), np.ones(2)
    for call in (
        lambda: mg.grad(array, y),
        lambda: mg.grad(y, array),
        lambda: mg.grad(y, [None]),
        lambda: y.backward(inputs=array),
        lambda: mg.gradcheck(lambda x: x, array),
        lambda: mg.gradcheck(lambda x: None, leaf(1.0)),
    ):
        with pytest.raises(TypeError, match="expected Tensors, got (ndarray|NoneType)"):
            call()
    with pytest.raises(TypeError, match="running_mean must be a Tensor, which .*got ndarray"):
        F.batch_norm(np.ones((2, 1), "float32"), [1.0], [0.0], np.zeros(1), np.ones(1))


def test_threads_that_share_a_switch_have_each_their_own_outside() -> None:
    shared, step, found = mg.no_grad(), threading.Barrier(2, timeout=10), {}

    def recorder() -> None:
        with shared:
            step.wait()
            step.wait()  # both are inside
        found["recorder"] = is_recording()
        step.wait()  # the one that came first has left first

    def silent() -> None:
        with mg.no_grad():
            step.wait()
            with shared:
                step.wait()
                step.wait()
            found["silent"] = is_recording()

    threads = [threading.Thread(target=target) for target in (recorder, silent)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"recorder": True, "silent": False}


@pytest.mark.parametrize("nothing", [[], (), iter(())])
def test_a_walk_from_or_to_no_tensors_is_an_error(nothing: Any) -> None:
    w = mg.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="backward: expected at least one Tensor, got none"):
        w.sum().backward(inputs=nothing)
    with pytest.raises(ValueError, match="grad: expected at least one Tensor, got none"):
        mg.grad(w.sum(), nothing)
    with pytest.raises(ValueError, match="grad: expected at least one Tensor, got none"):
        mg.grad(nothing, w)


@pytest.mark.parametrize(
    "data", [np.ones(2, "complex64"), np.array([1, None]), np.zeros(2, [("a", "f4")])]
)
def test_copy_takes_numbers_only(data: Any) -> None:
    with pytest.raises(TypeError, match="copy_: expected numbers|strict backend|not supported"):
        mg.tensor([1.0, 2.0]).copy_(data)


def test_no_dtype_is_none() -> None:
    with pytest.raises(TypeError, match="got None"):
        mg.tensor([1.0]).to(None)
