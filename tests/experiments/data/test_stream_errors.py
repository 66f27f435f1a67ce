"""What is said about examples that cannot be streamed: damaged, gone, or unlike the others."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from experiments import data
from tests.experiments.data.sources import prepare
from tests.experiments.data.streams import noise, refused, refuses, write_folder, write_shards


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
