"""Layer 5: one file's download: a silent mirror is given up in seconds, nothing unchecked kept."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

with warnings.catch_warnings():  # tqdm warns in notebooks without widgets, but draws with text
    warnings.filterwarnings("ignore", message="IProgress not found")
    import pooch

__all__ = ["download", "pooch"]

TIMEOUT = 4.0  # seconds for a mirror to answer, and for a pause in what it sends


def download(url: str, target: Path, check: Callable[[bytes], object]) -> None:
    """Write what is at ``url`` to ``target``, with a progress bar on stderr.

    Raises OSError if the mirror does not deliver, and whatever ``check`` raises; ``target`` is
    then as it was.
    """
    fetch = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16, timeout=TIMEOUT)
    problem = f"no answer within {TIMEOUT:g} seconds"

    def ask() -> None:
        nonlocal problem
        try:
            problem = "" if fetch(url, None, None, check_only=True) else "no such file"
        except OSError as error:
            problem = f"cannot connect ({type(error).__name__})"

    # The library's time-out starts anew for each address of a host and leaves out the name lookup;
    # a thread can be given up after a time that covers both.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if problem:
        raise ConnectionError(problem)
    target.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    fetch(url, stream, None)
    check(stream.getvalue())
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(stream.getvalue())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
