"""Layer 5: where a data set's files are, what is known of them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable


class DamagedDataError(ValueError):
    """A data file is not what it should be; the message names the file and the fault."""


@dataclass(frozen=True)
class Source:
    """A folder with four files or with PNGs, and what is known about them."""

    kind: str  # "MINIGAN_DATA", "cache", "Debian package", "embedded", "folder" or "folder of PNGs"
    folder: Traversable
    sha256: Mapping[str, str]  # empty for a user's own folder
    remedy: str  # what to do about a damaged file


@dataclass(frozen=True)
class FileInfo:
    """One file, or one folder of PNGs, as it was found.

    Size and SHA-256 are those of the decompressed bytes, or of the pixels of PNGs.
    """

    file: str
    kind: str
    path: str
    bytes: int | None
    sha256: str | None
    problem: str

    @property
    def ok(self) -> bool:
        return not self.problem
