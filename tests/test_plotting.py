"""Pictures of a run, to the pixel."""

import base64
import io
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

import minigan as mg
from minigan import plotting

pytestmark = pytest.mark.on_the_host("draws pictures, touches no array library")

GAP_GREY = 96


def pictures(n: int, h: int = 3, w: int = 4) -> np.ndarray:
    """n pictures, all pixels different from their neighbours' and from the gap's grey."""
    flat = np.arange(n * h * w, dtype=np.uint64) * 37 % 90
    return flat.reshape(n, h, w).astype(np.uint8)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# --- grid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "columns", "shape"),
    [(1, 1, (1, 1)), (2, 2, (1, 2)), (3, 2, (2, 2)), (4, 2, (2, 2)), (5, 3, (2, 3)),
     (9, 3, (3, 3)), (10, 4, (3, 4)), (64, 8, (8, 8))],
)  # fmt: skip
def test_grids_are_about_square(n: int, columns: int, shape: tuple[int, int]) -> None:
    canvas = plotting.grid(pictures(n))
    assert canvas.dtype == np.uint8
    assert canvas.shape == (shape[0] * 5 + 2, shape[1] * 6 + 2)
    assert (canvas == plotting.grid(pictures(n), columns)).all()


@pytest.mark.parametrize("gap", [0, 1, 2, 5])
@pytest.mark.parametrize(("n", "columns"), [(6, 3), (7, 3), (4, 1), (3, 5)])
def test_each_picture_is_where_it_belongs(n: int, columns: int, gap: int) -> None:
    images = pictures(n)
    canvas = plotting.grid(images, columns, gap)
    rows = -(-n // columns)
    assert canvas.shape == (rows * (3 + gap) + gap, columns * (4 + gap) + gap)
    rest = np.ones(canvas.shape, bool)
    for i in range(n):
        top, left = gap + (i // columns) * (3 + gap), gap + (i % columns) * (4 + gap)
        assert (canvas[top : top + 3, left : left + 4] == images[i]).all(), i
        rest[top : top + 3, left : left + 4] = False
    assert (canvas[rest] == GAP_GREY).all()  # the gaps, and the places that stay free


def test_a_grid_changes_nothing_it_was_given() -> None:
    images = pictures(4)
    before = images.copy()
    plotting.grid(images)[:] = 0
    assert (images == before).all()


# --- save_grid ------------------------------------------------------------------------------------


def test_a_saved_grid_is_the_grid_three_times_enlarged(tmp_path: Path) -> None:
    images = pictures(5)
    plotting.save_grid(images, tmp_path / "grid.png", columns=2)
    canvas = plotting.grid(images, 2)
    saved = read(tmp_path / "grid.png")
    assert saved.dtype == np.uint8 and saved.shape == (3 * canvas.shape[0], 3 * canvas.shape[1])
    for dy, dx in itertools.product(range(3), range(3)):
        assert (saved[dy::3, dx::3] == canvas).all()


def test_a_saved_grid_has_no_clock_in_it(tmp_path: Path) -> None:
    images = pictures(5)
    for name in ("a", "b"):
        plotting.save_grid(images, tmp_path / name)
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    assert b"tIME" not in content and b"tEXt" not in content
    images[0, 0, 0] ^= 1
    plotting.save_grid(images, tmp_path / "c")
    assert content != (tmp_path / "c").read_bytes()


# --- save_feature_maps ----------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_feature_maps_have_a_panel_each(layers: int, tmp_path: Path) -> None:
    maps = np.zeros((20, 4, 4), "float32")
    maps[:, 0, 0] = 1.0
    chosen = [(f"layer {i}", maps[: 20 - 19 * (i == 2)]) for i in range(layers)]
    plotting.save_feature_maps(chosen, tmp_path / "maps.png", "a title")
    with Image.open(tmp_path / "maps.png") as image:
        assert image.format == "PNG" and image.size == (312 * layers, 444)
        pixels = np.asarray(image.convert("L")).astype(int)
    grey = (np.abs(pixels - GAP_GREY) <= 3).sum(axis=0)  # the gaps between the maps
    assert [bool((panel > 40).any()) for panel in np.split(grey, layers)] == [True] * layers
    assert pixels.min() == 0 and pixels.max() == 255


def test_feature_maps_of_one_value(tmp_path: Path) -> None:
    plotting.save_feature_maps([("flat", np.ones((2, 3, 3), "float32"))], tmp_path / "m.png", "")
    assert read(tmp_path / "m.png").shape[:2] == (444, 312)


# --- save_animation -------------------------------------------------------------------------------


def frames(folder: Path, n: int) -> list[Path]:
    paths = []
    for i in range(n):
        paths.append(folder / f"epoch_{i:04d}.png")
        plotting.save_grid(np.full((1, 20, 20), 3 * i, np.uint8), paths[-1])
    return paths


@pytest.mark.parametrize(
    ("n", "most", "shown"),
    [(1, 60, [0]), (2, 60, [0, 1]), (5, 60, [0, 1, 2, 3, 4]), (5, 5, [0, 1, 2, 3, 4]),
     (7, 4, [0, 2, 4, 6]), (6, 3, [1, 3, 5]), (8, 1, [7])],
)  # fmt: skip
def test_animations(n: int, most: int, shown: list[int], tmp_path: Path) -> None:
    path = tmp_path / "training.gif"
    plotting.save_animation(frames(tmp_path, n), path, most)
    with Image.open(path) as gif:
        assert gif.format == "GIF"
        assert gif.size == (48, 48)  # (20 + 2·2)·3 pixels, two thirds of them
        assert getattr(gif, "n_frames", 1) == len(shown)
        durations, greys = [], []
        for i in range(len(shown)):
            gif.seek(i)
            durations.append(gif.info["duration"])
            greys.append(gif.convert("L").getpixel((24, 24)))
        each = {1: 0, 2: 1500, 3: 1000, 4: 750, 5: 600}[len(shown)]
        assert durations == [each] * (len(shown) - 1) + [1500]
        assert greys == [3 * i for i in shown]  # the last frame is always among them
        assert len(shown) == 1 or gif.info["loop"] == 0  # for ever


def test_a_long_animation_is_not_slow(tmp_path: Path) -> None:
    plotting.save_animation(frames(tmp_path, 40), tmp_path / "training.gif")
    with Image.open(tmp_path / "training.gif") as gif:
        assert gif.n_frames == 40 and gif.info["duration"] == 120


def test_an_animation_of_nothing_writes_nothing(tmp_path: Path) -> None:
    plotting.save_animation([], tmp_path / "training.gif")
    assert list(tmp_path.iterdir()) == []


# --- save_curves ----------------------------------------------------------------------------------


def history(n: int) -> list[dict[str, float]]:
    return [
        {"step": 50 * i, "epoch": i / 2, "d_loss": 1.4 - i / n, "g_loss": 0.7 + i / n,
         "d_real": 0.5 + 0.4 * i / n, "d_fake": 0.5 - 0.4 * i / n, "d_grad_norm": 100.0 + i,
         "g_grad_norm": 1.0 / i}
        for i in range(1, n + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 500])
def test_curves(n: int, tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    plotting.save_curves(history(n), path, "a title")
    with Image.open(path) as image:
        assert image.format == "PNG" and image.size == (1320, 408)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    if n > 1:
        for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):  # a curve in each panel
            hit = (np.abs(pixels - colour).sum(axis=2) < 30).any(axis=0)
            assert [bool(panel.any()) for panel in np.split(hit, 3)] == [True] * 3


@pytest.mark.parametrize("logistic", [True, False])
def test_curves_call_answers_what_they_are(
    logistic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are no probabilities, their losses no nats, and ½ and 2 log 2 mean nothing there."""
    drawn: list[Any] = []
    monkeypatch.setattr(plotting, "_save_figure", lambda figure, path: drawn.append(figure))
    rows = [row | {"d_real": 3.0, "d_fake": -2.0} for row in history(3)]
    save = plotting.save_curves if logistic else plotting.save_score_curves
    save(rows, tmp_path / "curves.png", "")
    losses, answers, _ = drawn[0].axes
    words = " ".join([losses.get_ylabel(), answers.get_title(), answers.get_ylabel()])
    for word in ("nats", "σ", "probability"):
        assert (word in words) == logistic
    assert ("score" in words) != logistic
    flat = [
        line.get_ydata()[0]
        for axes in (losses, answers)
        for line in axes.lines
        if line.get_label().startswith("_")
    ]
    assert flat == ([2 * math.log(2), 0.5] if logistic else [])
    low, high = answers.get_ylim()
    assert (low, high) == (0, 1) if logistic else low < -2 and high > 3


def test_curves_are_the_same_bytes_again_and_others_for_others(tmp_path: Path) -> None:
    for name, rows in (("a", history(20)), ("b", history(20)), ("c", history(21))):
        plotting.save_curves(rows, tmp_path / f"{name}.png", "a title")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("last", [3, 2_340, 18_720, 125_000, 1_000_000])
def test_the_steps_of_long_runs_do_not_run_into_each_other(
    last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(plotting, "_save_figure", lambda figure, path: drawn.append(figure))
    rows = [row | {"step": step} for row, step in zip(history(2), (1, last), strict=True)]
    plotting.save_curves(rows, tmp_path / "curves.png", "")
    drawn[0].draw_without_rendering()
    for axes in drawn[0].axes:
        labels = [tick for tick in axes.get_xticklabels() if tick.get_text()]
        assert len({tick.get_text() for tick in labels}) == len(labels)
        ends = [tick.get_window_extent() for tick in labels]
        assert all(a.x1 + 4 < b.x0 for a, b in itertools.pairwise(ends))


def test_a_title_may_have_letters_that_the_font_lacks(tmp_path: Path) -> None:
    plotting.save_curves(history(1), tmp_path / "curves.png", "/数字/\ufffd")
    assert math.prod(read(tmp_path / "curves.png").shape[:2]) == 1320 * 408


@pytest.mark.parametrize("norm", [0.0, 1e30])
def test_curves_of_odd_gradients(norm: float, tmp_path: Path) -> None:
    rows = [row | {"g_grad_norm": norm} for row in history(3)]
    plotting.save_curves(rows, tmp_path / "curves.png", "")
    assert math.prod(read(tmp_path / "curves.png").shape[:2]) == 1320 * 408


# --- Settings of others ---------------------------------------------------------------------------

SETTINGS = {"text.usetex": True, "lines.linewidth": 9, "savefig.format": "pdf"}


def test_settings_change_no_picture_and_stay_as_they_are(tmp_path: Path) -> None:
    plotting.save_curves(history(20), tmp_path / "plain.png", "a title")
    with matplotlib.rc_context(SETTINGS):
        before = dict(matplotlib.rcParams)
        plotting.save_curves(history(20), tmp_path / "set.png", "a title")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "set.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


DRAW = """
import os
from pathlib import Path
from minigan import plotting
plotting.save_curves({rows}, Path("curves.png"), "a title")
import matplotlib
print(os.environ["MPLBACKEND"], matplotlib.rcParams["backend"])
"""
INLINE = "module://matplotlib_inline.backend_inline"  # of every notebook's kernel


@pytest.mark.parametrize(
    ("named", "used"),
    [
        ("nonsense", "agg"),
        ("tkagg", "tkagg"),  # for which there need not be a screen
        (INLINE, INLINE),  # so that a notebook shows its figures afterwards
    ],
)
def test_a_named_backend_stops_no_picture(named: str, used: str, tmp_path: Path) -> None:
    variables = {"MPLBACKEND": named, "PYTHONPATH": str(Path(mg.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", DRAW.replace("{rows}", repr(history(20)))], cwd=tmp_path,
        env=os.environ | variables, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{named} {used}\n"), done.stderr
    plotting.save_curves(history(20), tmp_path / "plain.png", "a title")
    assert (tmp_path / "curves.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


# --- save_neighbours ------------------------------------------------------------------------------


def test_neighbours_stand_below_the_first_samples_and_the_closest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, drawn = plotting.grid, []

    def watched(images: np.ndarray, columns: int) -> np.ndarray:
        drawn.append((images[:, 0, 0].tolist(), columns))
        return grid(images, columns)

    monkeypatch.setattr(plotting, "grid", watched)
    levels = np.arange(7, dtype="uint8").repeat(784).reshape(7, 28, 28)
    distances = np.array([3.0, 1.0, 2.0, 1.0])
    path = tmp_path / "nearest.png"
    plotting.save_neighbours(levels, 10 + levels[:4], distances, path, most=3)
    assert drawn == [([0, 1, 2, 10, 11, 12], 3), ([1, 3, 2, 11, 13, 12], 3)]
    assert read(path).shape[:2] == (432, 1200)


# --- The chapters' figures ------------------------------------------------------------------------


def drawn(output: mg.Tensor, names: dict[str, mg.Tensor], **options: Any) -> dict[str, Any]:
    """The words of a drawn graph, and where they stand."""
    _, axes = plotting.panels()
    plotting.draw_graph(axes, output, names, **options)
    return {t.get_text(): t.get_position() for t in axes.texts if t.get_text()}


def test_a_graph_shows_values_gradients_and_slopes() -> None:
    x, y = (mg.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    a = x * y
    total = (a + x).exp() * 0.0 + a
    names = {"x": x, "y": y, "a": a}
    gradients = dict(
        zip(names, mg.grad(total, list(names.values()), create_graph=True), strict=True)
    )
    words = drawn(total, names, gradients=gradients, slopes=True)
    assert {"x = 2", "y = 3", "mul\na = 6", "add", "exp", "mul"} <= set(words)
    assert {"$\\bar{x}$ = 3", "$\\bar{y}$ = 2", "$\\bar{a}$ = 1"} <= set(words)
    assert {"0", "1", "2", "3", "2981"} <= set(words)  # e⁸
    assert words["x = 2"][0] < words["mul\na = 6"][0] < words["exp"][0]
    t = mg.tensor(np.ones((2, 3)), requires_grad=True)
    assert list(drawn(t, {"x": t})) == ["x (2, 3)"]


def test_no_two_nodes_stand_in_one_place() -> None:
    leaves = [mg.tensor(float(i), requires_grad=True) for i in range(4)]
    total = leaves[0] * leaves[1] + leaves[2] * leaves[3] + leaves[0] * leaves[3]
    assert total._node is not None
    at = plotting._layout(plotting._reachable([total._node]))
    assert len(at) == 9
    for one, other in itertools.combinations(at.values(), 2):
        assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) > 0.99


def test_graphs_that_cannot_be_drawn() -> None:
    _, axes = plotting.panels()
    with pytest.raises(ValueError, match="no input of it requires gradients"):
        plotting.draw_graph(axes, mg.tensor(1.0), {})
    x = mg.tensor(1.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="has freed"):
        plotting.draw_graph(axes, y, {}, slopes=True)


def test_a_shown_figure_has_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((*a, k)))
    figure, axes = plotting.panels(2, height=2.5)
    axes[0].plot([1, 2])
    plotting.show(figure, "a rising line")
    ((data, options),) = shown
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        assert image.format == "PNG" and image.size == (1040, 325)
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert data["text/plain"] == "a rising line" and options["raw"]
    assert capsys.readouterr().out == "Figure: a rising line\n"
    assert options["metadata"] == {"image/png": {"alt": "a rising line", "width": 800}}


def test_the_chapters_style() -> None:
    with matplotlib.rc_context():
        plotting.chapter_style()
        _, axes = plotting.panels()
        (line,) = axes.plot([1, 2])
        assert line.get_color() == plotting.BLUE and not axes.spines["top"].get_visible()
        # 8 inches are shown as 800 pixels, and a point is 1/72 of an inch.
        assert min(matplotlib.rcParams[k] for k in ("font.size", "xtick.labelsize")) / 72 * 100 > 13
