"""Layer 5: folders of PNGs as a data set, read strictly and to the pixel.

A folder holds PNGs of one size, all grey or all in colour, or else a folder of such PNGs for each
class. A folder with just the two folders ``train`` and ``test`` holds two of these. Pictures and
classes come in the order of their names. Hidden files are ignored, and files that are no PNGs with
a line on stderr.

The PNG format (ISO/IEC 15948): eight fixed bytes, then the chunk IHDR, which holds width and height
(32 bits each), bits per sample and colour type (8 bits each), then other chunks. Samples are read
as they are stored, fewer than 8 bits scaled to 0 … 255; gamma and colour profiles are ignored.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from importlib.resources.abc import Traversable

import numpy
from PIL import Image, UnidentifiedImageError

from minigan.console import say_once
from minigan.data.images import Bytes
from minigan.data.source import DamagedDataError, FileInfo

#: How every PNG begins.
START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
#: What the colour types are called that are not read.
REFUSED = {3: "a palette", 4: "grey with transparency", 6: "colour with transparency"}


def holds_pngs(folder: Traversable) -> bool:
    """Whether there are PNGs in a folder, in its folders, or in the folders within these."""
    level = [folder]
    for _ in range(3):
        found = [_entries(path) for path in level]
        if any(pngs for pngs, _, _ in found):
            return True
        level = [path for _, folders, _ in found for path in folders]
    return False


def load(folder: Traversable, split: str) -> tuple[Bytes, Bytes | None]:
    """Pictures, uint8 (N, C, H, W), and labels, uint8 (N,), or None where there are no classes.

    Raises:
        DamagedDataError: a file is no whole PNG.
        ValueError: a picture is of another kind or size than the first, a picture is of a kind
            that is not read, or the folders do not tell which picture belongs to which class.
    """
    splits = _splits(folder)
    if split not in splits:
        raise ValueError(
            f"{folder} has no {split} pictures: expected just two folders in it, train and test. "
            "Move what is in it into folders of these names"
        )
    classes = {name: _classes(path) for name, path in splits.items()}
    names = {name: list(found) for name, found in classes.items()}
    if any(found != names[split] for found in names.values()):
        raise ValueError(
            f"{folder}: found the classes {names['train']} in train but {names['test']} in test, "
            "expected the same in both: a class's label is its place among the names"
        )
    paths = [path for pngs in classes[split].values() for path in pngs]
    first = read(paths[0])
    images = numpy.empty((len(paths), *first.shape), numpy.uint8)
    for i, path in enumerate(paths):
        picture = read(path)
        if picture.shape != first.shape:
            raise ValueError(
                f"{path}: found {_kind(picture)}, expected {_kind(first)} as {paths[0]} is. "
                "The pictures of a data set have one size, and all are grey or all in colour: "
                "convert it or remove it"
            )
        images[i] = picture
    if names[split] == [""]:
        return images, None
    sizes = [len(pngs) for pngs in classes[split].values()]
    return images, numpy.repeat(numpy.arange(len(sizes), dtype=numpy.uint8), sizes)


def verify(folder: Traversable) -> None:
    """Read all pictures; raises as :func:`load` does."""
    for split in _splits(folder):
        load(folder, split)


def describe(folder: Traversable) -> list[FileInfo]:
    """What :func:`load` would read: one entry for the folder, or one for train and one for test."""
    found = []
    for split, path in _splits(folder).items():
        name, size, sha256, problem = "PNGs", None, None, ""
        try:
            images, labels = load(folder, split)
            classes = 0 if labels is None else int(labels[-1]) + 1
            name = f"{len(images):,} PNGs, {_kind(images[0])}, classes: {classes or 'none'}"
            size, sha256 = images.nbytes, hashlib.sha256(images.tobytes()).hexdigest()
        except (OSError, ValueError) as error:
            problem = str(error)
        found.append(FileInfo(name, "folder of PNGs", str(path), size, sha256, problem))
    return found


# --- One file -------------------------------------------------------------------------------------


def read(path: Traversable) -> Bytes:
    """The samples of a PNG, uint8 (C, H, W); raises as :func:`load` does, and OSError."""
    content = path.read_bytes()
    try:
        image = decode(path, content)
    except DamagedDataError as error:
        raise DamagedDataError(f"{error}. Replace it with an intact copy or remove it") from error
    bits, colour_type = content[24:26]
    refused = REFUSED.get(colour_type)
    if not refused and "transparency" in image.info:
        refused = "a colour that stands for transparency"
    if not refused and bits == 16:
        refused = "16 bits a sample"
    if refused:
        raise ValueError(
            f"{path}: found {refused}, expected plain grey or RGB of at most 8 bits a sample. "
            "Convert it (in Pillow: image.convert('L') or image.convert('RGB')) or remove it"
        )
    pixels = numpy.asarray(image.convert("L") if image.mode == "1" else image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode(path: Traversable, content: bytes) -> Image.Image:
    """The picture in a PNG's bytes, its checksums checked; DamagedDataError if it has none."""
    if not content.startswith(START):
        found = f"a file that begins with {content[:8]!r}"
        if content.startswith(b"\xff\xd8\xff"):
            found = "a JPEG"
        elif START.startswith(content):
            found = f"{len(content)} bytes"
        raise DamagedDataError(f"{path}: damaged (found {found}, expected a PNG)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of a picture far too large to be one
            Image.open(io.BytesIO(content), formats=["PNG"]).verify()
            image = Image.open(io.BytesIO(content), formats=["PNG"])
            image.load()
    except UnidentifiedImageError as error:  # its words name a place in memory
        raise DamagedDataError(f"{path}: damaged (its header is no PNG's)") from error
    except Exception as error:  # Pillow raises whatever its reader happens to run into
        raise DamagedDataError(f"{path}: damaged ({error})") from error
    return image


def _kind(picture: Bytes) -> str:
    c, h, w = picture.shape
    return f"{w} wide, {h} high, {'grey' if c == 1 else 'in colour'}"


# --- What lies where ------------------------------------------------------------------------------


def _splits(folder: Traversable) -> dict[str, Traversable]:
    """The folder as "train", or its folders "train" and "test" if it has just these, no PNG."""
    pngs, folders, _ = _entries(folder)
    if not pngs and [path.name for path in folders] == ["test", "train"]:
        return {"train": folder / "train", "test": folder / "test"}
    return {"train": folder}


def _classes(folder: Traversable) -> dict[str, list[Traversable]]:
    """The PNGs of each class by its name, in order; if there are no classes, all under ""."""
    pngs, folders, others = _entries(folder)
    if pngs and folders:
        raise ValueError(
            f"{folder} holds PNGs ({pngs[0].name}) and folders ({folders[0].name}), expected PNGs "
            "alone or a folder for each class. Move one kind elsewhere"
        )
    if len(folders) > 256:
        raise ValueError(f"{folder}: found {len(folders)} folders, expected at most 256 classes")
    classes = {"": pngs}
    if folders:
        classes = {}
        for path in folders:
            pngs, deeper, ignored = _entries(path)
            others += ignored
            if deeper or not pngs:
                found = f"a folder ({deeper[0].name})" if deeper else "no PNG"
                raise ValueError(
                    f"{path}: found {found} in it, expected the PNGs of one class. "
                    "Move it or what is in it elsewhere"
                )
            classes[path.name] = pngs
    if others:
        say_once(
            f"{folder}: files that are no PNGs are ignored: {len(others)}, {others[0].name} first"
        )
    return classes


def _entries(folder: Traversable) -> tuple[list[Traversable], list[Traversable], list[Traversable]]:
    """The PNGs, folders and other files in a folder, each in the order of names, none hidden."""
    pngs: list[Traversable] = []
    folders: list[Traversable] = []
    others: list[Traversable] = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            folders.append(path)
        elif path.name.lower().endswith(".png"):
            pngs.append(path)
        else:
            others.append(path)
    return pngs, folders, others
