"""What a class hands in, as it comes from web sites, zips and other people's systems."""

import csv
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import minigan, refused

from minigan.grading.course import Chapter
from minigan.grading.sandbox import Report, check_task
from minigan.grading.tasks import Task

pytestmark = pytest.mark.on_the_host("starts processes of its own")
ROOT = Path(__file__).parents[2]
NAMES = "ch04_gan_game", "ch03_convolution"
FILE = "ch04_gan_game.py"
STUB, SOLUTION = (
    (ROOT / f"exercises/ch04_gan_game/{name}.py").read_text("utf-8")
    for name in ("exercise", "solution")
)
#: One task is done, the others are not begun.
RIGHT = f"{STUB}\n\ndef optimal_discriminator(p, q):\n    t = p + q\n"
RIGHT += "    return np.where(t == 0, 0.5, p / np.where(t == 0, 1, t))\n"
WRONG = f"{STUB}\n\ndef optimal_discriminator(p, q):\n    return q / (p + q)\n"
APPLE = b"\0\5\26\7\0\2\0\0Mac OS X        "


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with the chapters 03 and 04, and the current folder in it."""
    for name in NAMES:
        shutil.copytree(ROOT / "exercises" / name, tmp_path / "course/exercises" / name)
    monkeypatch.chdir(tmp_path / "course")
    return tmp_path / "course"


@pytest.fixture
def folder(course: Path, tmp_path: Path) -> Path:
    (tmp_path / "handed in").mkdir()
    return tmp_path / "handed in"


def put(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def graded(folder: Path, *options: str) -> dict[str, dict[str, str]]:
    """The rows of the table, by submission."""
    result = minigan("grade", folder, "--csv", *options)
    assert result.code == 0, result.err
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert len({row["submission"] for row in rows}) == len(rows)
    return {row["submission"]: row for row in rows}


RESIDUE: dict[str, str | bytes] = {
    f"__MACOSX/._{FILE}": APPLE,
    f"__MACOSX/deep/{FILE}": WRONG,
    f"._{FILE}": APPLE,
    f".ipynb_checkpoints/{FILE[:-3]}-checkpoint.py": STUB,
    f"{FILE[:-3]}-checkpoint.py": STUB,
    f"__pycache__/{FILE}": WRONG,
    f".git/{FILE}": WRONG,
    f".venv/{FILE}": WRONG,
    "my own/pyvenv.cfg": "home = /usr/bin\n",
    f"my own/lib/{FILE}": WRONG,
    f"lib/python3.12/site-packages/{FILE}": WRONG,
    f"node_modules/{FILE}": WRONG,
    f"{FILE}~": WRONG,
    f"#{FILE}#": WRONG,
    f".#{FILE}": WRONG,
    f".{FILE}.swp": b"b0VIM",
    f"{FILE}.bak": WRONG,
    f"{FILE}.orig": WRONG,
    "Thumbs.db": b"\0",
    ".DS_Store": b"\0",
    "essay.pdf": b"%PDF",
}


@pytest.mark.parametrize("depth", ["", "a/b/"])
def test_what_tools_and_editors_leave_is_never_graded(folder: Path, depth: str) -> None:
    put(folder, {f"ada/{depth}{name}": content for name, content in RESIDUE.items()})
    put(folder, {f"ada/{depth}{FILE}": RIGHT, "__MACOSX/._ada": APPLE, "._ben.py": APPLE})
    put(folder, {"ben.py~": RIGHT, ".git/x.py": RIGHT, "grades.csv": "", "__init__.py": ""})
    (row,) = graded(folder).values()
    assert (row["submission"], row["passed"], row["notes"]) == ("ada", "1", "")


NOTHING: dict[str, tuple[dict[str, str | bytes], str]] = {
    "empty": ({}, "no Python file, and no other"),
    "hidden": ({".DS_Store": b"", f"__MACOSX/._{FILE}": APPLE}, "no Python file, and no other"),
    "a notebook": ({"hw.ipynb": "{}"}, "no Python file; hw.ipynb: a notebook; its functions"),
    "an archive": ({"hw.ZIP": b"PK"}, "no Python file; hw.ZIP: an archive; unpack it"),
    "a text": ({f"{FILE}.txt": RIGHT}, f"no Python file; {FILE}.txt: not a .py file"),
    "a copy": ({"a-checkpoint.py": RIGHT}, "no Python file; a-checkpoint.py: an editor's copy"),
    "pictures": (
        {f"{i}.png": b"" for i in range(6)},
        "no Python file; 0.png: not a .py file; 1.png: not a .py file; 2.png: not a .py file; "
        "3 more of this kind",
    ),
    "helper": ({"helper.py": "x = 1"}, "helper.py: of no chapter"),
    "void": ({"helper.py": "\n"}, "helper.py: of no chapter, and empty"),
    "broken": ({"hw.py": "def ("}, "hw.py: of no chapter, not valid Python: invalid syntax"),
    "wide": ({"a.py": RIGHT.encode("utf-16")}, "a.py: of no chapter, cannot be read: it is UTF-16"),
}


def test_a_submission_without_anything_to_grade_says_so(folder: Path) -> None:
    for name, (files, _) in NOTHING.items():
        (folder / name).mkdir()
        put(folder / name, files)
    put(folder, {"zed.zip": b"PK", "yan.ipynb": "{}", "xu_ch04_gan_game.py.txt": RIGHT})
    refused_because = minigan("grade", folder)
    assert refused_because.code == 2
    assert "no file in it belongs to a chapter. a copy: no Python" in refused_because.err
    rows = graded(folder, "--chapter", "04")
    assert all(row["score"] == "0.0" and row["04.1"] == "" for row in rows.values())
    for name, (_, note) in NOTHING.items():
        assert rows[name]["notes"].startswith(note), rows[name]["notes"]
    assert rows["zed"]["notes"] == "no Python file; zed.zip: an archive; unpack it"
    assert "a notebook" in rows["yan"]["notes"]
    assert "not a .py file" in rows["xu_ch04_gan_game.py"]["notes"]


@pytest.mark.skipif(os.name != "posix", reason="makes links and pipes")
def test_links_and_pipes_stop_nothing(folder: Path) -> None:
    for name in ("broken", "loop", "pipe"):
        (folder / name).mkdir()
    (folder / "broken" / FILE).symlink_to("nowhere")
    (folder / "loop/again").symlink_to(".")
    (folder / "loop" / FILE).symlink_to(FILE)
    os.mkfifo(folder / "pipe" / FILE)
    put(folder, {f"right/a folder.py/{FILE}": RIGHT})
    rows = graded(folder)
    for name in ("broken", "loop", "pipe"):
        assert rows[name]["notes"] == f"{FILE}: no file, or a link to none"
    assert rows["right"]["passed"] == "1"


def test_a_folder_that_cannot_be_read_is_noted(folder: Path, monkeypatch: Any) -> None:
    put(folder, {f"ada/{FILE}": RIGHT, "ada/closed/x": ""})
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    row = graded(folder)["ada"]
    assert (row["passed"], row["notes"]) == ("1", "closed: cannot be read: Permission denied")


NAMED = (
    "CH04_GAN_GAME.PY",
    "miller_ch04_gan_game.py",
    "12345_ch04_gan_game_attempt2.py",
    "ch4-gan-game (1).py",
    "Copy of Ch04 GAN Game.py",
    "ch04_gan_game - Kopie.Py",
    "homework.py",
    "ch03.py",  # its functions say otherwise
)


def test_a_file_may_have_many_names(folder: Path) -> None:
    put(folder, {f"{i}/{name}": RIGHT for i, name in enumerate(NAMED)})
    put(folder, {"x/ch04.py": "def (", "y/Chapter 4.py": "def (", "z/branch04.py": "def ("})
    rows = graded(folder)
    for i, name in enumerate(NAMED):
        assert (rows[str(i)]["passed"], "of no" in rows[str(i)]["notes"]) == ("1", False), name
    for name in "xy":
        assert rows[name]["notes"].startswith("04.1, 04.2, 04.3, 04.4, 04.5: not valid Python")
    assert rows["z"]["notes"].startswith("branch04.py: of no chapter, not valid")


def both(one: str, other: str, counts: str) -> str:
    return f"chapter 04 is in {one} and {other}: the better of each task counts, from {counts}"


A, B, MINE = f"a/{FILE}", f"b/{FILE}", f"a_{FILE}"
#: Two files, and what the note says of them.
TWO: dict[str, tuple[dict[str, str | bytes], str]] = {
    "the exact name first": ({FILE: RIGHT, MINE: WRONG}, both(FILE, MINE, FILE)),
    "the exact name last": ({FILE: WRONG, MINE: RIGHT}, both(FILE, MINE, MINE)),
    "a stub": ({A: STUB, B: RIGHT}, both(A, B, B)),
    "two that are right": ({B: RIGHT, FILE: RIGHT}, both(FILE, B, FILE)),
    "a broken one": ({A: RIGHT + "1 / 0", B: RIGHT}, both(A, B, B)),
    "a name and a guess": (
        {FILE: RIGHT, "a_notes.py": WRONG},
        f"a_notes.py: not graded, {FILE} has the name",
    ),
    "a stub and a guess": ({FILE: STUB, "hw.py": RIGHT}, both(FILE, "hw.py", "hw.py")),
    "a broken name and a guess": ({FILE: "def (", "b.py": RIGHT}, both(FILE, "b.py", "b.py")),
    "guesses": ({"a.py": WRONG, "b.py": RIGHT}, both("a.py", "b.py", "b.py")),
}  # fmt: skip


def test_work_counts_beside_an_environment_and_a_library_of_ones_own(folder: Path) -> None:
    put(folder, {"ada/pyvenv.cfg": "", f"ada/{FILE}": RIGHT, "ada/lib/site-packages/a.py": WRONG})
    put(folder, {"ben/minigan/autograd.py": "x = 1", f"ben/minigan/{FILE}": RIGHT})
    put(folder, {"my environment/pyvenv.cfg": "", "my environment/bin/activate.py": ""})
    rows = graded(folder)
    assert {name: row["passed"] for name, row in rows.items()} == {"ada": "1", "ben": "1"}


def test_of_two_files_the_better_counts_and_both_are_named(folder: Path) -> None:
    for name, (files, _) in TWO.items():
        put(folder / name, files)
    put(folder, {"a wrong name/a_notes.py": RIGHT, f"a wrong name/{FILE}": WRONG})
    rows = graded(folder)
    for name, (_, note) in TWO.items():
        assert rows[name]["passed"] == "1", name
        assert rows[name]["notes"].startswith(note), rows[name]["notes"]
    assert rows["a wrong name"]["passed"] == "0"  # whose answer stands


def test_a_chapter_in_two_files_and_two_chapters_in_one(folder: Path) -> None:
    first, rest = SOLUTION.split("def jensen_shannon")
    head = first.partition("def ")[0]
    put(folder, {"ada/part1.py": first, "ada/part2.py": f"{head}def jensen_shannon{rest}"})
    convolution = (ROOT / "exercises/ch03_convolution/solution.py").read_text("utf-8")
    put(folder, {"all.py": f"{convolution}\n{RIGHT}"})
    rows = graded(folder)
    assert rows["ada"]["passed"] == "5"
    assert rows["all"]["passed"] == "6"


def test_of_a_copy_of_the_course_only_what_is_the_learners_is_graded(
    folder: Path, course: Path
) -> None:
    here, there = "repo/exercises", "old/minigan-main/exercises"
    for name in ("none", "work", "in place", "beside", "two"):
        for copy in (here, there):
            shutil.copytree(course / "exercises", folder / name / copy)
            for own in ("conftest.py", "test_work.py"):
                shutil.copy(ROOT / "exercises" / own, folder / name / copy)
        put(folder / name / "repo", {"tests/variants.py": RIGHT, "chapters/04.ipynb": "{}"})
        library = "__init__.py", "autograd.py", "backend.py", "ops/x.py"
        put(folder / name / "repo/minigan", dict.fromkeys(library, RIGHT))
    put(folder, {f"beside/repo/chapters/{FILE}": RIGHT})
    put(folder, {f"work/{here}/work/{FILE}": RIGHT})
    put(folder, {f"in place/{here}/ch04_gan_game/exercise.py": RIGHT})
    put(folder, {f"two/{here}/work/{FILE}": STUB, f"two/{there}/work/{FILE}": RIGHT})
    put(folder, {"lone/ch04_gan_game/solution.py": RIGHT})
    put(folder, {"own/solution.py": RIGHT, "part/ch04_gan_game/my.py": RIGHT})
    rows = graded(folder)
    for name, row in rows.items():
        assert row["passed"] == ("0" if name in ("none", "lone") else "1"), name
    assert rows["none"]["notes"].startswith("a copy of the course in which nothing is begun")
    assert (
        rows["lone"]["notes"] == "ch04_gan_game/solution.py: by its name the course's, not graded"
    )
    assert "03.1" not in rows["none"]  # of which nobody handed anything in
    one, other = (f"{copy}/work/{FILE}" for copy in (here, there))
    assert rows["two"]["notes"] == both(one, other, other)
    assert "copy" not in rows["work"]["notes"] + rows["in place"]["notes"]
    assert "of no chapter" not in "".join(row["notes"] for row in rows.values())


def test_an_import_of_the_solutions_beside_a_file_is_noted(folder: Path, course: Path) -> None:
    chapter = "exercises/ch04_gan_game"
    shutil.copytree(course / chapter, folder / "sly" / chapter)
    put(folder, {f"sly/{chapter}/exercise.py": "from solution import optimal_discriminator"})
    row = graded(folder)["sly"]
    assert row["passed"] == "1"
    assert row["notes"].startswith(f"{chapter}/exercise.py speaks of from solution: read it")


def test_rows_can_be_told_apart_and_names_are_no_commands(folder: Path, tmp_path: Path) -> None:
    put(folder, {f"miller_{FILE}": RIGHT, "miller_ch03_convolution.py": "def conv2d(): pass"})
    put(folder, {f"\x1b[31mred_{FILE}": RIGHT, f"meier/{FILE}": RIGHT, "meier.py": WRONG})
    names = {f"miller_{FILE}", "miller_ch03_convolution.py", "\\x1b[31mred", "meier", "meier.py"}
    assert {*graded(folder)} == names
    row = graded(folder, "--chapter", "4", "--chapter", "04")["miller_ch03_convolution.py"]
    assert row["notes"] == "nothing of this chapter, only of 03" and row["tasks"] == "5"
    odd = Path(os.fsdecode(b"bad\xff"))
    try:
        put(folder / odd, {FILE: RIGHT})
    except OSError:
        return  # a system whose names are all text
    out = tmp_path / "grades.csv"
    result = minigan("grade", folder, "-o", out)
    assert result.code == 0, result.err
    assert "bad\\udcff,1" in out.read_text("utf-8-sig")
    assert "\x1b" not in result.err + minigan("grade", folder).out


def test_a_file_that_vanishes_costs_itself_alone(folder: Path, monkeypatch: Any) -> None:
    put(folder, {f"ada_{FILE}": RIGHT, f"ben_{FILE}": RIGHT})

    def check_and_lose(chapter: Chapter, task: Task, file: Path, *rest: Any) -> Report:
        if "ada" in file.name:
            file.unlink(missing_ok=True)
        return check_task(chapter, task, file, *rest)

    monkeypatch.setattr("minigan.grading.classroom.check_task", check_and_lose)
    rows = graded(folder)
    assert rows["ada"]["score"] == "0.0" and rows["ben"]["passed"] == "1"


def test_nothing_at_all_is_a_wrong_call(folder: Path) -> None:
    put(folder, {"grades.csv": "", ".hidden/x.py": RIGHT})
    refused(minigan("grade", folder), 2, "no submissions, neither folders nor .py files")
