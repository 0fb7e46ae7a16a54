"""Tensors made from a shape, against NumPy and PyTorch, and the streams that they draw from."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strict_backend import counts, strict

import minigan as mg
from minigan import backend

FILLED: dict[str, Callable[..., mg.Tensor]] = {"zeros": mg.zeros, "ones": mg.ones}
DRAWN: dict[str, Callable[..., mg.Tensor]] = {"randn": mg.randn, "rand": mg.rand}
MADE = {**FILLED, **DRAWN}
LIKE = {"zeros_like": mg.zeros_like, "ones_like": mg.ones_like}


@pytest.mark.parametrize("name", MADE)
def test_shapes_are_given_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    for shape in (
        (2, 3),
        ((2, 3),),
        ([2, 3],),
        (4,),
        ((),),
        (0, 2),
        (np.int64(2), 1),
        (2, 3, 1, 1),
    ):
        ours, theirs = MADE[name](*shape), getattr(torch, name)(*shape)
        assert ours.shape == tuple(theirs.shape) and ours.dtype == "float32"
        assert ours.is_leaf and not ours.requires_grad
    assert MADE[name]().shape == ()


@pytest.mark.parametrize("name", MADE)
def test_dtypes_and_gradients(name: str) -> None:
    for dtype in ("float16", "float32", np.float64, np.dtype("float64")):
        x = MADE[name](2, dtype=dtype, requires_grad=True)
        assert x.dtype == dtype and x.requires_grad and x.is_leaf
        (x * 2.0).sum().backward()
        assert x.grad.numpy().tolist() == [2, 2]
    assert MADE[name](2, dtype=None).dtype == "float32"


def test_entries() -> None:
    assert mg.zeros(2).numpy().tolist() == [0, 0] and mg.ones(2).numpy().tolist() == [1, 1]
    assert mg.ones(2, dtype="int64").dtype == "int64" and mg.zeros(1, dtype=bool).item() is False
    with pytest.raises(TypeError, match="only float tensors have gradients"):
        mg.zeros(2, dtype="int64", requires_grad=True)


@pytest.mark.parametrize("name", LIKE)
def test_like_another(name: str) -> None:
    x = mg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = LIKE[name](x)
    assert y.shape == (2, 3) and y.dtype == "float64" and not y.requires_grad
    assert (y.numpy() == float(name == "ones_like")).all()
    z = LIKE[name](x, requires_grad=True, dtype="float32")
    assert z.dtype == "float32" and z.requires_grad
    assert LIKE[name](mg.tensor([1, 2])).dtype == "int64"
    assert LIKE[name](np.zeros((2, 0), "uint8")).dtype == "uint8"


RANGES: list[tuple[Any, ...]] = [
    (3,), (0,), (2, 5), (5, 2), (5, 0, -2), (0, 7, 3), (3.0,), (0, 1, 0.1), (1.0, 2.0, 0.25),
    (-1, 1, 0.3), (0.5, 3), (1, -1, -0.5), (0, 1000, 0.7),
]  # fmt: skip


@pytest.mark.parametrize("limits", RANGES, ids=str)
def test_arange(limits: tuple[Any, ...]) -> None:
    expected = np.arange(*limits)
    x = mg.arange(*limits)
    assert x.dtype == ("int64" if expected.dtype.kind == "i" else "float32")
    np.testing.assert_array_equal(x.numpy(), expected.astype(str(x.dtype)))
    np.testing.assert_array_equal(mg.arange(*limits, dtype="float64").numpy(), expected)
    of_numpy = [np.array(n)[()] for n in limits]
    np.testing.assert_array_equal(mg.arange(*of_numpy).numpy(), x.numpy())


@pytest.mark.parametrize("limits", [r for r in RANGES if r != (5, 2)], ids=str)
def test_arange_is_pytorchs(limits: tuple[Any, ...]) -> None:
    """But for stop before start, which PyTorch refuses."""
    torch = pytest.importorskip("torch")
    x, t = mg.arange(*limits), torch.arange(*limits)
    assert str(x.dtype) == str(t.dtype).removeprefix("torch.")
    np.testing.assert_allclose(x.numpy(), t.numpy(), rtol=1e-6)


def test_each_draws_from_its_stream() -> None:
    for name, stream, method in (
        ("randn", "latent", "standard_normal"),
        ("rand", "dropout", "random"),
    ):
        for dtype in ("float32", "float64"):
            mg.manual_seed(3)
            x, y = DRAWN[name](2, 3, dtype=dtype), DRAWN[name](4, dtype=dtype)
            state = backend.rng_state()
            mg.manual_seed(3)
            draw = getattr(backend.stream(stream), method)
            np.testing.assert_array_equal(x.numpy(), draw((2, 3), dtype=dtype))
            np.testing.assert_array_equal(y.numpy(), draw(4, dtype=dtype))
            assert backend.rng_state() == state  # so no other one was touched
        mg.manual_seed(3)
        state = backend.rng_state()
        x, y = (DRAWN[name](2, 3, rng=backend.generator(5)) for _ in range(2))
        np.testing.assert_array_equal(x.numpy(), y.numpy())
        assert backend.rng_state() == state


def test_the_distributions() -> None:
    mg.manual_seed(0)
    x, u = mg.randn(200, 200).numpy(), mg.rand(200, 200).numpy()
    assert abs(x.mean()) < 0.025 and abs(x.std() - 1) < 0.02
    assert abs(u.mean() - 0.5) < 0.01 and 0 <= u.min() < 0.001 and 0.999 < u.max() < 1


@pytest.mark.on_the_host("chooses its array library itself")
def test_what_is_filled_crosses_nothing_and_what_is_drawn_crosses_once() -> None:
    with backend.using_backend(strict):
        counts.clear()
        for made in (mg.zeros(3), mg.ones(2, 2), mg.arange(4), mg.arange(0, 1, 0.25)):
            mg.zeros_like(made)
            mg.ones_like(made)
        assert not counts["uploads"]
        mg.randn(3)
        assert counts["uploads"] == 1 and not counts["downloads"]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: mg.zeros(2, -1),
            ValueError,
            "zeros: a length of the shape must be .* >= 0, got -1",
        ),
        (lambda: mg.ones(2.0), TypeError, "ones: a length of the shape must be .*, got 2.0"),
        (lambda: mg.randn((2, 3), 4), TypeError, r"randn: a length .*, got \(2, 3\)"),
        (lambda: mg.rand("23"), TypeError, "rand: a length of the shape must be .*, got '23'"),
        (lambda: mg.randn(2, rng=0), TypeError, "randn: rng must be a generator, .*, got 0"),
        (
            lambda: mg.rand(2, dtype="int64"),
            TypeError,
            "rand: dtype must be .* floats, got 'int64'",
        ),
        (
            lambda: mg.zeros(2, dtype="complex64"),
            TypeError,
            "expected numbers, got dtype complex64",
        ),
        (lambda: mg.arange(0, 3, 0), ValueError, "arange: step must not be 0"),
        (lambda: mg.arange("3"), TypeError, "arange: stop must be a number, got '3'"),
        (lambda: mg.arange(1, np.nan), ValueError, "arange: stop must be finite, got nan"),
        (lambda: mg.arange(3, requires_grad=True), TypeError, "only float tensors have gradients"),
    ],
)
def test_a_mistake_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
