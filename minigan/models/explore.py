"""Layer 5: looks into a trained GAN: walks between its latents, and what its layers make of one."""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.arguments import integer
from minigan.autograd import Tensor, no_grad
from minigan.models.gan import GAN, evaluating
from minigan.nn import LeakyReLU, Module, ReLU, Sequential, Sigmoid, Tanh

__all__ = ["feature_maps", "interpolate", "slerp"]

ACTIVATIONS = (ReLU, LeakyReLU, Sigmoid, Tanh)


def slerp(a: numpy.ndarray, b: numpy.ndarray, steps: int) -> numpy.ndarray:
    """Walks from the rows of a (n, d) to those of b, (n, steps, d), float32.

    A walk turns from a's direction to b's, at angle Ω to it (Shoemake, "Animating rotation with
    quaternion curves", 1985: "slerp"), while its length goes from |a| to |b|:

        z(t) = ((1−t)|a| + t|b|) · (sin (1−t)Ω · a/|a| + sin tΩ · b/|b|) / sin Ω.

    High-dimensional Gaussian latents lie close to a sphere, which a straight line would leave
    for its inside, where G has seen no latents (White, "Sampling generative networks", 2016).
    """
    from_length, to_length = (numpy.linalg.norm(x, axis=1)[:, None, None] for x in (a, b))
    a, b = a[:, None] / from_length, b[:, None] / to_length
    cosine = (a * b).sum(axis=-1, keepdims=True).clip(-0.999, 0.999)  # off 0 and π
    angle, t = numpy.arccos(cosine), numpy.linspace(0.0, 1.0, steps)[:, None]
    z = (numpy.sin((1 - t) * angle) * a + numpy.sin(t * angle) * b) / numpy.sin(angle)
    z *= (1 - t) * from_length + t * to_length
    walks: numpy.ndarray = z.astype("float32")
    return walks


def interpolate(model: GAN, rows: int, steps: int, seed: int | None = None) -> numpy.ndarray:
    """``rows`` walks of ``steps`` pictures between two latents: uint8 (rows·steps, C, H, W).

    The latents are those of ``model.sample(2 * rows, seed)``; see :func:`slerp`.
    """
    rows, steps = (integer("interpolate", k, v) for k, v in (("rows", rows), ("steps", steps)))
    if rows < 1 or steps < 2:
        raise ValueError(f"interpolate: expected rows >= 1, steps >= 2, got {rows}, {steps}")
    ends = model.latents(2 * rows, None if seed is None else backend.generator(seed)).numpy()
    z = slerp(ends[:rows], ends[rows:], steps).reshape(rows * steps, -1)
    return model.generate(Tensor(backend.asarray(z)))


def feature_maps(model: GAN, z: Tensor) -> list[tuple[str, numpy.ndarray]]:
    """What each activation makes of z (1, latent_dim), through G and D: names and (C, H, W).

    For players that are Sequential; ValueError for others, whose order of layers is not known,
    and for dense ones, which have no maps.
    """
    found, x = [], z
    players = [(k, vars(model).get(k)) for k in ("generator", "discriminator")]
    for name, player in players:
        if not isinstance(player, Sequential):
            got = f"is a {type(player).__name__}" if player is not None else "is missing"
            raise ValueError(
                f"{model.name}: feature maps are those of two Sequential players; its {name} {got}"
            )
    with evaluating(*model.parts(Module).values()), no_grad():
        for name, player in players:
            assert isinstance(player, Sequential)
            for i, layer in enumerate(player.children()):
                x = layer(x)
                if x.ndim == 4 and isinstance(layer, ACTIVATIONS):
                    found.append(
                        (f"{name[0].upper()}, layer {i}: {type(layer).__name__}", x.numpy()[0])
                    )
    if not found:
        raise ValueError(f"{model.name}: its layers hold vectors, there are no feature maps")
    return found
