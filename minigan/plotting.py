"""Layer 6: pictures of a run: grids of samples, training curves, an animation."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from PIL import Image

from minigan.checkpoint import write_atomic

if TYPE_CHECKING:  # what draws a figure imports it: a third of a second that a grid can do without
    from matplotlib.figure import Figure

__all__ = [
    "grid",
    "save_animation",
    "save_clouds",
    "save_curves",
    "save_feature_maps",
    "save_grid",
    "save_neighbours",
]

# Okabe and Ito's colours, told apart by readers with any kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#7f7f7f"


def grid(images: numpy.ndarray, columns: int | None = None, gap: int = 2) -> numpy.ndarray:
    """Pictures, uint8 (n, h, w), side by side on one uint8 canvas, row by row.

    Args:
        columns: about √n by default.
        gap: pixels of grey between the pictures and around them.
    """
    n, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = numpy.full((rows * (h + gap) + gap, columns * (w + gap) + gap), 96, dtype="uint8")
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        canvas[top : top + h, left : left + w] = image
    return canvas


def _enlarged(canvas: numpy.ndarray, scale: int) -> Image.Image:
    """Each pixel as a sharp square of scale × scale."""
    return Image.fromarray(canvas.repeat(scale, axis=0).repeat(scale, axis=1))


def save_grid(images: numpy.ndarray, path: Path, columns: int | None = None) -> None:
    """Write :func:`grid` as a PNG, three screen pixels to a pixel, without a clock in it."""
    png = io.BytesIO()
    # Fast: the usual level takes five times as long, for a sixth less.
    _enlarged(grid(images, columns), 3).save(png, format="PNG", compress_level=1)
    write_atomic(path, png.getvalue())


def save_animation(frames: Sequence[Path], path: Path, most: int = 60) -> list[str]:
    """Write PNGs as a looping GIF of at most ``most`` frames, the last one held longest.

    The others take three seconds together, or 0.12 s each if that is longer.

    Returns:
        What is wrong with the frames that are missing or damaged, and so were left out.
    """
    stride = max(1, math.ceil(len(frames) / most))
    pictures, problems = [], []
    for frame in frames[::-stride][::-1]:
        try:
            image = _read_png(frame)
        except ValueError as error:
            problems.append(f"{error}; left out of {path.name}")
        else:
            pictures.append(image.resize((image.width * 2 // 3, image.height * 2 // 3), 0))
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
    """The picture in a file, its checksums checked; ValueError if it cannot be had."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        content = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Image.open(io.BytesIO(content), formats=["PNG"]).verify()
            image = Image.open(io.BytesIO(content), formats=["PNG"])
            image.load()
    except Exception as error:  # Pillow raises whatever its reader happens to run into
        raise ValueError(f"{path}: damaged ({error})") from error
    return image


def _figure(width: float, height: float, title: str) -> Figure:
    """An empty figure, in inches, that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def _save_figure(figure: Figure, path: Path) -> None:
    """As a PNG without a clock in it."""
    png = io.BytesIO()
    figure.savefig(png, dpi=120, metadata={"Software": None})
    write_atomic(path, png.getvalue())


def save_curves(rows: Sequence[Mapping[str, float]], path: Path, title: str) -> None:
    """Write losses, D's answers and gradient norms over the steps as one PNG.

    ``rows`` are those of history.csv. The grey lines are where a perfect generator would hold the
    discriminator: D = ½ everywhere, so L_D = 2 log 2.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    steps = [row["step"] for row in rows]
    figure = _figure(11, 3.4, title)
    losses, answers, norms = figure.subplots(1, 3)

    losses.axhline(2 * math.log(2), color=GREY, lw=0.8)
    losses.plot(steps, [row["d_loss"] for row in rows], color=BLUE, lw=1, label="discriminator")
    losses.plot(steps, [row["g_loss"] for row in rows], color=ORANGE, lw=1, label="generator")
    losses.set(title="losses", xlabel="step", ylabel="nats")

    answers.axhline(0.5, color=GREY, lw=0.8)
    answers.plot(steps, [row["d_real"] for row in rows], color=BLUE, lw=1, label="on data")
    answers.plot(steps, [row["d_fake"] for row in rows], color=ORANGE, lw=1, label="on samples")
    answers.set(title="mean answer σ(D) of the discriminator", xlabel="step", ylim=(0, 1))
    answers.set(ylabel="probability “real”")

    norms.plot(steps, [row["d_grad_norm"] for row in rows], color=BLUE, lw=1, label="discriminator")
    norms.plot(steps, [row["g_grad_norm"] for row in rows], color=ORANGE, lw=1, label="generator")
    norms.set(title="gradient norms", xlabel="step", ylabel="‖gradient‖₂", yscale="log")
    norms.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    norms.yaxis.set_major_formatter("{x:g}")
    norms.yaxis.set_minor_locator(NullLocator())

    for axes in (losses, answers, norms):
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    _save_figure(figure, path)


def save_clouds(
    clouds: Sequence[tuple[str, numpy.ndarray]], centers: numpy.ndarray, path: Path
) -> None:
    """Write a panel per cloud of points (n, 2), under its title, over the mixture's centers."""
    figure = _figure(2.6 * len(clouds), 3, "")
    reach = 1.4 * numpy.abs(centers).max()
    for axes, (title, points) in zip(figure.subplots(1, len(clouds)), clouds, strict=True):
        axes.plot(*centers.T, "+", color=ORANGE, ms=9, zorder=1)
        axes.plot(*points.T, ".", color=BLUE, ms=2, alpha=0.4, mew=0, zorder=2)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        axes.set_title(title, fontsize=9)
    _save_figure(figure, path)


def save_neighbours(
    samples: numpy.ndarray,
    neighbours: numpy.ndarray,
    distances: numpy.ndarray,
    path: Path,
    most: int = 16,
) -> None:
    """Write samples above their nearest training images: the first ones, and the closest ones.

    Args:
        samples: uint8 (n, 28, 28).
        neighbours: uint8 (k, 28, 28), those of the first k <= n samples.
        distances: (k,), pixels in [0, 1].
    """
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


def save_feature_maps(
    layers: Sequence[tuple[str, numpy.ndarray]], path: Path, title: str, most: int = 16
) -> None:
    """Write a panel per layer, with its first ``most`` maps, from (name, (C, H, W)) pairs.

    Each panel runs from black, its smallest entry, to white, its largest.
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
