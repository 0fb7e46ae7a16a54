"""What a learner has done, in ``exercises/work/.progress.json``, and backups of what is replaced.

A pass is remembered by the hash of the code that passed, so finished work stays finished whatever
becomes of the checks; beside it stand hashes of the file and of the checks as they were then.
Writers take turns by a lock, each reads before it writes, and the file is replaced as a whole: a
kill leaves the old content or the new. A file that cannot be read is put among the backups.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from minigan.checkpoint import write_atomic
from minigan.grading.sandbox import Report
from minigan.grading.source import decode

Entry = dict[str, Any]


def now() -> str:
    return datetime.datetime.now().isoformat(timespec="seconds")


class Work:
    """The folder ``exercises/work``."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.file = folder / ".progress.json"
        self.backups = folder / ".backup"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time changes anything here."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    # --- Progress ---------------------------------------------------------------------------------

    def read(self) -> dict[str, Entry]:
        """The entry of each task by its id; {} if there is nothing yet.

        An entry has the keys "passed" ({hash: when}), "around" ({hash: {"file": hash, "checks":
        hash}}), "score" and "of" (checks passed at the last try, and all of them), "hints" (opened)
        and "gave_up" (when), each only if there is something to say.
        """
        try:
            entries = json.loads(self.file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError:
            return {}
        if not isinstance(entries, dict):
            return {}
        return {task: entry for task, entry in entries.items() if isinstance(entry, dict)}

    def update(self, task_id: str, change: Callable[[Entry], None]) -> Entry:
        """Change a task's entry and save; what another process saved meanwhile stays."""
        with self.locked():
            entries = self.read()
            if not entries and self.file.exists() and self.file.read_bytes().strip() != b"{}":
                self._backup(self.file)  # damaged
            entry = entries.setdefault(task_id, {})
            change(entry)
            write_atomic(self.file, (json.dumps(entries, indent=1, sort_keys=True) + "\n").encode())
            return entry

    def record(self, report: Report) -> Entry:
        """Remember how a check ended, if the task was begun, and return the task's entry."""
        if report.not_started:
            return self.read().get(report.task.id, {})

        def change(entry: Entry) -> None:
            entry["score"], entry["of"] = report.score, len(report.task.checks)
            if report.passed:
                entry.setdefault("passed", {}).setdefault(report.digest, now())
                entry.setdefault("around", {})[report.digest] = report.around

        return self.update(report.task.id, change)

    # --- Files ------------------------------------------------------------------------------------

    def create(self, path: Path, text: str) -> bool:
        """Write a new file; if there is one already, return False and touch nothing."""
        with self.locked():
            if path.exists():
                return False
            write_atomic(path, text.encode())
            return True

    def replace(self, path: Path, new: bytes | Callable[[str], str]) -> Path | None:
        """Write a file anew; returns the path of the old file's backup, None if there was none."""
        with self.locked():
            old = self._backup(path) if path.exists() else None
            if not isinstance(new, bytes):
                text, encoding = decode(path.read_bytes() if old else b"")
                new = new(text).encode(encoding)
            write_atomic(path, new)
            return old

    def _backup(self, path: Path) -> Path:
        self.backups.mkdir(exist_ok=True)
        stamp = now().replace("-", "").replace(":", "").replace("T", "-")
        for count in range(1000):
            copy = self.backups / f"{path.stem}.{stamp}.{count:03d}{path.suffix}"
            if not copy.exists():
                break
        write_atomic(copy, path.read_bytes())
        return copy

    def latest_backup(self, path: Path) -> Path | None:
        copies = self.backups.glob(f"{path.stem}.*{path.suffix}")
        # The hour in a name comes twice when summer time ends.
        return max(copies, key=lambda copy: (copy.stat().st_mtime_ns, copy.name), default=None)


def state(entry: Entry, digest: str | None) -> str:
    """How code with this hash stands: "passed", "changed" since it passed, "tried" or "open"."""
    passed = entry.get("passed", {})
    if digest in passed:
        return "passed"
    if passed:
        return "changed"
    return "tried" if "score" in entry else "open"
