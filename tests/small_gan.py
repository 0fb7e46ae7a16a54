"""A small GAN, fifty images, and the loop around them: what tests of training share."""

import json
from typing import Any

import numpy as np

import minigan as mg
from minigan.losses import Objective, non_saturating
from minigan.models import GAN
from minigan.optim import Adam
from minigan.training import Trainer

nn = mg.nn

N, BATCH = 50, 8
PER_EPOCH = 6  # 50 // 8

#: Image i is grey of level 5·i, so that it can be recognised in a batch.
IMAGES = np.repeat(5 * np.arange(N, dtype=np.uint8), 784).reshape(N, 1, 28, 28)


class Small(GAN):
    """Every kind of layer that an MLPGAN has, with a fiftieth of its weights."""

    name = "small"

    def __init__(self, lr: float = 1e-3, game: Objective = non_saturating) -> None:
        self.game, self.latent_dim = game, 4
        self.generator = nn.Sequential(
            nn.Linear(4, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 784),
            nn.Tanh(),
            nn.Unflatten(1, (1, 28, 28)),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1)
        )
        self.d_optimizer = Adam(self.discriminator.parameters(), lr, betas=(0.5, 0.999))
        self.g_optimizer = Adam(self.generator.parameters(), lr, betas=(0.5, 0.999))


class Recorder(nn.Module):
    """A discriminator that keeps what it was shown."""

    def __init__(self, inner: nn.Module):
        self.inner = inner
        self.seen: list[np.ndarray] = []

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        self.seen.append(x.numpy())
        return self.inner(x)


def trainer(
    seed: int = 0, kind: type[GAN] = Small, batch_size: int = BATCH, **options: Any
) -> Trainer:
    mg.manual_seed(seed)
    model = kind(**options)
    return Trainer(model, model.batches(IMAGES, None, batch_size))


def everything(one: Trainer) -> dict[str, bytes]:
    """Each array and each value that the trainer's next step depends on."""
    tensors, info = one.state()
    bits = {name: value.tobytes() for name, value in tensors.items()}
    return bits | {"info": json.dumps(info, sort_keys=True).encode()}
