"""The classifier, the table of measures, and what each measure notices: a ladder of corruptions."""

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import idx, minigan, refused
from PIL import Image

import minigan as mg
from minigan import backend, data, evaluation, metrics
from minigan.evaluation import MEASURES, Reference, evaluate, measure
from minigan.metrics import classifier, corruptions
from minigan.models import MLPGAN
from tools import train_classifier

MINIGAN_DATA = os.environ.get("MINIGAN_DATA")  # as it is for whoever starts the tests
on_the_host = pytest.mark.on_the_host("host arrays in and out; the classifier has tests on both")
Array = np.ndarray


# --- The classifier -------------------------------------------------------------------------------


def share_read_rightly(images: Array, labels: Array) -> float:
    return float((metrics.classify(images).argmax(axis=1) == labels).mean())


def test_reads_the_embedded_test_digits() -> None:
    assert share_read_rightly(*data.load("mnist-mini", "test")) >= 0.985


@pytest.mark.on_the_host("the embedded digits are read on both")
@pytest.mark.skipif(not MINIGAN_DATA, reason="MINIGAN_DATA is not set: no MNIST to test with")
def test_reads_99_percent_of_mnists_test_digits() -> None:
    images, labels = data.load("mnist", "test")
    assert len(images) == 10_000
    share = share_read_rightly(images, labels)
    assert share >= 0.99
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    assert f"({100 * share:.1f} % of the test digits;" in " ".join(readme.split())


def test_probabilities_and_features() -> None:
    images, _ = data.load("mnist-mini", "test")
    images = images[: backend.CHUNK + 3]
    probabilities, features = metrics.classify(images), metrics.features(images)
    assert probabilities.shape == (len(images), 10) and probabilities.dtype == np.float32
    assert features.shape == (len(images), 64) and features.dtype == np.float32
    assert (probabilities >= 0).all() and features.min() == 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    alone = metrics.classify(images[-1:]), metrics.features(images[-1:])
    np.testing.assert_allclose(alone[0], probabilities[-1:], atol=1e-5)
    np.testing.assert_allclose(alone[1], features[-1:], atol=1e-5)


def test_the_unit_of_the_features_is_their_root_mean_square() -> None:
    images, _ = data.load("mnist-mini")
    features = metrics.features(images[::5])
    assert math.sqrt(float((features**2).mean())) == pytest.approx(1, abs=0.02)


def test_measuring_draws_nothing_and_trains_nothing() -> None:
    images, _ = data.load("mnist-mini", "test")
    model = MLPGAN()
    before, weights = backend.rng_state(), model.generator.state_dict()
    metrics.classify(images[:3])
    assert backend.rng_state() == before
    for name, value in model.generator.state_dict().items():
        assert value.numpy().tobytes() == weights[name].numpy().tobytes()


@pytest.mark.parametrize(
    ("images", "error", "part"),
    [
        (np.zeros((2, 28, 28)), TypeError, "float64"),
        ([[0]], TypeError, "list"),
        (np.zeros((28, 28), "uint8"), ValueError, r"\(28, 28\)"),
        (np.zeros((2, 3, 28, 28), "uint8"), ValueError, r"28×28 grey .* got \(2, 3, 28, 28\)"),
        (np.zeros((2, 32, 32), "uint8"), ValueError, r"reads 28×28 grey .* got \(2, 32, 32\)"),
        (np.zeros((0, 28, 28), "uint8"), ValueError, r"\(0, 28, 28\)"),
    ],
)
def test_other_images_are_refused(images: Any, error: type[Exception], part: str) -> None:
    for function in (metrics.classify, metrics.features):
        with pytest.raises(error, match=part):
            function(images)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = bytearray(classifier.WEIGHTS.read_bytes())
    content[-1] ^= 1
    altered = tmp_path / "altered.safetensors"
    altered.write_bytes(content)
    monkeypatch.setattr(classifier, "WEIGHTS", altered)
    with pytest.raises(RuntimeError, match="altered.safetensors"):
        metrics.classify(np.zeros((1, 28, 28), "uint8"))


# --- Its training ---------------------------------------------------------------------------------


def test_each_digit_is_moved_by_its_own_one_pixel_at_most() -> None:
    images = np.zeros((200, 1, 28, 28), "uint8")
    images[:, 0, 10, 20] = 1 + np.arange(200)
    moved = train_classifier.shifted(images, backend.generator(0))
    assert moved.shape == images.shape and moved.dtype == np.uint8
    of, _, down, right = moved.nonzero()
    assert of.tolist() == list(range(200))
    places = set(zip((down - 10).tolist(), (right - 20).tolist(), strict=True))
    assert places == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert moved.max(axis=(1, 2, 3)).tolist() == images.max(axis=(1, 2, 3)).tolist()


def test_scaling_the_features_leaves_the_answers() -> None:
    images, _ = data.load("mnist-mini", "test")
    images = images[: 2 * backend.CHUNK]
    network = classifier.network()
    with mg.no_grad():
        x = classifier.to_input(images)
        before = network(x).numpy()
        train_classifier.scale_features(network, images)
        after, features = network(x).numpy(), network[: classifier.TO_FEATURES](x).numpy()
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert float((features**2).mean()) == pytest.approx(1, abs=1e-4)


def test_training_wants_all_of_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "load_mnist", lambda split: data.load("mnist-mini", split))
    with pytest.raises(ValueError, match="60000"):
        train_classifier.train(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.on_the_host("78 steps; single ones are the same on both")
def test_a_short_training_learns_and_is_written_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    images, labels = data.load("mnist-mini")
    monkeypatch.setattr(data, "load_mnist", lambda split: (images, labels))
    monkeypatch.setattr(train_classifier, "WHOLE", len(images))
    monkeypatch.setattr(train_classifier, "EPOCHS", 1)
    out = tmp_path / "weights"
    train_classifier.train(out)
    sha256 = hashlib.sha256(out.read_bytes()).hexdigest()
    monkeypatch.setattr(classifier, "WEIGHTS", out)
    monkeypatch.setattr(classifier, "SHA256", sha256)
    assert share_read_rightly(*data.load("mnist-mini", "test")) > 0.7


# --- The ladder of corruptions --------------------------------------------------------------------

#: What happens to each measure as the corruption grows: "+" it grows at every rung, "-" it falls,
#: "=" it stays what it was, although the samples get worse and worse. Where nothing stands it
#: depends on the strength.
LADDER = {
    "add_noise":    {"strengths": (0.2, 0.4, 0.6), "clf_fid": "+", "kid": "+", "score": "-",
                     "recall": "-", "parzen": "-", "nearest": "+"},
    "blur":         {"strengths": (0.1, 0.3, 0.6), "clf_fid": "+", "kid": "+", "score": "-",
                     "precision": "-", "recall": "-"},
    "drop_classes": {"strengths": (0.2, 0.5, 0.8), "clf_fid": "+", "kid": "+", "score": "-",
                     "precision": "=", "recall": "-", "imbalance": "+", "parzen": "-"},
    "unbalance":    {"strengths": (0.2, 0.5, 0.8), "clf_fid": "+", "kid": "+", "score": "-",
                     "precision": "=", "recall": "=", "imbalance": "+", "parzen": "-"},
    "repeat_one":   {"strengths": (0.2, 0.5, 0.8), "clf_fid": "+", "kid": "+", "score": "-",
                     "precision": "+", "recall": "=", "imbalance": "+", "parzen": "-"},
    "memorise":     {"strengths": (0.2, 0.6, 1.0), "clf_fid": "=", "kid": "=", "score": "=",
                     "precision": "=", "recall": "=", "imbalance": "=", "parzen": "=",
                     "nearest": "-"},
}  # fmt: skip
#: About four times the standard deviation between batches of real images: less is no move at all.
MOVES = {
    "clf_fid": 0.8, "kid": 0.045, "score": 0.25, "precision": 0.055, "recall": 0.06,
    "imbalance": 0.06, "parzen": 8, "nearest": 0.5,
}  # fmt: skip
#: How far "=" may be off. For precision and recall it is a seventh of the way to 0.
STAYS = MOVES | {"precision": 0.12, "recall": 0.12}


@pytest.fixture(scope="module")
def real() -> tuple[Reference, Array, Array]:
    """500 test digits and 9,000 for training, and 500 others with their labels: perfect samples."""
    images, labels = data.load("mnist-mini")
    order = backend.generator(6).permutation(len(images))
    images, labels = images[order], labels[order]
    test, test_labels = data.load("mnist-mini", "test")
    order = backend.generator(5).permutation(len(test))
    reference = Reference.of(images[:9000], test[order], test_labels[order], 500)
    return reference, images[9000:9500], labels[9000:9500]


@pytest.fixture(scope="module")
def unspoilt(real: tuple[Reference, Array, Array]) -> dict[str, Any]:
    reference, images, _ = real
    return measure(images, reference)[0]


def spoilt(name: str, strength: float, real: tuple[Reference, Array, Array]) -> Array:
    reference, images, labels = real
    extra = {
        "drop_classes": [labels],
        "unbalance": [labels],
        "memorise": [reference.train],
    }
    return getattr(corruptions, name)(images, *extra.get(name, []), strength)


@on_the_host
@pytest.mark.slow
@pytest.mark.parametrize("name", LADDER)
def test_what_each_measure_notices(
    name: str, real: tuple[Reference, Array, Array], unspoilt: dict[str, Any]
) -> None:
    rungs = dict(LADDER[name])
    strengths = rungs.pop("strengths")
    found = [unspoilt, *(measure(spoilt(name, s, real), real[0])[0] for s in strengths)]
    for key, direction in rungs.items():
        values = [numbers[key] for numbers in found]
        if direction == "=":
            assert max(abs(v - values[0]) for v in values) < STAYS[key], (key, values)
        else:
            steps = np.diff(values) * (1 if direction == "+" else -1)
            assert (steps >= 0).all() and steps.sum() > MOVES[key], (key, values)


@on_the_host
@pytest.mark.slow
def test_a_little_blur_raises_the_parzen_likelihood(
    real: tuple[Reference, Array, Array], unspoilt: dict[str, Any]
) -> None:
    """And so ranks what every other measure finds worse above real digits."""
    blurred = measure(spoilt("blur", 0.1, real), real[0])[0]
    assert blurred["parzen"] > unspoilt["parzen"] + 50
    assert blurred["clf_fid"] > 5 * unspoilt["clf_fid"] and blurred["recall"] < 0.1


@on_the_host
@pytest.mark.parametrize("name", LADDER)
def test_corruptions(name: str, real: tuple[Reference, Array, Array]) -> None:
    _, images, _ = real
    before = images.copy()
    for strength in (0.0, 0.3, 1.0):
        first = spoilt(name, strength, real)
        assert first.shape == images.shape and first.dtype == np.uint8
        assert first.tobytes() == spoilt(name, strength, real).tobytes()
        assert (first.tobytes() == images.tobytes()) == (strength == 0)
        assert not np.shares_memory(first, images)
    assert images.tobytes() == before.tobytes()


@on_the_host
def test_corruptions_are_what_they_say(real: tuple[Reference, Array, Array]) -> None:
    reference, images, labels = real
    grey = np.full((50, 28, 28), 128, "uint8")
    assert corruptions.add_noise(grey, 0.2).std() == pytest.approx(0.2 * 127.5, rel=0.01)
    point = np.zeros((1, 28, 28), "uint8")
    point[0, 14, 14] = 255
    spread = corruptions.blur(point, 1 / 16)[0, 13:16, 13:16]  # one time: ¼, ½, ¼ both ways
    assert spread.tolist() == [[16, 32, 16], [32, 64, 32], [16, 32, 16]]
    shares = {
        "unbalance": lambda x: (x[:, None] == images[labels == 1]).all((2, 3, 4)).any(axis=1),
        "repeat_one": lambda x: (x == images[0]).all((1, 2, 3)),
        "memorise": lambda x: (x[:, None] == reference.train[:300]).all((2, 3, 4)).any(axis=1),
    }
    for name, hit in shares.items():
        added = hit(spoilt(name, 0.4, real)).mean() - hit(images).mean() * 0.6
        assert added == pytest.approx(0.4, abs=0.03), name
    gone = np.flatnonzero(labels < 4)
    kept = spoilt("drop_classes", 0.4, real)
    among = (kept[gone, None] == images[labels >= 4]).all((2, 3, 4)).any(axis=1)
    assert among.all() and (kept[labels >= 4] == images[labels >= 4]).all()


@on_the_host
@pytest.mark.parametrize("name", LADDER)
def test_corruptions_of_other_pictures(name: str, real: tuple[Reference, Array, Array]) -> None:
    """Without the axis of channels the same pixels; in colour each channel by itself."""
    reference, images, labels = real
    extra = {"drop_classes": [labels], "unbalance": [labels], "memorise": [reference.train]}
    spoil, more = getattr(corruptions, name), extra.get(name, [])
    expected = spoil(images, *more, 0.3)
    assert (spoil(images[:, 0], *more, 0.3) == expected[:, 0]).all()
    if name in ("blur", "repeat_one"):
        colour = np.concatenate([images, images // 2, 255 - images], axis=1)
        got = spoil(colour, 0.3)
        assert got.shape == (500, 3, 28, 28) and (got[:, :1] == expected).all()
        assert (got[:, 2:] == spoil(255 - images, 0.3)).all()
    with pytest.raises(TypeError, match="images must be a NumPy array of uint8"):
        spoil(images / 255, *more, 0.3)


@on_the_host
def test_only_pictures_of_one_kind_can_be_copied(real: tuple[Reference, Array, Array]) -> None:
    reference, images, _ = real
    with pytest.raises(ValueError, match=r"images and train .* \(500, 1, 14, 56\) and \(9000, 1"):
        corruptions.memorise(images.reshape(-1, 1, 14, 56), reference.train, 0.5)


# --- The table ------------------------------------------------------------------------------------


@on_the_host
def test_the_test_images_themselves(real: tuple[Reference, Array, Array]) -> None:
    reference, _, _ = real
    numbers, found = measure(reference.test, reference)
    assert set(numbers) == {
        *(m.key for m in MEASURES), "kid_std", "classes", "parzen_error", "sigma"
    }  # fmt: skip
    assert numbers["clf_fid"] == pytest.approx(0, abs=1e-6)
    assert numbers["precision"] == numbers["recall"] == 1
    assert numbers["imbalance"] == 0 and sum(numbers["classes"]) == pytest.approx(1)
    assert numbers["nearest"] == pytest.approx(np.median(found.distances))
    i = int(found.distances.argmax())
    apart = (reference.test[i] / 255.0 - found.images[i] / 255.0).ravel()
    assert found.distances[i] == pytest.approx(np.linalg.norm(apart))


@on_the_host
def test_what_is_compared_with_what(
    real: tuple[Reference, Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above all: the width of the Parzen window is chosen on images that nothing is reported on."""
    reference, images, _ = real
    seen: dict[str, tuple[Any, ...]] = {}

    def watch(name: str) -> None:
        function = getattr(evaluation, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            seen[name] = (*arguments, *options.values())
            return function(*arguments, **options)

        monkeypatch.setattr(evaluation, name, watched)

    names = ("choose_sigma", "parzen_log_likelihood", "kernel_distance", "precision_recall")
    for name in names:
        watch(name)
    numbers, _ = measure(images, reference)
    features = metrics.features(images)
    samples, held_out, test = (
        x.reshape(-1, 784) / np.float32(255)
        for x in (images, reference.train[7500:8500], reference.test)  # 7,500 of 9,000: 5 sixths
    )
    expected = (
        (samples, held_out),
        (samples, test, numbers["sigma"]),
        (features, reference.features, 250),
        (reference.features, features),
    )
    for name, arguments in zip(names, expected, strict=True):
        assert len(seen[name]) == len(arguments)
        for found, wanted in zip(seen[name], arguments, strict=True):
            assert np.array_equal(found, wanted), name
    likelihoods = metrics.parzen_log_likelihood(samples, test, numbers["sigma"])
    assert numbers["parzen"] == pytest.approx(np.mean(likelihoods), rel=1e-12)
    assert numbers["parzen_error"] == pytest.approx(np.std(likelihoods) / math.sqrt(500), rel=1e-12)


@on_the_host
def test_imbalance_by_hand(real: tuple[Reference, Array, Array]) -> None:
    reference, _, _ = real
    only = spoilt("unbalance", 1.0, real)
    numbers, _ = measure(only, reference)
    assert numbers["classes"][1] > 0.98
    assert numbers["imbalance"] == pytest.approx(1 - reference.classes[1], abs=0.02)


@on_the_host
def test_the_floor_is_that_of_training_images(real: tuple[Reference, Array, Array]) -> None:
    reference, images, _ = real
    table, found = evaluate(images, reference)
    assert table["n"] == 500 and table["classifier_sha256"] == classifier.SHA256
    assert table["samples"] == measure(images, reference)[0]
    assert table["floor"]["nearest"] > 3  # of test images: a training image is its own neighbour
    for key, most in STAYS.items():  # real digits, both of them
        assert table["samples"][key] == pytest.approx(table["floor"][key], abs=most), key
    assert len(found.images) == 500
    json.dumps(table)


@on_the_host
def test_digits_without_an_axis_of_channels(real: tuple[Reference, Array, Array]) -> None:
    reference, images, labels = real
    assert measure(images[:, 0], reference)[0] == measure(images, reference)[0]
    again = Reference.of(reference.train[:, 0], images[:, 0], labels, 500)
    assert again.train.shape == reference.train.shape and again.test.shape == images.shape
    assert (metrics.features(images[:9, 0]) == metrics.features(images[:9])).all()


@on_the_host
def test_what_cannot_be_compared_is_refused(real: tuple[Reference, Array, Array]) -> None:
    reference, images, _ = real
    with pytest.raises(ValueError, match=r"\(500, 1, 28, 28\), got \(499, 1, 28, 28\)"):
        measure(images[:-1], reference)
    test, labels = data.load("mnist-mini", "test")
    with pytest.raises(ValueError, match="reads 1[01]% of the test images rightly"):
        Reference.of(reference.train, test, labels[::-1].copy(), 500)
    with pytest.raises(ValueError, match="the test images have no labels: without them it cannot"):
        Reference.of(reference.train, test, None, 500)
    with pytest.raises(ValueError, match=r"28×28 grey digits, .* got \(500, 1, 32, 28\)"):
        Reference.of(reference.train, np.pad(test, ((0, 0), (0, 0), (2, 2), (0, 0))), labels, 500)
    with pytest.raises(ValueError, match="at least 10 images of each kind to compare, got 9"):
        Reference.of(reference.train, test[:9], labels[:9], 500)


def test_the_measures_are_the_packages_own() -> None:
    assert [m.key for m in MEASURES] == [
        "clf_fid", "kid", "score", "precision", "recall", "imbalance", "parzen", "nearest",
    ]  # fmt: skip
    assert all(m.better in ("lower", "higher", "floor") and m.blind for m in MEASURES)


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    done = minigan(
        "train", "mlp", "--data", digits, "--steps", "2", "--batch-size", "20", "--out", out
    )
    assert done.code == 0, done.err
    return out


@pytest.mark.on_the_host("a run is made on one library")
@pytest.mark.usefixtures("own_folder")
def test_evaluate_prints_and_saves_the_table(trained: Path, digits: Path) -> None:
    result = minigan("evaluate", trained, "--samples", "40")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert max(map(len, lines[1:-1])) <= 100  # the others hold paths
    assert lines[-1] == str(trained / "nearest.png")
    record = json.loads((trained / "evaluation.json").read_bytes())
    assert record["n"] == 40 and record["arguments"]["steps"] == 2
    assert minigan("sample", trained, "-n", "40", "-o", "x.npz").code == 0
    with np.load("x.npz") as file:
        samples = file["images"]
    reference = Reference.of(data.load(digits)[0], *data.load(digits, "test"), 40)
    for key, value in evaluate(samples, reference)[0].items():
        assert record[key] == value, key
    for m in MEASURES:
        for part in ("samples", "floor"):
            assert f"{record[part][m.key]:.{m.decimals}f}" in result.out
        assert result.out.count(m.name) == 2 and m.blind in result.out
    with Image.open(trained / "nearest.png") as picture:
        assert picture.size[0] >= 1000
    first = (trained / "evaluation.json").read_bytes()
    assert minigan("evaluate", trained, "--samples", "40").out == result.out
    assert (trained / "evaluation.json").read_bytes() == first


@pytest.mark.on_the_host("a run is made on one library")
@pytest.mark.usefixtures("own_folder")
def test_evaluate_measures_no_more_than_there_are_test_images(trained: Path) -> None:
    result = minigan("evaluate", trained)
    assert result.code == 0
    assert "too few images for 10,000: 50 are measured" in result.err
    assert json.loads((trained / "evaluation.json").read_bytes())["n"] == 50


@pytest.mark.on_the_host("a run is made on one library")
@pytest.mark.usefixtures("own_folder")
def test_evaluate_refuses_other_data_than_the_run_was_trained_on(
    digits: Path, tmp_path: Path
) -> None:
    """As where MNIST cannot be had any more, and the embedded digits take its place."""
    folder = Path(shutil.copytree(digits, tmp_path / "digits"))
    made = minigan("train", "mlp", "--data", folder, "--steps", "1", "--batch-size", "2")
    assert made.code == 0, made.err
    _, labels = data.load(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(labels[::-1].copy()))
    refused(minigan("evaluate", "runs/mlp"), 2, "runs/mlp was trained on other data")
    assert not Path("runs/mlp/evaluation.json").exists()


@pytest.mark.on_the_host("a run is made on one library")
@pytest.mark.usefixtures("own_folder")
def test_evaluate_refuses_what_is_no_digit(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "READABLE", 1.01)
    refused(minigan("evaluate", trained), 2, "its features mean nothing for them")
    refused(minigan("evaluate", trained / "samples"), 2, "holds no run")
