"""Layer 5: what every measure asks of its arguments, and the words of its errors."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.arguments import number

Floats = NDArray[numpy.float64]


def check_numbers(name: str, array: NDArray[Any]) -> None:
    """Raise TypeError unless the dtype is integer or float, ValueError unless all is finite."""
    if not isinstance(array, numpy.ndarray) or array.dtype.kind not in "iuf":
        found = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be a NumPy array of integers or floats, got {found}")
    if array.dtype.kind == "f" and not numpy.isfinite(array).all():
        where = tuple(numpy.argwhere(~numpy.isfinite(array))[0].tolist())
        raise ValueError(f"{name} must be finite, got {array[where]} at index {where}")


def check_points(name: str, array: NDArray[Any], least: int = 1) -> None:
    """Raise as :func:`check_numbers`, and ValueError unless (n, d), n >= least and d >= 1."""
    check_numbers(name, array)
    if array.ndim != 2 or array.shape[0] < least or array.shape[1] < 1:
        raise ValueError(
            f"{name} must have shape (n, d) with n >= {least} and d >= 1, got {array.shape}"
        )


def check_alike(a: str, shape_a: tuple[int, ...], b: str, shape_b: tuple[int, ...]) -> None:
    """Raise ValueError unless two shapes agree but for their first axis, the number of points."""
    if shape_a[1:] != shape_b[1:]:
        raise ValueError(
            f"{a} and {b} must have the same shape but for the first axis, got {shape_a} "
            f"and {shape_b}"
        )


def check_count(name: str, value: int, least: int, most: int | None = None, why: str = "") -> None:
    """Raise TypeError unless an integer, ValueError unless from least to most, explained by why."""
    if isinstance(value, bool) or not isinstance(value, int | numpy.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, {why}, got {value}")


def check_sigma(owner: str, sigma: float) -> None:
    """Raise ValueError unless sigma is positive and finite, TypeError unless it is a number."""
    number(owner, "sigma", sigma, "(0, inf)")
