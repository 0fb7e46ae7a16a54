"""Folders of PNGs: to the pixel, in the order of names, and a line for all that can be wrong."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minigan import data
from minigan.console import say_once
from minigan.data import png

pytestmark = pytest.mark.on_the_host("reads files, touches no array library")


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    say_once.cache_clear()


def pictures(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def write(path: Path, picture: np.ndarray) -> Path:
    """A picture (C, H, W) as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)).save(
        path, "PNG"
    )
    return path


def fill(folder: Path, images: np.ndarray) -> Path:
    for i, picture in enumerate(images):
        write(folder / f"{i:03}.png", picture)
    return folder


def by_hand(pixels: bytes, width: int, bits: int, colour_type: int, *more: bytes) -> bytes:
    """A PNG of one row, whose bytes are given; ``more`` are chunks before the pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    header = struct.pack(">2I5B", width, 1, bits, colour_type, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *(chunk(m[:4], m[4:]) for m in more)]
    chunks += [chunk(b"IDAT", zlib.compress(b"\0" + pixels)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# What is read


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 5, 7), (3, 1, 1), (3, 65, 30)])
def test_pngs_without_classes(shape: tuple[int, ...], tmp_path: Path, capsys: Any) -> None:
    images = pictures(12, *shape)
    got, labels = data.load(fill(tmp_path, images))
    assert labels is None
    assert got.dtype == np.uint8 and got.shape == images.shape and (got == images).all()
    assert got.flags.writeable and got.flags.c_contiguous
    assert data.verify(tmp_path).kind == "folder of PNGs"
    assert capsys.readouterr().err == ""


def test_the_order_is_that_of_the_names_and_PNG_may_be_capital(tmp_path: Path) -> None:
    images = pictures(4, 1, 3, 3)
    for name, picture in zip(("b.png", "10.PNG", "9.png", "a.Png"), images, strict=True):
        write(tmp_path / name, picture)
    assert (data.load(str(tmp_path))[0] == images[[1, 2, 3, 0]]).all()


def test_each_folder_is_a_class(tmp_path: Path) -> None:
    images = pictures(6, 3, 4, 5)
    for name, picture in zip(("dog", "cat", "dog", "emu", "cat", "cat"), images, strict=True):
        write(tmp_path / name / f"{len(list(tmp_path.rglob('*')))}.png", picture)
    got, labels = data.load(tmp_path)
    assert labels is not None and labels.dtype == np.uint8
    assert labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert (got == images[[1, 4, 5, 0, 2, 3]]).all()
    data.fingerprint(got, labels)


@pytest.mark.parametrize("classes", [("",), ("a", "b")])
def test_train_and_test_are_two_sets(classes: tuple[str, ...], tmp_path: Path) -> None:
    train, test = pictures(2, 1, 3, 3), pictures(2, 1, 3, 3, seed=1)
    for name in classes:
        fill(tmp_path / "train" / name, train)
        fill(tmp_path / "test" / name, test[:1])
    (tmp_path / ".hidden").mkdir()
    for split, images in (("train", train), ("test", test[:1])):
        got, labels = data.load(tmp_path, split)
        assert (got == np.concatenate([images] * len(classes))).all()
        assert (labels is None) == (classes == ("",))
    entries = data.info(tmp_path)
    assert [Path(entry.path).name for entry in entries] == ["train", "test"]
    assert all(entry.ok for entry in entries)
    data.verify(tmp_path)


def test_samples_are_read_as_they_are_stored(tmp_path: Path) -> None:
    """Fewer bits than 8 run from 0 to 255 too; gamma and colour profiles change nothing."""
    gamma = b"gAMA" + struct.pack(">I", 100_000)
    cases = [
        (by_hand(b"\xb4", 8, 1, 0), [255, 0, 255, 255, 0, 255, 0, 0]),
        (by_hand(b"\x1b", 4, 2, 0), [0, 85, 170, 255]),
        (by_hand(b"\x0f\x81", 4, 4, 0), [0, 255, 136, 17]),
        (by_hand(b"\x07\x80", 2, 8, 0, gamma), [7, 128]),
        (by_hand(b"\x07\x80\x01", 1, 8, 2, gamma, b"sRGB\0"), [7, 128, 1]),
    ]
    for content, expected in cases:
        (tmp_path / "a.png").write_bytes(content)
        assert data.load(tmp_path)[0].ravel().tolist() == expected


def test_what_is_said_of_a_folder(tmp_path: Path) -> None:
    images = pictures(3, 3, 4, 5)
    fill(tmp_path / "a", images[:1])
    fill(tmp_path / "b", images[1:])
    (entry,) = data.info(tmp_path)
    assert entry.file == "3 PNGs, 5 wide, 4 high, in colour, classes: 2"
    assert (entry.kind, entry.path, entry.bytes) == ("folder of PNGs", str(tmp_path), 180)
    other = data.info(fill(tmp_path / "a", images[1:2]).parent)[0]
    assert other.ok and other.sha256 != entry.sha256
    (tmp_path / "b" / "001.png").write_bytes(b"")
    (entry,) = data.info(tmp_path)
    assert not entry.ok and "b/001.png: damaged" in entry.problem and entry.sha256 is None


def test_other_files_are_ignored_with_a_line(tmp_path: Path, capsys: Any) -> None:
    images = pictures(2, 1, 3, 3)
    fill(tmp_path, images)
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "._000.png").write_bytes(b"hidden")
    assert len(data.load(tmp_path)[0]) == 2 and capsys.readouterr().err == ""
    (tmp_path / "readme.txt").write_text("who drew them")
    (tmp_path / "x.jpg").write_text("")
    assert (data.load(tmp_path)[0] == images).all()
    expected = f"minigan: {tmp_path}: files that are no PNGs are ignored: 2, readme.txt first\n"
    assert capsys.readouterr().err == expected


def test_idx_files_come_before_pngs(tmp_path: Path) -> None:
    fill(tmp_path, pictures(2, 1, 3, 3))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="lacks train-labels"):
        data.load(tmp_path)


# What is refused

GREY, COLOUR = pictures(1, 1, 4, 4)[0], pictures(1, 3, 4, 4)[0]
ODD: dict[str, tuple[bytes, str]] = {
    "a palette": (by_hand(b"\0", 1, 8, 3, b"PLTE\1\2\3"), "found a palette, expected plain"),
    "grey and alpha": (by_hand(b"\0\0", 1, 8, 4), "found grey with transparency"),
    "colour and alpha": (by_hand(bytes(4), 1, 8, 6), "found colour with transparency"),
    "one transparent grey": (by_hand(b"\0", 1, 8, 0, b"tRNS\0\0"), "found a colour that stands"),
    "one transparent colour": (
        by_hand(bytes(3), 1, 8, 2, b"tRNS" + bytes(6)),
        "found a colour that st",
    ),
    "16 bits of grey": (by_hand(b"\0\0", 1, 16, 0), "found 16 bits a sample, .* of at most 8"),
    "16 bits of colour": (by_hand(bytes(6), 1, 16, 2), "found 16 bits a sample"),
}
NO_PNG: dict[str, tuple[bytes, str]] = {
    "a JPEG": (b"\xff\xd8\xff\xe0..", r"damaged \(found a JPEG, expected a PNG\)"),
    "a GIF": (
        b"GIF89a....",
        r"damaged \(found a file that begins with b'GIF89a\.\.', expected a PNG",
    ),
    "nothing": (b"", r"damaged \(found 0 bytes, expected a PNG"),
    "no header": (b"\x89PNG\r\n\x1a\n", r"damaged \(found 8 bytes, expected a PNG"),
    "a header that is damaged": (
        by_hand(b"\0", 1, 8, 0)[:16] + b"\1" * 60,
        r"damaged \(its header is no PNG's\)",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_other_kinds_of_png_are_refused(name: str, tmp_path: Path) -> None:
    content, part = ODD[name]
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(ValueError, match=f"odd.png: {part}") as caught:
        data.load(tmp_path)
    assert not isinstance(caught.value, data.DamagedDataError)
    assert str(caught.value).endswith("image.convert('RGB')) or remove it")


@pytest.mark.parametrize("name", NO_PNG)
def test_what_is_no_png_is_refused(name: str, tmp_path: Path) -> None:
    content, part = NO_PNG[name]
    write(tmp_path / "a.png", GREY)
    (tmp_path / "b.png").write_bytes(content)
    for call in (data.load, data.verify):
        with pytest.raises(data.DamagedDataError, match=f"b.png: {part}"):
            call(tmp_path)


@pytest.mark.parametrize("picture", [GREY, COLOUR])
def test_every_truncation_and_every_byte_flip_is_refused_or_harmless(
    picture: np.ndarray, tmp_path: Path
) -> None:
    """Harmless it is in the last twelve bytes alone, the chunk that says that this was all."""
    path = write(tmp_path / "a.png", picture)
    whole = path.read_bytes()
    damaged = [(length, whole[:length]) for length in range(len(whole))]
    for place in range(len(whole)):
        damaged.append((place, whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :]))
    for place, content in damaged:
        path.write_bytes(content)
        try:
            images, _ = data.load(tmp_path)
        except data.DamagedDataError as error:
            fault = r".*a\.png: damaged \([^\n]*\). Replace it with an intact copy or remove it"
            assert re.fullmatch(fault, str(error))
            assert "0x" not in str(error)  # no place in memory
        else:
            assert place >= len(whole) - 12 and (images == picture).all()


def test_a_picture_too_large_to_be_one_is_refused(tmp_path: Path) -> None:
    """Its few bytes would be unpacked to a gigabyte."""
    content = bytearray(by_hand(b"\0", 1, 8, 0))
    content[16:24] = struct.pack(">2I", 30_000, 30_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(data.DamagedDataError, match="bomb.png: damaged .*bomb"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (pictures(1, 1, 4, 5)[0], "found 5 wide, 4 high, grey, expected 4 wide, 4 high, grey as"),
        (pictures(1, 1, 5, 4)[0], "found 4 wide, 5 high, grey, expected 4 wide, 4 high, grey as"),
        (COLOUR, "found 4 wide, 4 high, in colour, expected 4 wide, 4 high, grey as"),
    ],
)
def test_mixed_pictures_are_refused(other: np.ndarray, part: str, tmp_path: Path) -> None:
    first = write(tmp_path / "a.png", GREY)
    write(tmp_path / "b.png", other)
    with pytest.raises(ValueError, match=f"b.png: {part} {first} is. .* convert it or remove it"):
        data.load(tmp_path)


def test_folders_that_are_not_clear_are_refused(tmp_path: Path) -> None:
    def refused(part: str, split: str = "train") -> None:
        with pytest.raises(ValueError, match=part):
            data.load(tmp_path, split)

    with pytest.raises(FileNotFoundError, match="holds no PNGs and none of train-images"):
        data.load(tmp_path)
    write(tmp_path / "cat" / "a.png", GREY)
    refused("has no test pictures: expected just two folders in it, train and test", "test")
    (tmp_path / "dog").mkdir()
    refused("dog: found no PNG in it, expected the PNGs of one class")
    write(tmp_path / "dog" / "puppies" / "a.png", GREY)
    refused(r"dog: found a folder \(puppies\) in it, expected the PNGs of one class")
    write(tmp_path / "x.png", GREY)
    refused(r"holds PNGs \(x.png\) and folders \(cat\), expected PNGs alone or a folder for each")


def test_test_pictures_have_the_classes_of_train_pictures(tmp_path: Path) -> None:
    """A label is a place among the names: with other names it would mean another class."""
    for path in ("train/cat", "train/dog", "test/dog"):
        write(tmp_path / path / "a.png", GREY)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=r"\['cat', 'dog'\] in train but \['dog'\] in test"):
            data.load(tmp_path, split)


def test_no_more_classes_than_labels_of_one_byte(tmp_path: Path) -> None:
    for i in range(257):
        write(tmp_path / f"{i:03}" / "a.png", GREY)
    with pytest.raises(ValueError, match="found 257 folders, expected at most 256 classes"):
        data.load(tmp_path)
    (tmp_path / "256" / "a.png").unlink()
    (tmp_path / "256").rmdir()
    _, labels = data.load(tmp_path)
    assert labels is not None and labels.tolist() == list(range(256))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="gone.png"):
        data.load(tmp_path)


# Arrays


def test_arrays_of_pictures() -> None:
    grey, colour = pictures(2, 5, 6), pictures(2, 3, 5, 6)
    assert data.as_images(grey).shape == (2, 1, 5, 6)
    for images in (grey, grey[:, None], colour):
        assert np.shares_memory(data.as_images(images), images)
        assert (data.as_images(images) == images.reshape(2, -1, 5, 6)).all()


@pytest.mark.parametrize(
    ("images", "error", "part"),
    [
        (pictures(2, 5, 6) / 255, TypeError, "from 0 to 255, got float64"),
        (pictures(2, 5, 6).tolist(), TypeError, "a NumPy array of uint8, .* got list"),
        (pictures(5, 6), ValueError, r"got \(5, 6\); give one picture as images\[None\]"),
        (pictures(2, 2, 5, 6), ValueError, r"C = 1 or 3, got \(2, 2, 5, 6\)$"),
        (pictures(2, 5, 6, 3), ValueError, r"\(2, 5, 6, 3\); .* images.transpose\(0, 3, 1, 2\)"),
        (pictures(0, 5, 6), ValueError, r"N >= 1 .* got \(0, 5, 6\)"),
        (pictures(2, 1, 0, 6), ValueError, r"got \(2, 1, 0, 6\)"),
        (pictures(1, 2, 1, 5, 6), ValueError, r"got \(1, 2, 1, 5, 6\)"),
    ],
)
def test_arrays_that_are_no_pictures(images: Any, error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=f"^samples must (have|be) .*{part}"):
        data.as_images(images, "samples")


def test_a_frame_of_a_run_is_read_as_strictly(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", GREY)
    assert (np.asarray(png.decode(path, path.read_bytes())) == GREY[0]).all()


def test_batches_take_what_as_images_takes() -> None:
    batches = data.batches.Batches(pictures(4, 5, 6), None, 2)
    assert next(batches).images.shape == (2, 1, 5, 6)
    with pytest.raises(TypeError, match="images must be a NumPy array of uint8, .* got float64"):
        data.batches.Batches(pictures(4, 5, 6) / 255, None, 2)
