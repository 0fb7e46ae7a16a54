"""Each task in exercises/work, as a test; see conftest.py."""

import io
from contextlib import redirect_stdout

import pytest

from minigan.grading.course import Chapter, Course
from minigan.grading.progress import Work
from minigan.grading.report import Screen, show_report
from minigan.grading.sandbox import check_task
from minigan.grading.tasks import Task


def test_task(chapter: Chapter, task: Task) -> None:
    report = check_task(chapter, task)
    if report.not_started:
        pytest.skip("not started")
    course = Course.find(chapter.folder)
    entry = Work(course.work).record(report)
    if not report.passed:
        with redirect_stdout(io.StringIO()) as text:
            show_report(report, course, entry, Screen())
        pytest.fail(f"\n{text.getvalue()}", pytrace=False)
