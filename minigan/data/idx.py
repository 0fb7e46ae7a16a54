"""Layer 5: the IDX format of MNIST, read strictly.

After LeCun, Cortes and Burges (http://yann.lecun.com/exdb/mnist), a file is a header of big-endian
32-bit numbers, followed by one unsigned byte per entry, in C order:

    magic = 0x0800 + number of dimensions,  length of each dimension,  data

Every error is a ValueError of the form "found ..., expected ...".
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy

from minigan.data.images import Bytes


def gunzip(compressed: bytes) -> bytes:
    """The content of one gzip member, complete and with nothing after it."""
    # Not gzip.decompress, which lets an empty file and zeros after the end pass.
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(compressed)
    except zlib.error as error:
        what = "damaged gzip data" if compressed[:2] == b"\x1f\x8b" else "no gzip data"
        raise ValueError(f"found {what} ({error}), expected a gzip file") from error
    if not stream.eof:
        raise ValueError(f"found gzip data cut off after {len(compressed)} bytes, expected more")
    if stream.unused_data:
        extra = len(stream.unused_data)
        raise ValueError(f"found {extra} trailing bytes after the gzip data, expected none")
    return content


def decode(raw: bytes, item: tuple[int, ...]) -> Bytes:
    """The array in an IDX file, uint8 (N, *item), N > 0; ``item`` is (28, 28), or () for labels."""
    ndim = 1 + len(item)
    header = 4 + 4 * ndim
    if len(raw) < header:
        raise ValueError(f"found {len(raw)} bytes, expected a header of {header} (truncated)")
    magic, *shape = struct.unpack(f">{1 + ndim}I", raw[:header])
    if magic != 0x0800 + ndim:
        raise ValueError(f"found magic number 0x{magic:08x}, expected 0x{0x0800 + ndim:08x}")
    if shape[0] == 0 or tuple(shape[1:]) != item:
        expected = ", ".join(map(str, ("N > 0", *item)))
        raise ValueError(f"found dimensions {tuple(shape)}, expected ({expected})")
    size = header + math.prod(shape)
    if len(raw) != size:
        what = "truncated" if len(raw) < size else "trailing bytes"
        raise ValueError(f"found {len(raw)} bytes, expected {size} for {tuple(shape)} ({what})")
    return numpy.frombuffer(raw, numpy.uint8, offset=header).reshape(shape).copy()
