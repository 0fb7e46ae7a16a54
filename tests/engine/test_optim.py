"""The optimisers against PyTorch's, their memory, and a whole small GAN trained beside its twin."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.autograd import Tensor

SLICE = mg.backend.CACHED // 16  # entries of a flat parameter in one slice
SHAPES = [(), (5,), (3, 4), (2, 3, 2, 2), (SLICE + 17,), (3, SLICE // 2 + 5), (0, 3)]
METHODS: dict[str, tuple[Callable[..., optim.Optimizer], dict[str, Any]]] = {
    "SGD": (optim.SGD, {"lr": 0.1}),
    "SGD with momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "RMSprop": (optim.RMSprop, {"lr": 0.01}),
    "RMSprop, other values": (optim.RMSprop, {"lr": 0.01, "alpha": 0.5, "eps": 1e-3}),
    "Adam": (optim.Adam, {"lr": 0.01}),
    "Adam, other values": (optim.Adam, {"lr": 2e-4, "betas": (0.5, 0.9), "eps": 1e-3}),
    "Adam with weight decay": (optim.Adam, {"lr": 0.01, "weight_decay": 0.1}),
    "Adam without memory": (optim.Adam, {"lr": 0.01, "betas": (0.0, 0.0)}),
}
every_method = pytest.mark.parametrize("method", METHODS)


def make(method: str, params: list[Tensor]) -> optim.Optimizer:
    kind, settings = METHODS[method]
    return kind(params, **settings)


def parameters(dtype: str = "float64") -> list[Tensor]:
    rng = np.random.default_rng(3)
    return [mg.tensor(rng.standard_normal(s), requires_grad=True, dtype=dtype) for s in SHAPES]


def gradients(step: int, dtype: str = "float64") -> list[np.ndarray]:
    rng = np.random.default_rng(100 + step)
    return [np.asarray(rng.standard_normal(s), dtype) for s in SHAPES]


def steps(optimiser: optim.Optimizer, numbers: range, dtype: str = "float64") -> None:
    for step in numbers:
        for p, g in zip(optimiser.params, gradients(step, dtype), strict=True):
            p.grad = mg.tensor(g)
        optimiser.step()


@every_method
def test_twenty_steps_match_pytorch(method: str) -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
    twins = [torch.tensor(p.numpy(), requires_grad=True) for p in params]
    kind, settings = METHODS[method]
    theirs = getattr(torch.optim, kind.__name__)(twins, **settings)  # type: ignore[attr-defined]
    steps(make(method, params), range(20))
    for step in range(20):
        for twin, g in zip(twins, gradients(step), strict=True):
            twin.grad = torch.tensor(g)
        theirs.step()
    for p, twin in zip(params, twins, strict=True):
        np.testing.assert_allclose(p.numpy(), twin.detach().numpy(), rtol=1e-12, atol=1e-13)


@every_method
def test_defaults_are_pytorchs(method: str) -> None:
    torch = pytest.importorskip("torch")
    kind, _ = METHODS[method]
    ours = vars(kind(parameters()))
    theirs = getattr(torch.optim, kind.__name__)([torch.zeros(1)]).defaults  # type: ignore[attr-defined]
    shared = {"lr", "momentum", "alpha", "betas", "eps", "weight_decay"} & set(ours)
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


@every_method
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_restored_optimiser_continues_bit_for_bit(method: str, dtype: str) -> None:
    straight, params = make(method, parameters(dtype)), parameters(dtype)
    steps(straight, range(10), dtype)
    first = make(method, params)
    steps(first, range(4), dtype)
    saved = {name: value.numpy() for name, value in first.state_dict().items()}
    resumed = make(method, [mg.tensor(p.numpy(), requires_grad=True) for p in params])
    untouched = {name: value.copy() for name, value in saved.items()}
    resumed.load_state_dict(saved)
    steps(first, range(4, 10), dtype)  # must not reach into what was saved or loaded
    steps(resumed, range(4, 10), dtype)
    for a, b, c in zip(straight.params, first.params, resumed.params, strict=True):
        assert a.dtype == c.dtype == dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        np.testing.assert_array_equal(a.numpy(), c.numpy())
    for name, value in saved.items():
        np.testing.assert_array_equal(value, untouched[name])


@every_method
def test_a_parameter_without_a_gradient_is_skipped_and_keeps_no_memory(method: str) -> None:
    a, b = (mg.tensor(np.ones(2), requires_grad=True) for _ in range(2))
    optimiser = make(method, [a, b])
    b.grad = mg.tensor(np.ones(2))
    optimiser.step()
    assert a.numpy().tolist() == [1, 1] and (b.numpy() < 1).all()
    assert {name.partition(".")[0] for name in optimiser.state_dict()} <= {"1"}
    optimiser.zero_grad()
    assert a.grad is None and b.grad is None
    before = b.numpy()
    optimiser.step()
    np.testing.assert_array_equal(b.numpy(), before)


@every_method
def test_steps_are_in_place_and_do_not_touch_the_gradient(method: str) -> None:
    w = mg.tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True)  # not contiguous
    array, g = w.data, mg.tensor(np.ones((3, 2)))
    optimiser = make(method, [w])
    w.grad = g
    optimiser.step()
    assert w.data is array and g.numpy().tolist() == [[1, 1]] * 3
    assert (w.numpy() < np.arange(6.0).reshape(2, 3).T).all()


@every_method
def test_numpy_hyperparameters_do_not_promote_float32(method: str) -> None:
    kind, settings = METHODS[method]
    wide = {k: np.float64(v) if k != "betas" else v for k, v in settings.items()}
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    optimiser = kind([p], **wide)
    p.grad = mg.tensor([1.0, 1.0])
    optimiser.step()
    arrays = [v for name, v in optimiser.state_dict().items() if not name.endswith("step")]
    assert {str(t.dtype) for t in (p, *arrays)} == {"float32"}


def test_adam_first_step_is_the_learning_rate_whatever_the_gradients_size() -> None:
    for g in (1e-3, 1.0, 1e3):
        p = mg.tensor(np.zeros(1), requires_grad=True)
        p.grad = mg.tensor(np.full(1, g))
        optim.Adam([p], lr=0.25, eps=0.0).step()
        assert p.item() == pytest.approx(-0.25, rel=1e-12)


@every_method
def test_the_learning_rate_may_be_changed_between_steps(method: str) -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
    twins = [torch.tensor(p.numpy(), requires_grad=True) for p in params]
    kind, settings = METHODS[method]
    ours = make(method, params)
    theirs = getattr(torch.optim, kind.__name__)(twins, **settings)  # type: ignore[attr-defined]
    for step, lr in enumerate((0.1, np.float64(0.02), 0, np.float32(0.5))):
        ours.lr = lr
        theirs.param_groups[0]["lr"] = float(lr)
        steps(ours, range(step, step + 1))
        for twin, g in zip(twins, gradients(step), strict=True):
            twin.grad = torch.tensor(g)
        theirs.step()
    for p, twin in zip(params, twins, strict=True):
        np.testing.assert_allclose(p.numpy(), twin.detach().numpy(), rtol=1e-12, atol=1e-13)


@every_method
def test_a_learning_rate_of_no_sense_is_refused_before_anything_moves(method: str) -> None:
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    optimiser, p.grad = make(method, [p]), mg.tensor([1.0, 1.0])
    name = type(optimiser).__name__
    for lr, kind in ((-1, ValueError), (math.nan, ValueError), ("0.1", TypeError), (p, TypeError)):
        optimiser.lr = lr  # type: ignore[assignment]
        with pytest.raises(kind, match=f"{name}.step: lr must"):
            optimiser.step()
    assert p.numpy().tolist() == [1, 2] and not optimiser.state_dict()


@every_method
def test_minimize_is_one_step_of_its_own_parameters(method: str) -> None:
    def game() -> tuple[Any, ...]:
        mg.manual_seed(0)
        g, d = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        unused = nn.Parameter(mg.tensor([1.0]))
        return g, d, unused, make(method, [*g.parameters(), unused])

    x = mg.tensor([[1.0, -2.0]])
    g, d, unused, optimiser = game()
    d(g(x)).sum().backward()
    kept = [p.grad.numpy() for p in d.parameters()]
    unused.grad = mg.tensor([5.0])  # of another loss
    for _ in range(3):
        assert optimiser.minimize(d(g(x)).sum()) is None
    assert unused.grad is None and unused.item() == 1
    for p, before in zip(d.parameters(), kept, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), before)
    g2, d2, _, by_hand = game()
    for _ in range(3):
        by_hand.zero_grad()
        d2(g2(x)).sum().backward(inputs=g2.parameters())
        by_hand.step()
    for p, q in zip(g.parameters(), g2.parameters(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
    with pytest.raises(RuntimeError, match="backward from shape"):
        optimiser.minimize(g(x))


def test_mistakes() -> None:
    p, fixed = mg.tensor([1.0], requires_grad=True), mg.tensor([1.0])
    for call, kind, message in (
        (lambda: optim.SGD([], lr=0.1), ValueError, "SGD: expected at least one Tensor"),
        (lambda: optim.SGD([fixed], lr=0.1), ValueError, r"SGD: parameter 0, of shape \(1,\)"),
        (lambda: optim.SGD([p, p * 2.0], lr=0.1), ValueError, "parameter 1, .* is not a leaf"),
        (
            lambda: optim.Adam([p, p]),
            ValueError,
            r"Adam: parameter 1, of shape \(1,\), appears twice",
        ),
        (lambda: optim.Adam([np.ones(1)]), TypeError, "Adam: expected Tensors, got ndarray"),
        (lambda: optim.SGD([p], lr=-1), ValueError, "SGD: lr must lie in .* got -1"),
        (lambda: optim.SGD([p], lr=math.nan), ValueError, "SGD: lr must lie in .* got nan"),
        (lambda: optim.SGD([p], lr=0.1, momentum=1.0), ValueError, "SGD: momentum must lie"),
        (lambda: optim.RMSprop([p], alpha=1.5), ValueError, "RMSprop: alpha must lie"),
        (lambda: optim.RMSprop([p], eps=-1e-8), ValueError, "RMSprop: eps must lie"),
        (lambda: optim.Adam([p], betas=(1.0, 0.9)), ValueError, r"Adam: betas\[0\] must lie"),
        (lambda: optim.Adam([p], betas=(0.9, -0.1)), ValueError, r"Adam: betas\[1\] must lie"),
        (lambda: optim.Adam([p], eps=-1), ValueError, "Adam: eps must lie"),
        (lambda: optim.Adam([p], weight_decay=-1), ValueError, "Adam: weight_decay must lie"),
    ):
        with pytest.raises(kind, match=message):
            call()


@every_method
@pytest.mark.parametrize(
    ("gradient", "kind", "message"),
    [
        (
            np.ones((1, 2), "f"),
            ValueError,
            r"step: a gradient of shape \(1, 2\) for a value of shape",
        ),
        (
            np.ones((3, 2)),
            TypeError,
            "step: a gradient of dtype float64 for a value of dtype float32",
        ),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused_before_anything_moves(
    method: str, gradient: np.ndarray, kind: type[Exception], message: str
) -> None:
    params = [mg.tensor(np.zeros((3, 2), "f"), requires_grad=True) for _ in range(2)]
    optimiser = make(method, params)
    params[0].grad, params[1].grad = mg.tensor(np.ones((3, 2), "f")), mg.tensor(gradient)
    with pytest.raises(kind, match=f"{type(optimiser).__name__}.{message}"):
        optimiser.step()
    assert not optimiser.state_dict() and not any(p.numpy().any() for p in params)


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    adam = optim.Adam([p])
    p.grad = mg.tensor([1.0, 1.0])
    adam.step()
    good = adam.state_dict()
    for change, message in (
        ({"7.step": good["0.step"]}, "unexpected '7.step'"),
        ({"0.velocity": good["0.step"]}, "unexpected '0.velocity'"),
        ({"step": good["0.step"]}, "unexpected 'step'"),
        ({"0.exp_avg": np.zeros(3)}, r"0.exp_avg is \(3,\), expected \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            adam.load_state_dict(good | change)
    with pytest.raises(ValueError, match="parameter 0 lacks"):
        adam.load_state_dict({"0.step": good["0.step"]})
    for name, value in adam.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), good[name].numpy())


# --- The twin -----------------------------------------------------------------------------------


def mlp(lib: Any) -> tuple[Any, Any]:
    """A small GAN from ``lib``'s layers: minigan.nn and torch.nn take the same arguments."""
    generator = lib.Sequential(
        lib.Linear(8, 32, bias=False),  # batch norm would take a bias away again
        lib.BatchNorm1d(32),
        lib.LeakyReLU(0.2),
        lib.Linear(32, 16),
        lib.Tanh(),
    )
    discriminator = lib.Sequential(
        lib.Linear(16, 32),
        lib.LeakyReLU(0.2),
        lib.Linear(32, 16),
        lib.LeakyReLU(0.2),
        lib.Linear(16, 1),
    )
    return generator, discriminator


def test_a_small_gan_and_its_pytorch_twin_draw_the_same_samples_after_25_steps() -> None:
    torch = pytest.importorskip("torch")
    mg.manual_seed(0)
    ours, theirs = mlp(nn), mlp(torch.nn)
    for net, twin in zip(ours, theirs, strict=True):
        twin.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    start = ours[0].state_dict()["3.weight"].numpy()

    rng = np.random.default_rng(0)
    real = np.tanh(rng.standard_normal((25, 64, 16))).astype("float32")
    latent = rng.standard_normal((25, 2, 64, 8)).astype("float32")
    settings: dict[str, Any] = {"lr": 1e-3, "betas": (0.5, 0.999)}

    g, d = ours
    adam_g, adam_d = (optim.Adam(net.parameters(), **settings) for net in ours)
    game = mg.losses.non_saturating
    for x, (z1, z2) in zip(real, latent, strict=True):
        d.zero_grad()
        game.discriminator(d(mg.tensor(x)), d(g(mg.tensor(z1)).detach())).backward()
        adam_d.step()
        g.zero_grad()
        game.generator(d(g(mg.tensor(z2)))).backward(inputs=g.parameters())
        adam_g.step()

    g2, d2 = theirs
    twin_g, twin_d = (torch.optim.Adam(net.parameters(), **settings) for net in theirs)
    bce, ones, zeros = torch.nn.BCEWithLogitsLoss(), torch.ones(64, 1), torch.zeros(64, 1)
    for x, (z1, z2) in zip(torch.tensor(real), torch.tensor(latent), strict=True):
        twin_d.zero_grad()
        (bce(d2(x), ones) + bce(d2(g2(z1).detach()), zeros)).backward()
        twin_d.step()
        twin_g.zero_grad()
        bce(d2(g2(z2)), ones).backward()
        twin_g.step()

    assert abs(g.state_dict()["3.weight"].numpy() - start).max() > 0.01  # it did train
    z = latent[0, 0]
    with mg.no_grad():
        samples = g.eval()(mg.tensor(z)).numpy()
    with torch.no_grad():
        twins = g2.eval()(torch.tensor(z)).numpy()
    np.testing.assert_allclose(samples, twins, atol=1e-3, rtol=0)


@every_method
def test_a_memory_of_another_dtype_is_refused_before_anything_moves(method: str) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimiser = make(method, list(net.parameters()))

    def gradients_in(dtype: str) -> None:
        optimiser.zero_grad()
        net(mg.tensor(np.ones((1, 2), dtype))).sum().backward()

    gradients_in("float32")
    optimiser.step()
    memory = optimiser.state_dict()
    gradients_in("float32")
    net.to("float64")
    gradients_in("float64")
    before = net.state_dict()
    kept = [key for key in optimiser.memory if key != "step"]
    if kept:
        words = rf"step: parameter 0 of shape \(2, 2\) is float64, its {kept[0]} float32; .* \.to"
        with pytest.raises(TypeError, match=type(optimiser).__name__ + "." + words):
            optimiser.step()
        for state, old in ((net.state_dict(), before), (optimiser.state_dict(), memory)):
            for name, value in state.items():
                np.testing.assert_array_equal(value.numpy(), old[name].numpy())
        optimiser.load_state_dict(optimiser.state_dict())  # which is what the message advises
    optimiser.step()
    arrays = [v for name, v in optimiser.state_dict().items() if not name.endswith("step")]
    assert {str(v.dtype) for v in (*net.parameters(), *arrays)} == {"float64"}
    optimiser = make(method, list(net.to("float32").parameters()))  # or this
    gradients_in("float32")
    optimiser.step()


@every_method
def test_squares_in_float16_are_refused(method: str) -> None:
    """Adam's first step is the learning rate; of a gradient of 1e-4 it was infinite there."""
    p = mg.tensor(np.zeros(2, "float16"), requires_grad=True)
    p.grad = mg.tensor(np.full(2, 1e-4, "float16"))
    optimiser = make(method, [p])
    if "SGD" in method:
        optimiser.step()
        assert np.isfinite(p.numpy()).all() and p.numpy().all()
    else:
        with pytest.raises(TypeError, match="parameter 0 of shape .* is float16, .* use float32"):
            optimiser.step()
        assert not p.numpy().any() and not optimiser.state_dict()


@pytest.mark.parametrize("given", [[1.0], 1.0, np.ones(1, "float32")])
def test_a_gradient_that_is_no_tensor_is_refused_before_anything_moves(given: Any) -> None:
    p = mg.tensor([1.0], requires_grad=True)
    p.grad = given
    with pytest.raises(TypeError, match=r"SGD\.step: the gradient of parameter 0 must be a Tensor"):
        optim.SGD([p], lr=0.1).step()
    assert p.item() == 1.0


def test_momentum_may_fall_to_zero_but_not_rise_from_it() -> None:
    p = mg.tensor([1.0], requires_grad=True)
    plain, heavy = mg.optim.SGD([p], 0.1), mg.optim.SGD([p], 0.1, momentum=0.9)
    heavy.momentum = 0.0
    heavy.minimize(p.sum())
    assert abs(p.item() - 0.9) < 1e-6
    plain.momentum = 0.5
    with pytest.raises(ValueError, match=r"^SGD: momentum was 0, and no buffer was made"):
        plain.minimize(p.sum())
