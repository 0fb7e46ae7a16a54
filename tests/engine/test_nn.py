"""The layers beside PyTorch's of the same name, and what a Module does with its parameters."""

import collections
import copy
import functools
import inspect
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan import functional as F
from minigan import nn
from minigan.autograd import Tensor
from minigan.nn import init

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch, the oracle, is not installed")

# Built with minigan.nn or torch.nn as lib: the arguments are the same. Then the shape of an input.
NETS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Linear": (lambda lib: lib.Linear(3, 4), (5, 3)),
    "Linear of three axes": (lambda lib: lib.Linear(3, 4), (2, 5, 3)),
    "Linear of one axis": (lambda lib: lib.Linear(3, 4), (3,)),
    "Linear without bias": (lambda lib: lib.Linear(3, 4, bias=False), (5, 3)),
    "BatchNorm1d": (lambda lib: lib.BatchNorm1d(3), (5, 3)),
    "BatchNorm1d, other values": (lambda lib: lib.BatchNorm1d(3, momentum=0.3, eps=0.1), (5, 3)),
    "BatchNorm2d": (lambda lib: lib.BatchNorm2d(3), (4, 3, 2, 2)),
    "BatchNorm2d of one image": (lambda lib: lib.BatchNorm2d(2), (1, 2, 3, 2)),
    "ReLU": (lambda lib: lib.ReLU(), (2, 3)),
    "LeakyReLU": (lambda lib: lib.LeakyReLU(), (2, 3)),
    "LeakyReLU of 0.2": (lambda lib: lib.LeakyReLU(0.2), (2, 3)),
    "Sigmoid": (lambda lib: lib.Sigmoid(), (2, 3)),
    "Tanh": (lambda lib: lib.Tanh(), (2, 3)),
    "Softplus": (lambda lib: lib.Softplus(), (2, 3)),
    "Identity": (lambda lib: lib.Identity(), (2, 3)),
    "InstanceNorm2d": (lambda lib: lib.InstanceNorm2d(3), (2, 3, 2, 3)),
    "InstanceNorm2d, learned": (lambda lib: lib.InstanceNorm2d(3, 0.1, affine=True), (2, 3, 1, 2)),
    "Upsample": (lambda lib: lib.Upsample(scale_factor=2), (2, 3, 1, 2)),
    "Upsample to a size": (lambda lib: lib.Upsample((4, 3), mode="bilinear"), (2, 1, 2, 3)),
    "Upsample, bilinear": (lambda lib: lib.Upsample(None, (3, 2), "bilinear"), (1, 2, 3, 2)),
    "PixelShuffle": (lambda lib: lib.PixelShuffle(2), (2, 8, 1, 2)),
    "spectral_norm of Linear": (lambda lib: lib.utils.spectral_norm(lib.Linear(3, 4)), (5, 3)),
    "spectral_norm of Conv2d": (
        lambda lib: lib.utils.spectral_norm(lib.Conv2d(2, 3, 2, bias=False), n_power_iterations=2),
        (2, 2, 3, 3),
    ),
    "spectral_norm of ConvTranspose2d": (
        lambda lib: lib.utils.spectral_norm(lib.ConvTranspose2d(3, 2, 2)),
        (2, 3, 2, 2),
    ),
    "spectral_norm in Sequential": (
        lambda lib: lib.Sequential(
            lib.utils.spectral_norm(lib.Linear(3, 4), "weight", 1, 1e-6),
            lib.LeakyReLU(0.2),
            lib.utils.spectral_norm(lib.Linear(4, 1)),
        ),
        (5, 3),
    ),
    "Flatten": (lambda lib: lib.Flatten(), (2, 3, 1, 2)),
    "Unflatten": (lambda lib: lib.Unflatten(1, (1, 3, 2)), (2, 6)),
    "Unflatten from behind": (lambda lib: lib.Unflatten(-1, (-1, 2)), (2, 3, 4)),
    "Sequential": (
        lambda lib: lib.Sequential(
            lib.Linear(6, 4, bias=False),
            lib.BatchNorm1d(4),
            lib.LeakyReLU(0.2),
            lib.Unflatten(1, (2, 2, 1)),
            lib.BatchNorm2d(2),
            lib.Flatten(),
            lib.Sequential(lib.Linear(4, 3), lib.Tanh()),
        ),
        (5, 6),
    ),
}
every_net = pytest.mark.parametrize("name", NETS)


def samples(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def scrambled(name: str, seed: int = 0) -> nn.Module:
    """A float64 net whose parameters and statistics are all different from where they start."""
    net = NETS[name][0](nn).to("float64")
    rng = np.random.default_rng(seed)
    state = {k: rng.uniform(0.5, 1.5, v.shape) for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    return net  # type: ignore[no-any-return]


def to_torch(state: dict[str, Tensor]) -> dict[str, Any]:
    return {name: torch.tensor(value.numpy()) for name, value in state.items()}


def close(ours: Tensor, theirs: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(
        ours.numpy(), theirs.numpy(force=True), rtol=tolerance, atol=tolerance
    )


# --- Layers against PyTorch ---------------------------------------------------------------------


@needs_torch
@every_net
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_agrees_with_pytorch_to_second_order(name: str, training: bool) -> None:
    """minigan's state_dict loads into torch.nn; then both agree, statistics too, for 3 steps."""
    build, shape = NETS[name]
    net, twin = scrambled(name), build(torch.nn).double()
    twin.load_state_dict(to_torch(net.state_dict()))
    net.train(training)
    twin.train(training)
    for step in range(3):
        x, t = samples(shape, step), torch.tensor(samples(shape, step), requires_grad=True)
        ours = mg.tensor(x, requires_grad=True)
        y, u = net(ours), twin(t)
        close(y, u)
        v = samples(y.shape, 50 + step)
        first = mg.grad(y, [ours, *net.parameters()], mg.tensor(v), create_graph=True)
        theirs = torch.autograd.grad(u, [t, *twin.parameters()], torch.tensor(v), create_graph=True)
        for g, h in zip(first, theirs, strict=True):
            close(g, h)
        if theirs[0].requires_grad:
            ours_twice = mg.grad((first[0] * first[0]).sum(), [ours, *net.parameters()])
            twice = torch.autograd.grad(
                (theirs[0] ** 2).sum(), [t, *twin.parameters()], materialize_grads=True
            )
            for g, h in zip(ours_twice, twice, strict=True):
                close(g, h)
    for key, value in net.state_dict().items():
        close(value, twin.state_dict()[key])


@needs_torch
@every_net
def test_pytorchs_state_dict_loads_into_minigan(name: str) -> None:
    build, shape = NETS[name]
    torch.manual_seed(0)
    net, twin = build(nn), build(torch.nn)
    twin(torch.tensor(samples(shape), dtype=torch.float32))  # moves the running statistics
    net.load_state_dict(twin.state_dict())
    x = samples(shape, 1).astype("float32")
    y = net.eval()(mg.tensor(x))
    assert y.dtype == "float32"
    close(y, twin.eval()(torch.tensor(x)), 1e-5)


@every_net
@pytest.mark.parametrize("training", [True, False])
def test_a_layers_gradients_match_finite_differences(name: str, training: bool) -> None:
    net, x = scrambled(name).train(training), mg.tensor(samples(NETS[name][1]), requires_grad=True)
    if "spectral" in name:  # until u and v, which count as constants, are
        for _ in range(100):
            net(x)
    mg.gradcheck(lambda x: net(x), x)
    mg.gradgradcheck(lambda x: net(x), x)
    for parameter in net.parameters():
        finite_difference(net, x, parameter)


def finite_difference(net: nn.Module, x: Tensor, parameter: Tensor) -> None:
    """d⟨v, net(x)⟩/dp along a random direction of p, by moving p itself."""
    with mg.no_grad():
        v = mg.tensor(samples(net(x).shape, 9))
    direction, home, eps = samples(parameter.shape, 10), parameter.numpy(), 1e-6
    sides = []
    for step in (eps, -eps):
        parameter.copy_(home + step * direction)
        with mg.no_grad():
            sides.append((net(x) * v).sum().item())
    parameter.copy_(home)
    (g,) = mg.grad((net(x) * v).sum(), parameter)
    numeric = (sides[0] - sides[1]) / (2 * eps)
    assert (g.numpy() * direction).sum() == pytest.approx(numeric, rel=1e-6, abs=1e-7)


@given(seed=st.integers(0, 10**6), image=st.sampled_from([(), (2, 3), (1, 1)]))
def test_batch_norm_backward_is_the_closed_form(seed: int, image: tuple[int, ...]) -> None:
    """dx = γ/(m√(σ²+ε)) · [m·dy − Σdy − x̂·Σ(dy·x̂)], and Σdx = 0 per channel."""
    shape, axes = (6, 3, *image), (0, 2, 3)[: 1 + len(image)]
    x, dy = samples(shape, seed), samples(shape, seed + 1)
    gamma, beta = samples((3,), seed + 2), samples((3,), seed + 3)
    leaves = [mg.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    dx, dgamma, dbeta = mg.grad(F.batch_norm(*leaves, eps=1e-5), leaves, mg.tensor(dy))
    m = x.size / 3
    s = np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5)
    x_hat = (x - x.mean(axis=axes, keepdims=True)) / s
    wide = gamma.reshape(1, 3, *(1 for _ in image))
    total = dy.sum(axis=axes, keepdims=True)
    weighted = (dy * x_hat).sum(axis=axes, keepdims=True)
    expected = wide / (m * s) * (m * dy - total - x_hat * weighted)
    np.testing.assert_allclose(dx.numpy(), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(dx.numpy().sum(axis=axes), 0, atol=1e-10)
    np.testing.assert_allclose(dgamma.numpy(), weighted.reshape(-1), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(dbeta.numpy(), total.reshape(-1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 2, 2)], ids=str)
def test_batch_norm_is_the_five_lines_of_its_docstring(shape: tuple[int, ...]) -> None:
    """In value, in running statistics and in derivatives of both orders."""
    rng = np.random.default_rng(0)
    x, weight, bias = (
        mg.tensor(rng.uniform(0.5, 2.0, size), requires_grad=True) for size in (shape, 3, 3)
    )
    statistics = [rng.uniform(0.5, 2.0, 3) for _ in range(2)]
    mean, var = map(mg.tensor, statistics)
    y = F.batch_norm(x, weight, bias, mean, var, momentum=0.3, eps=0.1)

    text = inspect.cleandoc(F.batch_norm.__doc__)  # from Python 3.13 on it has no margin
    lines = [s.strip() for s in text.split("\n") if s.startswith(" " * 4)]
    assert len(lines) == 5
    cases = x if x.ndim == 2 else x.permute(0, 2, 3, 1).reshape(-1, 3)
    scope: dict[str, Any] = {
        "x": cases, "weight": weight, "bias": bias, "momentum": 0.3, "eps": 0.1, "sqrt": F.sqrt,
        "m": len(cases), **dict(zip(("running_mean", "running_var"), statistics, strict=True)),
    }  # fmt: skip
    exec("\n".join(lines), scope)
    plain = scope["y"]
    if x.ndim == 4:
        plain = plain.reshape(2, 2, 2, 3).permute(0, 3, 1, 2)

    def agree(a: Tensor, b: Tensor) -> None:
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)

    agree(y, plain)
    agree(mean, scope["running_mean"])
    agree(var, scope["running_var"])
    v = mg.tensor(rng.standard_normal(shape))
    first, expected = (mg.grad(z, [x, weight, bias], v, create_graph=True) for z in (y, plain))
    for a, b in zip(first, expected, strict=True):
        agree(a, b)
    weights = [mg.tensor(rng.standard_normal(g.shape)) for g in first]
    for a, b in zip(
        mg.grad(first, [x, weight], weights), mg.grad(expected, [x, weight], weights), strict=True
    ):
        agree(a, b)


def test_in_evaluation_a_sample_does_not_depend_on_its_batch_mates() -> None:
    net = scrambled("Sequential").eval()
    x = samples((5, 6))
    before = net.state_dict()
    whole = net(mg.tensor(x)).numpy()
    for i in range(5):
        np.testing.assert_allclose(
            net(mg.tensor(x[i : i + 1])).numpy(), whole[i : i + 1], rtol=1e-12
        )
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key].numpy())


def test_embedding() -> None:
    layer = nn.Embedding(4, 2).to("float64")
    table = layer.weight.numpy()
    for indices in ([[0, 3], [3, 1]], np.array([2, 2], "uint8"), mg.tensor(1)):
        where = np.asarray(indices)
        y = layer(indices)
        np.testing.assert_array_equal(y.numpy(), table[where])
        (g,) = mg.grad(y.sum(), layer.weight)
        assert g.numpy()[:, 0].tolist() == np.bincount(where.reshape(-1), minlength=4).tolist()
    assert layer(np.zeros((3, 0), int)).shape == (3, 0, 2)
    mg.gradcheck(lambda w: F.embedding([0, 3, 3], w), layer.weight)
    mg.gradgradcheck(lambda w: F.embedding([0, 3, 3], w) ** 3, layer.weight)


# --- Dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_a_share_p_and_scales_the_rest(p: float) -> None:
    mg.manual_seed(0)
    n = 40_000
    y = nn.Dropout(p)(mg.tensor(np.ones((200, 200), "float32"))).numpy()
    assert y.dtype == np.float32
    kept = y[y != 0]
    np.testing.assert_allclose(kept, 1 / (1 - p), rtol=1e-6)
    assert abs(len(kept) - n * (1 - p)) < 5 * math.sqrt(n * p * (1 - p))


def test_dropout_draws_anew_reproducibly_and_its_gradient_is_its_mask() -> None:
    x = mg.tensor(samples((30, 30)), requires_grad=True)
    layer = nn.Dropout(0.4)
    mg.manual_seed(3)
    first, second = layer(x), layer(x)
    mg.manual_seed(3)
    np.testing.assert_array_equal(layer(x).numpy(), first.numpy())
    assert (first.numpy() != second.numpy()).any()
    (g,) = mg.grad(first.sum(), x)
    np.testing.assert_allclose(g.numpy() * x.numpy(), first.numpy(), rtol=1e-15)


def test_dropout_is_the_identity_in_evaluation_and_for_p_zero() -> None:
    x = mg.tensor(samples((3, 3)))
    state = mg.backend.rng_state()
    assert nn.Dropout(0.7).eval()(x) is x and nn.Dropout(0.0)(x) is x
    assert mg.backend.rng_state() == state


# --- state_dict ---------------------------------------------------------------------------------


def test_state_dict_is_a_snapshot() -> None:
    net = NETS["Sequential"][0](nn)
    before = net.state_dict()
    values = {k: v.numpy() for k, v in before.items()}
    net(mg.tensor(samples((5, 6)).astype("float32"))).sum().backward()
    mg.optim.SGD(net.parameters(), lr=1.0).step()
    for key, value in before.items():
        np.testing.assert_array_equal(value.numpy(), values[key])
        assert not value.requires_grad
    assert (net.state_dict()["0.weight"].numpy() != values["0.weight"]).any()
    net.load_state_dict(before)
    before["0.weight"].copy_(np.zeros((4, 6)))  # nor does loading share memory
    np.testing.assert_array_equal(net.state_dict()["0.weight"].numpy(), values["0.weight"])


def test_load_state_dict_takes_tensors_arrays_lists_and_keeps_the_own_dtype() -> None:
    net = nn.Linear(2, 1)
    weight = net.weight
    for given_weight in (mg.tensor([[1.0, 2.0]]), np.array([[1.0, 2.0]]), [[1.0, 2.0]]):
        net.load_state_dict({"weight": given_weight, "bias": np.array([3], "int64")})
        assert net.weight is weight and weight.dtype == net.bias.dtype == "float32"
        assert weight.numpy().tolist() == [[1, 2]] and net.bias.numpy().tolist() == [3]
        assert weight.requires_grad


@needs_torch
def test_load_state_dict_takes_torch_tensors_that_require_gradients() -> None:
    net = nn.Linear(2, 1)
    net.load_state_dict(dict(torch.nn.Linear(2, 1).named_parameters()))


def test_load_state_dict_lists_every_problem_and_changes_nothing() -> None:
    net = NETS["Sequential"][0](nn)
    state = net.state_dict()
    before = {k: v.numpy() for k, v in state.items()}
    bad = {k: np.full(v.shape, 7.0) for k, v in state.items()}
    del bad["0.weight"], bad["1.running_var"]
    bad["6.0.weight"] = np.zeros((4, 3))
    bad["extra.weight"] = np.zeros(2)
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(bad)
    for line in (
        "missing: 0.weight (4, 6)",
        "missing: 1.running_var (4,)",
        "unexpected: extra.weight (2,)",
        "wrong shape: 6.0.weight is (3, 4), in the state (4, 3)",
    ):
        assert line in str(caught.value)
    assert str(caught.value).count("\n") == 4
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_load_state_dict_ignores_num_batches_tracked() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2))
    net.load_state_dict(net.state_dict() | {"0.num_batches_tracked": np.array(5)})  # type: ignore[arg-type]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "0.running_mean", "0.running_var"]


# --- Module -------------------------------------------------------------------------------------


class Tree(nn.Module):
    """Parameters directly, in modules, in a list, and one of them twice."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(mg.tensor([1.0]))
        self.first = nn.Linear(2, 2)
        self.blocks = [nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2)]
        self.tied = nn.Linear(2, 2, bias=False)
        self.tied.weight = self.first.weight
        self.count = 3
        self.constant = mg.tensor([1.0])


def test_names_come_in_order_and_shared_parameters_once() -> None:
    tree = Tree()
    assert [name for name, _ in tree.named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "blocks.0.weight",
        "blocks.1.weight",
        "blocks.1.bias",
    ]
    assert [id(p) for p in tree.parameters()] == [id(p) for _, p in tree.named_parameters()]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in tree.parameters())
    assert {"tied.weight", "constant", "blocks.1.running_mean"} <= set(tree.state_dict())
    names = [type(m).__name__ for m in tree.modules()]
    assert names == ["Tree", "Linear", "Linear", "BatchNorm1d", "Linear"]
    other = Tree()
    other.load_state_dict(tree.state_dict())
    assert other.tied.weight is other.first.weight


def test_train_eval_freeze_and_zero_grad_reach_everything() -> None:
    tree = Tree()
    assert tree.training and tree.eval() is tree
    assert not any(m.training for m in tree.modules())
    assert tree.train() is tree and all(m.training for m in tree.modules())
    tree.first(mg.tensor([[1.0, 2.0]])).sum().backward()
    assert tree.first.weight.grad is not None
    tree.zero_grad()
    assert all(p.grad is None for p in tree.parameters())
    assert tree.requires_grad_(False) is tree
    assert not tree.first(mg.tensor([[1.0, 2.0]])).requires_grad
    assert len(list(tree.parameters())) == 6
    tree.requires_grad_()
    assert tree.first(mg.tensor([[1.0, 2.0]])).requires_grad


def test_to_converts_parameters_and_statistics() -> None:
    tree = Tree().to("float64")
    assert {str(v.dtype) for v in tree.state_dict().values()} == {"float64"}
    assert tree.tied.weight is tree.first.weight
    assert all(p.requires_grad for p in tree.parameters()) and not tree.constant.requires_grad
    assert tree.to("float32").first.weight.dtype == "float32"
    tree.first(mg.tensor([[1.0, 2.0]])).sum().backward()
    tree.scale.requires_grad_(False)
    assert tree.to("float64").first.weight.grad is None
    assert not tree.scale.requires_grad and tree.first.weight.requires_grad


def test_sequential_is_a_sequence() -> None:
    parts = [nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)]
    net = nn.Sequential(*parts)
    assert len(net) == 3 and list(net) == parts and net[0] is parts[0] and net[-1] is parts[2]
    head = net[:2]
    assert isinstance(head, nn.Sequential) and list(head) == parts[:2]
    x = mg.tensor([[1.0, 2.0]])
    np.testing.assert_array_equal(net(x).numpy(), parts[2](head(x)).numpy())
    assert nn.Sequential()(x) is x


def test_a_module_list_is_a_list_and_part_of_the_state() -> None:
    class Branches(nn.Module):
        def __init__(self, *sizes: int) -> None:
            self.branches = nn.ModuleList(nn.Linear(2, n, bias=False) for n in sizes)

        def forward(self, x: Tensor) -> Tensor:
            return F.concatenate([branch(x) for branch in self.branches], axis=1)

    net, last = Branches(1, 3), nn.Linear(2, 2)
    assert net.branches.append(last) is net.branches and len(net.branches) == 3
    names = [f"branches.{name}" for name in ("0.weight", "1.weight", "2.weight", "2.bias")]
    assert list(net.state_dict()) == names
    assert net(mg.tensor([[1.0, 2.0]])).shape == (1, 6)
    assert net.branches[-1] is last and net.branches[0] is next(iter(net.branches))
    tail = net.branches[1:]
    assert type(tail) is nn.ModuleList and list(tail) == [net.branches[1], last]
    assert tail.extend([nn.Tanh(), nn.ReLU()]) is tail and len(tail) == 4
    assert list(tail.state_dict()) == ["0.weight", "1.weight", "1.bias"]
    with pytest.raises(TypeError, match="ModuleList: argument 1 is a type, .* in one list"):
        tail.extend([nn.Tanh(), nn.Tanh])  # type: ignore[list-item]
    assert len(tail) == 4 and len(nn.ModuleList()) == 0
    assert not any(module.training for module in tail.eval())
    with pytest.raises(IndexError):
        tail[4]
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        tail(1)


def test_repr_shows_the_arguments() -> None:
    net = nn.Sequential(
        nn.Linear(2, 3, bias=False), nn.Sequential(nn.LeakyReLU(0.2)), nn.Dropout(0.3)
    )
    assert repr(net) == (
        "Sequential(\n  (0): Linear(2, 3, bias=False)\n"
        "  (1): Sequential(\n    (0): LeakyReLU(0.2)\n  )\n  (2): Dropout(p=0.3)\n)"
    )


def test_repr_of_layers_for_pictures() -> None:
    net = [nn.Upsample(4), nn.Upsample(scale_factor=2, mode="bilinear"), nn.PixelShuffle(3)]
    assert repr([*net, nn.InstanceNorm2d(2), nn.Identity(), nn.Softplus()]) == (
        "[Upsample(size=(4, 4), mode='nearest'), Upsample(scale_factor=(2, 2), mode='bilinear'), "
        "PixelShuffle(3), InstanceNorm2d(2, eps=1e-05, affine=False), Identity(), Softplus()]"
    )


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.ModuleList(nn.Tanh()), TypeError, "ModuleList: modules must be a list of modules"),  # type: ignore[arg-type]
    (lambda: nn.ModuleList([nn.Tanh]), TypeError, "ModuleList: argument 0 is a type, not a Module"),  # type: ignore[list-item]
    (lambda: nn.Upsample(), ValueError, "Upsample: give either size or scale_factor, got None and"),
    (
        lambda: nn.Upsample(2, 2),
        ValueError,
        "Upsample: give either size or scale_factor, got 2 and",
    ),
    (lambda: nn.Upsample(2, mode="area"), ValueError, "Upsample: mode must be .*, got 'area'"),
    (lambda: nn.InstanceNorm2d(2)(mg.tensor([[1.0, 2.0, 3.0]])), ValueError, "expected 2 channels"),
    (
        lambda: nn.InstanceNorm2d(2)(mg.tensor(np.ones((1, 2, 1, 1)))),
        ValueError,
        "instance_norm: expected x .N, C, H, W., H·W > 1",
    ),
    (lambda: nn.Linear(0, 3), ValueError, "Linear: in_features must be a positive integer, got 0"),
    (lambda: nn.Linear(3, -1), ValueError, "Linear: out_features must be .*, got -1"),
    (lambda: nn.Linear(3, 2.0), TypeError, "Linear: out_features must be .*, got 2.0"),  # type: ignore[arg-type]
    (lambda: nn.Linear(True, 2), TypeError, "Linear: in_features must be .*, got True"),
    (lambda: nn.BatchNorm2d(0), ValueError, "BatchNorm2d: num_features must be .*, got 0"),
    (lambda: nn.Embedding(2, 0), ValueError, "Embedding: embedding_dim must be .*, got 0"),
    (lambda: nn.Dropout(1.0), ValueError, r"Dropout: p must lie in \[0, 1\), got 1.0"),
    (lambda: nn.BatchNorm1d(3, 0.8), TypeError, "positional"),  # type: ignore[misc]
    (lambda: nn.Sequential(np.tanh), TypeError, "Sequential: argument 0 is a ufunc"),  # type: ignore[arg-type]
    (lambda: nn.Module()(1), NotImplementedError, "Module does not define forward"),
    (
        lambda: nn.Linear(100, 256)(np.zeros((64, 784), "float32")),
        ValueError,
        r"^linear: x has 784 features, weight expects 100 "
        r"\(x \(64, 784\), weight \(256, 100\), bias \(256,\)\)$",
    ),
    (lambda: nn.Linear(2, 2)(np.zeros((1, 2))), TypeError, "linear: x is float64 but a parameter"),
    (
        lambda: nn.BatchNorm1d(2)(mg.tensor(np.zeros((2, 2, 1, 1), "f"))),
        ValueError,
        r"BatchNorm1d: expected 2 axes, got x \(2, 2, 1, 1\)",
    ),
    (lambda: nn.BatchNorm2d(2)(mg.tensor([[1.0, 2.0]])), ValueError, "BatchNorm2d: expected 4"),
    (lambda: nn.BatchNorm1d(2)(mg.tensor([[1.0, 2.0]])), ValueError, "more than one value"),
    (lambda: nn.BatchNorm1d(3)(mg.tensor([[1.0], [2.0]])), ValueError, r"weight must be \(1,\)"),
    (
        lambda: nn.Sequential(nn.BatchNorm1d(1), nn.LeakyReLU(mg.tensor(0.2)))(
            mg.tensor([[1.0], [2.0]])
        ),
        TypeError,
        "negative_slope must be a number, got Tensor",
    ),
    (lambda: nn.Embedding(2, 2)([2]), ValueError, r"embedding: indices must lie in 0\.\.1"),
    (lambda: nn.Unflatten(1, (2, 2))(mg.tensor([[1.0, 2.0]])), ValueError, "reshape: "),
    (lambda: nn.Unflatten(5, (1, 2))(mg.tensor([[1.0, 2.0]])), ValueError, "axis 5|dim 5"),
    (lambda: init.xavier_uniform_(mg.tensor([1.0])), ValueError, r"2 or more axes, got \(1,\)"),
    (
        lambda: init.normal_(mg.tensor([1.0]), std=-1),
        ValueError,
        r"normal_: std must lie in \[0, inf\), got -1",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_a_mistake_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# --- Initialisation -----------------------------------------------------------------------------


def check_uniform(values: np.ndarray, bound: float) -> None:
    n = values.size
    assert abs(values).max() <= bound * (1 + 1e-6) and abs(values).max() > 0.99 * bound
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * n)
    # The variance of x² for uniform x is 4b⁴/45.
    assert abs((values**2).mean() - bound**2 / 3) < 5 * bound**2 * math.sqrt(4 / 45 / n)


def check_normal(values: np.ndarray, mean: float, std: float) -> None:
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.std() - std) < 5 * std / math.sqrt(2 * n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bounds_and_moments(dtype: str) -> None:
    mg.manual_seed(1)
    w = mg.tensor(np.zeros((60, 20, 2, 4), dtype), requires_grad=True)
    for fill, bound in (
        (init.xavier_uniform_, math.sqrt(6 / (20 * 8 + 60 * 8))),
        (lambda t: init.xavier_uniform_(t, gain=3.0), 3 * math.sqrt(6 / (80 * 8))),
        (init.kaiming_uniform_, math.sqrt(6 / (20 * 8))),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(20 * 8)),
        (lambda t: init.uniform_(t, -2.0, 2.0), 2.0),
    ):
        assert fill(w) is w and w.dtype == dtype and w.requires_grad
        check_uniform(w.numpy().astype("float64"), bound)
    assert dtype == "float32" or (w.numpy() != w.numpy().astype("float32")).mean() > 0.9
    check_normal(init.normal_(w, 1.0, 0.5).numpy().astype("float64"), 1.0, 0.5)
    assert (init.ones_(w).numpy() == 1).all() and (init.zeros_(w).numpy() == 0).all()


def test_layers_start_as_pytorchs_do() -> None:
    mg.manual_seed(2)
    linear = nn.Linear(100, 3000)
    for parameter in linear.parameters():
        check_uniform(parameter.numpy().astype("float64"), 0.1)
    check_normal(nn.Embedding(100, 100).weight.numpy().astype("float64"), 0.0, 1.0)
    norm = nn.BatchNorm2d(3)
    state = {name: value.numpy().tolist() for name, value in norm.state_dict().items()}
    zeros, ones = [0.0] * 3, [1.0] * 3
    assert list(state.values()) == [ones, zeros, zeros, ones]


def test_sizes_may_be_integers_of_numpys() -> None:
    assert nn.Linear(np.prod((28, 28)), np.int32(2)).weight.shape == (2, 784)
    assert nn.BatchNorm1d(np.int64(3)).running_mean.shape == (3,)


def test_dcgan_initialisation() -> None:
    mg.manual_seed(3)
    net = nn.Sequential(nn.Linear(200, 100), nn.BatchNorm1d(4000), nn.Linear(100, 3))
    assert init.dcgan_(net) is net
    state = {name: value.numpy().astype("float64") for name, value in net.state_dict().items()}
    check_normal(state["0.weight"], 0.0, 0.02)
    check_normal(state["1.weight"], 1.0, 0.02)
    assert not any(state[name].any() for name in ("0.bias", "1.bias", "2.bias", "1.running_mean"))
    assert (state["1.running_var"] == 1).all()


def test_the_seed_decides_the_weights_and_dropout_does_not_disturb_them() -> None:
    def weights(seed: int, noise: bool = False) -> np.ndarray:
        mg.manual_seed(seed)
        if noise:
            F.dropout(np.ones(100), 0.5)
        return nn.Linear(5, 5).weight.numpy()

    np.testing.assert_array_equal(weights(4), weights(4))
    np.testing.assert_array_equal(weights(4), weights(4, noise=True))
    assert (weights(4) != weights(5)).any()
    for seed, kind in ((-1, ValueError), (1.5, TypeError), (True, TypeError), ("1", TypeError)):
        with pytest.raises(kind, match="manual_seed"):
            mg.manual_seed(seed)  # type: ignore[arg-type]


def test_load_state_dict_changes_nothing_where_a_later_value_cannot_be_converted() -> None:
    layer = nn.Linear(2, 2)
    before = layer.state_dict()
    with pytest.raises(TypeError, match="bias: expected numbers, got dtype <U1"):
        layer.load_state_dict({"weight": np.ones((2, 2)), "bias": np.array(["a", "b"])})
    assert (layer.weight.numpy() == before["weight"].numpy()).all()


def test_a_dict_of_modules_is_refused_rather_than_left_untrained() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            self.branches = {"a": nn.Linear(1, 1)}

    with pytest.raises(TypeError, match="Branches.branches: a dict of modules"):
        list(Branches().parameters())


def test_modules_in_lists_within_lists_are_trained_and_a_dict_within_is_refused() -> None:
    class Branches(nn.Module):
        def __init__(self, *branches: Any) -> None:
            self.branches = branches

    net = Branches([nn.Linear(1, 1, bias=False)], (nn.Tanh(), [nn.Linear(1, 1)]))
    names = ["branches.0.0.weight", "branches.1.1.0.weight", "branches.1.1.0.bias"]
    assert [name for name, _ in net.named_parameters()] == list(net.state_dict()) == names
    for inside in ([{"a": nn.Linear(1, 1)}], {"a": {"b": [nn.Linear(1, 1)]}}):
        with pytest.raises(TypeError, match="Branches.branches: a dict of modules"):
            list(Branches(inside).parameters())
    assert not list(Branches({"a": 1}, [{"b": [2.0]}]).parameters())


def test_a_result_that_a_module_remembers_is_no_part_of_its_state() -> None:
    """Loading wrote what came before it, and then could not overwrite it."""

    class Remembering(nn.Module):
        def __init__(self) -> None:
            self.first, self.hidden, self.last = nn.Linear(2, 2), None, nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            self.hidden = self.first(x)
            return self.last(self.hidden)

    net, x = Remembering(), mg.tensor([[1.0, 2.0]])
    names = list(net.state_dict())
    net(x).sum().backward()
    assert list(net.state_dict()) == names and net.hidden.shape == (1, 2)
    net.load_state_dict(net.state_dict())
    assert net.to("float64").last.weight.dtype == "float64"


def test_a_deep_copy_is_a_model_of_its_own() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net[0].bias.requires_grad_(False)
    x = mg.tensor(np.random.default_rng(0).random((4, 2), "float32"))
    twin = copy.deepcopy(net)
    np.testing.assert_array_equal(twin(x).numpy(), net(x).numpy())
    (twin(x) * x).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    assert [p.grad is None for p in twin.parameters()] == [False, True, False, False]
    for p in twin.parameters():
        nn.init.zeros_(p)
    assert all(p.numpy().any() for p in (net[0].weight, net[0].bias, net[1].weight))


# --- What is state ------------------------------------------------------------------------------


class Holding(nn.Module):
    """A module that holds what it is given."""

    def __init__(self, held: Any = None) -> None:
        self.first = nn.Linear(2, 2, bias=False)
        self.held = held

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x)


class Remembering(Holding):
    """A forward that leaves its input and results wherever it can."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing, self.features, self.named = None, [], {}  # type: ignore[var-annotated]
        self.mask = mg.tensor([1.0, 1.0])
        self.later = []  # type: ignore[var-annotated]
        self.later.append(mg.tensor([4.0]))

    def forward(self, x: Tensor, again: bool = False) -> Tensor:
        self.inp = self.nothing = self.held = x
        self.features.append(x)
        self.later += [x]
        self.both, self.nested = (x, x), [[x.detach()]]
        self.named["x"] = self.seen = {x}
        self.help(x)
        assert list(self.state_dict()) == STATE  # while it runs, too
        if again:
            self(x)
        return self.first(x) * self.mask

    def help(self, x: Tensor) -> None:
        self.helped = x


STATE = ["first.weight", "mask", "later.0"]


@pytest.mark.parametrize("call", ["call", "again", "without graph", "error"])
def test_what_a_forward_leaves_is_no_state(call: str) -> None:
    net, array = Remembering(), mg.tensor([[1.0, 2.0]]).data
    before, x = net.state_dict(), Tensor(array)
    assert list(before) == STATE
    if call == "without graph":
        with mg.no_grad():
            net(x)
    elif call == "error":
        with pytest.raises(ValueError, match="features"):
            net(mg.tensor([[1.0, 2.0, 3.0]]))
    else:
        net(x, call == "again")
    net(x)
    assert list(net.state_dict()) == STATE
    net.load_state_dict({name: np.zeros(value.shape) for name, value in before.items()})
    net.load_state_dict(before)
    net.to("float64")
    assert x.numpy().tolist() == [[1, 2]] and x.dtype == "float32" and x.data is array
    assert net.mask.dtype == "float64" and net.inp is x
    assert list(copy.deepcopy(net.to("float32")).state_dict()) == STATE
    assert len(list(net.parameters())) == 1


def test_what_a_forward_puts_in_the_place_of_a_constant_is_its_value() -> None:
    class Averaging(Holding):
        def __init__(self) -> None:
            super().__init__([mg.tensor([0.0, 0.0])])
            self.mean, self.last = mg.tensor([0.0, 0.0]), mg.tensor([[0.0, 0.0]])

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            self.mean = self.mean * 0.5 + y.sum(axis=0)  # a result, and of the call before too
            self.held[0] = self.held[0] + 1.0
            self.last = x
            return y

    net, x = Averaging(), mg.tensor([[1.0, 2.0]], requires_grad=True)
    nn.init.ones_(net.first.weight)
    before = net.state_dict()
    assert list(before) == ["first.weight", "held.0", "mean", "last"]
    net(x)
    net(x)
    y = net.mean.sum()
    state = net.state_dict()
    assert list(state) == list(before) and state["mean"].numpy().tolist() == [4.5, 4.5]
    assert state["held.0"].numpy().tolist() == [2, 2] and state["last"].numpy().tolist() == [[1, 2]]
    y.backward()  # through both calls: nothing was detached
    assert x.grad.numpy().tolist() == [[3, 3]]
    net.load_state_dict(before)
    assert not net.mean.requires_grad and not net.last.requires_grad
    assert net.mean.numpy().tolist() == [0, 0] and x.numpy().tolist() == [[1, 2]]
    net(x)
    assert net.to("float64").mean.dtype == "float64" and x.dtype == "float32" and x.requires_grad


def test_what_is_assigned_outside_of_a_forward_is_state_again() -> None:
    net = Remembering()
    net(mg.tensor([[1.0, 2.0]]))
    assert list(net.state_dict()) == STATE
    net.inp, net.held = mg.tensor([1.0]), [mg.tensor([2.0])]
    assert list(net.state_dict()) == ["first.weight", "held.0", *STATE[1:], "inp"]
    net = nn.Module()
    net.constant = mg.tensor([1.0])  # type: ignore[attr-defined]
    assert list(net.state_dict()) == ["constant"]


def test_layers_that_a_forward_builds_are_state() -> None:
    class Lazy(Holding):
        def forward(self, x: Tensor) -> Tensor:
            if self.held is None:
                self.held = [nn.Linear(2, 3), nn.BatchNorm1d(3)]
                self.gain = nn.Parameter(mg.tensor([1.0, 1.0, 1.0]))
            return self.held[1](self.held[0](x)) * self.gain

    net = Lazy()
    net(mg.tensor([[1.0, 2.0], [3.0, 5.0]]))
    names = ["weight", "bias", "running_mean", "running_var"]
    expected = ["held.0.weight", "held.0.bias", *(f"held.1.{n}" for n in names), "gain"]
    assert list(net.state_dict()) == ["first.weight", *expected]
    assert len(list(net.parameters())) == 6


def test_a_constant_that_was_assigned_outside_is_overwritten_in_place() -> None:
    net = Holding(
        mg.tensor([1.0], requires_grad=True)
    )  # no Parameter, but an optimiser may hold it
    optimiser = mg.optim.SGD([net.held], lr=1.0)
    net(mg.tensor([[1.0, 2.0]]))
    net.load_state_dict({**net.state_dict(), "held": np.array([5.0])})
    (net.held * 2.0).sum().backward()
    optimiser.step()
    assert net.held.item() == 3


Fields = collections.namedtuple("Fields", "a b")


def layers() -> list[nn.Module]:
    return [nn.Linear(1, 1), nn.Tanh()]


def objects() -> np.ndarray:
    held = np.empty((2, 1), object)
    held[:, 0] = layers()
    return held


HIDING: dict[str, Callable[[], Any]] = {
    "ndarray": objects,
    "set": lambda: set(layers()),
    "frozenset": lambda: frozenset(layers()),
    "deque": lambda: collections.deque(layers()),
    "generator": lambda: (nn.Linear(1, 1) for _ in range(2)),
    "map": lambda: map(nn.Sequential, layers()),
    "zip": lambda: zip(layers(), layers(), strict=True),
    "dict": lambda: {"a": nn.Linear(1, 1)},
    "OrderedDict": lambda: collections.OrderedDict(a=nn.Linear(1, 1)),
    "defaultdict": lambda: collections.defaultdict(list, a=layers()),
}
WITHIN: dict[str, Callable[[Any], Any]] = {
    "itself": lambda held: held,
    "a list": lambda held: [1, [held]],
    "a named tuple": lambda held: Fields(held, None),
}


@pytest.mark.parametrize("kind", HIDING)
@pytest.mark.parametrize("within", WITHIN)
def test_a_container_that_is_not_walked_is_refused(kind: str, within: str) -> None:
    net = Holding(WITHIN[within](HIDING[kind]()))
    words = f"^Holding.held: a {kind} of modules or tensors would not be trained or saved"
    for call in (net.state_dict, net.train, lambda: net.to("float64"), lambda: list(net.modules())):
        with pytest.raises(TypeError, match=words):
            call()
    with pytest.raises(TypeError, match=words):
        list(nn.Sequential(net).parameters())


@pytest.mark.parametrize("held", [nn.Parameter, Tensor])
def test_a_container_of_tensors_is_refused_too(held: type[Tensor]) -> None:
    for container in ({"a": held(mg.tensor([1.0]).data)}, {held(mg.tensor([1.0]).data)}):
        with pytest.raises(TypeError, match="Holding.held: a (dict|set) of modules or tensors"):
            Holding(container).state_dict()


def test_a_container_of_nothing_to_save_is_nobodys_business() -> None:
    for held in (
        {"a": 1, "b": [2.0], 3: "x"},
        {1, "a"},
        collections.deque([1]),
        np.ones((2, 2)),
        np.array([None, "a"]),
        range(10**12),
        b"abc",
        np.str_("abc"),
        functools.partial(F.leaky_relu, negative_slope=0.1),
        F.relu,
        nn.Linear,
        iter([1]),
        Fields(1, "a"),
    ):
        assert list(Holding(held).state_dict()) == ["first.weight"]


def test_a_container_of_what_is_found_elsewhere_loses_nothing() -> None:
    net = Holding()
    net.held = {"first": net.first, "again": [net.first]}
    assert list(net.state_dict()) == ["first.weight"]


def test_a_named_tuple_is_a_tuple() -> None:
    net = Holding(Fields(nn.Linear(1, 1, bias=False), mg.tensor([1.0])))
    assert list(net.state_dict()) == ["first.weight", "held.0.weight", "held.1"]


def test_a_class_attribute_that_holds_modules_is_refused() -> None:
    class One(nn.Module):
        shared = nn.Tanh()

    class Several(nn.Module):
        blocks = ([nn.Linear(1, 1)],)

    class Learned(nn.Module):
        gain = nn.Parameter(mg.tensor([1.0]))

    class Below(Several):
        pass

    for kind in (One, Several, Learned, Below):
        with pytest.raises(TypeError, match=f"{kind.__name__}.*: a class attribute of modules"):
            kind().state_dict()

    class Default(nn.Module):
        shared, sizes, scale = nn.Tanh(), (1, 2), mg.tensor([2.0])

        def __init__(self) -> None:
            self.shared = nn.Linear(1, 1, bias=False)

    assert list(Default().state_dict()) == ["shared.weight"]


def test_a_tensor_does_not_take_the_place_of_a_parameter() -> None:
    class Scaling(Holding):
        def forward(self, x: Tensor) -> Tensor:
            self.first.weight = self.first.weight * 0.5
            return self.first(x)

    net = Scaling()
    with pytest.raises(TypeError, match="Linear.weight: a Tensor in the place of a Parameter"):
        net(mg.tensor([[1.0, 2.0]]))
    assert list(net.state_dict()) == ["first.weight"]
    net.first.weight = nn.Parameter(mg.tensor([[1.0, 1.0]]))
    net.first.weight = None  # type: ignore[assignment]
    assert not net.state_dict()


def test_a_module_may_refer_to_its_parent() -> None:
    net = Holding()
    net.held = Holding()
    net.held.held = [net]
    assert list(net.state_dict()) == ["first.weight", "held.first.weight"]
    assert len(list(net.parameters())) == len(list(net.held.parameters())) == 2
    assert "..." in repr(net) and net.to("float64").held.first.weight.dtype == "float64"
    twin = copy.deepcopy(net)
    assert twin.held.held[0] is twin and twin.held is not net.held


def test_converting_to_the_same_dtype_changes_nothing() -> None:
    net = nn.Linear(2, 1)
    net(mg.tensor([[1.0, 2.0]])).sum().backward()
    g, array = net.weight.grad, net.weight.data
    assert net.to("float32").weight.grad is g and net.weight.data is array


def remember(self: Any, x: Tensor) -> Any:
    self.seen = x
    return self.first(x)


class Mixin:
    """No Module, but it has what is a module's forward."""

    forward = remember


class Mixed(Mixin, Holding):  # type: ignore[misc]
    """Its forward comes from there."""


class Late(nn.Module):
    """Its forward is put there afterwards."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 2, bias=False)


Late.forward = remember  # type: ignore[method-assign]


class Own(Late):
    """Its forward is the instance's."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = types.MethodType(remember, self)  # type: ignore[method-assign]


class Partial(Late):
    """Its forward is no plain function."""

    forward = functools.partialmethod(remember)  # type: ignore[assignment]


class InChild(Late):
    """It leaves something in a module whose own forward is yet to come, or never does."""

    def forward(self, x: Tensor) -> Any:
        self.first.seen = x
        return x


@pytest.mark.parametrize("kind", [Mixed, Late, Own, Partial, InChild])
def test_what_a_forward_of_any_kind_leaves_behind_is_no_state(kind: Any) -> None:
    module, x = kind(), mg.tensor([[1.0, 2.0]])
    snapshot = module.state_dict()
    module(x)
    assert list(module.state_dict()) == ["first.weight"]
    module.load_state_dict(snapshot)
    module.to("float64")
    assert x.dtype == "float32"
    module.mark = mg.tensor([1.0])
    assert list(module.state_dict()) == ["first.weight", "mark"]


def test_what_holds_itself_is_looked_into_once() -> None:
    inside: Any = [nn.ReLU()]
    inside.append(inside)
    parent: Any = {"name": "root"}
    parent["children"] = [{"parent": parent}]
    for held in (inside, parent):
        assert list(Holding(held).state_dict()) == ["first.weight"]


@pytest.mark.parametrize("data", [np.ones((2, 2), "complex64"), np.array([[1, None]] * 2)])
def test_a_state_consists_of_numbers(data: Any) -> None:
    with pytest.raises(TypeError, match="load_state_dict: first.weight: expected numbers"):
        Holding().load_state_dict({"first.weight": data})


def test_a_module_has_no_dtype_none() -> None:
    with pytest.raises(TypeError, match=r"Module\.to: expected a float dtype, got None"):
        nn.Linear(1, 1).to(None)
