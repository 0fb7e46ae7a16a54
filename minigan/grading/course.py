"""The course: found by walking up to a folder that holds ``exercises/``; its chapters and tasks."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from minigan.grading.source import Source
from minigan.grading.tasks import GraderError, Task


class NoSuchTaskError(ValueError):
    """What was asked for is no chapter or task of the course, or there is no course."""


def load(path: Path, name: str) -> ModuleType:
    """Run a file as a module of that name, without leaving bytecode beside it."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GraderError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@dataclass(frozen=True)
class Chapter:
    """A folder ``exercises/chNN_name``: exercise.py, checks.py and, if included, solution.py."""

    folder: Path

    @property
    def number(self) -> str:
        return self.folder.name[2:4]

    @property
    def stub(self) -> Path:
        return self.folder / "exercise.py"

    @property
    def solution(self) -> Path:
        return self.folder / "solution.py"

    @property
    def work(self) -> Path:
        """The learner's file."""
        return self.folder.parent / "work" / f"{self.folder.name}.py"

    @cached_property
    def stubs(self) -> Source:
        try:
            return Source.read(self.stub)
        except (OSError, SyntaxError, ValueError) as error:
            raise GraderError(f"{self.stub}: {error}") from error

    @cached_property
    def _checks(self) -> ModuleType:
        path = self.folder / "checks.py"
        try:
            return load(path, f"checks_of_{self.folder.name}")
        except Exception as error:
            raise GraderError(f"{path}: {type(error).__name__}: {error}") from error

    @property
    def title(self) -> str:
        """The first line of checks.py, after "Chapter NN: "."""
        line = (self._checks.__doc__ or "").strip().partition("\n")[0]
        return line.partition(": ")[2].rstrip(".")

    @property
    def tasks(self) -> tuple[Task, ...]:
        tasks = tuple(getattr(self._checks, "TASKS", ()))
        if not tasks:
            raise GraderError(f"{self.folder / 'checks.py'} has no TASKS")
        return tasks

    def task(self, task_id: str) -> Task:
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise NoSuchTaskError(
            f"there is no task {task_id}; chapter {self.number} has "
            + ", ".join(task.id for task in self.tasks)
        )


@dataclass(frozen=True)
class Course:
    """The chapters of a course; ``root`` holds ``exercises/``."""

    root: Path
    chapters: tuple[Chapter, ...]

    @classmethod
    def find(cls, start: Path | None = None) -> Course:
        start = (start or Path.cwd()).absolute()
        for folder in (start, *start.parents):
            found = sorted((folder / "exercises").glob("ch[0-9][0-9]_*/checks.py"))
            if found:
                return cls(folder, tuple(Chapter(path.parent) for path in found))
        raise NoSuchTaskError(
            f"no exercises/ in {start} or above it; go to the folder of the course "
            "(a clone of minigan) and try again"
        )

    @property
    def work(self) -> Path:
        return self.root / "exercises" / "work"

    def shown(self, path: Path) -> str:
        """A path as a learner knows it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def chapter(self, number: str) -> Chapter:
        if re.fullmatch(r"\d{1,2}", number):
            for chapter in self.chapters:
                if chapter.number == number.zfill(2):
                    return chapter
        raise NoSuchTaskError(
            f"there is no chapter {number!r}; there are "
            + ", ".join(chapter.number for chapter in self.chapters)
        )

    def select(self, what: Any) -> tuple[Chapter, tuple[Task, ...]]:
        """A chapter and its tasks, from "04", or and one of them, from "04.4"."""
        if not isinstance(what, str):  # 4.4 and 04 are numbers to Python, or none
            raise NoSuchTaskError(f'{what!r} is no task; write it in quotes: "04.4", or "04"')
        number, dot, rest = what.partition(".")
        chapter = self.chapter(number)
        if not dot:
            return chapter, chapter.tasks
        return chapter, (chapter.task(f"{chapter.number}.{rest}"),)

    def all_tasks(self) -> Iterator[tuple[Chapter, Task]]:
        return ((chapter, task) for chapter in self.chapters for task in chapter.tasks)
