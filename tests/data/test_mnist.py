"""MNIST: the reader against every kind of damage, the search order, the download, the subset."""

import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import data
from minigan.console import say_once
from minigan.data import download, mnist
from minigan.data.idx import decode, gunzip
from tools import make_mini

pytestmark = pytest.mark.on_the_host("reads files, touches no array library")

MINIGAN_DATA = os.environ.get("MINIGAN_DATA")  # as it was before the tests take it away
SIZES = {"train": 6, "test": 3}


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.tobytes()


def make_set(seed: int) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    content = {}
    for split, (images, labels) in mnist.SPLITS.items():
        n = SIZES[split]
        content[images] = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        content[labels] = idx(rng.integers(0, 10, n, dtype=np.uint8))
    return content


TINY, OTHER = make_set(1), make_set(2)
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist.FILES


def put(folder: Path, content: dict[str, bytes], gz: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, raw in content.items():
        if gz:
            (folder / (file + ".gz")).write_bytes(gzip.compress(raw, mtime=0))
        else:
            (folder / file).write_bytes(raw)
    return folder


def same(got: tuple[np.ndarray, np.ndarray], content: dict[str, bytes], split: str) -> bool:
    images, labels = got
    assert images.dtype == labels.dtype == np.uint8 and images.shape == (len(labels), 1, 28, 28)
    return [idx(images[:, 0]), idx(labels)] == [content[file] for file in mnist.SPLITS[split]]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data on the machine, no network, nothing said yet; TINY is what MNIST should be."""
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(mnist.pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(mnist, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(mnist, "_embedded_instead", False)
    say_once.cache_clear()
    digests = {file: hashlib.sha256(raw).hexdigest() for file, raw in TINY.items()}
    for name in ("mnist", "fashion-mnist"):
        monkeypatch.setitem(mnist.SHA256, name, digests)
        monkeypatch.setitem(mnist.MIRRORS, name, ("http://127.0.0.1:9/",))  # the discard port


@pytest.fixture
def genuine() -> Iterator[None]:
    """The true hashes of MNIST, and the data that the caller's MINIGAN_DATA has."""
    if not MINIGAN_DATA:
        pytest.skip("MINIGAN_DATA is not set: no MNIST to test with")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGAN_DATA", MINIGAN_DATA)
        patch.setitem(mnist.SHA256, "mnist", GENUINE["mnist"])
        patch.setitem(mnist.SHA256, "fashion-mnist", GENUINE["fashion-mnist"])
        yield


GENUINE = dict(mnist.SHA256)


# The format


def test_decode_reads_images_and_labels() -> None:
    images = np.arange(2 * 784, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
    got = decode(idx(images), (28, 28))
    assert got.dtype == np.uint8 and got.flags.writeable and (got == images).all()
    assert decode(idx(np.array([7, 0, 9], np.uint8)), ()).tolist() == [7, 0, 9]


def test_gunzip_reads_any_level() -> None:
    for level in range(10):
        assert gunzip(gzip.compress(TINY[TEST_LABELS], level)) == TINY[TEST_LABELS]


BAD_IDX = [
    (b"", (), r"found 0 bytes, expected a header of 8 \(truncated\)"),
    (TINY[TEST_IMAGES][:15], (28, 28), r"found 15 bytes, expected a header of 16 \(truncated\)"),
    (TINY[TEST_IMAGES], (), "found magic number 0x00000803, expected 0x00000801"),
    (TINY[TRAIN_IMAGES][:-1], (28, 28), r"found 4719 bytes, expected 4720 .*\(truncated\)"),
    (TINY[TEST_LABELS] + b"\0", (), r"found 12 bytes, expected 11 for \(3,\) \(trailing bytes\)"),
    (idx(np.zeros((2, 28, 27), np.uint8)), (28, 28), r"\(2, 28, 27\), expected \(N > 0, 28, 28\)"),
    (idx(np.zeros(0, np.uint8)), (), r"found dimensions \(0,\), expected \(N > 0\)"),
    (struct.pack(">4I", 0x803, 2**32 - 1, 28, 28), (28, 28), r"16 bytes, expected 3367254359296"),
]


@pytest.mark.parametrize(("raw", "item", "message"), BAD_IDX)
def test_decode_says_what_it_found_and_expected(raw: bytes, item: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(raw, item)


PACKED = gzip.compress(TINY[TEST_LABELS], mtime=0)  # no clock in it: pytest names tests by it
BAD_GZIP = [
    (b"", "cut off after 0 bytes, expected more"),
    (TINY[TEST_LABELS], r"found no gzip data .*, expected a gzip file"),
    (PACKED[:-3], "cut off after [0-9]+ bytes, expected more"),
    (
        gzip.compress(TINY[TEST_LABELS], mtime=0) + b"\0\0",
        "found 2 trailing bytes after the gzip data",
    ),
    (
        gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0),
        "21 trailing bytes after the gzip data",
    ),
    (
        gzip.compress(b"a" * 99, mtime=0)[:-8] + bytes(8),
        "found damaged gzip data .*incorrect data check",
    ),
]


@pytest.mark.parametrize(("compressed", "message"), BAD_GZIP)
def test_gunzip_says_what_it_found_and_expected(compressed: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gunzip(compressed)


def test_every_truncation_is_refused() -> None:
    for file, item in ((TEST_IMAGES, (28, 28)), (TEST_LABELS, ())):
        raw, compressed = TINY[file], gzip.compress(TINY[file])
        for length in range(len(raw)):
            with pytest.raises(ValueError, match="truncated"):
                decode(raw[:length], item)
        for length in range(len(compressed)):
            with pytest.raises(ValueError, match="cut off"):
                gunzip(compressed[:length])


def test_every_bit_flip_in_a_header_is_refused() -> None:
    for file, item, header in ((TEST_IMAGES, (28, 28), 16), (TEST_LABELS, (), 8)):
        for bit in range(8 * header):
            raw = bytearray(TINY[file])
            raw[bit // 8] ^= 1 << bit % 8
            with pytest.raises(ValueError, match="found .*, expected "):
                decode(bytes(raw), item)


def test_every_byte_flip_in_a_gzip_is_refused_or_harmless() -> None:
    compressed = gzip.compress(TINY[TEST_LABELS], mtime=0)
    for place in range(len(compressed)):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            altered = bytearray(compressed)
            altered[place] ^= flip
            try:
                content = gunzip(bytes(altered))
            except ValueError as error:
                assert "found" in str(error) and "expected" in str(error)
            else:
                assert content == TINY[TEST_LABELS]


@given(st.binary(max_size=64), st.sampled_from([(28, 28), ()]))
def test_random_bytes_give_an_array_or_a_value_error(raw: bytes, item: tuple[int, ...]) -> None:
    for attempt in (
        lambda: decode(raw, item),
        lambda: decode(struct.pack(">I", 0x801 + len(item)) + raw, item),
        lambda: decode(gunzip(raw), item),
        lambda: decode(gunzip(gzip.compress(raw)), item),
        lambda: decode(gunzip(b"\x1f\x8b\x08\0" + raw), item),
    ):
        try:
            array = attempt()
        except ValueError as error:
            assert "found" in str(error) and "expected" in str(error)
        else:
            assert array.dtype == np.uint8 and array.shape[1:] == item and len(array) > 0


# Folders of one's own


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(mnist.FILES), st.booleans(), st.data())
def test_a_damaged_file_in_a_folder_is_named(file: str, gz: bool, draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = put(Path(name), TINY, gz)
        path = folder / (file + ".gz" * gz)
        whole = path.read_bytes()
        kind = draw.draw(st.sampled_from(["cut", "longer", "random"]))
        if kind == "cut":
            damaged = whole[: draw.draw(st.integers(0, len(whole) - 1))]
        elif kind == "longer":
            damaged = whole + draw.draw(st.binary(min_size=1, max_size=20))
        else:
            damaged = draw.draw(st.binary(max_size=100))
        path.write_bytes(damaged)
        split, other = ("train", "test") if file.startswith("train") else ("test", "train")
        with pytest.raises(ValueError) as caught:
            data.load(folder, split)
        message = str(caught.value)
        assert message.startswith(f"{path}: found ") and "expected" in message
        assert message.endswith("Replace it with an intact copy.")
        assert same(data.load(folder, other), TINY, other)
        assert [entry.file for entry in data.info(folder) if not entry.ok] == [file]


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("split", ["train", "test"])
def test_own_folder_needs_no_known_hash(tmp_path: Path, gz: bool, split: str) -> None:
    folder = put(tmp_path / "own", OTHER, gz)
    got = data.load(str(folder), split)
    assert same(got, OTHER, split)
    assert got[0].shape == (SIZES[split], 1, 28, 28) and got[1].shape == (SIZES[split],)
    assert data.verify(folder).kind == "folder"


@pytest.mark.parametrize(
    "called",
    [
        lambda file: file.replace("-idx", ".idx"),  # as it is called inside of the .gz
        lambda file: file.replace("-idx", ".idx") + ".gz",
        lambda file: file.upper() + ".GZ",
        lambda file: file.title(),
        lambda file: f"{file}/{file}",  # as on Kaggle
        lambda file: f"{file}/{file.replace('-idx', '.idx')}.gz",
        lambda file: f"{file.replace('-idx', '.idx')}/{file}",
    ],
)
def test_own_folder_with_other_names(tmp_path: Path, called: Callable[[str], str]) -> None:
    for file, raw in OTHER.items():
        path = tmp_path / "own" / called(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(raw) if path.suffix.lower() == ".gz" else raw)
    for split in mnist.SPLITS:
        assert same(data.load(tmp_path / "own", split), OTHER, split)
    assert data.verify(tmp_path / "own").kind == "folder"
    assert data.info(tmp_path / "own")[3].path == str(path)
    path.unlink()
    (path.parent / f"._{path.name}").write_bytes(b"what macOS leaves")
    with pytest.raises(FileNotFoundError, match=f"own lacks {TEST_LABELS}. It must hold the four"):
        data.load(tmp_path / "own")


def test_a_gzip_file_without_its_suffix(tmp_path: Path) -> None:
    for file, raw in OTHER.items():
        (tmp_path / file).write_bytes(gzip.compress(raw))
    assert data.verify(tmp_path).kind == "folder"
    assert same(data.load(tmp_path), OTHER, "train")


def test_a_files_own_name_comes_before_others(tmp_path: Path) -> None:
    put(tmp_path, {file.replace("-idx", ".idx"): raw for file, raw in OTHER.items()})
    put(tmp_path, TINY, gz=False)
    assert same(data.load(tmp_path), TINY, "train")
    for file in mnist.FILES:  # now in folders of their own, after the files with dots
        (tmp_path / file).rename(tmp_path / "file")
        put(tmp_path / file, {}).joinpath(file).write_bytes((tmp_path / "file").read_bytes())
    assert same(data.load(tmp_path), OTHER, "train")


def test_own_folder_with_unequal_lengths(tmp_path: Path) -> None:
    folder = put(tmp_path / "own", OTHER | {TEST_LABELS: OTHER[TRAIN_LABELS]})
    with pytest.raises(ValueError, match="found 3 images in t10k-images.* but 6 labels in t10k"):
        data.load(folder, "test")
    with pytest.raises(ValueError, match="3 images .* 6 labels"):
        data.verify(folder)


def test_own_folder_without_all_four(tmp_path: Path) -> None:
    holds = f"holds no PNGs and none of {TRAIN_IMAGES}, .* as .gz.*MNIST/raw"
    with pytest.raises(FileNotFoundError, match=holds):
        data.load(tmp_path)
    put(tmp_path, {TRAIN_IMAGES: TINY[TRAIN_IMAGES], TRAIN_LABELS: TINY[TRAIN_LABELS]})
    with pytest.raises(FileNotFoundError, match=f"lacks {TEST_IMAGES}, {TEST_LABELS}. It must"):
        data.load(tmp_path)


def test_unknown_names(tmp_path: Path) -> None:
    for name in ("cifar", str(tmp_path / "nowhere")):
        with pytest.raises(ValueError, match=f"{name}.* mnist, mnist-mini, fashion-mnist, or name"):
            data.load(name)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'valid'"):
        data.load_mnist("valid")
    with pytest.raises(ValueError, match="cannot download 'mnist-mini': choose from mnist, fash"):
        data.fetch("mnist-mini")


# MINIGAN_DATA


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("where", ["", "mnist"])
def test_minigan_data_raw_or_gz_in_mnist_or_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, gz: bool, where: str
) -> None:
    put(tmp_path / "data" / where, TINY, gz)
    put(tmp_path / "cache/minigan/mnist", OTHER)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "data"))
    for split in mnist.SPLITS:
        assert same(data.load_mnist(split), TINY, split)
    entries = data.info()
    assert [entry.file for entry in entries] == list(mnist.FILES)
    for entry in entries:
        assert entry.ok and entry.kind == "MINIGAN_DATA" and Path(entry.path).is_file()
        assert entry.bytes == len(TINY[entry.file])
        assert entry.sha256 == hashlib.sha256(TINY[entry.file]).hexdigest()
    assert data.verify().kind == "MINIGAN_DATA"
    assert capsys.readouterr().err == ""


def test_minigan_data_prefers_the_folder_named_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(put(tmp_path / "data", OTHER) / "mnist", TINY)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "data"))
    assert same(data.load_mnist("test"), TINY, "test")


def test_minigan_data_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "cache/minigan/mnist", TINY)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="MINIGAN_DATA is '.*nowhere', which is no folder."):
        data.load_mnist()


@pytest.mark.parametrize("missing", mnist.FILES)
@pytest.mark.parametrize("where", ["", "mnist"])
def test_minigan_data_with_some_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, where: str
) -> None:
    put(tmp_path / "cache/minigan/mnist", TINY)
    folder = put(tmp_path / "data" / where, {f: raw for f, raw in TINY.items() if f != missing})
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "data"))
    for call in (data.load_mnist, data.info, data.verify):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert str(caught.value) == (
            f"{folder} lacks {missing}. Add what is missing, or unset MINIGAN_DATA."
        )


def test_minigan_data_with_another_sets_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cache/minigan/mnist", TINY)
    put(tmp_path / "data", OTHER)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "data"))
    digest = hashlib.sha256(OTHER[TRAIN_IMAGES]).hexdigest()
    with pytest.raises(ValueError, match=f"idx3-ubyte.gz: found SHA-256 {digest}, .* unset MINI"):
        data.load_mnist()
    assert "altered or another data set's" in data.info()[0].problem


def test_structure_is_reported_before_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "data", TINY, gz=False)
    monkeypatch.setenv("MINIGAN_DATA", str(folder))
    (folder / TEST_LABELS).write_bytes(TINY[TEST_LABELS][:-1])
    with pytest.raises(ValueError, match=f"{TEST_LABELS}: found 10 bytes, expected 11 .*truncated"):
        data.load_mnist("test")
    (folder / TEST_LABELS).write_bytes(TINY[TEST_LABELS][:-1] + b"\x7f")
    with pytest.raises(ValueError, match=f"{TEST_LABELS}: found SHA-256 .*structure is right"):
        data.load_mnist("test")


def test_minigan_data_without_the_set_says_so_and_looks_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    put(tmp_path / "cache/minigan/mnist", TINY)
    put(tmp_path / "data/fashion-mnist", TINY)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "data"))
    for split in mnist.SPLITS:
        assert same(data.load_mnist(split), TINY, split)
    assert {entry.kind for entry in data.info()} == {"cache"}
    expected = f"minigan: there is no mnist in MINIGAN_DATA ({tmp_path}/data), looking elsewhere\n"
    assert capsys.readouterr().err == expected


# The cache and the download


def test_cache_is_used_without_a_word(tmp_path: Path, capsys: Any) -> None:
    put(tmp_path / "cache/minigan/mnist", TINY)
    assert same(data.load_mnist("train"), TINY, "train")
    assert capsys.readouterr().err == ""


def test_damaged_cache_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "cache/minigan/mnist", TINY | {TRAIN_LABELS: b"nothing"})
    with pytest.raises(ValueError, match="found 7 bytes, .* Delete it: it is downloaded again"):
        data.load_mnist("train")


def test_fallback_is_the_embedded_subset_said_once(capsys: Any) -> None:
    images, labels = data.load_mnist("train")
    assert images.shape == (10_000, 1, 28, 28)
    first = capsys.readouterr().err.splitlines()
    assert [line.split(" to ")[0] for line in first] == [
        "minigan: downloading mnist",
        "minigan: could not download mnist",
    ]
    assert "http://127.0.0.1:9/: cannot connect (ConnectionError)" in first[1]
    assert "Using the embedded subset: 10,000 training and 2,000 test digits." in first[1]
    assert "`minigan data fetch`" in first[1] and "MINIGAN_DATA" in first[1]
    assert data.load_mnist("test")[0].shape == (2_000, 1, 28, 28)
    assert data.load_mnist("train")[1].tobytes() == labels.tobytes()
    assert capsys.readouterr().err == ""


def test_a_failed_download_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data.load_mnist("train")
    monkeypatch.setattr(mnist, "fetch", lambda name: pytest.fail("tried again"))
    data.load_mnist("test")


def test_nothing_on_this_machine(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(FileNotFoundError, match="mnist is not on this machine. .* data fetch"):
        data.verify()
    entries = data.info()  # what load reads, unless it can download
    assert [entry.file for entry in entries] == list(mnist.FILES)
    assert all(entry.ok and entry.kind == "embedded" for entry in entries)
    told = capsys.readouterr().err
    assert told.startswith("minigan: mnist is not on this machine.") and told.count("\n") == 1
    for part in (str(tmp_path / "cache"), "embedded subset", "10,000 training", "data fetch"):
        assert part in told
    assert data.info("fashion-mnist") == []
    told = capsys.readouterr().err
    assert told.startswith("minigan: fashion-mnist is not on this") and "embedded" not in told
    with pytest.raises(
        ConnectionError, match="could not download mnist to .*: http://127.0.0.1:9/"
    ):
        data.fetch()


class Server(ThreadingHTTPServer):
    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(SimpleHTTPRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self.server.asked.append(f"{self.command} {self.path}")  # type: ignore[attr-defined]

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Server]]:
    """Two mirrors of MNIST, serving the empty folders `first` and `second`."""
    running = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        server = Server(tmp_path / name)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
    monkeypatch.setitem(mnist.MIRRORS, "mnist", tuple(server.url for server in running))
    yield running
    for server in running:
        server.shutdown()
        server.server_close()


def test_download_fills_the_cache(servers: list[Server], tmp_path: Path, capsys: Any) -> None:
    put(tmp_path / "first", TINY)
    for split in mnist.SPLITS:
        assert same(data.load_mnist(split), TINY, split)
    expected = [f"{verb} /{file}.gz" for file in mnist.FILES for verb in ("HEAD", "GET")]
    assert servers[0].asked == expected and servers[1].asked == []
    folder = tmp_path / "cache/minigan/mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f + ".gz" for f in mnist.FILES)
    assert {entry.kind for entry in data.info()} == {"cache"}
    err = capsys.readouterr().err
    assert err.startswith(f"minigan: downloading mnist to {folder}\n")
    assert "100%" in err and "embedded" not in err
    assert data.fetch() == folder and servers[0].asked == expected
    assert capsys.readouterr().err == (
        "minigan: mnist is in the cache already, and intact: nothing is downloaded\n"
    )


@pytest.mark.parametrize("fault", ["absent", "html", "cut", "other content"])
def test_second_mirror_takes_over(servers: list[Server], tmp_path: Path, fault: str) -> None:
    put(tmp_path / "second", TINY)
    broken = put(tmp_path / "first", TINY) / (TEST_IMAGES + ".gz")
    if fault == "absent":
        broken.unlink()
    elif fault == "html":
        broken.write_text("<html>please log in</html>")
    elif fault == "cut":
        broken.write_bytes(broken.read_bytes()[:-9])
    else:
        broken.write_bytes(gzip.compress(OTHER[TEST_IMAGES]))
    assert same(data.load_mnist("test"), TINY, "test")
    assert [line for line in servers[1].asked if line.startswith("GET")] == [
        f"GET /{TEST_IMAGES}.gz",
        f"GET /{TEST_LABELS}.gz",
    ]


def test_fetch_mends_a_damaged_cache(servers: list[Server], tmp_path: Path) -> None:
    put(tmp_path / "first", TINY)
    folder = put(tmp_path / "cache/minigan/mnist", TINY, gz=False)
    (folder / TEST_LABELS).write_bytes(b"damaged")
    (folder / TRAIN_LABELS).unlink()
    data.fetch()
    assert [line for line in servers[0].asked if line.startswith("GET")] == [
        f"GET /{TRAIN_LABELS}.gz",
        f"GET /{TEST_LABELS}.gz",
    ]
    for split in mnist.SPLITS:
        assert same(data.load_mnist(split), TINY, split)


def test_a_failed_download_leaves_nothing_half_done(servers: list[Server], tmp_path: Path) -> None:
    put(tmp_path / "first", TINY | {TRAIN_IMAGES: OTHER[TRAIN_IMAGES]})
    with pytest.raises(ConnectionError) as caught:
        data.fetch()
    assert f"{servers[0].url}: found SHA-256" in str(caught.value)
    assert f"{servers[1].url}: no such file" in str(caught.value)
    assert list((tmp_path / "cache/minigan/mnist").iterdir()) == []


def test_full_disk_keeps_what_was_there(
    servers: list[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "first", TINY)

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as file:
            file.write(content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConnectionError, match="No space left on device"):
        data.fetch()
    assert list((tmp_path / "cache/minigan/mnist").iterdir()) == []


@pytest.mark.usefixtures("servers")
def test_fallback_where_the_cache_cannot_be_made(tmp_path: Path, capsys: Any) -> None:
    put(tmp_path / "first", TINY)
    (tmp_path / "cache").write_text("in the way")
    assert len(data.load_mnist()[0]) == 10_000
    assert "Not a directory" in capsys.readouterr().err


def test_a_mirror_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def never(*arguments: Any, **options: Any) -> bool:
        return released.wait(30)

    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    monkeypatch.setattr(download.pooch.HTTPDownloader, "__call__", never)
    try:
        with pytest.raises(ConnectionError, match="no answer within 0.05 seconds"):
            data.fetch()
    finally:
        released.set()


# Fashion-MNIST


def test_fashion_mnist_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {
        "cache": tmp_path / "cache/minigan/fashion-mnist",
        "Debian package": tmp_path / "debian",
        "MINIGAN_DATA": tmp_path / "data/fashion-mnist",
    }
    put(tmp_path / "data", OTHER)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "data"))
    for kind, folder in places.items():  # each goes before the ones already there
        put(folder, TINY)
        assert data.verify("fashion-mnist").kind == kind
        assert same(data.load("fashion-mnist", "test"), TINY, "test")


def test_fashion_mnist_has_no_fallback() -> None:
    for _ in range(2):
        with pytest.raises(FileNotFoundError) as caught:
            data.load("fashion-mnist")
        for part in ("could not download", "dataset-fashion-mnist", "MINIGAN_DATA"):
            assert part in str(caught.value)


# The embedded subset


def test_embedded_subset() -> None:
    for split, n in (("train", 10_000), ("test", 2_000)):
        images, labels = data.load("mnist-mini", split)
        assert images.dtype == labels.dtype == np.uint8
        assert images.shape == (n, 1, 28, 28) and labels.shape == (n,)
        assert np.bincount(labels).tolist() == [n // 10] * 10
        assert 0.12 < images.mean() / 255 < 0.14  # MNIST's mean is 0.1307
    assert data.verify("mnist-mini").kind == "embedded"


def test_embedded_subset_is_documented_and_reproducible() -> None:
    folder = Path(str(data.verify("mnist-mini").folder))
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for entry in data.info("mnist-mini"):
        assert f"| {entry.file} | {entry.bytes:,} | {entry.sha256} |" in readme
    assert "CC BY-SA 3.0" in readme and "Burges" in readme
    for file in mnist.FILES:
        header = (folder / (file + ".gz")).read_bytes()[:8]
        assert header[3] == 0 and header[4:8] == bytes(4)  # neither a name nor a time
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_100_000


def test_maker_encodes_what_the_reader_reads() -> None:
    labels = np.array([3, 0, 3, 0, 1, 3], np.uint8)
    assert make_mini.select(labels, 2).tolist() == [0, 1, 2, 3, 4]
    assert decode(gunzip(make_mini.encode(labels)), ()).tolist() == labels.tolist()


def test_maker_refuses_anything_but_all_of_mnist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train: found 10000 digits, expected 60000"):
        make_mini.make(tmp_path / "out")


def test_maker_reproduces_the_committed_files(genuine: None, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "tools.make_mini", str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(data.__file__).parents[2])
    folder = Path(str(data.verify("mnist-mini").folder))
    for file in mnist.FILES:
        made, committed = ((f / (file + ".gz")).read_bytes() for f in (tmp_path, folder))
        # Not the compressed bytes: they are another zlib's own affair.
        assert zlib.decompress(made, 31) == zlib.decompress(committed, 31)
    text = (folder / "indices.json").read_text(encoding="utf-8")
    assert (tmp_path / "indices.json").read_text(encoding="utf-8") == text
    for split, indices in json.loads(text).items():
        (images, labels), (mini_images, mini_labels) = (
            data.load_mnist(split),
            data.load("mnist-mini", split),
        )
        assert (images[indices] == mini_images).all() and (labels[indices] == mini_labels).all()


# The real thing


def test_real_mnist(genuine: None) -> None:
    for split, n, zeros in (("train", 60_000, 5_923), ("test", 10_000, 980)):
        images, labels = data.load_mnist(split)
        assert images.shape == (n, 1, 28, 28) and labels.shape == (n,)
        assert images.dtype == labels.dtype == np.uint8
        assert (labels == 0).sum() == zeros and labels.max() == 9
        assert data.fingerprint(images, labels) == FINGERPRINTS[split]
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]


FINGERPRINTS = {
    "train": "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}


def test_real_fashion_mnist(genuine: None) -> None:
    if not Path(str(MINIGAN_DATA), "fashion-mnist").is_dir():
        pytest.skip("MINIGAN_DATA has no fashion-mnist/")
    assert len(data.load("fashion-mnist")[0]) == 60_000
    assert data.verify("fashion-mnist").kind == "MINIGAN_DATA"


def test_fingerprint_tells_contents_apart() -> None:
    images, labels = np.zeros((2, 1, 28, 28), np.uint8), np.array([1, 2], np.uint8)
    once = data.fingerprint(images, labels)
    assert once == hashlib.sha256(images.tobytes() + b"\1\2").hexdigest()
    assert once == data.fingerprint(np.asfortranarray(images), labels)
    assert once == data.fingerprint(images[:, 0], labels)  # with or without the axis of channels
    assert once != data.fingerprint(images, labels[::-1])


def test_fingerprint_tells_shapes_apart() -> None:
    """The same bytes, as pictures of other sizes, and with and without labels."""
    content, labels = np.arange(1570, dtype=np.uint8), np.array([1, 2], np.uint8)
    found = [data.fingerprint(content[:1568].reshape(2, 1, 28, 28), labels)]
    for shape in ((2, 1, 14, 56), (2, 1, 56, 14), (1, 1, 28, 56), (8, 1, 14, 14)):
        found.append(data.fingerprint(content[:1568].reshape(shape), labels))
    found.append(data.fingerprint(content[:1568].reshape(2, 1, 28, 28), None))
    for shape in ((2, 1, 157, 5), (1, 1, 157, 10)):
        found.append(data.fingerprint(content.reshape(shape), None))
    colour = content[:1536].reshape(2, 3, 16, 16)
    found += [data.fingerprint(colour, labels), data.fingerprint(colour.reshape(6, 16, 16), labels)]
    assert len(set(found)) == len(found)
