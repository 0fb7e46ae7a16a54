"""minigan: generative adversarial networks from the arithmetic up.

Read it in this order: backend, autograd, ops/, functional, gradcheck, nn/, losses, optim, then
models/, training, runs, metrics/. Each module's first lines say what it is.
"""

import minigan.devices
import minigan.protocols  # noqa: F401 - for the methods that it binds
from minigan import backend, data, functional, losses, metrics, models, nn, optim, torch_names
from minigan.autograd import Tensor, grad, no_grad, tensor
from minigan.backend import manual_seed
from minigan.checkpoint import load, save
from minigan.gradcheck import GradcheckError, gradcheck, gradgradcheck
from minigan.ops.create import arange, ones, ones_like, rand, randn, zeros, zeros_like
from minigan.runs import train

torch_names.install()

__version__ = "0.1.0"

__all__ = [
    "GradcheckError",
    "Tensor",
    "arange",
    "backend",
    "data",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "load",
    "losses",
    "manual_seed",
    "metrics",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "randn",
    "save",
    "tensor",
    "train",
    "zeros",
    "zeros_like",
]
