"""The chapters run, in MINIGAN_FAST=1; what is committed is in order; and the check can fail."""

import base64
import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from chapters import notebook as nb
from minigan.grading.course import Course

pytestmark = pytest.mark.on_the_host("kernels are processes of their own")
CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"
NOTEBOOKS = sorted(CHAPTERS.glob("*.ipynb"))
COURSE = Course.find(CHAPTERS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed(path: Path) -> None:
    assert nb.problems(path) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs_fast(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "chapters"
    shutil.copytree(CHAPTERS, folder)
    exercises = CHAPTERS.parent / "exercises"  # of which the chapters show the status
    shutil.copytree(exercises, tmp_path / "exercises", ignore=shutil.ignore_patterns("work"))
    done = nb.execute(nbformat.read(path, as_version=4), folder, fast=True)
    assert nb.output_problems(nb.normalise(done)) == []


@pytest.mark.parametrize("path", sorted(CHAPTERS.glob("*.md")), ids=lambda p: p.name)
def test_pages(path: Path) -> None:
    assert nb.broken_links(path.read_text(encoding="utf-8"), CHAPTERS) == []


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda p: p.stem)
def test_a_task_sends_its_learner_to_a_section_that_its_table_names(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    section_of = {
        equation: part.split(".")[0]
        for part in re.split(r"^## ", prose, flags=re.MULTILINE)
        for equation in re.findall(r"\\tag\{?(\d+)", part)
    }
    for task in next(c for c in COURSE.chapters if c.number == path.stem[:2]).tasks:
        (row,) = re.findall(rf"^\| {re.escape(task.id)} \|.*", prose, re.MULTILINE)
        equations = re.findall(r"\b(?:rule|equations?) (\(\d+\)(?: and \(\d+\))?)", row)
        named = {section_of[n] for n in re.findall(r"\d+", " ".join(equations))}
        named |= set(re.findall(r"\bsection (\d+)", row))
        (read,) = re.findall(r"section (\d+)", task.read)
        assert read in named, f"{task.id}: {row}, but read: {task.read}"


# --- The check can fail ---------------------------------------------------------------------------

ALT = "A curve that falls and then, near the end, rises again."
PNG = base64.b64encode(b"\x89PNG, as far as sizes go").decode()
FIGURE = {
    "output_type": "display_data",
    "data": {"image/png": PNG, "text/plain": ALT},
    "metadata": {"image/png": {"alt": ALT, "width": 800}},
}
END = """\
## What you can now do
## What to try
1. One. *Expect:* this.
2. Two.
   *Expect:* that.
3. Three. *Expect:* nothing.
## Exercises"""
STATUS = 'from minigan.grading import status\n\nstatus("01")'
READING = "## Further reading\n[All](there.md)"


def cell(kind: str, source: str, *outputs: Any) -> Any:
    new = {"cell_type": kind, "source": source, "metadata": {}, "id": "x"}
    return new | ({"outputs": list(outputs), "execution_count": 3} if kind == "code" else {})


def stream(text: str, name: str = "stdout") -> Any:
    return {"output_type": "stream", "name": name, "text": text}


def sample() -> Any:
    return {
        "metadata": {},
        "cells": [
            cell("markdown", "# 01 A title"),
            cell("code", nb.SETUP),
            cell("code", "1 + 1", stream("10%\r100%\r"), stream("two\n"), FIGURE),
            cell("markdown", END),
            cell("code", STATUS, stream("  – 01.1  unbroadcast\n")),
            cell("markdown", READING),
        ],
    }


def checked(notebook: Any, folder: Path, change: Callable[[str], str] = lambda raw: raw) -> Any:
    path = folder / "01_title.ipynb"
    (folder / "there.md").touch()
    path.write_text(change(nb.written(nb.normalise(notebook))), encoding="utf-8")
    return nb.problems(path)


def test_a_notebook_in_order(tmp_path: Path) -> None:
    assert checked(sample(), tmp_path) == []
    written = nbformat.read(tmp_path / "01_title.ipynb", as_version=4)
    texts = [o.get("text") for c in written["cells"] for o in c.get("outputs", [])]
    assert texts[:2] == ["two\n", None]  # the progress bar overwrote itself
    assert all(c.get("execution_count") is None for c in written["cells"])
    assert nb.normalise(written) == written


def output(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A planted error in the figure, as a change to its output."""
    return lambda notebook: change(notebook["cells"][2]["outputs"][2])


def cell_of(number: int, source: str) -> Callable[[Any], None]:
    return lambda notebook: notebook["cells"][number].update(source=source)


def prints(text: str, name: str = "stdout") -> Callable[[Any], None]:
    return lambda notebook: notebook["cells"][2]["outputs"].append(stream(text, name))


PLANTED: list[tuple[str, Callable[[Any], Any]]] = [
    ("stderr", prints("UserWarning: careful\n", "stderr")),
    ("prints an address", prints("<object at 0x7f3a9c01>\n")),
    ("prints a path", prints("saved to /home/ada/x\n")),
    ("prints a learner's progress", prints("01  Autograd  1/5\n  ✓ 01.1  unbroadcast\n")),
    ("prints a learner's progress", prints("Go on: minigan check 01 in a terminal\n")),
    ("prints a timing", prints("took 3.2 seconds\n")),
    ("ValueError", lambda n: n["cells"][2]["outputs"].append(
        {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []})),
    ("without alt text", output(lambda o: o.update(metadata={}))),
    ("without alt text", output(lambda o: o["metadata"]["image/png"].update(alt="A figure"))),
    ("without alt text", output(lambda o: o["data"].update({"text/plain": "<Figure>"}))),
    ("a PNG of", output(
        lambda o: o["data"].update({"image/png": base64.b64encode(bytes(61_500)).decode()}))),
    ("text/html", output(lambda o: o["data"].update({"text/html": "<b>two</b>"}))),
    ("bytes, at most 512,000", cell_of(2, "#" * 512_000)),
    ("the title", cell_of(0, "# 02 Another chapter")),
    ("SETUP has installed", lambda n: n["cells"][1]["outputs"].append(stream("Note: restart\n"))),
    ("SETUP", cell_of(1, "%pip install minigan")),
    ("must show the tasks", cell_of(4, 'status("01")')),
    ("last sections", cell_of(3, END.replace("## Exercises", "## Tasks"))),
    ("three numbered", cell_of(3, END.replace("3. Three. *Expect:* nothing.", ""))),
    ("three numbered", cell_of(3, END.replace("*Expect:* nothing.", ""))),
    ("leads nowhere: no.md", cell_of(5, READING + "[this](no.md)")),
    ("without alt text: there.md", cell_of(5, READING + "![pic](there.md)")),
]  # fmt: skip


@pytest.mark.parametrize(("word", "plant"), PLANTED)
def test_a_planted_error_is_found(word: str, plant: Callable[[Any], Any], tmp_path: Path) -> None:
    notebook = copy.deepcopy(sample())
    plant(notebook)
    found = checked(notebook, tmp_path)
    assert len(found) == 1 and word in found[0]


@pytest.mark.parametrize(
    ("word", "old", "new"),
    [
        ("not those of this code", '"1 + 1"', '"1 + 2"'),
        ("not normalised", '"execution_count": null', '"execution_count": 1'),
        ("not normalised", r"two\n", r"\rtwo\n"),
    ],
)
def test_a_file_that_was_changed_by_hand(word: str, old: str, new: str, tmp_path: Path) -> None:
    (found,) = checked(sample(), tmp_path, lambda raw: raw.replace(old, new, 1))
    assert word in found


@pytest.mark.slow
def test_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIGAN_FAST", "of the outside")
    says = cell("code", "import os\nprint(os.environ.get('MINIGAN_FAST'), os.getcwd()[-3:])")
    folder = tmp_path / "abc"
    folder.mkdir()
    for fast, expected in ((True, "1 abc\n"), (False, "None abc\n")):
        done = nb.execute(nb.normalise({"cells": [says], "metadata": {}}), folder, fast=fast)
        assert done["cells"][0]["outputs"][0]["text"] == expected
    fails = nb.normalise({"cells": [cell("code", "1 / 0")], "metadata": {}})
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        nb.execute(fails, folder, fast=True)
