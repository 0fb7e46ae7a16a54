"""The loader: whose turn it is, what a batch holds, and its place in the data."""

import json
from typing import Any

import numpy as np
import pytest

import minigan as mg
from minigan.data.batches import Batch, Batches, Epochs

#: Image i is grey of level i, so that it can be recognised in a batch.
IMAGES = np.repeat(np.arange(50, dtype=np.uint8), 4).reshape(50, 1, 2, 2)
LABELS = np.arange(50) % 10


class Rows(Epochs):
    def __next__(self) -> list[list[int]]:
        return [rows.tolist() for rows in self.rows()]


def numbers(batch: Batch) -> list[int]:
    images: list[int] = np.rint((batch.images.numpy()[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()
    return images


# --- An epoch -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "size", "per_epoch"), [(50, 8, 6), (50, 50, 1), (3, 2, 1), (4, 2, 2)]
)
def test_an_epoch_gives_each_row_at_most_once_and_in_a_new_order(
    n: int, size: int, per_epoch: int
) -> None:
    rows = Rows([n], size)
    assert rows.per_epoch == per_epoch and iter(rows) is rows
    epochs = [[i for _ in range(per_epoch) for i in next(rows)[0]] for _ in range(4)]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == per_epoch * size
        assert set(epoch) <= set(range(n))
    if n == 50:
        assert len({tuple(epoch) for epoch in epochs}) == 4


def test_two_sets_of_different_length_are_shuffled_apart() -> None:
    rows = Rows([9, 20], 4)
    assert rows.per_epoch == 2
    pairs = [next(rows) for _ in range(40)]
    for first in range(0, 40, 2):
        short, long = ([i for pair in pairs[first : first + 2] for i in pair[k]] for k in (0, 1))
        assert len(set(short)) == len(set(long)) == 8
        assert max(short) < 9 and max(long) < 20
    assert {i for pair in pairs for i in pair[1]} == set(range(20))  # none is left out for good
    assert any(short != long for short, long in pairs)


def test_where_it_is_in_the_data() -> None:
    rows, found = Rows([9, 20], 4), []
    for _ in range(5):
        found.append((rows.drawn, rows.epoch, rows.seen))
        next(rows)
    assert found == [(0, 0.0, 0), (1, 0.5, 4), (2, 1.0, 8), (3, 1.5, 12), (4, 2.0, 16)]


def test_the_orders_come_from_the_shuffle_stream_alone() -> None:
    mg.manual_seed(3)
    before = mg.backend.rng_state()
    rows = Rows([50], 8)
    first = [next(rows) for _ in range(20)]
    after = mg.backend.rng_state()
    assert {k for k in after if after[k] != before[k]} == {"shuffle"}
    mg.manual_seed(3)
    again = Rows([50], 8)
    assert [next(again) for _ in range(20)] == first
    mg.manual_seed(4)
    other = Rows([50], 8)
    assert [next(other) for _ in range(20)] != first


# --- Its state ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[50], [9, 20]], ids=str)
@pytest.mark.parametrize("drawn", [0, 1, 2, 5, 6, 7, 12])
def test_a_loader_goes_on_from_a_state(lengths: list[int], drawn: int) -> None:
    mg.manual_seed(0)
    one = Rows(lengths, 4 if len(lengths) == 2 else 8)
    for _ in range(drawn):
        next(one)
    state = json.loads(json.dumps(one.state()))
    expected = [next(one) for _ in range(15)]
    end = mg.backend.rng_state()

    mg.manual_seed(9)
    other = Rows(lengths, one.batch_size)
    next(other)
    other.load_state(state)
    assert (other.drawn, other.epoch, other.seen) == (
        drawn, drawn / one.per_epoch, drawn * one.batch_size,
    )  # fmt: skip
    assert other.state() == state
    assert [next(other) for _ in range(15)] == expected
    assert mg.backend.rng_state()["shuffle"] == end["shuffle"]


def test_a_state_is_a_snapshot() -> None:
    rows = Rows([50], 8)
    state = rows.state()
    before = json.dumps(state)
    for _ in range(7):
        next(rows)
    assert json.dumps(state) == before


@pytest.mark.parametrize("lost", ["drawn", "shuffle"])
def test_a_state_that_lacks_a_part_is_refused(lost: str) -> None:
    rows = Rows([50], 8)
    state = {k: v for k, v in rows.state().items() if k != lost}
    with pytest.raises(KeyError, match=lost):
        rows.load_state(state)


# --- A batch --------------------------------------------------------------------------------------


def test_a_batch_is_pictures_for_a_net_and_their_labels() -> None:
    batches = Batches(IMAGES, LABELS, 8)
    for _ in range(13):
        batch = next(batches)
        images, labels = batch
        assert type(images) is mg.Tensor and images.shape == (8, 1, 2, 2)
        assert images.dtype == "float32" and not images.requires_grad
        assert type(labels) is np.ndarray and labels.shape == (8,)
        assert labels.tolist() == [i % 10 for i in numbers(batch)]
        expected = IMAGES[numbers(batch)].astype("float64") / 127.5 - 1.0
        np.testing.assert_allclose(images.numpy(), expected, atol=1e-6)


def test_without_labels_there_are_none() -> None:
    assert next(Batches(IMAGES, None, 2)).labels is None


def test_pictures_in_colour_keep_their_channels() -> None:
    colours = np.zeros((5, 3, 4, 6), "uint8")
    assert next(Batches(colours, None, 2)).images.shape == (2, 3, 4, 6)


# --- Mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-1, 0, 1, 51])
def test_batch_sizes_that_cannot_be(size: int) -> None:
    told = f"batch_size must lie between 2 and the 50 images, got {size}$"
    with pytest.raises(ValueError, match=told):
        Batches(IMAGES, None, size)
    with pytest.raises(ValueError, match=told):
        Rows([70, 50], size)


@pytest.mark.parametrize("size", [2.0, "8", None, True], ids=repr)
def test_batch_sizes_that_are_no_integers(size: Any) -> None:
    with pytest.raises(TypeError, match="^Batches: batch_size must be an integer, got "):
        Batches(IMAGES, None, size)


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", bool])
def test_images_are_bytes(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"^images must be .*uint8, .*got {np.dtype(kind)}$"):
        Batches(IMAGES.astype(kind), None, 8)


def test_labels_are_one_for_each_image() -> None:
    with pytest.raises(ValueError, match="^expected 50 labels, one per image, got 49$"):
        Batches(IMAGES, LABELS[1:], 8)


def test_a_loader_that_says_nothing_of_its_batches() -> None:
    with pytest.raises(NotImplementedError, match="^Epochs does not define __next__$"):
        next(Epochs([4], 2))
