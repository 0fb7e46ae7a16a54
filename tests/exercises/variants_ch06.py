"""Chapter 06: other answers."""

import numpy as np
from variant import right, wrong

import minigan as mg
from minigan import nn


@right("06.1")
def upsampling_plan(start, target, kernel, stride, padding):
    if start == target:
        return [start]
    size = (start - 1) * stride + kernel - 2 * padding
    if not start < size <= target:
        raise ValueError("no plan")
    return [start, *upsampling_plan_of_the_rest(size, target, kernel, stride, padding)]


def upsampling_plan_of_the_rest(start, target, kernel, stride, padding):
    sizes = [start]
    for _ in range(target):
        if sizes[-1] == target:
            return sizes
        sizes.append((sizes[-1] - 1) * stride + kernel - 2 * padding)
    raise ValueError("no plan")


@right("06.1")
def upsampling_plan(start, target, kernel, stride, padding):
    sizes = np.array([start])
    while sizes[-1] != target:
        new = (sizes[-1] - 1) * stride - 2 * padding + kernel
        if new > target or new <= sizes[-1]:
            raise ValueError(new)
        sizes = np.append(sizes, new)
    return sizes


@wrong("06.1", "sizes that jump over the target", "the plan returned even if it misses the target")
def upsampling_plan(start, target, kernel, stride, padding):
    sizes = [start]
    while sizes[-1] < target:
        sizes.append((sizes[-1] - 1) * stride - 2 * padding + kernel)
        if len(sizes) > 40:
            raise ValueError
    return sizes


@wrong("06.1", "other layers that work", "doubling, whatever the layer is")
def upsampling_plan(start, target, kernel, stride, padding):
    sizes = [start]
    while sizes[-1] < target:
        sizes.append(sizes[-1] * stride)
        if len(sizes) > 40:
            break
    if sizes[-1] != target:
        raise ValueError
    return sizes


@wrong("06.1", "kernel 4, stride 2, padding 1", "the start left out")
def upsampling_plan(start, target, kernel, stride, padding):
    sizes, n = [], start
    while n < target:
        n = (n - 1) * stride - 2 * padding + kernel
        sizes.append(n)
    return sizes


@wrong("06.1", "sizes that do not grow")
def upsampling_plan(start, target, kernel, stride, padding):
    sizes = [start]
    while sizes[-1] < target and len(sizes) < 100:
        sizes.append((sizes[-1] - 1) * stride - 2 * padding + kernel)
    if sizes[-1] > target:
        raise ValueError
    return sizes


@right("06.2")
def dcgan_init(module, rng):
    for m in module.modules():
        if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            m.weight.data[...] = 0.02 * rng.standard_normal(m.weight.shape)
        elif isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.weight.data[...] = 1 + 0.02 * rng.standard_normal(m.weight.shape)
        if getattr(m, "bias", None) is not None:
            m.bias.data[...] = 0
    return module


@right("06.2")
def dcgan_init(module, rng):
    for name, p in module.named_parameters():
        mean = 1.0 if p.ndim == 1 and "weight" in name else 0.0
        std = 0.0 if "bias" in name else 0.02
        p.data = (mean + std * rng.standard_normal(p.shape)).astype(p.dtype)


@wrong("06.2", "weights of batch norm", "batch norm's weights near 0")
def dcgan_init(module, rng):
    for name, p in module.named_parameters():
        p.copy_(np.zeros(p.shape) if "bias" in name else rng.normal(0, 0.02, p.shape))


@wrong("06.2", "weights", "0.02 taken for the variance")
def dcgan_init(module, rng):
    for name, p in module.named_parameters():
        mean = 1.0 if p.ndim == 1 else 0.0
        p.copy_(np.zeros(p.shape) if "bias" in name else rng.normal(mean, 0.02**0.5, p.shape))


@wrong("06.2", "the given rng")
def dcgan_init(module, rng):
    nn.init.dcgan_(module)


@wrong("06.2", "a normal distribution", "a uniform distribution")
def dcgan_init(module, rng):
    half = 0.02 * 3**0.5
    for name, p in module.named_parameters():
        draw = rng.uniform(-half, half, p.shape) + (p.ndim == 1)
        p.copy_(np.zeros(p.shape) if "bias" in name else draw)


@wrong("06.2", "weights", "a module that is left as it is")
def dcgan_init(module, rng):
    for name, p in module.named_parameters():
        if p.ndim == 4:
            p.copy_(rng.normal(0, 0.02, p.shape))
        elif p.ndim == 1:
            p.copy_(np.zeros(p.shape) if "bias" in name else rng.normal(1, 0.02, p.shape))


@right("06.3")
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    shape = (1, -1, 1, 1)
    if training:
        flat = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
        mu, var = flat.mean(1), flat.var(1)
        n = flat.shape[1]
        running_mean[:] = running_mean + momentum * (mu - running_mean)
        running_var[:] = running_var + momentum * (var * n / (n - 1) - running_var)
    else:
        mu, var = running_mean, running_var
    x_hat = (x - mu.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    return weight.reshape(shape) * x_hat + bias.reshape(shape)


@right("06.3")
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    x, weight, bias = (mg.tensor(a) for a in (x, weight, bias))
    running = [mg.tensor(a) for a in (running_mean, running_var)]
    y = mg.functional.batch_norm(x, weight, bias, *running, training, momentum, eps).numpy()
    running_mean[...], running_var[...] = (a.numpy() for a in running)
    return y


def normed(x, weight, bias, mu, var, eps):
    shape = (1, -1, 1, 1)
    x_hat = (x - mu.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    return weight.reshape(shape) * x_hat + bias.reshape(shape)


@wrong("06.3", "evaluation: the running statistics", "batch statistics in evaluation")
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    mu, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    if training:
        running_mean += momentum * (mu - running_mean)
        running_var += momentum * (x.var((0, 2, 3), ddof=1) - running_var)
    return normed(x, weight, bias, mu, var, eps)


@wrong(
    "06.3",
    "training: the running statistics move",
    "running statistics that never move (assigned, not written into?)",
)
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    mu, var = running_mean, running_var
    if training:
        mu, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        running_mean = (1 - momentum) * running_mean + momentum * mu
        running_var = (1 - momentum) * running_var + momentum * x.var((0, 2, 3), ddof=1)
    return normed(x, weight, bias, mu, var, eps)


@wrong(
    "06.3",
    "training: the running statistics move",
    "a running variance that is not unbiased",
)
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    mu, var = running_mean, running_var
    if training:
        mu, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        running_mean += momentum * (mu - running_mean)
        running_var += momentum * (var - running_var)
    return normed(x, weight, bias, mu, var, eps)


@wrong(
    "06.3",
    "training: each channel by itself",
    "statistics over the batch alone, for each pixel",
)
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    if not training:
        return normed(x, weight, bias, running_mean, running_var, eps)
    x_hat = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
    return x_hat * weight[:, None, None] + bias[:, None, None]


@wrong("06.3", "training: the running statistics move", "momentum taken for the share of the old")
def batchnorm2d(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    mu, var = running_mean, running_var
    if training:
        mu, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        running_mean *= momentum
        running_mean += (1 - momentum) * mu
        running_var *= momentum
        running_var += (1 - momentum) * x.var((0, 2, 3), ddof=1)
    return normed(x, weight, bias, mu, var, eps)


@right("06.4")
def build_generator(latent_dim, channels):
    """A transposed convolution first, modules of one's own, and kernels of 2."""

    class Block(nn.Module):
        def __init__(self, c_in, c_out, *sizes):
            self.up = nn.ConvTranspose2d(c_in, c_out, *sizes)
            self.norm = nn.BatchNorm2d(c_out)
            self.activation = nn.ReLU()

        def forward(self, x):
            return self.activation(self.norm(self.up(x)))

    return nn.Sequential(
        nn.Unflatten(1, (latent_dim, 1, 1)),
        Block(latent_dim, channels, 7, 1, 0),
        Block(channels, channels // 2, 2, 2, 0),
        nn.ConvTranspose2d(channels // 2, 1, 4, 2, 1),
        nn.Tanh(),
    )


@right("06.4")
def build_generator(latent_dim, channels):
    return mg.models.DCGAN(latent_dim, channels // 2).generator


@wrong(
    "06.4",
    "batch norm after every layer but the last",
    "batch norm on the output",
)
def build_generator(latent_dim, channels):
    good = list(mg.models.DCGAN(latent_dim, channels // 2).generator)
    return nn.Sequential(*good[:-1], nn.BatchNorm2d(1), nn.Tanh())


@wrong("06.4", "tanh on the output", "no tanh at the end")
def build_generator(latent_dim, channels):
    return nn.Sequential(*list(mg.models.DCGAN(latent_dim, channels // 2).generator)[:-1])


@wrong("06.4", "ReLU inside, tanh at the end", "LeakyReLU in G")
def build_generator(latent_dim, channels):
    good = list(mg.models.DCGAN(latent_dim, channels // 2).generator)
    return nn.Sequential(*(nn.LeakyReLU(0.2) if isinstance(m, nn.ReLU) else m for m in good))


@wrong("06.4", "pictures")
def build_generator(latent_dim, channels):
    return nn.Sequential(nn.Linear(latent_dim, 784), nn.Tanh())


@wrong("06.4", "upsampling by strided transposed convolutions")
def build_generator(latent_dim, channels):
    return nn.Sequential(nn.Linear(latent_dim, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
