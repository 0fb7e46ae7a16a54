"""Layer 5: ways to spoil samples, each known and of any strength: which measure notices?

Each takes images, uint8 (n, C, h, w) or (n, h, w), and a strength, from 0, which changes nothing,
to 1, and gives as many new images. The same arguments give the same images.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.data import as_images
from minigan.data.images import Bytes
from minigan.metrics.checks import check_alike


def add_noise(images: Bytes, strength: float) -> Bytes:
    """Gaussian noise in each pixel; its standard deviation is half of the range at strength 1."""
    as_images(images)
    drawn = backend.generator(0).standard_normal(images.shape, dtype="float32")
    return _to_bytes(images + 127.5 * strength * drawn)


def blur(images: Bytes, strength: float) -> Bytes:
    """Means with weights ¼, ½, ¼ along both axes, up to 16 times: a Gaussian of σ = √8 pixels."""
    as_images(images)
    x = images.astype("float32")
    for _ in range(round(16 * strength)):
        x = numpy.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)])
        x = (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 4
        x = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4
    return _to_bytes(x)


def drop_classes(images: Bytes, labels: Bytes, strength: float) -> Bytes:
    """The digits below 10·strength, but never the 9, give their places to the other digits."""
    dropped = labels < min(10 * strength, 9)
    return _replaced(images, dropped, images[~dropped])


def unbalance(images: Bytes, labels: Bytes, strength: float) -> Bytes:
    """The digit 1 takes ``strength`` as its share of all places, over and above its own."""
    return _replaced(images, _share(images, strength), images[labels == 1])


def repeat_one(images: Bytes, strength: float) -> Bytes:
    """The first image takes ``strength`` as its share of all places."""
    return _replaced(images, _share(images, strength), images[:1])


def memorise(images: Bytes, train: Bytes, strength: float) -> Bytes:
    """Training images, a new one each time, take ``strength`` as their share of all places."""
    check_alike("images", as_images(images).shape, "train", as_images(train, "train").shape)
    return _replaced(images, _share(images, strength), train)


def _to_bytes(x: NDArray[Any]) -> Bytes:
    rounded: Bytes = numpy.rint(x).clip(0, 255).astype(numpy.uint8)
    return rounded


def _share(images: Bytes, strength: float) -> NDArray[numpy.bool_]:
    """True at a share ``strength`` of the places; a larger strength adds places to these."""
    return backend.generator(0).permutation(len(images)) < round(strength * len(images))


def _replaced(images: Bytes, places: NDArray[numpy.bool_], pool: Bytes) -> Bytes:
    """A copy of the images whose ``places`` hold the images of the pool, over and over."""
    as_images(images)
    copy = images.copy()
    copy[places] = numpy.resize(pool, copy[places].shape)
    return copy
