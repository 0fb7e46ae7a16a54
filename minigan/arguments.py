"""Layer 0: what an argument that is no array may be, checked where it is given.

A wrong type is a TypeError and a wrong value, NaN for one, a ValueError; both name who was called,
the argument, what it got and what was expected. NumPy's numbers are numbers, True is none.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy

Pair = tuple[int, ...]  # (height, width)
Size = int | Pair  # a number stands for both

#: The intervals that have a name.
WORDS = {"(-inf, inf)": "be finite", "(0, inf)": "be positive and finite"}


def number(owner: str, name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """``value`` as a float in ``interval``, whose brackets say which of its ends belong to it.

    >>> number("Dropout", "p", 1, "[0, 1)")
    Traceback (most recent call last):
    ValueError: Dropout: p must lie in [0, 1), got 1
    """
    if not (_is_integer(value) or isinstance(value, float | numpy.floating)):
        raise wrong_type(owner, name, "a number", value)
    low, high = _bounds(interval)
    above = value >= low if interval[0] == "[" else value > low
    if not (above and (value <= high if interval[-1] == "]" else value < high)):
        expected = WORDS.get(interval, f"lie in {interval}")
        raise ValueError(f"{owner}: {name} must {expected}, got {value}")
    return float(value)


@functools.cache
def _bounds(interval: str) -> tuple[float, ...]:
    return tuple(map(float, interval[1:-1].split(",")))


def integer(owner: str, name: str, value: Any, least: int | None = None) -> int:
    """``value`` as an int, of at least ``least``."""
    expected = {None: "an integer", 1: "a positive integer"}.get(least, f"an integer >= {least}")
    if not _is_integer(value):
        raise wrong_type(owner, name, expected, value)
    if least is not None and value < least:
        raise ValueError(f"{owner}: {name} must be {expected}, got {value}")
    return int(value)


def pair(owner: str, name: str, value: Any, least: int) -> Pair:
    """An integer for both axes, or one for each, of at least ``least``."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(map(_is_integer, both)):
        raise wrong_type(owner, name, "an integer or a pair of integers", value)
    if min(both) < least:
        raise ValueError(f"{owner}: {name} must be at least {least}, got {value}")
    return int(both[0]), int(both[1])


def flag(owner: str, name: str, value: Any) -> bool:
    """``value`` as a bool."""
    if not isinstance(value, bool | numpy.bool):
        raise wrong_type(owner, name, "True or False", value)
    return bool(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | numpy.integer) and not isinstance(value, bool)


def wrong_type(owner: str, name: str, expected: str, value: Any) -> TypeError:
    """The error. An array is named by its type: its entries would fill the screen."""
    got = type(value).__name__ if hasattr(value, "shape") else repr(value)
    return TypeError(f"{owner}: {name} must be {expected}, got {got}")
