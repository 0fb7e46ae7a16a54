"""The switch: its choice and refusals, what crosses it, and the stand-in for CuPy."""

import copy
import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cupy_names
import numpy as np
import pytest
import strict_backend
from libraries import compare, small_integers, without
from strict_backend import counts, strict

import minigan as mg
from minigan import backend, training
from minigan.checkpoint import load_tensors, save_tensors
from minigan.data.batches import Batch, Batches
from minigan.losses import NonSaturating
from minigan.models import MODELS
from minigan.training import Trainer, fit

pytestmark = pytest.mark.on_the_host("chooses its array libraries itself")

needs_cupy = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="CuPy is not installed"
)


# --- The choice -----------------------------------------------------------------------------------


def test_numpy_unless_asked_otherwise() -> None:
    assert backend.xp is np and backend.name() == "numpy"


def test_a_name_or_any_object_with_numpys_namespace() -> None:
    with backend.using_backend(strict):
        assert backend.xp is strict and backend.name() == "strict"
        with backend.using_backend("numpy"):
            assert backend.xp is np
        assert backend.xp is strict
    assert backend.xp is np
    with pytest.raises(ValueError, match="'cudy'.*'numpy', 'cupy', 'auto'"):
        backend.set_backend("cudy")
    with pytest.raises(TypeError, match="got 3"):
        backend.set_backend(3)


def test_the_block_is_left_by_an_error_too() -> None:
    with pytest.raises(KeyError), backend.using_backend(strict):
        raise KeyError
    assert backend.xp is np


def test_a_switch_that_would_strand_parameters() -> None:
    layer = mg.nn.Linear(3, 2)
    with pytest.raises(backend.BackendError) as caught:
        backend.set_backend(strict)
    for part in ("'strict'", "'numpy'", "2 parameters", "(2, 3)", "before building"):
        assert part in str(caught.value)
    assert backend.xp is np and layer(mg.tensor([[1.0, 2.0, 3.0]])).shape == (1, 2)
    layer.itself = [layer]  # a cycle, which only the garbage collector takes away
    twin = copy.deepcopy(layer)
    del layer
    with pytest.raises(backend.BackendError, match="2 parameters"):
        backend.set_backend(strict)
    del twin
    with backend.using_backend(strict):
        pass


def test_pythons_integers_have_64_bits_on_every_platform() -> None:
    with backend.using_backend(small_integers):
        assert small_integers.array([1]).dtype == "int32"  # what NumPy makes of them there
        for data in (3, [1, 2], [2**40], ((1,), (2,))):
            assert mg.tensor(data).dtype == "int64"
        assert mg.tensor([True]).dtype == bool and mg.tensor(np.ones(1, "int8")).dtype == "int8"


def test_a_tensor_of_another_library_is_named() -> None:
    host = mg.tensor([1.0, 2.0])
    with backend.using_backend(strict):
        device = mg.tensor([1.0, 2.0])
        for f in (lambda x: x.sum(), lambda x: x.reshape(2, 1), mg.Tensor, lambda x: x[0]):
            with pytest.raises(TypeError, match="'strict'.*numpy"):
                f(host.data if f is mg.Tensor else host)
    with pytest.raises(TypeError, match="'numpy'.*strict_backend"):
        mg.Tensor(device.data)
    with pytest.raises(TypeError, match="'numpy'.*strict_backend"):
        device.sum()


# --- The probe ------------------------------------------------------------------------------------


class CUDARuntimeError(RuntimeError):
    pass


def fake_cupy(devices: Any, ones: Any = None) -> Any:
    def count() -> int:
        if isinstance(devices, Exception):
            raise devices
        return devices

    def make(*_: Any, **__: Any) -> Any:
        if isinstance(ones, Exception):
            raise ones
        return np.ones((2, 2))

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    return SimpleNamespace(
        __name__="cupy", cuda=SimpleNamespace(runtime=runtime), ones=make, float32="float32",
        ndarray=np.ndarray,
    )  # fmt: skip


BROKEN = {
    "no package": (None, ["not installed", "pip install 'minigan[cuda12]'", "[cuda13]"]),
    "no driver": (fake_cupy(CUDARuntimeError("cudaErrorInsufficientDriver")),
                  ["no usable NVIDIA driver", "cudaErrorInsufficientDriver", "nvidia-smi"]),
    "no device": (
        fake_cupy(CUDARuntimeError("cudaErrorNoDevice")),
        ["GPU (cudaErrorNoDevice)", "nvidia-smi", "CUDA_VISIBLE_DEVICES"],
    ),
    "no libraries": (fake_cupy(1, OSError("libnvrtc.so.13 not found")),
                     ["CUDA libraries", "libnvrtc.so.13", "pip install 'minigan[cuda12]'"]),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_missing_and_what_mends_it(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, parts = BROKEN[what]
    monkeypatch.setitem(sys.modules, "cupy", module)
    with pytest.raises(backend.BackendError) as caught:
        backend.set_backend("cupy")
    for part in ["'cupy'", *parts]:
        assert part in str(caught.value)
    assert backend.xp is np
    with pytest.warns(UserWarning, match="falling back to NumPy: backend 'cupy'"):
        backend.set_backend("auto")
    assert backend.xp is np


@pytest.mark.parametrize("name", ["cupy", "auto"])
def test_a_cupy_that_works_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    working = fake_cupy(1)
    monkeypatch.setitem(sys.modules, "cupy", working)
    with backend.using_backend(name):
        assert backend.xp is working and backend.on_gpu()


def minigan(line: str, **environment: str) -> Any:
    command = [sys.executable, "-m", "minigan", *line.split()]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


@needs_cupy
@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "environment"),
    [
        ("train mlp --backend cupy", {}),
        ("train mlp", {"MINIGAN_BACKEND": "cupy"}),
        ("bench --backend cupy", {}),
    ],
)
def test_the_real_cupy_without_a_driver(
    line: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if works("cupy"):
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    done = minigan(line, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    (message,) = done.stderr.splitlines()
    assert message.startswith("minigan: backend 'cupy': no usable NVIDIA driver or GPU (cuda")
    assert "Install NVIDIA's driver" in message and "without a GPU" in message
    assert list(tmp_path.iterdir()) == []


@needs_cupy
@pytest.mark.slow
def test_auto_with_the_real_cupy_and_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if works("cupy"):
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    fallen = minigan("train mlp --data mnist-mini --steps 1 --backend auto")
    said, running = fallen.stderr.splitlines()[:2]
    assert said.startswith("minigan: falling back to NumPy: backend 'cupy': no usable NVIDIA")
    assert running.startswith("minigan: mlp, mnist-mini, seed 0: 10,000 images, steps 0 to 1, into")
    assert fallen.returncode == 0
    (refused,) = minigan("sample nowhere --backend auto").stderr.splitlines()
    assert refused.startswith("minigan: nowhere holds no run")  # and nothing beside it


def works(name: str) -> bool:
    try:
        with backend.using_backend(name):
            return True
    except backend.BackendError:
        return False


def python(code: str, value: str) -> Any:
    return subprocess.run(
        [sys.executable, "-c", f"import minigan as mg\n{code}"],
        env=os.environ | {"MINIGAN_BACKEND": value},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("value", ["", "numpy"])
def test_the_environment_names_a_library(value: str) -> None:
    done = python("print(mg.backend.name(), mg.tensor(1.0).item(), mg.backend.xp.pi)", value)
    assert done.stdout.split() == ["numpy", "1.0", "3.141592653589793"], done.stderr


@pytest.mark.slow
def test_a_wrong_name_in_the_environment_is_an_error_at_its_first_use() -> None:
    assert python("", "nonsense").returncode == 0
    assert python("mg.backend.set_backend('numpy'); mg.tensor(1.0)", "nonsense").returncode == 0
    done = python("mg.tensor(1.0)", "nonsense")
    assert "ValueError: unknown backend 'nonsense'" in done.stderr
    for value, named in (("nonsense", "nonsense"), ("", "nowhere")):  # "" is no choice at all
        done = minigan("train mlp --resume --out nowhere", MINIGAN_BACKEND=value)
        assert (done.returncode, done.stdout) == (2, "")
        (message,) = done.stderr.splitlines()
        assert message.startswith("minigan: ") and named in message


# --- What crosses ---------------------------------------------------------------------------------


@pytest.fixture
def device() -> Iterator[None]:
    with backend.using_backend(strict):
        yield


BATCH = 8


def trainer(model: str, seed: int = 0, n: int = 32) -> Trainer:
    mg.manual_seed(seed)
    images = np.random.default_rng(0).integers(0, 256, (n, 1, 28, 28)).astype("uint8")
    gan = MODELS[model]()
    return Trainer(gan, gan.batches(images, None, BATCH))


def crossing(f: Callable[[], Any]) -> dict[str, int]:
    counts.clear()
    f()
    return {key: counts[key] for key in ("uploads", "uploaded", "downloads", "syncs")}


@pytest.mark.parametrize(
    ("model", "masks"),
    [("mlp", [512, 256]), ("dcgan", []), ("dcgan-half", [])],
)
@pytest.mark.usefixtures("device")
def test_a_step_uploads_its_batch_latents_and_masks_and_fetches_nothing(
    model: str, masks: list[int]
) -> None:
    one = trainer(model)
    # D sees data, and samples in each player's step; each dropout layer draws for each.
    arrays = [28 * 28, *2 * [one.model.latent_dim], *3 * masks]
    for _ in range(3):
        assert crossing(one.step) == {
            "uploads": len(arrays), "uploaded": 4 * BATCH * sum(arrays), "downloads": 0, "syncs": 0,
        }  # fmt: skip


@pytest.mark.usefixtures("device")
def test_a_step_with_a_penalty_uploads_alpha_and_fetches_nothing() -> None:
    one = trainer("dcgan-half")
    critic, optimizer = one.model.discriminator, one.model.d_optimizer
    (real, _), (fake, _) = next(one.data), next(one.data)

    def step() -> None:
        penalty = mg.losses.gradient_penalty(critic, real, fake) + mg.losses.r1(critic, real)
        optimizer.zero_grad()
        (mg.losses.wasserstein.discriminator(critic(real), critic(fake)) + penalty).backward()
        optimizer.step()

    assert crossing(step) == {"uploads": 1, "uploaded": 4 * BATCH, "downloads": 0, "syncs": 0}


@pytest.mark.usefixtures("device")
def test_a_logged_step_fetches_once() -> None:
    one = trainer("mlp")
    measured = one.step()
    assert crossing(lambda: one.fetch(measured)) == {
        "uploads": 0, "uploaded": 0, "downloads": 1, "syncs": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("device")
def test_a_fit_fetches_once_for_each_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_EVERY", 3)
    one = trainer("mlp", n=96)  # 12 steps an epoch
    assert crossing(lambda: fit(one, 9))["downloads"] == 3
    assert crossing(lambda: fit(one, 10))["downloads"] == 1  # the last step, which is always logged


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
@pytest.mark.usefixtures("device")
def test_the_readme_counts_a_steps_launches(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "on_gpu", lambda: True)  # slices as long as there
    one = trainer(model)
    one.step()
    counts.clear()
    one.step()
    readme = Path(__file__).parents[1] / "README.md"
    kind = {"mlp": "an MLP", "dcgan": "a DCGAN"}[model]
    assert f"{counts['launches']} for {kind} step" in " ".join(readme.read_text("utf-8").split())


@pytest.mark.parametrize("model", ["mlp", "dcgan-half"])
def test_the_same_draws_and_bits_and_a_checkpoint_goes_across(model: str, tmp_path: Path) -> None:
    rows = {}
    for library in (np, strict):
        with backend.using_backend(library):
            one = trainer(model)
            rows[library] = [one.fetch(one.step()) for _ in range(2)]
            tensors, info = one.state()
            assert info["backend"] == backend.name()
            save_tensors(tmp_path / backend.name(), tensors, info)
            rows[library] += [one.fetch(one.step()) for _ in range(2)]
            del one
    assert rows[np] == rows[strict]
    for library, other in ((np, "strict"), (strict, "numpy")):
        with backend.using_backend(library):
            two = trainer(model, seed=9)
            two.load_state(*load_tensors(tmp_path / other))
            assert [two.fetch(two.step()) for _ in range(2)] == rows[np][2:]
            del two


# --- The stand-in catches -------------------------------------------------------------------------

HOST = np.arange(6.0, dtype="float32").reshape(2, 3)

KERNEL = strict.ElementwiseKernel("T x", "T z", "z = x", "copy")


def overlapping(a: Any) -> Any:
    return strict.lib.stride_tricks.as_strided(a, (2, 2), (4, 4))


#: What is wrong: (on an array of the device, part of the message).
FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a NumPy array on the right": (lambda a: a + HOST, "NumPy array of shape (2, 3)"),
    "a NumPy array on the left": (lambda a: HOST * a, "NumPy array"),
    "a NumPy array in place": (lambda a: a.__iadd__(HOST), "NumPy array"),
    "a NumPy array in a function": (lambda a: strict.maximum(a, HOST), "NumPy array"),
    "a NumPy array in a list": (lambda a: strict.concatenate([a, HOST]), "NumPy array"),
    "a NumPy array as value": (lambda a: a.__setitem__(0, HOST[0]), "NumPy array"),
    "a NumPy array alone": (lambda a: strict.sum(HOST), "NumPy array"),
    "a NumPy index": (lambda a: a[np.array([0, 1])], "NumPy array"),
    "a NumPy mask": (lambda a: a[HOST > 2], "NumPy array"),
    "a NumPy index in add.at": (lambda a: strict.add.at(a, np.array([0]), 1.0), "NumPy array"),
    "a list as index": (lambda a: a[[0, 1]], "list as index"),
    "a list as operand": (lambda a: strict.add(a, [1.0, 2.0, 3.0]), "list as operand"),
    "a tuple on the right": (lambda a: a * (1.0, 2.0, 3.0), "list as operand"),
    "an unnamed output": (lambda a: strict.add(a, a, a), "not named out="),
    "a verdict on the host": (lambda a: strict.array_equal(a, a), "array_equal brings"),
    "a text of entries": (lambda a: strict.array_str(a), "array_str brings"),
    "a pickle": (lambda a: pickle.dumps(a), "hidden transfer"),
    "an absent keyword of an upload": (lambda a: strict.asarray(HOST, like=a), "no keyword 'like'"),
    "a race of two outputs": (lambda a: strict.exp(a, out=overlapping(a)), "overlapping memory"),
    "a race in an assignment": (
        lambda a: overlapping(a).__setitem__(slice(None), 1.0),
        "overlapping memory",
    ),
    "a race in a kernel": (lambda a: KERNEL(a[:, :2], overlapping(a)), "overlapping memory"),
    "a kernel of two types": (lambda a: KERNEL(a, strict.zeros((2, 3))), "several dtypes"),
    "a list as value": (lambda a: a.__setitem__(0, [1.0, 2.0, 3.0]), "list as value"),
    "NumPy's function": (lambda a: np.exp(a), "does not support ufuncs"),
    "NumPy's reduction": (lambda a: np.sum(a), "numpy.sum"),
    "NumPy's conversion": (lambda a: np.asarray(a), "NumPy asked"),
    "an absent name": (lambda a: strict.errstate(), "no 'errstate'"),
    "an absent submodule": (lambda a: strict.fft.fft(a), "no 'fft'"),
    "random numbers": (lambda a: strict.random.default_rng(0), "no 'random'"),
    "an absent method": (lambda a: a.setflags(write=False), "no 'setflags'"),
    "an absent ufunc method": (lambda a: strict.maximum.reduce(a), "no 'reduce'"),
    "an absent at": (lambda a: strict.multiply.at(a, 0, 2.0), "no 'at'"),
    "an absent keyword": (lambda a: strict.sum(a, where=a > 0), "no keyword 'where'"),
    "an absent keyword of a ufunc": (lambda a: strict.exp(a, where=a > 0), "no keyword 'where'"),
    "an absent keyword of a method": (lambda a: a.max(initial=0.0), "no keyword 'initial'"),
    "float()": (lambda a: float(a.sum()), "hidden transfer"),
    "int()": (lambda a: int(a.argmax()), "hidden transfer"),
    "if": (lambda a: 1 if (a > 0).all() else 0, "hidden transfer"),
    "in": (lambda a: 3.0 in a, "hidden transfer"),
    "range()": (lambda a: range(a.argmax()), "hidden transfer"),
    ".item()": (lambda a: a.sum().item(), "hidden transfer"),
    ".tolist()": (lambda a: a.tolist(), "hidden transfer"),
    "a format": (lambda a: f"{a.sum():.3f}", "unsupported format"),
    "float64 by np.sqrt": (lambda a: a / np.sqrt(5), "NumPy scalar, float64"),
    "float64 by np.float64": (lambda a: np.float64(2) * a, "NumPy scalar, float64"),
    "a race": (lambda a: strict.lib.stride_tricks.as_strided(a, (2, 2), (4, 4)).fill(0.0),
               "overlapping memory"),
    "a race through a slice": (
        lambda a: strict.lib.stride_tricks.as_strided(a, (3, 2), (4, 4))[:2].__iadd__(1.0),
        "overlapping memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str) -> None:
    f, message = FAULTS[fault]
    with pytest.raises((TypeError, AttributeError)) as caught:
        f(strict.asarray(HOST))
    assert message in str(caught.value)


def test_a_kernel_that_writes_an_input_is_caught() -> None:
    wrong = strict.ElementwiseKernel("T x", "T z", "x *= 2; z = x", "wrong")
    with pytest.raises(ValueError, match="read-only"):
        wrong(strict.asarray(HOST), strict.asarray(HOST))


def test_what_crosses_is_counted() -> None:
    counts.clear()
    a = strict.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert (counts["uploads"], counts["uploaded"], counts["launches"]) == (1, 32, 0)
    b = a[a > 2.0]
    strict.nonzero(a)
    assert counts["syncs"] == 2
    assert (b.get().tolist(), counts["downloads"]) == ([3.0, 4.0], 1)


def test_what_is_right_passes() -> None:
    a = strict.asarray(HOST)
    a[0] = 7.0
    a[np.int64(1), 1:] += a[0, 1:]  # integers of NumPy's are as good as Python's
    b = strict.lib.stride_tricks.as_strided(a, (2, 2), (12, 4))
    b *= 2.0
    assert (a / 5.0).dtype == "float32" and a.sum().shape == ()
    assert strict.maximum(a, 0.0, out=a) is a
    assert a.get().tolist() == [[14.0, 14.0, 7.0], [6.0, 22.0, 12.0]]


STEP_FAULTS: dict[str, tuple[Any, str, Callable[..., Any], str]] = {
    "float() in the step": (
        mg.losses.Minimax, "discriminator",
        lambda self, real, fake: real.mean() * float(fake.mean().data), "hidden transfer",
    ),
    "np.sqrt in the step": (
        mg.losses.Minimax, "discriminator",
        lambda self, real, fake: (real - fake).mean() / mg.Tensor(real.data.sum() * np.sqrt(2)),
        "NumPy scalar, float64",
    ),
    "a NumPy array in the step": (
        Batches, "__next__",
        lambda self: Batch(mg.Tensor(np.zeros((BATCH, 1, 28, 28), "float32")), None),
        "expected an array of backend 'strict', got numpy.ndarray",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", STEP_FAULTS)
@pytest.mark.usefixtures("device")
def test_a_fault_planted_in_a_training_step(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, wrong, message = STEP_FAULTS[fault]
    one = trainer("mlp")
    monkeypatch.setattr(owner, name, wrong)
    with pytest.raises(TypeError, match=message):
        one.step()


@pytest.mark.usefixtures("device")
def test_a_transfer_planted_in_a_training_step_breaks_its_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = trainer("dcgan-half")
    before, step, generator = crossing(one.step), Trainer.step, NonSaturating.generator
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", lambda self: {k: v.item() for k, v in step(self).items()})
        assert crossing(one.step) == before | {"downloads": 4}
    monkeypatch.setattr(NonSaturating, "generator", lambda *a: generator(*a) + mg.tensor(0.5))
    assert crossing(one.step)["uploads"] == before["uploads"] + 1


def test_other_bits_on_the_other_library_are_caught(tmp_path: Path) -> None:
    """What conftest.py calls after each test."""
    assert without("numpy", "a.py::test_numpy[numpy-numpy]") == "a.py::test_numpy[numpy]"
    assert without("strict", "a.py::test_strict[strict]") == "a.py::test_strict"
    compare(tmp_path, "test_f[3]", "numpy", "bits")
    compare(tmp_path, "test_f[3]", "strict", "bits")
    compare(tmp_path, "test_f[4]", "strict", "other bits")
    with pytest.raises(AssertionError, match=r"test_f\[3\]: other results on strict"):
        compare(tmp_path, "test_f[3]", "strict", "other bits")
    with pytest.raises(AssertionError, match=r"test_f\[4\]: other results on numpy"):
        compare(tmp_path, "test_f[4]", "numpy", "bits")


@pytest.mark.slow
def test_the_suite_compares_its_tests_on_both_libraries(tmp_path: Path) -> None:
    """conftest.py at work on a test that fetches the same from both, and on one that does not."""
    (tmp_path / "test_two.py").write_text(
        "from minigan import backend as b\n"
        "def test_same(): b.to_host(b.asarray([1.0]))\n"
        "def test_nan(): b.to_host(b.asarray([float('-nan' if b.name() == 'strict' else 'nan')]))\n"
        "def test_other(): b.to_host(b.asarray([float(b.name() == 'strict')]))\n"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-c", os.devnull, str(tmp_path)],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "PYTHONPATH": f"{here}{os.pathsep}{here.parent}",
            "MINIGAN_TIER": "default",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 5 passed" in done.stdout, done.stdout + done.stderr
    assert "test_other: other results on strict than on numpy" in done.stdout


@needs_cupy
def test_the_list_of_names_is_the_real_cupys() -> None:
    import cupy

    if cupy.__version__ != strict_backend.VERSION:
        pytest.skip(f"the list is of CuPy {strict_backend.VERSION}, this is {cupy.__version__}")
    assert cupy_names.FILE.read_text(encoding="utf-8") == cupy_names.text()
