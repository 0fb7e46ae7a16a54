"""The files of a new chapter of exercises, with one task in it, ready to be filled in.

They work as they stand (the function doubles a number), so that each can be replaced step by step,
while the gate in tests/exercises tells what is missing.
"""

from __future__ import annotations

from pathlib import Path

STUB = '''"""Chapter {number}, {name}: what it is about.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check {number}
"""

import numpy as np


def {function}(x):
    """What it computes, in one sentence.

        y = 2 x          (source, section, equation)

    Args:
        x: array of any shape.

    Returns:
        An array of that shape.

    >>> {function}(np.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    raise NotImplementedError
'''

SOLUTION = '''"""Chapter {number}, {name}: solutions, with their reasoning."""


def {function}(x):
    # Why it is done so, in a learner's words.
    return 2 * x
'''

CHECKS = '''"""Chapter {number}: {name}.

Oracles: say what the checks expect, other than what the solution computes.
"""

from math import inf

import numpy as np

from minigan.grading import Check, Idea, Task


def by_entry(x):
    """The oracle: a naive loop, a closed form or frozen numbers."""
    return np.array([v + v for v in x.ravel().tolist()]).reshape(x.shape)


TASKS = (
    Task(
        "{number}.1",
        ("{function}",),
        title="a few words",
        difficulty=1,
        minutes=10,
        read="chapter {number}, section 1: its title",
        hints=("A nudge.", "Half of the way.", "Nearly there."),
        oracle=by_entry,
        checks=(
            Check(
                "shape",
                why="Why the shape matters, in one sentence.",
                cases=lambda rng: [(rng.normal(size=s),) for s in ((3,), (2, 3))],
                rtol=inf,
            ),
            Check(
                "simple numbers",
                why="Why it matters.",
                cases=lambda rng: [(np.array([1.0, -2.0]),)],
            ),
            Check(
                "any numbers",
                why="Why it matters.",
                cases=lambda rng: [(rng.normal(size=(3, 2)),)],
            ),
        ),
        ideas=(
            Idea("the square of x", lambda x: x**2),
            Idea("x itself", lambda x: x.copy()),
        ),
    ),
)
'''

VARIANTS = '''"""Chapter {number}: other answers."""

import numpy as np
from variant import right, wrong


@right("{number}.1")
def {function}(x):
    return np.add(x, x)


@wrong("{number}.1", "simple numbers", "the square of x")
def {function}(x):
    return x * x


@wrong("{number}.1", "simple numbers", "x itself")
def {function}(x):
    return +x


@wrong("{number}.1", "shape")
def {function}(x):
    return 2 * x.ravel()[0]
'''


def files(root: Path, number: str, name: str, function: str) -> dict[Path, str]:
    """The text of each file to write, by its path; variants only in a clone that has the tests."""
    folder = root / "exercises" / f"ch{number}_{name}"
    texts = {
        folder / "exercise.py": STUB,
        folder / "solution.py": SOLUTION,
        folder / "checks.py": CHECKS,
    }
    tests = root / "tests" / "exercises"
    if tests.is_dir():
        texts[tests / f"variants_ch{number}.py"] = VARIANTS
    fields = {"number": number, "name": name.replace("_", " "), "function": function}
    return {path: text.format(**fields) for path, text in texts.items()}
