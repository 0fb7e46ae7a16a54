"""The process that runs a learner's file: ``python -m minigan.grading.child``, a job on stdin.

The job is JSON: the chapter's folder, the task, the file, the seed, the time limit in seconds, and
a secret. Each answer is one line, the secret and then JSON, on what was stdout when the process
started; what the learner's code prints goes to stderr. A line without the secret counts for
nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.grading import platforms
from minigan.grading.course import Chapter, load
from minigan.grading.tasks import GraderError, Raised, run

#: How many bytes of memory the process may have.
MEMORY = 4 << 30
#: How much processor time it may use. The checker ends it long before, unless it was killed itself.
SECONDS = 60


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    secret = job.pop("secret")
    channel = os.dup(1)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")

    def tell(**event: Any) -> None:
        os.write(channel, f"{secret} {json.dumps(event)}\n".encode())

    platforms.limit(MEMORY, SECONDS)
    try:
        grade(Chapter(Path(job["folder"])), Path(job["file"]), job, tell)
    except GraderError as error:
        tell(at_fault=str(error))


def tell_line_after(file: Path, seconds: float, tell: Callable[..., None]) -> None:
    """Once ``seconds`` have passed, tell which line of the learner's file is running."""

    def tell_running_line() -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None and frame.f_code.co_filename != str(file):
            frame = frame.f_back
        if frame is not None:
            with contextlib.suppress(OSError):  # the learner's code has closed it
                tell(running=frame.f_lineno)

    timer = threading.Timer(seconds, tell_running_line)
    timer.daemon = True
    timer.start()


def grade(chapter: Chapter, file: Path, job: dict[str, Any], tell: Callable[..., None]) -> None:
    task = chapter.task(job["task"])
    tell(ready=True)
    sys.path.append(str(file.parent))  # the last entry, so that nothing in it replaces a library
    tell_line_after(file, 0.8 * job["seconds"], tell)
    try:
        module = load(file, chapter.folder.name)
    except BaseException as error:  # exit() at import is a learner's mistake as well
        raised = f"{Raised(error)}{_advice(error, file)}"
        tell(not_imported=raised, line=_last_line(error, file))
        return
    tell(imported=True)
    functions = {name: vars(module)[name] for name in task.functions if name in vars(module)}
    done = 0
    for outcome in run(task, functions, job["seed"]):
        tell(outcome=outcome.as_json())
        done += 1
    tell(done=done)


def _advice(error: BaseException, file: Path) -> str:
    """What to do about an error that does not say it by itself."""
    name = str(getattr(error, "name", None)).partition(".")[0]
    if isinstance(error, NameError) and name == "get_ipython":
        return "; only a notebook has it: delete the line"
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        return "; a file is checked as no part of a package: import without the dot"
    return ""


def _last_line(error: BaseException, file: Path) -> int | None:
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(file)
    ]
    return lines[-1] if lines else None


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
