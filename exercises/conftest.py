"""``pytest exercises --work`` checks what a learner has written, one test for each task."""

import pytest

collect_ignore_glob = ["ch*", "work"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--work", action="store_true", help="check exercises/work")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from minigan.grading.course import Course

    pairs = []
    if metafunc.config.getoption("--work"):
        course = Course.find(metafunc.config.invocation_params.dir)
        pairs = [(chapter, task) for chapter, task in course.all_tasks() if chapter.work.exists()]
    metafunc.parametrize(("chapter", "task"), pairs, ids=[task.id for _, task in pairs])
