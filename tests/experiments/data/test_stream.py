"""Streaming: the examples of `load` in the order of `batches`, however they are read."""

import itertools

import numpy as np
import pytest
from PIL import Image

from experiments import data
from tests.experiments.data.streams import (
    BATCH,
    CLASSES,
    SEED,
    WRITE,
    assert_same,
    noise,
    refused,
    take,
    write_folder,
    write_shards,
    write_tfds,
)


@pytest.fixture(params=WRITE)
def source(request, tmp_path, monkeypatch) -> str:
    """Eleven small images, stored in every way."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return WRITE[request.param](tmp_path / "set" if request.param != "tfds" else tmp_path)


# --- order --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num", "size"), [(7, 3), (8, 4), (2, 5), (1, 1)])
def test_batches_cut_an_endless_stream_of_permutations(num, size):
    order = [np.random.default_rng([SEED, epoch]).permutation(num) for epoch in range(40)]
    stream = np.concatenate(order)[: 5 * size].reshape(5, size)
    np.testing.assert_array_equal(
        list(itertools.islice(data.batches(SEED, num, size, 0), 5)), stream
    )
    for step in (3, 0, 4):
        np.testing.assert_array_equal(data.rows_of_step(SEED, num, size, step), stream[step])
        np.testing.assert_array_equal(next(data.batches(SEED, num, size, step)), stream[step])


# --- what is streamed ---------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("image_size", [None, 4])
def test_a_split_is_the_same_read_and_loaded(source, split, image_size):
    options = {"image_size": image_size, "holdout": 0.3}
    opened, loaded = (open(source, split, **options) for open in (data.open_split, data.load))
    facts = ("num", "shape", "codec", "source", "name", "num_classes")
    for fact in facts:
        assert getattr(opened, fact) == getattr(loaded, fact), fact
    assert opened.nbytes == loaded.values.nbytes
    rows = np.random.default_rng(1).permutation(loaded.num)
    batch = opened.read(rows)
    np.testing.assert_array_equal(batch.values, loaded.values[rows])
    np.testing.assert_array_equal(batch.labels, loaded.labels[rows])
    assert (batch.values.dtype, batch.labels.dtype) == (np.uint8, np.int32)


def test_a_split_is_some_of_the_images_that_were_written_and_their_labels(source):
    written, found = noise(11, 6, 8, 3), []
    for name in ("train", "test"):
        split = data.load(source, name, holdout=0.3)
        for value, label in zip(split.values, split.labels, strict=True):
            (k,) = np.flatnonzero((written == value).all(axis=(1, 2, 3)))
            assert label == k % CLASSES
            found.append(k)
    assert sorted(found) == list(range(11))


def test_a_stream_is_the_loaded_split_in_the_order_of_batches(source):
    loaded = data.load(source, "train")
    expected = [
        data.Batch.of(loaded.values[rows], loaded.labels[rows])
        for rows in itertools.islice(data.batches(SEED, loaded.num, BATCH, 0), 7)
    ]
    split = data.open_split(source, "train")
    assert_same(take(split, 7), expected)
    assert_same(take(split, 3, start=4, threads=1, prefetch=1), expected[4:])
    parts = [take(split, 7, part=part) for part in [(0, 1), (1, 4)]]
    for first, second, whole in zip(*parts, expected, strict=True):
        assert len(first.values) == len(first.labels) == 1
        np.testing.assert_array_equal(np.append(first.values, second.values, 0), whole.values)
        np.testing.assert_array_equal(np.append(first.labels, second.labels), whole.labels)


def test_what_is_loaded_whole_streams_from_memory(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=noise(5, 2, 2))
    for source, dtype in [(f"npz:{path}", np.uint8), ("toy:moons", np.float32)]:
        loaded = data.load(source, "train")
        split = data.open_split(source, "train")
        (batch,) = take(split, 1)
        assert batch.values.dtype == dtype
        rows = next(data.batches(SEED, loaded.num, BATCH, 0))
        np.testing.assert_array_equal(batch.values, loaded.values[rows])
        assert (batch.labels is None) == (loaded.labels is None)
        assert split.nbytes == loaded.values.nbytes


def test_the_size_is_that_of_the_decoded_bytes(tmp_path):
    split = data.open_split(write_folder(tmp_path, num=10), "train", image_size=5)
    assert split.nbytes == 9 * 5 * 5 * 3


def test_waiting_is_counted_and_a_closed_stream_is_empty(tmp_path):
    split = data.open_split(write_folder(tmp_path), "train")
    with data.Stream(split, seed=0, batch_size=2, start=0) as stream:
        assert stream.waited == 0
        next(stream)
        assert stream.waited > 0
    assert list(stream) == []
    stream.close()


# --- sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("colour", "channels"), [([], 1), ([0], 3), ([6], 3)])
def test_one_colour_image_makes_a_folder_colour(tmp_path, colour, channels):
    for k, image in enumerate(noise(7, 3, 3)):
        mode = "RGB" if k in colour else "L"
        Image.fromarray(image).convert(mode).save(tmp_path / f"{k}.png")
    opened, loaded = (open(f"folder:{tmp_path}", "train") for open in (data.open_split, data.load))
    assert opened.shape == loaded.shape == (3, 3, channels)
    np.testing.assert_array_equal(opened.read(np.arange(opened.num)).values, loaded.values)


def test_shards_are_one_pool_in_the_order_of_their_names(tmp_path):
    source = write_shards(tmp_path / "set", levels=256)
    rows = np.random.RandomState(0).permutation(11)[:-1]  # the train split of one pool
    for name in (source, f"{source}/*.npz"):
        loaded = data.load(name, "train")
        np.testing.assert_array_equal(loaded.values, noise(11, 6, 8, 3)[rows])
        np.testing.assert_array_equal(loaded.labels, rows % CLASSES)
        assert data.open_split(name, "train").num == 10
    first = data.load(f"{source}/0.npz", "all")
    assert first.num == 4


def test_grey_shards_have_a_channel(tmp_path):
    source = write_shards(tmp_path / "set", shape=(4, 4))
    split = data.open_split(source, "all")
    np.testing.assert_array_equal(split.read(np.arange(11)).values, noise(11, 4, 4)[..., None])


def test_tfds_images_without_a_label_have_none(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    split = data.open_split(write_tfds(tmp_path, labels=[-1] * 11), "train")
    assert split.num_classes == 0
    assert split.read(np.arange(2)).labels is None


# --- the random crop ----------------------------------------------------------------------------


def test_a_random_crop_is_a_function_of_the_step_and_the_position(source):
    split = data.open_split(source, "train", image_size=6)  # of 6×8: shifted by 0, 1 or 2 pixels
    random = take(split, 6, crop="random")
    assert_same(take(split, 6, crop="random", threads=1, prefetch=1), random)
    assert_same(take(split, 2, start=4, crop="random"), random[4:])
    assert_same(
        take(split, 6, crop="random", part=(1, 3)),
        [data.Batch.of(batch.values[1:3], batch.labels[1:3]) for batch in random],
    )
    whole = data.load(source, "train").values
    rows = itertools.islice(data.batches(SEED, len(whole), BATCH, 0), 6)
    shifts = []
    for batch, batch_rows in zip(random, rows, strict=True):
        for value, row in zip(batch.values, batch_rows, strict=True):
            same = [np.array_equal(value, whole[row][:, left : left + 6]) for left in range(3)]
            assert sum(same) == 1
            shifts.append(same.index(True))
    assert set(shifts) == {0, 1, 2}


def test_a_random_crop_needs_a_crop(tmp_path):
    split = data.open_split(write_folder(tmp_path), "train")
    refused("data.crop: got 'random'; folder:.* takes 'center'", split, crop="random")
    refused("unknown data.crop 'centre'; did you mean 'center'", split, crop="centre")
    digits = data.open_split("digits", "train")
    refused("data.crop: got 'random'; digits takes 'center'", digits, crop="random")
