"""Check one task of one file in a process of its own, with limits on time and memory.

It guards against accidents: an endless loop, an exit, a crash, or a result that claims to equal
everything is a failed check, and none of them can pass for a verdict, which counts only if every
planned check has reported with the secret of this run. It does *not* guard against malice. A
learner's code has the rights of whoever runs the checker: it can read and write that user's files
and use the network; and since it shares a process with the checks, code written for that purpose
can look up the secret or replace the checks. To grade strangers, run it in a container or as a user
with no rights, and read what they wrote.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import queue
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import minigan
from minigan.grading import platforms
from minigan.grading.course import Chapter
from minigan.grading.source import Source, sha, why_not
from minigan.grading.tasks import GraderError, Outcome, Task

#: Seconds that the learner's code may take, once everything else is imported.
TIME_LIMIT = 10.0
#: Seconds that importing everything else may take.
START_LIMIT = 60.0
#: How many bytes are kept of what the learner's code prints; these are the last ones.
OUTPUT_LIMIT = 1 << 20


@dataclass
class Report:
    """What came of checking one task.

    Attributes:
        outcomes: how the checks that ran ended, in order.
        trouble: one line on what went wrong with the file or the process as a whole.
        not_started: there is no file, or the stub is untouched.
        printed: what the learner's code printed.
        digest: the hash of the code that was checked.
        around: hashes of the whole "file" and of the task's "checks": a change in either may change
            the outcomes of the same code.
    """

    task: Task
    file: Path
    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    trouble: str = ""
    line: int | None = None
    not_started: bool = False
    printed: str = ""
    digest: str = ""
    around: dict[str, str] = field(default_factory=dict)

    @property
    def score(self) -> int:
        return sum(outcome.ok for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Every planned check has run and passed, and nothing else went wrong."""
        names = [outcome.check for outcome in self.outcomes if outcome.ok]
        planned = [check.name for check in self.task.checks]
        return not self.trouble and not self.not_started and names == planned != []


def check_task(
    chapter: Chapter,
    task: Task,
    file: Path | None = None,
    seed: int | None = None,
    time_limit: float = TIME_LIMIT,
) -> Report:
    """Check ``task`` in ``file``, by default the learner's; raises GraderError if it cannot."""
    file = (file or chapter.work).absolute()
    report = Report(task, file, secrets.randbelow(2**32) if seed is None else seed)
    try:
        source = Source.read(file)
    except FileNotFoundError:
        report.not_started = True
        return report
    except (OSError, SyntaxError, ValueError) as error:
        report.trouble, report.line = why_not(error), getattr(error, "lineno", None)
        return report
    report.digest = source.digest(task.functions)
    report.around = {"file": sha([source.text]), "checks": chapter.checks_of(task)}
    replaced = [name for name in task.functions if source.replaced(name)]
    report.not_started = not replaced and all(map(source.untouched, task.functions))
    if replaced:
        report.trouble = f"{replaced[0]} is written, but its stub comes later; delete the stub"
        report.line = source.definitions[replaced[0]].lineno
    missing = [name for name in task.functions if name not in source.definitions]
    if missing:
        report.trouble, report.line = _missing(missing[0], source, chapter)
    if not report.not_started and len(missing) < len(task.functions):
        _run_child(chapter, report, time_limit)
    for outcome in report.outcomes:
        if outcome.missing in source.definitions:
            report.trouble = (
                f"{outcome.missing} is not there when the file is imported; "
                "is it under if __name__ == '__main__'?"
            )
            report.line = source.line(outcome.missing)
    return report


def _missing(name: str, source: Source, chapter: Chapter) -> tuple[str, int | None]:
    """What to do about a function that the file does not have, and the line to look at."""
    if line := source.line(name):
        return f"{name} is inside of a class or a function; move it to the left margin", line
    words = f"there is no function {name} in the file"
    others = {other for task in chapter.tasks for other in task.functions}
    mine = {other.casefold(): other for other in source.definitions if other not in others}
    if like := difflib.get_close_matches(name.casefold(), mine, 1):
        words += f"; is it {mine[like[0]]}?"
    return words, None


def _run_child(chapter: Chapter, report: Report, time_limit: float) -> None:
    secret = secrets.token_hex(16)
    job = {
        "secret": secret,
        "folder": str(chapter.folder),
        "task": report.task.id,
        "file": str(report.file),
        "seed": report.seed,
        "seconds": time_limit,
    }
    ready = imported = False
    done = running = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        _link(report.file.parent, Path(folder))
        child = _Child(json.dumps(job).encode(), folder, report.seed)
        try:
            for event in child.events(secret):
                if "ready" in event:
                    ready = True
                    child.deadline = time.monotonic() + time_limit
                elif "at_fault" in event:
                    raise GraderError(event["at_fault"])
                elif "not_imported" in event:
                    report.trouble = f"importing the file raised {event['not_imported']}"
                    report.line = event["line"]
                    return
                elif "imported" in event:
                    imported = True
                elif "running" in event:
                    running = event["running"]
                elif "outcome" in event:
                    report.outcomes.append(Outcome.from_json(event["outcome"]))
                elif "done" in event:
                    done = event["done"]
                    break
            what = _current(report) if imported else "importing the file"
            if done is None and time.monotonic() >= child.deadline:
                if not ready:
                    raise GraderError(f"its process was not ready after {START_LIMIT:g} s")
                report.trouble = (
                    f"stopped: {what} took longer than {time_limit:g} s; an endless loop?"
                )
                report.line = running
            elif done is None and not ready:
                death = child.death()
                child.end()  # this reads the rest of what it said
                why = " ".join(child.printed.decode(errors="backslashreplace").split())
                raise GraderError(f"its process did not start, {death}. {why[-300:]}")
            elif done is None:
                report.trouble = f"{what} did not finish: {child.death()}"
            elif done != len(report.outcomes):
                report.trouble = "the checks did not report what they did"
        finally:
            child.end()
            report.printed = child.printed.decode(errors="backslashreplace")


def _link(beside: Path, folder: Path) -> None:
    """Let what lies beside a learner's file be found by its name in its process's current folder.

    The code finds the files that it reads there, and what it writes stays away from the originals.
    """
    with contextlib.suppress(OSError):  # Windows lets few users make links
        for path in beside.iterdir():
            (folder / path.name).symlink_to(path)


def _current(report: Report) -> str:
    """The check that was running when the process ended."""
    checks = report.task.checks
    at = len(report.outcomes)
    return f'"{checks[at].name}"' if at < len(checks) else "the end"


#: Python's environment variables that say where it and its packages are.
PLACES = {
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR",
    "PYTHONEXECUTABLE",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
}
#: How the names of variables begin that change what Python, NumPy, matplotlib and minigan do.
SETTINGS = ("PYTHON", "NUMPY", "NPY_", "MATPLOTLIBRC", "MINIGAN_")
#: The variables that say how many threads products of matrices use.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _environment(seed: int) -> dict[str, str]:
    """The child's environment: what says where things are, and nothing that changes a verdict.

    A notebook's kernel, an editor or the user may have set variables that strip asserts, turn
    warnings into errors, or ask for a window to draw in.
    """
    kept = {k: v for k, v in os.environ.items() if k in PLACES or not k.startswith(SETTINGS)}
    package = str(Path(minigan.__file__).parent.parent)
    given = [os.path.abspath(p) for p in kept.get("PYTHONPATH", "").split(os.pathsep) if p]
    return kept | {
        "PYTHONPATH": os.pathsep.join([package, *given]),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": str(seed % 2**32),  # the order of a set is an input too
        "MPLBACKEND": "Agg",
        **dict.fromkeys(THREADS, "1"),  # the arrays are small
    }


class _Child:
    """The process that runs a learner's file, with a thread for each of its two outputs."""

    def __init__(self, job: bytes, folder: str, seed: int):
        self.process = platforms.start(
            [sys.executable, "-P", "-m", "minigan.grading.child"],
            env=_environment(seed),
            cwd=folder,
        )
        self.deadline = time.monotonic() + START_LIMIT
        self.printed = bytearray()
        self._lines: queue.Queue[bytes] = queue.Queue()  # b"" for the end
        self._threads = [
            threading.Thread(target=reader, args=(pipe,), daemon=True)
            for reader, pipe in (
                (self._listen, self.process.stdout),
                (self._collect, self.process.stderr),
            )
        ]
        for thread in self._threads:
            thread.start()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already
            self.process.stdin.write(job)
            self.process.stdin.close()

    def _listen(self, pipe: BinaryIO) -> None:
        while line := pipe.readline(OUTPUT_LIMIT):
            self._lines.put(line)
        self._lines.put(b"")

    def _collect(self, pipe: BinaryIO) -> None:
        while part := os.read(pipe.fileno(), 1 << 16):
            self.printed += part
            if len(self.printed) > 2 * OUTPUT_LIMIT:
                del self.printed[:-OUTPUT_LIMIT]

    def events(self, secret: str) -> Iterator[dict[str, Any]]:
        """What the process says, until it ends or the deadline has passed."""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, self.deadline - time.monotonic()))
            except queue.Empty:
                return
            if not line:
                return
            said, _, event = line.decode(errors="replace").partition(" ")
            if secrets.compare_digest(said.encode(), secret.encode()):
                yield json.loads(event)

    def death(self) -> str:
        try:
            return platforms.death(self.process.wait(1.0))
        except Exception:
            return "it closed the channel to the checker"

    def end(self) -> None:
        platforms.end(self.process)
        for thread in self._threads:
            thread.join(1.0)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None and not any(thread.is_alive() for thread in self._threads):
                pipe.close()
