"""Layer 6: pictures: a run's grids, curves and animation, and what the chapters draw with."""

from __future__ import annotations

import base64
import contextlib
import io
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
from PIL import Image

from minigan import backend
from minigan.autograd import Node, Tensor, _reachable, no_grad
from minigan.checkpoint import write_atomic
from minigan.data import as_images
from minigan.data.png import decode

if TYPE_CHECKING:  # functions import it: that takes a third of a second, and a grid needs none
    from matplotlib.figure import Figure

__all__ = [
    "chapter_style", "draw_graph", "grid", "on_screen", "panels", "save_animation",
    "save_curves", "save_feature_maps", "save_grid", "save_neighbours", "show",
]  # fmt: skip

# Okabe and Ito's colours, told apart by readers with any kind of colour vision, and a grey.
BLUE, ORANGE, GREEN, PINK, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
GREY = "#7f7f7f"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY)


def grid(images: numpy.ndarray, columns: int | None = None, gap: int = 2) -> numpy.ndarray:
    """Pictures side by side on one canvas, row by row: uint8 (h, w), in colour (h, w, 3).

    Args:
        images: uint8 (n, C, H, W) or (n, H, W), as :func:`minigan.data.as_images` takes them.
        columns: how many pictures a row has, about √n by default.
        gap: how many pixels of grey stand between the pictures and around them.
    """
    images = as_images(images)
    n, c, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = numpy.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), 96, dtype="uint8")
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        canvas[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    return canvas[..., 0] if c == 1 else canvas


def on_screen(images: numpy.ndarray, columns: int | None = None) -> Image.Image:
    """The picture of :func:`grid` as a Pillow image to look at.

    Pictures of fewer than 64 pixels both ways are enlarged: each pixel is a sharp 3 × 3 square.
    """
    images = as_images(images)
    canvas = grid(images, columns)
    if max(images.shape[2:]) < 64:
        canvas = canvas.repeat(3, axis=0).repeat(3, axis=1)
    return Image.fromarray(canvas)


def save_grid(images: numpy.ndarray, path: Path, columns: int | None = None) -> None:
    """Write the image of :func:`on_screen` as a PNG that holds no date."""
    png = io.BytesIO()
    # Level 1 is fast: the usual level takes five times as long and saves a sixth of the bytes.
    on_screen(images, columns).save(png, format="PNG", compress_level=1)
    write_atomic(path, png.getvalue())


def save_animation(frames: Sequence[Path], path: Path, most: int = 60) -> list[str]:
    """Write PNGs of :func:`save_grid` as a looping GIF of at most ``most`` frames.

    The last frame is held longest; the others take three seconds together, or 0.12 s each if that
    is longer. Pictures that were enlarged three times are enlarged twice here, and a frame has at
    most 256 colours.

    Returns:
        A message for each frame that was left out because it is missing or damaged.
    """
    stride = max(1, math.ceil(len(frames) / most))
    pictures, problems = [], []
    for frame in frames[::-stride][::-1]:
        try:
            canvas = numpy.asarray(_read_png(frame))
        except ValueError as error:
            problems.append(f"{error}; left out of {path.name}")
        else:
            small = canvas[::3, ::3]
            if numpy.array_equal(small.repeat(3, axis=0).repeat(3, axis=1), canvas):
                canvas = small.repeat(2, axis=0).repeat(2, axis=1)
            pictures.append(Image.fromarray(canvas))
    if pictures:
        gif = io.BytesIO()
        durations = [max(120, 300 // len(pictures) * 10)] * (len(pictures) - 1) + [1500]
        pictures[0].save(
            gif,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            loop=0,
        )
        write_atomic(path, gif.getvalue())
    return problems


def _read_png(path: Path) -> Image.Image:
    """The picture in a file, its checksums checked; raises ValueError if there is none."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        return decode(path, path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error


def _import_matplotlib() -> Any:
    """Import matplotlib, even where MPLBACKEND names a backend that is not installed.

    A notebook's kernel sets MPLBACKEND for every process that it starts, and an import fails if the
    backend is missing. Nothing here draws on a screen, so it is left out of the import and, if it
    is there, set afterwards for others.
    """
    named = os.environ.pop("MPLBACKEND", None)
    try:
        first = "matplotlib" not in sys.modules
        import matplotlib
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    if first and named:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = named  # as the import would have done
    return matplotlib


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    """Draw with matplotlib's defaults, so that no user's settings change or end a run's pictures.

    A user's settings may ask for text set by LaTeX, for example, which may not be installed. They
    are in force again afterwards.
    """
    matplotlib = _import_matplotlib()
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        yield


def _figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of ``width`` by ``height`` inches that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def _save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG that holds no date, so that the same figure has the same bytes."""
    png = io.BytesIO()
    with warnings.catch_warnings():  # a folder's name may have letters that are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(png, dpi=120, metadata={"Software": None})
    write_atomic(path, png.getvalue())


#: The words for columns of history.csv in a legend; other columns keep their names there.
WORDS = {
    "d_loss": "discriminator",
    "g_loss": "generator",
    "d_grad_norm": "discriminator",
    "g_grad_norm": "generator",
    "d_real": "D on data",
    "d_fake": "D on samples",
}


@_defaults()
def save_curves(
    rows: Sequence[Mapping[str, float]],
    path: Path,
    title: str,
    references: Mapping[str, float] = {},
) -> None:
    """Write the columns of history.csv over the steps as one PNG: losses, the rest, gradient norms.

    Args:
        rows: the rows of any model's history, each with "step" and the same other columns. Columns
            that end in "_loss" share a panel, those that end in "_grad_norm" share another, and so
            do all others but "epoch".
        path: the file to write.
        title: a line above the panels.
        references: by column, the value that a perfect generator would give it, drawn as a thin
            grey line. In the game of Goodfellow et al. 2014, where D is then ½ everywhere, that is
            {"d_loss": 2 log 2, "d_real": 0.5, "d_fake": 0.5}.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    kinds: dict[str, list[str]] = {"losses": [], "measured": [], "gradient norms": []}
    for column in rows[0] if rows else ():
        if column.endswith("_loss"):
            kinds["losses"].append(column)
        elif column.endswith("_grad_norm"):
            kinds["gradient norms"].append(column)
        elif column not in ("step", "epoch"):
            kinds["measured"].append(column)
    shown = {name: columns for name, columns in kinds.items() if columns}
    if not shown:
        raise ValueError(
            "save_curves: expected rows with columns beside step and epoch, got "
            + (f"the columns {', '.join(rows[0])}" if rows else "no rows")
        )

    steps = [row["step"] for row in rows]
    figure = _figure(11 / 3 * len(shown), 3.4, title)
    drawn = figure.subplots(1, len(shown), sharex=True, squeeze=False)[0]
    for axes, (name, columns) in zip(drawn, shown.items(), strict=True):
        for value in {references[column] for column in columns if column in references}:
            axes.axhline(value, color=GREY, lw=0.8)
        for i, column in enumerate(columns):
            axes.plot(
                steps, [row[column] for row in rows],
                color=COLOURS[i % len(COLOURS)],
                linestyle=("-", "--", ":")[i // len(COLOURS) % 3],
                marker="." if len(rows) == 1 else "",  # one point makes no line
                lw=1, label=WORDS.get(column, column),
            )  # fmt: skip
        axes.set(title=name, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        if name == "gradient norms":
            axes.set(ylabel="‖gradient‖₂", yscale="log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
        axes.legend(fontsize=8, framealpha=0.7, edgecolor="none")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    _save_figure(figure, path)


@_defaults()
def save_neighbours(
    samples: numpy.ndarray,
    neighbours: numpy.ndarray,
    distances: numpy.ndarray,
    path: Path,
    most: int = 16,
) -> None:
    """Write samples above their nearest training images: the first ones, and the closest ones.

    Args:
        samples: uint8 (n, C, H, W) or (n, H, W).
        neighbours: k pictures of the same size, which belong to the first k <= n samples.
        distances: from each of these k samples to its neighbour, (k,), with pixels in [0, 1].
        path: the file to write.
        most: how many samples each of the two panels shows at most.
    """
    samples, neighbours = as_images(samples, "samples"), as_images(neighbours, "neighbours")
    k = len(neighbours)
    figure = _figure(10, 3.6, f"{k:,} samples, each above its nearest training image")
    panels = figure.subplots(2, 1)
    parts = (("the first", numpy.arange(k)), ("the closest", distances.argsort(kind="stable")))
    for axes, (name, order) in zip(panels, parts, strict=True):
        shown = order[:most]
        both = numpy.concatenate([samples[shown], neighbours[shown]])
        axes.imshow(grid(both, len(shown)), cmap="gray", vmin=0, vmax=255)
        low, high = distances[shown].min(), distances[shown].max()
        axes.set_title(f"{name} {len(shown)}, {low:.2f} to {high:.2f} apart", fontsize=9)
        axes.set_axis_off()
    _save_figure(figure, path)


@_defaults()
def save_feature_maps(
    layers: Sequence[tuple[str, numpy.ndarray]], path: Path, title: str, most: int = 16
) -> None:
    """Write a panel for each layer, a pair (name, maps (C, H, W)), with its first ``most`` maps.

    The smallest entry of a panel is black, its largest is white.
    """
    figure = _figure(2.6 * len(layers), 3.7, title)
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for axes, (name, maps) in zip(panels, layers, strict=True):
        c, h, w = maps.shape
        shown = maps[:most]
        low, high = shown.min(), shown.max()
        bright = (shown - low) / max(high - low, 1e-12) * 255
        axes.imshow(grid(bright.astype("uint8"), gap=1), cmap="gray", vmin=0, vmax=255)
        which = f"{len(shown)} of {c} maps" if c > 1 else "one map"
        axes.set_title(f"{name}\n{which}, {h}×{w}\n{low:.2f} to {high:.2f}", fontsize=9)
        axes.set_axis_off()
    _save_figure(figure, path)


# --- The chapters' figures ------------------------------------------------------------------------


def chapter_style() -> None:
    """Set matplotlib's defaults for this process to the chapters' figures.

    A figure is 8 inches wide and shown 800 pixels wide, on an opaque white ground of its own, so
    that it reads the same on a light page and on a dark one; its text is at least 13 pixels high.
    """
    matplotlib = _import_matplotlib()
    from cycler import cycler

    matplotlib.rcParams.update(
        {
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=[*COLOURS, GREY]),
            "lines.linewidth": 2,
            "image.cmap": "gray",
            "figure.facecolor": "white",
        }
    )


def panels(columns: int = 1, rows: int = 1, height: float = 3.0) -> tuple[Figure, Any]:
    """A figure 8 inches wide and ``height`` high, and its axes: one, or an array of them."""
    _import_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    return figure, figure.subplots(rows, columns)


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook, and below it ``alt``: words for readers who cannot see it.

    Few programs read out the alt text of an output's picture: nbconvert's template "classic" does,
    but neither JupyterLab 4.6 nor nbconvert's default template. So the words are printed as well,
    which all programs show. The PNG has 256 colours, which keeps notebooks small.
    """
    from IPython.display import display

    png, small = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=130)
    picture = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(small, format="PNG", optimize=True)
    display(
        {"image/png": base64.b64encode(small.getvalue()).decode(), "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": 800}},
        raw=True,
    )
    print(textwrap.fill(f"Figure: {alt}", 100))


def draw_graph(
    axes: Any,
    output: Tensor,
    names: Mapping[str, Tensor],
    *,
    gradients: Mapping[str, Tensor] | None = None,
    slopes: bool = False,
) -> None:
    """Draw the graph that ``output`` was recorded with, inputs on the left.

    Args:
        axes: the axes of matplotlib to draw in.
        output: the tensor whose graph is drawn.
        names: tensors by the name to draw them with. A scalar's value stands beside its name,
            another tensor's shape. Tensors without a name are drawn with their operation alone.
        gradients: by the same names, the gradients v̄ to write below the tensors.
        slopes: whether to write the derivative ∂c/∂v, which the recorded VJP gives, on each edge.
            All tensors must be scalars, and no backward may have freed the graph.

    Raises:
        ValueError: ``output`` has no graph.
        RuntimeError: ``slopes`` of a graph that a backward has freed.
    """
    root = output._node
    if root is None:
        raise ValueError("draw_graph: the output has no graph: no input of it requires gradients")
    nodes = _reachable([root])
    named = {t._node: (name, t) for name, t in names.items()}
    at = _layout(nodes)
    xs, ys = zip(*at.values(), strict=True)
    axes.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.75, max(ys) + 0.5))
    axes.set_axis_off()
    for node in nodes:
        x, y = at[node]
        lines = [] if node.leaf else [node.op]
        if node in named:
            name, t = named[node]
            lines.append(f"{name} = {t.item():.4g}" if t.size == 1 else f"{name} {t.shape}")
            if gradients is not None and name in gradients:
                g = gradients[name]
                value = f" = {g.item():.4g}" if g.size == 1 else f" {g.shape}"
                axes.annotate(
                    f"$\\bar{{{name}}}${value}", (x, y), (0, -22), textcoords="offset points",
                    color=ORANGE, ha="center", va="top", zorder=4,
                )  # fmt: skip
        face = "#d6eaf5" if node.leaf else "#eeeeee"
        box = {"boxstyle": "round,pad=0.35", "facecolor": face, "edgecolor": BLUE}
        axes.text(x, y, "\n".join(lines), ha="center", va="center", bbox=box, zorder=3)
        for i, parent in enumerate(node.parents):
            start = at[parent]
            bend = 0.15 if x - start[0] > 1 else 0.0  # around the nodes in between
            bend = (bend if start[1] < y else -bend) - 0.3 * node.parents[:i].count(parent)
            arrow = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 26, "shrinkB": 26, "lw": 1.5,
                     "connectionstyle": f"arc3,rad={bend}"}  # fmt: skip
            axes.annotate("", (x, y), start, arrowprops=arrow, zorder=2)
            if slopes:
                if node.vjps is None:
                    raise RuntimeError("draw_graph: slopes of a graph that a backward has freed")
                one = Tensor(backend.xp.ones(node.shape, node.dtype))
                with no_grad():
                    slope = node.apply(node.vjps[i], one).item()
                ends = axes.transData.transform([start, (x, y)])
                (across, up), middle = ends[1] - ends[0], ends.mean(axis=0)
                on_arc = middle + numpy.array([up, -across]) * bend / 2
                pad = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                axes.text(*axes.transData.inverted().transform(on_arc), f"{slope:.4g}", bbox=pad,
                          color=GREEN, ha="center", va="center", zorder=4)  # fmt: skip


def _layout(nodes: Sequence[Node]) -> dict[Node, tuple[float, float]]:
    """A place for each node, given in recorded order: right of its parents, near its neighbours."""
    column: dict[Node, int] = {}
    children: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        column[node] = 1 + max((column[p] for p in node.parents), default=-1)
        for parent in node.parents:
            children[parent].append(node)
    for node in nodes:  # a leaf stands just before its first use
        if not node.parents and children[node]:
            column[node] = min(column[c] for c in children[node]) - 1
    by_column = [[n for n in nodes if column[n] == i] for i in range(max(column.values()) + 1)]
    height = {n: -float(i) for group in by_column for i, n in enumerate(group)}
    for _ in range(8):
        for group in by_column:
            near = {n: [height[m] for m in (*n.parents, *children[n])] or [0.0] for n in group}
            wanted = {n: sum(hs) / len(hs) for n, hs in near.items()}
            group.sort(key=lambda n: -wanted[n])
            middle = sum(wanted.values()) / len(group)
            for i, n in enumerate(group):
                height[n] = middle + (len(group) - 1) / 2 - i
    return {n: (float(column[n]), height[n]) for n in nodes}
