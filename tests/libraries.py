"""The array libraries that the suite runs on, and the comparison of what tests fetch from them."""

import hashlib
from pathlib import Path
from typing import Any

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


class _SmallIntegers:
    """NumPy where the default integer has 32 bits, as in a browser and on old systems.

    What becomes an int64 on its own, and not because an operand or ``dtype`` is one, is cut to 32
    bits. (Only functions do it: the methods of arrays are NumPy's own.)
    """

    __name__ = "numpy"

    def __getattr__(self, name: str) -> Any:
        value = getattr(numpy, name)
        if not callable(value) or isinstance(value, type):
            return value

        def function(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            asked = [getattr(a, "dtype", a) for a in (*args, *kwargs.values())]
            if getattr(result, "dtype", None) == "int64" and "int64" not in map(str, asked):
                return result.astype("int32")
            return result

        return function


small_integers = _SmallIntegers()
