"""How the suite runs: how often, and on which array libraries.

MINIGAN_TIER says how many examples hypothesis draws. The fast and default tiers draw the same
examples every time, so that a commit is judged by its own changes; "all" draws fresh ones.

Every test runs on NumPy and on the stand-in for CuPy of strict_backend.py, and what it fetched from
one must equal, to the bit, what it fetched from the other. What is marked ``on_the_host("why")``
runs once: it touches no array library, or chooses one itself, or starts processes of its own.
"""

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from commands import write_digits
from hypothesis import HealthCheck, is_hypothesis_test, seed, settings
from libraries import compare, use, without

from minigan import backend

TIER = os.environ.get("MINIGAN_TIER", "default")
for tier, count in {"fast": 3, "default": 25, "all": 200}.items():
    settings.register_profile(
        tier,
        max_examples=count,
        deadline=None,
        derandomize=tier != "all",
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(TIER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    once = metafunc.definition.get_closest_marker("on_the_host")
    metafunc.parametrize("library", ["numpy"] if once else ["numpy", "strict"], indirect=True)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on one array library, and watch what it fetches from there."""
    use(request.param, monkeypatch)
    backend.manual_seed(0)  # whatever ran before
    fetched, to_host = hashlib.sha256(), backend.to_host

    def watched(array: Any) -> numpy.ndarray:
        host = to_host(array)
        compared = host.copy()
        if host.dtype.kind == "f":  # the sign of a NaN depends on the processor and on alignment
            compared[numpy.isnan(host)] = numpy.nan
        fetched.update(f"{host.dtype} {host.shape}".encode() + compared.tobytes())
        return host

    monkeypatch.setattr(backend, "to_host", watched)
    request.node.stash[FETCHED] = fetched


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, as a folder of four files."""
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty current folder, and no variable that a command would read."""
    for name in ("MINIGAN_DATA", "MINIGAN_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


FETCHED = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """After a test that passed, compare what it fetched with what it fetched elsewhere."""
    if TIER == "all":  # each run draws examples of its own
        return (yield)
    mine = pyfuncitem.callspec.params["library"]
    name = without(mine, pyfuncitem.nodeid)
    if is_hypothesis_test(pyfuncitem.obj):  # which would seed itself from the whole id
        seed(zlib.crc32(name.encode()))(pyfuncitem.obj)
    result = yield
    folder = pyfuncitem._request.getfixturevalue("fetched_by_test")
    compare(folder, name, mine, pyfuncitem.stash[FETCHED].hexdigest())
    return result


@pytest.fixture(scope="session")
def fetched_by_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of the run's processes share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fetched"
    folder.mkdir(exist_ok=True)
    return folder
