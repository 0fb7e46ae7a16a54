"""Each experiment of "What to try", done as a reader would do it, and what its "Expect" says.

An experiment takes the cells it needs from its chapter, changes them as the chapter proposes, and
runs them. A change names the words that it replaces, and they must stand there exactly once: so
that a chapter whose code moves on takes its experiments along.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import nbformat
import numpy as np
import pytest
from conftest import TIER

import minigan as mg
from minigan import functional as F
from minigan import plotting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.on_the_host("the chapters choose no array library"),
]
CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"
SEEDS = range(3) if TIER == "all" else [0]
TOY = ["class Number:", "x_, y_ = Number(2.0), Number(3.0)"]  # of chapter 01


# --- How an experiment is run ---------------------------------------------------------------------


class WithoutAsserts(ast.NodeTransformer):
    """What a chapter asserts of its own code need not hold of the changed code."""

    def visit_Assert(self, node: ast.Assert) -> ast.Pass:
        return ast.copy_location(ast.Pass(), node)


def run(chapter: str, cells: list[str], *changes: tuple[str, str]) -> SimpleNamespace:
    """The names that a chapter's cells leave behind after these changes.

    Args:
        chapter: its two digits.
        cells: words, each of one code cell, or "words ... words": that cell as far as the second
            words, which are left out. The imports come by themselves.
        changes: what to replace, and by what.
    """
    (path,) = CHAPTERS.glob(f"{chapter}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    picked = {1: code[1]}
    for words in cells:
        start, to, end = words.partition(" ... ")
        i = the_one(code, start)
        picked[i] = code[i]
        if to:
            the_one([code[i]], end)
            picked[i] = code[i].partition(end)[0]
    for old, new in changes:
        i = list(picked)[the_one(list(picked.values()), old)]
        picked[i] = picked[i].replace(old, new)
    names: dict[str, Any] = {}
    for i, source in sorted(picked.items()):
        tree = ast.fix_missing_locations(WithoutAsserts().visit(ast.parse(source)))
        exec(compile(tree, f"{path.name}, code cell {i}", "exec"), names)
    return SimpleNamespace(**names)


def the_one(sources: list[str], words: str) -> int:
    """The only source with these words, which must stand there once."""
    counts = [source.count(words) for source in sources]
    if sum(counts) != 1:
        raise LookupError(f"stands {sum(counts)} times in the cells, not once: {words!r}")
    return counts.index(1)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in full, in an empty folder, and show no figure."""
    monkeypatch.delenv("MINIGAN_FAST", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plotting, "show", lambda figure, alt: None)
    with matplotlib.rc_context():
        yield


@pytest.mark.parametrize(
    ("words", "cells", "changes"),
    [
        ("stands 0 times", TOY, [("bar[parent] -= bar[node]", "pass")]),
        ("stands 0 times", TOY, [("def level_by_level(root):", "def f(root):")]),  # not picked
        ("stands 3 times", TOY, [("def __", "def _")]),
        ("stands 0 times", ["class Nombre:"], []),
        ("stands 0 times", ["class Number: ... class Nombre:"], []),
    ],
)
def test_a_chapter_that_has_moved_on_is_noticed(
    words: str, cells: list[str], changes: list[tuple[str, str]]
) -> None:
    with pytest.raises(LookupError, match=words):
        run("01", cells, *changes)


# --- 01 Tensors and autograd ----------------------------------------------------------------------


def test_01_1_without_the_sum_each_keeps_one_path() -> None:
    right = run("01", TOY)
    wrong = run("01", TOY, ("bar[parent] += bar[node]", "bar[parent] = bar[node]"))
    before, after = ([c.bar[v] for v in (c.b_, c.y_, c.x_)] for c in (right, wrong))
    assert before == [16, 32, 64]
    assert after == [8, 16, 24]


@pytest.mark.parametrize("minus", [True, False])
def test_01_2_division_and_tanh_agree_with_the_library(minus: bool) -> None:
    toy = run("01", TOY)
    Number, sign = toy.Number, -1.0 if minus else 1.0

    def divide(x: Any, y: Any) -> Any:
        slope = sign * x.value / y.value**2
        return Number(x.value / y.value, (x, 1 / y.value), (y, slope))

    def tanh(x: Any) -> Any:
        t = np.tanh(x.value)
        return Number(t, (x, 1 - t * t))

    for point in ((0.3, 1.7), (-1.1, 0.6), (2.0, -3.0)):
        x, y = (Number(v) for v in point)
        z = tanh(divide(x, y))
        bar = toy.gradients(z, toy.parents_first(z))
        xt, yt = (mg.tensor(v, requires_grad=True, dtype="float64") for v in point)
        zt = F.tanh(xt / yt)
        x_bar, y_bar = (g.item() for g in mg.grad(zt, (xt, yt)))
        assert z.value == pytest.approx(zt.item(), rel=4e-16)
        assert bar[x] == pytest.approx(x_bar, rel=4e-16)
        assert (bar[y] == pytest.approx(y_bar, rel=4e-16)) == minus


def test_01_3_gradcheck_reports_0_against_half_the_weight_at_a_kink() -> None:
    point = mg.tensor([1.0, 0.0, -2.0], requires_grad=True, dtype="float64")
    with pytest.raises(mg.GradcheckError, match=r"entry \(1,\)") as error:
        mg.gradcheck(F.relu, point)
    reported = re.findall(r"(?:analytic|numeric) (\S+),", str(error.value))
    weight = mg.backend.generator(0).standard_normal(3)[1]
    assert [float(v) for v in reported] == pytest.approx([0, weight / 2], rel=1e-8, abs=0)
    moved = mg.tensor([1.0, 0.1, -2.0], requires_grad=True, dtype="float64")
    mg.gradcheck(F.relu, moved)


# --- 02 Dense networks ----------------------------------------------------------------------------

WITHOUT_NORM = (
    "nn.Linear(784, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()",
    "nn.Linear(784, 128), nn.ReLU()",
)
FIRST_1000 = (
    'mg.data.load("mnist-mini", "train")',
    '(a[:1000] for a in mg.data.load("mnist-mini", "train"))',
)


@functools.cache
def reading(seed: int, *changes: tuple[str, str]) -> np.ndarray:
    """Section 5's curve, a row per epoch: training loss and accuracy, those on test digits."""
    _, curve = run("02", ["def measure(net ... epochs = "], *changes).train(seed, 12)
    return curve[:, 1:]


@pytest.mark.parametrize("seed", SEEDS)
def test_02_1_without_batch_norm_slower_and_within_a_percent(seed: int) -> None:
    old, new = reading(seed), reading(seed, WITHOUT_NORM)
    assert len(old) == len(new) == 1 + 12
    assert (new[1:4, 0] > 1.2 * old[1:4, 0]).all() and (new[1:4, 2] > old[1:4, 2]).all()
    assert abs(new[-1, 3] - old[-1, 3]) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_02_2_with_1000_digits_near_0_sooner_and_wrong_twice_to_thrice(seed: int) -> None:
    old, new = reading(seed), reading(seed, FIRST_1000)
    assert new[12, 0] < 0.03 < old[6, 0]  # 120 steps, 600 steps
    assert 2 < (1 - new[-1, 3]) / (1 - old[-1, 3]) < 3


def test_02_3_without_the_correction_the_first_step_is_three_times_too_long() -> None:
    right = "m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)"
    only_one = ("enumerate((4.0, 4.0, -2.0)", "enumerate((4.0,)")
    c = run("02", ["theta, m, v = 1.0"], (right, "m_hat, v_hat = m, v"), only_one)
    first = 1 - c.theta
    assert first == pytest.approx(0.1 * (1 - 0.9) / np.sqrt(1 - 0.999), rel=1e-6)
    assert round(first, 3) == 0.316
    length = 1 - run("02", ["theta, m, v = 1.0"], only_one).theta
    assert first / length == pytest.approx(3, abs=0.2)


# --- 03 Convolution and its transpose -------------------------------------------------------------


def test_03_1_the_transpose_does_not_give_back_what_was_there() -> None:
    c = run("03", ["def cells(", "M = np.zeros((3, 7))"])
    back = c.M.T @ (c.M @ c.x)
    assert not np.allclose(back, c.x)
    assert not np.allclose(c.M.T @ c.M, np.eye(7))


def unevenness_of_two(first: int) -> tuple[float, float]:
    """Two layers, k = ``first`` and then 4: of their pictures, and of means of 2×2 pixels."""
    c = run(
        "03",
        ["def texture("],
        (
            "weight = np.abs(r.standard_normal((16, 1, kernel, kernel))) / kernel",
            f"between = mg.tensor(np.abs(r.standard_normal((16, 16, {first}, {first}))))\n"
            "    weight = np.abs(r.standard_normal((16, 1, kernel, kernel))) / kernel",
        ),
        (
            "F.conv_transpose2d(mg.tensor(np.abs(coarse)), mg",
            "F.conv_transpose2d("
            "F.conv_transpose2d(mg.tensor(np.abs(coarse)), between, stride=2), mg",
        ),
        ("for k_ in range(2, 9)", "for k_ in [3, 4]"),
    )
    halves = []
    for seed in range(50):
        picture = c.texture(4, 2, 1, seed)
        n = len(picture) // 4
        blocks = picture[: 4 * n, : 4 * n].reshape(2 * n, 2, 2 * n, 2).mean(axis=(1, 3))
        halves.append(c.unevenness(blocks))
    return c.mean_of[4], np.mean(halves)


def test_03_2_an_even_layer_enlarges_the_grid_of_the_one_before() -> None:
    alone = run("03", ["def texture("]).mean_of
    (uneven, coarse), (_, even) = unevenness_of_two(3), unevenness_of_two(4)
    assert uneven < 1.3 * alone[4] < 0.3 * alone[3]
    assert uneven == pytest.approx(0.2, abs=0.03)
    assert coarse == pytest.approx(0.06, abs=0.01)
    assert even == pytest.approx(0.01, abs=0.005)


def test_03_3_to_resize_and_then_convolve_is_even() -> None:
    c = run(
        "03",
        ["def texture("],
        ("F.conv_transpose2d(mg.tensor(np.abs(coarse)), mg.tensor(weight), **layer)",
         "F.conv2d(mg.tensor(np.abs(coarse).repeat(2, 2).repeat(2, 3)),"
         " mg.tensor(weight.swapaxes(0, 1)), padding=1)"),
    )  # fmt: skip
    assert c.mean_of[3] < 0.01
    flat = np.ones((1, 16, 12, 12))
    weight = mg.backend.generator(0).standard_normal((1, 16, 3, 3))
    assert c.unevenness(F.conv2d(mg.tensor(flat), mg.tensor(weight)).numpy()[0, 0]) < 1e-12


# --- 04 The GAN game ------------------------------------------------------------------------------


def game(start: float, *changes: tuple[str, str], head_start: bool = False) -> Any:
    """Section 7 up to play(), where G starts at b = ``start``."""
    return run(
        "04",
        ["x = np.linspace(-4, 5, 500)", "MU, SIGMA = ... mg.manual_seed", "def play( ... steps = "],
        ("generator(1.0, -5.0)", f"generator(1.0, {start})"),
        *([] if head_start else [("HEAD_START = 50 if FAST else 500", "HEAD_START = 0")]),
        *changes,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_04_1_minimax_arrives_three_times_later(seed: int) -> None:
    c = game(-2.0)
    arrives = []
    for loss, steps in ((c.losses.minimax, 800), (c.losses.non_saturating, 300)):
        near = abs(c.play(loss, seed, steps)[:, 0] - c.MU) < 0.1
        assert near.any()
        arrives.append(near.argmax())
    assert arrives[0] > 3 * arrives[1]
    assert arrives[0] == pytest.approx(680, abs=40) and arrives[1] == pytest.approx(200, abs=20)


@pytest.mark.parametrize("seed", SEEDS)
def test_04_2_more_steps_of_the_discriminator_change_hardly_anything(seed: int) -> None:
    line = "        stats = training.discriminator_step(g, d, game, d_optimizer, *batch(rng, 128))"
    wide = ("np.linspace(-4, 4, 401)", "np.linspace(-8, 4, 401)")  # where the samples are
    paths, errors = [], []
    for times in (1, 5):
        c = game(-3.0, wide, (line, f"        for _ in range({times}):\n    {line}"))

        def watch(step: int, g: Any, d: Any, c: Any = c) -> None:
            if step % 100 == 99:
                p, q = c.normal(c.grid, c.MU, c.SIGMA), c.q_of(g)
                errors.append(np.average(abs(c.answers(d) - p / (p + q)), weights=q))

        paths.append(c.play(c.losses.minimax, seed, 1500 if TIER == "all" else 300, watch)[:, 0])
    assert max(errors) < 0.05
    way = paths[0][-1] - paths[0][0]
    assert way > 1
    assert abs(paths[0] - paths[1]).max() < 0.1 * way


def test_04_3_a_mixture_has_two_answers_by_the_start_not_by_the_loss() -> None:
    data = (
        'MU + SIGMA * rng.standard_normal((n, 1), dtype="float32")',
        'rng.choice(np.float32([-2, 2]), (n, 1)) + 0.5 * rng.standard_normal((n, 1), "float32")',
    )
    for start in (-2.5, 0.5):
        c = game(start, data, head_start=True)
        for loss in (c.losses.minimax, c.losses.non_saturating):
            b, a = c.play(loss, 0, 1500 if TIER == "all" else 300)[-1, :2]
            if start == -2.5:
                assert abs(b + 2) < 0.15 and a < 0.75  # one of the two
            else:
                assert abs(b) < 1 and a > 1.8  # over both
