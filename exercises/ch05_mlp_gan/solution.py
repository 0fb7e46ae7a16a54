"""Chapter 05, an MLP GAN on MNIST: solutions, with their reasoning."""

import numpy as np

from minigan import no_grad
from minigan.functional import softplus


def to_tanh_range(images):
    # The cast comes first: in uint8, arithmetic wraps round at 256.
    return images.astype("float32") / 127.5 - 1


def to_uint8(images):
    # Round before the cast, which truncates; clip before it as well, since 256 would become 0.
    return np.clip(np.rint((images + 1) * 127.5), 0, 255).astype("uint8")


def discriminator_step(generator, discriminator, optimizer, real, z):
    # Without a graph the fakes are data like any other, and no gradient can reach G. Two calls of
    # D keep the batches apart. zero_grad comes before backward, because backward adds.
    with no_grad():
        fake = generator(z)
    loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def generator_step(generator, discriminator, optimizer, z):
    # Here the graph must run through D: what G learns is how D's answer changes with the picture.
    # D's weights collect gradients on the way; its own step forgets them by zero_grad.
    loss = softplus(-discriminator(generator(z))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
