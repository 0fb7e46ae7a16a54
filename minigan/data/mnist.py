"""Layer 5: MNIST and Fashion-MNIST: where their files are looked for, how they are checked.

A data set is four IDX files: images (N, 28, 28) and labels (N,), for training and for testing.
They may be gzipped, so what identifies one is the SHA-256 of its decompressed bytes. All four
come from one place, and a damaged file is an error, never a reason to look further. A folder of
the user's own may hold PNGs in their place, which :mod:`minigan.data.png` reads.
"""

from __future__ import annotations

import hashlib
import os
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from textwrap import shorten
from typing import Any

from numpy.typing import NDArray

from minigan.console import say_once
from minigan.data import png
from minigan.data.download import download, pooch
from minigan.data.idx import decode, gunzip
from minigan.data.images import Bytes, as_images
from minigan.data.source import DamagedDataError, FileInfo, Source

SPLITS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
FILES = SPLITS["train"] + SPLITS["test"]
SHA256 = {
    "mnist": {
        FILES[0]: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        FILES[1]: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        FILES[2]: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        FILES[3]: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "mnist-mini": {
        FILES[0]: "96448e792027ae8c3d693bf7f6685beb422442276734ffe24b7860a3581dcb08",
        FILES[1]: "dfa6309ccbfc44ab3df730fa9d1b133e2baeb0fe7db8e4bbdcd05d3e5bd811ea",
        FILES[2]: "780e99a56e963f3affe4791a03545a6ddbdc0904dd880c7f3c50753282177303",
        FILES[3]: "b547e409b08f1d55c77b7f0964dfb27202f97c41c014d9427a3acecfcf6a7129",
    },
    "fashion-mnist": {
        FILES[0]: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        FILES[1]: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        FILES[2]: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        FILES[3]: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
#: The data sets that have a name.
NAMES = tuple(SHA256)
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
EMBEDDED = "10,000 training and 2,000 test digits"
PNGS = "folder of PNGs"
#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

_embedded_instead = False  # once MNIST could not be downloaded, this process does not try again


def load_mnist(split: str = "train") -> tuple[Bytes, Bytes]:
    """MNIST's images, uint8 (N, 1, 28, 28), and labels, uint8 (N,): 60,000, for "test" 10,000.

    The folder that MINIGAN_DATA names comes first, then the cache, then a download. If all three
    fail, an embedded subset of 10,000 and 2,000 digits is used, with a line on stderr.
    """
    _check_split(split)
    return _read_split(_locate("mnist") or _download_or_embedded("mnist"), split)


def load(name: str | os.PathLike[str], split: str = "train") -> tuple[Bytes, Bytes | None]:
    """Images, uint8 (N, C, H, W), and labels, uint8 (N,), of a data set by its name or its folder.

    Names are "mnist", "mnist-mini" (the embedded subset) and "fashion-mnist". A folder holds four
    IDX files, or PNGs of one size, all together or in a folder for each class. Without classes the
    labels are None: see :mod:`minigan.data.png`.

    Raises ValueError for an unknown name or split and for damaged or altered files, and
    FileNotFoundError for missing ones.
    """
    _check_split(split)
    source = _locate(name) or _download_or_embedded(str(name))
    if source.kind == PNGS:
        return png.load(source.folder, split)
    return _read_split(source, split)


def hold_out(images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """All images but the last sixth, and the last sixth: of MNIST, 50,000 and 10,000 images.

    In the code of Goodfellow et al. 2014 a GAN is trained on the former, and the first 1,000 of the
    latter choose the width of its Parzen window.
    """
    start = len(images) * 5 // 6
    return images[:start], images[start:]


def fingerprint(images: NDArray[Any], labels: NDArray[Any] | None) -> str:
    """SHA-256 of the images' bytes followed by the labels', for the record of a run.

    The images' shape stands before them, unless they are labelled, grey and 28×28, because the same
    bytes can be pictures of many shapes.
    """
    images = as_images(images)
    known = images.shape[1:] == (1, 28, 28) and labels is not None
    head = b"" if known else f"{images.shape}".encode()
    tail = b"" if labels is None else labels.tobytes()
    return hashlib.sha256(head + images.tobytes() + tail).hexdigest()


def info(name: str | os.PathLike[str] = "mnist") -> list[FileInfo]:
    """The files that :func:`load` would read, without a download, and what is wrong with each.

    Where the data set is not on this machine, a line on stderr says so. MNIST's files are then
    those of the embedded subset, Fashion-MNIST has none. Raises FileNotFoundError if only some of
    the files are there.
    """
    source = _locate(name)
    if source is None:
        say_once(_absent(str(name)))
        source = _embedded() if name == "mnist" else None
    if source and source.kind == PNGS:
        return png.describe(source.folder)
    return [_describe(source, file) for file in FILES] if source else []


def verify(name: str | os.PathLike[str] = "mnist") -> Source:
    """Read and check all files, without a download; raises as :func:`load` does."""
    source = _locate(name)
    if source is None:
        raise FileNotFoundError(_absent(str(name)))
    if source.kind == PNGS:
        png.verify(source.folder)
    else:
        for split in SPLITS:
            _read_split(source, split)
    return source


def fetch(name: str = "mnist") -> Path:
    """Download what the cache lacks or holds damaged, and return the folder in the cache.

    Raises ConnectionError if no mirror delivers, ValueError for a name that has no mirrors.
    """
    if name not in MIRRORS:
        raise ValueError(f"cannot download {name!r}: choose from {', '.join(MIRRORS)}")
    folder, reasons = _cache_folder(name), []
    if all(_describe(_cache(name), file).ok for file in FILES):
        say_once(f"{name} is in the cache already, and intact: nothing is downloaded")
        return folder
    for mirror in MIRRORS[name]:
        try:
            for file, sha256 in SHA256[name].items():
                if not _describe(_cache(name), file).ok:
                    check = partial(_check_gzipped, file=file, sha256=sha256)
                    download(mirror + file + ".gz", folder / (file + ".gz"), check)
            return folder
        except (OSError, ValueError) as error:
            reasons.append(f"{mirror}: {shorten(str(error), 200)}")
    raise ConnectionError(f"could not download {name} to {folder}: {'; '.join(reasons)}")


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")


# --- Where the files are --------------------------------------------------------------------------


def _locate(name: str | os.PathLike[str]) -> Source | None:
    """The source of a name or a path; None for a known data set that is not on this machine."""
    if name == "mnist-mini":
        return _embedded()
    if name not in MIRRORS:
        return _own_folder(name)
    name, base = str(name), os.environ.get("MINIGAN_DATA")
    if base:
        if not Path(base).is_dir():
            advice = "Set it to a folder that holds the data, or unset it."
            raise FileNotFoundError(f"MINIGAN_DATA is {base!r}, which is no folder. {advice}")
        # All data sets use the same four names: files without a folder of their own are MNIST's.
        for folder in [Path(base, name), Path(base)] if name == "mnist" else [Path(base, name)]:
            if _holds_all(folder, "Add what is missing, or unset MINIGAN_DATA."):
                remedy = "Replace it with an intact copy, or unset MINIGAN_DATA."
                return Source("MINIGAN_DATA", folder, SHA256[name], remedy)
        say_once(f"there is no {name} in MINIGAN_DATA ({base}), looking elsewhere")
    if name == "fashion-mnist" and _holds_all(DEBIAN, "Reinstall dataset-fashion-mnist."):
        return Source("Debian package", DEBIAN, SHA256[name], "Reinstall dataset-fashion-mnist.")
    return _cache(name) if all(_path(_cache_folder(name), file) for file in FILES) else None


def _own_folder(name: str | os.PathLike[str]) -> Source:
    folder = Path(name)
    if not (os.fspath(name) and folder.is_dir()):  # "" would be the current folder
        names = ", ".join(NAMES)
        raise ValueError(
            f"no data set {os.fspath(name)!r}: choose from {names}, or name a folder that holds "
            "the four IDX files or the PNGs of one"
        )
    remedy = "It must hold the four IDX files of a data set, raw or as .gz."
    if not _holds_all(folder, remedy):
        if png.holds_pngs(folder):
            return Source(PNGS, folder, {}, "")
        raise FileNotFoundError(
            f"{folder} holds no PNGs and none of {', '.join(FILES)}. {remedy} "
            "They are not looked for in its folders: torchvision's are in MNIST/raw."
        )
    return Source("folder", folder, {}, "Replace it with an intact copy.")


def _absent(name: str) -> str:
    """Words for a data set that is not on this machine: what :func:`load` does, what helps."""
    instead = f", or else the embedded subset is used: {EMBEDDED}" if name == "mnist" else ""
    return (
        f"{name} is not on this machine. Where it is needed, it is downloaded to "
        f"{_cache_folder(name)}{instead}. {_advice(name)}"
    )


def _download_or_embedded(name: str) -> Source:
    global _embedded_instead
    if not _embedded_instead or name != "mnist":
        say_once(f"downloading {name} to {_cache_folder(name)}")
        try:
            fetch(name)
            return _cache(name)
        except OSError as error:
            if name != "mnist":
                raise FileNotFoundError(f"{error}. {_advice(name)}") from error
            _embedded_instead = True
            say_once(f"{error}. Using the embedded subset: {EMBEDDED}. {_advice(name)}")
    return _embedded()


def _advice(name: str) -> str:
    ways = {
        "mnist": "run `minigan data fetch` (with a network connection)",
        "fashion-mnist": "run `minigan data fetch fashion-mnist` (with a network connection), "
        "install Debian's dataset-fashion-mnist",
    }
    return (
        f"To have all of it, {ways[name]}, "
        f"or set MINIGAN_DATA to a folder with the four files in {name}/."
    )


def _cache_folder(name: str) -> Path:
    try:
        return Path(pooch.os_cache("minigan"), name)
    except RuntimeError as error:  # no HOME, and a user whom the system does not know
        raise FileNotFoundError(f"there is no folder to look for {name} in: {error}") from error


def _cache(name: str) -> Source:
    remedy = "Delete it: it is downloaded again when it is needed."
    return Source("cache", _cache_folder(name), SHA256[name], remedy)


def _embedded() -> Source:
    folder = files("minigan.data") / "mnist_mini"
    return Source("embedded", folder, SHA256["mnist-mini"], "Reinstall minigan.")


def _holds_all(folder: Path, remedy: str) -> bool:
    """Whether the four files are there; some but not all is an error."""
    missing = [file for file in FILES if _path(folder, file) is None]
    if 0 < len(missing) < len(FILES):
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}. {remedy}")
    return not missing


def _path(folder: Traversable, file: str) -> Traversable | None:
    """A data set's file in a folder, by its own name or by one that unpacking gives it.

    Those names are its own in letters of any case, "train-images.idx3-ubyte", which stands inside
    the .gz, and a folder of the file's name with the file in it, as on Kaggle.
    """
    # The .gz comes first, because a download puts it beside a raw file that is damaged.
    for path in (folder / (file + ".gz"), folder / file):
        if path.is_file():
            return path
    for path in _named(folder, file):
        for inner in (path, *_named(path, file)):
            if inner.is_file():
                return inner
    return None


def _named(folder: Traversable, file: str) -> list[Traversable]:
    """What has a name like ``file`` in a folder, files before folders; nothing without a folder."""

    def plain(path: Traversable) -> str:
        return path.name.lower().removesuffix(".gz").replace(".", "-")

    found = [p for p in folder.iterdir() if plain(p) == file] if folder.is_dir() else []
    return sorted(found, key=lambda p: (p.is_dir(), p.name))


# --- What is in them ------------------------------------------------------------------------------


def _content(source: Source, file: str) -> bytes:
    """The decompressed bytes of a file."""
    path = _path(source.folder, file)
    if path is None:
        raise FileNotFoundError(f"{source.folder} lacks {file}. {source.remedy}")
    content = path.read_bytes()
    gzipped = path.name.lower().endswith(".gz") or content.startswith(b"\x1f\x8b")
    return gunzip(content) if gzipped else content


def _check(raw: bytes, file: str, sha256: str | None) -> Bytes:
    """The array in a file's bytes; its structure is checked first, then the SHA-256."""
    array = decode(raw, (28, 28) if "images" in file else ())
    digest = hashlib.sha256(raw).hexdigest()
    if sha256 and digest != sha256:
        raise ValueError(
            f"found SHA-256 {digest}, expected {sha256}: "
            "the structure is right, but the content is altered or another data set's"
        )
    return array


def _check_gzipped(content: bytes, file: str, sha256: str) -> None:
    _check(gunzip(content), file, sha256)


def _read_split(source: Source, split: str) -> tuple[Bytes, Bytes]:
    arrays = []
    for file in SPLITS[split]:
        try:
            arrays.append(_check(_content(source, file), file, source.sha256.get(file)))
        except ValueError as error:
            where = _path(source.folder, file)
            raise DamagedDataError(f"{where}: {error}. {source.remedy}") from error
    images, labels = arrays
    if len(images) != len(labels):
        raise DamagedDataError(
            f"{source.folder}: found {len(images)} images in {SPLITS[split][0]} but {len(labels)} "
            f"labels in {SPLITS[split][1]}, expected as many. {source.remedy}"
        )
    return images[:, None], labels


def _describe(source: Source, file: str) -> FileInfo:
    raw, problem = None, ""
    try:
        raw = _content(source, file)
        _check(raw, file, source.sha256.get(file))
    except (OSError, ValueError) as error:
        problem = str(error)
    size, sha256 = (None, None) if raw is None else (len(raw), hashlib.sha256(raw).hexdigest())
    return FileInfo(file, source.kind, str(_path(source.folder, file)), size, sha256, problem)
