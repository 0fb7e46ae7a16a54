"""Layer 5: what a run leaves on disk, and how it gets there whole.

Tensors are written as safetensors files: a header and raw bytes, never code. Weights, checkpoints
and config.json are written under a temporary name, synced and renamed, so a reader finds the old
file or the new one and nothing in between. A SHA-256 over what a tensor file says (names, dtypes,
shapes, bytes and the values beside them) stands in its metadata and is checked on load.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from minigan.nn import Module

__all__ = ["DamagedFileError", "Run", "load_tensors", "save_tensors", "write_atomic"]

Arrays = dict[str, numpy.ndarray]

FORMAT = 1  # of config.json and checkpoint.safetensors together


class DamagedFileError(ValueError):
    """A file of a run is not what was written; the message names the file and the fault."""


def write_atomic(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``: after a crash it holds all of the old or all of the new."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if os.name == "posix":  # the renaming itself is safe once the folder is synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _digest(tensors: Mapping[str, numpy.ndarray], info: Any) -> str:
    sha = hashlib.sha256(json.dumps(info, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(numpy.asarray(array, order="C").tobytes())
    return sha.hexdigest()


def save_tensors(path: Path, tensors: Arrays, info: Mapping[str, Any] | None = None) -> None:
    """Write named arrays and a JSON-able ``info`` to a safetensors file, atomically."""
    # One metadata entry: safetensors writes several in an order that changes from run to run.
    meta = json.dumps({"sha256": _digest(tensors, info or {}), "info": info or {}}, sort_keys=True)
    contiguous = {name: numpy.asarray(array, order="C") for name, array in tensors.items()}
    write_atomic(path, safetensors.numpy.save(contiguous, metadata={"minigan": meta}))


def load_tensors(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """What :func:`save_tensors` wrote: (tensors, info).

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is truncated, altered or not a minigan file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})["minigan"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            expected, info = meta["sha256"], meta["info"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path}: damaged, or not written by minigan ({error})") from error
    if _digest(tensors, info) != expected:
        raise DamagedFileError(f"{path}: the content does not match its SHA-256; the file changed")
    return tensors, info


class Run:
    """A run's directory.

    ``config.json``, ``history.csv``, ``timing.csv``, ``samples/``, ``checkpoint.safetensors`` (and
    the one before it), ``generator.safetensors``, ``discriminator.safetensors``.
    """

    def __init__(self, path: Path, config: dict[str, Any]):
        self.path, self.config = path, config
        self._keep_previous = False  # the newest checkpoint is damaged, the one before is not

    @classmethod
    def create(cls, path: Path, config: dict[str, Any]) -> Run:
        """Start a run in a directory that holds none yet; FileExistsError otherwise."""
        if path.exists() and not path.is_dir():
            raise FileExistsError(f"{path} is a file")
        if path.exists() and any(path.iterdir()):
            raise FileExistsError(f"{path} exists and is not empty")
        run = cls(path, {"format": FORMAT, **config})
        (path / "samples").mkdir(parents=True, exist_ok=True)
        run.save_config()
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run; FileNotFoundError or :class:`DamagedFileError` if it is none."""
        try:
            text = (path / "config.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"{path} holds no run (there is no config.json)") from None
        try:
            config = json.loads(text)
            found = config["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFileError(f"{path / 'config.json'}: damaged ({error!r})") from error
        if found != FORMAT:
            raise DamagedFileError(
                f"{path / 'config.json'}: format {found!r}, this minigan reads format {FORMAT}"
            )
        return cls(path, config)

    def save_config(self) -> None:
        text = json.dumps(self.config, indent=2) + "\n"
        write_atomic(self.path / "config.json", text.encode())

    @property
    def checkpoint_path(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def previous_path(self) -> Path:
        return self.path / "checkpoint.previous.safetensors"

    @property
    def has_checkpoint(self) -> bool:
        return self.checkpoint_path.exists() or self.previous_path.exists()

    def save_checkpoint(self, tensors: Arrays, info: Mapping[str, Any]) -> None:
        """Write the training state, keeping the one before as checkpoint.previous.safetensors.

        At every moment at least one of the two is whole.
        """
        if self.checkpoint_path.exists() and not self._keep_previous:
            link = self.path / ".checkpoint.link"
            link.unlink(missing_ok=True)
            try:
                try:
                    os.link(self.checkpoint_path, link)
                except OSError:  # a file system without links
                    shutil.copyfile(self.checkpoint_path, link)
                os.replace(link, self.previous_path)
            finally:
                link.unlink(missing_ok=True)
        save_tensors(self.checkpoint_path, tensors, info)
        self._keep_previous = False

    def load_checkpoint(self) -> tuple[Arrays, dict[str, Any], str]:
        """The newest intact training state: (tensors, info, warning), the warning mostly empty."""
        try:
            return *load_tensors(self.checkpoint_path), ""
        except (FileNotFoundError, DamagedFileError) as error:
            if not self.previous_path.exists():
                raise
            found = (
                *load_tensors(self.previous_path),
                f"{error}; going on from {self.previous_path.name}",
            )
            self._keep_previous = True
            return found

    def save_weights(self, player: str, module: Module) -> None:
        """Write ``generator.safetensors`` or ``discriminator.safetensors``."""
        weights = {name: value.numpy() for name, value in module.state_dict().items()}
        save_tensors(self.path / f"{player}.safetensors", weights, {"model": self.config["model"]})

    def load_weights(self, player: str, module: Module) -> None:
        """Read what :meth:`save_weights` wrote into a module of the same architecture."""
        path = self.path / f"{player}.safetensors"
        weights, _ = load_tensors(path)
        try:
            module.load_state_dict(weights)
        except ValueError as error:
            raise DamagedFileError(f"{path}: not the weights of this model. {error}") from error

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Add one row to history.csv or timing.csv, with a heading in a new file."""
        path = self.path / name
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(row), lineterminator="\n")
        if not path.exists() or path.stat().st_size == 0:
            writer.writeheader()
        writer.writerow(row)
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(buffer.getvalue())

    def rows(self, name: str) -> list[dict[str, float]]:
        """The rows of history.csv or timing.csv as numbers."""
        path = self.path / name
        if not path.exists():
            return []
        try:
            with open(path, encoding="utf-8", newline="") as file:
                return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        except (ValueError, TypeError, AttributeError) as error:
            raise DamagedFileError(f"{path}: damaged ({error})") from error

    def forget_after(self, step: int) -> None:
        """Drop the rows of steps after ``step``: a resumed run writes them again."""
        for name in ("history.csv", "timing.csv"):
            path = self.path / name
            if path.exists():
                lines = path.read_bytes().splitlines(keepends=True)
                whole = [line for line in lines if line.endswith(b"\n")]  # a kill may tear the last
                try:
                    kept = [line for line in whole[1:] if int(line.split(b",")[0]) <= step]
                except ValueError as error:
                    raise DamagedFileError(f"{path}: damaged ({error})") from error
                write_atomic(path, b"".join([*whole[:1], *kept]))
