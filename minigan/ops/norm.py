"""Batch normalisation in one pass over the entries, and what its derivatives are made of.

Each works on the columns of a matrix (M, C), a column per channel and a row per case; the pixels of
pictures (N, C, H, W) are N·H·W cases.
"""

from __future__ import annotations

from minigan import backend, fused
from minigan.arguments import number, wrong_type
from minigan.autograd import OUTPUT, Operand, Tensor, as_tensor, record
from minigan.backend import Array
from minigan.ops.elementwise import _float, gate, leaky_relu, sqrt
from minigan.ops.reduce import sum
from minigan.ops.shape import broadcast_to, permute, reshape, rows, unrows

__all__ = ["batch_norm", "instance_norm"]


def batch_norm(
    x: Operand,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = γ · (x − μ)/√(σ² + ε) + β for each channel (Ioffe & Szegedy 2015, algorithm 1).

    x is (N, C) or (N, C, H, W); weight γ, bias β and the running statistics are (C,). In training,
    μ and σ² are those of the m = N or N·H·W cases of the batch, and the running statistics move
    towards them in place, the variance by its unbiased estimate (PyTorch's convention):

        mu, sigma2 = x.mean(axis=0), x.var(axis=0)
        x_hat = (x - mu) / sqrt(sigma2 + eps)
        y = weight * x_hat + bias
        running_mean = (1 - momentum) * running_mean + momentum * mu
        running_var = (1 - momentum) * running_var + momentum * sigma2 * m / (m - 1)

    In evaluation the running statistics are used, so a sample does not depend on its batch mates.
    """
    state = (weight, bias, running_mean, running_var)
    return batch_norm_activated(x, state, training, momentum, eps, slope=1.0)


State = tuple[Tensor, Tensor, Tensor | None, Tensor | None]  # γ, β, running mean and variance


def batch_norm_activated(
    x: Operand, state: State, training: bool, momentum: float, eps: float, *, slope: float
) -> Tensor:
    """max(y, slope·y) of :func:`batch_norm`'s y, in the same pass over the entries.

    ``slope`` lies in [0, 1]: 0 is a ReLU, 1 no activation.
    """
    x, (weight, bias, running_mean, running_var) = _float("batch_norm", x), state
    weight, bias = as_tensor(weight), as_tensor(bias)
    _check(x, (weight, bias, running_mean, running_var))
    momentum = number("batch_norm", "momentum", momentum, "[0, 1]")
    eps = number("batch_norm", "eps", eps, "[0, inf)")
    if training and x.size < 2 * (x.shape[1] or 1):
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x {x.shape}"
        )
    cases = rows(x) if x.ndim == 4 else x
    if training:
        m = len(cases)
        mu = fused.column_sums(cases.data) / m
        variance = fused.column_sums(cases.data, mu, of=fused.squared_deviation) / m
        for running, new in ((running_mean, mu), (running_var, variance * (m / (m - 1)))):
            if running is not None:
                fused.move(new, 1.0 - momentum, momentum, out=(running.data,))
                running.mark_written()
        s = fused.inverse_deviation(variance, eps)
        both = {1.0: fused.normalise, 0.0: fused.normalise_relu}.get(slope, fused.normalise_leaky)
        x_hat, z = both(cases.data, mu, s, weight.data, bias.data, slope)
        y = affine(standardise(cases, x_hat, s), weight, bias, value=z)
        if slope != 1.0:
            y = record(z, (y, lambda g, z: gate(g, z, slope), OUTPUT))
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm: evaluation needs running_mean and running_var")
    else:
        scale = weight / sqrt(running_var + eps)
        y = affine(cases, scale, bias - running_mean * scale)
        y = y if slope == 1.0 else leaky_relu(y, slope)
    return unrows(y, x.shape) if x.ndim == 4 else y


def standardise(x: Tensor, x_hat: Array, scale: Array) -> Tensor:
    """x̂ = (x − μ)·s, s = (σ² + ε)^−½, computed already for each column of x (M, C), as a Tensor.

    μ and σ² depend on x, which makes x̄ a projection of s·ḡ, for which see :func:`project`. For
    derivatives of higher order, x̂ is the op's own output and stays in the graph, and s enters as a
    function of x, with ∂s/∂x = −s²·x̂/M.
    """

    def slope(h: Tensor, x: Tensor, x_hat: Tensor, s: Tensor) -> Tensor:
        return affine(x_hat, h * s * s * (-1.0 / len(x)))

    def vjp(g: Tensor, x: Tensor, x_hat: Tensor) -> Tensor:
        return project(g, x_hat, record(scale, (x, slope, x, x_hat, OUTPUT)))

    return record(x_hat, (x, vjp, x, OUTPUT))


def project(g: Tensor, x_hat: Tensor, s: Tensor) -> Tensor:
    """p = s·(g − mean g − x̂·mean(g·x̂)) per column: g without its parts along 1 and x̂, times s.

    It is batch norm's x̄ for the incoming g (Ioffe & Szegedy 2015, section 3, collected), and its
    own adjoint in g.  x̂-bar = −s·(p̄·mean(g·x̂) + g·mean(p̄·x̂)),  s̄ = Σ p̄·p / s.
    """
    count = len(g)
    along_1, along_x = sum(g, 0).data / count, inner(g, x_hat).data / count

    def towards_x_hat(h: Tensor, g: Tensor, x_hat: Tensor, s: Tensor) -> Tensor:
        return (affine(h, s * inner(g, x_hat)) + affine(g, s * inner(h, x_hat))) / -count

    return record(
        fused.project(g.data, x_hat.data, along_x, along_1, s.data),
        (g, lambda h, x_hat, s: project(h, x_hat, s), x_hat, s),
        (x_hat, towards_x_hat, g, x_hat, s),
        (s, lambda h, s, p: inner(h, p) / s, s, OUTPUT),
    )


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Σ x·y for each column of x and y (M, C).  x̄ = ḡ·y, ȳ = ḡ·x."""
    value = fused.column_sums(x.data, y.data, of=fused.scale)
    return record(value, (x, lambda g, y: affine(y, g), y), (y, lambda g, x: affine(x, g), x))


def affine(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, value: Array | None = None
) -> Tensor:
    """z = γ·x + β for each column of x (M, C).  x̄ = ḡ·γ, γ̄ = Σ ḡ·x, β̄ = Σ ḡ.

    ``value`` is z, or what was made of it in place, where that has been computed already.
    """
    if value is None and bias is None:
        value = fused.scale(x.data, weight.data)
    elif value is None and bias is not None:
        value = fused.affine(x.data, weight.data, bias.data)
    return record(
        value,
        (x, lambda g, weight: affine(g, weight), weight),
        (weight, lambda g, x: inner(g, x), x),
        (bias, lambda g: sum(g, 0)),
    )


def _check(x: Tensor, state: State) -> None:
    """Shapes and dtypes that fit."""
    if x.dtype == "float16":  # ends at 65,504
        raise TypeError('batch_norm: squares overflow float16; use .to("float32") on x and layer')
    if x.ndim not in (2, 4):
        raise ValueError(f"batch_norm: expected x (N, C) or (N, C, H, W), got {x.shape}")
    for name, t in zip(("weight", "bias", "running_mean", "running_var"), state, strict=True):
        if t is not None and not isinstance(t, Tensor):
            raise wrong_type("batch_norm", name, "a Tensor, which training changes in place", t)
        if t is not None and t.shape != x.shape[1:2]:
            expected = f"({x.shape[1]},) for x {x.shape}"
            raise ValueError(f"batch_norm: {name} must be {expected}, got {t.shape}")
        if t is not None and t.dtype != x.dtype:
            raise TypeError(f"batch_norm: x is {x.dtype} but {name} is {t.dtype}")


def instance_norm(
    x: Operand, weight: Operand | None = None, bias: Operand | None = None, *, eps: float = 1e-5
) -> Tensor:
    """y = γ · (x − μ)/√(σ² + ε) + β, μ and σ² of each picture's channel (Ulyanov et al. 2016).

    x (N, C, H, W) of more than one position; weight γ and bias β (C,), 1 and 0 if None. It is
    :func:`batch_norm` of a batch of H·W positions with N·C channels.
    """
    x, eps = _float("instance_norm", x), number("instance_norm", "eps", eps, "[0, inf)")
    if x.ndim != 4 or x.shape[2] * x.shape[3] < 2:
        raise ValueError(f"instance_norm: expected x (N, C, H, W), H·W > 1, got {x.shape}")
    n, c, h, w = x.shape
    gamma = Tensor(backend.xp.ones(c, x.dtype)) if weight is None else as_tensor(weight)
    beta = Tensor(backend.xp.zeros(c, x.dtype)) if bias is None else as_tensor(bias)
    if gamma.shape != (c,) or beta.shape != (c,):
        raise ValueError(
            f"instance_norm: weight and bias must be ({c},) for x {x.shape}, "
            f"got {gamma.shape} and {beta.shape}"
        )
    gamma, beta = (reshape(broadcast_to(t, (n, c)), n * c) for t in (gamma, beta))
    y = batch_norm(reshape(permute(x, 2, 3, 0, 1), h * w, n * c), gamma, beta, eps=eps)
    return permute(reshape(y, h, w, n, c), 2, 3, 0, 1)
