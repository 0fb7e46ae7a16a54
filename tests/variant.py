"""Other answers to the exercises: wrong ones, with the check that must reject them, and right ones.

    @wrong("04.2", "shape", "one sum over all rows")
    def jensen_shannon(p, q): ...

The function takes the place of the solution's of the same name; a task's other functions stay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

VARIANTS: list["Variant"] = []


@dataclass(frozen=True)
class Variant:
    """An answer to a task; ``check`` is the one that must reject it, "" if it is right."""

    task: str
    function: Callable[..., Any]
    check: str = ""
    looks_like: str = ""

    @property
    def name(self) -> str:
        return self.function.__name__


def _kept(variant: Variant) -> Callable[..., Any]:
    VARIANTS.append(variant)
    return variant.function


def wrong(task: str, check: str, looks_like: str = "") -> Callable[..., Any]:
    """The decorated function must be rejected by ``check``, as looking like ``looks_like``."""
    return lambda function: _kept(Variant(task, function, check, looks_like))


def right(task: str) -> Callable[..., Any]:
    """The decorated function must pass."""
    return lambda function: _kept(Variant(task, function))
