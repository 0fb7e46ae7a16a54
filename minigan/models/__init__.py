"""Layer 5: the models, one short file each."""

from minigan.models.mlp_gan import MLPGAN

__all__ = ["MLPGAN"]
