"""Chapter 06, DCGAN: solutions, with their reasoning."""

import numpy as np

from minigan import nn


def upsampling_plan(start, target, kernel, stride, padding):
    # Walk until the target is reached or passed. Sizes that do not grow never reach it.
    sizes = [start]
    while sizes[-1] < target:
        size = (sizes[-1] - 1) * stride - 2 * padding + kernel
        if size <= sizes[-1]:
            raise ValueError(f"from {sizes[-1]} a layer leads to {size}: the sizes do not grow")
        sizes.append(size)
    if sizes[-1] != target:
        raise ValueError(f"the sizes {sizes} jump over {target}")
    return sizes


def dcgan_init(module, rng):
    # Matrices and kernels have two axes or more; a vector named "weight" is batch norm's, which
    # multiplies and so starts near 1. Every other vector is a bias.
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2:
            parameter.copy_(rng.normal(0.0, 0.02, parameter.shape))
        elif name.endswith("weight"):
            parameter.copy_(rng.normal(1.0, 0.02, parameter.shape))
        else:
            parameter.copy_(np.zeros(parameter.shape))


def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    # A channel's numbers lie along the axes 0, 2 and 3. What is kept for evaluation is the unbiased
    # variance, an estimate of that of all pictures; the batch itself is divided by its own.
    # *= and += write into the arrays that the caller holds; running_mean = ... would not.
    if training:
        mu, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        running_mean *= 1 - momentum
        running_mean += momentum * mu
        running_var *= 1 - momentum
        running_var += momentum * x.var(axis=(0, 2, 3), ddof=1)
    else:
        mu, var = running_mean, running_var
    scale = weight / np.sqrt(var + eps)
    return x * scale[:, None, None] + (bias - mu * scale)[:, None, None]


def build_generator(latent_dim, channels):
    # Kernel 4, stride 2, padding 1 doubles a size exactly, and 4 is divisible by 2, so that no
    # checkerboard is built in. What batch norm follows needs no bias: the mean is taken off again.
    half = channels // 2
    return nn.Sequential(
        nn.Linear(latent_dim, channels * 7 * 7, bias=False),
        nn.Unflatten(1, (channels, 7, 7)),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.ConvTranspose2d(channels, half, 4, 2, 1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.ConvTranspose2d(half, 1, 4, 2, 1),
        nn.Tanh(),
    )
