"""Layer 3: compare every derivative with finite differences.

For an op f, a random cotangent v and each input entry x_j, the central difference

    ( ⟨v, f(x + ε e_j)⟩ − ⟨v, f(x − ε e_j)⟩ ) / 2ε  =  ⟨v, ∂f/∂x_j⟩ + O(ε²)

must match what the VJP of f makes of v. In float64 with ε = 10⁻⁶ the two agree to about nine
digits of the function's scale; float32 has too few, so it is refused. A random v meets every
row of the Jacobian at once, and a wrong entry survives it with probability zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from minigan import backend
from minigan.arguments import number
from minigan.autograd import Tensor, grad, recording, several


class GradcheckError(AssertionError):
    """A derivative disagrees with finite differences; the message names the worst entry."""


def _project(outputs: Any, cotangents: list[numpy.ndarray]) -> float:
    """The sum of ⟨v, output⟩ over the outputs and their cotangents v."""
    pairs = zip(several("gradcheck", outputs), cotangents, strict=True)
    return sum(float((y.numpy() * v).sum()) for y, v in pairs)


def _gradients(outputs: Any, inputs: Any, vs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """The gradients of ⟨v, fn(inputs)⟩, summed over those outputs that require gradients."""
    live = [(y, v) for y, v in zip(outputs, vs, strict=True) if y.requires_grad]
    return grad([y for y, _ in live], inputs, [v for _, v in live], create_graph)


@recording(True)  # also of finite differences: fn may take a gradient itself, as R1 does
def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    seed: int = 0,
) -> None:
    """Raise :class:`GradcheckError` unless every gradient of ``fn(*inputs)`` is right.

    Args:
        fn: takes the inputs, returns a Tensor or a sequence of Tensors; the same each time.
        inputs: Tensors; those that require gradients are checked and must be float64.
        eps: the step of the finite difference.
        atol, rtol: an entry passes if |analytic − numeric| ≤ atol + rtol·|numeric|.
        seed: the seed of the random cotangent.

    >>> from minigan import tensor
    >>> gradcheck(lambda x: x * x, tensor([1.0, 2.0], requires_grad=True, dtype="float64"))
    """
    eps = number("gradcheck", "eps", eps, "(0, inf)")
    atol = number("gradcheck", "atol", atol, "[0, inf)")
    rtol = number("gradcheck", "rtol", rtol, "[0, inf)")
    inputs = several("gradcheck", inputs)
    checked = [(i, x) for i, x in enumerate(inputs) if x.requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input requires gradients")
    for i, x in checked:
        if x.dtype != "float64":
            raise TypeError(f"gradcheck: input {i} is {x.dtype}; finite differences need float64")

    outputs = several("gradcheck", fn(*inputs))
    rng = backend.generator(seed)
    cotangents = [rng.standard_normal(y.shape) for y in outputs]
    if _project(fn(*inputs), cotangents) != _project(outputs, cotangents):
        raise GradcheckError("gradcheck: fn gives another result when called again, or NaN")
    vs = [Tensor(backend.asarray(v)) for v in cotangents]
    analytic = _gradients(outputs, [x for _, x in checked], vs, False)

    worst, report = 1.0, ""
    for (i, x), g in zip(checked, analytic, strict=True):
        g_host, base = g.numpy(), x.numpy()
        probe = [y.detach() for y in inputs]
        for entry in numpy.ndindex(*x.shape):
            sides = []
            for step in (eps, -eps):
                moved = base.copy()
                moved[entry] += step
                probe[i] = Tensor(backend.asarray(moved))
                sides.append(_project(fn(*probe), cotangents))
            numeric = (sides[0] - sides[1]) / (2 * eps)
            error, allowed = abs(float(g_host[entry]) - numeric), atol + rtol * abs(numeric)
            excess = error / allowed
            if not excess <= worst:  # NaN counts as wrong
                worst = numpy.inf if numpy.isnan(excess) else excess
                report = (
                    f"gradcheck: input {i}, entry {entry} of shape {x.shape}: "
                    f"analytic {float(g_host[entry]):.10g}, numeric {numeric:.10g}, "
                    f"difference {error:.3g} (allowed {allowed:.3g})"
                )
    if report:
        raise GradcheckError(report)


@recording(True)
def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    seed: int = 0,
) -> None:
    """:func:`gradcheck` of the map (inputs, v) ↦ gradients of ⟨v, fn(inputs)⟩: second order.

    Takes the same arguments and raises the same errors. The entries named count the inputs first
    and then the incoming gradients v, one per output.
    """
    inputs = several("gradcheck", inputs)
    outputs = several("gradcheck", fn(*inputs))
    rng = backend.generator(seed + 1)
    incoming = [
        Tensor(backend.asarray(rng.standard_normal(y.shape)), requires_grad=True) for y in outputs
    ]
    wanted = [i for i, x in enumerate(inputs) if x.requires_grad]
    if not wanted:
        raise ValueError("gradgradcheck: no input requires gradients")

    def first_order(*arguments: Tensor) -> tuple[Tensor, ...]:
        xs = list(arguments[: len(inputs)])
        for i in wanted:  # finite differences move plain tensors; the inner grad needs leaves
            if not xs[i].requires_grad:
                xs[i] = xs[i].detach().requires_grad_()
        outputs = several("gradcheck", fn(*xs))
        return _gradients(outputs, [xs[i] for i in wanted], arguments[len(inputs) :], True)

    try:
        gradcheck(first_order, (*inputs, *incoming), eps=eps, atol=atol, rtol=rtol, seed=seed)
    except GradcheckError as error:
        raise GradcheckError(f"second order: {error}") from None
