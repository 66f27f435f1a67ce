"""What the tests of streams share: small sets stored in every way, and their first batches."""

import functools
import itertools
import re

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.errors import UserError
from tests.experiments.data.sources import prepare

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


def take(split: data.Split, num: int, start: int = 0, **options) -> list[data.Batch]:
    """The first batches of a stream."""
    with data.Stream(split, seed=SEED, batch_size=BATCH, start=start, **options) as stream:
        return list(itertools.islice(stream, num))


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(batch.values, other.values)
        np.testing.assert_array_equal(batch.labels, other.labels)


def refused(message: str, split: data.Split, **options):
    """Asserts that an epoch of the stream ends with one line that the pattern begins."""
    refuses(message, functools.partial(take, split, split.num // BATCH + 1, **options))


def refuses(message: str, function):
    with pytest.raises(UserError) as caught:
        function()
    text = str(caught.value)
    assert "\n" not in text
    assert re.match(message, text), text
