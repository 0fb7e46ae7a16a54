"""Kill a training process before each of its file operations, and go on from what is left.

Started by test_runs.py with a folder to work in. A small run is made, and then lengthened, by a
forked process that an audit hook kills before its first operation on a file of the run; by another
one that comes one operation further; and so on until one gets to the end. Whatever is left each
time must hold an intact newest checkpoint and go on to the bytes of a run that was never killed.
Prints how many processes were killed.
"""

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from commands import assert_same_runs, write_digits

from minigan import models, nn, optim, plotting, training
from minigan.checkpoint import Run, write_atomic
from minigan.cli import main

OPERATIONS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


class Tiny(models.GAN):
    name = "mlp"

    def __init__(self, lr: float = 2e-4) -> None:
        self.latent_dim = 2
        self.generator = nn.Sequential(
            nn.Linear(2, 784), nn.BatchNorm1d(784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28))
        )
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 1))
        self.d_optimizer = optim.Adam(self.discriminator.parameters(), lr)
        self.g_optimizer = optim.Adam(self.generator.parameters(), lr)


def train(out: Path, arguments: list[str], killed_before: int = 0) -> int:
    """`minigan train` in a process of its own; 0, or the signal that ended it."""
    if pid := os.fork():
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    count = 0

    def hook(event: str, details: tuple[Any, ...]) -> None:
        nonlocal count
        if event in OPERATIONS and str(out) in str(details[0]):
            count += 1
            if count == killed_before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    resume = ["--resume"] if (out / "config.json").exists() else []
    sys.argv = ["minigan", "train", "mlp", "--out", str(out), *arguments, *resume]
    try:
        main()
    except SystemExit as done:
        os._exit(int(done.code or 0))
    finally:
        os._exit(99)


def kill_everywhere(before: Path | None, expected: Path, arguments: list[str], work: Path) -> int:
    """Take the run ``before`` (None: none yet) to ``expected``, killed before operation 1, 2, …"""
    for k in itertools.count(1):
        shutil.rmtree(work, ignore_errors=True)
        if before:
            shutil.copytree(before, work)
        if train(work, arguments, killed_before=k) == 0:
            assert_same_runs(expected, work)
            return k - 1
        if (work / "config.json").exists() and (run := Run.open(work)).has_checkpoint:
            assert run.load_checkpoint()[2] == "", k
        assert train(work, arguments) == 0, k
        assert_same_runs(expected, work)
    raise AssertionError


def save_no_curves(rows: Any, path: Path, title: str, references: Any) -> None:
    write_atomic(path, title.encode())  # the real ones take their time, and end in the same call


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    models.MODELS["mlp"], plotting.save_curves = Tiny, save_no_curves
    training.SAVE_EVERY = 1
    (folder / "digits").mkdir()
    given = ["--data", str(write_digits(folder / "digits")), "--batch-size", "64", "--epochs"]
    assert train(folder / "one", [*given, "1"]) == train(folder / "two", [*given, "2"]) == 0
    kills = kill_everywhere(None, folder / "one", [*given, "1"], folder / "run")
    kills += kill_everywhere(folder / "one", folder / "two", [*given, "2"], folder / "run")
    print(kills)
