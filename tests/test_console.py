"""What a long run says: whole lines in a log, a bar in a notebook, one line for each message."""

import re
import signal
import sys
import threading
from types import SimpleNamespace

import pytest

from minigan import console

pytestmark = pytest.mark.on_the_host("touches no arrays")

# --- Progress -------------------------------------------------------------------------------------


class Notebook:
    """What IPython's get_ipython() gives in a notebook, as far as anybody asks."""

    kernel = None


LINE = re.compile(
    r"^ *(\d+)%\|.*\| (\d+)/10 \[\d\d:\d\d<(\d\d:\d\d|\?), +(\?|[\d.]+)(step/s|s/step)(, .*)?\]$"
)


def test_progress_in_a_log_is_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(10, 2) as bar:
        bar.mininterval = 0.0
        for _ in range(8):
            bar.update()
    err = capsys.readouterr().err
    assert err.endswith("\n")
    assert "\r" not in err and "\x1b" not in err
    matches = [LINE.match(line) for line in err.splitlines()]
    assert all(matches), err
    counts = [int(m[2]) for m in matches if m]
    assert counts[0] == 2 and counts[-1] == 10 and counts == sorted(counts)
    assert len(counts) > 3
    middle = next(m for m in matches if m and m[2] == "5")
    assert middle[3] != "?" and middle[4] != "?"  # rate and time left


def test_progress_is_a_bar_in_a_notebook_and_not_where_its_modules_are_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for shell, in_a_notebook in ((None, False), (object(), False), (Notebook(), True)):
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setattr(console, "auto_tqdm", console.plain_tqdm)  # which needs no widgets
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())  # who only imports it...
        with console.progress(10) as bar:
            bar.update()
        assert ("\r" in capsys.readouterr().err) == in_a_notebook


def test_progress_in_a_log_is_rare(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(10_000) as bar:
        for _ in range(10_000):
            bar.update()
    assert len(capsys.readouterr().err.splitlines()) <= 3


@pytest.mark.parametrize("size", [1, 10])
def test_the_last_line_of_a_log_is_written_once(
    size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = console.progress(size)
    bar.update(size)
    bar.close()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and f"| {size}/{size} [" in lines[-1]


def test_progress_that_nobody_reads_any_more_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        encoding = "utf-8"

        def isatty(self) -> bool:
            return False

        def flush(self) -> None:
            pass

        def write(self, _: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with console.progress(3) as bar:
        bar.mininterval = 0.0
        for _ in range(3):
            bar.update()
    assert bar.disable


# --- Messages -------------------------------------------------------------------------------------


def test_a_message_is_one_line_without_commands(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("größe of\n  a\x1b[31m\tb\u202e")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "minigan: größe of a\\x1b[31m b\\u202e\n"


@pytest.mark.parametrize(("shell", "found"), [(None, False), (object(), False), (Notebook(), True)])
def test_a_notebook_has_a_kernel(
    shell: object, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert console.in_a_notebook() is found
    monkeypatch.delitem(sys.modules, "IPython")
    assert not console.in_a_notebook()


# --- Signals --------------------------------------------------------------------------------------


def test_signals_are_answered_within_the_block_alone() -> None:
    answers: list[int] = []
    with console.answered((signal.SIGTERM,), lambda signum, _: answers.append(signum)):
        with console.stop_requested() as inner:
            signal.raise_signal(signal.SIGTERM)
            assert inner.is_set() and answers == []
        signal.raise_signal(signal.SIGTERM)
        assert answers == [signal.SIGTERM]
        with pytest.raises(KeyError), console.stop_requested():
            raise KeyError
        signal.raise_signal(signal.SIGTERM)
        assert len(answers) == 2
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_thread_sets_no_handlers() -> None:
    before, during = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with console.stop_requested() as event:
            during.append((event.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [(False, before)]
