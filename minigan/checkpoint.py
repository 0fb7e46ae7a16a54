"""Layer 5: what a run leaves on disk, and how it gets there whole.

Tensors are written as safetensors files: a header and raw bytes, never code. Every file but the two
logs is written under a temporary name, synced and renamed, so a reader finds the old file or the
new one and nothing in between. A SHA-256 over what a tensor file says (names, dtypes, shapes, bytes
and the values beside them) stands in its metadata and is checked on load; config.json holds one of
its own. history.csv grows by a row at a time; the run has all of it in memory and each checkpoint
holds it too, so a kill in the middle of a row, or a damaged file, costs nothing.

One process at a time writes into a run: :meth:`Run.claimed`. Reading needs no claim.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import safetensors.numpy
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from minigan import backend
from minigan.arguments import wrong_type
from minigan.autograd import Tensor
from minigan.nn import Module

__all__ = [
    "DamagedFileError",
    "ForeignFileError",
    "Run",
    "RunInUseError",
    "load",
    "load_pinned",
    "load_tensors",
    "save",
    "save_tensors",
    "write_atomic",
]

Arrays = dict[str, numpy.ndarray]

FORMAT = 3  # of all files of a run together; since 3 each net has a file of its own
STATE_FORMAT = 2  # of what :func:`save` writes
#: The arguments that may grow when a run is resumed; with any other one changed it is another run.
LENGTH = ("epochs", "steps")
LOGS = ("history.csv", "timing.csv")
#: The columns of the latter; those of the former stand in each checkpoint.
CLOCK = ("step", "seconds", "rate")
#: A whole row of a log, which begins with its step.
ROW = re.compile(rb"^(\d+)(?:,(?:[-+.e\d]+|nan|-?inf))+\n", re.MULTILINE)
#: How the name of what is still being written begins and ends.
PARTIAL = (".minigan.", ".partial")
#: What reading a file of another shape than expected may run into.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class DamagedFileError(ValueError):
    """A file of a run is not what was written; the message names the file and the fault."""


class ForeignFileError(RuntimeError):
    """A file of a run is whole, but of another format or another run; the message says which."""


class RunInUseError(RuntimeError):
    """Another process writes into the run."""


def write_atomic(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``: after a crash it holds all of the old or all of the new.

    A file that holds it already is left alone, with its time. An OSError, of a full disk for one,
    names ``path``; the old content is still there.
    """
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    partial = path.with_name(f"{PARTIAL[0]}{path.name}.{os.getpid()}{PARTIAL[1]}")
    with _naming(path):
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            with contextlib.suppress(OSError):  # where none could be made
                partial.unlink(missing_ok=True)
    if os.name == "posix":  # the renaming itself is safe once the folder is synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an OSError of the block name ``path``: a failed write does not say what it was for."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _is_partial(path: Path) -> bool:
    """Whether a process that was killed left it half-written."""
    return path.name.startswith(PARTIAL[0]) and path.name.endswith(PARTIAL[1])


def _digest(tensors: Mapping[str, numpy.ndarray], info: Any) -> str:
    sha = hashlib.sha256(json.dumps(info, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(numpy.ascontiguousarray(array).data)
    return sha.hexdigest()


def save_tensors(
    path: Path, tensors: Arrays, info: Mapping[str, Any] | None = None, format_: int = FORMAT
) -> None:
    """Write named arrays and a JSON-able ``info`` to a safetensors file, atomically."""
    native = {k: numpy.asarray(v).dtype.newbyteorder("=") for k, v in tensors.items()}
    contiguous = {k: numpy.asarray(v, native[k], order="C") for k, v in tensors.items()}
    # One metadata entry: safetensors writes several in an order that changes from run to run.
    sha256 = _digest(contiguous, info or {})
    meta = json.dumps({"format": format_, "sha256": sha256, "info": info or {}}, sort_keys=True)
    write_atomic(path, safetensors.numpy.save(contiguous, metadata={"minigan": meta}))


def load_tensors(path: Path, format_: int = FORMAT) -> tuple[Arrays, dict[str, Any]]:
    """What :func:`save_tensors` wrote: (tensors, info).

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is truncated, altered or not a minigan file.
        ForeignFileError: another version of minigan wrote it, in another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})["minigan"])
            _check_format(path, meta, format_)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            expected, info = meta["sha256"], meta["info"]
    except (SafetensorError, *MALFORMED) as error:
        raise DamagedFileError(f"{path}: damaged, or not written by minigan ({error})") from error
    if _digest(tensors, info) != expected:
        raise DamagedFileError(f"{path}: the content does not match its SHA-256; the file changed")
    return tensors, info


def save(state: Any, path: str | Path) -> None:
    """Write a state_dict, or that of a Module or an Optimizer, to a safetensors file, atomically.

    Args:
        state: Tensors or arrays by name, or what has a ``state_dict()``.
        path: the file. After a crash it holds all of the old content or all of the new.

    Raises:
        TypeError: it is neither, or a value is neither a Tensor nor an array of numbers.
        OSError: the file cannot be written; the message names it.
    """
    state = state.state_dict() if hasattr(state, "state_dict") else state
    if not isinstance(state, Mapping):
        raise wrong_type("save", "state", "a Module or a state_dict", state)
    arrays = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in state.items()}
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise wrong_type("save", "a name in the state", "a str", name)
        if not isinstance(array, numpy.ndarray) or array.dtype.kind not in "fiub":
            raise wrong_type("save", f"{name!r} in the state", "a Tensor or an array", state[name])
    save_tensors(Path(path), arrays, format_=STATE_FORMAT)


def load(path: str | Path) -> dict[str, Tensor]:
    """What :func:`save` wrote, on the current backend: for ``load_state_dict``.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is truncated, altered or not a minigan file.
        ForeignFileError: another version of minigan wrote it, in another format.
    """
    arrays, _ = load_tensors(Path(path), STATE_FORMAT)
    return {name: Tensor(backend.xp.array(array)) for name, array in arrays.items()}


def load_pinned(path: Path, sha256: str) -> Arrays:
    """The tensors of a file of the package's own; RuntimeError unless its bytes have that hash."""
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise RuntimeError(
            f"{path}: its SHA-256 is {found}, expected {sha256}; install minigan again"
        )
    tensors: Arrays = safetensors.numpy.load(content)
    return tensors


def _check_empty(path: Path) -> None:
    """FileExistsError if there is more than a process leaves that was killed before it wrote."""
    if any(p.name != ".lock" and not _is_partial(p) for p in path.iterdir()):
        raise FileExistsError(f"{path} exists and is not empty")


def _check_format(path: Path, found: dict[str, Any], format_: int = FORMAT) -> None:
    if found["format"] != format_:
        raise ForeignFileError(
            f"{path}: format {found['format']!r}, this minigan reads format {format_}; "
            "use the version of minigan that wrote it"
        )


class Run:
    """A run's directory.

    ``config.json``, ``history.csv``, ``timing.csv``, ``samples/``, ``checkpoint.safetensors`` (and
    the one before it), and for each net of the model ``ATTRIBUTE.safetensors``, for one
    ``generator.safetensors``.
    """

    def __init__(self, path: Path, config: dict[str, Any]):
        self.path, self.config = path, config
        self._keep_previous = False  # the newest checkpoint is damaged, the one before is not
        self._lock = FileLock(path / ".lock", timeout=0)
        self.logs = {name: _content(path / name) for name in LOGS}  # as they should be

    @classmethod
    def create(cls, path: Path, config: dict[str, Any]) -> Run:
        """Start a run in a directory that is new or empty; FileExistsError otherwise."""
        if path.exists() and not path.is_dir():
            raise FileExistsError(f"{path} is a file")
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
            _check_empty(path)
            run = cls(path, {"format": FORMAT, **config})
            with run.claimed():
                _check_empty(path)  # still
                run.save_config()
        except BaseException:
            for folder in new:
                with contextlib.suppress(OSError):  # it could not be made, or is not empty
                    folder.rmdir()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run.

        Raises:
            FileNotFoundError: there is none.
            DamagedFileError, ForeignFileError: its config.json cannot be used.
        """
        file = path / "config.json"
        if not file.is_file():
            raise FileNotFoundError(f"{path} holds no run (there is no config.json)")
        try:
            config = json.loads(file.read_bytes())
            _check_format(file, config)
            sha256 = config.pop("sha256")
        except MALFORMED as error:
            raise DamagedFileError(f"{file}: damaged ({error!r})") from error
        if sha256 != _digest({}, config):
            raise DamagedFileError(f"{file}: the content does not match its SHA-256; it changed")
        return cls(path, config)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes from writing into the run until the block ends.

        What an earlier process left half-written is removed. Raises RunInUseError if another
        process has a claim; the system ends that one's claim with the process, however it ends.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise RunInUseError(
                f"{self.path} is in use by another process: wait until it has ended, "
                "or choose another directory"
            ) from None
        try:
            for leftover in filter(_is_partial, list(self.path.rglob("*"))):
                is_folder = leftover.is_dir() and not leftover.is_symlink()
                shutil.rmtree(leftover) if is_folder else leftover.unlink()
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows keeps it
                os.unlink(self._lock.lock_file)
            self._lock.release()

    def save_config(self) -> None:
        text = json.dumps({**self.config, "sha256": _digest({}, self.config)}, indent=2) + "\n"
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

        At every moment at least one of the two is whole. The history so far goes in too.
        """
        if self.checkpoint_path.exists() and not self._keep_previous:
            link = self.path / "checkpoint".join(PARTIAL)
            try:
                try:
                    os.link(self.checkpoint_path, link)
                except (OSError, AttributeError):  # a file system, or a system, without links
                    shutil.copyfile(self.checkpoint_path, link)
                os.replace(link, self.previous_path)
            finally:
                link.unlink(missing_ok=True)
        history = numpy.frombuffer(self.logs["history.csv"], "uint8")
        tensors = {**tensors, "history.csv": history}
        save_tensors(self.checkpoint_path, tensors, {**info, "run": self._identity()})
        self._keep_previous = False

    def load_checkpoint(self) -> tuple[Arrays, dict[str, Any], str]:
        """The newest intact training state: (tensors, info, warning), the warning mostly empty."""
        try:
            return *self._load(self.checkpoint_path), ""
        except (FileNotFoundError, DamagedFileError) as error:
            if not self.previous_path.exists():
                raise
            try:
                found = self._load(self.previous_path)
            except DamagedFileError as other:
                raise DamagedFileError(f"{error}; {other}") from error
            self._keep_previous = True
            return *found, f"{error}; going on from {self.previous_path.name}"

    def _load(self, path: Path) -> tuple[Arrays, dict[str, Any]]:
        tensors, info = load_tensors(path)
        theirs, ours = info.pop("run", {}), self._identity()
        both = sorted(theirs | ours)
        if different := [k for k in both if repr(theirs.get(k)) != repr(ours.get(k))]:  # or NaN
            raise ForeignFileError(
                f"{path}: another run's; "
                + "; ".join(f"its {k} is {theirs.get(k)}, not {ours.get(k)}" for k in different)
            )
        return tensors, info

    def _identity(self) -> dict[str, Any]:
        """What a run's files have in common: its arguments, but for length and name of the data."""
        arguments = self.config.get("arguments", {})
        chosen = arguments.get("hyperparameters") or self.config.get("values", {})
        differs = (*LENGTH, "data", "hyperparameters")
        same = {k: v for k, v in arguments.items() if k not in differs}
        return {**chosen, **same, **{k: self.config.get(k) for k in ("model", "data_sha256")}}

    def save_weights(self, nets: Iterable[str], arrays: Arrays, values: Mapping[str, Any]) -> None:
        """Write each net as ATTRIBUTE.safetensors, out of a training state.

        The numbers of the state go with each: what is drawn may depend on them.
        """
        files = {"checkpoint": "checkpoint.safetensors"}
        for net in nets:
            if other := files.get(net.lower()):
                raise ValueError(
                    f"{self.path}: the attribute {net} cannot be written beside {other}, whose "
                    "name a file system may take for the same; give it another name"
                )
            files[net.lower()] = f"{net}.safetensors"
            weights = {
                k.removeprefix(f"{net}."): v for k, v in arrays.items() if k.startswith(f"{net}.")
            }
            info = {"run": self._identity(), "values": values}
            save_tensors(self.path / f"{net}.safetensors", weights, info)

    def load_weights(self, net: str, module: Module) -> dict[str, Any]:
        """Read what :meth:`save_weights` wrote into a module of the same architecture.

        Returns:
            The numbers that were saved with it.
        """
        path = self.path / f"{net}.safetensors"
        weights, info = self._load(path)
        try:
            module.load_state_dict(weights)
        except ValueError as error:
            raise DamagedFileError(f"{path}: not the weights of this model. {error}") from error
        values: dict[str, Any] = info["values"]
        return values

    def weights_sha256(self) -> str:
        """What identifies the nets' files, all but the checkpoints', together."""
        sha = hashlib.sha256()
        for path in sorted(self.path.glob("*.safetensors")):
            if not path.name.startswith("checkpoint."):
                sha.update(path.name.encode() + path.read_bytes())
        return sha.hexdigest()

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Add one row to history.csv or timing.csv, with a heading in a new file.

        The columns are those of the heading, in its order. ValueError, and nothing is written, for
        a row with other columns, for one that is not a step and numbers, and after a cut-off one.
        """
        path, log = self.path / name, self.logs[name]
        heading = log.partition(b"\n")[0].decode(errors="replace")
        columns = next(csv.reader([heading])) if log else list(row)
        lacking, new = [c for c in columns if c not in row], [c for c in row if c not in columns]
        if lacking or new:
            raise ValueError(
                f"{path}: every row has the columns of the heading, {heading}; this row lacks "
                f"{', '.join(lacking) or 'none'} of them and adds {', '.join(new) or 'none'}"
            )
        if log and not log.endswith(b"\n"):
            raise DamagedFileError(f"{path}: damaged (the last row is cut off)")
        head, line = io.StringIO(), io.StringIO()
        csv.writer(head, lineterminator="\n").writerow(columns)
        csv.writer(line, lineterminator="\n").writerow(row[c] for c in columns)
        if not ROW.fullmatch(line.getvalue().encode()):
            raise ValueError(f"{path}: a row is a step and then numbers, got {dict(row)}")
        added = (line.getvalue() if log else head.getvalue() + line.getvalue()).encode()
        with _naming(path), open(path, "ab") as file:
            file.write(added)
        self.logs[name] += added

    def rows(self, name: str) -> list[dict[str, float]]:
        """The rows of history.csv or timing.csv as numbers."""
        path = self.path / name
        try:
            lines = _content(path).decode().splitlines()
            return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]
        except (csv.Error, *MALFORMED) as error:
            raise DamagedFileError(f"{path}: damaged ({error})") from error

    def restore_logs(self, history: bytes, last: int) -> list[str]:
        """Put history.csv back to a checkpoint's, and timing.csv to the same rows.

        Args:
            history: the file's content as the checkpoint has it.
            last: the last step to keep. The run writes the rows of later ones again.

        Returns:
            A warning for each file whose rows up to the checkpoint were not there any more.
        """
        log, clock = (self.path / name for name in LOGS)
        kept, timed = _rows(history, last), _rows(_content(clock), last)
        warnings = []
        if not _content(log).startswith(history):
            warnings.append(f"{log}: damaged; its rows are restored from the checkpoint")
        if [step for step, _ in timed] != [step for step, _ in kept]:
            warnings.append(f"{clock}: damaged; only the rows that can be read are kept")
        heading = history.partition(b"\n")[0] + b"\n"
        columns = f"{','.join(CLOCK)}\n".encode()
        for path, first, rows in ((log, heading, kept), (clock, columns, timed)):
            content = first + b"".join(line for _, line in rows)
            self.logs[path.name] = content if history else b""
        self.mend_logs()
        return warnings

    def mend_logs(self) -> list[str]:
        """Write the logs again that are not as this process left them; a warning for each."""
        warnings = []
        for name, content in self.logs.items():
            path = self.path / name
            if _content(path) != content:
                write_atomic(path, content)
                warnings.append(f"{path}: was changed during the run; it is written again")
        return warnings


def _rows(log: bytes, last: int) -> list[tuple[int, bytes]]:
    """The steps up to ``last`` and their whole rows; what is no row is left out."""
    return [(int(row[1]), row[0]) for row in ROW.finditer(log) if int(row[1]) <= last]
