"""The course: found by walking up to a folder that holds ``exercises/``; its chapters and tasks."""

from __future__ import annotations

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
    """Raised for what is no chapter or task of the course, and where there is no course."""


def load(path: Path, name: str) -> ModuleType:
    """Run a file, of any suffix, as a module called ``name``.

    Bytecode beside it is neither read nor written, and its asserts and docstrings are there even
    under ``python -OO``.
    """
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True, optimize=0)
    except (RecursionError, MemoryError) as error:
        raise SyntaxError("nested too deeply") from error
    exec(code, vars(module))
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

    def checks_of(self, task: Task) -> str:
        """A hash of the task's checks and of what they use in checks.py, as it is written there."""
        names = [name for name, value in vars(self._checks).items() if value is task] or ["TASKS"]
        return Source.read(self.folder / "checks.py").digest(names, as_written=True)

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
        try:
            start = (start or Path.cwd()).absolute()
        except OSError as error:
            raise NoSuchTaskError(
                "the current folder is gone or cannot be read; go to the folder of the course "
                "(a clone of minigan) and try again"
            ) from error
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
        """A path as a learner knows it: relative to the course, if it lies within."""
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
        """A chapter with all of its tasks, from "04", or with one of them, from "04.4"."""
        if not isinstance(what, str):  # to Python 4.4 is a number, and 04 a syntax error
            raise NoSuchTaskError(f'{what!r} is no task; write it in quotes: "04.4", or "04"')
        number, dot, rest = what.partition(".")
        chapter = self.chapter(number)
        if not dot:
            return chapter, chapter.tasks
        return chapter, (chapter.task(f"{chapter.number}.{rest}"),)

    def all_tasks(self) -> Iterator[tuple[Chapter, Task]]:
        return ((chapter, task) for chapter in self.chapters for task in chapter.tasks)
