"""Make the embedded subset of MNIST: ``python -m tools.make_mini OUT``.

The rule: the first 1,000 training and the first 200 test digits of each class, in file order.
OUT receives four gzipped IDX files under MNIST's names, and ``indices.json``: the digits' places in
MNIST.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy
from numpy.typing import NDArray

from minigan.data.images import Bytes
from minigan.data.mnist import SPLITS, load_mnist

WHOLE = {"train": 60_000, "test": 10_000}
PER_CLASS = {"train": 1_000, "test": 200}


def select(labels: Bytes, per_class: int) -> NDArray[numpy.intp]:
    """Indices of the first ``per_class`` examples of each digit, ascending."""
    return numpy.sort(
        numpy.concatenate([numpy.flatnonzero(labels == k)[:per_class] for k in range(10)])
    )


def encode(array: Bytes) -> bytes:
    """A gzipped IDX file whose header has no name and no time, so that its bytes repeat."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    # Level 9 takes eight times as long for 0.6 % fewer bytes.
    stream = zlib.compressobj(level=7, wbits=16 + zlib.MAX_WBITS, memLevel=9)
    return stream.compress(header + array.tobytes()) + stream.flush()


def make(out: Path) -> None:
    """Write the subset into the folder ``out``; raises ValueError unless all of MNIST is there."""
    out.mkdir(parents=True, exist_ok=True)
    indices = {}
    for split, (images_file, labels_file) in SPLITS.items():
        images, labels = load_mnist(split)
        if len(images) != WHOLE[split]:
            raise ValueError(f"{split}: found {len(images)} digits, expected {WHOLE[split]}")
        chosen = select(labels, PER_CLASS[split])
        (out / (images_file + ".gz")).write_bytes(encode(images[chosen, 0]))
        (out / (labels_file + ".gz")).write_bytes(encode(labels[chosen]))
        indices[split] = chosen.tolist()
    lines = (f'"{split}": {json.dumps(chosen)}' for split, chosen in indices.items())
    (out / "indices.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.make_mini OUT")
    make(Path(sys.argv[1]))
