"""The array libraries that the suite runs on, and the comparison of what tests fetch from them."""

import hashlib
from pathlib import Path

import numpy
import pytest
from strict_backend import strict

from minigan import backend

BOTH = {"numpy": numpy, "strict": strict}


def use(name: str, patch: pytest.MonkeyPatch) -> None:
    """Make an array library the current one, and what the name "numpy" means."""
    patch.setattr(backend, "xp", BOTH[name])
    patch.setitem(backend.LIBRARIES, "numpy", lambda: BOTH[name])


def without(library: str, test: str) -> str:
    """A test's id without the parameter that names the library."""
    return test.replace(f"[{library}]", "").replace(f"[{library}-", "[")


def compare(folder: Path, test: str, mine: str, digest: str) -> None:
    """Leave what a test fetched for the one on the other library, and compare if that has run.

    Whichever is second compares, in whatever processes the two have run.
    """
    (other,) = BOTH.keys() - {mine}
    key = hashlib.sha256(test.encode()).hexdigest()
    (folder / f"{key}.{mine}").write_text(digest)
    theirs = folder / f"{key}.{other}"
    if theirs.exists() and (text := theirs.read_text()):
        assert digest == text, f"{test}: other results on {mine} than on {other}"
