"""Layer 5: what every GAN here has in common: it owns its step, and its attributes are its state.

    D's step:   minimise L_D(D(x), D(G(z)))  over D, with G held fixed
    G's step:   minimise L_G(D(G(z)))        over G, with D held fixed

(Goodfellow et al. 2014, algorithm 1, with one D step per G step; the losses are an Objective.) A
generator G maps latents z ~ N(0, I) to pictures in [−1, 1]; a discriminator D maps pictures to
scores. A model whose paper has another algorithm writes that down in a ``step`` of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy

from minigan import backend
from minigan.arguments import integer, wrong_type
from minigan.autograd import Tensor, as_tensor, no_grad
from minigan.data.batches import Batches, Epochs, to_pixels, to_tanh_range
from minigan.functional import sigmoid
from minigan.losses import OBJECTIVES, Objective, Wasserstein, non_saturating
from minigan.models.state import Stateful
from minigan.nn import Module
from minigan.ops.create import randn
from minigan.optim import Optimizer

__all__ = [
    "GAN",
    "discriminator_step",
    "evaluating",
    "game_of",
    "generator_step",
    "picture_shape",
    "to_pixels",
    "to_tanh_range",
]

#: Pictures in the preview that is drawn from the same latents after every epoch.
FIXED = 64


class GAN(Stateful):
    """A game: its nets, their optimisers, and the step that trains them.

    A subclass sets nets and optimisers in ``__init__``, which takes the paper's hyperparameters,
    each with a default, and overrides what its algorithm does in another way. As it stands, the
    class plays ``game`` between ``generator``, (N, latent_dim) → pictures, and ``discriminator``,
    pictures → scores: one step of ``d_optimizer``, one of ``g_optimizer``.

    Attributes are state. Modules, Optimizers, Tensors, whatever has ``state_dict`` and
    ``load_state_dict``, numbers, texts and tuples of these are saved with a run and restored bit
    for bit, and so are the numbers and texts of Modules and Optimizers; each Module is a file of
    its own, ``ATTRIBUTE.safetensors``. An attribute that would be lost in silence, a list for one,
    is a TypeError (several nets are a ``ModuleList``), and so is a net that a step makes.
    """

    #: The name on the command line and in a run's config.json; the class's own name by default.
    name: ClassVar[str]
    #: The defaults of a run's length and of the pictures in a batch.
    epochs: ClassVar[int] = 20
    batch_size: ClassVar[int] = 128

    game: Objective = non_saturating
    latent_dim: int
    generator: Module
    discriminator: Module
    d_optimizer: Optimizer
    g_optimizer: Optimizer
    fixed: Tensor

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def __getattr__(self, name: str) -> Any:
        """Called for what is missing."""
        missing = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name in GAN.__annotations__:
            missing += ": set it in __init__, or override the methods of GAN that use it"
        raise AttributeError(missing)

    # --- Learning

    def batches(
        self, images: numpy.ndarray, labels: numpy.ndarray | None, batch_size: int
    ) -> Epochs:
        """What the model learns from, as an endless iterator: pictures with their labels.

        Args:
            images: uint8 (N, C, H, W).
            labels: integers (N,), or None.
            batch_size: pictures in a batch.
        """
        return Batches(images, labels, batch_size)

    def start(self, data: Epochs) -> None:
        """Called once, before the first step; a checkpoint is loaded after it.

        ``fixed`` is what :meth:`preview` draws.
        """
        self.fixed = self.latents(FIXED)

    def step(self, data: Any, t: int) -> dict[str, Tensor]:
        """One step of the algorithm, the t-th from 0; it draws from ``data`` by ``next``.

        Returns:
            What was measured, scalar Tensors by name, the same names at every step: the columns of
            history.csv. What the optimiser ``x_optimizer`` minimises is returned as ``x_loss``.
        """
        real, _ = next(data)
        players = self.generator, self.discriminator, self.game
        measured = discriminator_step(*players, self.d_optimizer, real, self.latents(len(real)))
        return measured | generator_step(*players, self.g_optimizer, self.latents(len(real)))

    def equilibrium(self) -> Mapping[str, float]:
        """Where a perfect generator would hold what the step measures, for ``curves.png``."""
        return self.game.equilibrium if "game" in vars(self) else {}

    # --- Drawing

    def latents(self, n: int, rng: Any = None) -> Tensor:
        """n latents z ~ N(0, I), float32 (n, latent_dim), from the host generator ``rng``.

        Without one they come from the "latent" stream.
        """
        return randn(n, self.latent_dim, rng=rng)

    def draw(self, z: Tensor) -> Tensor:
        """The pictures of latents in [−1, 1], (N, C, H, W), with the nets that draw best."""
        pictures: Tensor = self.generator(z)
        return pictures

    def generate(self, z: Tensor) -> numpy.ndarray:
        """The pictures of given latents, uint8 (n, C, H, W), drawn in evaluation mode."""
        z = as_tensor(z)
        with evaluating(*self.parts(Module).values()), no_grad():
            parts = [
                to_pixels(self.draw(z[part]).numpy())
                for part in backend.slices(max(1, len(z)), backend.CHUNK)
            ]
        return numpy.concatenate(parts)

    def sample(self, n: int, seed: int | None = None) -> numpy.ndarray:
        """n pictures, uint8 (n, C, H, W), drawn in evaluation mode.

        Args:
            n: how many, at least 1.
            seed: the same integer gives the same pictures; None draws from the "latent" stream.
        """
        n = integer("sample", "n", n, 1)
        return self.generate(self.latents(n, None if seed is None else backend.generator(seed)))

    def preview(self) -> numpy.ndarray:
        """The pictures of a run's progress, uint8 (n, C, H, W): the same latents every time."""
        return self.generate(self.fixed)


@contextlib.contextmanager
def evaluating(*nets: Module) -> Iterator[None]:
    """Evaluation mode for the block; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for net in nets for module in net.modules()]
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


# --- The two steps --------------------------------------------------------------------------------

Net = Callable[[Tensor], Tensor]


def discriminator_step(
    generator: Net,
    discriminator: Net,
    objective: Objective,
    optimizer: Optimizer,
    real: Tensor,
    z: Tensor,
) -> dict[str, Tensor]:
    """One step of D on a batch of data and a batch of samples: its loss, and what D answered."""
    with no_grad():  # D's step sends no gradient into G
        fake = generator(z)
    real_logits = discriminator(real)
    fake_logits = discriminator(fake)  # a batch of its own: batch norm must not mix the two
    loss = objective.discriminator(real_logits, fake_logits)
    optimizer.minimize(loss)
    return {"d_loss": loss.detach(), **answers(objective, real_logits, fake_logits)}


def generator_step(
    generator: Net, discriminator: Net, objective: Objective, optimizer: Optimizer, z: Tensor
) -> dict[str, Tensor]:
    """One step of G on a batch of its samples, as D judges them: its loss."""
    loss = objective.generator(discriminator(generator(z)))
    optimizer.minimize(loss)  # through D, but D's own gradients are not computed
    return {"g_loss": loss.detach()}


def answers(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
    """D's mean answers on data and on samples, ``d_real`` and ``d_fake``.

    An answer is a probability σ(s), or the score s itself if the objective takes s for no logit.
    """
    with no_grad():
        real, fake = (sigmoid(s) if objective.logistic else s for s in (real_logits, fake_logits))
        return {"d_real": real.mean(), "d_fake": fake.mean()}


def picture_shape(owner: str, shape: Any) -> tuple[int, int, int]:
    """The shape of a picture, (C, H, W); TypeError or ValueError for anything else."""
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise wrong_type(owner, "shape", "the shape of a picture, (C, H, W)", shape)
    c, h, w = (integer(owner, f"shape[{i}]", n, 1) for i, n in enumerate(shape))
    return c, h, w


def game_of(owner: str, loss: str | Objective) -> Objective:
    """The objective that a constructor's ``loss`` names, or is.

    ValueError for an unknown name, and for Wasserstein's, which needs something that bounds D's
    slope: a model that has that writes its own step.
    """
    known = [k for k, game in OBJECTIVES.items() if not isinstance(game, Wasserstein)]
    game = OBJECTIVES.get(loss) if isinstance(loss, str) else loss
    if isinstance(game, Wasserstein):
        raise ValueError(
            f"{owner}: the loss wasserstein has no minimum here: nothing bounds the critic's "
            "slope, and the steeper the critic, the lower its loss; use hinge or least_squares, or "
            "add minigan.losses.gradient_penalty in a step of your own"
        )
    if isinstance(game, Objective):
        return game
    if isinstance(loss, str):
        raise ValueError(f"{owner}: loss must be one of {', '.join(known)}, got {loss!r}")
    raise wrong_type(owner, "loss", "the name of a loss, or an Objective", loss)
