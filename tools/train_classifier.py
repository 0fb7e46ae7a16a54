"""Train the classifier of ``minigan.metrics``: ``python -m tools.train_classifier OUT``.

The recipe: cross-entropy; Adam, whose rate falls from 2e-3 to 0 along half a cosine (Loshchilov &
Hutter, "SGDR", 2017, eq. 5, without restarts); batches of 128; each digit moved by up to one pixel
each way; 12 epochs of the 60,000 training digits, seed 0. The last weights are kept, whatever they
score. On one machine, with one number of BLAS threads, the same bytes come out; those in the
package came out with OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy
import safetensors.numpy
from tqdm.auto import tqdm

from minigan import backend, data, nn
from minigan.autograd import no_grad
from minigan.data.images import Bytes
from minigan.functional import cross_entropy
from minigan.metrics.classifier import CHUNK, TO_FEATURES, network, to_input
from minigan.optim import Adam

WHOLE = 60_000
EPOCHS, BATCH, RATE, SHIFT, SEED = 12, 128, 2e-3, 1, 0


def shifted(images: Bytes, rng: Any) -> Bytes:
    """Each digit (n, 1, h, w) moved by its own −SHIFT to SHIFT pixels both ways, over black."""
    n, _, h, w = images.shape
    framed = numpy.pad(images[:, 0], ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    down, right = rng.integers(0, 2 * SHIFT + 1, (2, n, 1, 1))
    rows, columns = numpy.arange(h)[:, None], numpy.arange(w)
    moved: Bytes = framed[numpy.arange(n)[:, None, None], rows + down, columns + right]
    return moved[:, None]


def scale_features(classifier: nn.Sequential, images: Bytes) -> None:
    """Give the features the mean square 1 over the images, and leave all probabilities as they are.

    What comes before the features is divided by their root mean square r, what comes after it is
    multiplied by r: ReLU commutes with that. Distances between features then have a fixed unit.
    """
    body = classifier[:TO_FEATURES]
    with no_grad():
        squares = [
            (body(to_input(images[rows])).numpy() ** 2).mean()
            for rows in backend.slices(len(images), CHUNK)
        ]
    r = math.sqrt(numpy.mean(squares))
    parameters = dict(classifier.named_parameters())
    for name, factor in (("7.weight", 1 / r), ("7.bias", 1 / r), ("9.weight", r)):
        parameters[name].copy_(parameters[name].numpy() * numpy.float32(factor))


def train(out: Path) -> None:
    """Write the weights to the file ``out``; raises ValueError unless all of MNIST is at hand."""
    images, labels = data.load_mnist("train")
    if len(images) != WHOLE:
        raise ValueError(f"found {len(images)} training digits, expected {WHOLE}")
    backend.manual_seed(SEED)
    classifier = network()
    optimizer = Adam(classifier.parameters(), RATE)
    rng = backend.stream("shuffle")
    steps = len(images) // BATCH
    for step in tqdm(range(EPOCHS * steps), unit="step"):
        if step % steps == 0:
            order = rng.permutation(len(images))
        chosen = order[step % steps * BATCH :][:BATCH]
        optimizer.lr = RATE * (1 + math.cos(math.pi * step / (EPOCHS * steps))) / 2
        loss = cross_entropy(classifier(to_input(shifted(images[chosen], rng))), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scale_features(classifier, images)
    weights = {
        name: numpy.ascontiguousarray(t.numpy()) for name, t in classifier.state_dict().items()
    }
    # The bytes of the pinned weights hold the name that this file had when it made them.
    made_by = {"made by": "minigan.metrics.train_classifier"}
    content = safetensors.numpy.save(weights, metadata=made_by)
    out.write_bytes(content)
    print(f"sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.train_classifier OUT")
    train(Path(sys.argv[1]))
