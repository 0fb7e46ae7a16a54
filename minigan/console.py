"""Layer 5: what a long run says to whoever watches it, and what it hears: bars, lines, signals."""

from __future__ import annotations

import contextlib
import functools
import math
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm.std import tqdm as plain_tqdm

with warnings.catch_warnings():  # tqdm warns in notebooks without widgets, but draws with text
    warnings.filterwarnings("ignore", message="IProgress not found")
    from tqdm.auto import tqdm as auto_tqdm

__all__ = [
    "answered",
    "in_a_notebook",
    "progress",
    "said_first",
    "say",
    "say_once",
    "stop_requested",
]


#: What :func:`said_first` keeps for the next line.
_kept: list[str] = []


def say(message: str) -> None:
    """Write one line on stderr, in which no character of a name is a command to the terminal."""
    lines = [*_kept, message]
    _kept.clear()
    for text in lines:
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
        print(f"minigan: {line}", file=sys.stderr, flush=True)


@functools.cache
def say_once(message: str) -> None:
    """:func:`say`, each message once per process."""
    say(message)


@contextlib.contextmanager
def said_first(messages: Iterable[str]) -> Iterator[None]:
    """Let the messages come before the block's first line, and not at all if it has none."""
    _kept[:] = messages
    try:
        yield
    finally:
        _kept.clear()


def in_a_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


# --- Signals --------------------------------------------------------------------------------------


@contextlib.contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a step is never torn in two."""
    event = threading.Event()
    with answered((signal.SIGINT, signal.SIGTERM), lambda *_: event.set()):
        yield event


@contextlib.contextmanager
def answered(signals: Iterable[int], handler: Callable[..., Any]) -> Iterator[None]:
    """Let ``handler`` answer the signals until the block ends; in the main thread only."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # others cannot set handlers
        previous = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


# --- Progress -------------------------------------------------------------------------------------


class _LogLines(plain_tqdm):  # type: ignore[misc]
    """Progress for a log file: whole lines, one every half minute, nothing overwritten."""

    def __init__(self, **options: Any):
        super().__init__(mininterval=30.0, maxinterval=math.inf, ascii=True, ncols=100, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        try:
            self.fp.write(f"{msg or self}\n")
            self.fp.flush()
        except OSError:  # nobody reads it any more, which is no reason to stop
            self.disable: bool = True
        return True

    def close(self) -> None:
        if not self.disable:  # close() is called twice, by hand and by the destructor
            self.disable = True
            self.display()


def progress(total: int | None, initial: int = 0) -> Any:
    """A progress bar in steps, with rate and time left: on a terminal, in a notebook, in a log."""
    if sys.stderr.isatty() or in_a_notebook():
        return auto_tqdm(total=total, initial=initial, unit="step", dynamic_ncols=True)
    return _LogLines(total=total, initial=initial, unit="step")
