"""Layer 5: data to learn from: MNIST and its kin, folders of PNGs, and mixtures of Gaussians."""

from minigan.data.images import as_images
from minigan.data.mnist import (
    NAMES,
    fetch,
    fingerprint,
    hold_out,
    info,
    load,
    load_mnist,
    verify,
)
from minigan.data.source import DamagedDataError, FileInfo, Source
from minigan.data.toy import GaussianMixture, grid25, ring8

__all__ = [
    "NAMES",
    "DamagedDataError",
    "FileInfo",
    "GaussianMixture",
    "Source",
    "as_images",
    "fetch",
    "fingerprint",
    "grid25",
    "hold_out",
    "info",
    "load",
    "load_mnist",
    "ring8",
    "verify",
]
