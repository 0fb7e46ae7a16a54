"""Layer 5: the models, one short file each, and what they have in common (``gan``)."""

from minigan.models.dcgan import DCGAN, HalfDCGAN
from minigan.models.gan import GAN
from minigan.models.maxout_gan import MaxoutGAN
from minigan.models.mlp_gan import MLPGAN
from minigan.models.pretrained_weights import pretrained

__all__ = ["DCGAN", "GAN", "MLPGAN", "MODELS", "HalfDCGAN", "MaxoutGAN", "pretrained"]

#: By name, for the command line and for a run's config.json.
MODELS: dict[str, type[GAN]] = {
    model.name: model for model in (MLPGAN, DCGAN, HalfDCGAN, MaxoutGAN)
}
