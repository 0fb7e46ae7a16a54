"""What every GAN promises: reproducible pictures in evaluation mode, logits, PyTorch's weights."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan.data.batches import Batch, to_pixels, to_tanh_range
from minigan.models import DCGAN, GAN, MLPGAN, MODELS, HalfDCGAN, MaxoutGAN, pretrained
from minigan.models import pretrained_weights as weights_file
from minigan.models.explore import feature_maps, interpolate
from minigan.models.hyperparameters import defaults
from minigan.models.maxout_gan import Maxout
from minigan.models.mixture_gan import MixtureGAN
from minigan.training import Trainer

nn = mg.nn


States = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=[MLPGAN, HalfDCGAN], ids=lambda kind: kind.name)
def experienced(request: pytest.FixtureRequest) -> tuple[type[GAN], States]:
    """A kind of GAN, and states of its players whose running statistics have seen something."""
    mg.manual_seed(3)
    gan: GAN = request.param()
    if isinstance(gan, DCGAN):  # its first pictures are nearly grey
        last = gan.generator[-2].weight
        last.copy_(10.0 * last.numpy())
    with mg.no_grad():
        for _ in range(20):
            gan.discriminator(gan.generator(gan.latents(64)))
    return request.param, {
        player: {name: value.numpy() for name, value in getattr(gan, player).state_dict().items()}
        for player in ("generator", "discriminator")
    }


@pytest.fixture
def model(experienced: tuple[type[GAN], States]) -> GAN:
    kind, states = experienced
    gan = kind()
    for player, state in states.items():
        getattr(gan, player).load_state_dict(state)
    return gan


def buffers(module: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def layers(module: nn.Module) -> list[nn.Module]:
    return list(module.modules())


# --- Sampling -------------------------------------------------------------------------------------


def test_models_by_name() -> None:
    assert MODELS["mlp"] is MLPGAN
    assert (MODELS["dcgan"], MODELS["dcgan-half"]) == (DCGAN, HalfDCGAN)
    assert all(issubclass(kind, GAN) and kind.name == name for name, kind in MODELS.items())


@pytest.mark.parametrize("kind", MODELS.values(), ids=list(MODELS))
def test_players(kind: type[GAN]) -> None:
    gan = kind()
    assert isinstance(gan.generator, nn.Module) and isinstance(gan.discriminator, nn.Module)
    z = gan.latents(6)
    assert z.shape == (6, gan.latent_dim) and z.dtype == np.float32
    pictures = gan.generator(z)
    assert pictures.shape == (6, 1, 28, 28) and pictures.dtype == np.float32
    assert np.abs(pictures.numpy()).max() <= 1.0
    assert gan.discriminator(pictures).shape == (6, 1)
    assert kind.epochs >= 1 and kind.batch_size >= 2
    assert {"lr", "latent_dim", "loss"} <= set(defaults(kind))


@pytest.mark.parametrize("n", [1, 7, 64])
def test_sample_is_bytes(model: GAN, n: int) -> None:
    images = model.sample(n, seed=1)
    assert isinstance(images, np.ndarray)
    assert images.dtype == np.uint8 and images.shape == (n, 1, 28, 28)
    assert images.min() < 100 < 150 < images.max()


def test_same_seed_same_bytes(model: GAN) -> None:
    assert model.sample(20, seed=5).tobytes() == model.sample(20, seed=5).tobytes()
    assert model.sample(20, seed=5).tobytes() != model.sample(20, seed=6).tobytes()


def test_a_seed_leaves_the_streams_alone_and_none_draws_from_them(model: GAN) -> None:
    mg.manual_seed(0)
    before = mg.backend.rng_state()
    model.sample(4, seed=5)
    assert mg.backend.rng_state() == before
    first, second = model.sample(4), model.sample(4)
    assert first.tobytes() != second.tobytes()
    mg.manual_seed(0)
    assert model.sample(4).tobytes() == first.tobytes()


def test_samples_within_one_call_differ(model: GAN) -> None:
    assert len({image.tobytes() for image in model.sample(50, seed=2)}) == 50


@pytest.mark.parametrize("n", [0, -1])
def test_no_samples_are_no_call(model: GAN, n: int) -> None:
    with pytest.raises(ValueError, match=str(n)):
        model.sample(n)


def grey_levels_apart(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_a_sample_is_independent_of_its_batch_mates(model: GAN) -> None:
    z = model.latents(8)
    model.generator.train()
    in_training = to_pixels(model.generator(z).numpy())
    together = model.generate(z)
    for i in range(8):
        alone = model.generate(z[i : i + 1])
        # Another batch size may sum in another order, which can move a value over a rounding edge.
        assert grey_levels_apart(alone[0], together[i]) <= 1
    # The comparison can fail: with batch statistics the same latents give other pictures.
    assert grey_levels_apart(in_training, together) > 10


def test_many_samples_are_the_few_continued(model: GAN) -> None:
    z = model.latents(1003)  # more than is drawn at once
    assert model.generate(z).shape == (1003, 1, 28, 28)
    assert grey_levels_apart(model.generate(z)[[0, 499, 500, 1002]],
                             model.generate(z[[0, 499, 500, 1002]])) <= 1  # fmt: skip


def test_walks_lead_from_latent_to_latent(model: GAN, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def generate(z: mg.Tensor) -> np.ndarray:
        seen.append(z.numpy())
        return np.zeros((z.shape[0], 1, 28, 28), "uint8")

    monkeypatch.setattr(model, "generate", generate)
    assert interpolate(model, 3, 5, seed=4).shape == (15, 1, 28, 28)
    z = seen[0].reshape(3, 5, model.latent_dim).astype("float64")
    ends = model.latents(6, mg.backend.generator(4)).numpy()
    np.testing.assert_allclose(z[:, 0], ends[:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(z[:, -1], ends[3:], rtol=1e-4, atol=1e-5)
    for walk in z:  # in the plane of its ends, by equal angles
        a, b = walk[0], walk[-1]
        outside = walk - walk @ np.linalg.pinv(np.stack([a, b])) @ np.stack([a, b])
        assert np.abs(outside).max() < 1e-4
        lengths = np.linalg.norm(walk, axis=1)
        np.testing.assert_allclose(lengths, np.linspace(lengths[0], lengths[-1], 5), rtol=1e-4)
        units = walk / lengths[:, None]
        turns = np.arccos((units[:-1] * units[1:]).sum(axis=1))
        np.testing.assert_allclose(turns, np.arccos(units[0] @ units[-1]) / 4, rtol=1e-3)


def test_walks_of_a_seed_are_the_same_and_start_at_its_samples(model: GAN) -> None:
    walks = interpolate(model, 2, 4, seed=1)
    assert walks.dtype == np.uint8 and (walks == interpolate(model, 2, 4, seed=1)).all()
    assert (walks != interpolate(model, 2, 4, seed=2)).any()
    assert grey_levels_apart(walks[::4], model.sample(4, seed=1)[:2]) <= 1
    assert grey_levels_apart(walks[3::4], model.sample(4, seed=1)[2:]) <= 1


def test_walks_on_a_line_are_pictures_too() -> None:
    gan, seen = MLPGAN(latent_dim=1), []
    gan.generate = lambda z: seen.append(z.numpy()) or np.zeros(1)  # type: ignore[method-assign]
    interpolate(gan, 20, 3, seed=0)  # there Ω is 0 or π
    ends = gan.latents(40, mg.backend.generator(0)).numpy()
    assert np.abs(seen[0]).max() <= 1.1 * np.abs(ends).max()


def test_feature_maps_are_what_the_layers_make() -> None:
    gan = HalfDCGAN()
    z = gan.latents(1)
    found = feature_maps(gan, z)
    assert [(name, maps.shape) for name, maps in found] == [
        ("G, layer 3: ReLU", (64, 7, 7)),
        ("G, layer 6: ReLU", (32, 14, 14)),
        ("G, layer 8: Tanh", (1, 28, 28)),
        ("D, layer 1: LeakyReLU", (32, 14, 14)),
        ("D, layer 4: LeakyReLU", (64, 7, 7)),
    ]
    assert (to_pixels(found[2][1]) == gan.generate(z)).all()
    picture = mg.tensor(found[2][1][None])
    with mg.no_grad():
        first = gan.discriminator[:2](picture).numpy()[0]
    assert (found[3][1] == first).all()
    assert all(layer.training for layer in layers(gan.generator) + layers(gan.discriminator))


def test_feature_maps_of_a_net_whose_layers_have_an_order_of_their_own_are_refused() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            self.last, self.first = nn.Tanh(), nn.ReLU()

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return self.last(self.first(x))

    gan = HalfDCGAN()
    gan.discriminator = Backwards()
    with pytest.raises(ValueError, match="dcgan-half: feature maps .*discriminator is a Backwards"):
        feature_maps(gan, gan.latents(1))


class Labelled(MLPGAN):
    """Latents whose last ten entries say which digit is wanted, and so are 74 wide, not 64."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(74, 784), nn.Unflatten(1, (1, 28, 28)))

    def latents(self, n: int, rng: Any = None) -> mg.Tensor:
        z = super().latents(n, rng).numpy()
        return mg.tensor(np.concatenate([z, np.eye(10, dtype="float32")[np.arange(n) % 10]], 1))


def test_walks_are_as_wide_as_the_latents_that_a_model_draws() -> None:
    gan = Labelled()
    walks = interpolate(gan, 32, 2, seed=0)  # 32·2·74 entries would fit 74 latents of 64, too
    assert walks.shape == (64, 1, 28, 28)
    ends = gan.generate(gan.latents(64, mg.backend.generator(0)))
    assert grey_levels_apart(walks[::2], ends[:32]) <= 1
    assert grey_levels_apart(walks[1::2], ends[32:]) <= 1


@pytest.mark.parametrize("rows, steps", [(0, 3), (-1, 3), (2, 1)])
def test_walks_that_lead_nowhere(rows: int, steps: int) -> None:
    with pytest.raises(ValueError, match=f"rows >= 1, steps >= 2, got {rows}, {steps}"):
        interpolate(MLPGAN(latent_dim=2), rows, steps)


def test_a_net_of_vectors_has_no_feature_maps() -> None:
    gan = MLPGAN()
    gan.generator = nn.Sequential(*list(gan.generator)[:-2])
    gan.discriminator = nn.Sequential(*list(gan.discriminator)[1:])
    with pytest.raises(ValueError, match="^mlp: its layers hold vectors, there are no feature map"):
        feature_maps(gan, gan.latents(1))


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 12, 20)], ids=str)
@pytest.mark.parametrize("kind", MODELS.values(), ids=list(MODELS))
def test_pictures_of_another_size_are_drawn_in_it(kind: Any, shape: tuple[int, int, int]) -> None:
    gan = kind(shape=shape)
    pictures = gan.sample(8, seed=0)
    assert pictures.shape == (8, *shape) and pictures.dtype == np.uint8
    assert gan.discriminator(gan.generator(gan.latents(3))).shape == (3, 1)
    assert gan.generator(gan.latents(3)).shape == (3, *shape)


@pytest.mark.parametrize("shape", [(1, 30, 28), (1, 28, 30)], ids=str)
def test_a_dcgan_halves_twice(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"divisible by 4, got \(1, "):
        DCGAN(shape=shape)


def test_a_preview_is_the_same_latents_every_time(model: GAN) -> None:
    model.start(model.batches(np.zeros((4, 1, 28, 28), "uint8"), None, 2))
    first = model.preview()
    assert first.shape == (64, 1, 28, 28)
    model.sample(3)
    assert model.preview().tobytes() == first.tobytes()
    assert model.generate(model.fixed).tobytes() == first.tobytes()


def test_pictures_are_drawn_by_the_net_that_draws_best() -> None:
    class Averaged(MLPGAN):
        def __init__(self) -> None:
            super().__init__()
            self.average = MLPGAN().generator

        def draw(self, z: mg.Tensor) -> mg.Tensor:
            return self.average(z)

    gan = Averaged()
    other = MLPGAN()
    other.generator = gan.average
    assert gan.sample(4, seed=1).tobytes() == other.sample(4, seed=1).tobytes()
    gan.average.train()
    gan.sample(4, seed=1)
    assert {m.training for m in layers(gan.average)} == {True}


@pytest.mark.parametrize("training", [True, False])
def test_sampling_changes_nothing(model: GAN, training: bool) -> None:
    model.generator.train(training)
    before = buffers(model.generator)
    model.sample(10, seed=0)
    assert buffers(model.generator) == before
    assert {m.training for m in layers(model.generator)} == {training}
    model.generator.train()
    model.generator(model.latents(10))
    assert buffers(model.generator) != before  # a pass in training would have shown


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_after_an_error(training: bool) -> None:
    gan = MLPGAN(latent_dim=8)
    gan.generator.train(training)
    with pytest.raises(ValueError, match="linear"):
        gan.generate(mg.tensor(np.zeros((4, 9), "float32")))
    assert {m.training for m in layers(gan.generator)} == {training}


def test_sampling_records_no_graph(model: GAN) -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x: mg.Tensor) -> mg.Tensor:
            seen.append(x.requires_grad)
            return x

    gan = MLPGAN(latent_dim=8)
    gan.generator = nn.Sequential(*gan.generator, Watch())
    gan.sample(2, seed=0)
    gan.generator(gan.latents(2))
    assert seen == [False, True]


# --- The architecture -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS.values(), ids=list(MODELS))
def test_discriminators_give_logits(kind: Callable[[], GAN]) -> None:
    gan = kind()
    kinds = {type(layer) for layer in layers(gan.discriminator)}
    assert not kinds & {nn.Sigmoid, nn.Tanh}
    rng = np.random.default_rng(0)
    far = mg.tensor((1e4 * rng.standard_normal((64, 1, 28, 28))).astype("float32"))
    logits = gan.discriminator.eval()(far).numpy()
    assert logits.min() < 0.0 and logits.max() > 1.0


@pytest.mark.parametrize("kind", [MLPGAN, DCGAN, HalfDCGAN, MixtureGAN])
def test_no_bias_before_a_batch_norm(kind: Callable[[], GAN]) -> None:
    gan = kind()
    before = []
    for player in (gan.generator, gan.discriminator):
        learning = [layer for layer in player if list(layer.parameters())]
        before += [a for a, b in pairwise(learning) if isinstance(b, nn.BatchNorm1d)]
    assert before
    assert all(layer.bias is None for layer in before)


def test_no_batch_norm_at_the_ends() -> None:
    gan = MLPGAN()
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in list(gan.generator)[-3:])
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in gan.discriminator)
    assert any(isinstance(layer, nn.Tanh) for layer in gan.generator)


def test_mlp_shapes() -> None:
    gan = MLPGAN()
    weights = [
        [p.shape for p in player.parameters() if p.ndim == 2]
        for player in (gan.generator, gan.discriminator)
    ]
    assert weights == [[(256, 64), (512, 256), (784, 512)], [(512, 784), (256, 512), (1, 256)]]


# Kernels and matrices layer by layer, 2 for each channel of a batch norm, and biases.
COUNTS = {
    # G: 100·128·7² + 2·128 + 128·64·4² + 2·64 + 64·4² + 1
    # D: 64·4² + 64 + 64·128·4² + 2·128 + 128·7² + 1
    DCGAN: (759_681, 138_689),
    HalfDCGAN: (347_073, 36_577),  # 64 for 128, 32 for 64
}


@pytest.mark.parametrize("kind", COUNTS)
def test_dcgan_counts_of_parameters(kind: type[DCGAN]) -> None:
    gan = kind()
    players = (gan.generator, gan.discriminator)
    assert tuple(sum(p.size for p in m.parameters()) for m in players) == COUNTS[kind]


def test_dcgan_layers() -> None:
    """The rules of Radford et al. 2016: no batch norm on G's output nor on D's input, and so on."""
    gan = DCGAN(latent_dim=10, width=3)
    assert [type(layer) for layer in gan.generator] == [
        nn.Linear, nn.Unflatten, nn.BatchNorm2d, nn.ReLU,
        nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU,
        nn.ConvTranspose2d, nn.Tanh,
    ]  # fmt: skip
    assert [type(layer) for layer in gan.discriminator] == [
        nn.Conv2d, nn.LeakyReLU,
        nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU,
        nn.Flatten, nn.Linear,
    ]  # fmt: skip
    slopes = {m.negative_slope for m in layers(gan.discriminator) if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}


def test_dcgan_shapes() -> None:
    gan = DCGAN(latent_dim=10, width=3)
    weights = [
        [p.shape for p in player.parameters() if p.ndim >= 2]
        for player in (gan.generator, gan.discriminator)
    ]
    assert weights == [
        [(294, 10), (6, 3, 4, 4), (3, 1, 4, 4)],
        [(3, 1, 4, 4), (6, 3, 4, 4), (1, 294)],
    ]
    z = gan.latents(5)
    assert z.shape == (5, 10)
    steps = [z := layer(z) for layer in gan.generator]
    assert [z.shape for z in steps if z.ndim == 4][::3] == [
        (5, 6, 7, 7), (5, 3, 14, 14), (5, 1, 28, 28),
    ]  # fmt: skip
    steps = [z := layer(z) for layer in gan.discriminator]
    assert [steps[i].shape for i in (0, 2, 6)] == [(5, 3, 14, 14), (5, 6, 7, 7), (5, 1)]
    assert (defaults(DCGAN)["width"], defaults(HalfDCGAN)["width"]) == (64, 32)
    assert DCGAN().latent_dim == HalfDCGAN().latent_dim == 100


def test_dcgan_starts_as_its_authors_did() -> None:
    """N(0, 0.02²) for kernels and matrices, N(1, 0.02²) for batch norm's scales, biases 0."""
    mg.manual_seed(5)
    gan = DCGAN()
    seen = {"matrix": 0, "scale": 0, "bias": 0}
    for player in (gan.generator, gan.discriminator):
        for name, parameter in player.named_parameters():
            values = parameter.numpy().astype("float64")
            if name.endswith("bias"):
                seen["bias"] += 1
                assert not values.any()
                continue
            mean = 0.0 if values.ndim > 1 else 1.0
            seen["matrix" if values.ndim > 1 else "scale"] += 1
            assert abs(values.mean() - mean) < 5 * 0.02 / np.sqrt(values.size)
            assert abs(values.std() / 0.02 - 1) < 5 / np.sqrt(2 * values.size)
    assert seen == {"matrix": 6, "scale": 3, "bias": 6}


# --- The generator that comes with the package ----------------------------------------------------


def surest_and_rarest(gan: GAN) -> tuple[float, float]:
    """Of 500 samples, the share that the classifier is 90% sure of, and that of the rarest digit.

    Both, because it may also be sure of what is no digit, but then hardly of ten different ones.
    """
    answers = mg.metrics.classify(gan.sample(500, seed=1))
    counts = np.bincount(answers.argmax(axis=1), minlength=10)
    return float((answers.max(axis=1) > 0.9).mean()), float(counts.min() / 500)


def test_the_shipped_generator_draws_digits() -> None:
    sure, rarest = surest_and_rarest(pretrained())
    assert sure > 0.65 and rarest > 0.04
    mg.manual_seed(0)
    assert surest_and_rarest(HalfDCGAN())[1] == 0  # the comparison can fail


def test_the_shipped_generator_is_small_and_leaves_the_streams_alone() -> None:
    assert weights_file.WEIGHTS.stat().st_size < 1_000_000
    before = mg.backend.rng_state()
    gan = pretrained()
    assert mg.backend.rng_state() == before
    assert {value.dtype for value in gan.generator.state_dict().values()} == {np.dtype("float32")}


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered = bytearray(weights_file.WEIGHTS.read_bytes())
    altered[-1] ^= 1
    monkeypatch.setattr(weights_file, "WEIGHTS", tmp_path / "altered.safetensors")
    weights_file.WEIGHTS.write_bytes(altered)
    with pytest.raises(RuntimeError, match="altered.safetensors: its SHA-256 is .* install"):
        pretrained()


# --- Pixels ---------------------------------------------------------------------------------------

ALL = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)


def test_pixels_there_and_back() -> None:
    scaled = to_tanh_range(ALL)
    assert scaled.dtype == np.float32 and scaled.shape == ALL.shape
    assert scaled.min() == -1.0 and scaled.max() == 1.0
    assert (np.diff(scaled.ravel()) > 0).all()
    back = to_pixels(scaled)
    assert back.dtype == np.uint8
    assert (back == ALL).all()


@pytest.mark.parametrize(
    ("value", "pixel"),
    [(-1.0, 0), (1.0, 255), (-1.5, 0), (1.5, 255), (1e30, 255), (-np.inf, 0), (0.001, 128),
     (-0.001, 127), (-1.0 + 0.4 / 127.5, 0), (-1.0 + 0.6 / 127.5, 1), (1.0 - 0.6 / 127.5, 254)],
)  # fmt: skip
def test_pixels_are_clipped_and_rounded(value: float, pixel: int) -> None:
    assert to_pixels(np.full((1, 2, 2), value, "float32")).tolist() == [[[pixel] * 2] * 2]


# --- PyTorch --------------------------------------------------------------------------------------


def twin(module: nn.Module) -> Any:
    """The same stack in torch.nn, layer by layer."""
    torch = pytest.importorskip("torch")
    made = {
        nn.Linear: lambda m: torch.nn.Linear(
            m.weight.shape[1], m.weight.shape[0], bias=m.bias is not None
        ),
        nn.Conv2d: lambda m: torch.nn.Conv2d(
            *m.weight.shape[1::-1], m.weight.shape[2:], m.stride, m.padding, bias=m.bias is not None
        ),
        nn.ConvTranspose2d: lambda m: torch.nn.ConvTranspose2d(
            *m.weight.shape[:2], m.weight.shape[2:], m.stride, m.padding, bias=m.bias is not None
        ),
        nn.BatchNorm1d: lambda m: torch.nn.BatchNorm1d(m.weight.shape[0]),
        nn.BatchNorm2d: lambda m: torch.nn.BatchNorm2d(m.weight.shape[0]),
        nn.ReLU: lambda m: torch.nn.ReLU(),
        nn.LeakyReLU: lambda m: torch.nn.LeakyReLU(m.negative_slope),
        nn.Tanh: lambda m: torch.nn.Tanh(),
        nn.Dropout: lambda m: torch.nn.Dropout(m.p),
        nn.Flatten: lambda m: torch.nn.Flatten(),
        nn.Unflatten: lambda m: torch.nn.Unflatten(m.dim, m.unflattened_size),
    }
    return torch.nn.Sequential(*(made[type(layer)](layer) for layer in module))


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("direction", ["to PyTorch", "from PyTorch"])
def test_weights_mean_the_same_in_pytorch(model: GAN, player: str, direction: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    mg.manual_seed(11)
    shape = (model.latent_dim,) if player == "generator" else (1, 28, 28)
    if direction == "to PyTorch":
        ours = getattr(model, player)
        theirs = twin(ours)
        theirs.load_state_dict(
            {k: torch.from_numpy(v.numpy()) for k, v in ours.state_dict().items()}
        )
    else:
        ours = getattr(type(model)(), player)
        theirs = twin(ours)
        theirs(torch.randn(32, *shape))  # so that the running statistics are not the first ones
        ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((16, *shape)).astype("float32")
    was_training = ours.training
    try:
        ours.eval(), theirs.eval()
        mine = ours(mg.tensor(x)).numpy()
    finally:
        ours.train(was_training)
    with torch.no_grad():
        reference = theirs(torch.from_numpy(x)).numpy()
    assert mine.shape == reference.shape
    np.testing.assert_allclose(mine, reference, rtol=1e-5, atol=1e-5)
    assert np.ptp(reference) > 0.1


# --- Maxout ---------------------------------------------------------------------------------------


def test_maxout_is_the_largest_of_its_pieces() -> None:
    mg.manual_seed(1)
    layer = Maxout(3, 4, 5)
    x = np.random.default_rng(0).standard_normal((6, 3)).astype("float32")
    weight, bias = layer.weight.numpy(), layer.bias.numpy()
    assert weight.shape == (20, 3)
    expected = [
        [max(weight[k * 4 + j] @ row + bias[k * 4 + j] for k in range(5)) for j in range(4)]
        for row in x
    ]
    np.testing.assert_allclose(layer(mg.tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_maxout_gan_is_the_papers() -> None:
    gan = MaxoutGAN()
    shapes = [
        [p.shape for p in player.parameters() if p.ndim == 2]
        for player in (gan.generator, gan.discriminator)
    ]
    assert shapes == [
        [(1200, 100), (1200, 1200), (784, 1200)],
        [(240 * 5, 784), (240 * 5, 240), (1, 240)],
    ]
    drops = [layer.p for layer in gan.discriminator if isinstance(layer, nn.Dropout)]
    assert drops == [0.2, 0.5, 0.5]
    assert not any(isinstance(layer, nn.Dropout) for layer in gan.generator)
    for player, reach in ((gan.generator, 0.05), (gan.discriminator, 0.005)):
        weights = np.concatenate([p.numpy().ravel() for p in player.parameters() if p.ndim == 2])
        assert 0.99 * reach < np.abs(weights).max() <= reach
        assert all((p.numpy() == 0).all() for p in player.parameters() if p.ndim == 1)


def test_maxout_gans_latents_are_uniform_with_variance_1() -> None:
    z = MaxoutGAN().latents(2000).numpy()
    assert z.dtype == np.float32
    assert np.abs(z).max() <= np.sqrt(3) < np.abs(z).max() + 1e-3
    assert z.mean() == pytest.approx(0, abs=0.01) and z.std() == pytest.approx(1, abs=0.01)


def test_maxout_gan_starts_at_the_mean_picture() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 28, 28)).astype("uint8")
    images[:, :, :2], images[:, :, -2:], images[50:] = 0, 255, 77
    gan = MaxoutGAN()
    gan.start(gan.batches(images, None, 10))
    dict(gan.generator.named_parameters())["4.weight"].copy_(np.zeros((784, 1200)))
    drawn = gan.generate(gan.latents(2))
    assert np.abs(drawn - images[:50].mean(axis=0)).max() <= 0.5 + 1e-3


class At:
    """Data at some epoch."""

    def __init__(self, epoch: float):
        self.epoch = epoch

    def __next__(self) -> Batch:
        return Batch(mg.tensor(np.zeros((2, 1, 28, 28), "float32")), None)


def test_maxout_gans_schedule() -> None:
    gan = MaxoutGAN(lr=0.1)
    found = []
    for step, epoch in ((0, 0.0), (500, 1.0), (62_750, 125.5), (10**6, 2000.0)):
        gan.step(At(epoch), step)  # type: ignore[arg-type]
        found.append([(o.lr, o.momentum) for o in (gan.d_optimizer, gan.g_optimizer)])
    rates = [0.1 * 1.000004**-step for step in (0, 500, 62_750, 10**6)]
    momenta = [0.5, 0.5, 0.6, 0.7]
    for two, rate, momentum in zip(found, rates, momenta, strict=True):
        assert two == [pytest.approx((rate / 2, momentum)), pytest.approx((rate, momentum))]


def test_maxout_gan_trains_on_five_sixths_and_goes_on_from_a_checkpoint() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 28, 28)).astype("uint8")
    labels = np.arange(60)

    def trainer() -> Trainer:
        mg.manual_seed(4)
        gan = MaxoutGAN()
        return Trainer(gan, gan.batches(images, labels, 10))

    one = trainer()
    assert one.data.images.tobytes() == images[:50].tobytes() and one.data.per_epoch == 5
    assert one.data.labels.tolist() == list(range(50))
    for _ in range(3):
        one.step()
    tensors, info = one.state()
    for _ in range(4):
        one.step()
    two = trainer()
    two.load_state(tensors, info)
    for _ in range(4):
        two.step()
    whole, resumed = one.state()[0], two.state()[0]
    assert all(whole[name].tobytes() == resumed[name].tobytes() for name in whole)
    assert "g_optimizer.0.momentum_buffer" in whole


def test_mixture_gan_is_pacgans() -> None:
    gan = MixtureGAN()
    shapes = [
        [p.shape for p in player.parameters() if p.ndim == 2]
        for player in (gan.generator, gan.discriminator)
    ]
    assert shapes == [
        [(400, 2), (400, 400), (400, 400), (400, 400), (2, 400)],
        [(1000, 2), (1000, 200), (1000, 200), (1, 200)],
    ]
    weights = [p.numpy().ravel() for p in gan.discriminator.parameters() if p.ndim == 2]
    assert np.concatenate(weights).std() == pytest.approx(0.02, rel=0.01)
    points = gan.sample(30, seed=1)
    assert points.shape == (30, 2) and points.dtype == np.float32
    assert points.tobytes() == gan.sample(30, seed=1).tobytes()
    assert {o.betas for o in (gan.d_optimizer, gan.g_optimizer)} == {(0.8, 0.999)}
    assert gan.discriminator(mg.tensor(points)).shape == (30, 1)
