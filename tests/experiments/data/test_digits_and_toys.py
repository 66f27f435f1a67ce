"""Digits and points: their splits, their scale and their shapes."""

import math

import numpy as np
import pytest

from experiments import data


def test_digits_are_split_into_disjoint_parts_that_make_the_whole():
    from sklearn import datasets

    bunch = datasets.load_digits()
    train, test = (data.load("digits", split) for split in ("train", "test"))
    assert (train.num, test.num) == (1437, 360)
    assert train.shape == test.shape == (8, 8, 1)
    assert train.codec == test.codec == data.PixelCodec(17)
    assert train.num_classes == test.num_classes == 10
    assert set(train.labels) == set(test.labels) == set(range(10))
    assert train.values.dtype == np.uint8
    assert train.labels.dtype == np.int32
    parts = np.concatenate([train.values, test.values])[..., 0].reshape(-1, 64)
    labels = np.concatenate([train.labels, test.labels])
    rows = np.column_stack([parts, labels]).tolist()
    whole = np.column_stack([bunch.data, bunch.target]).astype(int).tolist()
    assert sorted(rows) == sorted(whole)
    np.testing.assert_array_equal(data.load("digits", "test", image_size=8).values, test.values)


TOYS = ["checkerboard", "mixture", "moons", "rings", "spiral"]


@pytest.mark.parametrize("name", TOYS)
def test_points_are_centred_and_of_unit_scale(name):
    train, test = (data.load(f"toy:{name}", split) for split in ("train", "test"))
    assert train.values.shape == (20000, 2)
    assert test.values.shape == (5000, 2)
    assert train.values.dtype == np.float32
    assert train.codec == data.ContinuousCodec()
    for part in (train, test):
        np.testing.assert_allclose(part.values.mean(0), 0, atol=0.05)
        np.testing.assert_allclose(np.sqrt((part.values**2).mean()), 1, atol=0.02)
    assert not {tuple(x) for x in train.values} & {tuple(x) for x in test.values}
    np.testing.assert_array_equal(train.values, data.load(f"toy:{name}", "train").values)


def test_points_have_the_shape_and_the_labels_of_their_name():
    mixture = data.load("toy:mixture", "test")
    angle = np.arctan2(*mixture.values.T[::-1]) / (2 * np.pi) * 8
    assert mixture.num_classes == 8
    assert np.mean(np.round(angle).astype(int) % 8 == mixture.labels) > 0.999
    rings = data.load("toy:rings", "test")
    radius = np.hypot(*rings.values.T)
    means = [radius[rings.labels == k].mean() for k in range(3)]
    np.testing.assert_allclose(np.divide(means, means[0]), [1, 2, 3], rtol=0.02)
    board = data.load("toy:checkerboard", "test")
    fields = np.floor((board.values / math.sqrt(3) + 1) * 2).astype(int)
    assert board.labels is None
    assert board.num_classes == 0
    assert np.all(fields.sum(-1) % 2 == 0)
    assert {tuple(field) for field in fields} == {
        (i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0
    }


def test_moons_are_two_half_circles():
    moons = data.load("toy:moons", "train")
    for label, upwards in [(0, True), (1, False)]:
        x, y = moons.values[moons.labels == label].T
        centre = (x.min() + x.max()) / 2
        base = y.min() if upwards else y.max()
        radius = np.hypot(x - centre, y - base)
        assert radius.std() / radius.mean() < 0.15
        assert (np.median(y) > base) == upwards
