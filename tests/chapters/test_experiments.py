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


class Noted(ast.NodeTransformer):
    """Assertions do not end a run: changed code may break them, or lack a name, which is noted."""

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        words = ast.unparse(node.test)
        noted = f"try:\n assert {words}\nexcept Exception:\n broken.append({words!r})"
        return ast.parse(noted).body[0]


def run(chapter: str, cells: list[str], *changes: tuple[str, str]) -> SimpleNamespace:
    """The names that a chapter's cells leave behind after these changes, and ``broken``: what
    they assert and what is not so.

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
    names: dict[str, Any] = {"broken": []}
    for i, source in sorted(picked.items()):
        tree = ast.fix_missing_locations(Noted().visit(ast.parse(source)))
        exec(compile(tree, f"{path.name}, code cell {i}", "exec"), names)
    return SimpleNamespace(**names)


def the_one(sources: list[str], words: str) -> int:
    """The only source with these words, which must stand there once."""
    counts = [source.count(words) for source in sources]
    if sum(counts) != 1:
        raise LookupError(f"stands {sum(counts)} times in the cells, not once: {words!r}")
    return counts.index(1)


def long(test: Any) -> Any:
    """Left out of `make test`: it takes more than ten seconds."""
    return test if TIER == "all" else None


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in full, in an empty folder, and show no figure."""
    monkeypatch.delenv("MINIGAN_FAST", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plotting, "show", lambda figure, alt: None)
    with matplotlib.rc_context():
        yield


def test_every_experiment_is_here() -> None:
    numbers = {f"{path.name[:2]}_{i}" for path in CHAPTERS.glob("*.ipynb") for i in (1, 2, 3)}
    tested = {name[5:9] for name in globals() if re.match(r"test_\d\d_\d_", name)}
    assert numbers - tested == {"06_1"}  # five minutes of training, to be looked at


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


# --- 00 Start here --------------------------------------------------------------------------------

PRETRAINED = "gan = mg.models.pretrained()"


def test_00_1_an_untrained_network_draws_grey_squares() -> None:
    c = run("00", [PRETRAINED], ("mg.models.pretrained()", "mg.models.HalfDCGAN()"))
    assert c.digits.shape == (60, 1, 28, 28)
    assert abs(c.digits.astype(int) - 127).max() <= 5
    (broken,) = c.broken
    assert "sure" in broken


def test_00_2_thirty_steps_are_small_and_lead_to_another_shape() -> None:
    c = run("00", [PRETRAINED, "walk = explore."], ("rows, steps = 6, 10", "rows, steps = 2, 30"))
    assert c.largest < 4  # of 255 grey levels
    assert (c.difference(c.paths[:, 0], c.paths[:, -1]) > 20).all()


def spots(seed: int, rounds: int, *changes: tuple[str, str]) -> tuple[int, float]:
    """Of section 4: spots found, and the share of points in one."""
    c = run("00", ["ring = toy.ring8( ... rounds = "], *changes)
    points = c.train(seed, rounds, [rounds])[rounds]
    return c.count_modes(points, c.ring.centers, c.ring.sigma)


D_AS_SLOW_AS_G = ("discriminator.parameters(), lr=3e-3", "discriminator.parameters(), lr=1e-3")


def test_00_3_with_a_slower_discriminator_few_points_in_few_spots() -> None:
    slow = [spots(seed, 1000, D_AS_SLOW_AS_G) for seed in (range(5) if TIER == "all" else [0])]
    assert all(share < 0.3 for _, share in slow)  # the chapter asserts more than 0.5 for its own
    assert sum(1 <= modes <= 3 for modes, _ in slow) > len(slow) / 2


@long
def test_00_3_with_3000_rounds_the_end_depends_on_the_seed() -> None:
    modes, shares = zip(*(spots(seed, 3000, D_AS_SLOW_AS_G) for seed in range(5)), strict=True)
    assert min(modes) <= 3 and max(modes) == 8
    assert max(shares) > 1.5 * min(shares)


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
    line = "        stats = discriminator_step(g, d, game, d_optimizer, *batch(rng, 128))"
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


# --- 05 An MLP GAN on MNIST -----------------------------------------------------------------------

DIGITS, RULER = "every_byte = np.arange(256", "N_EVAL = 200 ... STEPS = "


@long
def test_05_1_to_dense_layers_shuffled_pixels_are_no_worse() -> None:
    c = run("05", [DIGITS, RULER])
    order = mg.backend.generator(0).permutation(784)
    fids = []
    for there, back in ((np.arange(784), np.arange(784)), (order, np.argsort(order))):
        mg.manual_seed(0)
        model = c.models.MLPGAN()
        pictures = c.images.reshape(-1, 784)[:, there].reshape(c.images.shape)
        trainer = c.training.Trainer(model, model.batches(pictures, None, 128))
        for _ in range(1000):
            trainer.step()
        samples = model.sample(c.N_EVAL, seed=0)
        fids.append(c.clf_fid(samples.reshape(-1, 784)[:, back].reshape(samples.shape)))
    assert max(fids) < 20  # far from the 52 of untrained nets
    assert fids[1] == pytest.approx(fids[0], rel=0.15)


@long
def test_05_2_minimax_comes_out_of_its_hole_without_dropout() -> None:
    trainer = "        run = training.Trainer(player, "
    c = run(
        "05",
        [DIGITS, RULER, "SHORT = 20 if FAST"],
        ("in (losses.non_saturating, losses.minimax)", "in (losses.minimax,)"),
        (
            trainer,
            "        player.discriminator[3].p = player.discriminator[6].p = 0.0\n" + trainer,
        ),
    )
    assert len(c.runs) == 3
    for one in c.runs.values():
        assert one["answer"].min() < 0.1
        assert one["answer"][-50:].mean() > 0.3
        assert one["fid"][400] < 0.8 * one["fid"][50]


def test_05_3_with_a_sigmoid_too_many_the_loss_sits_at_log_4() -> None:
    c = run("05", [DIGITS, "floor_of_mistake = "])
    model = c.models.MLPGAN()
    model.discriminator = mg.nn.Sequential(*model.discriminator, mg.nn.Sigmoid())
    trainer = c.training.Trainer(model, model.batches(c.images, None, 128))
    log = [trainer.fetch(trainer.step())["d_loss"] for _ in range(400 if TIER == "all" else 120)]
    assert min(log) > c.floor_of_mistake > 1.006
    assert np.mean(log[-10:]) == pytest.approx(np.log(4), abs=0.01)


# --- 06 DCGAN -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [4, 5])
def test_06_2_an_untrained_kernel_of_5_has_its_checkerboard(kernel: int) -> None:
    larger = [
        (
            "nn.ConvTranspose2d(wide, width, 4, 2, 1, bias",
            "nn.ConvTranspose2d(wide, width, 5, 2, 2, 1, bias",
        ),
        ("nn.ConvTranspose2d(width, 1, 4, 2, 1)", "nn.ConvTranspose2d(width, 1, 5, 2, 2, 1)"),
    ]
    c = run("06", ["class Variant( ... for ours, theirs"], *(larger if kernel == 5 else []))
    found = []
    for seed in range(40):
        mg.manual_seed(seed)
        variant = c.Variant()
        with mg.no_grad():
            x = variant.generator(variant.latents(500)).numpy()[:, 0]
        assert x.shape == (500, 28, 28)
        v = x.var(axis=0)[4:-4, 4:-4]
        found.append([v[i::2, j::2].mean() for i in (0, 1) for j in (0, 1)])
    mean = np.mean(found, axis=0)
    if kernel == 5:
        assert 25 * mean / mean.sum() == pytest.approx([9, 6, 6, 4], abs=0.5)
        assert all(np.argmax(row) != 3 and np.argmin(row) != 0 for row in found)
    else:
        assert mean / mean.mean() == pytest.approx([1, 1, 1, 1], abs=0.1)
        spread = np.ptp(found, axis=1) / np.mean(found, axis=1)
        assert spread.mean() == pytest.approx(1 / 3, abs=0.1)
        assert {0, 1, 2, 3} == set(np.argmax(found, axis=1))


@pytest.mark.parametrize("player", ["shipped", "trained"] if TIER == "all" else ["shipped"])
def test_06_3_with_more_mates_the_pictures_differ_less_but_do(player: str) -> None:
    made = {
        "shipped": "model = models.pretrained()",
        "trained": "model = models.HalfDCGAN()\ntrain(model, STEPS)",  # as in section 3
    }[player]

    def apart(n: int) -> float:
        c = run(
            "06",
            ["STEPS = 15 if FAST ... floor = ", "def first_of( ... apart = "],
            (
                "one = model.fixed[:1].numpy()",
                f"mg.manual_seed(0)\n{made}\nG = model.generator\none = model.latents(1).numpy()",
            ),
            (
                "[z[surest[:7, k]] for k in range(10)]",
                f"[model.latents({n}).numpy() for _ in range(10)]",
            ),
        )
        assert np.ptp(c.in_eval.astype(int), axis=0).max() <= 1
        return c.in_training.std(axis=0).mean()

    few, many = apart(7), apart(63)
    assert 0 < many < few / 2
    assert many / few == pytest.approx(np.sqrt(8 / 64), rel=0.4)


# --- 07 When it fails -----------------------------------------------------------------------------

XY = "def orbit( ... figure, axes"


def test_07_1_small_steps_spiral_slowly() -> None:
    small = ("lr, steps, start = 0.2, 60", "lr, steps, start = 0.02, 600")
    c, before = run("07", [XY], small), run("07", [XY])
    assert c.broken == []  # equations (2) and (3) hold
    assert (np.diff(c.radius2) > 0).all()
    assert c.radius2[0] == 1.25
    assert c.radius2[-1] == pytest.approx(1.25 * 1.0004**600, rel=1e-9)
    assert f"{c.radius2[-1]:.2f}, {before.radius2[-1]:.1f}" == "1.59, 13.1"
    assert f"{c.radius2[-1] ** 0.5:.3f}, {before.radius2[-1] ** 0.5:.3f}" == "1.261, 3.626"


def test_07_2_more_penalty_crawls() -> None:
    cells = [XY, "def dirac( ... # Close to", "portraits = ("]
    c = run("07", cells, ('with R1", GAMMA', 'with R1", 2.0'))
    eigenvalues = np.linalg.eigvals(c.jacobian(*c.dirac(c.losses.minimax, 2.0)))
    assert np.isreal(eigenvalues).all()
    assert (
        max(eigenvalues.real)
        == pytest.approx(-1 + np.sqrt(3 / 4))
        == pytest.approx(-0.134, abs=5e-4)
    )
    assert np.ptp(np.unwrap(np.arctan2(*c.points.T))) < np.pi  # the third run
    radius, usual = c.ends["in turns, with R1"], run("07", cells).ends["in turns, with R1"]
    assert f"{radius:.0e}" == "4e-05"
    assert radius / usual == pytest.approx(15, abs=1)


def test_07_3_historical_averaging_by_its_strength() -> None:
    c = run("07", [XY, "def dirac( ... # Close to", "class Historical: ... steps = 400"])
    radius = {}
    for strength in (0.02, 0.1, 0.2):
        c.Historical.strength = strength
        path = c.orbit(c.down, c.up, (1.0, 0.5), 0.2, 400, True, optimizer=c.HistoricalSGD)
        radius[strength] = c.radii(path)[-1]
    assert radius[0.02] == pytest.approx(137, abs=0.5)
    assert [round(radius[strength], 3) for strength in (0.1, 0.2)] == [0.004, 0.016]


# --- 08 Measuring a GAN ---------------------------------------------------------------------------

LADDER = "LADDER = { ... rows = {"


def test_08_1_digits_moved_by_one_pixel_and_by_three() -> None:
    c = run("08", [LADDER])
    here, one, three = (c.measure(np.roll(c.real, n, axis=3), c.reference)[0] for n in (0, 1, 3))
    assert [m["parzen"] for m in (here, one)] == pytest.approx([83, 25], abs=0.5)
    assert [m["clf_fid"] for m in (here, one, three)] == pytest.approx([1.5, 2.3, 7.2], abs=0.05)
    assert three["precision"] == pytest.approx(0.41, abs=0.01)


def test_08_2_precision_and_recall_mean_nothing_without_their_k() -> None:
    c = run("08", [LADDER])
    real, test = (c.metrics.features(pictures) for pictures in (c.real, c.test[: c.N]))
    expected = {1: (0.55, 0.6), 3: (0.85, 0.87), 10: (0.98, 0.98)}
    for k, both in expected.items():
        found = c.metrics.precision_recall(test, real, k)
        assert found == pytest.approx(both, abs=0.01)


def test_08_3_the_line_through_clf_fid_meets_infinity_near_0() -> None:
    c = run("08", [LADDER, "def frechet(x, y): ... figure, (left"])
    means = c.clf_fid.mean(axis=1)
    slope, end = np.polyfit(1 / c.digit_sizes, means, 1)
    assert abs(end) < 0.05 < means.min()
    assert np.allclose(slope / c.digit_sizes + end, means, atol=0.05)  # the line is straight
