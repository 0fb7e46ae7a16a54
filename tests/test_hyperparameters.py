"""Hyperparameters: what a model may be built with, out of texts, and what is said of mistakes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigan.losses import hinge
from minigan.models import DCGAN, GAN, MLPGAN, MODELS, HalfDCGAN, MaxoutGAN
from minigan.models.hyperparameters import build, defaults, from_text

pytestmark = pytest.mark.on_the_host("touches no arrays")


class Every(GAN):
    """A constructor with a default of every type."""

    name = "every"

    def __init__(
        self,
        lr: float = 1e-3,
        width: int = 64,
        smooth: bool = False,
        loss: str = "hinge",
        betas: tuple[float, float] = (0.5, 0.999),
        layers: tuple[int, ...] = (256, 128),
        shape: tuple[int, ...] = (1, 28, 28),
    ):
        if width < 1:
            raise ValueError(f"Every: width must be positive, got {width}")
        self.given = (lr, width, smooth, loss, betas, layers)
        self.shape = shape


LISTED = (
    "every has lr = 0.001, width = 64, smooth = False, loss = hinge, betas = 0.5,0.999, "
    "layers = 256,128"
)


def test_defaults_are_the_constructors_but_the_shape() -> None:
    assert defaults(Every) == {
        "lr": 1e-3, "width": 64, "smooth": False, "loss": "hinge", "betas": (0.5, 0.999),
        "layers": (256, 128),
    }  # fmt: skip
    assert defaults(DCGAN) == {
        "lr": 1e-3, "latent_dim": 100, "width": 64, "loss": "non_saturating",
    }  # fmt: skip
    assert defaults(HalfDCGAN) == defaults(DCGAN) | {"width": 32}
    assert defaults(MaxoutGAN)["lr"] == 0.1 and defaults(MLPGAN)["latent_dim"] == 64


@pytest.mark.parametrize("kind", MODELS.values(), ids=list(MODELS))
def test_every_models_defaults_are_its_own_built_from_text(kind: type[GAN]) -> None:
    found = defaults(kind)
    assert {"lr", "latent_dim", "loss"} <= set(found) and "shape" not in found
    texts = {key: str(value) for key, value in found.items()}
    assert from_text(kind, texts) == found


TEXTS: list[tuple[str, str, Any]] = [
    ("lr", "0.1", 0.1),
    ("lr", "2e-4", 2e-4),
    ("lr", "1", 1.0),
    ("width", "32", 32),
    ("width", "-1", -1),  # which the constructor refuses
    ("smooth", "true", True),
    ("smooth", "False", False),
    ("loss", "least_squares", "least_squares"),
    ("loss", "0.5", "0.5"),
    ("betas", "0,0.9", (0.0, 0.9)),
    ("betas", "0.5, 0.9", (0.5, 0.9)),
    ("layers", "512", (512,)),
    ("layers", "1,2,3", (1, 2, 3)),
]


@pytest.mark.parametrize(("key", "text", "value"), TEXTS)
def test_a_text_becomes_its_defaults_type(key: str, text: str, value: Any) -> None:
    (found,) = from_text(Every, {key: text}).values()
    assert found == value and type(found) is type(value)
    if isinstance(value, tuple):
        assert [*map(type, found)] == [*map(type, value)]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("lr", "fast", "a number"),
        ("lr", "", "a number"),
        ("lr", "0,1", "a number"),
        ("width", "0.5", "an integer"),
        ("width", "1e2", "an integer"),
        ("smooth", "1", "true or false"),
        ("smooth", "yes", "true or false"),
        ("betas", "0.5,x", "numbers with commas between them, such as 0.5,0.999"),
        ("betas", "0.5,", "numbers with commas between them, such as 0.5,0.999"),
        ("layers", "256,0.5", "numbers with commas between them, such as 256,128"),
    ],
)
def test_a_text_of_another_type(key: str, text: str, expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_text(Every, {"width": "1", key: text})
    assert str(caught.value) == f"every: {key} must be {expected}, got {text!r}; {LISTED}"


@pytest.mark.parametrize("key", ["widht", "shape", "self", "", "Lr"])
def test_an_unknown_name(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_text(Every, {key: "1"})
    assert str(caught.value) == f"every has no hyperparameter {key!r}; {LISTED}"


# --- Building -------------------------------------------------------------------------------------


def test_a_model_is_built_as_its_config_says() -> None:
    """What went through JSON has lists in the place of tuples."""
    found = build(Every, {"lr": 0.1, "betas": [0.0, 0.9], "layers": [512]}, (3, 8, 8))
    assert isinstance(found, Every)
    assert found.given == (0.1, 64, False, "hinge", (0.0, 0.9), (512,))
    assert found.shape == (3, 8, 8)
    assert build(Every, {}).shape == (1, 28, 28)  # type: ignore[attr-defined]


def test_a_model_that_asks_for_no_shape_is_given_none() -> None:
    class Shapeless(GAN):
        def __init__(self, latent_dim: int = 2):
            self.latent_dim = latent_dim

    assert build(Shapeless, {"latent_dim": 3}, (1, 8, 8)).latent_dim == 3
    with pytest.raises(ValueError, match="shape.*; Shapeless has latent_dim = 2$"):
        build(Shapeless, {"shape": [1, 8, 8]})


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"width": 0}, "Every: width must be positive, got 0"),
        ({"widht": 3}, "widht"),
        ({"width": "wide"}, "'<' not supported"),
    ],
)
def test_values_that_make_no_sense(chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(Every, chosen)
    assert told in str(caught.value) and str(caught.value).endswith(f"; {LISTED}")


MISTAKES: list[tuple[type[GAN], dict[str, Any], str]] = [
    (MLPGAN, {"lr": -1.0}, r"lr must lie in \[0, inf\), got -1.0; mlp has .*lr = 0.0005"),
    (MLPGAN, {"lr": float("nan")}, r"lr must .*nan; mlp has"),
    (DCGAN, {"latent_dim": 0}, "^DCGAN: latent_dim must be a positive integer, got 0; dcgan has"),
    (HalfDCGAN, {"width": 1.5}, "^HalfDCGAN: width must be .*, got 1.5; dcgan-half has .*= 32"),
    (MaxoutGAN, {"loss": "hinges"}, "^MaxoutGAN: loss must be one of .*, got 'hinges'; maxout has"),
]


@pytest.mark.parametrize(("kind", "chosen", "told"), MISTAKES)
def test_nonsense_for_the_models(kind: type[GAN], chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        build(kind, chosen)


@pytest.mark.parametrize("shape", [(1, 30, 28), (1, 28, 30)], ids=str)
def test_a_shape_that_a_dcgan_cannot_draw(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^DCGAN: H and W .* divisible by 4, got \(1, .*; dcgan"):
        build(DCGAN, {}, shape)


def test_a_game_may_be_given_by_itself() -> None:
    assert build(MLPGAN, {"loss": hinge}).game is hinge


# --- Constructors that a run could not write down -------------------------------------------------


ONE = np.float32(1)
ODD: dict[str, Callable[..., None]] = {
    "none": lambda self, width: None,
    "None": lambda self, width=None: None,
    "an empty tuple": lambda self, width=(): None,
    "tuples in a tuple": lambda self, width=((1, 2), (3, 4)): None,
    "a tuple of two types": lambda self, width=(0, 0.9): None,
    "a list": lambda self, width=[1]: None,
    "a number of NumPy's": lambda self, width=ONE: None,
    "an Objective": lambda self, width=hinge: None,
    "any name": lambda self, **width: None,
}


@pytest.mark.parametrize("case", ODD)
def test_a_default_that_does_not_say_how_a_text_is_read(case: str) -> None:
    odd: type[GAN] = type("Odd", (GAN,), {"__init__": ODD[case]})
    with pytest.raises(TypeError, match=r"^Odd: the hyperparameter width needs a default, a num"):
        from_text(odd, {})
