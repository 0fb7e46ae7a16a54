"""Layer 5: a small classifier of MNIST's digits, trained by minigan: the eyes of the measures.

    28×28  →  conv 3×3·16, ReLU  →  14×14  →  conv 3×3·32, ReLU  →  7×7  →  64 units, ReLU  →  10

What ``tools/train_classifier.py`` made of the 60,000 training digits lies beside this file, pinned
by its SHA-256: another network is another measure. :func:`features` are its 64 units.
"""

from __future__ import annotations

from pathlib import Path

import numpy
from numpy.typing import NDArray

from minigan import backend, nn
from minigan.autograd import Tensor, no_grad
from minigan.checkpoint import load_pinned
from minigan.data import as_images
from minigan.data.images import Bytes
from minigan.functional import softmax

Floats32 = NDArray[numpy.float32]

#: The file of the weights, and the SHA-256 that its bytes must have.
WEIGHTS = Path(__file__).parent / "classifier.safetensors"
SHA256 = "d1f7089c9236347edb635bb0051d68910bd8cdbd83d199e0761393d07a0e121d"
#: How many layers of the network lead to the features.
TO_FEATURES = 9
#: How many images the network reads at a time: more are not faster.
CHUNK = 500


def network() -> nn.Sequential:
    """The classifier with fresh weights, from float32 (N, 1, 28, 28) in [0, 1] to logits (N, 10).

    Its first TO_FEATURES layers alone give the features.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def to_input(digits: Bytes) -> Tensor:
    """uint8 (n, 1, 28, 28) as the network's input: float32 (n, 1, 28, 28) in [0, 1]."""
    return Tensor(backend.asarray(digits.astype("float32") / numpy.float32(255)))


def classify(images: Bytes) -> Floats32:
    """The probabilities (N, 10), float32, of the ten digits for each image.

    Args:
        images: uint8 (N, 1, 28, 28) or (N, 28, 28).

    Raises:
        ValueError: another shape, or no images.
        TypeError: another dtype than uint8.
        RuntimeError: the weights' file is not the one that this version was made with.

    What it cannot see: that an image is no digit. It was shown nothing else, and is sure of noise.
    """
    return features_and_probabilities(images)[1]


def features(images: Bytes) -> Floats32:
    """The 64 units (N, 64), float32 and >= 0, before the classifier's last layer.

    They are scaled so that their mean square over MNIST's training digits is 1. Arguments and
    errors are those of :func:`classify`.

    What they cannot see: whatever does not help to tell ten digits apart, such as how thick a
    stroke is, or a speck of noise beside it.
    """
    return features_and_probabilities(images)[0]


def features_and_probabilities(images: Bytes) -> tuple[Floats32, Floats32]:
    """What :func:`features` and :func:`classify` give, in one pass: (features, probabilities)."""
    digits = as_images(images)
    if digits.shape[1:] != (1, 28, 28):
        raise ValueError(
            "the classifier reads 28×28 grey digits, images of shape (N, 1, 28, 28) or "
            f"(N, 28, 28), got {images.shape}"
        )
    classifier = _trained()
    body, head = classifier[:TO_FEATURES], classifier[TO_FEATURES:]
    found, probabilities = [], []
    with no_grad():
        for rows in backend.slices(len(digits), CHUNK):
            x = body(to_input(digits[rows]))
            found.append(x.numpy())
            probabilities.append(softmax(head(x), axis=1).numpy())
    return numpy.concatenate(found), numpy.concatenate(probabilities)


def _trained() -> nn.Sequential:
    """The classifier with its weights, on the backend in use."""
    weights = load_pinned(WEIGHTS, SHA256)
    with backend.streams_kept():  # measuring draws nothing from a run's streams
        classifier = network()
    classifier.load_state_dict(weights)
    return classifier
