"""What others may rely on, one statement a line: names, signatures, dtypes, exceptions, exit codes.

Expectations are literals. A line that fails here is a promise broken, whatever the code thinks.
"""

import inspect
import math
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest

import minigan as mg
from minigan import checkpoint, console, plotting, training
from minigan.cli import cli, main
from minigan.models import explore

F, nn = mg.functional, mg.nn
HERE = Path(__file__).parent
f32, f64, i64, u8 = np.float32, np.float64, np.int64, np.uint8


def t(*shape: int, dtype: Any = "float32", grad: bool = False) -> mg.Tensor:
    return mg.tensor(np.ones(shape, dtype), requires_grad=grad)


# --- Names and signatures -------------------------------------------------------------------------


def signature(thing: Any) -> str:
    """Parameter names, order, kinds and defaults; no annotations."""
    parameters = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in inspect.signature(thing).parameters.values()
        if p.name != "self"
    ]
    return str(inspect.Signature(parameters))


def look_up(path: str) -> Any:
    """'nn.Module.train' under the package or one of the modules it does not import by itself."""
    here: Any = mg
    for name in path.split("."):
        modules = {"training": training, "checkpoint": checkpoint, "plotting": plotting,
                   "console": console}  # fmt: skip
        here = modules[name] if here is mg and name in modules else getattr(here, name)
    return here


SIGNATURES = {
    # the package
    "tensor": "(data, requires_grad=False, dtype=None)",
    "Tensor": "(data, requires_grad=False)",
    "no_grad": "(function=None)",  # as in PyTorch, also a decorator without parentheses
    "manual_seed": "(seed)",
    "grad": "(outputs, inputs, grad_outputs=None, create_graph=False)",
    "zeros": "(*shape, requires_grad=False, dtype=None)",
    "ones": "(*shape, requires_grad=False, dtype=None)",
    "zeros_like": "(x, requires_grad=False, dtype=None)",
    "ones_like": "(x, requires_grad=False, dtype=None)",
    "arange": "(start, stop=None, step=1, *, requires_grad=False, dtype=None)",
    "randn": "(*shape, rng=None, requires_grad=False, dtype=None)",
    "rand": "(*shape, rng=None, requires_grad=False, dtype=None)",
    "save": "(state, path)",
    "load": "(path)",
    # Tensor
    "Tensor.backward": "(gradient=None, *, inputs=None)",
    "Tensor.detach": "()",
    "Tensor.numpy": "()",
    "Tensor.item": "()",
    "Tensor.requires_grad_": "(requires_grad=True)",
    "Tensor.reshape": "(x, *shape)",
    "Tensor.transpose": "(x, axis0, axis1)",
    "Tensor.permute": "(x, *axes)",
    "Tensor.sum": "(x, axis=None, keepdims=False)",
    "Tensor.mean": "(x, axis=None, keepdims=False)",
    "Tensor.var": "(x, axis=None, keepdims=False)",
    "Tensor.max": "(x, axis=None, keepdims=False)",
    "Tensor.min": "(x, axis=None, keepdims=False)",
    "Tensor.std": "(x, axis=None, keepdims=False)",
    "Tensor.norm": "(x, axis=None, keepdims=False)",
    "Tensor.argmax": "(x, axis=None)",
    # backend
    "backend.set_backend": "(backend)",
    "backend.using_backend": "(backend)",
    # functional
    "functional.linear": "(x, weight, bias=None)",
    "functional.batch_norm": "(x, weight, bias, running_mean=None, running_var=None, "
    "training=True, momentum=0.1, eps=1e-05)",
    "functional.conv2d": "(x, weight, bias=None, stride=1, padding=0)",
    "functional.conv_transpose2d": "(x, weight, bias=None, stride=1, padding=0, output_padding=0)",
    "functional.conv2d_weight": "(x, y, kernel_size, stride=1, padding=0)",
    "functional.avg_pool2d": "(x, kernel_size, stride=None, padding=0)",
    "functional.max_pool2d": "(x, kernel_size, stride=None, padding=0)",
    "functional.relu": "(x)",
    "functional.leaky_relu": "(x, negative_slope=0.01)",
    "functional.sigmoid": "(x)",
    "functional.log_sigmoid": "(x)",
    "functional.softplus": "(x)",
    "functional.tanh": "(x)",
    "functional.exp": "(x)",
    "functional.log": "(x)",
    "functional.sqrt": "(x)",
    "functional.dropout": "(x, p=0.5, training=True)",
    "functional.softmax": "(x, axis=-1)",
    "functional.log_softmax": "(x, axis=-1)",
    "functional.cross_entropy": "(logits, labels)",
    "functional.binary_cross_entropy_with_logits": "(logits, targets)",
    "functional.concatenate": "(tensors, axis=0)",
    "functional.stack": "(tensors, axis=0)",
    "functional.sum": "(x, axis=None, keepdims=False)",
    "functional.mean": "(x, axis=None, keepdims=False)",
    "functional.var": "(x, axis=None, keepdims=False)",
    "functional.max": "(x, axis=None, keepdims=False)",
    "functional.min": "(x, axis=None, keepdims=False)",
    "functional.std": "(x, axis=None, keepdims=False)",
    "functional.norm": "(x, axis=None, keepdims=False)",
    "functional.argmax": "(x, axis=None)",
    "functional.mse_loss": "(x, target)",
    "functional.l1_loss": "(x, target)",
    "functional.interpolate": "(x, size=None, scale_factor=None, mode='nearest')",
    "functional.pixel_shuffle": "(x, upscale_factor)",
    "functional.instance_norm": "(x, weight=None, bias=None, *, eps=1e-05)",
    "functional.matmul": "(x, y)",
    "functional.where": "(condition, x, y)",
    "functional.clip": "(x, low, high)",
    # nn
    "nn.Parameter": "(data)",
    "nn.Sequential": "(*modules)",
    "nn.Linear": "(in_features, out_features, bias=True)",
    "nn.Conv2d": "(in_channels, out_channels, kernel_size, stride=1, padding=0, *, bias=True)",
    "nn.ConvTranspose2d": "(in_channels, out_channels, kernel_size, stride=1, padding=0, "
    "output_padding=0, *, bias=True)",
    "nn.MaxPool2d": "(kernel_size, stride=None, padding=0)",
    "nn.AvgPool2d": "(kernel_size, stride=None, padding=0)",
    "nn.BatchNorm1d": "(num_features, *, momentum=0.1, eps=1e-05)",
    "nn.BatchNorm2d": "(num_features, *, momentum=0.1, eps=1e-05)",
    "nn.LeakyReLU": "(negative_slope=0.01)",
    "nn.Dropout": "(p=0.5)",
    "nn.Unflatten": "(dim, unflattened_size)",
    "nn.Embedding": "(num_embeddings, embedding_dim)",
    "nn.ModuleList": "(modules=())",
    "nn.ModuleList.append": "(module)",
    "nn.ModuleList.extend": "(modules)",
    "nn.Upsample": "(size=None, scale_factor=None, mode='nearest')",
    "nn.InstanceNorm2d": "(num_features, eps=1e-05, affine=False)",
    "nn.PixelShuffle": "(upscale_factor)",
    "nn.utils.spectral_norm": "(module, name='weight', n_power_iterations=1, eps=1e-12)",
    "nn.utils.clip_grad_norm_": "(parameters, max_norm)",
    "nn.Average": "(module, decay=0.999)",
    "nn.Average.update": "(module)",
    "nn.Module.parameters": "()",
    "nn.Module.named_parameters": "()",
    "nn.Module.state_dict": "()",
    "nn.Module.load_state_dict": "(state)",
    "nn.Module.train": "(mode=True)",
    "nn.Module.eval": "()",
    "nn.Module.requires_grad_": "(requires_grad=True)",
    "nn.Module.zero_grad": "()",
    "nn.init.normal_": "(tensor, mean=0.0, std=1.0)",
    "nn.init.zeros_": "(tensor)",
    "nn.init.xavier_uniform_": "(tensor, gain=1.0)",
    "nn.init.kaiming_uniform_": "(tensor, a=0.0)",
    "nn.init.dcgan_": "(module)",
    # optim
    "optim.SGD": "(params, lr=0.001, momentum=0.0)",
    "optim.RMSprop": "(params, lr=0.01, alpha=0.99, eps=1e-08)",
    "optim.Adam": "(params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)",
    "optim.Adam.minimize": "(loss)",
    "optim.Adam.step": "()",
    "optim.Adam.zero_grad": "()",
    "optim.Adam.state_dict": "()",
    "optim.Adam.load_state_dict": "(state)",
    # losses
    "losses.minimax.discriminator": "(real_logits, fake_logits, *, real_target=1.0)",
    "losses.minimax.generator": "(fake_logits)",
    "losses.non_saturating.discriminator": "(real_logits, fake_logits, *, real_target=1.0)",
    "losses.non_saturating.generator": "(fake_logits)",
    "losses.least_squares.discriminator": "(real_logits, fake_logits)",
    "losses.least_squares.generator": "(fake_logits)",
    "losses.hinge.discriminator": "(real_logits, fake_logits)",
    "losses.hinge.generator": "(fake_logits)",
    "losses.wasserstein.discriminator": "(real_logits, fake_logits)",
    "losses.wasserstein.generator": "(fake_logits)",
    "losses.gradient_penalty": "(critic, real, fake, alpha=None)",
    "losses.r1": "(discriminator, real)",
    # data
    "data.load_mnist": "(split='train')",
    "data.load": "(name, split='train')",
    "data.ring8": "(radius=1.0, sigma=0.01)",
    "data.grid25": "()",
    # models
    "models.MLPGAN": "(latent_dim=64, lr=0.0005, loss='non_saturating', shape=(1, 28, 28))",
    "models.DCGAN": "(latent_dim=100, width=64, lr=0.001, loss='non_saturating', "
    "shape=(1, 28, 28))",
    "models.HalfDCGAN": "(latent_dim=100, width=32, lr=0.001, loss='non_saturating', "
    "shape=(1, 28, 28))",
    "models.MaxoutGAN": "(latent_dim=100, lr=0.1, loss='non_saturating', shape=(1, 28, 28))",
    "models.GAN": "()",
    "models.GAN.batches": "(images, labels, batch_size)",
    "models.GAN.start": "(data)",
    "models.GAN.step": "(data, t)",
    "models.GAN.equilibrium": "()",
    "models.GAN.latents": "(n, rng=None)",
    "models.GAN.draw": "(z)",
    "models.GAN.generate": "(z)",
    "models.GAN.sample": "(n, seed=None)",
    "models.GAN.preview": "()",
    "models.GAN.state": "()",
    "models.GAN.load_state": "(arrays, values)",
    "models.gan.discriminator_step": "(generator, discriminator, objective, optimizer, real, z)",
    "models.gan.generator_step": "(generator, discriminator, objective, optimizer, z)",
    "models.explore.interpolate": "(model, rows, steps, seed=None)",
    "models.explore.feature_maps": "(model, z)",
    "models.pretrained": "()",
    # training, checkpoint, plotting
    "train": "(model, data=None, *, epochs=None, steps=None, batch_size=None, seed=None, "
    "out=None, resume=False)",
    "training.Trainer": "(model, data)",
    "training.fit": "(trainer, steps=None, run=None, on_epoch=None, *, epochs=None)",
    "console.progress": "(total, initial=0)",
    "checkpoint.save_tensors": "(path, tensors, info=None, format_=3)",
    "checkpoint.load_tensors": "(path, format_=3)",
    "checkpoint.write_atomic": "(path, content)",
    "checkpoint.Run.create": "(path, config)",
    "checkpoint.Run.open": "(path)",
    "plotting.grid": "(images, columns=None, gap=2)",
    "plotting.save_grid": "(images, path, columns=None)",
    "plotting.save_curves": "(rows, path, title, references={})",
    # metrics
    "metrics.frechet_distance": "(mu1, cov1, mu2, cov2)",
    "metrics.moments": "(features)",
    "metrics.inception_score": "(probs)",
    "metrics.kernel_distance": "(features_a, features_b, subsets=50, size=1000, seed=0)",
    "metrics.precision_recall": "(real, fake, k=3)",
    "metrics.parzen_log_likelihood": "(samples, test, sigma)",
    "metrics.choose_sigma": "(samples, validation, sigmas=None)",
    "metrics.count_modes": "(samples, centers, sigma)",
    "metrics.nearest_neighbours": "(samples, train)",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    assert signature(look_up(name)) == SIGNATURES[name]


@pytest.mark.parametrize("layer", ["ReLU", "Sigmoid", "Softplus", "Tanh", "Identity", "Flatten"])
def test_layers_without_arguments(layer: str) -> None:
    assert isinstance(getattr(nn, layer)(), nn.Module)


@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_checks_take_fn_and_inputs_and_the_rest_by_keyword(check: Any) -> None:
    first, second, *rest = inspect.signature(check).parameters.values()
    assert (first.name, second.name) == ("fn", "inputs")
    assert {p.kind for p in rest} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(p.default is not inspect.Parameter.empty for p in rest)


@pytest.mark.parametrize("module", [mg, mg.functional, nn, mg.data, mg.models])
def test_every_exported_name_exists(module: ModuleType) -> None:
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


# --- True statements ------------------------------------------------------------------------------


def _rows(x: mg.Tensor) -> list[Any]:
    return x.numpy().tolist()


def _state(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in module.state_dict().items()}


def _after_backward(x: mg.Tensor) -> mg.Tensor:
    (x * 3.0).sum().backward()
    return x


def _after_writing(array: Any, other: Any) -> Any:
    """``other`` after a write into ``array``, which shows if they share memory."""
    array[...] = 7.0
    return other


X = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 6.0]], "float32")

STATEMENTS: dict[str, Callable[[], bool]] = {
    # dtypes
    "a float becomes float32": lambda: mg.tensor(1.5).dtype == f32,
    "floats become float32": lambda: mg.tensor([[1.0, 2.0]]).dtype == f32,
    "a float64 array stays float64": lambda: mg.tensor(np.ones(2)).dtype == f64,
    "a float32 array stays float32": lambda: mg.tensor(np.ones(2, "float32")).dtype == f32,
    "integers stay integers": lambda: mg.tensor([1, 2]).dtype == i64,
    "bytes stay bytes": lambda: mg.tensor(np.ones(2, "uint8")).dtype == u8,
    "booleans stay booleans": lambda: mg.tensor([True, False]).dtype == np.bool_,
    "dtype= decides": lambda: mg.tensor([1.0], dtype="float64").dtype == f64,
    "dtype= decides for arrays too": lambda: mg.tensor(np.ones(2), dtype="float32").dtype == f32,
    "a Python float does not promote": lambda: (t(2) / math.sqrt(5)).dtype == f32,
    "from the left neither": lambda: (math.sqrt(5) - t(2)).dtype == f32,
    "a power keeps the dtype": lambda: (t(2) ** 0.5).dtype == f32,
    "float64 stays through a layer's ops": lambda: t(2, dtype="float64").exp().mean().dtype == f64,
    "a comparison gives booleans": lambda: (t(2) > 0.5).dtype == np.bool_,
    # Tensor
    "data is the array": lambda: isinstance(t(2).data, mg.backend.xp.ndarray),
    "grad starts as None": lambda: t(2, grad=True).grad is None,
    "shape is a tuple": lambda: t(2, 3).shape == (2, 3),
    "requires_grad is off by default": lambda: mg.tensor([1.0]).requires_grad is False,
    "requires_grad spreads": lambda: (t(2, grad=True) * 2.0).requires_grad,
    "no_grad stops it": lambda: _without_grad(lambda: not (t(2, grad=True) * 2.0).requires_grad),
    "detach stops it": lambda: not t(2, grad=True).detach().requires_grad,
    "detach shares memory": lambda: (
        _rows(_after_writing((x := t(2)).data, x.detach())) == [7.0, 7.0]
    ),
    "backward fills .grad": lambda: _rows(_after_backward(t(2, grad=True)).grad) == [3.0, 3.0],
    ".grad is a Tensor": lambda: isinstance(_after_backward(t(2, grad=True)).grad, mg.Tensor),
    ".grad accumulates": lambda: (
        _rows(_after_backward(_after_backward(t(2, grad=True))).grad) == [6.0, 6.0]
    ),
    "numpy() is a copy": lambda: (
        _after_writing((x := t(2)).data, x.numpy()).tolist() == [1.0, 1.0]
    ),
    "numpy() of one that requires grad": lambda: isinstance(t(2, grad=True).numpy(), np.ndarray),
    "item() is a Python float": lambda: type(mg.tensor(2.5).item()) is float,
    "tensor() copies": lambda: _rows(_after_writing(a := np.ones(2), mg.tensor(a))) == [1.0, 1.0],
    # arithmetic, indexing, shape
    "@ is the matrix product": lambda: _rows(t(2, 3) @ t(3, 2)) == [[3.0, 3.0], [3.0, 3.0]],
    "slices": lambda: _rows(mg.tensor(X)[1, :2]) == [3.0, 5.0],
    "integer arrays index": lambda: _rows(mg.tensor(X)[:, [2, 0]]) == [[4.0, 1.0], [6.0, 3.0]],
    "booleans index": lambda: _rows(mg.tensor(X)[mg.tensor(X) > 4.0]) == [5.0, 6.0],
    "reshape takes numbers": lambda: mg.tensor(X).reshape(3, 2).shape == (3, 2),
    "reshape takes a tuple and -1": lambda: mg.tensor(X).reshape((-1,)).shape == (6,),
    "transpose exchanges two axes": lambda: t(2, 3, 4).transpose(0, 2).shape == (4, 3, 2),
    "permute orders all": lambda: t(2, 3, 4).permute(2, 0, 1).shape == (4, 2, 3),
    "sum over an axis": lambda: _rows(mg.tensor(X).sum(axis=0)) == [4.0, 7.0, 10.0],
    "mean": lambda: mg.tensor(X).mean().item() == 3.5,
    "keepdims": lambda: mg.tensor(X).sum(axis=1, keepdims=True).shape == (2, 1),
    "axes may be a tuple": lambda: mg.tensor(X).sum(axis=(0, 1)).shape == (),
    "max over an axis is values alone": lambda: _rows(mg.tensor(X).max(axis=1)) == [4.0, 6.0],
    "broadcasting": lambda: (t(2, 1) + t(3)).shape == (2, 3),
    # parameter shapes
    "Linear is (out, in)": lambda: _state(nn.Linear(3, 5)) == {"weight": (5, 3), "bias": (5,)},
    "Linear without bias": lambda: _state(nn.Linear(3, 5, bias=False)) == {"weight": (5, 3)},
    "Linear, bias by position": lambda: _state(nn.Linear(3, 5, False)) == {"weight": (5, 3)},
    "Conv2d is (out, in, kh, kw)": lambda: (
        _state(nn.Conv2d(3, 5, (4, 2))) == {"weight": (5, 3, 4, 2), "bias": (5,)}
    ),
    "ConvTranspose2d is (in, out, kh, kw)": lambda: (
        _state(nn.ConvTranspose2d(3, 5, (4, 2))) == {"weight": (3, 5, 4, 2), "bias": (5,)}
    ),
    "Conv2d without bias": lambda: list(_state(nn.Conv2d(1, 2, 3, bias=False))) == ["weight"],
    "Embedding is (n, d)": lambda: _state(nn.Embedding(10, 4)) == {"weight": (10, 4)},
    "BatchNorm1d's four": lambda: (
        _state(nn.BatchNorm1d(4))
        == dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (4,))
    ),
    "BatchNorm2d's four": lambda: (
        _state(nn.BatchNorm2d(4))
        == dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (4,))
    ),
    "BatchNorm learns two of them": lambda: (
        [name for name, _ in nn.BatchNorm1d(4).named_parameters()] == ["weight", "bias"]
    ),
    "BatchNorm's momentum and eps": lambda: (
        (nn.BatchNorm1d(4).momentum, nn.BatchNorm1d(4).eps) == (0.1, 1e-5)
    ),
    "parameters are float32": lambda: all(p.dtype == f32 for p in nn.Linear(2, 2).parameters()),
    "parameters are Parameters": lambda: isinstance(nn.Linear(2, 2).weight, nn.Parameter),
    "names are paths": lambda: (
        list(_state(nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))) == ["1.weight", "1.bias"]
    ),
    "a Module starts in training mode": lambda: nn.Dropout(0.5).training is True,
    "eval() reaches what is inside": lambda: (
        not nn.Sequential(nn.Sequential(nn.Dropout(0.5))).eval()[0][0].training
    ),
    "Conv2d of stride 2 halves": lambda: (
        nn.Conv2d(1, 2, 4, 2, 1)(t(3, 1, 8, 6)).shape == (3, 2, 4, 3)
    ),
    "ConvTranspose2d of stride 2 doubles": lambda: (
        nn.ConvTranspose2d(1, 2, 4, 2, 1)(t(3, 1, 4, 3)).shape == (3, 2, 8, 6)
    ),
    "pooling by 2 halves": lambda: (
        nn.MaxPool2d(2)(t(1, 2, 4, 6)).shape == nn.AvgPool2d(2)(t(1, 2, 4, 6)).shape == (1, 2, 2, 3)
    ),
    "Flatten keeps the batch": lambda: nn.Flatten()(t(2, 3, 4)).shape == (2, 12),
    "Unflatten splits an axis": lambda: nn.Unflatten(1, (3, 4))(t(2, 12)).shape == (2, 3, 4),
    "zero_grad forgets": lambda: (
        _after_zero_grad(nn.Linear(2, 1)).weight.grad is None
    ),
    # losses: scalars of logits
    "L_D is a scalar": lambda: mg.losses.minimax.discriminator(t(4, 1), t(4, 1)).shape == (),
    "L_G is a scalar": lambda: mg.losses.non_saturating.generator(t(4, 1)).shape == (),
    "L_D keeps float64": lambda: (
        mg.losses.minimax.discriminator(t(4, dtype="float64"), t(4, dtype="float64")).dtype == f64
    ),
    "L_D at equal odds is 2 log 2": lambda: _close(
        mg.losses.minimax.discriminator(t(4) * 0.0, t(4) * 0.0), 1.3862943611198906
    ),
    "minimax L_G at equal odds": lambda: _close(
        mg.losses.minimax.generator(t(4) * 0.0), -0.6931471805599453
    ),
    "non-saturating L_G at equal odds": lambda: _close(
        mg.losses.non_saturating.generator(t(4) * 0.0), 0.6931471805599453
    ),
    "L_D at +-1000 is finite": lambda: (
        mg.losses.minimax.discriminator(t(4) * -1000.0, t(4) * 1000.0).item() == 2000.0
    ),
    "minimax's slope is -sigma(s)": lambda: _slope(mg.losses.minimax, -6.0, -0.0024726231566347743),
    "non-saturating's is -(1 - sigma)": lambda: _slope(
        mg.losses.non_saturating, -6.0, -0.9975273768433653
    ),
    # data and models
    "the ring has 8 modes": lambda: mg.data.ring8().centers.shape == (8, 2),
    "the grid has 25": lambda: mg.data.grid25().centers.shape == (25, 2),
    "an MLPGAN's players are Modules": lambda: isinstance(mg.models.MLPGAN().generator, nn.Module),
    "an MLPGAN's latent_dim": lambda: mg.models.MLPGAN(latent_dim=16).latent_dim == 16,
    "a DCGAN's players are Modules": lambda: isinstance(mg.models.DCGAN().generator, nn.Module),
    "a DCGAN's latent_dim": lambda: mg.models.DCGAN(latent_dim=16).latent_dim == 16,
    # what differs from PyTorch on purpose
    "var is the population's": lambda: mg.tensor([1.0, 3.0]).var().item() == 1.0,
    "grad gives zeros where there is no path": lambda: (
        _rows(mg.grad((t(2, grad=True) * 2.0).sum(), t(3, grad=True))[0]) == [0.0, 0.0, 0.0]
    ),
    "grad gives a tuple": lambda: type(mg.grad((x := t(2, grad=True)).sum(), x)) is tuple,
    "labels may be an array": lambda: (
        F.cross_entropy(t(2, 3), np.array([0, 2])).item()
        == F.cross_entropy(t(2, 3), mg.tensor([0, 2])).item()
    ),
    "there is no num_batches_tracked": lambda: len(_state(nn.BatchNorm1d(2))) == 4,
    "num_batches_tracked is ignored": lambda: (
        nn.BatchNorm1d(2).load_state_dict(
            nn.BatchNorm1d(2).state_dict() | {"num_batches_tracked": np.array(3)}
        )
        is None
    ),
    "load_state_dict takes arrays": lambda: _loads(lambda v: v.numpy()),
    "load_state_dict takes Tensors": lambda: _loads(lambda v: v),
    "batch_norm works on 2-D x": lambda: F.batch_norm(t(4, 3), t(3), t(3)).shape == (4, 3),
    "batch_norm works on 4-D x": lambda: F.batch_norm(t(4, 3, 2, 2), t(3), t(3)).ndim == 4,
}  # fmt: skip


def _without_grad(statement: Callable[[], bool]) -> bool:
    with mg.no_grad():
        return statement()


def _close(loss: mg.Tensor, value: float) -> bool:
    return abs(loss.item() - value) < 1e-6


def _slope(objective: Any, logit: float, expected: float) -> bool:
    s = mg.tensor([logit], requires_grad=True, dtype="float64")
    return abs(mg.grad(objective.generator(s), s)[0].item() - expected) < 1e-12


def _after_zero_grad(module: nn.Linear) -> nn.Linear:
    module(t(1, 2)).sum().backward()
    assert module.weight.grad is not None
    module.zero_grad()
    return module


def _loads(convert: Callable[[mg.Tensor], Any]) -> bool:
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    assert _rows(one.weight) != _rows(other.weight)
    other.load_state_dict({name: convert(value) for name, value in one.state_dict().items()})
    return _rows(one.weight) == _rows(other.weight) and _rows(one.bias) == _rows(other.bias)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_true(statement: str) -> None:
    assert STATEMENTS[statement]()


# --- Exceptions -----------------------------------------------------------------------------------


def _freed() -> None:
    x = t(2, grad=True)
    y = (x * 2.0).sum()
    y.backward()
    y.backward()


def _changed_in_place() -> None:
    weight = t(2, grad=True)
    loss = (weight * weight).sum()
    optimizer = mg.optim.SGD([weight], 0.1)
    (weight * 1.0).sum().backward()
    optimizer.step()
    loss.backward()


RAISES: dict[str, tuple[type[Exception], Callable[[], Any]]] = {
    # ValueError: shapes and values
    "linear": (ValueError, lambda: nn.Linear(256, 100)(t(64, 784))),
    "conv2d of other channels": (ValueError, lambda: nn.Conv2d(2, 4, 3)(t(1, 3, 8, 8))),
    "a kernel larger than the picture": (ValueError, lambda: nn.Conv2d(1, 1, 5)(t(1, 1, 4, 9))),
    "output_padding of the stride": (
        ValueError,
        lambda: nn.ConvTranspose2d(1, 1, 4, 2, 1, 2)(t(1, 1, 4, 4)),
    ),
    "a stride of 0": (ValueError, lambda: nn.Conv2d(1, 1, 3, 0)),
    "Conv2d(0, 1, 3)": (ValueError, lambda: nn.Conv2d(0, 1, 3)),
    "padding of a whole window": (ValueError, lambda: nn.MaxPool2d(2, 2, 2)(t(1, 1, 4, 4))),
    "shapes that do not broadcast": (ValueError, lambda: t(2) + t(3)),
    "matmul": (ValueError, lambda: t(2, 3) @ t(2, 3)),
    "reshape": (ValueError, lambda: t(2, 3).reshape(4, 2)),
    "an axis that is not there": (ValueError, lambda: t(2).sum(axis=1)),
    "item() of two entries": (ValueError, lambda: t(2).item()),
    "a negative seed": (ValueError, lambda: mg.manual_seed(-1)),
    "an unknown backend": (ValueError, lambda: mg.backend.set_backend("nmupy")),
    "Linear(0, 1)": (ValueError, lambda: nn.Linear(0, 1)),
    "Dropout(1.5)": (ValueError, lambda: nn.Dropout(1.5)),
    "batch norm of one sample": (ValueError, lambda: nn.BatchNorm1d(2)(t(1, 2))),
    "a state with a name too few": (ValueError, lambda: nn.Linear(2, 1).load_state_dict({})),
    "a state of another shape": (
        ValueError,
        lambda: nn.Linear(2, 1).load_state_dict(nn.Linear(3, 1).state_dict()),
    ),
    "logits and labels of two lengths": (ValueError, lambda: F.cross_entropy(t(2, 3), [0])),
    "a negative learning rate": (ValueError, lambda: mg.optim.Adam([t(2, grad=True)], -1.0)),
    "nothing to optimise": (ValueError, lambda: mg.optim.SGD([], 0.1)),
    "an unknown split": (ValueError, lambda: mg.data.load("mnist-mini", "tset")),
    "interpolate(0, 2)": (ValueError, lambda: explore.interpolate(mg.models.MLPGAN(), 0, 2)),
    "interpolate(1, 1)": (ValueError, lambda: explore.interpolate(mg.models.MLPGAN(), 1, 1)),
    "feature maps of vectors": (
        ValueError,
        lambda: explore.feature_maps(mg.models.MLPGAN(), mg.models.MLPGAN().latents(1)),
    ),
    "sample(0)": (ValueError, lambda: mg.models.MLPGAN().sample(0)),
    "wasserstein": (ValueError, lambda: mg.models.MLPGAN(loss="wasserstein")),
    "an unknown model": (ValueError, lambda: mg.train("mpl", "mnist-mini")),
    "epochs and steps": (ValueError, lambda: mg.train("mlp", "mnist-mini", epochs=1, steps=1)),
    # TypeError: types and dtypes
    "a model that is none": (TypeError, lambda: mg.train(nn.Linear(2, 1), "mnist-mini")),
    "steps that are no integer": (TypeError, lambda: mg.train("mlp", "mnist-mini", steps=1.5)),
    "integers with gradients": (TypeError, lambda: mg.tensor([1, 2], requires_grad=True)),
    "booleans with gradients": (TypeError, lambda: mg.tensor([True], requires_grad=True)),
    "two float dtypes in one op": (TypeError, lambda: t(2) + t(2, dtype="float64")),
    "two float dtypes in a product": (TypeError, lambda: t(2, 2) @ t(2, 2, dtype="float64")),
    "a NumPy float64 array is a dtype too": (TypeError, lambda: t(2) * np.ones(2)),
    "a layer fed another dtype": (TypeError, lambda: nn.Linear(2, 1)(t(1, 2, dtype="float64"))),
    "conv2d fed another dtype": (
        TypeError,
        lambda: nn.Conv2d(1, 1, 3)(t(1, 1, 4, 4, dtype="float64")),
    ),
    "a stride that is no integer": (TypeError, lambda: nn.Conv2d(1, 1, 3, 1.5)),
    "Conv2d's bias by position": (TypeError, lambda: nn.Conv2d(1, 1, 3, 1, 0, False)),
    "a list into Tensor()": (TypeError, lambda: mg.Tensor([1.0])),
    "a seed that is no integer": (TypeError, lambda: mg.manual_seed(1.5)),
    "labels that are floats": (TypeError, lambda: F.cross_entropy(t(2, 3), t(2))),
    "gradcheck in float32": (TypeError, lambda: mg.gradcheck(lambda x: x, t(2, grad=True))),
    "a layer that is none": (TypeError, lambda: nn.Sequential(nn.ReLU(), operator.neg)),
    "eps in momentum's place": (TypeError, lambda: nn.BatchNorm1d(4, 0.8)),
    "retain_graph": (TypeError, lambda: t(1, grad=True).sum().backward(retain_graph=True)),
    # RuntimeError: the state of the graph, and what the machine lacks
    "a second backward": (RuntimeError, _freed),
    "backward from a vector": (RuntimeError, lambda: (t(2, grad=True) * 2.0).backward()),
    "backward from a constant": (RuntimeError, lambda: t(2).sum().backward()),
    "grad of what asks for none": (RuntimeError, lambda: mg.grad(t(2, grad=True).sum(), t(2))),
    "a saved array changed in place": (RuntimeError, _changed_in_place),
    "requires_grad_ on a result": (RuntimeError, lambda: (t(2, grad=True) * 2.0).requires_grad_()),
    # FileNotFoundError
    "no run there": (FileNotFoundError, lambda: checkpoint.Run.open(HERE / "no such run")),
    "no tensors there": (FileNotFoundError, lambda: checkpoint.load_tensors(HERE / "none")),
    # AssertionErrors of their own kind
    "a wrong gradient": (
        mg.GradcheckError,
        lambda: mg.gradcheck(lambda x: x * x.detach(), t(2, dtype="float64", grad=True)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RAISES)
def test_raises(case: str) -> None:
    expected, action = RAISES[case]
    with pytest.raises(expected) as caught:
        action()
    assert type(caught.value) is expected  # not a more special kind, met by accident
    assert len(str(caught.value)) > 10


def test_create_graph_keeps_the_graph() -> None:
    x = t(2, grad=True)
    y = (x * x).sum()
    mg.grad(y, x, create_graph=True)
    assert _rows(mg.grad(y, x)[0]) == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="freed"):
        mg.grad(y, x)


def test_an_error_names_what_was_wrong_with_both_shapes() -> None:
    with pytest.raises(ValueError) as caught:
        nn.Linear(100, 256)(t(64, 784))
    for part in ("linear", "784", "100", "(64, 784)", "(256, 100)"):
        assert part in str(caught.value)


def test_kinds_of_errors() -> None:
    assert issubclass(training.DivergedError, RuntimeError)
    assert issubclass(checkpoint.DamagedFileError, ValueError)
    assert issubclass(mg.runs.WriteError, RuntimeError)
    assert issubclass(mg.GradcheckError, AssertionError)


# --- Backend --------------------------------------------------------------------------------------


def test_backend() -> None:
    library = mg.backend.xp  # what "numpy" means in this test, see conftest.py
    other = SimpleNamespace(ndarray=object)
    mg.backend.set_backend(other)
    with mg.backend.using_backend("numpy"):
        assert mg.backend.xp is library
    assert mg.backend.xp is other
    mg.backend.set_backend("numpy")
    assert mg.backend.xp is library


def test_without_cupy_only_auto_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    with pytest.raises(RuntimeError, match=r"cupy.*not installed.*pip install"):
        mg.backend.set_backend("cupy")
    with pytest.warns(UserWarning, match="falling back to NumPy"):
        mg.backend.set_backend("auto")
    assert mg.backend.xp is np


# --- The command line -----------------------------------------------------------------------------

OPTIONS = {
    "train": {"model", "--loss", "--set", "--data", "--epochs", "--steps", "--batch-size", "--lr",
              "--seed", "--backend", "--out", "--resume"},
    "sample": {"run_path", "-n", "--seed", "-o", "--out", "--interpolate", "--feature-maps",
               "--backend"},
    "data info": {"name"},
    "data verify": {"name"},
    "data fetch": {"name"},
    "bench": set(),
}  # fmt: skip


def command_of(line: str) -> click.Command:
    command: click.Command = cli
    for name in line.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    return command


@pytest.mark.parametrize("line", OPTIONS)
def test_command_has_its_options(line: str) -> None:
    names = {o for p in command_of(line).params for o in (*p.opts, *p.secondary_opts)}
    assert names >= OPTIONS[line]


def choices(line: str, parameter: str) -> list[str]:
    (kind,) = (p.type for p in command_of(line).params if p.name == parameter)
    assert isinstance(kind, click.Choice)
    return [str(choice) for choice in kind.choices]


def test_choices() -> None:
    assert "mlp" in choices("train", "model")
    games = {"minimax", "non_saturating", "least_squares", "hinge", "wasserstein"}
    assert games <= set(choices("train", "loss"))
    for line in ("train", "sample", "bench"):
        assert choices(line, "backend") == ["numpy", "cupy", "auto"]
        (option,) = (p for p in command_of(line).params if p.name == "backend")
        assert (option.default, option.envvar) == ("numpy", "MINIGAN_BACKEND")


DEFAULTS = {
    "train mlp": {"model": "mlp", "loss": None, "data": None, "seed": None, "lr": None,
                  "settings": (), "resume": False, "epochs": None, "steps": None, "out": None},
    "sample runs/mlp": {"n": 64, "seed": 0, "run_path": Path("runs/mlp"), "out": Path("grid.png")},
    "data verify": {"name": "mnist"},
}  # fmt: skip


def test_what_train_takes_where_nothing_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For a new run; a resumed one takes its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["minigan", "train", "dcgan"])
    seen: list[Any] = []

    def watched(model: Any, **arguments: Any) -> Any:
        seen.append((model.name, model.chosen, arguments))
        raise ValueError("seen")

    monkeypatch.setattr("minigan.runs.train", watched)
    for more in ([], ["--resume"]):
        monkeypatch.setattr(sys, "argv", ["minigan", "train", "dcgan", *more])
        with pytest.raises(SystemExit):
            main()
    given = {"epochs": None, "steps": None, "batch_size": None, "out": Path("runs/dcgan")}
    assert seen == [
        ("dcgan", {}, given | {"data": "mnist", "seed": 0, "resume": False}),
        ("dcgan", {}, given | {"data": None, "seed": None, "resume": True}),
    ]


@pytest.mark.parametrize("line", DEFAULTS)
def test_defaults(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIGAN_BACKEND", raising=False)
    words = line.split()
    command: click.Command = cli
    context: click.Context | None = None
    while isinstance(command, click.Group):
        # With its parent's settings: a command keeps the help option of its first context.
        context = click.Context(command, parent=context, **command.context_settings)
        command = command.commands[words.pop(0)]
    context = command.make_context(line, words, parent=context)
    assert {name: context.params[name] for name in DEFAULTS[line]} == DEFAULTS[line]


EXIT_CODES = {
    "--help": 0,
    "-h": 0,
    "--version": 0,
    "train --help": 0,
    "sample --help": 0,
    "data --help": 0,
    "data info --help": 0,
    "data verify --help": 0,
    "data fetch --help": 0,
    "bench --help": 0,
    "data info mnist-mini": 0,
    "data verify mnist-mini": 0,
    "": 2,
    "trian": 2,
    "train": 2,
    "train dcgna": 2,
    "train mlp --loss wasserstien": 2,
    "train mlp --loss wasserstein": 2,
    "train mlp --backend cudy": 2,
    "train mlp --data no-such-data": 2,
    "train mlp --epochs 1 --steps 1": 2,
    "train mlp --epochs 0": 2,
    "train mlp --steps -1": 2,
    "train mlp --epochs one": 2,
    "train mlp --batch-size 0": 2,
    "train mlp --batch-size 1": 2,
    "train mlp --lr 0": 2,
    "train mlp --lr -0.1": 2,
    "train mlp --set width=8": 2,
    "train mlp --set lr": 2,
    "train mlp --set lr=": 2,
    "train mlp --set lr=nan": 2,
    "train mlp --set lr=0.1 --lr 0.2": 2,
    "train mlp --seed -1": 2,
    "train mlp --no-such-option": 2,
    "train mlp --resume": 2,
    "sample": 2,
    "sample no-such-run": 2,
    "sample no-such-run -n 0": 2,
    "sample no-such-run -o grid.jpg": 2,
    "data": 2,
    "data no-such-command": 2,
    "data info no-such-data": 2,
    "data verify no-such-data": 2,
    "data fetch mnist-mini": 2,
}


@pytest.mark.parametrize("line", EXIT_CODES)
def test_exit_code(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.delenv("MINIGAN_BACKEND", raising=False)
    monkeypatch.setattr(sys, "argv", ["minigan", *line.split()])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == EXIT_CODES[line]
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # neither help nor an error leaves anything behind
