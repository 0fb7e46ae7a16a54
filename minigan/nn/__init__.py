"""Layer 3: modules and layers, under PyTorch's names and with PyTorch's parameter shapes."""

from minigan.nn import init, layers, utils
from minigan.nn.layers import *
from minigan.nn.module import Module, Parameter
from minigan.nn.utils import Average

__all__ = ["Average", "Module", "Parameter", "init", "utils"]
__all__ += layers.__all__
