"""Chapter 05: other answers."""

import numpy as np
from variant import right, wrong

import minigan as mg
import minigan.functional as F


@right("05.1")
def to_tanh_range(images):
    return (np.asarray(images, "float64") * 2 / 255 - 1).astype(np.float32)


@right("05.1")
def to_uint8(images):
    return np.floor(np.clip(images, -1, 1) * 127.5 + 128).clip(0, 255).astype(np.uint8)


@wrong("05.1", "to_tanh_range: from -1 to 1", "the range [0, 1]")
def to_tanh_range(images):
    return images.astype(np.float32) / 255


@wrong("05.1", "to_tanh_range: float32")
def to_tanh_range(images):
    return images / 127.5 - 1


@wrong("05.1", "to_tanh_range: from -1 to 1", "divided by 128, which misses 1")
def to_tanh_range(images):
    return (images.astype(np.float32) - 128) / 128


@wrong("05.1", "to_uint8: rounded")
def to_uint8(images):
    return np.clip(127.5 * images + 127.5 + 1e-4, 0, 255).astype(np.uint8)


@wrong("05.1", "to_uint8: clipped", "a cast without clipping, which wraps round")
def to_uint8(images):
    return np.round((images + 1) / 2 * 255).astype(np.int64).astype(np.uint8)


@right("05.2")
def discriminator_step(generator, discriminator, optimizer, real, z):
    optimizer.zero_grad()
    d_real = discriminator(real)
    d_fake = discriminator(generator(z).detach())
    ones, zeros = (mg.tensor(f(d_real.shape), dtype=real.dtype) for f in (np.ones, np.zeros))
    loss_real = F.binary_cross_entropy_with_logits(d_real, ones)
    loss_fake = F.binary_cross_entropy_with_logits(d_fake, zeros[: len(z)])
    loss_real.backward()
    loss_fake.backward()
    optimizer.step()
    return loss_real.item() + loss_fake.item()


@right("05.2")
def discriminator_step(generator, discriminator, optimizer, real, z):
    loss = mg.losses.minimax.discriminator(discriminator(real), discriminator(generator(z)))
    discriminator.zero_grad()
    loss.backward(inputs=discriminator.parameters())
    optimizer.step()
    return float(loss)


def d_loss(generator, discriminator, real, z):
    fake = generator(z)
    return F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()


@wrong("05.2", "nothing reaches G", "a gradient that reaches G: the fakes are not detached")
def discriminator_step(generator, discriminator, optimizer, real, z):
    loss = d_loss(generator, discriminator, real, z)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong(
    "05.2",
    "gradients left over from G's step",
    "gradients from before added in: no zero_grad() before backward()",
)
def discriminator_step(generator, discriminator, optimizer, real, z):
    fake = generator(z).detach()
    loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@wrong("05.2", "a float")
def discriminator_step(generator, discriminator, optimizer, real, z):
    loss = d_loss(generator, discriminator, real, z)
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.params)
    optimizer.step()
    return loss


@wrong("05.2", "the loss", "the labels swapped")
def discriminator_step(generator, discriminator, optimizer, real, z):
    fake = generator(z).detach()
    loss = F.softplus(discriminator(real)).mean() + F.softplus(-discriminator(fake)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("05.2", "the loss")
def discriminator_step(generator, discriminator, optimizer, real, z):
    d_loss(generator, discriminator, real, z).backward(inputs=optimizer.params)
    optimizer.step()
    return d_loss(generator, discriminator, real, z).item()


@wrong("05.2", "a D with batch norm", "data and fakes in one batch")
def discriminator_step(generator, discriminator, optimizer, real, z):
    both = F.concatenate([real, generator(z).detach()])
    logits = discriminator(both)
    loss = F.softplus(-logits[: len(real)]).mean() + F.softplus(logits[len(real) :]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@right("05.3")
def generator_step(generator, discriminator, optimizer, z):
    optimizer.zero_grad()
    discriminator.requires_grad_(False)
    loss = mg.losses.non_saturating.generator(discriminator(generator(z)))
    loss.backward()
    discriminator.requires_grad_(True)
    optimizer.step()
    return float(loss)


@right("05.3")
def generator_step(generator, discriminator, optimizer, z):
    loss = -F.log_sigmoid(discriminator(generator(z))).mean()
    generator.zero_grad()
    loss.backward(inputs=list(generator.parameters()))
    optimizer.step()
    discriminator.zero_grad()
    return loss.numpy().item()


@wrong(
    "05.3",
    "G's update",
    "a G that never moves: its fakes are detached, or optimizer.step() is missing",
)
def generator_step(generator, discriminator, optimizer, z):
    with mg.no_grad():
        fake = generator(z)
    loss = F.softplus(-discriminator(fake)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("05.3", "the loss", "the minimax loss")
def generator_step(generator, discriminator, optimizer, z):
    loss = mg.losses.minimax.generator(discriminator(generator(z)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("05.3", "D stays as it is", "a D that stays frozen")
def generator_step(generator, discriminator, optimizer, z):
    for p in discriminator.parameters():
        p.requires_grad_(False)
    loss = F.softplus(-discriminator(generator(z))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("05.3", "D stays as it is")
def generator_step(generator, discriminator, optimizer, z):
    discriminator.eval()
    loss = F.softplus(-discriminator(generator(z))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong(
    "05.3",
    "gradients left over from before",
    "gradients from before added in: no zero_grad() before backward()",
)
def generator_step(generator, discriminator, optimizer, z):
    loss = F.softplus(-discriminator(generator(z))).mean()
    loss.backward()
    optimizer.step()
    return loss.item()
