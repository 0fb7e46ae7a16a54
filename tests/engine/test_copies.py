"""Copies and pickles of Tensors, modules, optimisers and models: all leaves, each on its own."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from strict_backend import strict

import minigan as mg
from minigan import losses, nn, optim
from minigan.autograd import Tensor


def pickled(protocol: int) -> Callable[[Any], Any]:
    return lambda x: pickle.loads(pickle.dumps(x, protocol))


PICKLES = {f"pickle {n}": pickled(n) for n in range(2, pickle.HIGHEST_PROTOCOL + 1)}
DEEP: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, **PICKLES}
COPIES: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, **DEEP}
every_copy = pytest.mark.parametrize("way", COPIES)
every_deep_copy = pytest.mark.parametrize("way", DEEP)
METHODS: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "RMSprop": optim.RMSprop,
    "Adam": optim.Adam,
}


class Marked(nn.Parameter):
    """A Parameter with a constructor and attributes of its own."""

    def __init__(self, name: str, size: int):
        super().__init__(mg.tensor(np.arange(float(size))))
        self.name, self.partners = name, [name]


# --- Tensors ------------------------------------------------------------------------------------


@every_copy
@pytest.mark.parametrize("kind", [Tensor, nn.Parameter])
def test_gradients_go_to_the_copy(way: str, kind: type[Tensor]) -> None:
    x = nn.Parameter(mg.tensor([1.0, 2.0]))
    if kind is Tensor:
        x = mg.tensor([1.0, 2.0], requires_grad=True)  # type: ignore[assignment]
    x.grad = mg.tensor([5.0, 5.0])
    twin = COPIES[way](x)
    assert type(twin) is kind and twin.is_leaf and twin.requires_grad and twin.grad is None
    (twin * twin).sum().backward()
    assert twin.grad.numpy().tolist() == [2, 4] and x.grad.numpy().tolist() == [5, 5]
    (x * 3.0).sum().backward()
    assert twin.grad.numpy().tolist() == [2, 4] and x.grad.numpy().tolist() == [8, 8]
    twin.copy_([7.0, 7.0])
    assert x.numpy().tolist() == ([7, 7] if way == "copy" else [1, 2])


@every_copy
def test_what_a_tensor_is_survives(way: str) -> None:
    for array in (
        np.array(2.5),
        np.zeros((0, 3), "float32"),
        np.array([1, 2], "uint8"),
        np.array([[True], [False]]),
        np.arange(3, dtype="float16"),
    ):
        x = mg.tensor(array)
        twin = COPIES[way](x)
        assert twin.dtype == array.dtype and twin.shape == array.shape and not twin.requires_grad
        np.testing.assert_array_equal(twin.numpy(), array)
    frozen = nn.Parameter(mg.tensor([1.0]))
    twin = COPIES[way](frozen.requires_grad_(False))
    assert type(twin) is nn.Parameter and not twin.requires_grad
    (twin.requires_grad_() * 2.0).sum().backward()
    assert twin.grad.item() == 2 and frozen.grad is None


@every_copy
def test_the_axes_lie_in_memory_as_they_did(way: str) -> None:
    """Or else a sum over them would be another one, in its last bits."""
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((2, 5, 4, 3)).astype("float32"))  # (N, H, W, C) in memory
    for order in ((0, 3, 1, 2), (3, 2, 1, 0), (0, 1, 2, 3), (1, 3, 0, 2)):
        y = Tensor(x.data.transpose(order), requires_grad=True)
        twin = COPIES[way](y)
        assert twin.data.strides == y.data.strides
        np.testing.assert_array_equal(twin.numpy(), y.numpy())
        assert twin.sum().item() == y.sum().item()
    for cut in (x.data[:, ::2], x.data[0, 0, 0, ::-1], x.data[:, :1]):
        np.testing.assert_array_equal(COPIES[way](Tensor(cut)).numpy(), Tensor(cut).numpy())


@every_copy
def test_a_result_of_the_graph_is_no_leaf_to_copy(way: str) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    if way == "copy":  # the same result, so the gradient goes on to x
        (g,) = mg.grad(copy.copy(y).sum(), x)
        assert g.numpy().tolist() == [2, 4]
    else:
        words = "deepcopy" if way == "deepcopy" else "pickle"
        with pytest.raises(RuntimeError, match=f"{words}: only a leaf .*; use .detach.. first"):
            COPIES[way](y)
    twin = COPIES[way](y.detach())
    assert twin.numpy().tolist() == [1, 4] and not twin.requires_grad


@every_copy
def test_a_subclass_keeps_its_attributes(way: str) -> None:
    x = Marked("left", 2)
    twin = COPIES[way](x)
    assert type(twin) is Marked and twin.name == "left" and twin.partners == ["left"]
    assert (twin.partners is x.partners) == (way == "copy")
    assert twin.requires_grad and twin.numpy().tolist() == [0, 1]


@every_deep_copy
def test_one_parameter_twice_is_one_parameter_twice(way: str) -> None:
    p = nn.Parameter(mg.tensor([1.0]))
    first, second, (third,) = DEEP[way]([p, p, (p,)])
    assert first is second is third and first is not p


def test_a_deep_copy_shares_memory_where_the_original_does() -> None:
    p = nn.Parameter(mg.tensor([1.0, 2.0]))
    shared = p.detach()
    q, twin = copy.deepcopy([p, shared])
    y = (twin * q).sum()
    q.copy_([3.0, 4.0])
    assert twin.numpy().tolist() == [3, 4] and shared.numpy().tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@every_copy
def test_a_copied_parameter_cannot_be_stranded(way: str) -> None:
    p = COPIES[way](nn.Parameter(mg.tensor([1.0])))
    assert mg.backend.parameters[id(p)] is p


@pytest.mark.on_the_host("chooses the array libraries itself")
def test_a_pickle_is_read_by_the_library_in_use() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True)
    text = pickle.dumps(x)
    with mg.backend.using_backend(strict):
        there = pickle.loads(text)
        assert isinstance(there.data, strict.ndarray) and there.requires_grad
        back = pickle.dumps(there)
    y = pickle.loads(back)
    assert type(y.data) is np.ndarray and y.data.strides == x.data.strides
    np.testing.assert_array_equal(y.numpy(), x.numpy())


def test_what_a_pickle_holds_read_only_is_written_to_after_it_is_read() -> None:
    """Memory maps, and buffers that go beside a pickle, are read-only."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(mg.tensor([1.0, 2.0]), protocol=5, buffer_callback=buffers.append)
    x = pickle.loads(text, buffers=[bytes(b) for b in buffers])
    assert buffers and x.copy_([3.0, 4.0]).numpy().tolist() == [3, 4]


# --- Modules, optimisers, models ----------------------------------------------------------------


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm1d(4),
        nn.LeakyReLU(0.2),
        nn.Unflatten(1, (4, 1, 1)),
        nn.Conv2d(4, 2, 1, bias=False),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(2, 1),
    )


def train(module: nn.Module, optimiser: optim.Optimizer, steps: int) -> None:
    x = mg.tensor(np.random.default_rng(1).standard_normal((8, 3)).astype("float32"))
    for step in range(steps):
        mg.manual_seed(step)
        optimiser.zero_grad()
        (module(x) ** 2).mean().backward()
        optimiser.step()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name].numpy(), b[name].numpy())


@every_deep_copy
@pytest.mark.parametrize("method", METHODS)
def test_a_copied_model_and_its_optimiser_train_on_as_the_original(way: str, method: str) -> None:
    module = net()
    optimiser = METHODS[method](module.parameters())
    train(module, optimiser, 3)
    twin, its = DEEP[way]({"model": module, "optimizer": optimiser}).values()
    assert type(its) is type(optimiser) and vars(its).keys() == vars(optimiser).keys()
    assert [id(p) for p in its.params] == [id(p) for p in twin.parameters()]
    before = module.state_dict()
    train(twin, its, 3)
    same(module.state_dict(), before)
    train(module, optimiser, 3)
    same(module.state_dict(), twin.state_dict())
    same(optimiser.state_dict(), its.state_dict())


@every_deep_copy
def test_an_optimiser_alone_moves_parameters_of_its_own(way: str) -> None:
    p = nn.Parameter(mg.tensor([1.0, 2.0]))
    optimiser = optim.Adam([p], lr=0.5, betas=(0.1, 0.2))
    p.grad = mg.tensor([1.0, 1.0])
    optimiser.step()
    twin = DEEP[way](optimiser)
    assert (twin.lr, twin.betas) == (0.5, (0.1, 0.2)) and twin.params[0] is not p
    same(twin.state_dict(), optimiser.state_dict())
    before, memory = p.numpy(), optimiser.state_dict()
    twin.params[0].grad = mg.tensor([1.0, 1.0])
    twin.step()
    assert (p.numpy() == before).all() and (twin.params[0].numpy() != before).all()
    same(optimiser.state_dict(), memory)


def test_a_shallow_copy_holds_the_same_parameters() -> None:
    module = net()
    optimiser = optim.SGD(module.parameters(), 0.1, momentum=0.9)
    twin, its = copy.copy(module), copy.copy(optimiser)
    assert all(a is b for a, b in zip(twin.parameters(), module.parameters(), strict=True))
    assert its.params is optimiser.params and its.state is optimiser.state  # as PyTorch's
    its.lr = 1.0
    twin.extra = nn.Tanh()
    assert optimiser.lr == 0.1 and not hasattr(module, "extra")


@every_deep_copy
def test_a_models_copy_draws_the_same_pictures(way: str) -> None:
    for model in (mg.models.MLPGAN(latent_dim=4), mg.models.DCGAN(latent_dim=4, width=2)):
        twin = DEEP[way](model)
        np.testing.assert_array_equal(twin.sample(2, seed=1), model.sample(2, seed=1))
        x = mg.tensor(np.ones((2, 1, 28, 28), "float32"))
        for player in (model, twin):
            player.discriminator.eval()
        scores = [m.discriminator(x).numpy() for m in (model, twin)]
        np.testing.assert_array_equal(*scores)
    game = DEEP[way](losses.non_saturating)
    assert type(game) is losses.NonSaturating and repr(game) == repr(losses.non_saturating)


@every_deep_copy
def test_a_models_copy_trains_on_as_the_original(way: str) -> None:
    mg.manual_seed(0)
    model = mg.models.DCGAN(latent_dim=4, width=2)
    pictures = np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28)).astype("uint8")

    def trained(gan: mg.models.GAN) -> dict[str, bytes]:
        mg.manual_seed(1)
        data = gan.batches(pictures, None, 4)
        for t in range(2):
            gan.step(data, t)
        return {name: array.tobytes() for name, array in gan.state()[0].items()}

    trained(model)
    twin = DEEP[way](model)
    for player, optimiser in ((twin.generator, twin.g_optimizer),
                              (twin.discriminator, twin.d_optimizer)):  # fmt: skip
        assert [id(p) for p in optimiser.params] == [id(p) for p in player.parameters()]
    before = model.generator.state_dict()
    found = trained(twin)
    same(model.generator.state_dict(), before)
    assert found == trained(model)


@pytest.mark.on_the_host("starts a process")
def test_a_process_takes_models_and_gives_tensors_back() -> None:
    model = mg.models.MLPGAN(latent_dim=4)
    p = nn.Parameter(mg.tensor([1.0, 2.0]))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        images = pool.submit(type(model).sample, model, 2, 1).result()
        back = pool.submit(copy.deepcopy, p).result()
    np.testing.assert_array_equal(images, model.sample(2, seed=1))
    (back * 2.0).sum().backward()
    assert type(back) is nn.Parameter and back.grad.numpy().tolist() == [2, 2] and p.grad is None


class Recurrent(nn.Module):
    """A forward that leaves its input, a result, and a running constant that is one too."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(mg.tensor([[2.0]]))
        self.running = mg.tensor([[0.0]])

    def forward(self, x: Tensor) -> Tensor:
        self.seen, self.hidden = x, x @ self.weight
        self.running = self.running + self.hidden
        return self.hidden


@every_copy
def test_what_a_forward_left_does_not_stop_a_copy(way: str) -> None:
    module = Recurrent()
    module(mg.tensor([[3.0]])).sum().backward()
    twin = COPIES[way](module)
    assert list(twin.state_dict()) == list(module.state_dict()) == ["weight", "running"]
    assert twin.running.item() == twin.hidden.item() == 6 and twin.seen.item() == 3
    assert twin.hidden.requires_grad == (way == "copy")
    twin(mg.tensor([[1.0]]))
    assert twin.running.item() == 8 and module.running.item() == 6


class Collecting(nn.Module):
    """A forward that collects what it computed."""

    def __init__(self) -> None:
        self.layer, self.found = nn.Linear(2, 2), [1]
        self.found.append(self.found)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        self.seen: Any = [y, {"y": (y, "name")}]
        return y


@every_deep_copy
def test_results_in_lists_and_dicts_go_along_without_their_graph(way: str) -> None:
    module = Collecting()
    y = module(mg.tensor([[1.0, 2.0]]))
    twin = DEEP[way](module)
    for seen in (twin.seen[0], twin.seen[1]["y"][0]):
        assert not seen.requires_grad
        np.testing.assert_array_equal(seen.numpy(), y.numpy())
    assert module.seen[0] is y
    assert twin.found[1] is twin.found
