"""The commands in tests: run them, look at what they say and at what they leave behind."""

import contextlib
import gzip
import io
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigan import backend, data
from minigan.cli import main


@dataclass
class Result:
    code: int
    out: str
    err: str


def minigan(*arguments: str | Path) -> Result:
    """The command as its entry point runs it, in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["minigan", *map(str, arguments)]
    code: Any = None
    try:
        with (
            backend.using_backend(backend.xp),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main()
    except SystemExit as done:
        code = done.code
    finally:
        sys.argv = argv
    assert isinstance(code, int)
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Result(code, out.getvalue(), err.getvalue())


def refused(result: Result, code: int, *parts: str) -> None:
    """One line that says what is wrong, and the exit code."""
    assert result.code == code, result.err
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("minigan: "), result.err
    for part in parts:
        assert part in lines[0], result.err


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def write_digits(folder: Path) -> Path:
    """200 training and 50 test digits as a folder of four files."""
    for split, n, prefix in (("train", 200, "train"), ("test", 50, "t10k")):
        images, labels = data.load("mnist-mini", split)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images[:n, 0]))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(labels[:n]))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


#: The one file with a clock in it.
CLOCK = "timing.csv"


def assert_same_runs(a: Path, b: Path, but: tuple[str, ...] = ()) -> None:
    one, other = content(a), content(b)
    assert set(one) == set(other)
    different = [name for name in one if one[name] != other[name]]
    unexpected = [name for name in different if name not in (CLOCK, *but)]
    assert unexpected == []
