"""The checker in a notebook: ``check("04.4")`` checks a task, ``status("04")`` shows a chapter."""

from __future__ import annotations

from minigan.grading.course import Course
from minigan.grading.progress import Work
from minigan.grading.report import Screen, show_chapter, show_report
from minigan.grading.sandbox import check_task


def check(what: str) -> None:
    """Check a task ("04.4") or a chapter's tasks ("04") in the learner's file, and say the result.

    Raises ValueError if there is no such task, or no course in the current folder or above it.
    """
    course = Course.find()
    chapter, tasks = course.select(what)
    for task in tasks:
        report = check_task(chapter, task)
        show_report(report, course, Work(course.work).record(report), Screen())


def status(what: str) -> None:
    """Show a chapter's tasks and which of them are done; for the last cell of a chapter."""
    course = Course.find()
    chapter, tasks = course.select(what)
    screen = Screen()
    show_chapter(chapter, Work(course.work), screen)
    begin = f"To begin: minigan start {chapter.number}, edit {course.shown(chapter.work)}, then"
    screen.say(
        screen.wrapped(
            f"{'Go on:' if chapter.work.exists() else begin} "
            f"minigan check {chapter.number} in a terminal or, here, "
            f'from minigan.grading import check; check("{tasks[0].id}").'
        )
    )
