"""What a graph is and does: who gets gradients, when it is freed, what it notices and refuses."""

import contextlib
import copy
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
from minigan.autograd import Tensor, is_recording, record


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
    with pytest.raises(RuntimeError, match="backward: this tensor does not depend on any"):
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
