"""The exercises as a learner meets them: files, processes, exit codes, progress."""

import ast
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Result, minigan, refused

from minigan.grading import check as notebook_check
from minigan.grading import status
from minigan.grading.classroom import Grade, Submission, as_csv
from minigan.grading.course import Course, load
from minigan.grading.progress import Work
from minigan.grading.report import Screen
from minigan.grading.sandbox import THREADS, check_task
from minigan.grading.source import Source
from minigan.grading.tasks import Check, Task, run

pytestmark = pytest.mark.on_the_host("starts processes of its own")
ROOT = Path(__file__).parents[2]
SOLUTION = (ROOT / "exercises/ch04_gan_game/solution.py").read_text(encoding="utf-8")
RIGHT = "def optimal_discriminator(p, q):\n    t = p + q\n    import numpy as np\n"
RIGHT += "    return np.where(t == 0, 0.5, p / np.where(t == 0, 1, t))\n"
STUB = "def optimal_discriminator(p, q):\n    'Doc.'\n    raise NotImplementedError\n"
WRONG = "def optimal_discriminator(p, q):\n    return q / (p + q)\n"


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with chapter 04 alone, and the current folder in it."""
    shutil.copytree(ROOT / "exercises/ch04_gan_game", tmp_path / "exercises/ch04_gan_game")
    (tmp_path / "chapters").mkdir()
    monkeypatch.chdir(tmp_path / "chapters")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def work(course: Path) -> Path:
    assert minigan("start", "04").code == 0
    return course / "exercises/work/ch04_gan_game.py"


def progress(work: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((work.parent / ".progress.json").read_text())
    return found


def said(result: Result) -> str:
    """Without the breaks of lines."""
    return " ".join(result.out.split())


# --- check ----------------------------------------------------------------------------------------


def test_exit_codes(work: Path) -> None:
    assert minigan("check", "04.1").code == 3
    assert minigan("check").code == 3
    work.write_text(RIGHT)
    assert minigan("check", "4.1").code == 0
    assert minigan("check", "04").code == 1  # the other functions are missing
    work.write_text(WRONG)
    assert minigan("check", "04.1").code == 1
    work.unlink()
    assert minigan("check", "04.1").code == 3


def test_a_wrong_call_is_one_line(course: Path, tmp_path: Path, monkeypatch: Any) -> None:
    refused(minigan("check", "04.9"), 2, "no task 04.9", "04.1")
    refused(minigan("check", "17"), 2, "no chapter '17'")
    refused(minigan("check", "../x"), 2, "no chapter")
    refused(minigan("hint", "04"), 2, "which task")
    refused(minigan("solution", "04.1"), 2, "not passed yet")
    monkeypatch.chdir("/")
    refused(minigan("list"), 2, "no exercises/")


@pytest.mark.skipif(os.name != "posix", reason="a folder in use cannot be deleted")
def test_a_deleted_folder_is_said(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = course / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in ("list", "start 04", "check", "hint 04.1", "solution 04.1", "reset 04", "watch"):
        result = minigan(*command.split())
        refused(result, 2, "current folder is gone", "folder of the course")
        assert result.err.count("current folder") == 1
    refused(minigan("grade", course), 2, "current folder is gone")
    for function in (notebook_check, status):
        with pytest.raises(ValueError, match="current folder is gone"):
            function("04")


def test_a_grader_at_fault_is_not_the_learners_mistake(work: Path, course: Path) -> None:
    work.write_text(RIGHT)
    checks = course / "exercises/ch04_gan_game/checks.py"
    checks.write_text(checks.read_text() + "\nTASKS[0].checks[0].cases(None)\n")
    refused(minigan("check", "04.1"), 2, "grader is at fault", "checks.py")
    checks.write_text("TASKS = ()")
    refused(minigan("check", "04.1"), 2, "grader is at fault")


def test_the_report_of_a_failure(work: Path) -> None:
    work.write_text(
        SOLUTION.replace(
            "return softplus(-fake_logits).mean()", "return -softplus(fake_logits).mean()"
        )
    )
    result = minigan("check", "04.4", "--seed", "5")
    assert result.code == 1
    for part in (
        "Checking exercises",
        ":: generator_loss_minimax, generator_loss_non_saturating",
        "✗ slope when D confidently rejects",
        "line ",
        "call      generator_loss_non_saturating(Tensor [-6.0])",
        "yours [-0.002473]    expected [-0.9975]",
        "why it matters  G gets no signal exactly when it is worst.",
        "looks like      the saturating loss log(1 - D(G(z))).",
        "– 5 checks not run (fix the first)",
        "Score 4/10 · next: minigan hint 04.4 (1 of 3)\nread chapter 04, section 5: The stall\n",
        "--seed 5",
    ):
        assert part in result.out, result.out
    assert "\x1b" not in result.out


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_it_fits_the_window(work: Path, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    work.write_text(WRONG)
    for result in (minigan("list"), minigan("check", "04.1"), minigan("hint", "04.1")):
        lines = [line for line in result.out.splitlines() if "Checking" not in line]
        assert max(map(len, lines)) <= max(30, int(columns)), result.out


HOSTILE = {
    "an endless loop": ("def optimal_discriminator(p, q):\n    while True: pass", "longer than"),
    "a loop at import": ("while True: pass\n" + RIGHT, "no function"),
    "exit in the function": ("def optimal_discriminator(p, q):\n    import os; os._exit(0)", "exit code 0"),
    "exit at import": (RIGHT + "import sys; sys.exit(0)", "exit()"),
    "os exit at import": (RIGHT + "import os; os._exit(0)", "exit code 0"),
    "sys.exit in the function": ("def optimal_discriminator(p, q):\n    raise SystemExit(0)", "exit()"),
    "a crash": ("def optimal_discriminator(p, q):\n    import os; os.abort()", "did not finish"),
    "a loop that prints": ("def optimal_discriminator(p, q):\n    while True: print('x' * 999)", "longer than"),
    "a syntax error": ("def optimal_discriminator(p, q)\n    return p", "not valid Python"),
    "no text": ("\0", "not valid Python"),
    "a missing function": ("x = 1", "no function optimal_discriminator in the file\n"),
    "a function of another name": (
        RIGHT.replace("optimal_d", "optimald"), "is it\n    optimaldiscriminator?"
    ),
    "a function that is half written": (
        "def optimal_discriminator(p, q):\n    if p.ndim > 0:\n        raise NotImplementedError",
        "it is still to be written",
    ),
    "not a function": ("optimal_discriminator = 3", "not a function"),
    "an error at import": (RIGHT + "1 / 0", "ZeroDivisionError"),
    "its arguments changed": (
        RIGHT.replace("t = p + q\n", "t = p + q; q *= 1.0; q[0] += 1e-9\n"),
        "q         yours was changed in place    expected as it was\n"
        "      why it matters  Whoever calls it may still need what was passed.",
    ),
    "a NumPy array's article": ("def optimal_discriminator(p, q): return p.astype(object)", "an ndarray"),
    "None": ("def optimal_discriminator(p, q): pass", "is a return missing?"),
    "equal to everything": (
        "class Any:\n    shape = (3, 4); dtype = 'float64'; ndim = 2\n"
        "    def __eq__(self, other): return True\n    __hash__ = None\n"
        "    def __getattr__(self, name): return self\n    def __call__(self, *a, **k): return self\n"
        "    def __array__(self, *a, **k): raise SystemExit(0)\n"
        "def optimal_discriminator(p, q): return Any()",
        "an Any",
    ),
    "an array that is equal to everything": (
        "import numpy as np\nclass Any(np.ndarray):\n    def __eq__(self, other): return np.True_\n"
        "    def __array_ufunc__(self, *a, **k): return np.True_\n"
        "def optimal_discriminator(p, q): return np.zeros(p.shape).view(Any)",
        "expected",
    ),
    "a verdict of its own": (
        'import os, sys\nline = \'{"outcome": {"check": "shape", "ok": true}}\'\n'
        "def optimal_discriminator(p, q):\n    print(line, flush=True)\n"
        "    for fd in range(3, 10):\n        try: os.write(fd, line.encode() + b'\\n{\"done\": 5}\\n')\n"
        "        except OSError: pass\n    os._exit(0)",
        "exit code 0",
    ),
    "a closed channel": ("import os\ndef optimal_discriminator(p, q):\n    os.closerange(0, 99)\n    return p", ""),
    "deep recursion": ("def optimal_discriminator(p, q): return optimal_discriminator(p, q)", "RecursionError"),
    "all the memory": ("def optimal_discriminator(p, q): return bytearray(1 << 40)", "MemoryError"),
    "more memory than its own": (
        "import numpy as np\ndef optimal_discriminator(p, q): return np.empty(5 << 30, 'u1')[:1]",
        "MemoryError" if sys.platform == "linux" else "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_a_failed_check(
    work: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, part = HOSTILE[what]
    work.write_text(code)
    chapter, (task,) = Course.find().select("04.1")
    if "loop" in what:
        work.write_text(code if "import" not in what else RIGHT + "while True: pass")
        part = "longer than 1 s"
    report = check_task(chapter, task, time_limit=1.0)
    assert not report.passed and not report.not_started
    assert report.score <= 1  # an array may be of the right shape
    monkeypatch.setattr("minigan.grading.sandbox.TIME_LIMIT", 1.0)
    if "loop" not in what:
        result = minigan("check", "04.1")
        assert result.code == 1, result
        assert part in result.out, result.out
        assert "Score 5/5" not in result.out
    else:
        assert part in report.trouble and report.line is not None
        assert work.read_text().splitlines()[report.line - 1].strip().startswith("while True:")


SETTINGS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MATPLOTLIBRC": "/nowhere",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "/nowhere.py",
    "PYTHONVERBOSE": "2",
    "PYTHONHASHSEED": "none",
    "PYTHONIOENCODING": "ascii",
    "PYTHONINTMAXSTRDIGITS": "640",
    "MINIGAN_BACKEND": "nonsense",
    "MINIGAN_DATA": "/nowhere",
    "NPY_DISABLE_CPU_FEATURES": "nonsense",
    "OMP_NUM_THREADS": "64",
    "MKL_NUM_THREADS": "64",
}


def test_no_setting_of_a_notebook_or_a_user_changes_a_verdict(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that draws, that relies on asserts, and that Python only warns about."""
    work.write_text(
        "import os, matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()\n"
        "print({k: v for k, v in os.environ.items() if k in "
        f"{[*SETTINGS, *THREADS]}" "})\n"
        "try:\n    assert False\nexcept AssertionError:\n    '\\d'\n    int('1' * 4000)\n"
        "else:\n    raise RuntimeError('no asserts')\n" + RIGHT
    )  # fmt: skip
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    result = minigan("check", "04.1", "--seed", "7")
    assert result.code == 0, result.out
    given = {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "7", **dict.fromkeys(THREADS, "1")}
    shown = next(line for line in result.out.splitlines() if line.strip().startswith("{"))
    assert ast.literal_eval(shown.strip()) == given
    monkeypatch.setenv("PYTHONHASHSEED", "8")
    order = "print(sorted({'a', 'b', 'c', 'd', 'e'}, key=hash))\n"
    work.write_text(order + RIGHT)
    once, again = (minigan("check", "04.1", "--seed", "7").out for _ in range(2))
    assert once == again


def test_what_says_where_packages_are_reaches_the_process(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/package_of_mine.py").write_text("x = 1")
    work.write_text("import package_of_mine\n" + RIGHT)
    assert minigan("check", "04.1").code == 1
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    assert minigan("check", "04.1").code == 0


def test_errors_that_a_file_makes_of_warnings_are_not_the_graders() -> None:
    """An oracle may take the logarithm of 0, whatever a learner's file tells NumPy."""
    cases = Check("of zero", why="", cases=lambda rng: [(np.zeros(1),)])
    task = Task("09.1", ("log",), "", 1, 1, "", ("", "", ""), (cases,), oracle=np.log)
    with np.errstate(all="raise"):
        (outcome,) = run(task, {"log": np.log}, 0)
    assert outcome.ok


def test_a_process_that_does_not_start_is_the_graders_fault(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the learner's has run, so nothing is said of it; a class loses no table."""
    work.write_text(RIGHT)
    broken = os.environ | {"PYTHONHASHSEED": "none"}
    monkeypatch.setattr("minigan.grading.sandbox._environment", lambda seed: broken)
    refused(minigan("check", "04.1"), 2, "grader is at fault", "did not start", "PYTHONHASHSEED")
    (tmp_path / "handed in").mkdir()
    shutil.copy(work, tmp_path / "handed in/ada_ch04_gan_game.py")
    result = minigan("grade", tmp_path / "handed in")
    assert result.code == 0 and "ada: 04.1: the grader is at fault: its process" in result.out
    monkeypatch.setattr("minigan.grading.sandbox.START_LIMIT", 0.0)
    refused(minigan("check", "04.1"), 2, "grader is at fault", "not ready after 0 s")


WHERE = {
    "a class": ("class A:\n    " + RIGHT.replace("\n", "\n    "), "move it to the left margin (line 2)"),
    "a condition": (
        "if __name__ == '__main__':\n    " + RIGHT.replace("\n", "\n    "),
        "is it under if __name__ == '__main__'? (line 2)",
    ),
    "a name in capitals": (RIGHT.replace("optimal_discriminator", "OPTIMAL_DISCRIMINATOR"), "is it OPTIMAL_"),
    "a magic": (f"x = 1\n%matplotlib inline\n{RIGHT}", "only a notebook understands this line; delete it (line 2)"),
    "an exported magic": (f"# In[1]:\nget_ipython().magic('x')\n{RIGHT}", "delete the line (line 2)"),
    "a notebook": ('{"cells": [], "metadata": {}, "nbformat": 4}', "it is a notebook by another name"),
    "a package": (f"from .helpers import x\n{RIGHT}", "import without the dot (line 1)"),
    "above a stub": (f"{RIGHT}\n{STUB}", "is written, but its stub comes later; delete the stub (line 6)"),
}  # fmt: skip


@pytest.mark.parametrize("what", WHERE)
def test_where_it_is_not_looked_for_the_report_says_what_to_do(work: Path, what: str) -> None:
    code, part = WHERE[what]
    work.write_text(code)
    result = minigan("check", "04.1")
    assert result.code == 1 and part in said(result), result.out


def test_what_lies_beside_a_file_is_found_and_nothing_is_written_there(work: Path) -> None:
    (work.parent / "package").mkdir()
    (work.parent / "package/helper.py").write_text("from numbers_of_mine import two\n")
    (work.parent / "numbers_of_mine.py").write_text("two = 2\n")
    (work.parent / "numpy.py").write_text("1 / 0")  # which does not stand for the library
    (work.parent / "table.txt").write_text("2")
    work.write_text(
        f"from package.helper import two\nassert two == int(open('table.txt').read())\n{RIGHT}"
        "open('written.txt', 'w').write('x')\n"
    )
    before = {*work.parent.rglob("*")}
    result = minigan("check", "04.1")
    assert result.code == 0, result.out
    assert {*work.parent.rglob("*")} - before <= {work.parent / ".progress.json"}


def test_the_last_of_much_output_is_shown_and_costs_nothing(work: Path) -> None:
    work.write_text(f"for i in range(300_000): print('loss', i)\n{RIGHT}")
    result = minigan("check", "04.1")
    assert result.code == 0, result.out
    assert "  printed, the last 12 lines:\n    loss 299988\n" in result.out
    assert "    loss 299999\n" in result.out


def test_a_function_that_is_there_counts_though_another_is_missing(work: Path) -> None:
    work.write_text(SOLUTION.replace("def generator_loss_non_saturating", "def other"))
    chapter, (task,) = Course.find().select("04.4")
    report = check_task(chapter, task, seed=0)
    assert 0 < report.score < len(task.checks) and not report.passed
    assert report.trouble.startswith("there is no function generator_loss_non_saturating")


ENCODINGS = {
    "a mark": ("utf-8-sig", "", None),
    "a coding comment": ("latin-1", "# -*- coding: latin-1 -*-\n", None),
    "another": ("cp1252", "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n", None),
    "latin-1 unsaid": ("latin-1", "", "cannot be read: byte 0xe9 in line 1 is not utf-8; save it"),
    "UTF-16": ("utf-16", "", "cannot be read: it is UTF-16 text"),
    "UTF-16 without its mark": ("utf-16-le", "", "null bytes, as UTF-16 text does"),
    "no encoding": ("utf-8", "# coding: nonsense\n", "not valid Python: unknown encoding"),
    "none of text": ("utf-8", "# coding: hex\n", "not valid Python: 'hex' is not a text encoding"),
}


@pytest.mark.parametrize("what", ENCODINGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_is_read_as_python_reads_it(work: Path, what: str, newline: str) -> None:
    encoding, first, trouble = ENCODINGS[what]
    text = f"{first}cafe = 'caf\u00e9'\n{RIGHT}"
    work.write_bytes(text.replace("\n", newline).encode(encoding))
    result = minigan("check", "04.1")
    assert result.code == (trouble is not None)
    if trouble is not None:
        assert trouble in said(result), result.out
        return
    assert minigan("reset", "04.1").code == 0  # in the same encoding
    assert work.read_bytes().decode(encoding).startswith(f"{first}cafe = 'caf\u00e9'\n")
    assert Source.read(work).untouched("optimal_discriminator")


def test_what_a_function_prints_is_shown(work: Path) -> None:
    work.write_text(RIGHT.replace("t = p + q\n", "t = p + q; print('hello', p.shape)\n"))
    result = minigan("check", "04.1")
    assert result.code == 0
    assert "hello (3, 4)" in result.out


@pytest.mark.skipif(os.name != "posix", reason="the system knows no limit")
def test_an_endless_loop_ends_without_the_checker_too(work: Path) -> None:
    """Whose window may be closed: the system itself counts the processor's time."""
    show = "import resource; print(resource.getrlimit(resource.RLIMIT_CPU))"
    work.write_text(RIGHT.replace("t = p + q\n", f"t = p + q; {show}\n"))
    assert "(60, 60)" in minigan("check", "04.1").out


def test_a_process_that_it_started_ends_too(work: Path, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    work.write_text(
        "import subprocess, sys\ndef optimal_discriminator(p, q):\n"
        "    subprocess.Popen([sys.executable, '-c', "
        f"'import time; time.sleep(2); open({str(mark)!r}, \"w\")'])\n    return p\n"
    )
    assert minigan("check", "04.1").code == 1
    time.sleep(2.5)
    assert not mark.exists()


# --- a learner's work -----------------------------------------------------------------------------


def test_start_never_overwrites(work: Path) -> None:
    work.write_text(RIGHT)
    again = minigan("start", "04")
    assert again.code == 0 and "not touched" in again.out and "04.2" in again.out
    assert work.read_text() == RIGHT


def test_reset_keeps_a_copy_and_restores(work: Path, course: Path) -> None:
    stub = (course / "exercises/ch04_gan_game/exercise.py").read_text()
    work.write_text(RIGHT)
    for _ in range(3):  # within one second
        assert minigan("reset", "04").code == 0
    assert work.read_text() == stub
    copies = sorted((work.parent / ".backup").iterdir())
    assert [copy.read_text() for copy in copies] == [RIGHT, stub, stub]
    work.write_text(WRONG)
    minigan("reset", "04")
    assert minigan("reset", "04", "--restore").code == 0
    assert work.read_text() == WRONG
    work.write_bytes(b"# caf\xe9\r\n")
    refused(minigan("reset", "04.1"), 2, "ch04_gan_game.py is not valid Python", "0xe9")
    for options in ([], ["--restore"]):
        assert minigan("reset", "04", *options).code == 0
    assert work.read_bytes() == b"# caf\xe9\r\n"


def test_restore_brings_back_the_latest_though_summer_time_ends(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for clock, text in (("02:59:00", WRONG), ("02:01:00", RIGHT)):
        monkeypatch.setattr("minigan.grading.progress.now", lambda t=clock: f"2026-10-25T{t}")
        work.write_text(text)
        assert minigan("reset", "04").code == 0
    assert minigan("reset", "04", "--restore").code == 0
    assert work.read_text() == RIGHT


def test_reset_of_one_task_leaves_the_others(work: Path) -> None:
    work.write_text("# mine\n" + SOLUTION)
    assert minigan("reset", "04.2").code == 0
    after = Source.read(work)
    assert after.untouched("jensen_shannon") and not after.untouched("optimal_discriminator")
    assert after.text.startswith("# mine\n") and after.text.count("def jensen_shannon") == 1
    assert after.segment("game_value") == Source(SOLUTION).segment("game_value")
    work.write_text(RIGHT)  # a task that the course added later
    assert minigan("reset", "04.5").code == 0
    assert Source.read(work).untouched("game_value")
    work.write_text("def (")
    refused(minigan("reset", "04.5"), 2, "not valid Python")
    assert work.read_text() == "def ("


def test_lines_are_those_of_the_parser(work: Path) -> None:
    """Of which neither a form feed nor U+2028 ends one."""
    work.write_text("# page 1\n\f\n# a\u2028b\n\f\n" + SOLUTION, encoding="utf-8")
    assert minigan("reset", "04.2").code == 0
    after = Source.read(work)
    assert after.untouched("jensen_shannon") and after.text.startswith("# page 1\n\f\n# a\u2028b\n")
    assert after.segment("game_value") == Source(SOLUTION).segment("game_value")


DEEP = {
    "a long sum": "+".join(["1"] * 5000),  # too deep for Python 3.11 and 3.12
    "a longer sum": "+".join(["1"] * 100_000),
    "signs": "-" * 100_000 + "1",
    "brackets": "(" * 250 + ")" * 250,
    "negations": "not " * 5000 + "1",
    "attributes": "x" + ".real" * 5000,
    "conditions": "1 if 1 else " * 5000 + "1",
    "lambdas": "lambda: " * 2000 + "1",
    "calls": "str(a := " * 150 + "1" + ")" * 150,  # to which ast.unparse adds brackets
}


@pytest.mark.parametrize("what", DEEP)
def test_a_file_that_is_nested_deeply_costs_itself_alone(
    work: Path, tmp_path: Path, what: str
) -> None:
    """How deep is too deep, and where it is noticed, each version of Python has its own idea of."""
    text = RIGHT.replace("t = p + q", "helper; t = p + q")
    text += f"\n\ndef helper():\n    return {DEEP[what]}\n"
    work.write_text(text)
    result = minigan("check", "04.1")
    if result.code:
        assert result.code == 1 and "✗" in result.out
        assert "nested too deeply" in result.out or "too many nested" in result.out
    for command in ("start 04", "list"):
        assert minigan(*command.split()).code == 0, command
    again = minigan("reset", "04.1")
    if result.code:
        refused(again, 2, "not valid Python", "nested")
    folder = tmp_path / "handed in"
    folder.mkdir()
    for name, content in {"ben_ch04": text, "cy": RIGHT}.items():
        (folder / f"{name}.py").write_text(content)
    rows = minigan("grade", folder, "--csv").out.splitlines()
    passed = str(1 - result.code)
    assert [row.split(",")[:2] for row in rows[1:]] == [["ben_ch04", passed], ["cy", "1"]]


def test_a_sum_of_many_terms_is_remembered(work: Path) -> None:
    """600 terms are too many for ast.unparse."""
    text = RIGHT.replace("t = p + q", "helper; t = p + q")
    text += "\n\ndef helper():\n    return " + "+".join(["1"] * 600)
    work.write_text(text)
    assert minigan("check", "04.1").code == 0
    assert "✓ 04.1" in minigan("list").out
    work.write_text(text + " + 1")
    assert "~ 04.1" in minigan("list").out


def test_nesting_that_only_the_compiler_refuses_is_a_syntax_error(tmp_path: Path) -> None:
    file = tmp_path / "deep.py"
    file.write_text("x = " + DEEP["signs"])
    with pytest.raises(SyntaxError, match="nested too deeply"):
        load(file, "deep")


def test_finished_work_stays_finished(work: Path, course: Path) -> None:
    work.write_text(RIGHT)
    assert minigan("check", "04.1").code == 0
    assert "✓ 04.1" in minigan("list").out
    work.write_text("# a comment\n\n" + RIGHT.replace("t = p + q", "t = p + q  # why"))
    assert "✓ 04.1" in minigan("list").out
    work.write_text(WRONG)
    assert "~ 04.1" in minigan("list").out
    work.write_text(RIGHT)
    checks = course / "exercises/ch04_gan_game/checks.py"  # an update asks for more
    checks.write_text(checks.read_text().replace("[a / (a + b) if", "[7 * a / (a + b) if"))
    result = minigan("check", "04.1")
    assert result.code == 1
    assert "passed before; the course's checks changed since" in said(result)
    assert "✓ 04.1" in minigan("list").out
    assert minigan("solution", "04.1").code == 0


BREAKS = {
    "1 / 0": "importing the file raised ZeroDivisionError",
    "while True: pass": "importing the file took longer than 1 s; an endless loop? (line",
    "import nothing_of_that_name": "ModuleNotFoundError",
    "import os; os.abort()": "importing the file did not finish",
    "del optimal_discriminator": "optimal_discriminator is not there when the file is imported",
    "import numpy; numpy.where = None": "TypeError",
}


@pytest.mark.parametrize("line", BREAKS)
def test_what_broke_a_finished_task_is_said_and_the_checks_are_not_blamed(
    work: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.write_text(RIGHT)
    assert minigan("check", "04.1").code == 0
    if "while" in line:
        limited = partial(check_task, time_limit=1.0)
        monkeypatch.setattr("minigan.grading.commands.check_task", limited)
    work.write_text(f"{RIGHT}\n{line}\n")
    result = minigan("check", "04.1")
    assert result.code == 1 and BREAKS[line] in said(result), result.out
    assert "passed before; other lines of the file changed since." in said(result)
    assert "✓ 04.1" in minigan("list").out


def test_a_pass_of_which_nothing_else_changed_blames_nothing(work: Path) -> None:
    """The answer is right for some inputs and wrong for others."""
    often = RIGHT.replace("t = p + q", "t = p + q + (__import__('os').path.exists('MARK') > 0)")
    mark = work.parent / "mark"
    work.write_text(often.replace("MARK", mark.as_posix()))
    assert minigan("check", "04.1").code == 0
    mark.touch()
    result = said(minigan("check", "04.1"))
    assert "passed before; neither the file nor the course's checks changed since." in result
    entries = progress(work)
    del entries["04.1"]["around"]  # as an earlier version wrote it
    (work.parent / ".progress.json").write_text(json.dumps(entries))
    assert "passed before. In minigan list it stays passed." in said(minigan("check", "04.1"))


def test_a_changed_check_of_another_task_is_not_one_of_this_task(work: Path, course: Path) -> None:
    chapter = Course.find().chapter("04")
    one, two = chapter.tasks[:2]
    checks = course / "exercises/ch04_gan_game/checks.py"
    before = [chapter.checks_of(task) for task in (one, two)]
    assert before[0] != before[1]
    checks.write_text(checks.read_text().replace("DIVERGENCE = Task(", "DIVERGENCE = Task(  # new"))
    assert chapter.checks_of(one) == before[0] and chapter.checks_of(two) != before[1]


def test_a_copy_without_solutions_does_not_offer_them(work: Path, course: Path) -> None:
    work.write_text(RIGHT)
    assert "Score 5/5 · done: see minigan solution 04.1\n" in minigan("check", "04.1").out
    (course / "exercises/ch04_gan_game/solution.py").unlink()
    assert minigan("check", "04.1").out.endswith("Score 5/5 · done\n")


def test_hints_open_one_by_one_and_giving_up_is_recorded(work: Path) -> None:
    shown = [minigan("hint", "04.1").out for _ in range(4)]
    assert ["1 of 3" in s for s in shown] == [True] * 4
    assert ["3 of 3" in s for s in shown] == [False, False, True, True]
    given = minigan("solution", "04.1", "--give-up")
    assert given.code == 0 and "p / (p + q)" in given.out
    assert progress(work)["04.1"]["hints"] == 3 and progress(work)["04.1"]["gave_up"]


def test_two_terminals_lose_nothing(work: Path) -> None:
    folder = Work(work.parent)

    def count(entry: dict[str, Any]) -> None:
        entry["n"] = entry.get("n", 0) + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: folder.update(f"04.{i % 3}", count), range(60)))
    assert [progress(work)[f"04.{i}"]["n"] for i in range(3)] == [20, 20, 20]


def test_a_kill_while_saving_leaves_old_or_new(work: Path) -> None:
    """A process that saves as fast as it can is killed again and again."""
    code = (
        "from pathlib import Path\nfrom minigan.grading.progress import Work\n"
        f"work = Work(Path({str(work.parent)!r}))\nprint('ready', flush=True)\n"
        "while True: work.update('04.1', lambda e: e.update(text='x' * 100_000, n=e.get('n', 0) + 1))\n"
    )
    last = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.25)
        process.kill()
        process.wait()
        process.stdout.close()
        n = progress(work)["04.1"]["n"]
        assert n > last
        last = n
    assert minigan("hint", "04.1").code == 0
    assert progress(work)["04.1"]["n"] == last


def test_damaged_progress_is_kept_aside(work: Path) -> None:
    file = work.parent / ".progress.json"
    file.write_text('{"04.1": ')
    assert minigan("list").code == 0
    assert minigan("hint", "04.1").code == 0
    (copy,) = (work.parent / ".backup").iterdir()
    assert copy.read_text() == '{"04.1": '
    assert progress(work)["04.1"]["hints"] == 1


# --- watch, grade, notebook -----------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="drives a pseudo-terminal")
def test_watch_checks_within_a_second_of_saving_and_listens_to_keys(work: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "minigan", "watch", "04"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=work.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""

    def wait_for(*texts: str) -> float:
        nonlocal seen
        began = time.monotonic()
        while not all(text.encode() in seen for text in texts):
            assert time.monotonic() - began < 20, seen.decode()
            seen += os.read(ours, 1 << 16)
        seen = b""
        return time.monotonic() - began

    try:
        wait_for("not started", "watching")
        work.write_text(WRONG + SOLUTION.partition("def jensen")[2].join(["def jensen", ""]))
        took = wait_for("1 - D*", "watching")
        assert took < 5  # a second on a machine that has nothing else to do
        os.write(ours, b"h")
        wait_for("1 of 3")
        os.write(ours, b"n")
        wait_for("watching")
        os.write(ours, b"q")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_class_is_graded_in_one_command(course: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("minigan.grading.classroom.TIME_LIMIT", 1.0)
    folder = tmp_path / "handed in"
    for i in range(3):
        (folder / f"student {i}/deep").mkdir(parents=True)
        (folder / f"student {i}/deep/ch04_gan_game.py").write_text(SOLUTION)
    (folder / "=cmd().py").write_text(RIGHT)
    (folder / "anna_ch04_gan_game.py").write_text(HOSTILE["an endless loop"][0])
    late = "    import numpy as np\n    while p.ndim == 1 and not (p + q).all(): pass\n    return p / (p + q)\n"
    (folder / "late_ch04_gan_game.py").write_text("def optimal_discriminator(p, q):\n" + late)
    (folder / "sly_ch04_gan_game.py").write_text("import minigan.grading\n" + RIGHT)
    (folder / "broken_ch04_gan_game.py").write_text("def (")
    (folder / "bert.py").write_text("def (")
    (folder / "carl").mkdir()
    shutil.copytree(course / "exercises", folder / "dora/exercises")
    (folder / "dora/exercises/work").mkdir()
    (folder / "dora/exercises/work/ch04_gan_game.py").write_text(RIGHT)
    out = tmp_path / "grades.csv"
    result = minigan("grade", folder, "--csv", "-o", out)
    assert result.code == 0, result.err
    rows = {
        row["submission"]: row for row in csv.DictReader(io.StringIO(out.read_text("utf-8-sig")))
    }
    assert list(rows["student 0"]) == [
        "submission", "passed", "tasks", "score", "04.1", "04.2", "04.3", "04.4", "04.5", "notes",
    ]  # fmt: skip
    for i in range(3):
        assert rows[f"student {i}"]["score"] == "100.0" and rows[f"student {i}"]["passed"] == "5"
    assert rows["'=cmd()"]["passed"] == "1" and rows["'=cmd()"]["04.1"] == "1.00"
    assert rows["anna"]["passed"] == "0" and "longer than 1 s" in rows["anna"]["notes"]
    assert rows["late"]["passed"] == "0" and rows["late"]["04.1"] == "0.60"  # what passed, counts
    assert rows["sly"]["passed"] == "1" and "speaks of minigan.grading" in rows["sly"]["notes"]
    assert rows["student 0"]["notes"] == ""
    broken = rows["broken"]["notes"]
    assert (
        broken.startswith("04.1, 04.2, 04.3, 04.4, 04.5: not valid Python") and "line 1" in broken
    )
    assert "of no chapter" in rows["bert"]["notes"]
    assert rows["dora"]["passed"] == "1" and "of no chapter" not in rows["dora"]["notes"]
    assert rows["carl"]["score"] == "0.0" and rows["carl"]["04.1"] == ""
    assert "student 0" in minigan("grade", folder, "--chapter", "04").out


def test_a_table_that_cannot_be_written_is_shown(course: Path, tmp_path: Path) -> None:
    folder = tmp_path / "handed in"
    folder.mkdir()
    shutil.copy(course / "exercises/ch04_gan_game/exercise.py", folder / "ada.py")
    result = minigan("grade", folder, "-o", "x" * 300)
    assert result.code == 2 and "File name too long" in result.err.splitlines()[-1]
    assert result.out.splitlines()[1] == "ada,0,5,0.0,,,,,,"


def test_no_cell_is_a_formula(course: Path) -> None:
    tasks = Course.find().chapter("04").tasks
    grades = [Grade(Submission(f"{sign}a", {}), {}) for sign in "=+-@"]
    _, *rows = csv.reader(io.StringIO(as_csv(grades, tasks)))
    assert [row[0] for row in rows] == ["'=a", "'+a", "'-a", "'@a"]


def test_a_notebook_checks_and_shows_the_status(work: Path, capsys: Any) -> None:
    work.write_text(RIGHT)
    notebook_check("04.1")
    assert "Score 5/5" in capsys.readouterr().out
    status("04")
    out = capsys.readouterr().out
    assert "✓ 04.1" in out and "1/5" in out and "Go on: minigan check 04" in out
    work.unlink()
    status("04")
    assert "To begin: minigan start 04" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no task"):
        notebook_check("04.9")
    with pytest.raises(ValueError, match='4.1 is no task; write it in quotes: "04.4"'):
        notebook_check(4.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "–"), ("ascii", "-"), ("cp1252", "-")])
def test_a_terminal_without_these_characters(work: Path, encoding: str, mark: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "minigan", "list"], cwd=work.parent, env=env, capture_output=True
    )
    assert done.returncode == 0
    assert f"  {mark} 04.1" in done.stdout.decode(encoding)
    assert b"\\u" not in done.stdout and b"\x1b" not in done.stdout


@pytest.mark.parametrize("unwanted", ["", "1"])
def test_colours_are_for_terminals_of_those_who_want_them(
    unwanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", unwanted)
    for on_a_terminal in (True, False):
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", lambda on_a_terminal=on_a_terminal: on_a_terminal)
        monkeypatch.setattr(sys, "stdout", out)
        Screen().say("✓ shape", "green")
        assert ("\x1b[32m" in out.getvalue()) == (on_a_terminal and not unwanted)


def test_a_reader_that_leaves_is_no_error(work: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does when it has seen enough
    done = subprocess.run(
        [sys.executable, "-m", "minigan", "list"],
        cwd=work.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_pytest_runs_the_same_checks(tmp_path: Path) -> None:
    work = tmp_path / "exercises/work"
    for name in ("ch04_gan_game", "conftest.py", "test_work.py"):
        source = ROOT / "exercises" / name
        target = tmp_path / "exercises" / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    work.mkdir()
    (work / "ch04_gan_game.py").write_text(WRONG + SOLUTION.partition("\n\n\n")[2])

    def run(*options: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "exercises", "-p", "no:cacheprovider", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    assert "1 skipped" in run().out  # nothing was asked for
    (work / "ch04_gan_game.py").write_text(SOLUTION)
    assert "5 passed" in run("--work").out
    (work / "ch04_gan_game.py").write_text(WRONG)
    result = run("--work")
    assert result.code == 1 and "1 - D*" in result.out and "Traceback" not in result.out


def test_a_scaffold_is_filled_in_and_passes(course: Path) -> None:
    made = minigan("scaffold", "09", "conditional", "one_hot")
    assert made.code == 0, made.err
    folder = course / "exercises/ch09_conditional"
    assert sorted(p.name for p in folder.iterdir()) == ["checks.py", "exercise.py", "solution.py"]
    chapter = Course.find().chapter("09")
    (task,) = chapter.tasks
    assert check_task(chapter, task, chapter.stub).not_started
    assert check_task(chapter, task, chapter.solution).passed
    refused(minigan("scaffold", "09", "again", "f"), 2, "there is")
    (folder / "checks.py").unlink()
    (folder / "exercise.py").write_text("mine")
    refused(
        minigan("scaffold", "09", "conditional", "f"), 2, "ch09_conditional/exercise.py already"
    )
    assert (folder / "exercise.py").read_text() == "mine"
    refused(minigan("scaffold", "10", "more", "lambda"), 2, "names as in Python")
