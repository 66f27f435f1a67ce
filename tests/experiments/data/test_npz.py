"""Images of an `.npz` file: its splits, its levels, resizing, and what is said about a bad one."""

import numpy as np
import pytest

from experiments import data
from tests.experiments.data.sources import numbered, refused, save


def test_one_pool_is_split_by_a_fixed_permutation(tmp_path):
    source = save(tmp_path, images=numbered(10, 3, 5), labels=np.arange(10) // 2)
    train, test = (data.load(source, split) for split in ("train", "test"))
    # NumPy's RandomState(0).permutation(10), frozen for ever.
    assert train.values[:, 0, 0, 0].tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0]
    assert test.values[:, 0, 0, 0].tolist() == [5]
    assert train.shape == (3, 5, 1)
    assert train.labels.tolist() == [1, 4, 2, 4, 0, 3, 3, 1, 0]
    assert train.labels.dtype == np.int32
    assert (train.num_classes, test.num_classes) == (5, 5)
    assert (train.codec, train.source, test.name) == (data.PixelCodec(256), source, "test")


@pytest.mark.parametrize("num", [2, 3, 17, 100])
@pytest.mark.parametrize("holdout", [0.001, 0.1, 0.5, 0.999])
def test_splits_are_disjoint_and_complete(tmp_path, num, holdout):
    source = save(tmp_path, images=numbered(num, 1, 1))
    train, test = (data.load(source, split, holdout=holdout) for split in ("train", "test"))
    assert sorted([*train.values.ravel(), *test.values.ravel()]) == list(range(num))
    assert test.num == min(max(1, round(num * holdout)), num - 1)
    assert train.labels is None
    assert train.num_classes == 0


def test_npz_with_its_own_test_images_keeps_their_order(tmp_path):
    source = save(
        tmp_path,
        images=numbered(4, 2, 2, 3),
        labels=np.array([0, 1, 2, 1], np.uint8),
        test_images=numbered(1, 2, 2, 3),
        test_labels=np.array([4]),
    )
    train, test = (data.load(source, split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.values, numbered(4, 2, 2, 3))
    np.testing.assert_array_equal(test.values, numbered(1, 2, 2, 3))
    assert train.labels.tolist() == [0, 1, 2, 1]
    assert test.labels.tolist() == [4]
    assert train.num_classes == test.num_classes == 5


def test_npz_names_the_keys_that_it_does_not_take(tmp_path, capsys):
    source = save(tmp_path, images=numbered(4, 2, 2), val_images=numbered(4, 2, 2), about=1)
    for split in ("train", "test"):
        data.load(source, split)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"npz:{tmp_path}/set.npz: left out about, val_images; takes images, ")


def test_npz_levels(tmp_path):
    source = save(tmp_path, images=numbered(4, 2, 2), levels=4)
    assert data.load(source, "train").codec == data.PixelCodec(4)
    assert data.load(source, "train", image_size=2).shape == (2, 2, 1)


def test_resizing_an_array_crops_the_centre_and_averages(tmp_path):
    images = np.zeros((2, 4, 8, 2), np.uint8)
    images[:, :, :2] = 255  # cropped away, and so is the right margin
    images[:, :, 6:] = 255
    images[:, :, 2:6, 1] = 90
    resized = data.load(save(tmp_path, images=images), "train", image_size=2)
    assert resized.values.shape == (1, 2, 2, 2)
    assert resized.values[0, ..., 0].tolist() == [[0, 0], [0, 0]]
    assert resized.values[0, ..., 1].tolist() == [[90, 90], [90, 90]]


def test_resizing_is_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (2, 64, 32))
    resized = data.load(save(tmp_path, images=stripes), "train", image_size=8).values
    # Picking pixels gives 0 or 255; the mean of black and white stripes is a middle grey.
    assert np.all(np.abs(resized[:, :, 1:-1].astype(int) - 127) < 10)


IMAGES = np.zeros((3, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": IMAGES, "y": IMAGES}, "no key 'images' or 'points'; its keys: x_train, y"),
        ({"images": IMAGES / 255}, "key 'images' is float64; takes uint8 grey levels, 0 to 255"),
        ({"images": IMAGES.astype(np.int64)}, "key 'images' is int64; takes uint8"),
        ({"images": IMAGES.astype(object)}, "damaged, or not of plain arrays .*Object arrays"),
        ({"images": IMAGES[0]}, r"key 'images' has shape \(2, 2\); takes \[N, H, W\] or"),
        ({"images": IMAGES[..., None, None]}, "key 'images' has shape .* takes"),
        ({"images": IMAGES[:0]}, r"key 'images' has shape \(0, 2, 2\); takes images of 1x1"),
        ({"images": IMAGES[:, :0]}, r"key 'images' has shape \(3, 0, 2\); takes images of 1x1"),
        ({"images": np.zeros((3, 3, 8, 8), np.uint8)}, "key 'images' .* as the last axis"),
        ({"images": IMAGES[:1]}, "has 1 image; takes 2 or more"),
        ({"images": IMAGES + 16, "levels": 16}, "key 'images' has the value 16; .* takes 0 to 15"),
        (
            {"images": IMAGES, "levels": 257},
            "key 'levels' is .*257.* takes one integer from 2 to 256",
        ),
        ({"images": IMAGES, "levels": 1}, "key 'levels' .* takes one integer"),
        ({"images": IMAGES, "levels": 16.0}, "key 'levels' .* takes one integer"),
        ({"images": IMAGES, "levels": [16]}, "key 'levels' .* takes one integer"),
        ({"images": IMAGES, "labels": [0, 1]}, r"key 'labels' has shape \(2,\); takes .*\(3,\)"),
        ({"images": IMAGES, "labels": [[0], [1], [2]]}, r"key 'labels' has shape \(3, 1\)"),
        ({"images": IMAGES, "labels": [0, -1, 1]}, "key 'labels' has the value -1; takes classes"),
        ({"images": IMAGES, "labels": [0, 2**40, 1]}, "key 'labels' has the value 1099511627776"),
        ({"images": IMAGES, "labels": [0.0, 1.0, 2.0]}, "key 'labels' is float64; takes integers"),
        (
            {"images": IMAGES, "test_images": IMAGES[:, :1]},
            r"key 'test_images' has images of shape \(1, 2, 1\); takes that of .*\(2, 2, 1\)",
        ),
        ({"images": IMAGES, "test_images": IMAGES[:0]}, "key 'test_images' has shape"),
        (
            {"images": IMAGES, "labels": [0, 1, 2], "test_images": IMAGES},
            "has one of 'labels' and 'test_labels'; takes both or neither",
        ),
        (
            {"images": IMAGES, "labels": [0, 1, 2], "test_images": IMAGES, "test_labels": [1]},
            "key 'test_labels' has shape",
        ),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_said_about_a_bad_npz(tmp_path, arrays, message, split):
    source = save(tmp_path, **arrays)
    refused(source, f"(data.source: )?{tmp_path}/set.npz:? {message}", split)


@pytest.mark.parametrize("shape", [(2, 2), (2, 4)])
def test_fewer_levels_than_256_are_not_resized(tmp_path, shape):
    source = save(tmp_path, images=numbered(4, *shape), levels=4)
    refused(source, "data.image_size: got 4; .* has 4 grey levels", image_size=4)


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "npy", "middle"])
def test_a_file_that_is_no_npz_is_named(tmp_path, damage):
    path = tmp_path / "set.npz"
    np.savez_compressed(
        path, images=np.random.default_rng(0).integers(9, size=(9, 9, 9), dtype=np.uint8)
    )
    whole = path.read_bytes()
    if damage == "npy":
        np.save(tmp_path / "set.npy", IMAGES)
        whole = (tmp_path / "set.npy").read_bytes()
    damaged = {
        "text": b"images",
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "npy": whole,
        "middle": whole[:150] + bytes(20) + whole[170:],
    }
    path.write_bytes(damaged[damage])
    message = "damaged" if damage == "middle" else "not a readable .npz file, or cut short"
    refused(f"npz:{path}", f"{path}: {message}")
