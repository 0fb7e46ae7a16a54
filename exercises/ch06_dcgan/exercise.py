"""Chapter 06, DCGAN: what convolutions and batch norm change.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 06
"""

import numpy as np

import minigan as mg


def upsampling_plan(start, target, kernel, stride, padding):
    """The sizes that transposed convolutions of one kind go through, from one size to another.

    One layer makes size n into (n - 1) stride - 2 padding + kernel.

    Args:
        start, target: sizes, at least 1.
        kernel, stride, padding: whole numbers, of each layer.

    Returns:
        The list of sizes, from start to target.

    Raises:
        ValueError: the target is never met, because the sizes jump over it, or do not grow.

    >>> upsampling_plan(7, 28, 4, 2, 1)
    [7, 14, 28]
    """
    raise NotImplementedError


def dcgan_init(module, rng):
    """Overwrite a module's parameters by DCGAN's initial values.

    Weights of dense and (transposed) convolution layers are drawn from N(0, 0.02^2), weights of
    batch norm from N(1, 0.02^2), and all biases are 0. (Radford et al. 2016, section 4, and its
    authors' code. 0.02 is the standard deviation.)

    Args:
        module: a minigan Module. module.named_parameters() gives names like "0.weight" and
            Parameters; weights of batch norm are the ones with a single axis. p.copy_(array)
            overwrites a Parameter.
        rng: a numpy.random.Generator; all random numbers come from it.

    >>> layer = mg.nn.Linear(100, 50)
    >>> dcgan_init(layer, np.random.default_rng(0))
    >>> round(float(layer.weight.numpy().std()), 3), float(abs(layer.bias.numpy()).max())
    (0.02, 0.0)
    """
    raise NotImplementedError


def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """Batch norm for pictures: each channel is normalised over the batch and all its pixels.

        y = weight (x - mu) / sqrt(var + eps) + bias          (Ioffe & Szegedy 2015, algorithm 1)

    In training, mu and var are those of this batch, var divided by the count of N H W numbers; and
    the running statistics move towards them, in place, as in PyTorch:

        running_mean <- (1 - momentum) running_mean + momentum mu
        running_var  <- (1 - momentum) running_var  + momentum var NHW / (NHW - 1)

    In evaluation, mu and var are the running statistics, which stay as they are.

    Args:
        x: array (N, C, H, W).
        weight, bias, running_mean, running_var: arrays (C,).
        training: True or False.
        momentum, eps: numbers.

    Returns:
        An array of x's shape.

    >>> x = np.array([0.0, 2.0]).reshape(2, 1, 1, 1)
    >>> one, mean, var = np.ones(1), np.zeros(1), np.ones(1)
    >>> batchnorm2d(x, one, 0 * one, mean, var, True, eps=0.0).ravel().tolist()
    [-1.0, 1.0]
    >>> mean.round(6).tolist(), var.round(6).tolist()
    ([0.1], [1.1])
    """
    raise NotImplementedError


def build_generator(latent_dim, channels):
    """A generator of 28 x 28 pictures that keeps DCGAN's rules (Radford et al. 2016, section 3).

    - A first layer, dense or a transposed convolution, makes (channels, 7, 7) from the latents;
      then transposed convolutions with stride 2 lead to 14 x 14 and to 28 x 28, with half the
      channels, and then one. No pooling, no resizing, no other dense layer.
    - Batch norm after every layer but the last, and none on the output.
    - ReLU after each batch norm, tanh on the output.

    Use the layers of minigan.nn; nn.Sequential and nn.Unflatten(1, (channels, 7, 7)) will help.

    Args:
        latent_dim: how many numbers a latent has.
        channels: how many feature maps there are at 7 x 7, an even number.

    Returns:
        A Module from Tensors (N, latent_dim) to (N, 1, 28, 28), of numbers in [-1, 1].

    >>> generator = build_generator(16, 8)
    >>> generator(mg.tensor(np.zeros((2, 16), "float32"))).shape
    (2, 1, 28, 28)
    """
    raise NotImplementedError
