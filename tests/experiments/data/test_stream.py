"""Streaming: the examples of `load` in the order of `batches`, however they are read."""

import functools
import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.errors import UserError
from tests.experiments.data.test_data import prepare

SEED, BATCH = 3, 4
CLASSES = 3


def noise(num: int, *shape: int) -> np.ndarray:
    """Images that differ from one another in every pixel."""
    return np.random.default_rng(0).integers(256, size=(num, *shape), dtype=np.uint8)


def write_folder(path, num=11, shape=(6, 8, 3), classes=CLASSES) -> str:
    for k, image in enumerate(noise(num, *shape)):
        name = path / f"{k % classes}" / f"{k}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).save(name)
    return f"folder:{path}"


def write_shards(path, num=11, shape=(6, 8, 3), save=np.savez, **keys) -> str:
    path.mkdir()
    images, labels = noise(num, *shape), np.arange(num) % CLASSES
    for k, rows in enumerate(np.array_split(np.arange(num), 3)):
        save(path / f"{k}.npz", images=images[rows], labels=labels[rows], **keys)
    return f"npz:{path}"


def write_tfds(path, num=11, shape=(6, 8, 3), labels=None) -> str:
    labels = np.arange(num) % CLASSES if labels is None else labels
    examples = list(zip(noise(num, *shape), labels, strict=True))
    prepare(path, "tiny/1.0.0", {"train": examples}, shape=shape)
    return "tfds:tiny"


WRITE = {"folder": write_folder, "npz": write_shards, "tfds": write_tfds}


@pytest.fixture(params=WRITE)
def source(request, tmp_path, monkeypatch) -> str:
    """Eleven small images, stored in every way."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return WRITE[request.param](tmp_path / "set" if request.param != "tfds" else tmp_path)


def take(split: data.Split, num: int, start: int = 0, **options) -> list[data.Batch]:
    """The first batches of a stream."""
    with data.Stream(split, seed=SEED, batch_size=BATCH, start=start, **options) as stream:
        return list(itertools.islice(stream, num))


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(batch.values, other.values)
        np.testing.assert_array_equal(batch.labels, other.labels)


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


# --- messages -----------------------------------------------------------------------------------


def refused(message: str, split: data.Split, **options):
    """Asserts that an epoch of the stream ends with one line that the pattern begins."""
    refuses(message, functools.partial(take, split, split.num // BATCH + 1, **options))


def refuses(message: str, function):
    with pytest.raises(UserError) as caught:
        function()
    text = str(caught.value)
    assert "\n" not in text
    assert re.match(message, text), text


def test_a_damaged_image_is_named_when_it_is_read(tmp_path):
    split = data.open_split(write_folder(tmp_path), "train")
    path = tmp_path / "1" / "4.png"
    path.write_bytes(path.read_bytes()[:60])
    refused(f"{path}: cannot be read as an image", split)
    path.unlink()
    refused(f"{path}: cannot be read as an image .*No such file", split)


def test_images_that_do_not_agree_are_named_when_they_are_read(tmp_path):
    source = write_folder(tmp_path)
    path = tmp_path / "1" / "4.png"
    Image.new("RGB", (5, 7)).save(path)
    split = data.open_split(source, "train")
    first = re.escape(f"{tmp_path}/0/0.png")
    message = f"data.image_size: images of different sizes, {first} is 8x6 and {path} is 5x7; takes"
    refused(message, split)
    grey = data.open_split(write_folder(tmp_path / "grey", shape=(6, 8)), "train")
    path = tmp_path / "grey" / "1" / "4.png"
    Image.new("RGB", (8, 6)).save(path)
    refused(f"{path}: is a colour image; takes grey ones", grey)


def test_a_shard_that_is_gone_or_cut_is_named(tmp_path):
    source = write_shards(tmp_path / "set")
    split = data.open_split(source, "train")
    path = tmp_path / "set" / "1.npz"
    os.truncate(path, 400)
    refused(f"{path}: cannot be read .cut short", split)
    refuses(f"{path}: not a readable .npz file", lambda: data.open_split(source, "train"))
    path.unlink()
    refused(f"{path}: cannot be read .No such file", split)
    path.symlink_to(tmp_path / "elsewhere.npz")
    refuses(f"data.source: no file '{path}'", lambda: data.open_split(source, "train"))


IMAGES = noise(2, 2, 2, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": IMAGES}, "{}/9.npz: no key 'images' or 'points'; its keys: image"),
        ({"images": IMAGES / 2}, "{}/9.npz: key 'images' is float64; takes uint8"),
        (
            {"images": IMAGES[..., :1], "labels": [0, 1]},
            "{0}/9.npz: has 1 channels; takes 3, as {0}/0.npz has",
        ),
        ({"images": IMAGES, "levels": 4}, "{0}/9.npz: has 4 grey levels; takes 256, as {0}/0.npz"),
        ({"images": IMAGES, "labels": [1]}, "{}/9.npz: key 'labels' has shape"),
        ({"images": IMAGES}, "one of {0}/0.npz and {0}/9.npz has 'labels'; takes both or neither"),
        (
            {"images": IMAGES, "test_images": IMAGES},
            "{}/9.npz: has key 'test_images'; shards take images, labels, levels",
        ),
        (
            {"images": noise(2, 3, 2, 3), "labels": [0, 1]},
            "data.image_size: images of different sizes, {0}/0.npz is 2x2 and {0}/9.npz is 2x3",
        ),
    ],
)
@pytest.mark.parametrize("open_", [data.load, data.open_split])
def test_what_is_said_about_a_shard_unlike_the_others(tmp_path, arrays, message, open_):
    source = write_shards(tmp_path / "set", shape=(2, 2, 3))
    np.savez(tmp_path / "set" / "9.npz", **arrays)
    refuses(message.format(tmp_path / "set"), lambda: open_(source, "train"))


@pytest.mark.parametrize("open_", [data.load, data.open_split])
def test_shards_that_are_not_there_and_shards_that_are_not_resized(tmp_path, open_):
    refuses(
        rf"data.source: no files '{tmp_path}/\*.npz'", lambda: open_(f"npz:{tmp_path}", "train")
    )
    refuses("data.source: no files '/no/x", lambda: open_("npz:/no/x*.npz", "train"))
    np.savez(tmp_path / "0.npz", images=IMAGES // 64, levels=4)
    message = f"data.image_size: got 4; {tmp_path}/0.npz has 4 grey levels"
    refuses(message, lambda: open_(f"npz:{tmp_path}", "train", image_size=4))


def test_compressed_shards_are_loaded_but_not_streamed(tmp_path):
    source = write_shards(tmp_path / "set", save=np.savez_compressed)
    assert data.load(source, "train").num == 10
    split = data.open_split(source, "train")
    assert split.nbytes == 10 * 6 * 8 * 3
    refused(f"{tmp_path}/set/.*npz: compressed, or in Fortran's order", split)


def test_too_large_a_grey_level_in_a_shard_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "0.npz"
    np.savez(path, images=np.full((4, 2, 2), 4, np.uint8), levels=4)
    split = data.open_split(f"npz:{tmp_path}", "train")
    refused(f"{path}: key 'images' has the value 4; with 4 levels takes 0 to 3", split)


def test_tfds_records_that_do_not_agree_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    pictures = [noise(1, 4, 4, 3)[0]] * 9 + [noise(1, 5, 4, 3)[0]]
    examples = [(image, k % 2) for k, image in enumerate(pictures)]
    prepare(tmp_path, "tiny/1.0.0", {"train": examples, "test": []}, shape=(None, None, 3))
    split = data.open_split("tfds:tiny", "train")
    folder = tmp_path / "tiny" / "1.0.0"
    refused(
        f"data.image_size: images of different sizes, {folder}: record 0 is 4x4 and "
        f"{folder}: record 9 is 4x5",
        split,
    )
    prepare(tmp_path, "some/1.0.0", {"train": [(IMAGES[0], k - 1) for k in (1, 0)], "test": []})
    split = data.open_split("tfds:some", "train")
    refused(f"{tmp_path}/some/1.0.0: has images without a label", split)
    loaded = split.load()
    assert (loaded.labels, loaded.num_classes) == (None, 0)


# --- worker processes ---------------------------------------------------------------------------

# A script, because what matters too is that it ends: after an error, with the workers running.
SCRIPT = """
import sys
import numpy as np
from experiments import data

source, vectors, damaged, out = sys.argv[1:]
options = dict(seed=3, batch_size=4, start=2, workers=1, threads=2, prefetch=2)
with data.Stream(data.open_split(vectors, "train", cond="z"), **options) as stream:
    vectors = next(stream).vectors
split = data.open_split(source, "train", image_size=6)
stream = data.Stream(split, crop="random", **options)
batches = [next(stream) for _ in range(3)]
labels = [b.labels for b in batches]
np.savez(out, values=[b.values for b in batches], labels=labels, vectors=vectors)
open(damaged, "wb").close()
for _ in range(20):
    next(stream)
"""


def test_workers_read_the_same_and_neither_an_error_nor_the_end_hangs(tmp_path):
    source = write_folder(tmp_path / "set")
    expected = take(data.open_split(source, "train", image_size=6), 3, start=2, crop="random")
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, points=np.ones((11, 2)), z=np.random.default_rng(0).normal(size=(11, 3)))
    (batch,) = take(data.open_split(f"npz:{vectors}", "train", cond="z"), 1, start=2)
    damaged = tmp_path / "set" / "1" / "4.png"
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, source, f"npz:{vectors}", damaged, tmp_path / "out.npz"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    message = f"experiments.errors.UserError: {damaged}: cannot be read as an image"
    assert f"\n{message}" in ended.stderr, ended.stderr
    assert not re.search("Exception ignored|leaked", ended.stderr), ended.stderr
    assert ended.returncode == 1
    with np.load(tmp_path / "out.npz") as out:
        read = zip(out["values"], out["labels"], strict=True)
        assert_same([data.Batch.of(*arrays) for arrays in read], expected)
        np.testing.assert_array_equal(out["vectors"], batch.vectors)


ORPHAN = """
import multiprocessing, os, signal, time
from experiments.data.stream import _follow_parent

def work():
    _follow_parent(0, 1)
    os.kill(os.getpid(), signal.SIGINT)
    print("working", flush=True)
    time.sleep(100)

worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
"""


def test_a_worker_does_not_hear_of_ctrl_c_and_ends_with_its_parent():
    """Both hold the pipe, which ends when both have."""
    process = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"working\n"
    process.kill()
    assert process.communicate(timeout=20) == (b"", None)
