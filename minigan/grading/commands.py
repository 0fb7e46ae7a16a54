"""The commands of the exercises: start, check, hint, solution, reset, list, watch, grade.

Exit codes of ``check``: 0 passed, 1 failed, 2 a wrong call or the grader at fault, 3 not started.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from keyword import iskeyword
from pathlib import Path
from typing import Any

import click

from minigan.checkpoint import write_atomic
from minigan.grading import classroom, platforms
from minigan.grading.course import Chapter, Course
from minigan.grading.progress import Entry, Work, now
from minigan.grading.report import Screen, show_list, show_report, states
from minigan.grading.sandbox import Report, check_task
from minigan.grading.scaffold import files
from minigan.grading.source import Source, with_stubs
from minigan.grading.submissions import submissions
from minigan.grading.tasks import GraderError, Task

PASSED, FAILED, AT_FAULT, NOT_STARTED = range(4)


class PathName(click.Path):
    """A path. The empty text is none: it would be the current directory."""

    def __init__(self, **options: Any):
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, *where: Any) -> Any:
        return super().convert(value, *where) if value != "" else self.fail("no name", *where)


class CourseError(click.ClickException):
    """The checker or the course is at fault; nothing is said about the learner's work."""

    exit_code = AT_FAULT


def _command(name: str | None = None) -> Callable[[Callable[..., int]], click.Command]:
    """Make a function that returns its exit code a command; a fault of the grader is one line."""

    def decorate(function: Callable[..., int]) -> click.Command:
        @wraps(function)
        def guarded(*args: Any, **options: Any) -> int:
            try:
                return function(*args, **options)
            except GraderError as error:
                raise CourseError(f"the grader is at fault: {error}") from error
            except BrokenPipeError:
                raise
            except OSError as error:
                raise CourseError(f"{error.filename or 'the grader'}: {error.strerror}") from error

        return click.command(name)(guarded)

    return decorate


_task = click.argument("what", metavar="TASK")


@_command()
@click.argument("what", metavar="CHAPTER")
def start(what: str) -> int:
    """Copy the stubs of CHAPTER (such as 04) to exercises/work, where you fill them in."""
    course = Course.find()
    chapter, _ = course.select(what)
    path, screen = course.shown(chapter.work), Screen()
    if Work(course.work).create(chapter.work, chapter.stubs.text):
        screen.say(
            f"{path} is yours: {len(chapter.tasks)} tasks. Then: minigan check {chapter.number}"
        )
        return 0
    screen.say(f"{path} is there already, and was not touched")
    try:
        defined = Source.read(chapter.work).definitions
    except (OSError, SyntaxError, ValueError):
        return 0
    for task in chapter.tasks:
        if any(name not in defined for name in task.functions):
            screen.say(f"it lacks {task.id}; minigan reset {task.id} adds that stub")
    return 0


@_command()
@click.argument("what", metavar="[CHAPTER|TASK]", default="")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="The seed of an earlier check, to draw its inputs again.",
)
def check(what: str, seed: int | None) -> int:
    """Check a task (04.4), a chapter (04), or all tasks that were started."""
    course = Course.find()
    if what:
        chapter, tasks = course.select(what)
        selected = [(chapter, task) for task in tasks]
    else:
        selected = [(c, task) for c, task in course.all_tasks() if c.work.exists()]
        if not selected:
            Screen().say("nothing was started yet; try: minigan start 01")
            return NOT_STARTED
    screen, codes = Screen(), []
    for i, (chapter, task) in enumerate(selected):
        if i:
            screen.say()
        report, entry = _check(course, chapter, task, seed)
        show_report(report, course, entry, screen)
        codes.append(_code(report))
    if len(codes) > 1:
        screen.say(f"\n{codes.count(PASSED)} of {len(codes)} tasks passed", bold=True)
    return FAILED if FAILED in codes else NOT_STARTED if NOT_STARTED in codes else PASSED


def _check(course: Course, chapter: Chapter, task: Task, seed: int | None) -> tuple[Report, Entry]:
    report = check_task(chapter, task, seed=seed)
    return report, Work(course.work).record(report)


def _code(report: Report) -> int:
    return NOT_STARTED if report.not_started else PASSED if report.passed else FAILED


def _one(course: Course, what: str) -> tuple[Chapter, Task]:
    chapter, tasks = course.select(what)
    if "." not in what:
        raise click.UsageError(f"{what} is a chapter; say which task, {tasks[0].id} for one")
    return chapter, tasks[0]


@_command()
@_task
def hint(what: str) -> int:
    """Open the next of the three hints for TASK."""
    course = Course.find()
    _show_hint(course, _one(course, what)[1], Screen())
    return 0


def _show_hint(course: Course, task: Task, screen: Screen) -> None:
    def open_one(entry: Entry) -> None:
        entry["hints"] = min(3, entry.get("hints", 0) + 1)

    opened = Work(course.work).update(task.id, open_one)["hints"]
    for i, text in enumerate(task.hints[:opened], 1):
        screen.say(screen.wrapped(text, "", f"{i} of 3  "))
    rest = f"minigan hint {task.id} opens the next" if opened < 3 else f"read {task.read}"
    screen.say(screen.wrapped(f"({rest})"))


@_command()
@_task
@click.option(
    "--give-up",
    is_flag=True,
    help="Show it before you have passed the task, and record that you gave up.",
)
def solution(what: str, give_up: bool) -> int:
    """Show a solution of TASK with its reasoning, once you have passed it."""
    course = Course.find()
    chapter, task = _one(course, what)
    if not chapter.solution.exists():
        raise click.UsageError("this copy of the course has no solutions")
    work = Work(course.work)
    if not work.read().get(task.id, {}).get("passed"):
        if not give_up:
            raise click.UsageError(
                f"{task.id} is not passed yet; minigan hint {task.id} helps, --give-up opens it"
            )
        work.update(task.id, lambda entry: entry.setdefault("gave_up", now()))
    source = Source.read(chapter.solution)
    for name in task.functions:
        click.echo(source.segment(name))
    return 0


@_command()
@click.argument("what", metavar="CHAPTER|TASK")
@click.option("--restore", is_flag=True, help="Bring back the latest backup of the chapter.")
def reset(what: str, restore: bool) -> int:
    """Put back the stubs of a CHAPTER or of one TASK. A copy of your file is kept first."""
    course = Course.find()
    chapter, tasks = course.select(what)
    work, screen = Work(course.work), Screen()
    if restore:
        latest = work.latest_backup(chapter.work)
        if latest is None:
            raise click.UsageError(f"there is no backup of {course.shown(chapter.work)}")
        kept = work.replace(chapter.work, latest.read_bytes())
        screen.say(f"{course.shown(chapter.work)} is {course.shown(latest)} again")
    elif "." not in what:
        kept = work.replace(chapter.work, chapter.stubs.text.encode())
        screen.say(f"{course.shown(chapter.work)} holds the stubs")
    else:
        if not chapter.work.exists():
            raise click.UsageError(f"nothing to reset; minigan start {chapter.number} begins")
        names = tasks[0].functions
        try:
            kept = work.replace(chapter.work, lambda old: with_stubs(old, chapter.stubs, names))
        except (SyntaxError, ValueError) as error:
            raise click.UsageError(
                f"{course.shown(chapter.work)} is not valid Python ({error}); mend it first, or "
                f"reset all of it: minigan reset {chapter.number}"
            ) from error
        screen.say(f"{course.shown(chapter.work)} holds the stub of {', '.join(names)}")
    if kept is not None:
        screen.say(f"what it was is in {course.shown(kept)}")
    return 0


@_command("list")
@click.argument("what", metavar="[CHAPTER]", default="")
def list_(what: str) -> int:
    """Show the tasks with their progress, difficulty and minutes."""
    course = Course.find()
    chapters = [course.select(what)[0]] if what else list(course.chapters)
    show_list(course, chapters, Screen())
    return 0


@_command()
@click.argument("what", metavar="[CHAPTER|TASK]", default="")
def watch(what: str) -> int:
    """Check again whenever your file is saved. h opens a hint, n takes the next task, q quits."""
    course, screen = Course.find(), Screen()
    chapter, tasks = course.select(what) if what else _latest(course)
    if not chapter.work.exists():
        raise click.UsageError(f"nothing to watch yet; minigan start {chapter.number} begins")
    task = tasks[0] if len(tasks) == 1 else _next(course, chapter, None)
    seen: Any = None
    with platforms.keys() as key:
        while True:
            stamp = _stamp(chapter.work)
            if stamp is not None and stamp != seen:
                seen = stamp
                screen.say()
                report, entry = _check(course, chapter, task, None)
                show_report(report, course, entry, screen)
                screen.say(f"watching {course.shown(chapter.work)} · h hint · n next · q quit")
            pressed = key(0.2)
            if pressed == "q":
                return 0
            if pressed == "h":
                _show_hint(course, task, screen)
            elif pressed == "n":
                task, seen = _next(course, chapter, task), None


def _latest(course: Course) -> tuple[Chapter, tuple[Task, ...]]:
    """The chapter whose file was saved last, and its tasks."""
    started = [chapter for chapter in course.chapters if chapter.work.exists()]
    if not started:
        raise click.UsageError("nothing was started yet; try: minigan start 01")
    chapter = max(started, key=lambda chapter: chapter.work.stat().st_mtime)
    return chapter, chapter.tasks


def _next(course: Course, chapter: Chapter, task: Task | None) -> Task:
    """The first task that is not passed, or the one after ``task`` among these."""
    stand = states(chapter, Work(course.work))
    tasks = [t for t in chapter.tasks if stand[t.id] != "passed" and t is not task]
    after = [t for t in tasks if task is not None and t.id > task.id]
    return (after or tasks or [task or chapter.tasks[0]])[0]


def _stamp(path: Path) -> Any:
    try:
        found = path.stat()
    except FileNotFoundError:  # an editor is replacing it
        return None
    return found.st_mtime_ns, found.st_size


@_command()
@click.argument("folder", type=PathName(exists=True, file_okay=False))
@click.option("--chapter", "numbers", multiple=True, help="A chapter to grade; may be repeated.")
@click.option("--csv", "as_csv", is_flag=True, help="Write a table for a spreadsheet to stdout.")
@click.option(
    "-o",
    "--out",
    type=PathName(dir_okay=False),
    help="Write the table for a spreadsheet to this file.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="The seed that everybody's inputs are drawn from; a new one by default.",
)
def grade(
    folder: Path, numbers: tuple[str, ...], as_csv: bool, out: Path | None, seed: int | None
) -> int:
    """Grade the submissions in FOLDER, which holds a folder or a file for each learner."""
    course = Course.find()
    chapters = list(dict.fromkeys(course.select(n)[0] for n in numbers)) or list(course.chapters)
    found = submissions(folder, course.chapters)
    if not found:
        raise click.UsageError(f"{folder}: no submissions, neither folders nor .py files")
    if out and not out.absolute().parent.is_dir():
        raise click.UsageError(f"-o {out}: there is no folder {out.parent}")
    seed = secrets.randbelow(2**32) if seed is None else seed
    click.echo(f"seed {seed}", err=True)
    grades = []
    for i, submission in enumerate(found, 1):
        click.echo(f"{i}/{len(found)}  {classroom.one_line(submission.name)}", err=True)
        grades.append(classroom.grade(submission, chapters, seed))
    handed_in = {chapter for submission in found for chapter in submission.chapters}
    tasks = [t for c in chapters if numbers or c in handed_in for t in c.tasks]
    if not tasks:
        why = "; ".join(f"{grade.submission.name}: {grade.notes}" for grade in grades[:3])
        raise click.UsageError(f"{folder}: no file in it belongs to a chapter. {why}")
    table = classroom.as_csv(grades, tasks) if as_csv or out else classroom.as_text(grades, tasks)
    if not out:
        click.echo(table, nl=False)
        return 0
    try:
        write_atomic(out, table.encode("utf-8-sig"))
    except OSError:
        click.echo(table, nl=False)  # it took long to make
        raise
    return 0


@_command()
@click.argument("number", type=click.IntRange(1, 99))
@click.argument("name")
@click.argument("function")
def scaffold(number: int, name: str, function: str) -> int:
    """Write the files of a new chapter with one task, FUNCTION; this is for authors."""
    course, two_digits = Course.find(), f"{number:02d}"
    if any(chapter.number == two_digits for chapter in course.chapters):
        raise click.UsageError(f"there is a chapter {two_digits} already")
    if not all(n.isidentifier() and not iskeyword(n) for n in (name, function)):
        raise click.UsageError("NAME and FUNCTION are names as in Python: letters, digits and _")
    new = files(course.root, two_digits, name, function)
    for path in filter(Path.exists, new):
        raise click.UsageError(f"there is a {course.shown(path)} already")
    for path, text in new.items():
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, text.encode())
        click.echo(course.shown(path))
    return 0


COMMANDS = (start, check, hint, solution, reset, list_, watch, grade, scaffold)
