"""Make the results in the README: ``python -m tools.readme_results FOLDER PAGE.md``, for hours.

One experiment is one model, one way of training and one seed. A finished experiment leaves a
JSON file in the folder and is not run again; a stopped one goes on from its last checkpoint. The
runs themselves go to runs/results. Two experiments run at a time, with one BLAS thread each.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy

import minigan
from minigan import backend, data
from minigan.checkpoint import Run, write_atomic
from minigan.evaluation import MEASURES
from minigan.metrics import count_modes
from minigan.models.mixture_gan import MixtureGAN
from minigan.plotting import BLUE, ORANGE, _defaults, _figure, _save_figure

RUNS = Path("runs") / "results"
#: How many experiments run at a time.
JOBS = 2
MIXTURES = {"ring8": data.ring8, "grid25": data.grid25}
#: The steps of a mixture's training at which samples are drawn, counted and shown.
SNAPSHOTS = (0, 1000, 2500, 5000, 10_000, 25_000)
#: How many samples a snapshot has, as in PacGAN (see :mod:`minigan.metrics.neighbours`).
POINTS = 2500


class Experiment(NamedTuple):
    """What is run: a model or a mixture ("mlp", "ring8", ...), the objective and the seed."""

    kind: str
    loss: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.loss}-{self.seed}"


EXPERIMENTS = [
    *(
        Experiment(kind, loss, seed)
        for seed in range(3)
        for kind in ("mlp", "dcgan")
        for loss in ("non_saturating", "minimax")
    ),
    Experiment("maxout", "non_saturating", 0),
    *(Experiment(kind, "non_saturating", seed) for seed in range(5) for kind in MIXTURES),
]


# --- Running them ---------------------------------------------------------------------------------


def run_digits(experiment: Experiment, _: Path) -> dict[str, Any]:
    """Train by the command line and measure 10,000 samples, each in a process of its own."""
    out = RUNS / experiment.name
    command = ["train", experiment.kind, "--loss", experiment.loss, "--seed", str(experiment.seed)]
    _minigan(*command, "--out", str(out), *(["--resume"] if out.exists() else []))
    _minigan("evaluate", str(out))
    run = Run.open(out)
    record: dict[str, Any] = json.loads((out / "evaluation.json").read_bytes())
    return record | {
        "versions": run.config["versions"],
        "steps": int(run.rows("history.csv")[-1]["step"]),
        "seconds": round(_seconds(run), 1),
        "last": run.rows("history.csv")[-1],
    }


def _minigan(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "minigan", *arguments], check=True)


def _seconds(run: Run) -> float:
    """The seconds of all parts of a run; the clock of timing.csv starts anew with each part."""
    clock = [row["seconds"] for row in run.rows("timing.csv")]
    ends = [a for a, b in zip(clock, [*clock[1:], 0.0], strict=True) if b < a]
    return sum(ends)


def run_mixture(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Train on fresh points of a mixture; record snapshots of its samples and draw them."""
    mixture = MIXTURES[experiment.kind]()
    backend.manual_seed(experiment.seed)
    model, shuffle = MixtureGAN(), backend.stream("shuffle")
    fresh = partial(mixture.sample, model.batch_size, shuffle)
    batches = ((minigan.tensor(fresh()), None) for _ in itertools.count())
    snapshots, clouds = [], []
    start = time.perf_counter()
    for step in itertools.count():
        if step in SNAPSHOTS:
            points = model.sample(POINTS, seed=0)
            modes, quality = count_modes(points, mixture.centers, mixture.sigma)
            snapshots.append({"step": step, "modes": modes, "quality": quality})
            clouds.append((f"step {step:,}: {modes} modes, {quality:.0%}", points))
            if step == SNAPSHOTS[-1]:
                break
        model.step(batches, step)
    seconds = time.perf_counter() - start
    save_clouds(clouds, mixture.centers, folder / f"{experiment.name}.png")
    return {"snapshots": snapshots, "steps": SNAPSHOTS[-1], "seconds": round(seconds, 1)}


@_defaults()
def save_clouds(
    clouds: Sequence[tuple[str, numpy.ndarray]], centers: numpy.ndarray, path: Path
) -> None:
    """Write a panel for each cloud, its title above its points (n, 2) and the mixture's centers."""
    figure = _figure(2.6 * len(clouds), 3, "")
    reach = 1.4 * numpy.abs(centers).max()
    for axes, (title, points) in zip(figure.subplots(1, len(clouds)), clouds, strict=True):
        axes.plot(*centers.T, "+", color=ORANGE, ms=9, zorder=1)
        axes.plot(*points.T, ".", color=BLUE, ms=2, alpha=0.4, mew=0, zorder=2)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        axes.set_title(title, fontsize=9)
    _save_figure(figure, path)


def run(experiment: Experiment, folder: Path) -> None:
    """Run an experiment and write its record."""
    do = run_mixture if experiment.kind in MIXTURES else run_digits
    record = {**experiment._asdict(), **do(experiment, folder)}
    write_atomic(folder / f"{experiment.name}.json", f"{json.dumps(record, indent=1)}\n".encode())


def run_missing(folder: Path) -> None:
    """Run the experiments without a record, JOBS at a time, each in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [e for e in EXPERIMENTS if not (folder / f"{e.name}.json").exists()]

    def start(experiment: Experiment) -> int:
        print(f"{experiment.name}: started", flush=True)
        command = [
            sys.executable,
            "-m",
            "tools.readme_results",
            str(folder),
            "--only",
            experiment.name,
        ]
        code = subprocess.run(command, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}).returncode
        print(f"{experiment.name}: {'done' if code == 0 else 'failed'}", flush=True)
        return code

    with ThreadPoolExecutor(JOBS) as pool:
        failed = sum(code != 0 for code in pool.map(start, missing))
    if failed:
        sys.exit(f"{failed} of {len(missing)} experiments failed; run the command again to go on")


# --- The tables -----------------------------------------------------------------------------------


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of the experiments that are finished, in the order of EXPERIMENTS."""
    files = [folder / f"{e.name}.json" for e in EXPERIMENTS]
    return [json.loads(file.read_bytes()) for file in files if file.exists()]


def _groups(found: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """The records that share kind and loss: (kind, loss, records)."""
    for kind, loss in dict.fromkeys((e.kind, e.loss) for e in EXPERIMENTS):
        if group := [r for r in found if (r["kind"], r["loss"]) == (kind, loss)]:
            yield kind, loss, group


def _spread(values: list[float], decimals: int) -> str:
    """Mean ± standard deviation (over n − 1); a single value has no deviation."""
    text = f"{mean(values):,.{decimals}f}"
    return f"{text} ± {stdev(values):.{decimals}f}" if len(values) > 1 else text


def _last(record: dict[str, Any], column: str) -> str:
    """A column of the last row of a run's history; "–" for a model without this column."""
    value = record["last"].get(column)
    return "–" if value is None else f"{value:.2g}"


def digits_table(found: list[dict[str, Any]]) -> str:
    """The measures of all GANs on MNIST as a Markdown table, mean ± standard deviation of seeds."""
    groups = [g for g in _groups(found) if g[0] not in MIXTURES]
    heads = ["", *(f"{kind}, {loss.replace('_', '-')}" for kind, loss, _ in groups), "floor"]
    lines = [heads, ["---"] * len(heads)]
    for m in MEASURES:
        cells = [_spread([r["samples"][m.key] for r in group], m.decimals) for *_, group in groups]
        floor = f"{groups[0][2][0]['floor'][m.key]:.{m.decimals}f}"
        lines.append([m.name, *cells, floor])
    fids = [", ".join(f"{r['samples']['clf_fid']:.2f}" for r in group) for *_, group in groups]
    lines.append(["clfFID of each seed", *fids, ""])
    ends = [", ".join(_last(r, "d_fake") for r in group) for *_, group in groups]
    lines.append(["D(G(z)) at the end", *ends, ""])
    lines.append(["steps", *(f"{group[0]['steps']:,}" for *_, group in groups), ""])
    minutes = [_spread([r["seconds"] / 60 for r in group], 0) for *_, group in groups]
    lines.append(["minutes", *minutes, ""])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def mixtures_table(found: list[dict[str, Any]]) -> str:
    """Modes and quality at the end as a Markdown table, mean ± standard deviation of seeds."""
    lines = [["", "modes", "samples within 3σ, %", "modes of each seed", "minutes"], ["---"] * 5]
    for kind, _, group in _groups(found):
        if kind in MIXTURES:
            last = [r["snapshots"][-1] for r in group]
            lines.append(
                [
                    f"{kind} ({len(MIXTURES[kind]().centers)})",
                    _spread([snapshot["modes"] for snapshot in last], 1),
                    _spread([100 * snapshot["quality"] for snapshot in last], 1),
                    ", ".join(str(snapshot["modes"]) for snapshot in last),
                    _spread([r["seconds"] / 60 for r in group], 0),
                ]
            )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_tables(text: str, found: list[dict[str, Any]]) -> str:
    """A page with both tables between its marks, <!-- digits --> and <!-- mixtures -->."""
    for name, table in (("digits", digits_table(found)), ("mixtures", mixtures_table(found))):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not found_end:
            raise ValueError(f"the page has no lines {start.strip()} and {end}")
        text = f"{before}{start}{table}\n{end}{after}"
    return text


def main() -> None:
    """Run what is missing and write the tables into the page, or run the experiment named."""
    if len(sys.argv) < 3:
        sys.exit("usage: python -m tools.readme_results FOLDER (PAGE.md | --only EXPERIMENT)")
    folder = Path(sys.argv[1])
    if sys.argv[2] == "--only":
        run(next(e for e in EXPERIMENTS if e.name == sys.argv[3]), folder)
        return
    page = Path(sys.argv[2])
    run_missing(folder)
    text = with_tables(page.read_text(encoding="utf-8"), records(folder))
    write_atomic(page, text.encode())


if __name__ == "__main__":
    main()
