"""A learner's file as text: which functions it defines, their hash, and whether they were begun.

Nothing is run here. The hash of a function covers the code that it depends on, its own and that of
the top-level names it uses, without comments, layout and docstrings.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
import warnings
from collections.abc import Iterable
from pathlib import Path

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source:
    """The text of one file. Raises SyntaxError if it is not Python, ValueError if it is no text."""

    def __init__(self, text: str, name: str = "<source>"):
        self.text = text
        if text.lstrip().startswith("{") and '"nbformat"' in text:
            raise SyntaxError("it is a notebook by another name; copy its functions into this file")
        try:
            with warnings.catch_warnings():  # PYTHONWARNINGS may make errors of them
                warnings.simplefilter("ignore")
                self.tree = ast.parse(text, name)
        except (RecursionError, MemoryError) as error:
            raise SyntaxError("nested too deeply") from error
        except SyntaxError as error:
            if (error.text or "").lstrip().startswith(("%", "!", "?")):
                error.msg = "only a notebook understands this line; delete it"
            raise
        self.definitions: dict[str, ast.stmt] = {}
        for statement in self.tree.body:
            for name in _defined(statement):
                self.definitions[name] = statement

    @classmethod
    def read(cls, path: Path) -> Source:
        return cls(decode(path.read_bytes())[0], str(path))

    def untouched(self, name: str) -> bool:
        """Whether the function's body is still the stub's ``raise NotImplementedError``."""
        return _is_stub(self.definitions.get(name))

    def replaced(self, name: str) -> bool:
        """Whether a function that was written is followed by its stub, which Python then takes."""
        written = (f for f in self.tree.body if isinstance(f, Function) and f.name == name)
        return self.untouched(name) and not all(map(_is_stub, written))

    def line(self, name: str) -> int | None:
        """The first line where a function called ``name`` is defined, even one inside another."""
        lines = (
            n.lineno for n in ast.walk(self.tree) if isinstance(n, Function) and n.name == name
        )
        return min(lines, default=None)

    def digest(self, names: Iterable[str], as_written: bool = False) -> str:
        """A hash of the functions and of everything in the file that they use."""
        wanted, queue = set(names), list(names)
        while queue:
            statement = self.definitions.get(queue.pop())
            for node in ast.walk(statement) if statement is not None else ():
                if isinstance(node, ast.Name) and node.id in self.definitions:
                    if node.id not in wanted:
                        wanted.add(node.id)
                        queue.append(node.id)
        used = [node for node in self.tree.body if wanted & set(_defined(node))]
        return sha(self._text(node) if as_written else self._code(node) for node in used)

    def _code(self, statement: ast.stmt) -> str:
        """A statement without comments, layout and docstrings, or as it stands if that fails."""
        try:
            copy = ast.parse(ast.unparse(statement))
            for node in ast.walk(copy):
                if isinstance(node, (*Function, ast.ClassDef)) and ast.get_docstring(node):
                    node.body = node.body[1:] or [ast.Pass()]
            return ast.unparse(copy)
        except (RecursionError, MemoryError, SyntaxError, ValueError):
            # A sum of hundreds of terms; brackets that unparse adds to 200; 3.12's new f-strings.
            return self._text(statement)

    def span(self, name: str) -> tuple[int, int] | None:
        """The lines of a function, from its first decorator, as a slice of the text's lines."""
        node = self.definitions.get(name)
        return None if node is None else _span(node)

    def segment(self, name: str) -> str:
        """The text of a function."""
        node = self.definitions.get(name)
        return "" if node is None else self._text(node)

    def _text(self, statement: ast.stmt) -> str:
        return "".join(_lines(self.text)[slice(*_span(statement))])


def decode(data: bytes) -> tuple[str, str]:
    """A file's text as Python reads it, and its encoding: UTF-8 or that of a coding comment."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError("it is UTF-16 text, as Windows writes it; save it as UTF-8")
    if b"\0" in data:
        raise SyntaxError("it holds null bytes, as UTF-16 text does; save it as UTF-8")
    encoding = "utf-8"
    try:
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except SyntaxError:  # it does not say which byte it stumbled over
            data.decode()
            raise
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"byte 0x{data[error.start]:02x} in line {line} is not {encoding}; save it as UTF-8"
        ) from error
    except LookupError as error:  # such as "coding: hex"
        raise SyntaxError(str(error).partition(";")[0]) from error
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def why_not(error: OSError | SyntaxError | ValueError) -> str:
    """Why a file gives no :class:`Source`, in one line."""
    if isinstance(error, SyntaxError):
        return f"not valid Python: {error.msg}"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def sha(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_stub(function: ast.stmt | None) -> bool:
    if not isinstance(function, Function):
        return False
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    error = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(error, ast.Name) and error.id == "NotImplementedError"


def _span(node: ast.stmt) -> tuple[int, int]:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return first - 1, node.end_lineno or node.lineno


def _lines(text: str) -> list[str]:
    """Lines as the parser counts them; for ``str.splitlines`` one ends at a form feed as well."""
    return io.StringIO(text).readlines()


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (*Function, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    names = []
    inner: set[ast.AST] = set()  # the variables of comprehensions
    for node in ast.walk(statement):  # an assignment, or definitions under an if
        if isinstance(node, ast.comprehension):
            inner |= {*ast.walk(node.target)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in inner:
            names.append(node.id)
        elif isinstance(node, Function):
            names.append(node.name)
    return names


def with_stubs(text: str, stubs: Source, names: Iterable[str]) -> str:
    """``text`` with these functions as they stand in ``stubs``; a missing one is added at the end.

    Raises SyntaxError for a text that is no Python, which cannot be taken apart.
    """
    for name in names:
        stub = stubs.segment(name)
        span = Source(text).span(name)
        lines = _lines(text)
        if span is None:
            text = text.rstrip("\n") + "\n\n\n" + stub
        else:
            text = "".join(lines[: span[0]]) + stub + "".join(lines[span[1] :])
    return text
