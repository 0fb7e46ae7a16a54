"""Chapter 05, an MLP GAN on MNIST: what one honest training loop contains.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 05
"""

import numpy as np

import minigan as mg


def to_tanh_range(images):
    """Pixels 0 ... 255 as the numbers that a generator's tanh can reach.

        x = pixel / 127.5 - 1

    Args:
        images: uint8 array of any shape.

    Returns:
        A float32 array of that shape, from -1 (black) to 1 (white).

    >>> to_tanh_range(np.array([0, 51, 255], "uint8")).round(3).tolist()
    [-1.0, -0.6000000238418579, 1.0]
    """
    raise NotImplementedError


def to_uint8(images):
    """The way back, for display: pixel = (x + 1) 127.5, rounded to the nearest, within 0 ... 255.

    Args:
        images: float array of any shape, most of it within [-1, 1].

    Returns:
        A uint8 array of that shape.

    >>> to_uint8(np.array([-1.0, -0.6, 1.0, 7.0])).tolist()
    [0, 51, 255, 255]
    """
    raise NotImplementedError


def discriminator_step(generator, discriminator, optimizer, real, z):
    """One step of the discriminator: draw fakes, compute its loss, update its weights.

        L_D = E[softplus(-D(real))] + E[softplus(D(G(z)))]          (D gives logits)

    Only D learns: G's weights stay, and no gradient is collected in them. Gradients that D's
    weights hold from before do not count. Data and fakes go through D as two batches, because
    batch norm would mix them.

    Args:
        generator, discriminator: minigan Modules. z -> fakes; pictures -> logits (N, 1).
        optimizer: of the discriminator's parameters; it has zero_grad() and step().
        real: Tensor, a batch of data.
        z: Tensor, a batch of latents.

    Returns:
        The loss before the update, a float.

    >>> mg.manual_seed(0)
    >>> g, d = mg.nn.Linear(2, 3), mg.nn.Linear(3, 1)
    >>> optimizer = mg.optim.SGD(d.parameters(), lr=0.1)
    >>> real, z = mg.tensor(np.ones((4, 3), "float32")), mg.tensor(np.zeros((4, 2), "float32"))
    >>> first = discriminator_step(g, d, optimizer, real, z)
    >>> discriminator_step(g, d, optimizer, real, z) < first
    True
    """
    raise NotImplementedError


def generator_step(generator, discriminator, optimizer, z):
    """One step of the generator, with the non-saturating loss.

        L_G = E[softplus(-D(G(z)))]                                  (D gives logits)

    The gradient runs through D into G, but only G's weights are updated. Gradients that G's weights
    hold from before do not count. D is left able to learn.

    Args:
        generator, discriminator: minigan Modules. z -> fakes; pictures -> logits (N, 1).
        optimizer: of the generator's parameters; it has zero_grad() and step().
        z: Tensor, a batch of latents.

    Returns:
        The loss before the update, a float.

    >>> mg.manual_seed(0)
    >>> g, d = mg.nn.Linear(2, 3), mg.nn.Linear(3, 1)
    >>> optimizer = mg.optim.SGD(g.parameters(), lr=0.1)
    >>> z = mg.tensor(np.zeros((4, 2), "float32"))
    >>> first = generator_step(g, d, optimizer, z)
    >>> generator_step(g, d, optimizer, z) < first
    True
    """
    raise NotImplementedError
