"""The exercises' quality gate: the checks accept what is right and reject what is wrong.

Checks run here in this process, on functions; tests/exercises/test_commands.py is about processes.
"""

import doctest
import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from equivalent import EQUIVALENT
from mutation import mutants
from variant import VARIANTS, Variant

from minigan import backend
from minigan.grading import Task
from minigan.grading.course import Chapter, Course, load
from minigan.grading.sandbox import check_task
from minigan.grading.source import Source
from minigan.grading.tasks import Outcome, run

pytestmark = pytest.mark.on_the_host("learners' functions take NumPy arrays")
HERE = Path(__file__).parent
COURSE = Course.find(HERE)
PAIRS = list(COURSE.all_tasks())
SEEDS = range(5)
SOLUTIONS = {c.number: vars(load(c.solution, f"solution_{c.number}")) for c in COURSE.chapters}
for _file in sorted(HERE.glob("variants_*.py")):
    load(_file, _file.stem)

each_task = pytest.mark.parametrize(("chapter", "task"), PAIRS, ids=[t.id for _, t in PAIRS])


def first_failure(task: Task, functions: dict[str, Any], seed: int) -> Outcome | None:
    return next((outcome for outcome in run(task, functions, seed) if not outcome.ok), None)


def answers(task: Task, other: Any = None, name: str = "") -> dict[str, Any]:
    """The solution's functions, with one of them replaced."""
    found = {name: SOLUTIONS[task.id[:2]][name] for name in task.functions}
    return {**found, **({name: other} if name else {})}


def sections(chapter: Chapter) -> list[str]:
    """What a task's ``read`` may be: the headings of the chapter's notebook, by their numbers."""
    (notebook,) = COURSE.root.glob(f"chapters/{chapter.number}_*.ipynb")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return [
        f"chapter {chapter.number}, section {number}: {title}"
        for number, title in re.findall(r"^## (\d+)\. (.*)$", text, re.MULTILINE)
    ]


@each_task
def test_the_solution_passes(chapter: Chapter, task: Task) -> None:
    for seed in SEEDS:
        assert first_failure(task, answers(task), seed) is None


@each_task
def test_the_stub_is_not_started_and_its_example_holds(chapter: Chapter, task: Task) -> None:
    report = check_task(chapter, task, chapter.stub)
    assert report.not_started and not report.passed
    stub = load(chapter.stub, f"stub_{chapter.number}")
    for name in task.functions:
        documented: Any = getattr(stub, name)
        assert isinstance(documented, FunctionType)
        with pytest.raises(NotImplementedError):
            documented(*[None] * documented.__code__.co_argcount)
        text = documented.__doc__ or ""
        examples = doctest.DocTestParser().get_doctest(
            text, {**vars(stub), **SOLUTIONS[chapter.number]}, name, None, 0
        )
        assert examples.examples, f"{name} has no example"
        assert doctest.DocTestRunner().run(examples).failed == 0


@each_task
def test_the_task_says_what_it_must(chapter: Chapter, task: Task) -> None:
    assert len(set(task.hints)) == 3 and all(task.hints)
    assert task.title and task.read.startswith(f"chapter {chapter.number}, section ")
    assert task.read in sections(chapter)
    assert 1 <= task.difficulty <= 3 and 5 <= task.minutes <= 60
    assert len(task.checks) >= 3 and all(check.why for check in task.checks)
    mine = [variant for variant in VARIANTS if variant.task == task.id]
    assert len([v for v in mine if v.check]) >= 3, "three wrong variants"
    assert [v for v in mine if not v.check], "a right variant"


@each_task
def test_the_parts_of_a_result_go_by_their_own_names(chapter: Chapter, task: Task) -> None:
    for check in task.checks:
        expect = check.expect or task.oracle
        assert expect is not None
        for args in check.cases(backend.generator(0)):
            want = expect(*args)
            if task.returns and isinstance(want, tuple):
                assert len(want) == len(task.returns), f"{check.name}: whose names are these?"


@each_task
def test_every_known_wrong_idea_is_rejected_and_named(chapter: Chapter, task: Task) -> None:
    assert task.ideas
    for idea in task.ideas:
        name = task.name_of(idea)
        for seed in SEEDS:
            failure = first_failure(task, answers(task, idea.function, name), seed)
            assert failure is not None, idea.looks_like
            assert failure.looks_like == idea.looks_like, failure.check


@pytest.mark.parametrize(
    "variant",
    VARIANTS,
    ids=[f"{v.task}-{v.check or 'right'}-{i}" for i, v in enumerate(VARIANTS)],
)
def test_a_variant_is_judged_as_it_should_be(variant: Variant) -> None:
    task = next(task for _, task in PAIRS if task.id == variant.task)
    for seed in SEEDS:
        failure = first_failure(task, answers(task, variant.function, variant.name), seed)
        if not variant.check:
            assert failure is None
        else:
            assert failure is not None
            assert (failure.check, failure.looks_like) == (variant.check, variant.looks_like)


def test_a_list_that_is_kept_from_call_to_call_is_named() -> None:
    def topological_order(root: Any, seen: list[Any] = []) -> list[Any]:  # noqa: B006  the mistake
        for parent in root.parents:
            if parent not in seen:
                topological_order(parent, seen)
        seen.append(root)
        return seen

    task = next(task for _, task in PAIRS if task.id == "01.2")
    failure = first_failure(task, {"topological_order": topological_order}, 0)
    assert failure is not None and failure.difference is not None
    assert failure.check == "a chain"
    assert failure.difference.yours == "with a node of an earlier call"


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """An endless loop is caught as well."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survivors(chapter: Chapter, task: Task) -> Iterator[str]:
    """The mutants of the solution that all checks accept."""
    source = Source.read(chapter.solution)
    for name in task.functions:
        for what, text in mutants(source.segment(name)):
            scope = dict(SOLUTIONS[chapter.number])
            exec(compile(text, "mutant", "exec"), scope)
            try:
                with no_longer_than(5):
                    if first_failure(task, answers(task, scope[name], name), 0) is None:
                        yield f"{name}: {what}"
            except TimeoutError:
                pass


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm on this system")
@each_task
def test_every_mutant_is_caught_or_listed_as_equivalent(chapter: Chapter, task: Task) -> None:
    assert set(survivors(chapter, task)) == set(EQUIVALENT.get(task.id, {}))


@each_task
def test_the_solution_passes_in_its_own_process_in_time(chapter: Chapter, task: Task) -> None:
    report = check_task(chapter, task, chapter.solution, seed=0, time_limit=2.0)
    assert (report.trouble, report.printed) == ("", "")
    assert report.passed
