"""A learner's file as text: which functions it defines, their hash, and whether they were begun.

Nothing is run here. The hash of a function covers the code that it depends on, its own and that of
the top-level names it uses, without comments, layout and docstrings.
"""

from __future__ import annotations

import ast
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source:
    """The text of one file. Raises SyntaxError (or ValueError, for no text) if it is not Python."""

    def __init__(self, text: str, name: str = "<source>"):
        self.text = text
        try:
            self.tree = ast.parse(text, name)
        except (RecursionError, MemoryError) as error:
            raise SyntaxError("nested too deeply") from error
        self.definitions: dict[str, ast.stmt] = {}
        for statement in self.tree.body:
            for name in _defined(statement):
                self.definitions[name] = statement

    @classmethod
    def read(cls, path: Path) -> Source:
        return cls(path.read_text(encoding="utf-8-sig"), str(path))

    def untouched(self, name: str) -> bool:
        """Whether the function's body is still the stub's ``raise NotImplementedError``."""
        function = self.definitions.get(name)
        if not isinstance(function, Function):
            return False
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
            return False
        error = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
        return isinstance(error, ast.Name) and error.id == "NotImplementedError"

    def digest(self, names: Iterable[str]) -> str:
        """A hash of the functions and of all of the file that they use."""
        wanted, queue = set(names), list(names)
        while queue:
            statement = self.definitions.get(queue.pop())
            for node in ast.walk(statement) if statement is not None else ():
                if isinstance(node, ast.Name) and node.id in self.definitions:
                    if node.id not in wanted:
                        wanted.add(node.id)
                        queue.append(node.id)
        code = [self._code(node) for node in self.tree.body if wanted & set(_defined(node))]
        return hashlib.sha256("\n".join(code).encode()).hexdigest()[:16]

    def _code(self, statement: ast.stmt) -> str:
        """A statement without comments, layout and docstrings; as it stands if that is too hard."""
        try:
            copy = ast.parse(ast.unparse(statement))
            for node in ast.walk(copy):
                if isinstance(node, (*Function, ast.ClassDef)) and ast.get_docstring(node):
                    node.body = node.body[1:] or [ast.Pass()]
            return ast.unparse(copy)
        except (RecursionError, ValueError):  # a sum of hundreds of terms; 3.12's new f-strings
            return self.segment(_defined(statement)[0])

    def span(self, name: str) -> tuple[int, int] | None:
        """The lines of a function, from its first decorator, as a slice of the text's lines."""
        node = self.definitions.get(name)
        if node is None:
            return None
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return first - 1, node.end_lineno or node.lineno

    def segment(self, name: str) -> str:
        """The text of a function."""
        span = self.span(name)
        return "" if span is None else "".join(_lines(self.text)[slice(*span)])


def _lines(text: str) -> list[str]:
    """Lines as the parser counts them; for ``str.splitlines`` one ends at a form feed as well."""
    return io.StringIO(text).readlines()


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (*Function, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    names = []
    for node in ast.walk(statement):  # an assignment, or definitions under an if
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, Function):
            names.append(node.name)
    return names


def with_stubs(text: str, stubs: Source, names: Iterable[str]) -> str:
    """``text`` with these functions as they stand in ``stubs``; a missing one is added at the end.

    A text that is no Python cannot be taken apart: SyntaxError.
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
