"""Grading many submissions: find them, check each task in isolation, make one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minigan.grading.course import Chapter
from minigan.grading.sandbox import TIME_LIMIT, Report, check_task
from minigan.grading.source import Source
from minigan.grading.tasks import Task

#: What an honest file has no reason to name. A file that wants to cheat need not name it either.
CHECKER = ("minigan.grading", "checks.py", "solution.py")


@dataclass(frozen=True)
class Submission:
    """What one learner handed in: a file for each chapter, and the files that are for none."""

    name: str
    files: dict[Chapter, Path]
    strange: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Grade:
    """A submission's reports, by task."""

    submission: Submission
    reports: dict[str, Report]

    def share(self, task: Task) -> float | None:
        """The share of the task's checks that passed; None if it was not begun."""
        report = self.reports.get(task.id)
        if report is None or report.not_started:
            return None
        return report.score / len(task.checks)

    @cached_property
    def notes(self) -> str:
        """What a teacher should look at: files as a whole, not wrong answers."""
        notes = [f"{path.name}: of no chapter" for path in self.submission.strange]
        for file in self.submission.files.values():
            text = file.read_bytes().decode(errors="replace")
            notes += [f"{file.name} speaks of {name}: read it" for name in CHECKER if name in text]
        troubles: dict[str, list[str]] = {}
        for task_id, report in self.reports.items():
            if report.trouble:
                place = f" (line {report.line})" if report.line else ""
                troubles.setdefault(report.trouble + place, []).append(task_id)
        notes += [f"{', '.join(ids)}: {trouble}" for trouble, ids in troubles.items()]
        return "; ".join(notes)


def submissions(folder: Path, chapters: Sequence[Chapter]) -> list[Submission]:
    """A submission is a folder of ``folder``, or a .py file in it; in the order of their names.

    A file belongs to the chapter in its name (``ch04_gan_game``), or to the one whose functions it
    defines. In a folder the files may lie at any depth; of a whole course those in its work count.
    """
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith((".", "__")):
            continue
        if path.is_dir():
            files = [p for p in path.rglob("*.py") if ".backup" not in p.parts]
            work = [p for p in files if p.parts[-3:-1] == ("exercises", "work")]
            found.append(_sorted(path.name, sorted(work or files), chapters))
        elif path.suffix == ".py":
            found.append(_sorted(path.stem, [path], chapters))
    return found


def _sorted(name: str, files: Sequence[Path], chapters: Sequence[Chapter]) -> Submission:
    by_chapter: dict[Chapter, Path] = {}
    strange = []
    for file in files:
        chapter = _chapter_of(file, chapters)
        if chapter is None or chapter in by_chapter:
            strange.append(file)
        else:
            by_chapter[chapter] = file
            name = name.replace(chapter.folder.name, "").strip(" ._-") or name
    return Submission(name, by_chapter, tuple(strange))


def _chapter_of(file: Path, chapters: Sequence[Chapter]) -> Chapter | None:
    for chapter in chapters:
        if chapter.folder.name in file.stem:
            return chapter
    try:
        defined = set(Source.read(file).definitions)
    except (OSError, SyntaxError, ValueError):
        return None
    counts = {c: len(defined & {n for t in c.tasks for n in t.functions}) for c in chapters}
    best = max(counts, key=lambda chapter: counts[chapter])
    return best if counts[best] else None


def grade(submission: Submission, seed: int) -> Grade:
    """Check every task of every chapter that was handed in, each in its own process."""
    return Grade(
        submission,
        {
            task.id: check_task(chapter, task, file, seed, TIME_LIMIT)
            for chapter, file in submission.files.items()
            for task in chapter.tasks
        },
    )


def as_csv(grades: Sequence[Grade], tasks: Sequence[Task]) -> str:
    """A row for each submission; its columns are described in exercises/TEACHING.md."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["submission", "passed", "tasks", "score", *(t.id for t in tasks), "notes"])
    for grade in grades:
        shares = [grade.share(task) for task in tasks]
        score = 100 * sum(share or 0.0 for share in shares) / len(shares)
        cells = ["" if share is None else f"{share:.2f}" for share in shares]
        passed = sum(grade.reports[t.id].passed for t in tasks if t.id in grade.reports)
        row = [grade.submission.name, passed, len(tasks), f"{score:.1f}", *cells, grade.notes]
        writer.writerow([_text(cell) for cell in row])
    return table.getvalue()


def _text(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = " ".join(str(cell).split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_text(grades: Sequence[Grade], tasks: Sequence[Task]) -> str:
    """The same for a terminal."""
    rows = [row[:-1] for row in csv.reader(io.StringIO(as_csv(grades, tasks)))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in pairs).rstrip()
        for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    notes = [f"{grade.submission.name}: {grade.notes}" for grade in grades if grade.notes]
    return "\n".join([*lines, *notes]) + "\n"
