"""How the suite runs: how often, and on which array libraries.

MINIGAN_TIER says how many examples hypothesis draws. The fast and default tiers draw the same
examples every time, so that a commit is judged by its own changes; "all" draws fresh ones.

Every test runs on NumPy and on the stand-in for CuPy of strict_backend.py, and what it fetched from
one must equal, to the bit, what it fetched from the other. A module that touches no array library,
or needs processes of its own, says ``ON_THE_HOST = "why"`` and runs once.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, settings
from strict_backend import strict

from minigan import backend

TIER = os.environ.get("MINIGAN_TIER", "default")
for tier, count in {"fast": 5, "default": 25, "all": 200}.items():
    settings.register_profile(
        tier,
        max_examples=count,
        deadline=None,
        derandomize=tier != "all",
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(TIER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    libraries = ["numpy"] if hasattr(metafunc.module, "ON_THE_HOST") else ["numpy", "strict"]
    metafunc.parametrize("library", libraries, indirect=True)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on one array library, which is what "numpy" means as long as it runs."""
    chosen = {"numpy": numpy, "strict": strict}[request.param]
    monkeypatch.setattr(backend, "xp", chosen)
    monkeypatch.setitem(backend.LIBRARIES, "numpy", lambda: chosen)
    fetched, to_host = hashlib.sha256(), backend.to_host

    def watched(array: Any) -> numpy.ndarray:
        host = to_host(array)
        fetched.update(f"{host.dtype} {host.shape}".encode() + host.tobytes())
        return host

    monkeypatch.setattr(backend, "to_host", watched)
    request.node.stash[FETCHED] = fetched


FETCHED = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """After a test that passed, compare what it fetched with what it fetched elsewhere."""
    result = yield
    if TIER != "all":  # there, each run draws examples of its own
        mine = pyfuncitem.callspec.params["library"]
        _compare(
            pyfuncitem._request.getfixturevalue("fetched_by_test"),
            pyfuncitem.nodeid,
            mine,
            pyfuncitem.stash[FETCHED].hexdigest(),
        )
    return result


@pytest.fixture(scope="session")
def fetched_by_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of the run's processes share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fetched"
    folder.mkdir(exist_ok=True)
    return folder


def _compare(folder: Path, test: str, mine: str, digest: str) -> None:
    """Leave what was fetched for the test on the other library, and compare if that has run."""
    other = {"numpy": "strict", "strict": "numpy"}[mine]
    key = hashlib.sha256(test.replace(mine, "").encode()).hexdigest()
    (folder / f"{key}.{mine}").write_text(digest)
    theirs = folder / f"{key}.{other}"
    if theirs.exists() and (text := theirs.read_text()):
        assert digest == text, f"{test}: other results on {mine} than on {other}"
