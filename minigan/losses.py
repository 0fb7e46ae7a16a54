"""Layer 4: the games. One objective is one named pair of equations; the penalties come last.

All are written on what D answers without a sigmoid, its score s = D(x). To the two logistic games,
minimax and non-saturating, s is a logit, and with softplus(s) = log(1 + eˢ)
−log σ(s) = softplus(−s) and −log(1 − σ(s)) = softplus(s). So they are finite, with exact
gradients, for every finite logit. E is the mean over the batch.

Goodfellow 2014: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
Mao 2017: Mao et al., "Least Squares Generative Adversarial Networks", ICCV.
Lim & Ye 2017: "Geometric GAN".
Miyato 2018: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR.
Arjovsky 2017: Arjovsky et al., "Wasserstein Generative Adversarial Networks", ICML.
Gulrajani 2017: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS.
Mescheder 2018: Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

from minigan import backend
from minigan.arguments import number
from minigan.autograd import Operand, Tensor, _reachable, as_tensor, grad, no_grad
from minigan.functional import mean, relu, softplus, sqrt
from minigan.ops.elementwise import _float


class Objective:
    """What the two players minimise: a name, and one equation for each."""

    name = ""
    #: Whether s is a logit. If so, D's answer is σ(s), the probability of "real"; if not, it is s.
    logistic = True
    #: The loss and the mean answers of the best D, where the generator is perfect.
    equilibrium: ClassVar[Mapping[str, float]] = {}

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The discriminator's loss, a scalar Tensor, from its logits of data and of samples."""
        raise NotImplementedError(f"{type(self).__name__} does not define discriminator")

    def generator(self, fake_logits: Tensor) -> Tensor:
        """The generator's loss, a scalar Tensor, from D's logits of its samples."""
        raise NotImplementedError(f"{type(self).__name__} does not define generator")

    def __repr__(self) -> str:
        return f"minigan.losses.{self.name}"


class Minimax(Objective):
    """The game as stated: the generator minimises what the discriminator maximises."""

    name = "minimax"
    equilibrium: ClassVar = {"d_loss": 2 * math.log(2), "d_real": 0.5, "d_fake": 0.5}

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0
    ) -> Tensor:
        """L_D = E[softplus(−s_real)] + E[softplus(s_fake)]  (Goodfellow 2014, eq. 1, negated).

        Args:
            real_logits, fake_logits: D's logits of a batch of data and of a batch of samples.
            real_target: what D should answer on data. Below 1 it is one-sided label smoothing
                (Salimans et al. 2016, section 3.4): −α log σ(s) − (1 − α) log(1 − σ(s)), which is
                α·softplus(−s) + (1 − α)·softplus(s). Samples keep the target 0.

        Returns:
            A scalar Tensor.
        """
        real_target = number("discriminator", "real_target", real_target, "(0, 1]")
        real = mean(softplus(-real_logits))
        if real_target != 1.0:
            real = real * real_target + mean(softplus(real_logits)) * (1.0 - real_target)
        return real + mean(softplus(fake_logits))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """L_G = E[log(1 − D(G(z)))] = −E[softplus(s)], slope −σ(s) (Goodfellow 2014, eq. 1).

        The slope vanishes as s → −∞: it saturates exactly where D rejects the samples.
        """
        return -mean(softplus(fake_logits))


class NonSaturating(Minimax):
    """The generator's loss that Goodfellow et al. 2014 (section 3) train with; D's is the same."""

    name = "non_saturating"

    def generator(self, fake_logits: Tensor) -> Tensor:
        """L_G = −E[log D(G(z))] = E[softplus(−s)], slope −(1 − σ(s)) (Goodfellow 2014, sec. 3).

        The slope tends to −1 as s → −∞: strongest where D rejects the samples.
        """
        return mean(softplus(-fake_logits))


class LeastSquares(Objective):
    """D fits 1 to data and 0 to samples by least squares (Mao 2017, without their factor ½)."""

    name = "least_squares"
    logistic = False
    equilibrium: ClassVar = {"d_loss": 0.5, "d_real": 0.5, "d_fake": 0.5}

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """L_D = E[(s_real − 1)²] + E[s_fake²], slopes 2(s_real − 1) and 2·s_fake.

        Its minimum over s is D* = p/(p + q), as the logistic games' is over σ(s).
        """
        return mean((real_logits - 1.0) ** 2) + mean(fake_logits**2)

    def generator(self, fake_logits: Tensor) -> Tensor:
        """L_G = E[(s − 1)²], slope 2(s − 1) (Mao 2017).

        The further from 1, the stronger, on both sides: it also pulls back what D scores above 1.
        """
        return mean((fake_logits - 1.0) ** 2)


class Hinge(Objective):
    """D pushes data above 1 and samples below −1, and no further (Lim & Ye 2017; Miyato 2018)."""

    name = "hinge"
    logistic = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """L_D = E[max(0, 1 − s_real)] + E[max(0, 1 + s_fake)].

        Slopes −1 where s_real < 1 and 1 where s_fake > −1, and 0 beyond these margins.
        """
        return mean(relu(1.0 - real_logits)) + mean(relu(1.0 + fake_logits))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """L_G = −E[s], slope −1 everywhere (Lim & Ye 2017; Miyato 2018)."""
        return -mean(fake_logits)


class Wasserstein(Objective):
    """The critic's estimate of the Wasserstein distance W₁, negated (Arjovsky 2017).

    It is one only if the critic's slope is at most 1 everywhere. Something has to see to that,
    :func:`gradient_penalty` for one: without a bound the loss has no minimum.
    """

    name = "wasserstein"
    logistic = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """L_D = E[s_fake] − E[s_real], slopes 1 and −1 (Arjovsky 2017, algorithm 1, negated)."""
        return mean(fake_logits) - mean(real_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        """L_G = −E[s], slope −1 everywhere (Arjovsky 2017, algorithm 1)."""
        return -mean(fake_logits)


minimax = Minimax()
non_saturating = NonSaturating()
least_squares = LeastSquares()
hinge = Hinge()
wasserstein = Wasserstein()

#: The games by their names, which the command line and a run's config.json use.
OBJECTIVES: dict[str, Objective] = {
    game.name: game for game in (minimax, non_saturating, least_squares, hinge, wasserstein)
}


# --- Penalties ------------------------------------------------------------------------------------


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Operand, fake: Operand, alpha: Operand | None = None
) -> Tensor:
    """E[(‖∇critic(x̂)‖ − 1)²] at x̂ = α·real + (1 − α)·fake (Gulrajani 2017, eq. 3, without its λ).

    Add λ times it to the critic's loss; their λ is 10. Its gradient in the critic's weights is
    exact. The norm is √(Σ + 1e-12) over all axes but the first, so that it has a slope at 0 too.

    Args:
        critic: (N, ...) → N scores, (N,) or (N, 1), each of its own sample alone: without batch
            norm, then.
        real, fake: (N, ...), points or pictures. No gradient goes into them.
        alpha: (N, 1, ...), one number in [0, 1] for each sample; drawn from U[0, 1) by the
            "dropout" stream if None, so that latents stay as they are without a penalty.

    Returns:
        A scalar Tensor.
    """
    real, fake = as_tensor(real), as_tensor(fake)
    if real.shape != fake.shape:
        raise ValueError(
            "gradient_penalty: real and fake must have one shape (N, ...), "
            f"got {real.shape} and {fake.shape}"
        )
    shape = real.shape[:1] + (1,) * (real.ndim - 1)
    if alpha is None:
        alpha = backend.drawn("random", "dropout", shape).astype(real.dtype, copy=False)
    alpha = as_tensor(alpha)
    if alpha.shape != shape:
        raise ValueError(
            f"gradient_penalty: alpha must be {shape} for real {real.shape}, got {alpha.shape}"
        )
    with no_grad():
        x_hat = alpha * real + (1.0 - alpha) * fake
    norm = sqrt(_squared_slopes("gradient_penalty", critic, x_hat) + 1e-12)
    return mean((norm - 1.0) ** 2)


def r1(discriminator: Callable[[Tensor], Tensor], real: Operand) -> Tensor:
    """E‖∇D(x)‖² over data x: the R₁ of Mescheder 2018 (section 4.1), without its γ/2.

    Args:
        discriminator: (N, ...) → N scores, as for :func:`gradient_penalty`.
        real: (N, ...). No gradient goes into it.

    Returns:
        A scalar Tensor, whose gradient in the discriminator's weights is exact.
    """
    return mean(_squared_slopes("r1", discriminator, as_tensor(real)))


def _squared_slopes(op: str, critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """‖∇critic(x)‖² for each row of x, (N,), in the graph of the critic's weights."""
    if not x.shape:
        raise ValueError(f"{op}: expected a batch (N, ...), got one number")
    x = _float(op, x).detach().requires_grad_()
    scores = as_tensor(critic(x))
    if scores.shape not in (x.shape[:1], (*x.shape[:1], 1)):
        raise ValueError(
            f"{op}: expected a score for each row of {x.shape}, ({len(x)},) or ({len(x)}, 1), "
            f"got {scores.shape}"
        )
    if scores._node is None or x._node not in _reachable([scores._node]):
        raise RuntimeError(
            f"{op}: the scores do not depend on what was scored, so they have no slope; were they "
            "detached, or computed under no_grad()?"
        )
    (slope,) = grad(scores.sum(), x, create_graph=True)
    return (slope * slope).sum(axis=tuple(range(1, x.ndim)))
