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
from minigan.grading.submissions import Submission
from minigan.grading.tasks import GraderError, Task

#: Words that an honest file has no reason to hold. A file can cheat without holding them, too.
CHECKER = ("minigan.grading", "checks.py", "solution.py", "from solution", "import solution")


@dataclass(frozen=True)
class Grade:
    """A submission's reports, by task, and notes on its files."""

    submission: Submission
    reports: dict[str, Report]
    files: tuple[str, ...] = ()

    def share(self, task: Task) -> float | None:
        """The share of the task's checks that passed; None if it was not begun."""
        report = self.reports.get(task.id)
        if report is None or report.not_started:
            return None
        return report.score / len(task.checks)

    @cached_property
    def notes(self) -> str:
        """What a teacher should look at: troubles with files as a whole, not wrong answers."""
        notes = [*self.submission.notes, *self.files]
        files = dict.fromkeys(report.file for report in self.reports.values())
        for file in files:
            text, shown = _text(file), self.submission.shown(file)
            notes += [f"{shown} speaks of {name}: read it" for name in CHECKER if name in text]
        troubles: dict[str, list[str]] = {}
        for task_id, report in self.reports.items():
            if report.trouble:
                where = f"{self.submission.shown(report.file)}: " if len(files) > 1 else ""
                place = f" (line {report.line})" if report.line else ""
                troubles.setdefault(where + report.trouble + place, []).append(task_id)
        notes += [f"{', '.join(ids)}: {trouble}" for trouble, ids in troubles.items()]
        return "; ".join(notes)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def grade(submission: Submission, chapters: Sequence[Chapter], seed: int) -> Grade:
    """Check every task of the chapters that were handed in, each in its own process.

    Where several files are named for a chapter, the best answer to each task counts. A file without
    the chapter's name that defines its functions counts where no named file has an answer.
    """
    reports: dict[str, Report] = {}
    notes = []
    for chapter in chapters:
        named, guessed = (of.get(chapter, []) for of in (submission.named, submission.guessed))
        used = dict.fromkeys(named or guessed)
        counted = set()
        for task in chapter.tasks if used else ():
            tried = [_check(chapter, task, file, seed) for file in named or guessed]
            if named and not any(report.outcomes for report in tried):
                more = [_check(chapter, task, file, seed) for file in guessed]
                tried += [report for report in more if report.outcomes]
            best = reports[task.id] = max(tried, key=_worth)
            used |= dict.fromkeys(report.file for report in tried)
            if best.outcomes:
                counted.add(best.file)
        if len(used) > 1:
            *some, last = map(submission.shown, used)
            here = [submission.shown(file) for file in used if file in counted]
            notes.append(
                f"chapter {chapter.number} is in {', '.join(some)} and {last}: the better of each "
                f"task counts, from {' and '.join(here) or 'neither'}"
            )
        notes += [
            f"{submission.shown(file)}: not graded, {submission.shown(named[0])} has the name"
            for file in guessed
            if file not in used
        ]
    if submission.chapters and not submission.chapters & {*chapters}:
        others = ", ".join(sorted(chapter.number for chapter in submission.chapters))
        notes.append(f"nothing of this chapter, only of {others}")
    return Grade(submission, reports, tuple(notes))


def _check(chapter: Chapter, task: Task, file: Path, seed: int) -> Report:
    try:
        return check_task(chapter, task, file, seed, TIME_LIMIT)
    except GraderError as error:  # it must not cost a class its table
        return Report(task, file, seed, trouble=f"the grader is at fault: {error}")


def _worth(report: Report) -> tuple[bool, int, bool, bool]:
    return report.passed, report.score, bool(report.outcomes), not report.not_started


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
        writer.writerow([_cell(part) for part in row])
    return table.getvalue()


def one_line(text: str) -> str:
    """A text on one line, in which no character of a name is a command to the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))


def _cell(part: object) -> str:
    """The text of a cell, which no spreadsheet takes for a formula."""
    text = one_line(str(part))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_text(grades: Sequence[Grade], tasks: Sequence[Task]) -> str:
    """The table of :func:`as_csv` for a terminal, with the notes below it."""
    rows = [row[:-1] for row in csv.reader(io.StringIO(as_csv(grades, tasks)))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in pairs).rstrip()
        for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    notes = [one_line(f"{grade.submission.name}: {grade.notes}") for grade in grades if grade.notes]
    return "\n".join([*lines, *notes]) + "\n"
