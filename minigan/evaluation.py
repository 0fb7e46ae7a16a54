"""Layer 6: the table of measures of a model's samples, each beside its floor.

No number here means much alone: distances depend on how many samples there are, a likelihood on
the width of its window. So each is taken twice: of n samples, and of n training images in their
place. The latter is the floor, what data themselves score. Both meet the same test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from minigan import backend, data
from minigan.data import as_images
from minigan.data.images import Bytes
from minigan.metrics import (
    choose_sigma,
    frechet_distance,
    inception_score,
    kernel_distance,
    moments,
    nearest_neighbours,
    parzen_log_likelihood,
    precision_recall,
)
from minigan.metrics.classifier import SHA256, features_and_probabilities

__all__ = ["FEWEST", "MEASURES", "Measure", "Neighbours", "Reference", "evaluate", "measure"]

#: The smallest number of samples that all measures accept.
FEWEST = 10
#: Images that choose the width of the Parzen window, as in the code of Goodfellow et al. 2014.
VALIDATION = 1000
#: Samples whose nearest training image is looked for: all of them would take the most time.
NEIGHBOURS = 1000
#: The share of the test images that the classifier must read rightly; of MNIST's it reads 0.99.
READABLE = 0.9


class Measure(NamedTuple):
    """A line of the table: the key of its number, its name, decimals, direction and blind spot."""

    key: str
    name: str
    decimals: int
    better: str
    blind: str


MEASURES = (
    Measure(
        "clf_fid",
        "clfFID",
        2,
        "lower",
        "all but the mean and covariance of 64 features; copies of the data",
    ),
    Measure(
        "kid", "KID", 4, "lower", "all but the moments of these features up to the third; copies"
    ),
    Measure(
        "score",
        "classifier score",
        3,
        "higher",
        "the data: one picture per digit, repeated, scores best",
    ),
    Measure(
        "precision", "precision", 3, "higher", "what is missing, and how often each thing is drawn"
    ),
    Measure(
        "recall", "recall", 3, "higher", "how often: what is rare counts like what is frequent"
    ),
    Measure("imbalance", "class imbalance", 3, "lower", "whatever differs within a class"),
    Measure(
        "parzen",
        "Parzen, nats",
        1,
        "higher",
        "the true likelihood, which is far off; sharpness; copies",
    ),
    Measure("nearest", "nearest neighbour", 2, "floor", "copies moved by a pixel; all but copies"),
)


@dataclass(frozen=True)
class Reference:
    """Real images, and what the classifier makes of the test images among them.

    Attributes:
        train: (m, 1, 28, 28), all of the training images.
        test: (n, 1, 28, 28); as many samples are measured.
        features: the test images' features, (n, 64).
        classes: the share of each digit among the test images, (10,).
    """

    train: Bytes
    test: Bytes
    features: NDArray[Any]
    classes: NDArray[Any]

    @classmethod
    def of(cls, train: Bytes, test: Bytes, labels: Bytes | None, n: int) -> Reference:
        """The first n test images, or all if there are fewer, beside the training images.

        Images are uint8 (N, 1, 28, 28) or (N, 28, 28). Raises ValueError if the classifier misreads
        the test images, so that its features mean nothing, or if no labels tell whether it does.
        """
        if labels is None:
            raise ValueError(
                "the test images have no labels: without them it cannot be told whether the "
                "classifier, which was trained on MNIST's digits, reads these images"
            )
        train, test = as_images(train, "train"), as_images(test, "test")
        first, _ = data.hold_out(train)
        n = min(n, len(test), len(first))
        if n < FEWEST:
            raise ValueError(f"expected at least {FEWEST} images of each kind to compare, got {n}")
        features, probabilities = features_and_probabilities(test[:n])
        rightly = float((probabilities.argmax(axis=1) == labels[:n]).mean())
        if rightly < READABLE:
            raise ValueError(
                f"the classifier, which was trained on MNIST's digits, reads {rightly:.0%} of the "
                f"test images rightly, expected {READABLE:.0%}: its features mean nothing for them"
            )
        return cls(train, test[:n], features, _shares(probabilities))


class Neighbours(NamedTuple):
    """The nearest training images (k, 1, 28, 28) of k samples, and their distances (k,)."""

    images: Bytes
    distances: NDArray[Any]


def neighbours(samples: Bytes, reference: Reference) -> Neighbours:
    """The neighbours of the first NEIGHBOURS samples; distances are those of pixels in [0, 1]."""
    indices, distances = nearest_neighbours(samples[:NEIGHBOURS], reference.train)
    return Neighbours(reference.train[indices], distances / 255)


def _shares(probabilities: NDArray[Any]) -> NDArray[Any]:
    """The share (10,) of the samples that look most like each digit."""
    return numpy.bincount(probabilities.argmax(axis=1), minlength=10) / len(probabilities)


def _points(images: Bytes) -> NDArray[Any]:
    """Images as points of [0, 1]⁷⁸⁴, in which Parzen windows and neighbours are measured."""
    return images.reshape(len(images), -1).astype("float32") / numpy.float32(255)


def measure(images: Bytes, reference: Reference) -> tuple[dict[str, Any], Neighbours]:
    """All measures of images, uint8 (n, 1, 28, 28) or (n, 28, 28), as many as the test images.

    Returns:
        (numbers, neighbours): the key of each of MEASURES with its number, and the nearest training
        images as :func:`neighbours` finds them. "imbalance" is half the sum of the absolute
        differences of the classes' shares (total variation: 0 equal, 1 disjoint), "nearest" the
        median distance to the nearest training image, with pixels in [0, 1]. Further keys are
        "kid_std", the standard deviation over KID's subsets; "classes", the share of each digit;
        "sigma", the width of the Parzen window; and "parzen_error", the standard error over the
        test images.
    """
    images = as_images(images)
    if images.shape != reference.test.shape:
        raise ValueError(f"expected images of shape {reference.test.shape}, got {images.shape}")
    n = len(images)
    features, probabilities = features_and_probabilities(images)
    kid, kid_std = kernel_distance(features, reference.features, size=min(1000, n // 2))
    precision, recall = precision_recall(reference.features, features)
    classes = _shares(probabilities)
    _, validation = data.hold_out(reference.train)
    samples, test = _points(images), _points(reference.test)
    sigma = choose_sigma(samples, _points(validation[:VALIDATION]))
    likelihoods = parzen_log_likelihood(samples, test, sigma)
    found = neighbours(images, reference)
    numbers = {
        "clf_fid": frechet_distance(*moments(features), *moments(reference.features)),
        "kid": kid,
        "kid_std": kid_std,
        "score": inception_score(probabilities),
        "precision": precision,
        "recall": recall,
        "imbalance": float(numpy.abs(classes - reference.classes).sum() / 2),
        "classes": classes.tolist(),
        "parzen": float(likelihoods.mean()),
        "parzen_error": float(likelihoods.std() / numpy.sqrt(n)),
        "sigma": sigma,
        "nearest": float(numpy.median(found.distances)),
    }
    return numbers, found


def evaluate(samples: Bytes, reference: Reference) -> tuple[dict[str, Any], Neighbours]:
    """The samples' measures and the floor's, as JSON-able values, and the samples' neighbours.

    The floor is measured on training images, drawn without replacement. Its nearest neighbours
    are those of the test images, because a training image is its own neighbour.
    """
    numbers, found = measure(samples, reference)
    first, _ = data.hold_out(reference.train)
    chosen = backend.generator(0).choice(len(first), len(samples), replace=False)
    floor, _ = measure(first[chosen], reference)
    floor["nearest"] = float(numpy.median(neighbours(reference.test, reference).distances))
    table = {"n": len(samples), "classifier_sha256": SHA256, "samples": numbers, "floor": floor}
    return table, found
