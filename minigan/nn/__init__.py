"""Layer 5: modules and layers, under PyTorch's names and with PyTorch's parameter shapes."""

from minigan.nn import init, layers, utils
from minigan.nn.layers import *
from minigan.nn.module import Module, ModuleList, Parameter, Sequential
from minigan.nn.utils import Average

__all__ = ["Average", "Module", "ModuleList", "Parameter", "Sequential", "init", "utils"]
__all__ += layers.__all__
