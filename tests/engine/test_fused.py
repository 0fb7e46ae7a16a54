"""Formulas: the same on NumPy and as kernels, which compile for a GPU; batch norm in one pass."""

from typing import Any

import numpy as np
import pytest
from strict_backend import counts, strict

import minigan as mg
from minigan import backend, fused, nn
from minigan import functional as F
from minigan.nn.layers import _in_one_pass
from minigan.ops.norm import batch_norm_activated

FORMULAS = {name: f for name, f in vars(fused).items() if isinstance(f, fused.Formula)}
IN_PLACE = ("sgd", "momentum", "rmsprop", "adam", "move")
VECTORS = ("mu", "s", "w", "a", "b")
NUMBERS = ("alpha", "beta1", "beta2", "decay", "eps", "lr", "momentum", "rate", "rest", "rest1",
           "rest2", "slope")  # fmt: skip


def arguments(formula: fused.Formula, shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """Entries for its inputs, matrices, vectors and numbers by name, and for what it overwrites."""
    rng = np.random.default_rng(0)

    def drawn(size: tuple[int, ...], low: float = 0.1) -> Any:
        return rng.uniform(low, 2.0, size).astype(dtype)

    inputs = [
        float(rng.uniform(0.1, 0.9))
        if name in NUMBERS
        else drawn(
            shape[1:] if name in VECTORS and len(shape) == 2 else shape,
            -2.0 if name in ("x", "g") and "sqrt(x" not in formula.text else 0.1,
        )
        for name in formula.inputs
    ]
    return inputs, [drawn(shape) for _ in formula.outputs] if formula.name in IN_PLACE else []


host = pytest.mark.on_the_host("chooses its array libraries itself")


@host
@pytest.mark.parametrize("shape", [(), (7,), (12, 5), (600, 3), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_the_same_as_calls_of_numpy_and_as_a_kernel(
    name: str, dtype: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "CACHED", 256)  # several slices
    formula = FORMULAS[name]
    found = []
    for library in (np, strict):
        inputs, outputs = arguments(formula, shape, dtype)
        with backend.using_backend(library):
            inputs = [x if isinstance(x, float) else backend.asarray(x) for x in inputs]
            outputs = tuple(map(backend.asarray, outputs))
            counts.clear()
            results = formula(*inputs, out=outputs)
            assert counts["launches"] == (library is strict)
            results = results if isinstance(results, tuple) else (results,)
            assert not outputs or all(a is b for a, b in zip(results, outputs, strict=True))
            found.append([backend.to_host(result) for result in results])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == dtype and ours.shape == shape
        np.testing.assert_array_equal(ours, theirs)


@host
def test_a_formula_keeps_the_memory_layout_and_cuts_any() -> None:
    x = np.arange(2 * 3 * 4 * 5.0).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2) - 50
    z = fused.gate_relu(x, x)
    assert z.strides == x.strides
    np.testing.assert_array_equal(z, np.maximum(x, 0))


@host
def test_what_a_formula_is_made_of() -> None:
    text = "x_hat = (x - mu) * s; z = max(x_hat * w + b, T(0)); z += 1; y = T(x > 0) * z"
    assert fused.calls(text) == [
        "subtract(x, mu, out=x_hat)", "multiply(x_hat, s, out=x_hat)",
        "multiply(x_hat, w, out=z)", "add(z, b, out=z)", "maximum(z, 0, out=z)",
        "add(z, 1, out=z)",
        "y[...] = greater(x, 0)", "multiply(y, z, out=y)",
    ]  # fmt: skip
    assert fused.calls("z = (x + y) * (x - y)") == [
        "add(x, y, out=z)", "subtract(x, y, out=_1)", "multiply(z, _1, out=z)",
    ]  # fmt: skip
    assert fused.calls("z = (x - z) * (z - x)") == [
        "subtract(x, z, out=_0)", "subtract(z, x, out=_1)", "multiply(_0, _1, out=z)",
    ]  # fmt: skip
    assert fused.calls("p -= m / (sqrt(v) + eps) * -rate") == [
        "sqrt(v, out=_2)", "add(_2, eps, out=_2)", "divide(m, _2, out=_1)",
        "negative(rate, out=_2)", "multiply(_1, _2, out=_1)", "subtract(p, _1, out=p)",
    ]  # fmt: skip


def cuda_source(formula: fused.Formula, dtype: str) -> str:
    """What CuPy would compile, for matrices and numbers in device memory: its headers and loop."""
    import cupy
    from cupy._core import _carray, _kernel, core

    kernel, type_ = formula.kernel(cupy), np.dtype(dtype).type
    types = [None if name in NUMBERS else type_ for name in formula.inputs]
    *_, type_map = kernel._decide_params_type(tuple(types), (type_,) * len(formula.outputs))
    array = _kernel._ArgInfo(1, cupy.ndarray, type_, 2, False, True)
    number = _kernel._ArgInfo(3, float, type_, 0, True, True)
    infos = [array if t else number for t in types] + [array] * len(formula.outputs)
    infos.append(_kernel._ArgInfo(2, _carray.Indexer, np.int64, 2, True, True))
    headers = "".join(f"#include <{name}>\n" for name in core._cupy_header_list)
    return headers + _kernel._get_elementwise_kernel_code(
        tuple(infos), type_map, kernel.params, kernel.operation, kernel.name, kernel.preamble
    )


def compiled(source: str, architecture: str) -> bytes:
    """What NVRTC makes of it: machine code for sm_90, text (PTX) for compute_90.

    AssertionError, with NVRTC's log, if it is no C++.
    """
    import cupy
    from cupy_backends.cuda.libs import nvrtc

    include = f"{cupy.__path__[0]}/_core/include"
    cccl = [f"{include}/cupy/_cccl/{part}" for part in ("libcudacxx", "thrust", "cub")]
    options = [architecture, "-std=c++17", *(f"-I{path}" for path in [include, *cccl])]
    program = nvrtc.createProgram(source, "formula.cu", (), ())
    try:
        nvrtc.compileProgram(program, tuple(options))
    except nvrtc.NVRTCError:
        raise AssertionError(nvrtc.getProgramLog(program) + source) from None
    if "sm_" in architecture:
        return bytes(nvrtc.getCUBIN(program))
    return str(nvrtc.getPTX(program)).encode()


def has_nvrtc() -> bool:
    try:
        from cupy_backends.cuda.libs import nvrtc

        return bool(nvrtc.getVersion())
    except (ImportError, OSError, RuntimeError):
        return False


needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="CuPy or NVRTC is not installed")


@host
@needs_nvrtc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_compiles_for_a_gpu(name: str, dtype: str) -> None:
    source = cuda_source(FORMULAS[name], dtype)
    assert FORMULAS[name].text in source
    assert compiled(source, "-arch=sm_90").startswith(b"\x7fELF")


@host
@needs_nvrtc
@pytest.mark.parametrize("name", FORMULAS)
def test_no_formula_loses_nan_on_a_gpu(name: str) -> None:
    """CUDA's own max and min would: NVRTC makes max.f32 and min.f32 of them."""
    for dtype in ("float32", "float64"):
        text = compiled(cuda_source(FORMULAS[name], dtype), "-arch=compute_90")
        assert b"max.f" not in text and b"min.f" not in text
    plain = cuda_source(FORMULAS["normalise_relu"], "float32").replace(fused.PREAMBLE, "")
    assert b"max.f32" in compiled(plain, "-arch=compute_90")


def test_nan_stays_nan_through_every_formula() -> None:
    x = np.full((2, 3), np.nan, "float32")
    for activation in (nn.ReLU(), nn.LeakyReLU(0.2)):
        assert np.isnan(nn.Sequential(nn.BatchNorm1d(3), activation)(mg.tensor(x)).numpy()).all()
    assert np.isnan(F.sigmoid(x).numpy()).all() and np.isnan(F.softplus(x).numpy()).all()


@host
@needs_nvrtc
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("z = maximum(x, T(0))", "maximum"),  # NumPy's name
        ("x = z", "const"),  # an input
        ("z = x ** 2", "operand"),  # Python alone
    ],
)
def test_a_formula_that_is_no_cpp_does_not_compile(text: str, message: str) -> None:
    wrong = object.__new__(fused.Formula)
    wrong.name, wrong.text, wrong.inputs, wrong.outputs = "wrong", text, ["x"], ["z"]
    with pytest.raises(AssertionError, match=message):
        compiled(cuda_source(wrong, "float32"), "-arch=sm_90")


# --- Batch norm with its activation ---------------------------------------------------------------

ACTIVATIONS = {"ReLU": nn.ReLU, "LeakyReLU": lambda: nn.LeakyReLU(0.2)}


def layers(shape: tuple[int, ...], activation: Any, dtype: str = "float32") -> list[nn.Module]:
    norm = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(shape[1])
    for parameter in norm.parameters():
        nn.init.normal_(parameter, 0.5)
    return [norm.to(dtype), activation()]


def one_after_the_other(modules: Any, x: Any) -> Any:
    for module in modules:
        x = module(x)
    return x


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5, 2)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_pass_is_two_layers_to_the_bit(
    activation: str, shape: tuple[int, ...], training: bool
) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    found = []
    for apply in (lambda layers, x: nn.Sequential(*layers)(x), one_after_the_other):
        mg.manual_seed(0)
        modules = layers(shape, ACTIVATIONS[activation])
        modules[0].train(training)
        leaf = mg.tensor(x, requires_grad=True)
        y = apply(modules, leaf)
        (y * y).sum().backward()
        grads = [leaf.grad, *(p.grad for p in modules[0].parameters())]
        found.append([t.numpy() for t in (y, *grads, *modules[0].state_dict().values())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(5, 2), (2, 2, 3, 2)], ids=str)
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_its_derivatives_at_both_orders(shape: tuple[int, ...], slope: float) -> None:
    rng = np.random.default_rng(1)

    def leaf(size: tuple[int, ...]) -> mg.Tensor:
        return mg.tensor(
            rng.uniform(0.5, 2.0, size) * rng.choice([-1, 1], size), requires_grad=True
        )

    def activated(x: mg.Tensor, w: mg.Tensor, b: mg.Tensor) -> mg.Tensor:
        return batch_norm_activated(x, (w, b, None, None), True, 0.1, 1e-5, slope=slope)

    inputs = [leaf(shape), leaf(shape[1:2]), leaf(shape[1:2])]
    mg.gradcheck(activated, inputs)
    mg.gradgradcheck(activated, inputs)


def test_no_rows_in_evaluation() -> None:
    norm, x = nn.BatchNorm1d(3).eval(), mg.tensor(np.zeros((0, 3), "float32"), requires_grad=True)
    norm(x).sum().backward()
    assert x.grad.shape == (0, 3) and norm.weight.grad.numpy().tolist() == [0.0, 0.0, 0.0]


def test_running_statistics_that_moved_since_are_noticed() -> None:
    norm, x = (
        nn.BatchNorm1d(3).eval(),
        mg.tensor(np.random.default_rng(0).random((4, 3), "float32")),
    )
    y = norm(x).sum()
    norm.train()(x)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_what_is_one_pass_and_what_is_not() -> None:
    norm = nn.BatchNorm1d(3)

    class Mine(nn.ReLU):
        def forward(self, x: Any) -> mg.Tensor:
            return F.tanh(x)

    class Counted(nn.BatchNorm1d):
        pass

    assert _in_one_pass(norm, nn.ReLU()) == 0.0 and _in_one_pass(norm, nn.LeakyReLU(0.2)) == 0.2
    for other in (nn.Tanh(), Mine(), nn.LeakyReLU(-1.0), nn.LeakyReLU(0.0), nn.LeakyReLU(1.5)):
        assert _in_one_pass(norm, other) is None
    assert _in_one_pass(Counted(3), nn.ReLU()) is None
    assert _in_one_pass(nn.Linear(3, 3), nn.ReLU()) is None
    x = mg.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    mine = nn.Sequential(norm.to("float64"), Mine())
    np.testing.assert_array_equal(mine(x).numpy(), F.tanh(norm(x)).numpy())


@host
def test_one_pass_saves_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam is one for each parameter; batch norm's activation comes with it."""
    with backend.using_backend(strict):
        net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3), nn.ReLU())
        adam, x = mg.optim.Adam(net.parameters()), mg.tensor(np.ones((5, 4), "float32"))
        net(x).sum().backward()
        adam.step()  # makes its memory
        counts.clear()
        adam.step()
        assert counts["launches"] == len(adam.params) == 3
        counts.clear()
        hidden = net[0](x)
        counts.clear()
        net[1](hidden)
        alone = counts["launches"]
        counts.clear()
        net[1:](hidden)
        assert counts["launches"] == alone
        counts.clear()
        one_after_the_other(net[1:], hidden)
        assert counts["launches"] == alone + 1
        del net, adam
