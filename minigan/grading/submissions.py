"""What a class handed in: whose a file is, and which chapter it is for. Nothing is run here."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minigan.grading.course import Chapter
from minigan.grading.source import Source, why_not

#: Names of tools' folders, in small letters; hidden folders are tools' too.
TOOLS = {"__macosx", "__pycache__", "node_modules", "site-packages", "dist-packages"}
#: What a folder holds that is a virtual environment of Python.
MARKS = ("pyvenv.cfg", "conda-meta")
#: What a folder holds that is a copy of this library.
MODULES = ("__init__.py", "autograd.py", "backend.py")
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}


@dataclass(frozen=True)
class Submission:
    """What one learner handed in.

    Attributes:
        name: what its row is called; no two submissions have the same name.
        named: for each chapter, the files that have its name; a file with the exact name is first.
        guessed: for each chapter, the other files that define functions of its tasks.
        notes: remarks on files that are not graded.
        folder: the folder that the names of files are shown relative to.
    """

    name: str
    named: dict[Chapter, list[Path]] = field(default_factory=dict)
    guessed: dict[Chapter, list[Path]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folder: Path = Path()

    @property
    def chapters(self) -> set[Chapter]:
        return {*self.named, *self.guessed}

    def shown(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def submissions(folder: Path, chapters: Sequence[Chapter]) -> list[Submission]:
    """The submissions by name: each folder within ``folder``, and each file that may hold work.

    ``chapters`` are all chapters of the course: a file belongs to one of them by its name, or to
    those whose functions it defines, or to none.
    """
    found = []
    for path in sorted(folder.absolute().iterdir(), key=lambda path: path.name):
        if path.is_dir():
            if not _is_tools(path.name):
                submission = _of_folder(path, chapters)
                if submission.chapters or not _is_environment(path):
                    found.append((path, submission))
        elif _may_hold_work(path.name):
            found.append((path, _sorted(path.stem, path.parent, [path], chapters, [])))
    names = Counter(submission.name for _, submission in found)
    return [
        submission if names[submission.name] == 1 else replace(submission, name=path.name)
        for path, submission in found
    ]


def _may_hold_work(name: str) -> bool:
    """Whether a file beside the learners' folders is a submission by itself."""
    small = name.casefold()
    known = Path(small).suffix in {".py", ".ipynb", *ARCHIVES} or small.endswith(".py.txt")
    return known and not small.startswith((".", "__")) and not _is_copy(name)


def _is_copy(name: str) -> bool:
    """Whether a file is a copy that an editor keeps of another."""
    return bool(re.search(r"^#|^~\$|~$|-checkpoint\.\w+$", name.casefold()))


def _is_tools(name: str) -> bool:
    return name.startswith(".") or name.casefold() in TOOLS


def _is_environment(folder: Path) -> bool:
    return any(os.path.exists(folder / mark) for mark in MARKS)


def _is_library(folder: Path) -> bool:
    return folder.name == "minigan" and all(os.path.exists(folder / name) for name in MODULES)


def _of_folder(top: Path, chapters: Sequence[Chapter]) -> Submission:
    """The submission in a folder: files at any depth, but those of tools and of the course."""
    files: list[Path] = []
    notes: list[str] = []
    course = False

    def unreadable(error: OSError) -> None:
        notes.append(f"{Path(error.filename).name}: {why_not(error)}")

    for root, folders, names in os.walk(top, onerror=unreadable):
        here = Path(root)
        inside = [here / name for name in folders if not _is_tools(name)]
        folders[:] = [f.name for f in inside if not _is_environment(f) and not _is_library(f)]
        theirs: set[str] = set()
        if any(here.glob("exercises/ch[0-9][0-9]_*/checks.py")):
            folders[:] = [name for name in folders if name != "tests"]
        elif any(here.glob("ch[0-9][0-9]_*/checks.py")):
            theirs = {"conftest.py", "test_work.py"}
        for chapter in chapters:
            if here.name == chapter.folder.name:
                theirs = {"checks.py", "solution.py"}
                if "exercise.py" in names and _is_stub(here / "exercise.py", chapter):
                    theirs.add("exercise.py")
                if "solution.py" in names and "checks.py" not in names:
                    notes.append(f"{here.name}/solution.py: by its name the course's, not graded")
        course = course or ("checks.py" in names and "checks.py" in theirs)
        files += [here / name for name in names if name not in theirs and name[0] != "."]
    files.sort(key=lambda file: (len(file.parts), file.parts))
    nothing = "" if files or notes else "no Python file, and no other but hidden ones and tools"
    if course:
        nothing = "a copy of the course in which nothing is begun (git leaves out exercises/work)"
    return _sorted(top.name, top, files, chapters, notes, nothing)


def _is_stub(file: Path, chapter: Chapter) -> bool:
    """Whether nothing is begun in a chapter's own exercise.py."""
    try:
        source = Source.read(file)
    except (OSError, SyntaxError, ValueError):
        return False
    names = {name for task in chapter.tasks for name in task.functions}
    return all(source.untouched(name) for name in names & {*source.definitions})


def _sorted(
    name: str,
    folder: Path,
    files: Sequence[Path],
    chapters: Sequence[Chapter],
    notes: list[str],
    nothing: str = "",
) -> Submission:
    """The submission of these files; ``nothing`` is its note if no file belongs to a chapter."""
    found = Submission(name, folder=folder)
    python = [f for f in files if f.suffix.casefold() == ".py" and not _is_copy(f.name)]
    strange = []
    for file in python:
        if not os.path.isfile(file):
            notes.append(f"{found.shown(file)}: no file, or a link to none")
            continue
        named, guessed, why = _chapters_of(file, chapters)
        for chapter in named:
            found.named.setdefault(chapter, []).append(file)
        for chapter in guessed:
            found.guessed.setdefault(chapter, []).append(file)
        if not named and not guessed and (why or file.name != "__init__.py"):
            strange.append(f"{found.shown(file)}: of no chapter{why}")
    for chapter, own in found.named.items():
        own.sort(key=lambda file: file.stem.casefold() != chapter.folder.name)
    notes += _few(strange)
    if nothing and not found.chapters:
        notes.append(nothing)
    elif not python and not notes:
        notes.append("no Python file")
    others = []
    for file in files:
        of = {chapter for chapter in chapters if _full_name(chapter).search(file.name)}
        lost = not found.chapters & of if of else not python and not nothing
        if file not in python and (lost or file.suffix.casefold() in ARCHIVES):
            others.append(f"{found.shown(file)}: {_what(file)}")
    notes += _few(others)
    for chapter in found.chapters:
        name = _full_name(chapter).sub("", name).strip(" ._-") or name
    return replace(found, name=name, notes=tuple(notes))


def _few(notes: list[str]) -> list[str]:
    return notes[:3] + [f"{len(notes) - 3} more of this kind"] * (len(notes) > 3)


def _what(file: Path) -> str:
    """What an ungraded file is, and what to do about it."""
    if file.suffix.casefold() in ARCHIVES:
        return "an archive; unpack it"
    if file.suffix.casefold() == ".ipynb":
        return "a notebook; its functions belong into a .py file"
    return "an editor's copy" if _is_copy(file.name) else "not a .py file"


def _chapters_of(
    file: Path, chapters: Sequence[Chapter]
) -> tuple[list[Chapter], list[Chapter], str]:
    """A file's chapters by its name, its chapters by its functions alone, and what ails it."""
    defined: set[str] = set()
    try:
        source = Source.read(file)
    except (OSError, SyntaxError, ValueError) as error:
        why = f", {why_not(error)}"
    else:
        defined, why = set(source.definitions), "" if source.text.strip() else ", and empty"
    named = [c for c in chapters if _says(file, c)]
    guessed = [c for c in chapters if any(defined & {*task.functions} for task in c.tasks)]
    if named and (not guessed or {*named} & {*guessed}):
        return named, [], why
    if guessed:
        return [], guessed, why
    return [c for c in chapters if _number(c).search(file.stem)], [], why


def _says(file: Path, chapter: Chapter) -> bool:
    """Whether a file has a chapter's name, or is exercise.py in a folder with that name."""
    stub = (chapter.folder.name, "exercise.py")
    return (file.parent.name, file.name) == stub or bool(_full_name(chapter).search(file.stem))


def _full_name(chapter: Chapter) -> re.Pattern[str]:
    """The pattern of a chapter's name: "ch04_gan_game", also as "CH4-GAN-Game"."""
    words = map(re.escape, chapter.folder.name.split("_")[1:])
    return re.compile(r"[\W_]*".join([f"ch0*{int(chapter.number)}", *words]), re.IGNORECASE)


def _number(chapter: Chapter) -> re.Pattern[str]:
    """The pattern of a chapter's number: "ch04", "chapter 4", for files where nothing says more."""
    number = int(chapter.number)
    return re.compile(rf"(?<![a-z])ch(apter)?[\W_]*0*{number}(?!\d)", re.IGNORECASE)
