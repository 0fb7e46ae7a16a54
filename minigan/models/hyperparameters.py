"""Layer 5: the hyperparameters of a model: its constructor's arguments, with their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from minigan.models.gan import GAN
from minigan.models.state import from_json

__all__ = ["build", "defaults", "from_text", "listed"]

WORDS = {"true": True, "false": False}
#: What a default may be, or all the entries of a tuple.
TYPES = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def defaults(kind: type[GAN]) -> dict[str, Any]:
    """What may be chosen, with its default. ``shape``, of a picture, follows from the data.

    TypeError for an argument without a default whose type says how a text is to be read.
    """
    parameters = inspect.signature(kind).parameters.values()
    found = {p.name: p.default for p in parameters if p.name != "shape"}
    for name, default in found.items():
        types = set(map(type, default if isinstance(default, tuple) else (default,)))
        if len(types) != 1 or not types <= TYPES.keys():
            raise TypeError(
                f"{kind.__name__}: the hyperparameter {name} needs a default, a number, a text, "
                "True, False or a tuple of these, all of one type"
            )
    return found


def from_text(kind: type[GAN], given: Mapping[str, str]) -> dict[str, Any]:
    """Values out of what stands on a command line, each of its default's type.

    ValueError, which lists what there is, for an unknown name and for a text of another type.
    """
    known, values = defaults(kind), {}
    for key, text in given.items():
        if key not in known:
            raise ValueError(f"{kind.name} has no hyperparameter {key!r}; {listed(kind)}")
        try:
            values[key] = _value(text, known[key])
        except ValueError as error:
            raise ValueError(
                f"{kind.name}: {key} must be {_words(known[key])}, got {text!r}; {listed(kind)}"
            ) from error
    return values


def build(
    kind: type[GAN], hyperparameters: Mapping[str, Any], shape: tuple[int, ...] | None = None
) -> GAN:
    """A model for pictures of a ``shape``, (C, H, W).

    ValueError, which lists what there is, for a value that makes no sense.
    """
    more = {"shape": shape} if shape and "shape" in inspect.signature(kind).parameters else {}
    try:
        return kind(**{k: from_json(v) for k, v in hyperparameters.items()}, **more)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{error}; {listed(kind)}") from error


def listed(kind: type[GAN]) -> str:
    """All hyperparameters with their defaults, in words for an error."""
    pairs = (f"{k} = {_shown(v)}" for k, v in defaults(kind).items())
    return f"{kind.name} has {', '.join(pairs)}"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _words(default: Any) -> str:
    if isinstance(default, tuple):
        return f"numbers with commas between them, such as {_shown(default)}"
    return TYPES[type(default)]


def _value(text: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(_value(part, default[0]) for part in text.split(","))
    if isinstance(default, bool):
        if text.lower() not in WORDS:
            raise ValueError(text)
        return WORDS[text.lower()]
    return type(default)(text)
