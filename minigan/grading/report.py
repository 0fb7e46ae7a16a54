"""Results in words, in colour where the terminal takes it, in a width that fits it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

import click

from minigan.grading.course import Chapter, Course
from minigan.grading.progress import Work, state
from minigan.grading.sandbox import Report
from minigan.grading.source import Source
from minigan.grading.tasks import Task

MARKS = {"passed": "✓", "changed": "~", "tried": "✗", "open": "–"}
COLOURS = {"✓": "green", "✗": "red", "~": "yellow"}
#: What stands for characters that a terminal's encoding lacks.
PLAIN = str.maketrans(
    {
        "✓": "+", "✗": "x", "–": "-", "·": "|", "•": "*", "○": ".", "…": "~", "−": "-", "×": "x",
        "σ": "sigma", "Σ": "sum", "μ": "mu", "ε": "eps", "γ": "gamma", "β": "beta", "α": "alpha",
        "η": "eta", "π": "pi", "√": "sqrt", "²": "^2", "½": "1/2", "≤": "<=", "≥": ">=",
        "→": "->", "∂": "d", "⟨": "<", "⟩": ">", "‖": "||", "∈": "in", "≠": "!=", "⌊": "floor(",
        "⌋": ")", "∞": "inf", "é": "e",
    }
)  # fmt: skip


class Screen:
    """The terminal or stream that words go to: its width, colours and characters."""

    def __init__(self) -> None:
        stream = sys.stdout
        self.width = max(30, min(100, shutil.get_terminal_size((80, 24)).columns))
        self.colour = bool(stream.isatty()) and not os.environ.get("NO_COLOR")
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            "✓✗–•σ".encode(encoding)
        except (UnicodeError, LookupError):
            self.plain = True
        else:
            self.plain = False

    def say(self, text: str = "", colour: str | None = None, bold: bool = False) -> None:
        """Write one line or several; nothing in them is a command to the terminal."""
        text = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
        if self.plain:
            text = text.translate(PLAIN)
        if self.colour and (colour or bold):
            text = click.style(text, fg=colour, bold=bold or None)
        click.echo(text, color=self.colour)

    def wrapped(self, text: str, indent: str = "", label: str = "") -> str:
        """Text under a label, broken at the width."""
        first = f"{indent}{label}"
        return textwrap.fill(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=" " * min(len(first), self.width // 3),
            break_long_words=True,
        )

    def row(self, label: str, text: str) -> None:
        if len(label) > 9 or self.width < 50:
            self.say(self.wrapped(text, "      ", f"{label}  "))
        else:
            self.say(self.wrapped(text, "      ", f"{label:<10}"))


def show_report(report: Report, course: Course, entry: Mapping[str, Any], screen: Screen) -> None:
    """Show what ``minigan check`` says about one task."""
    task, say = report.task, screen.say
    say(f"Checking {course.shown(report.file)} :: {', '.join(task.functions)}", bold=True)
    if report.not_started:
        where = "" if report.file.exists() else f" · minigan start {task.id[:2]}"
        say(f"  – not started{where}")
        return
    for outcome in report.outcomes:
        if outcome.ok:
            say(f"  ✓ {outcome.check}", "green")
            continue
        place = f"line {outcome.line}" if outcome.line else ""
        head = f"  ✗ {outcome.check}"
        if len(head) + len(place) + 2 > screen.width:
            say(head, "red")
            if place:
                say(f"      {place}", "red")
        else:
            say(f"{head:<{min(57, screen.width - len(place) - 1)}}{place}".rstrip(), "red")
        if outcome.call:
            screen.row("call", outcome.call)
        if outcome.raised:
            screen.row("raised" if outcome.call else "missing", outcome.raised)
            if outcome.difference and outcome.difference.expected != "a result":
                screen.row("expected", outcome.difference.expected)
        elif outcome.difference:
            difference = outcome.difference
            text = f"yours {difference.yours}    expected {difference.expected}"
            screen.row(difference.label, text)
        if outcome.why:
            screen.say(screen.wrapped(outcome.why, "      ", "why it matters  "))
        if outcome.looks_like:
            looks = outcome.looks_like.rstrip(".") + "."
            screen.say(screen.wrapped(looks, "      ", "looks like      "))
    if report.trouble:
        place = f" (line {report.line})" if report.line else ""
        say(screen.wrapped(f"{report.trouble}{place}", "  ", "✗ "), "red")
    left = len(task.checks) - len(report.outcomes)
    if left and report.outcomes:
        rest = f"{left} check{'s' * (left > 1)} not run (fix the first)"
        say(screen.wrapped(rest, "  ", "– "))
    show_printed(report, screen)
    score = f"Score {report.score}/{len(task.checks)}"
    if report.passed:
        more = f": see minigan solution {task.id}"
        shown = course.chapter(task.id[:2]).solution.exists()
        say(screen.wrapped(f"{score} · done{more * shown}"), bold=True)
        return
    if report.digest in entry.get("passed", {}):
        since = _changes(report, entry.get("around", {}).get(report.digest))
        say(screen.wrapped(f"This code passed before{since}. In minigan list it stays passed."))
    hints = entry.get("hints", 0)
    turn = "all 3 open" if hints >= 3 else f"{hints + 1} of 3"
    say(screen.wrapped(f"{score} · next: minigan hint {task.id} ({turn})"), bold=True)
    say(screen.wrapped(f"read {task.read}"))
    if report.outcomes:
        again = f"(the same inputs again: minigan check {task.id} --seed {report.seed})"
        say(screen.wrapped(again))


def _changes(report: Report, then: Mapping[str, str] | None) -> str:
    """What has changed since the same code passed; no more is known of why it fails now."""
    if then is None:  # a pass of an earlier version
        return ""
    parts = {"checks": "the course's checks", "file": "other lines of the file"}
    changed = [words for part, words in parts.items() if then.get(part) != report.around[part]]
    if not changed:
        return "; neither the file nor the course's checks changed since"
    return f"; {' and '.join(changed)} changed since"


def show_printed(report: Report, screen: Screen, lines: int = 12) -> None:
    """Show what the learner's code printed, the last ``lines`` lines of it."""
    printed = report.printed.rstrip().splitlines()
    if not printed:
        return
    more = f", the last {lines} lines" if len(printed) > lines else ""
    screen.say(f"  printed{more}:")
    for line in printed[-lines:]:
        screen.say(f"    {line[: screen.width * 2]}")


def digests(chapter: Chapter) -> dict[str, str | None]:
    """The hash of each task's code in the learner's file, None for a task without code."""
    try:
        source = Source.read(chapter.work)
    except (OSError, SyntaxError, ValueError):
        return {task.id: None for task in chapter.tasks}
    return {
        task.id: source.digest(task.functions)
        if any(name in source.definitions for name in task.functions)
        else None
        for task in chapter.tasks
    }


def states(chapter: Chapter, work: Work) -> dict[str, str]:
    """How each task of a chapter stands; see :func:`minigan.grading.progress.state`."""
    entries, hashes = work.read(), digests(chapter)
    return {task.id: state(entries.get(task.id, {}), hashes[task.id]) for task in chapter.tasks}


def show_chapter(chapter: Chapter, work: Work, screen: Screen) -> None:
    """Show a chapter's tasks with progress, difficulty and minutes."""
    stand = states(chapter, work)
    done = sum(how in ("passed", "changed") for how in stand.values())
    head = f"{chapter.number}  {chapter.title}"
    count = f"{done}/{len(stand)}"
    room = screen.width - len(count) - 1
    screen.say(f"{_cut(head, room):<{room}} {count}", bold=True)
    for task in chapter.tasks:
        screen.say(_line(task, stand[task.id], screen), COLOURS.get(MARKS[stand[task.id]]))


def _line(task: Task, how: str, screen: Screen) -> str:
    left = f"  {MARKS[how]} {task.id}  "
    right = f" {'•' * task.difficulty}{'○' * (3 - task.difficulty)} {task.minutes:>3} min"
    room = screen.width - len(left) - len(right)
    names = ", ".join(task.functions)
    text = f"{names:<28} {task.title}" if room > 60 else names
    if room < 16:
        right, room = "", screen.width - len(left)
    return f"{left}{_cut(text, room):<{room}}{right}".rstrip()


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def show_list(course: Course, chapters: list[Chapter], screen: Screen) -> None:
    work = Work(course.work)
    for chapter in chapters:
        show_chapter(chapter, work, screen)
    legend = "✓ passed · ~ passed, changed since · ✗ tried · – open · •○○ easy to ••• hard"
    screen.say(screen.wrapped(legend))
