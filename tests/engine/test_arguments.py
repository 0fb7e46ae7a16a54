"""Arguments that are no arrays: what each function takes, and what it refuses where it is given."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import models, nn, optim
from minigan.data import toy
from minigan.models import explore
from minigan.models.maxout_gan import Maxout, Rescale
from minigan.nn import init
from minigan.nn.utils import clip_grad_norm_, spectral_norm

X = np.random.default_rng(0).standard_normal((4, 2)).astype("float32")


def leaf() -> mg.Tensor:
    return mg.tensor([1.0, 2.0], requires_grad=True)


def matrix() -> mg.Tensor:
    return mg.tensor(np.ones((3, 2), "float32"))


def vector(value: float = 1.0) -> mg.Tensor:
    return mg.tensor(np.full(2, value, "float32"))


def pictures() -> mg.Tensor:
    return mg.tensor(np.ones((1, 1, 4, 4), "float32"))


def batch_norm(**given: Any) -> mg.Tensor:
    return F.batch_norm(mg.tensor(X), vector(), vector(0.0), **given)


#: What no number is, nor an integer: a TypeError each.
NO_NUMBERS: list[Any] = [
    "a",
    "0.1",
    None,
    [0.1],
    (0.1,),
    True,
    np.True_,
    1j,
    np.ones(1),
    dict,
    print,
]
NO_INTEGERS: list[Any] = ["a", None, 1.0, np.float32(2), [1], True, np.True_, np.ones(1, int), ()]
NO_FLAGS: list[Any] = [2, 0, 1, 1.0, "True", "", None, [], np.ones(1, bool)]
NO_PAIRS: list[Any] = ["a", None, 1.5, (1,), (1, 2, 3), (1.0, 1), [1, "a"], {1, 2}, True, (True, 1)]
NEVER = [math.nan, math.inf, -math.inf, np.float32("nan")]

Call = Callable[[Any], Any]
#: Per argument: the owner and its name, the call, what has the wrong value, and what is right.
NUMBERS: list[tuple[str, str, Call, list[Any], list[Any]]] = [
    ("BatchNorm1d", "momentum", lambda v: nn.BatchNorm1d(2, momentum=v), [5, -0.1], [0, 1, 0.3]),
    ("BatchNorm2d", "eps", lambda v: nn.BatchNorm2d(2, eps=v), [-1, -1e-9], [0, 1, 1e-5]),
    ("batch_norm", "momentum", lambda v: batch_norm(momentum=v), [5, -0.1], [0, 1, 0.3]),
    ("batch_norm", "eps", lambda v: batch_norm(eps=v), [-1], [1e-5, np.float32(1)]),
    ("instance_norm", "eps", lambda v: F.instance_norm(pictures(), eps=v), [-1], [1e-5, 0.1]),
    ("InstanceNorm2d", "eps", lambda v: nn.InstanceNorm2d(2, v), [-1], [0, 1e-5]),
    ("spectral_norm", "eps", lambda v: spectral_norm(nn.Linear(1, 1), eps=v), [-1], [0, 1e-5]),
    ("clip_grad_norm_", "max_norm", lambda v: clip_grad_norm_([leaf()], v), [-1], [0, 1, 2.5]),
    ("Average", "decay", lambda v: nn.Average(nn.Tanh(), v), [-0.1, 1.1], [0, 1, 0.99]),
    ("LeakyReLU", "negative_slope", nn.LeakyReLU, [], [0, 0.2, -1, 3, np.float32(0.1)]),
    ("leaky_relu", "negative_slope", lambda v: F.leaky_relu(X, v), [], [0, 0.2, -1, np.int8(3)]),
    ("Dropout", "p", nn.Dropout, [-0.1, 1, 1.5], [0, 0.5, np.float64(0.3)]),
    ("dropout", "p", lambda v: F.dropout(X, v), [-0.1, 1], [0, 0.5]),
    ("SGD", "lr", lambda v: optim.SGD([leaf()], v), [-1], [0, 1, np.float32(0.1)]),
    ("SGD", "momentum", lambda v: optim.SGD([leaf()], 0.1, v), [-0.1, 1], [0, 0.9]),
    ("RMSprop", "lr", lambda v: optim.RMSprop([leaf()], v), [-1], [0.1]),
    ("RMSprop", "alpha", lambda v: optim.RMSprop([leaf()], alpha=v), [1, 1.5], [0, 0.9]),
    ("RMSprop", "eps", lambda v: optim.RMSprop([leaf()], eps=v), [-1e-8], [0, 1]),
    ("Adam", "lr", lambda v: optim.Adam([leaf()], v), [-1], [0.1]),
    ("Adam", "betas[0]", lambda v: optim.Adam([leaf()], betas=(v, 0.9)), [1, -0.1], [0, 0.5]),
    ("Adam", "betas[1]", lambda v: optim.Adam([leaf()], betas=[0.9, v]), [1.0], [0, 0.5]),
    ("Adam", "eps", lambda v: optim.Adam([leaf()], eps=v), [-1], [0, 1e-8]),
    ("Adam", "weight_decay", lambda v: optim.Adam([leaf()], weight_decay=v), [-1], [0, 1e-2]),
    ("normal_", "mean", lambda v: init.normal_(matrix(), v), [], [0, -1.5]),
    ("normal_", "std", lambda v: init.normal_(matrix(), 0, v), [-1], [0, 2]),
    ("uniform_", "low", lambda v: init.uniform_(matrix(), v), [], [0, -1.5, 1]),
    ("uniform_", "high", lambda v: init.uniform_(matrix(), 0, v), [], [0, 2]),
    ("xavier_uniform_", "gain", lambda v: init.xavier_uniform_(matrix(), v), [-1], [1, 0.5]),
    ("kaiming_uniform_", "a", lambda v: init.kaiming_uniform_(matrix(), v), [], [0, -0.2, 5]),
    (
        "discriminator",
        "real_target",
        lambda v: mg.losses.minimax.discriminator(vector(), vector(), real_target=v),
        [0, -1, 1.2],
        [1, 0.9],
    ),
    ("gradcheck", "eps", lambda v: check(eps=v), [0, -1e-6], [1e-6]),
    ("gradcheck", "atol", lambda v: check(atol=v), [-1], [0.1, 1]),
    ("gradcheck", "rtol", lambda v: check(rtol=v), [-1], [0, 0.1]),
    ("ring8", "radius", toy.ring8, [0, -1], [1, 0.5]),
    ("GaussianMixture", "sigma", lambda v: toy.ring8(sigma=v), [0, -1], [1, 0.5]),
    ("Rescale", "scale", lambda v: Rescale(v, 0.0), [], [1, -2.0]),
    ("Rescale", "shift", lambda v: Rescale(1.0, v), [], [0, -2.0]),
    ("count_modes", "sigma", lambda v: mg.metrics.count_modes(X, X, v), [0, -1], [1, 0.5]),
    (
        "parzen_log_likelihood",
        "sigma",
        lambda v: mg.metrics.parzen_log_likelihood(X, X, v),
        [0, -1],
        [1, 0.5],
    ),
    ("choose_sigma", "sigma", lambda v: mg.metrics.choose_sigma(X, X, [0.1, v]), [0, -1], [1]),
]
INTEGERS: list[tuple[str, str, Call, list[Any], list[Any]]] = [
    ("Linear", "in_features", lambda v: nn.Linear(v, 1), [0, -1], [1, np.int64(3)]),
    ("Linear", "out_features", lambda v: nn.Linear(1, v), [0, -1], [1, np.uint8(3)]),
    ("Conv2d", "in_channels", lambda v: nn.Conv2d(v, 1, 1), [0], [1, 2]),
    ("Conv2d", "out_channels", lambda v: nn.Conv2d(1, v, 1), [0], [1, 2]),
    ("ConvTranspose2d", "in_channels", lambda v: nn.ConvTranspose2d(v, 1, 1), [0], [1]),
    ("ConvTranspose2d", "out_channels", lambda v: nn.ConvTranspose2d(1, v, 1), [-2], [1]),
    ("Embedding", "num_embeddings", lambda v: nn.Embedding(v, 1), [0], [1]),
    ("Embedding", "embedding_dim", lambda v: nn.Embedding(1, v), [0], [1]),
    ("BatchNorm1d", "num_features", nn.BatchNorm1d, [0, -1], [1, np.int32(2)]),
    ("BatchNorm2d", "num_features", nn.BatchNorm2d, [0], [1]),
    ("InstanceNorm2d", "num_features", nn.InstanceNorm2d, [0, -1], [1, np.int32(2)]),
    ("PixelShuffle", "upscale_factor", nn.PixelShuffle, [0], [1, 2]),
    (
        "spectral_norm",
        "n_power_iterations",
        lambda v: spectral_norm(nn.Linear(1, 1), "weight", v),
        [0, -1],
        [1, 2],
    ),
    ("Unflatten", "dim", lambda v: nn.Unflatten(v, (1, 2)), [], [1, -1]),
    ("Unflatten", "unflattened_size", lambda v: nn.Unflatten(1, (2, v)), [-2], [-1, 2]),
    ("argmax", "axis", lambda v: F.argmax(X, v), [], [0, -1, np.int64(1)]),
    ("pixel_shuffle", "upscale_factor", lambda v: F.pixel_shuffle(pictures(), v), [0, -1], [1]),
    ("manual_seed", "the seed", mg.manual_seed, [-1], [0, np.int64(7)]),
    ("generator", "the seed", mg.backend.generator, [-1], [0, np.int64(7)]),
    ("MLPGAN", "latent_dim", lambda v: models.MLPGAN(latent_dim=v), [0, -1], [3]),
    ("HalfDCGAN", "latent_dim", lambda v: models.HalfDCGAN(latent_dim=v), [0], []),
    ("DCGAN", "width", lambda v: models.DCGAN(width=v), [0, -1], [1]),
    ("MaxoutGAN", "latent_dim", lambda v: models.MaxoutGAN(latent_dim=v), [0], []),
    ("Maxout", "pieces", lambda v: Maxout(2, 2, v), [0], [1]),
    ("Maxout", "out_features", lambda v: Maxout(2, v, 2), [0], [1]),
    ("sample", "n", lambda v: toy.ring8().sample(v), [0, -1], [1, np.int64(2)]),
]  # fmt: skip
FLAGS: list[tuple[str, str, Call]] = [
    ("Linear", "bias", lambda v: nn.Linear(1, 1, v)),
    ("Conv2d", "bias", lambda v: nn.Conv2d(1, 1, 1, bias=v)),
    ("ConvTranspose2d", "bias", lambda v: nn.ConvTranspose2d(1, 1, 1, bias=v)),
    ("InstanceNorm2d", "affine", lambda v: nn.InstanceNorm2d(2, affine=v)),
    ("ReLU", "mode", lambda v: nn.ReLU().train(v)),
]
PAIRS: list[tuple[str, str, Call, list[Any], list[Any]]] = [
    ("Conv2d", "kernel_size", lambda v: nn.Conv2d(1, 1, v), [0, (1, 0)], [1, [2, 1]]),
    ("Conv2d", "stride", lambda v: nn.Conv2d(1, 1, 1, v), [0], [np.int64(2), (1, 2)]),
    ("Conv2d", "padding", lambda v: nn.Conv2d(1, 1, 1, 1, v), [-1], [0, (1, 2)]),
    ("ConvTranspose2d", "stride", lambda v: nn.ConvTranspose2d(1, 1, 1, v), [0], [2]),
    (
        "ConvTranspose2d",
        "output_padding",
        lambda v: nn.ConvTranspose2d(1, 1, 1, 2, 0, v),
        [-1, 2, (0, 3)],
        [0, (1, 0)],
    ),
    ("MaxPool2d", "kernel_size", nn.MaxPool2d, [0], [2, (1, 2)]),
    ("AvgPool2d", "padding", lambda v: nn.AvgPool2d(3, 1, v), [-1, 2, (1, 5)], [0, 1]),
    ("conv2d", "stride", lambda v: F.conv2d(pictures(), pictures(), None, v), [0], [1]),
    ("interpolate", "size", lambda v: F.interpolate(pictures(), v), [0, (4, 0)], [8, [4, 8]]),
    (
        "interpolate",
        "scale_factor",
        lambda v: F.interpolate(pictures(), scale_factor=v),
        [0, (1, -1)],
        [2, (1, 3), np.int64(2)],
    ),
    ("Upsample", "scale_factor", lambda v: nn.Upsample(scale_factor=v), [0], [2, (1, 2)]),
    ("max_pool2d", "padding", lambda v: F.max_pool2d(pictures(), 2, 1, v), [-1, 2], [1]),
]


def check(**given: Any) -> None:
    mg.gradcheck(lambda x: x * x, mg.tensor([1.0], requires_grad=True, dtype="float64"), **given)


#: Where None has a meaning of its own.
OPTIONAL = [
    ("DCGAN", "width"),
    ("argmax", "axis"),
    ("interpolate", "size"),
    ("interpolate", "scale_factor"),
    ("Upsample", "scale_factor"),
]
TABLE = [
    *((*row, NO_NUMBERS, NEVER) for row in NUMBERS),
    *((*row, NO_INTEGERS, []) for row in INTEGERS),
    *((*row, [], [False, True, np.True_], NO_FLAGS, []) for row in FLAGS),
    *((*row, NO_PAIRS, []) for row in PAIRS),
]


@pytest.mark.parametrize(
    ("owner", "name", "call", "wrong", "right", "no_type", "never"),
    TABLE,
    ids=[f"{row[0]}-{row[1]}" for row in TABLE],
)
def test_an_argument(
    owner: str,
    name: str,
    call: Call,
    wrong: list[Any],
    right: list[Any],
    no_type: list[Any],
    never: list[Any],
) -> None:
    tensor = mg.tensor(0.5)  # made here: of the library that the test runs on
    optional = (owner, name) in OPTIONAL
    for kind, values in ((TypeError, [*no_type, tensor]), (ValueError, [*wrong, *never])):
        for value in values:
            if value is None and optional:
                continue
            with pytest.raises(kind) as caught:
                call(value)
            assert str(caught.value).startswith(f"{owner}: "), value
            assert f"{owner}: {name} " in str(caught.value), value
            shown = type(value).__name__ if hasattr(value, "shape") else repr(value)
            found = f", got {value}" if kind is ValueError else f", got {shown}"
            assert found in str(caught.value) or name in ("padding", "output_padding")
    for value in right:
        call(value)


def test_an_argument_of_another_kind_is_named() -> None:
    for call, kind, message in (
        (lambda: optim.Adam([leaf()], betas=(0.9,)), TypeError, r"Adam: betas must be .*\(0.9,\)"),
        (lambda: optim.Adam([leaf()], betas=0.9), TypeError, "Adam: betas must be a pair"),
        (lambda: optim.Adam([leaf()], betas=mg.tensor([0.9, 0.9])), TypeError, "Adam: betas must"),
        (lambda: optim.SGD(leaf()), TypeError, "SGD: params must be .*, got Tensor"),
        (lambda: optim.SGD(nn.Linear(1, 1)), TypeError, "SGD: params must be"),
        (lambda: optim.SGD(nn.Linear(1, 1).named_parameters()), TypeError, "SGD: .* got tuple"),
        (lambda: optim.SGD(nn.Linear(1, 1).state_dict()), TypeError, "Tensors, got str"),
        (lambda: optim.SGD(nn.Sequential(nn.Tanh())), TypeError, "Tensors, got Tanh"),
        (lambda: nn.Sequential([nn.Tanh()]), TypeError, "argument 0 is a list, .* one by one"),
        (lambda: nn.Sequential(nn.Tanh() for _ in "ab"), TypeError, "argument 0 is a generator"),
        (lambda: nn.Sequential(OrderedDict(a=nn.Tanh())), TypeError, "argument 0 is a OrderedDict"),
        (lambda: nn.Sequential(nn.Tanh(), nn.Tanh), TypeError, "argument 1 is a type"),
        (lambda: nn.Unflatten(1, 28), TypeError, "unflattened_size must be a tuple of .*, got 28"),
        (lambda: nn.Unflatten(1, ()), ValueError, "unflattened_size must hold sizes"),
        (lambda: nn.Unflatten(1, (-1, -1)), ValueError, "at most one -1"),
        (lambda: init.normal_(np.ones(2)), TypeError, "normal_: tensor must be a Tensor of floats"),
        (lambda: init.uniform_(mg.tensor([1])), TypeError, "uniform_: tensor must be a Tensor of"),
        (lambda: init.uniform_(leaf(), 1, 0), ValueError, "low must not be above high"),
        (lambda: models.MLPGAN().sample(1.5), TypeError, "sample: n must be a positive"),
        (lambda: explore.interpolate(models.MLPGAN(), 1, 2.5), TypeError, "steps must be"),
    ):  # fmt: skip
        with pytest.raises(kind, match=message):
            call()


@pytest.mark.parametrize("bound", ["1.5", math.nan, True, np.ones(1), mg.tensor(1.5)])
def test_bounds_and_fillings_are_numbers(bound: Any) -> None:
    for call in (
        lambda: F.clip(vector(), bound, None),
        lambda: F.clip(vector(), None, bound),
        lambda: F.pad(vector(), (1, 1), value=bound),
    ):
        with pytest.raises((TypeError, ValueError), match="(low|high|value) must"):
            call()


@pytest.mark.parametrize("fill", [init.zeros_, init.ones_, init.xavier_uniform_])
def test_what_is_initialised_is_a_tensor(fill: Any) -> None:
    with pytest.raises(TypeError, match="tensor must be a Tensor of floats, got ndarray"):
        fill(np.ones((2, 2), "float32"))


def test_an_empty_list_of_indices_is_one_of_integers() -> None:
    assert nn.Embedding(3, 2)([]).shape == (0, 2)
