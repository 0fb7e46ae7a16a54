"""Layer 7: what the commands take as a path."""

from pathlib import Path
from typing import Any

import click


class PathName(click.Path):
    """A path, which "" is not: it would be the current directory."""

    def __init__(self, **options: Any):
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, *where: Any) -> Any:
        return super().convert(value, *where) if value != "" else self.fail("no name", *where)
