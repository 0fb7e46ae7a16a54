"""Data to learn from: MNIST and Fashion-MNIST (`mnist`), and mixtures of Gaussians (`toy`)."""

from .mnist import (
    DamagedDataError,
    FileInfo,
    Source,
    fetch,
    fingerprint,
    hold_out,
    info,
    load,
    load_mnist,
    verify,
)
from .toy import GaussianMixture, grid25, ring8

__all__ = [
    "DamagedDataError",
    "FileInfo",
    "GaussianMixture",
    "Source",
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

# SHIM
from .mnist import SHA256

NAMES = ("mnist", "mnist-mini", "fashion-mnist")


def as_images(x):
    return x[:, None] if x.ndim == 3 else x
