"""Layer 5: weights that come with the package: digits without training, for chapter 00."""

from pathlib import Path

from minigan import backend
from minigan.checkpoint import load_pinned
from minigan.models.dcgan import HalfDCGAN

__all__ = ["pretrained"]

#: The generator's weights in float16, and what their bytes must be.
WEIGHTS = Path(__file__).parent / "dcgan_half.safetensors"
SHA256 = "84d161e5a8ebf5fe39ac755dad5e7db825172423716ba3f4a6f9479a67b5bc50"


def pretrained() -> HalfDCGAN:
    """A HalfDCGAN whose generator is trained and whose discriminator is not: it is for drawing.

    What lies beside this file is the ``generator.safetensors`` of one run, seed 0, not picked,

        minigan train dcgan-half --data mnist --epochs 20 --seed 0

    with OPENBLAS_NUM_THREADS=1: 9,360 steps. Each tensor is rounded to float16, which halves the
    file, and loaded as float32. The discriminator's weights are not in the package:
    those returned are fresh, as in any new HalfDCGAN. Random streams are as they were.

    Raises:
        RuntimeError: the weights' file is not the one that this version was made with.
    """
    weights = load_pinned(WEIGHTS, SHA256)
    with backend.streams_kept():
        gan = HalfDCGAN()
    gan.generator.load_state_dict(weights)
    return gan
