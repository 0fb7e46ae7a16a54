"""Layer 4: the games. One objective is one named pair of equations.

All are written on logits s = D(x), before the sigmoid, with softplus(s) = log(1 + eˢ):
−log σ(s) = softplus(−s) and −log(1 − σ(s)) = softplus(s). So they are finite, with exact
gradients, for every finite logit. E is the mean over the batch.

Goodfellow 2014: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
"""

from __future__ import annotations

from minigan.arguments import number
from minigan.autograd import Tensor
from minigan.functional import mean, neg, softplus


class Objective:
    """What the two players minimise: a name, and one equation for each."""

    name = ""

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
        real = mean(softplus(neg(real_logits)))
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
        return mean(softplus(neg(fake_logits)))


minimax = Minimax()
non_saturating = NonSaturating()

#: By name, for the command line and for a run's config.json.
OBJECTIVES: dict[str, Objective] = {game.name: game for game in (minimax, non_saturating)}
