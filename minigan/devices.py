"""Layer 5: what CuPy needs of this machine, and how NumPy's memory is kept.

Once imported, ``backend.set_backend`` knows "cupy" and "auto".
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import warnings
from typing import Any

import numpy

from minigan.backend import LIBRARIES, BackendError


def _import_cupy() -> Any:
    """Import CuPy and run one kernel and one product; say which stage fails and what mends it."""
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            f"backend 'cupy': the package is not installed, or not whole ({error}). "
            "Install it with: pip install 'minigan[cuda12]' (or [cuda13] for drivers from 580 on)"
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(
            f"backend 'cupy': no usable NVIDIA driver or GPU ({error}). Install NVIDIA's driver, "
            "from 525 on for minigan[cuda12] and 580 for [cuda13], until nvidia-smi lists the GPU, "
            "and see that CUDA_VISIBLE_DEVICES does not hide it; without a GPU, use the backend "
            "'numpy'"
        ) from error
    try:
        one = cupy.ones((2, 2), dtype=cupy.float32)
        float(((one + one) @ one)[0, 0])
    except Exception as error:  # CuPy raises many kinds here, all of them from missing libraries
        raise BackendError(
            f"backend 'cupy': a device is there but the CUDA libraries are not ({error}). "
            "Install them with: pip install 'minigan[cuda12]' (or [cuda13])"
        ) from error
    return cupy


def _cupy_if_it_works() -> Any:
    try:
        return _import_cupy()
    except BackendError as error:
        warnings.warn(f"falling back to NumPy: {error}", stacklevel=3)
        return numpy


LIBRARIES["cupy"] = _import_cupy
LIBRARIES["auto"] = _cupy_if_it_works


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB instead of giving each back to the system.

    It would fetch the next array of a training step, which is of the same size, page by page again:
    a fifth of the DCGAN's step. Other systems' allocators are left as they are, and so is glibc's
    where its own variables (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_) are set.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # no glibc here
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_keep_freed_memory()
