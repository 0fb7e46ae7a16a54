"""The experiments of the README's results: run, recorded once, and put into tables."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from minigan.evaluation import MEASURES
from minigan.metrics.classifier import SHA256
from minigan.models import MaxoutGAN
from tools import readme_results as results
from tools.readme_results import EXPERIMENTS, Experiment

pytestmark = pytest.mark.on_the_host("starts processes, reads files")
ROOT = Path(__file__).parents[1]
COMMITTED = results.records(ROOT / "chapters" / "results")


def test_the_experiments() -> None:
    assert len({e.name for e in EXPERIMENTS}) == len(EXPERIMENTS)
    for kind in ("mlp", "dcgan"):
        for loss in ("minimax", "non_saturating"):
            assert [e.seed for e in EXPERIMENTS if (e.kind, e.loss) == (kind, loss)] == [0, 1, 2]
    for kind in results.MIXTURES:
        assert [e.seed for e in EXPERIMENTS if e.kind == kind] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_mixtures_snapshots_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "SNAPSHOTS", (0, 2, 4))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        results.run(Experiment("grid25", "non_saturating", 3), tmp_path / name)
    file = "grid25-non_saturating-3"
    record = json.loads((tmp_path / "one" / f"{file}.json").read_bytes())
    assert (record["kind"], record["seed"], record["steps"]) == ("grid25", 3, 4)
    snapshots = record["snapshots"]
    assert [snapshot["step"] for snapshot in snapshots] == [0, 2, 4]
    assert all(0 <= s["modes"] <= 25 and 0 <= s["quality"] <= 1 for s in snapshots)
    picture = (tmp_path / "one" / f"{file}.png").read_bytes()
    assert picture == (tmp_path / "two" / f"{file}.png").read_bytes()  # so were the samples


@pytest.mark.slow
def test_digits_are_trained_measured_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    minigan = results._minigan

    def small(*arguments: str) -> None:
        more = {"train": ["--data", str(digits), "--steps", "3", "--batch-size", "20"]}
        minigan(*arguments, *more.get(arguments[0], ["--samples", "20"]))

    monkeypatch.setattr(results, "_minigan", small)
    experiment = Experiment("mlp", "minimax", 1)
    results.run(experiment, tmp_path)
    record = json.loads((tmp_path / "mlp-minimax-1.json").read_bytes())
    asked = record["arguments"]
    assert asked["hyperparameters"]["loss"] == "minimax" and asked["seed"] == 1
    assert (record["n"], record["steps"], record["last"]["step"]) == (20, 3, 3)
    assert record["seconds"] > 0 and set(record["versions"]) == {"minigan", "numpy", "python"}
    results.run(experiment, tmp_path)  # the run is there: it goes on, and has nothing left to do
    assert json.loads((tmp_path / "mlp-minimax-1.json").read_bytes()) == record


def test_what_is_recorded_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []

    class Done:
        def __init__(self, command: list[str], env: dict[str, str]):
            started.append(command[-1])
            assert env["OPENBLAS_NUM_THREADS"] == "1"
            self.returncode = int(command[-1] == "dcgan-minimax-2")

    monkeypatch.setattr(results.subprocess, "run", Done)
    (tmp_path / "mlp-minimax-0.json").write_text("{}")
    with pytest.raises(SystemExit, match=f"1 of {len(EXPERIMENTS) - 1} experiments failed"):
        results.run_missing(tmp_path)
    assert sorted(started) == sorted(e.name for e in EXPERIMENTS if e.name != "mlp-minimax-0")
    assert "dcgan-minimax-2: failed" in capsys.readouterr().out


def record(kind: str, loss: str, seed: int, value: float) -> dict[str, Any]:
    part = {m.key: value for m in MEASURES}
    return {
        "kind": kind, "loss": loss, "seed": seed, "steps": 1234, "seconds": 60 * value,
        "samples": part, "last": {"d_fake": value / 1000}, "floor": {m.key: 0.5 for m in MEASURES},
        "snapshots": [{"modes": 1, "quality": 0.1}, {"modes": seed + 4, "quality": 0.25}],
    }  # fmt: skip


def test_the_tables_hold_means_and_standard_deviations() -> None:
    found = [record("mlp", "minimax", s, v) for s, v in enumerate((1.0, 2.0, 6.0))]
    found += [record("dcgan", "minimax", 0, 7.0), record("ring8", "non_saturating", 0, 1.0)]
    found += [record("ring8", "non_saturating", 1, 3.0)]
    head, _, first, *rest = results.digits_table(found).splitlines()
    assert head == "|  | mlp, minimax | dcgan, minimax | floor |"
    assert first == f"| clfFID | 3.00 ± {math.sqrt(7):.2f} | 7.00 | 0.50 |"
    assert rest[-4:] == [
        "| clfFID of each seed | 1.00, 2.00, 6.00 | 7.00 |  |",
        "| D(G(z)) at the end | 0.001, 0.002, 0.006 | 0.007 |  |",
        "| steps | 1,234 | 1,234 |  |",
        "| minutes | 3 ± 3 | 7 |  |",
    ]
    assert results.mixtures_table(found).splitlines()[2:] == [
        "| ring8 (8) | 4.5 ± 0.7 | 25.0 ± 0.0 | 4, 5 | 2 ± 1 |"
    ]


def test_a_model_without_the_column_has_a_dash() -> None:
    found = [record("mlp", "minimax", seed, 1.0) for seed in range(2)]
    found[1]["last"] = {"critic": 2.0}
    assert "| D(G(z)) at the end | 0.001, – |  |" in results.digits_table(found).splitlines()


def test_the_clock_of_a_run_in_parts_is_added_up(tmp_path: Path) -> None:
    clock = "step,seconds,rate\n1,2.0,1\n2,5.0,1\n3,1.5,1\n4,4.0,1\n"
    (tmp_path / "timing.csv").write_text(clock)
    assert results._seconds(results.Run(tmp_path, {})) == 9.0


# --- What is committed ----------------------------------------------------------------------------


@pytest.mark.parametrize("record", COMMITTED, ids=lambda r: f"{r['kind']}-{r['loss']}-{r['seed']}")
def test_a_record_says_what_it_is_of(record: dict[str, Any]) -> None:
    experiment = Experiment(record["kind"], record["loss"], record["seed"])
    assert experiment in EXPERIMENTS
    if experiment.kind in results.MIXTURES:
        assert [s["step"] for s in record["snapshots"]] == list(results.SNAPSHOTS)
        assert (ROOT / "chapters" / "results" / f"{experiment.name}.png").is_file()
    else:
        asked = record["arguments"]
        assert (asked["model"], asked["loss"], asked["seed"]) == experiment
        assert (asked["data"], record["n"]) == ("mnist", 10_000)
        assert record["classifier_sha256"] == SHA256


def test_every_experiment_has_its_record() -> None:
    assert [(r["kind"], r["loss"], r["seed"]) for r in COMMITTED] == EXPERIMENTS


def test_the_readme_shows_the_records() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert results.with_tables(readme, COMMITTED) == readme
    assert results.digits_table(COMMITTED) in readme
    assert results.mixtures_table(COMMITTED) in readme
    with pytest.raises(ValueError, match="<!-- mixtures -->"):
        results.with_tables(readme.replace("<!-- mixtures -->", ""), COMMITTED)


def test_how_far_the_papers_gan_falls_short_of_the_paper() -> None:
    (record,) = [r for r in COMMITTED if r["kind"] == "maxout"]
    assert record["arguments"]["epochs"] == MaxoutGAN.epochs == 250
    short = f"this one run is {225 - record['samples']['parzen']:.0f} nats short of it"
    assert short in " ".join((ROOT / "README.md").read_text("utf-8").split())


def test_two_of_three_have_collapsed() -> None:
    minimax = [r["last"] for r in COMMITTED if (r["kind"], r["loss"]) == ("dcgan", "minimax")]
    assert [last["d_fake"] < 1e-4 for last in minimax] == [True, False, True]
    assert all(last["g_grad_norm"] < 0.01 for last in (minimax[0], minimax[2]))
