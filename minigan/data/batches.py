"""Layer 5: endless batches of pictures that belong together, and the way from pixels to a net.

A GAN draws as many batches in a step as its algorithm asks for. Each epoch shows the pictures in a
new order, drawn from the "shuffle" stream; what fills no whole batch at its end is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from minigan import backend
from minigan.arguments import integer
from minigan.autograd import Tensor
from minigan.data.images import as_images

__all__ = ["Batch", "Batches", "Epochs", "to_pixels", "to_tanh_range"]


def to_tanh_range(images: numpy.ndarray) -> numpy.ndarray:
    """uint8 pixels 0..255 as float32 in [−1, 1], the range of a generator's tanh."""
    return images.astype("float32") / numpy.float32(127.5) - numpy.float32(1.0)


def to_pixels(images: numpy.ndarray) -> numpy.ndarray:
    """The inverse of :func:`to_tanh_range`: clipped to [−1, 1], scaled and rounded to uint8."""
    return numpy.rint((images.clip(-1.0, 1.0) + 1.0) * 127.5).astype("uint8")


class Epochs:
    """Which rows are next: their numbers, batch after batch, each epoch in a new order.

    A subclass defines ``__next__``, which asks :meth:`rows` once and gives what those rows hold.

    Args:
        lengths: how many rows each set has. Each set is shuffled by itself, so that what belongs
            together row by row is one set.
        batch_size: rows in a batch, at least 2 and at most as many as the smallest set has.

    Attributes:
        drawn: how many batches were drawn so far.
        per_epoch: how many batches an epoch has; it ends when the smallest set does.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int):
        self.lengths = list(lengths)
        self.batch_size = integer(type(self).__name__, "batch_size", batch_size)
        if not 2 <= batch_size <= min(self.lengths):
            raise ValueError(
                f"batch_size must lie between 2 and the {min(self.lengths)} images, "
                f"got {batch_size}"
            )
        self.per_epoch, self.drawn = min(self.lengths) // batch_size, 0
        self._shuffle()

    def _shuffle(self) -> None:
        stream = backend.stream("shuffle")
        self._before = stream.bit_generator.state
        self._orders = [stream.permutation(n) for n in self.lengths]

    def rows(self) -> list[numpy.ndarray]:
        """The next batch's row numbers in each set."""
        at = self.drawn % self.per_epoch
        if at == 0 and self.drawn > 0:
            self._shuffle()
        self.drawn += 1
        return [order[at * self.batch_size :][: self.batch_size] for order in self._orders]

    def __iter__(self) -> Epochs:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __next__")

    @property
    def epoch(self) -> float:
        """How many epochs were drawn so far, with the part of the current one as a fraction."""
        return self.drawn / self.per_epoch

    @property
    def seen(self) -> int:
        """How many rows were drawn so far."""
        return self.drawn * self.batch_size

    def state(self) -> dict[str, Any]:
        """The place in the data, as JSON-able values."""
        return {"drawn": self.drawn, "shuffle": self._before}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state`: the order of its epoch is drawn again."""
        self.drawn = int(state["drawn"])
        backend.stream("shuffle").bit_generator.state = state["shuffle"]
        self._shuffle()


class Batch(NamedTuple):
    """Pictures, float32 (batch_size, C, H, W) in [−1, 1] on the device, and their labels.

    Labels (batch_size,) stay on the host until they are used; they are None if there are none.
    """

    images: Tensor
    labels: numpy.ndarray | None


class Batches(Epochs):
    """Pictures with their labels; ``next`` gives a :class:`Batch`.

    Args:
        images: uint8 (N, C, H, W) or (N, H, W), from 0 to 255.
        labels: integers (N,), or None.
        batch_size: pictures in a batch, from 2 to N.
    """

    def __init__(self, images: numpy.ndarray, labels: numpy.ndarray | None, batch_size: int):
        images = as_images(images)
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"expected {len(images)} labels, one per image, got {len(labels)}")
        super().__init__([len(images)], batch_size)
        self.images, self.labels = images, labels

    def __next__(self) -> Batch:
        (rows,) = self.rows()
        images = Tensor(backend.asarray(to_tanh_range(self.images[rows])))
        return Batch(images, None if self.labels is None else self.labels[rows])
