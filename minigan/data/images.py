"""Layer 5: what pictures are outside of the nets: uint8 (N, C, H, W), C = 1 for grey, 3 for colour.

Channels are red, green and blue, and a pixel runs from 0 for black to 255 for full light.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

#: An array of bytes: pictures, labels.
Bytes = NDArray[numpy.uint8]


def as_images(images: NDArray[Any], name: str = "images") -> Bytes:
    """Pictures as uint8 (N, C, H, W), from such an array or from grey ones (N, H, W); no copy.

    ``name`` is what errors call them.

    Raises:
        TypeError: anything but a NumPy array of uint8.
        ValueError: another shape; C is neither 1 nor 3; no pictures, or none with a pixel.

    >>> as_images(numpy.zeros((2, 28, 28), "uint8")).shape
    (2, 1, 28, 28)
    """
    if not isinstance(images, numpy.ndarray) or images.dtype != numpy.uint8:
        got = images.dtype if isinstance(images, numpy.ndarray) else type(images).__name__
        raise TypeError(f"{name} must be a NumPy array of uint8, from 0 to 255, got {got}")
    pictures = images[:, None] if images.ndim == 3 else images
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3) or pictures.size == 0:
        advice = ""
        if images.ndim == 2:
            advice = "; give one picture as images[None]"
        elif images.ndim == 4 and images.shape[3] in (1, 3):
            advice = "; move the channels to the front by images.transpose(0, 3, 1, 2)"
        raise ValueError(
            f"{name} must have shape (N, H, W) or (N, C, H, W) with N >= 1 and C = 1 or 3, "
            f"got {images.shape}{advice}"
        )
    return pictures
