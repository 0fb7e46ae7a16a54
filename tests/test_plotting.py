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


def coloured(n: int, h: int = 3, w: int = 4) -> np.ndarray:
    """n pictures in colour, (n, 3, h, w), each channel different from the others."""
    grey = pictures(n, h, w)
    return np.stack([grey, grey + 100, 255 - grey], axis=1)


def test_a_grid_takes_grey_and_colour() -> None:
    images = pictures(5)
    assert (plotting.grid(images[:, None], 2) == plotting.grid(images, 2)).all()
    canvas = plotting.grid(coloured(5), 2)
    assert canvas.shape == (17, 14, 3) and canvas.dtype == np.uint8
    for channel in range(3):
        one = plotting.grid(coloured(5)[:, channel], 2)
        assert (canvas[..., channel] == one).all()


@pytest.mark.parametrize(
    ("images", "error", "part"),
    [
        (np.zeros((2, 3, 4)), TypeError, "images must be a NumPy array of uint8, .* got float64"),
        (pictures(4)[0], ValueError, r"got \(3, 4\); give one picture as images\[None\]"),
        (pictures(2)[:0], ValueError, r"N >= 1 .* got \(0, 3, 4\)"),
        (np.zeros((2, 2, 4, 4), "uint8"), ValueError, r"C = 1 or 3, got \(2, 2, 4, 4\)$"),
        (np.zeros((2, 8, 8, 3), "uint8"), ValueError, r"images.transpose\(0, 3, 1, 2\)"),
    ],
)
def test_what_is_no_picture_is_refused(
    images: Any, error: type[Exception], part: str, tmp_path: Path
) -> None:
    for call in (
        lambda: plotting.grid(images),
        lambda: plotting.save_grid(images, tmp_path / "grid.png"),
    ):
        with pytest.raises(error, match=part):
            call()
    assert list(tmp_path.iterdir()) == []


# --- save_grid ------------------------------------------------------------------------------------


def test_a_saved_grid_is_the_grid_three_times_enlarged(tmp_path: Path) -> None:
    images = pictures(5)
    plotting.save_grid(images, tmp_path / "grid.png", columns=2)
    canvas = plotting.grid(images, 2)
    saved = read(tmp_path / "grid.png")
    assert saved.dtype == np.uint8 and saved.shape == (3 * canvas.shape[0], 3 * canvas.shape[1])
    for dy, dx in itertools.product(range(3), range(3)):
        assert (saved[dy::3, dx::3] == canvas).all()


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((3, 3, 32, 32), 3), ((2, 1, 63, 20), 3), ((2, 64, 20), 1), ((4, 3, 20, 96), 1)],
)
def test_a_saved_grid_of_any_size_and_in_colour(
    shape: tuple[int, ...], scale: int, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    plotting.save_grid(images, tmp_path / "grid.png")
    saved, canvas = read(tmp_path / "grid.png"), plotting.grid(images)
    assert (saved == canvas.repeat(scale, axis=0).repeat(scale, axis=1)).all()


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


@pytest.mark.parametrize(("size", "shown"), [(20, 48), (64, 68)])
def test_an_animation_in_colour(size: int, shown: int, tmp_path: Path) -> None:
    """Small pictures are doubled in it, pictures that were not enlarged stay as they are."""
    colours = [(255, 0, 0), (0, 128, 255), (7, 8, 9), (0, 0, 0)]
    paths = [tmp_path / f"{i}.png" for i in range(len(colours))]
    for path, colour in zip(paths, colours, strict=True):
        image = np.tile(np.array(colour, "uint8")[None, :, None, None], (1, 1, size, size))
        plotting.save_grid(image, path)
    assert plotting.save_animation(paths, tmp_path / "film.gif") == []
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.size == (shown, shown) and gif.n_frames == len(colours)
        for i, colour in enumerate(colours):
            gif.seek(i)
            frame = gif.convert("RGB")
            assert frame.getpixel((shown // 2, shown // 2)) == colour
            assert frame.getpixel((0, 0)) == (GAP_GREY,) * 3


def test_a_picture_of_64_pixels_keeps_every_pixel_in_the_animation(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    plotting.save_grid(image, tmp_path / "a.png")
    plotting.save_animation([tmp_path / "a.png"], tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as gif:
        assert (np.asarray(gif.convert("L")) == plotting.grid(image)).all()


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


PERFECT = {"d_loss": 2 * math.log(2), "d_real": 0.5, "d_fake": 0.5, "of another model": 9.0}


def drawn_curves(
    rows: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> dict[str, Any]:
    """The panels by their titles."""
    figures: list[Any] = []
    monkeypatch.setattr(plotting, "_save_figure", lambda figure, path: figures.append(figure))
    plotting.save_curves(rows, Path("curves.png"), "", **options)
    return {axes.get_title(): axes for axes in figures[0].axes}


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_curves_have_a_panel_for_each_kind_of_column(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = history(5)
    panels = drawn_curves(rows, monkeypatch)
    assert list(panels) == ["losses", "measured", "gradient norms"]
    assert legend(panels["losses"]) == ["discriminator", "generator"]
    assert legend(panels["measured"]) == ["D on data", "D on samples"]
    assert legend(panels["gradient norms"]) == ["discriminator", "generator"]
    scales = {name: axes.get_yscale() for name, axes in panels.items()}
    assert scales == {"losses": "linear", "measured": "linear", "gradient norms": "log"}
    for axes, columns in zip(
        panels.values(),
        (("d_loss", "g_loss"), ("d_real", "d_fake"), ("d_grad_norm", "g_grad_norm")),
        strict=True,
    ):
        for line, column in zip(axes.lines, columns, strict=True):
            assert line.get_xdata().tolist() == [row["step"] for row in rows]
            assert line.get_ydata().tolist() == [row[column] for row in rows]


def test_curves_of_any_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that nobody foresaw have their own names, and a panel without columns is left out."""
    columns = ("encoder_loss", "d7_loss", "e_grad_norm")
    rows = [{"step": i, "epoch": i / 2} | dict.fromkeys(columns, 1.0 + i) for i in range(4)]
    panels = drawn_curves(rows, monkeypatch)
    assert list(panels) == ["losses", "gradient norms"]
    assert legend(panels["losses"]) == ["encoder_loss", "d7_loss"]
    assert legend(panels["gradient norms"]) == ["e_grad_norm"]
    many = {f"d{i}_loss": float(i) for i in range(12)}
    (axes,) = drawn_curves(
        [{"step": i, "epoch": 0.0} | many for i in range(3)], monkeypatch
    ).values()
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == len(many)


@pytest.mark.parametrize("references", [{}, PERFECT])
def test_curves_show_what_a_perfect_generator_would_hold(
    references: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    panels = drawn_curves(history(3), monkeypatch, references=references)
    flat = {
        name: [line.get_ydata()[0] for line in axes.lines if line.get_color() == plotting.GREY]
        for name, axes in panels.items()
    }
    expected = {"losses": [2 * math.log(2)], "measured": [0.5], "gradient norms": []}
    assert flat == (expected if references else {name: [] for name in expected})
    low, high = panels["measured"].get_ylim()
    assert low < 0.5 < high


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 3])
def test_curves_of_what_is_not_finite(value: float, n: int, tmp_path: Path) -> None:
    rows = [{name: v if name == "step" else value for name, v in row.items()} for row in history(n)]
    plotting.save_curves(rows, tmp_path / "curves.png", "", references=PERFECT)
    assert read(tmp_path / "curves.png").shape[:2] == (408, 1320)


def test_curves_of_one_row_show_a_point(tmp_path: Path) -> None:
    plotting.save_curves(history(1), tmp_path / "curves.png", "")
    pixels = read(tmp_path / "curves.png")[..., :3].astype(int)
    plotting.save_curves([history(1)[0] | {"g_grad_norm": math.nan}], tmp_path / "curves.png", "")
    without = read(tmp_path / "curves.png")[..., :3].astype(int)
    orange = [(np.abs(p - (0xD5, 0x5E, 0x00)).sum(axis=2) < 30).sum() for p in (pixels, without)]
    assert orange[0] > orange[1]


def test_curves_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beside step and epoch, got no rows"):
        plotting.save_curves([], tmp_path / "curves.png", "")
    with pytest.raises(ValueError, match="got the columns step, epoch"):
        plotting.save_curves([{"step": 1, "epoch": 1.0}], tmp_path / "curves.png", "")


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
        drawn.append((images[:, 0, 0, 0].tolist(), columns))
        return grid(images, columns)

    monkeypatch.setattr(plotting, "grid", watched)
    levels = np.arange(7, dtype="uint8").repeat(784).reshape(7, 28, 28)
    distances = np.array([3.0, 1.0, 2.0, 1.0])
    path = tmp_path / "nearest.png"
    plotting.save_neighbours(levels, 10 + levels[:4], distances, path, most=3)
    assert drawn == [([0, 1, 2, 10, 11, 12], 3), ([1, 3, 2, 11, 13, 12], 3)]
    assert read(path).shape[:2] == (432, 1200)


def test_neighbours_in_colour(tmp_path: Path) -> None:
    samples = np.zeros((5, 3, 32, 32), "uint8")
    samples[:, 0] = 250
    path = tmp_path / "nearest.png"
    plotting.save_neighbours(samples, samples[:4], np.arange(4.0), path)
    reds = (read(path)[..., :3] == (250, 0, 0)).all(axis=2).sum()
    assert reds > 100 * 100
    with pytest.raises(TypeError, match="neighbours must be a NumPy array of uint8, .* got float"):
        plotting.save_neighbours(samples, samples[:4] / 255, np.arange(4.0), path)


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
