"""The benchmarks at a reduced size: both sides of each comparison compute the same. No timings."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigan import bench
from tools import benchmark
from tools.benchmark import ROWS

STEPS = {"mlp": ROWS[0].tasks, "dcgan": ROWS[1].tasks}
CASES = [
    pytest.param(row, package, id=f"{row.name.strip()}, {package}")
    for row in ROWS
    for package in row.tasks
    if package not in ("minigan", "tinygrad")  # tinygrad's compiler takes longer than all of these
]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BATCH": 8,
        "WIDTH": 4,
        "CHAIN": 5,
        "GENERATOR": (6, 16, 784),
        "DISCRIMINATOR": (784, 16, 1),
    }.items():
        monkeypatch.setattr(bench, name, value)


def need(package: str) -> None:
    if importlib.util.find_spec(bench.PACKAGES.get(package, package)) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.strip())
def test_every_task_of_minigans_can_be_built_and_run(row: bench.Row) -> None:
    task = row.tasks["minigan"]()
    task()
    task()


@pytest.mark.on_the_host("others have arrays of their own")
@pytest.mark.parametrize(("row", "package"), CASES)
def test_every_task_of_others_can_be_built_and_run(row: bench.Row, package: str) -> None:
    need(package)
    task = row.tasks[package]()
    task()
    task()


@pytest.mark.parametrize(
    ("model", "package"), [("mlp", "pytorch"), ("dcgan", "pytorch"), ("mlp", "autograd")]
)
def test_other_libraries_take_the_same_step(model: str, package: str) -> None:
    need(package)
    ours, theirs = STEPS[model]["minigan"](), STEPS[model][package]()
    for _ in range(3):  # the second and third losses depend on what Adam did before
        expected = [float(loss) for loss in ours()]
        np.testing.assert_allclose([float(loss) for loss in theirs()], expected, rtol=1e-3)


@pytest.mark.parametrize("what", bench.CONV)
def test_convolutions_are_the_same(what: str) -> None:
    need("pytorch")
    ours, theirs = (bench.CONV[what][package]() for package in ("minigan", "pytorch"))
    np.testing.assert_allclose(ours().numpy(), theirs().numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.on_the_host("starts a process of its own")
def test_no_matrix_product_of_the_step_escapes() -> None:
    """Multiplications of the DCGAN's step, counted on paper (in a process of its own)."""
    assert bench.apart(multiplications) == pytest.approx(expected_multiplications())


def reduced() -> None:
    bench.BATCH, bench.WIDTH, bench.GENERATOR = 8, 4, (6, 16, 784)


def multiplications() -> float:
    reduced()
    step, count = bench.minigan_step("dcgan"), 0.0
    benchmark.counted_products()
    original = benchmark._product

    def counted(a: np.ndarray, b: np.ndarray, **out: np.ndarray) -> np.ndarray:
        nonlocal count
        count += a.size * b.shape[1]
        return original(a, b, **out)

    benchmark._product = counted
    step()
    return count


def expected_multiplications() -> float:
    """Per layer: forward + its weight's gradient + its input's, in D's step and in G's."""
    reduced_width, n, z = 4, 8, 6
    wide, taps = 2 * reduced_width, 16
    g = [z * wide * 49, wide * reduced_width * taps * 49, reduced_width * taps * 196]
    d = [reduced_width * taps * 196, wide * reduced_width * taps * 49, wide * 49]
    times_g = [1 + 1 + 1, 1 + 1 + 1 + 1, 1 + 1 + 1 + 1]
    times_d = [2 + 2 + 1 + 1, 2 + 2 + 2 + 1 + 1, 2 + 2 + 2 + 1 + 1]
    return n * sum(a * b for a, b in zip(g + d, times_g + times_d, strict=True))


@pytest.mark.on_the_host("starts a process of its own")
def test_the_parts_add_up() -> None:
    parts, plain = bench.apart(partial(small_profile, "dcgan"))
    assert min(parts.values()) > 0
    assert plain > 0


def small_profile(model: str) -> tuple[dict[str, float], float]:
    reduced()
    return benchmark.where_the_time_goes(model, 1)


@pytest.mark.slow
@pytest.mark.on_the_host("trains one model")
@pytest.mark.usefixtures("own_folder")
def test_files_cost_something(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = benchmark.data.load("mnist-mini")
    monkeypatch.setattr(benchmark.data, "load", lambda name: (images[:300], labels[:300]))
    assert benchmark.what_files_cost(2) > 0
    assert not any(Path().iterdir())


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made up, and nothing is timed."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUM_CPU", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{name}_THREADS", "1")  # so that they are put back
    for name in ("MINIGAN_BACKEND", "TRAINING"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: True)
    monkeypatch.setattr(bench, "measure", lambda tasks, threads: {k: [(0.1, 2.0)] for k in tasks})

    def apart(function: Callable[..., Any], *given: Any) -> Any:
        if function is bench._memory:
            return 10**8, 10**9
        if function is bench._about:
            if given[0] == "tinygrad":
                raise RuntimeError("no compiler")
            return "as it is"
        if function is benchmark.what_files_cost:
            return 0.02
        return dict.fromkeys(("a part", benchmark.PRODUCTS), 0.5), 0.9

    for module in (bench, benchmark):
        monkeypatch.setattr(module, "apart", apart)


@pytest.mark.on_the_host("prints a table")
@pytest.mark.usefixtures("figures")
def test_the_table_of_minigan_and_pytorch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["minigan", "pytorch"]
    assert [text[:34].strip() for text in lines[3:10]] == [row.name.strip() for row in bench.ROWS]
    assert lines[3].split()[-5:] == ["100.0", "ms", "100.0", "ms", "1.00"]
    assert sum(text.startswith("peak memory, ") for text in lines) == 2
    assert lines[-2:] == [
        f"{library}: as it is; busy: 2.0 in the MLP GAN step, 2.0 in the DCGAN step"
        for library in ("minigan", "pytorch")
    ]


@pytest.mark.on_the_host("prints a table")
@pytest.mark.usefixtures("figures")
def test_the_whole_benchmark_adds_other_libraries_and_where_the_time_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    benchmark.main()
    text = capsys.readouterr().out
    assert text.splitlines()[2].split() == ["minigan", "pytorch", "autograd"]
    for part in (
        "tinygrad is installed, but does not run here: no compiler",
        "Where the time goes in minigan's MLP step",
        "Where the time goes in minigan's DCGAN step",
        "50% of the step is matrix product.",
        "`minigan train mlp --data mnist-mini` add 2.0% to its steps.",
    ):
        assert part in text


def nothing() -> bench.Task:
    return int


def broken() -> bench.Task:
    raise RuntimeError("this library does not work here")


@pytest.mark.slow
@pytest.mark.on_the_host("starts processes of its own")
def test_measure_takes_turns_and_leaves_out_what_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # so that they are put back
    monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", "1")
    turns = bench.measure({"minigan": nothing, "autograd": broken}, 1, seconds=0.1)
    assert list(turns) == ["minigan"]
    assert len(turns["minigan"]) == 15
    assert all(seconds > 0 for seconds, _ in turns["minigan"])
    installed = importlib.util.find_spec("autograd")
    why = "this library does not work here" if installed else "No module named 'autograd'"
    assert why in capfd.readouterr().err


def test_a_line_has_a_dash_for_what_is_missing() -> None:
    assert (
        bench.line("a row", ["minigan", "pytorch", "tinygrad"], {"minigan": "1.0 ms"}, {})
        == "a row" + " " * 33 + "1.0 ms" + " " * 9 + "–" + " " * 15 + "–"
    )
