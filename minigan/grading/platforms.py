"""What differs between systems, and nothing else: process groups, limits, single keys."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

POSIX = os.name == "posix"


def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that can be ended together with the processes that it starts."""
    pipe = subprocess.PIPE
    options |= {"stdin": pipe, "stdout": pipe, "stderr": pipe}
    if POSIX:
        return subprocess.Popen(command, start_new_session=True, **options)
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(command, creationflags=flags, **options)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started; nothing happens if they have ended."""
    if POSIX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False
        )
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


def death(code: int) -> str:
    """How a process ended, by its exit code: the signal's name, where there are signals."""
    if POSIX and code < 0:
        with contextlib.suppress(ValueError):
            return f"it crashed, {signal.Signals(-code).name}"
    return f"it ended itself, exit code {code}"


def limit(memory: int, seconds: int) -> None:
    """Limit this process's bytes of memory and seconds of processor time, where a system can."""
    if POSIX:
        import resource

        limits = {"AS": memory, "CPU": seconds, "CORE": 0}
        for name, most in limits.items():
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


@contextlib.contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Single keys: ``with keys() as key: key(0.2)`` waits 0.2 s for one, and gives "" if none came.

    Without a terminal there are no keys, and ``key`` only waits.
    """
    if not sys.stdin or not sys.stdin.isatty():
        yield _wait
    elif POSIX:
        yield from _posix_keys()
    else:
        yield _windows_key


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _posix_keys() -> Iterator[Callable[[float], str]]:
    import select
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def key(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        if not ready:
            return ""
        pressed = os.read(terminal, 1).decode(errors="ignore")
        return pressed or "q"  # the terminal is gone

    try:
        tty.setcbreak(terminal)
        yield key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _windows_key(seconds: float) -> str:
    import msvcrt

    until = time.monotonic() + seconds
    console: Any = msvcrt
    while time.monotonic() < until:
        if console.kbhit():
            return str(console.getwch())
        time.sleep(0.02)
    return ""
