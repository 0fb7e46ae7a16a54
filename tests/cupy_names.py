"""What the real CuPy offers, as a table: names, and the keywords that each takes.

    python tests/cupy_names.py     # writes cupy_names.json; needs CuPy, but no GPU

The stand-in of strict_backend.py offers what the table holds and nothing else.
"""

import inspect
import json
import re
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_names.json")
#: Submodules of the table, besides the top level; "ndarray" holds the methods of arrays.
MODULES = ("lib.stride_tricks", "linalg")


def keywords(function: Any) -> list[str]:
    """The parameters of a function; "**" stands for any. Compiled ones say them in a docstring."""
    try:
        found = inspect.signature(function).parameters.values()
        names = ["**" if p.kind == p.VAR_KEYWORD else p.name for p in found]
    except (TypeError, ValueError):
        first = (function.__doc__ or "").partition("\n")[0].replace("\\", "")
        inside = re.search(r"\((.*?)\)(?: ->|$)", first)
        parts = (inside[1] if inside else "").split(",")
        named = [re.sub(r"^\w+ (?=\w)", "", p.strip()).partition("=")[0] for p in parts]
        names = [n for n in named if n.isidentifier()]
    return [n for n in names if n != "self"]  # which Python 3.14 finds at a compiled function, too


def names(module: Any) -> dict[str, list[str]]:
    """Public functions with their keywords; "at" for ufuncs that can add up repeated indices."""
    found = {}
    for name in sorted(n for n in dir(module) if not n.startswith("_")):
        value = getattr(module, name)
        if callable(value) and not inspect.isclass(value):
            found[name] = keywords(value) + ["at"] * bool(getattr(value, "_scatter_op", None))
    return found


def table() -> dict[str, Any]:
    import cupy

    found: dict[str, Any] = {"cupy": cupy.__version__, "": names(cupy)}
    found["values"] = {n: [] for n in sorted(dir(cupy)) if n[0] != "_" and n not in found[""]}
    for module in MODULES:
        owner = cupy
        for part in module.split("."):
            owner = getattr(owner, part)
        found[module] = names(owner)
    found["ndarray"] = names(cupy.ndarray)
    return found


def text() -> str:
    """The table as JSON, a name a line, so that a change reads well."""
    parts = []
    for module, content in table().items():
        if isinstance(content, dict):
            lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in content.items())
            parts.append(f"{json.dumps(module)}: {{\n{lines}\n}}")
        else:
            parts.append(f"{json.dumps(module)}: {json.dumps(content)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
