"""Spectral norm, clipping and averages, against PyTorch and closed forms."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strict_backend import counts, strict

import minigan as mg
from minigan import nn, optim
from minigan.nn.utils import clip_grad_norm_, spectral_norm

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(5, 4), (3, 5)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3), (1, 2, 4, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 4, 3), (1, 2, 4, 4)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def pictures(shape: tuple[int, ...], seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).standard_normal(shape).astype("float32"))


def normalised(name: str = "Linear") -> tuple[nn.Module, mg.Tensor]:
    return spectral_norm(LAYERS[name][0]()), pictures(LAYERS[name][1])


def matrix(layer: nn.Module, weight: mg.Tensor) -> np.ndarray:
    """A row for each output channel."""
    host = weight.numpy().astype("float64")
    host = host.swapaxes(0, 1) if isinstance(layer, nn.ConvTranspose2d) else host
    return host.reshape(len(host), -1)


def same(a: dict[str, mg.Tensor], b: dict[str, mg.Tensor]) -> None:
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name].numpy(), b[name].numpy())


# --- Spectral norm --------------------------------------------------------------------------------


@every_layer
def test_sigma_is_the_largest_singular_value(name: str) -> None:
    layer, x = normalised(name)
    for _ in range(200):
        layer(x)
    sigma = np.linalg.svd(matrix(layer, layer.weight_orig), compute_uv=False)[0]
    np.testing.assert_allclose(
        layer.weight.numpy() * sigma, layer.weight_orig.numpy(), rtol=1e-4, atol=1e-6
    )
    values = np.linalg.svd(matrix(layer, layer.weight), compute_uv=False)
    assert values[0] == pytest.approx(1, rel=1e-4)


@every_layer
def test_sigma_is_of_use_from_the_start(name: str) -> None:
    layer, x = normalised(name)
    layer.eval()(x)
    largest = np.linalg.svd(matrix(layer, layer.weight), compute_uv=False)[0]
    assert 1 - 1e-5 < largest < 1.2


def test_the_state_is_pytorchs_and_the_weight_is_none_of_it() -> None:
    layer, x = normalised()
    names = ["bias", "weight_orig", "weight_u", "weight_v"]
    for call in (lambda: None, lambda: layer(x), lambda: layer.eval()(x), lambda: layer.train()):
        call()
        assert list(layer.state_dict()) == names
        assert [n for n, _ in layer.named_parameters()] == names[:2]
    with mg.no_grad():
        layer(x)
    assert list(layer.state_dict()) == names and repr(layer) == "Linear(5, 4, bias=True)"


def test_power_iteration_happens_in_training_alone() -> None:
    layer, x = normalised()
    before = layer.state_dict()
    layer.eval()
    layer(x)
    same(layer.state_dict(), before)
    layer.train()
    layer(x)
    after = layer.state_dict()
    assert (after["weight_u"].numpy() != before["weight_u"].numpy()).any()
    np.testing.assert_array_equal(after["weight_orig"].numpy(), before["weight_orig"].numpy())


def test_a_restored_layer_continues_bit_for_bit() -> None:
    (layer, x), other = normalised(), normalised()[0]
    layer(x)
    other(x)
    other.load_state_dict({name: value.numpy() for name, value in layer.state_dict().items()})
    for training in (False, True, True):
        y, z = layer.train(training)(x), other.train(training)(x)
        np.testing.assert_array_equal(y.numpy(), z.numpy())
    same(layer.state_dict(), other.state_dict())


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("called", [False, True])
def test_copies_are_normalised_and_on_their_own(way: Callable[[Any], Any], called: bool) -> None:
    layer, x = normalised()
    net = nn.Sequential(layer, nn.Tanh())
    if called:
        net(x)
    twin = way(net)
    same(net.state_dict(), twin.state_dict())
    np.testing.assert_array_equal(net(x).numpy(), twin(x).numpy())
    before = net.state_dict()
    optimizer = optim.SGD(twin.parameters(), 0.1)
    twin(x).sum().backward()
    optimizer.step()
    same(net.state_dict(), before)
    assert (twin[0].weight_orig.numpy() != layer.weight_orig.numpy()).any()


def test_two_calls_before_one_backward() -> None:
    """As D(real) and D(fake): each keeps the u and v that it used."""
    torch = pytest.importorskip("torch")
    layer, x = normalised()
    twin = torch.nn.utils.spectral_norm(torch.nn.Linear(5, 4))
    twin.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
    (layer(x).sum() - (layer(x * 2.0) ** 2).sum()).backward()
    t = torch.tensor(x.numpy())
    (twin(t).sum() - (twin(t * 2.0) ** 2).sum()).backward()
    np.testing.assert_allclose(
        layer.weight_orig.grad.numpy(), twin.weight_orig.grad.numpy(), rtol=1e-4, atol=1e-5
    )


def test_a_wrapped_layer_is_converted_frozen_and_trained() -> None:
    layer, x = normalised()
    optimizer = optim.Adam(layer.parameters(), lr=0.1)
    loss = (layer(x) ** 2).sum()
    optimizer.minimize(loss)
    assert (layer(x) ** 2).sum().item() < loss.item()
    layer.to("float64")
    y = layer(x.to("float64"))
    assert y.dtype == layer.weight.dtype == "float64"
    layer.requires_grad_(False)
    assert not layer(x.to("float64")).requires_grad


def test_before_the_first_call_an_initialiser_reaches_the_parameter() -> None:
    layer, _ = normalised()
    nn.init.ones_(layer.weight)
    assert (layer.weight_orig.numpy() == 1).all()


@pytest.mark.on_the_host("chooses its array library itself")
@every_layer
def test_a_call_and_its_backward_fetch_nothing(name: str) -> None:
    with mg.backend.using_backend(strict):
        layer, x = normalised(name)
        counts.clear()
        layer(x).sum().backward()
        assert not counts["downloads"] and not counts["syncs"] and not counts["uploads"]
        del layer


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: spectral_norm(nn.Tanh()), ValueError, "Tanh has no Parameter 'weight' of 2 or"),
        (
            lambda: spectral_norm(nn.Linear(2, 2), "bias"),
            ValueError,
            "Linear has no Parameter 'bias",
        ),
        (lambda: spectral_norm(nn.BatchNorm1d(2)), ValueError, "BatchNorm1d has no Parameter"),
        (lambda: spectral_norm(normalised()[0]), ValueError, "it is applied once to each layer"),
        (lambda: spectral_norm(nn.Linear), TypeError, "spectral_norm: module must be a Module"),  # type: ignore[arg-type]
        (
            lambda: setattr(normalised()[0], "weight", nn.Parameter(mg.tensor([1.0]))),
            TypeError,
            "Linear.weight is computed; assign weight_orig instead",
        ),
    ],
)
def test_a_mistake_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# --- Clipping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.5, 1e4, 0.0])
def test_clipped_gradients_are_pytorchs(max_norm: float) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((3, 4), (), (5,))]
    params = [mg.tensor(a, requires_grad=True) for a in (*arrays, arrays[0])]
    twins = [torch.tensor(a, requires_grad=True) for a in (*arrays, arrays[0])]
    for p, t, a in zip(params, twins, arrays, strict=False):  # the last one has no gradient
        p.grad, t.grad = mg.tensor(a * 3.0), torch.tensor(a * 3.0)
    kept = params[0].grad
    length = clip_grad_norm_(iter(params), max_norm)
    theirs = torch.nn.utils.clip_grad_norm_(twins, max_norm)
    assert length.shape == () and not length.requires_grad
    assert length.item() == pytest.approx(theirs.item(), rel=1e-12)
    for p, t in zip(params[:3], twins, strict=False):
        np.testing.assert_allclose(p.grad.numpy(), t.grad.numpy(), rtol=1e-12)
    assert params[3].grad is None
    np.testing.assert_array_equal(kept.numpy(), arrays[0] * 3.0)  # others may hold it


def test_clipping_nothing_and_one() -> None:
    p = mg.tensor([3.0, 4.0], requires_grad=True)
    assert clip_grad_norm_([], 1.0).item() == clip_grad_norm_(p, 1.0).item() == 0
    p.grad = mg.tensor([3.0, 4.0])
    assert clip_grad_norm_(p, 1.0).item() == 5
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    with pytest.raises(TypeError, match="clip_grad_norm_: expected Tensors, got Linear"):
        clip_grad_norm_(nn.Linear(1, 1), 1.0)  # type: ignore[arg-type]


@pytest.mark.on_the_host("chooses its array library itself")
def test_clipping_fetches_nothing() -> None:
    with mg.backend.using_backend(strict):
        p = mg.tensor([3.0, 4.0], requires_grad=True)
        p.grad = mg.tensor([3.0, 4.0])
        counts.clear()
        clip_grad_norm_([p], 1.0)
        assert not counts["downloads"] and not counts["syncs"] and not counts["uploads"]


# --- Averages -------------------------------------------------------------------------------------


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), spectral_norm(nn.Linear(4, 2)))


def test_an_average_is_the_closed_form_and_its_constants_are_the_newest() -> None:
    module = net()
    average, x = nn.Average(module, decay=0.75), pictures((6, 3))
    history = [module.state_dict()]
    optimizer = optim.Adam(module.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.minimize((module(x) ** 2).sum())
        average.update(module)
        history.append(module.state_dict())
    weights = [0.75**5] + [0.25 * 0.75 ** (5 - k) for k in range(1, 6)]
    learned = {name for name, _ in module.named_parameters()}
    for name, value in average.module.state_dict().items():
        if name in learned:
            expected = sum(w * h[name].numpy() for w, h in zip(weights, history, strict=True))
            np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(value.numpy(), history[-1][name].numpy())
    same(module.state_dict(), history[-1])
    assert (average.eval()(x).numpy() != module.eval()(x).numpy()).any()


def test_an_average_is_a_module_that_is_saved_and_not_trained() -> None:
    module = net()
    average = nn.Average(module)
    assert average.decay == 0.999
    assert list(average.state_dict()) == [f"module.{name}" for name in module.state_dict()]
    assert all(p.requires_grad for p in module.parameters())
    assert not any(p.requires_grad for p in average.parameters())
    x = pictures((6, 3))
    assert not average.eval()(x).requires_grad
    optim.SGD(module.parameters(), 0.1).minimize(module(x).sum())
    average.update(module)
    other = nn.Average(net()).eval()
    other.load_state_dict(average.state_dict())
    module.train()(x)
    for a in (average, other):
        a.update(module)
    same(average.state_dict(), other.state_dict())
    np.testing.assert_array_equal(average(x).numpy(), other(x).numpy())
    with pytest.raises(ValueError, match="is not a leaf that requires gradients"):
        optim.SGD(average.parameters(), 0.1)


def test_a_shared_parameter_moves_once() -> None:
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    module[1].weight = module[0].weight
    nn.init.zeros_(module[0].weight)
    average = nn.Average(module, 0.5)
    nn.init.ones_(module[0].weight)
    average.update(module)
    assert (average.module[0].weight.numpy() == 0.5).all()
    assert average.module[1].weight is average.module[0].weight


def test_an_average_that_was_used_since_is_noticed() -> None:
    module, x = nn.Linear(2, 2), mg.tensor([[1.0, 2.0]], requires_grad=True)
    average = nn.Average(module)
    y = average(x).sum()
    average.update(module)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.on_the_host("chooses its array library itself")
def test_an_update_is_one_launch_for_each_parameter_and_fetches_nothing() -> None:
    with mg.backend.using_backend(strict):
        module = nn.Linear(3, 2)
        average = nn.Average(module)
        counts.clear()
        average.update(module)
        assert counts == {"launches": 2}
        del module, average


def test_another_module_is_refused_and_nothing_moves() -> None:
    average = nn.Average(nn.Linear(2, 1))
    before = average.state_dict()
    for other, words in (
        (nn.Linear(3, 1), r"weight \(1, 2\) float32, weight \(1, 3\) float32"),
        (nn.Linear(2, 1, bias=False), r"they differ in bias \(1,\) float32"),
        (nn.Linear(2, 1).to("float64"), "bias .* float64"),
    ):
        with pytest.raises(ValueError, match=f"Average.update: Linear is not like .*{words}"):
            average.update(other)
    same(average.state_dict(), before)
    with pytest.raises(TypeError, match="Average: module must be a Module, got"):
        nn.Average(nn.Linear)  # type: ignore[arg-type]
