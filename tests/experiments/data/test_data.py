"""Data sets: splits, every source, and every message."""

import io
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.errors import UserError

# --- digits and points --------------------------------------------------------------------------


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


# --- npz ----------------------------------------------------------------------------------------


def save(tmp_path, **arrays) -> str:
    """An .npz file of these arrays, as a source."""
    np.savez(tmp_path / "set.npz", **arrays)
    return f"npz:{tmp_path}/set.npz"


def numbered(num: int, *shape: int) -> np.ndarray:
    """Images that all show their own number."""
    return np.broadcast_to(
        np.arange(num, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (num, *shape)
    )


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


# --- folder -------------------------------------------------------------------------------------


def draw(path, mode="L", size=(4, 4), fill=0, **options):
    """An image file of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, fill).save(path, **options)


def test_folder_labels_are_those_of_the_sorted_first_level(tmp_path):
    for k, name in enumerate(["b/1.png", "a/2.JPG", "a/deep/3.jpeg", "c/4.png"]):
        draw(tmp_path / name, fill=k)
    draw(tmp_path / "a" / "._2.jpg")
    (tmp_path / "a" / "._2.jpg").write_bytes(b"the resource fork of a Macintosh")
    (tmp_path / "readme.txt").write_text("no image", encoding="utf-8")
    source = f"folder:{tmp_path}"
    parts = [data.load(source, split, holdout=0.5) for split in ("train", "test")]
    seen = {
        int(value[0, 0, 0]): int(label)
        for part in parts
        for value, label in zip(part.values, part.labels, strict=True)
    }
    assert seen == {0: 1, 1: 0, 2: 0, 3: 2}
    assert [part.num_classes for part in parts] == [3, 3]
    assert [part.num for part in parts] == [2, 2]


def test_folder_with_an_image_outside_of_sub_folders_has_no_labels(tmp_path):
    draw(tmp_path / "a" / "1.png")
    draw(tmp_path / "2.png")
    assert data.load(f"folder:{tmp_path}", "train").labels is None


def test_folder_with_train_and_test_is_split_by_them(tmp_path):
    for k, name in enumerate(["train/cat/a.png", "train/dog/b.png", "test/dog/c.png"]):
        draw(tmp_path / name, fill=k)
    train, test = (data.load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert train.values[:, 0, 0, 0].tolist() == [0, 1]
    assert train.labels.tolist() == [0, 1]
    assert test.values[:, 0, 0, 0].tolist() == [2]
    assert test.labels.tolist() == [1]
    assert train.num_classes == test.num_classes == 2


def test_folder_follows_links(tmp_path):
    for name in "ab":
        draw(tmp_path / "elsewhere" / f"{name}.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "class").symlink_to(tmp_path / "elsewhere")
    assert data.load(f"folder:{tmp_path}/set", "train").num_classes == 1


def pair(tmp_path, mode, fill, **options) -> np.ndarray:
    """The pixel of a training image when all are of this mode."""
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, mode, fill=fill, **options)
    return data.load(f"folder:{tmp_path}", "train").values[0, 0, 0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("mode", "fill", "options", "pixel"),
    [
        ("L", 7, {}, [7]),
        ("1", 1, {}, [255]),
        ("LA", (7, 20), {}, [236]),  # (20·7 + 235·255)/255 = 235.55
        ("RGB", (1, 2, 3), {}, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 255), {}, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 0), {}, [255, 255, 255]),
        ("L", 7, {"transparency": 7}, [255]),
        ("RGB", (1, 2, 3), {"transparency": (1, 2, 3)}, [255, 255, 255]),
    ],
)
def test_alpha_is_composed_over_white_and_grey_keeps_one_channel(
    tmp_path, mode, fill, options, pixel
):
    assert pair(tmp_path, mode, fill, **options).tolist() == pixel


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency_is_composed(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    for name in ("a.png", "b.png"):
        image.save(tmp_path / name, transparency=b"\x05\x09")
    pixels = data.load(f"folder:{tmp_path}", "train").values[0, 0]
    # (5·10 + 250·255)/255 = 250.2 and so on; (9·40 + 246·255)/255 = 247.4.
    assert pixels.tolist() == [[250, 250, 251], [247, 248, 248]]


def test_one_colour_image_makes_all_of_them_colour_in_both_splits(tmp_path):
    for k in range(4):
        draw(tmp_path / f"{k}.png", fill=k)
    draw(tmp_path / "4.png", "RGB", fill=(4, 5, 6))
    parts = [data.load(f"folder:{tmp_path}", split).values for split in ("train", "test")]
    pixels = {tuple(image[0, 0].tolist()) for part in parts for image in part}
    assert pixels == {(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 5, 6)}


def test_exif_orientation_is_respected(tmp_path):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it after a quarter turn clockwise
    for name in ("a.png", "b.png"):
        Image.fromarray(np.rot90(upright)).save(tmp_path / name, exif=exif)
    np.testing.assert_array_equal(
        data.load(f"folder:{tmp_path}", "train").values[0, ..., 0], upright
    )


def test_images_of_different_sizes_are_cropped_and_resized(tmp_path):
    draw(tmp_path / "a.png", size=(9, 4), fill=3)
    draw(tmp_path / "b.png", size=(16, 16), fill=3)
    assert np.all(data.load(f"folder:{tmp_path}", "train", image_size=4).values == 3)
    assert data.load(f"folder:{tmp_path}", "test", image_size=4).shape == (4, 4, 1)


def test_many_images_are_read_in_order(tmp_path):
    for k in range(200):
        draw(tmp_path / "train" / f"{k:03}.png", size=(1, 1), fill=k)
    draw(tmp_path / "test" / "0.png", size=(1, 1))
    values = data.load(f"folder:{tmp_path}", "train").values
    assert values.ravel().tolist() == list(range(200))


# --- TFDS ---------------------------------------------------------------------------------------


def prepare(
    data_dir, name, splits, *, shape=(4, 4, 3), labels=True, file_format="array_record", **feature
):
    """A set as TFDS lays it out, made without TensorFlow.

    Args:
      name: NAME[/CONFIG]/VERSION.
      splits: {split: [(pixel array, label), ...]}.
      labels: whether there are any, of seven classes; or the names of the classes.
    """
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    folder = data_dir / name
    folder.mkdir(parents=True)
    name = name.split("/")[0]
    image = tfds.features.Image(shape=shape, **feature)
    classes = {"num_classes": 7} if labels is True else {"names": labels}
    label = {"label": tfds.features.ClassLabel(**classes)} if labels else {}
    features = tfds.features.FeaturesDict({"image": image, **label})
    features.save_config(folder)
    serializer = ExampleSerializer(features.get_serialized_info())
    infos = []
    for split, examples in splits.items():
        path = folder / f"{name}-{split}.{file_format}-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for pixels, k in examples:
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG")
            example = {"image": png.getvalue(), **({"label": k} if labels else {})}
            writer.write(serializer.serialize_example(example))
        writer.close()
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        infos.append(
            {"name": split, "shardLengths": [str(len(examples))], "filepathTemplate": template}
        )
    info = {"name": name, "version": folder.name, "fileFormat": file_format, "splits": infos}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def examples(num, *shape):
    return [(image.copy(), k % 7) for k, image in enumerate(numbered(num, *shape))]


@pytest.fixture
def tfds_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def test_tfds_reads_array_record_without_tensorflow(tfds_dir, capfd):
    prepare(tfds_dir, "tiny/1.0.0", {"train": examples(20, 4, 4, 3), "test": examples(3, 4, 4, 3)})
    capfd.readouterr()
    train, test = (data.load("tfds:tiny", split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.values, numbered(20, 4, 4, 3))
    np.testing.assert_array_equal(test.values, numbered(3, 4, 4, 3))
    assert train.labels.tolist() == [k % 7 for k in range(20)]
    assert train.num_classes == test.num_classes == 7
    assert data.load("tfds:tiny/1.0.0", "test", image_size=2).shape == (2, 2, 3)
    assert "tensorflow" not in sys.modules
    assert capfd.readouterr() == ("", "")


def test_tfds_versions_and_configs(tfds_dir):
    for number, name in enumerate(["tiny/a/1.9.0", "tiny/a/1.10.0", "tiny/b/1.0.0"]):
        prepare(
            tfds_dir,
            name,
            {"train": examples(1, number + 1, 1), "test": []},
            shape=(None, None, 1),
        )
    assert data.load("tfds:tiny:a", "train").shape == (2, 1, 1)
    assert data.load("tfds:tiny:a/1.9.0", "train").shape == (1, 1, 1)
    assert data.load("tfds:tiny/b:1.0.0", "train").shape == (3, 1, 1)  # as TFDS itself writes it


def test_tfds_without_a_test_split_takes_validation_or_holds_out(tfds_dir):
    prepare(
        tfds_dir, "one/1.0.0", {"train": examples(9, 2, 2, 3), "validation": examples(3, 2, 2, 3)}
    )
    assert data.load("tfds:one", "train").num == 9
    assert data.load("tfds:one", "test").num == 3
    prepare(tfds_dir, "two/1.0.0", {"train": examples(10, 2, 2, 3)}, labels=False)
    train, test = (data.load("tfds:two", split) for split in ("train", "test"))
    assert train.values[:, 0, 0, 0].tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0]
    assert test.values[:, 0, 0, 0].tolist() == [5]
    assert train.labels is None


def test_tfds_colour_set_stays_colour_and_unlabelled_images_have_no_labels(tfds_dir):
    grey = [(image, -1) for image, _ in examples(2, 4, 4)]
    prepare(tfds_dir, "tiny/1.0.0", {"train": grey, "test": grey})
    train = data.load("tfds:tiny", "train")
    np.testing.assert_array_equal(train.values, numbered(2, 4, 4, 3))
    assert train.labels is None


# --- a user's own, and messages -----------------------------------------------------------------


def own(request: data.Request) -> data.Split:
    """A source as a user would write one."""
    del request
    return data.Split.of(numbered(2, 1, 1, 1), levels=256)


class Numbers(data.Reader):
    """Examples that are made when they are read."""

    def __len__(self):
        return 70

    def read(self, rows, places=None):
        return data.Batch.of(rows[:, None].astype(np.float32), (rows % 3).astype(np.int32))


def numbers(request: data.Request) -> data.Split:
    """A source of more than fits into memory, as a user would write one."""
    del request
    return data.Split(reader=Numbers(), shape=(1,), codec=data.ContinuousCodec(), num_classes=3)


def test_a_source_may_be_a_users_own():
    split = data.load(f"{__name__}:own", "train")
    assert (split.num, split.shape, split.num_classes) == (2, (1, 1, 1), 0)
    assert split.codec == data.PixelCodec(256)
    assert (split.source, split.name) == (f"{__name__}:own", "train")


def test_a_users_own_source_may_read_its_examples_when_they_are_asked_for():
    split = data.open_split(f"{__name__}:numbers", "test")
    with data.Stream(split, seed=0, batch_size=16, start=3) as stream:
        batch = next(stream)
    rows = data.rows_of_step(0, 70, 16, 3)
    np.testing.assert_array_equal(batch.values, rows[:, None])
    np.testing.assert_array_equal(batch.labels, rows % 3)
    np.testing.assert_array_equal(split.load().values, np.arange(70)[:, None])
    assert split.nbytes == 4 * 70


def test_what_a_users_reader_raises_is_one_line_with_its_name(monkeypatch):
    def read(self, rows, places=None):
        raise KeyError("x")

    monkeypatch.setattr(Numbers, "read", read)
    split = data.open_split(f"{__name__}:numbers", "train")
    for reading in (split.load, lambda: split.read(np.arange(2))):
        with pytest.raises(UserError, match=f"^data.source: {__name__}:numbers: KeyError: 'x'$"):
            reading()


IMAGES = np.zeros((3, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (
            "digit",
            {},
            r"data.source: unknown data source 'digit'; did you mean 'digits'\? Known: .*toy",
        ),
        (
            "nzp:a.npz",
            {},
            r"data.source: unknown data source 'nzp'; did you mean 'npz'\? Known: .*No mod",
        ),
        ("", {}, "data.source: unknown data source ''"),
        (__file__, {}, f"data.source: got '{__file__}', takes npz:"),
        ("/", {}, "data.source: got '/', takes folder:/ for what is in it"),
        ("digits", {"split": "tset"}, "unknown split 'tset'; did you mean 'test'"),
        ("digits", {"image_size": 16}, "data.image_size: got 16; .* takes 8 or None"),
        ("digits", {"image_size": 0}, "data.image_size: got 0; takes a positive integer"),
        ("digits", {"image_size": -3}, "data.image_size: got -3; takes a positive integer"),
        ("digits", {"image_size": 8.0}, "data.image_size: got 8.0; takes a positive integer"),
        ("digits", {"holdout": 1.0}, "data.holdout: got 1.0; takes a fraction"),
        ("digits", {"holdout": 0}, "data.holdout: got 0; takes a fraction"),
        ("digits:x", {}, "data.source: got 'digits:x'; digits takes nothing"),
        (
            "toy:moon",
            {},
            r"data.source: unknown toy data set 'moon'; did you mean 'moons'\? Known:",
        ),
        ("toy:", {}, "data.source: unknown toy data set ''"),
        ("toy:moons", {"image_size": 8}, "data.image_size: got 8; points take None"),
        ("npz:", {}, "data.source: got 'npz:', which names no file"),
        ("npz:/no/such.npz", {}, "data.source: no file '/no/such.npz'"),
        ("folder:", {}, "data.source: no folder ''; takes folder:DIR"),
        ("folder:/no/such", {}, "data.source: no folder '/no/such'"),
        ("tfds:", {}, r"data.source: got 'tfds:'; takes tfds:NAME\[:config\]\[/version\]"),
        ("tfds:a:b:c", {}, "data.source: got 'tfds:a:b:c'; takes tfds:NAME"),
    ],
)
def test_what_a_bad_request_is_told(source, options, message):
    refused(source, message, **options)


def refused(source, message, split="train", **options):
    """Asserts that the source is refused with one line that the pattern begins."""
    with pytest.raises(UserError) as caught:
        data.load(source, split, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert re.match(message, text), text


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


def folder_of(*files):
    """A case: these files, each (name, bytes or the arguments of an image)."""

    def make(tmp_path):
        for name, content in files:
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            else:
                draw(tmp_path / name, **content)

    return make


def png(**options) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert(options.get("mode", "L")).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (folder_of(), "data.source: no images below {}; takes .png, .jpg, .jpeg, .webp, .bmp, "),
        (folder_of(("a.txt", b"")), "data.source: no images below {}"),
        (
            folder_of(("train/a.png", {}), ("test/a.tga", {})),
            "data.source: no images below {}/test",
        ),
        (folder_of(("a.png", {})), "data.source: folder {} has 1 image; takes 2 or more"),
        (folder_of(("a.png", png()), ("b.png", b"")), "{}/b.png: cannot be read as an image"),
        (folder_of(("a.png", b"text"), ("b.png", png())), "{}/a.png: cannot be read as an image"),
        (
            folder_of(("a.png", png()), ("b.png", png()[:900])),
            "{}/b.png: cannot be read as an image",
        ),
        (
            folder_of(("a.png", {"mode": "I;16"}), ("b.png", {"mode": "I;16"})),
            "{}/a.png: has pixels of mode I;16B; takes 8 bits a channel",
        ),
        (
            folder_of(("a.png", {}), ("b.png", {}), ("c.png", {"size": (6, 4)})),
            "data.image_size: images of different sizes, {0}/a.png is 4x4 and {0}/c.png is 6x4; "
            "takes the side of squares",
        ),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_said_about_a_bad_folder(tmp_path, make, message, split):
    make(tmp_path)
    refused(f"folder:{tmp_path}", message.format(tmp_path), split)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "tfds:mnist",
            "data.source: tfds:mnist is not prepared in {}; .* tfds build mnist --file_format",
        ),
        ("tfds:cifra10", "data.source: unknown TFDS data set 'cifra10'; did you mean 'cifar10'"),
        ("tfds:zzzzzzzz", r"data.source: unknown TFDS data set 'zzzzzzzz' \(not in {}"),
        ("tfds:tiny/2.0.0", "data.source: no 'tfds:tiny/2.0.0' in {}; prepared there: 1.0.0"),
        ("tfds:tiny:big", "data.source: no 'tfds:tiny:big' in {}; prepared there: 1.0.0"),
        (
            "tfds:many",
            "data.source: 'tfds:many' is prepared in several configs: a, b; takes tfds:many:",
        ),
        (
            "tfds:records",
            "{}/records/1.0.0: is prepared as tfrecord; takes array_record. .*convert_format",
        ),
        ("tfds:deep", "{}/deep/1.0.0: has no 8-bit image feature 'image', but FeaturesDict"),
        ("tfds:broken", "{}/broken/1.0.0: cannot be read"),
        ("tfds:cut", "{}/cut/1.0.0: cannot be read"),
        ("tfds:empty", "{}/empty/1.0.0: has no images to train; its splits: "),
        ("tfds:tests", "{}/tests/1.0.0: has no images to train"),
        (
            "tfds:sizes",
            "data.image_size: images of different sizes, {0}/sizes/1.0.0: record 0 is 4x4",
        ),
    ],
)
def test_what_is_said_about_a_bad_tfds(tfds_dir, source, message):
    tiny = {"train": examples(2, 4, 4, 3)}
    prepare(tfds_dir, "tiny/1.0.0", tiny)
    prepare(tfds_dir, "many/a/1.0.0", tiny)
    prepare(tfds_dir, "many/b/1.0.0", tiny)
    prepare(tfds_dir, "records/1.0.0", tiny, file_format="tfrecord")
    prepare(tfds_dir, "deep/1.0.0", {"train": []}, shape=(4, 4, 1), dtype=np.uint16)
    prepare(tfds_dir, "broken/1.0.0", tiny)
    (tfds_dir / "broken/1.0.0/features.json").write_text("{", encoding="utf-8")
    prepare(tfds_dir, "cut/1.0.0", tiny)
    (tfds_dir / "cut/1.0.0/cut-train.array_record-00000-of-00001").write_bytes(b"cut")
    prepare(tfds_dir, "empty/1.0.0", {"train": []})
    prepare(tfds_dir, "tests/1.0.0", {"test": examples(2, 4, 4, 3)})
    sizes = examples(1, 4, 4, 3) + examples(1, 5, 4, 3)
    prepare(tfds_dir, "sizes/1.0.0", {"train": sizes, "test": sizes}, shape=(None, None, 3))
    refused(source, message.format(tfds_dir))


def test_a_missing_array_record_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record", None)
    refused(
        "tfds:mnist", "data.source: tfds needs array_record; install it: pip install array_record"
    )


def test_importing_is_cheap():
    script = "import experiments.data, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    heavy = {"tensorflow_datasets", "sklearn", "PIL", "tqdm", "array_record"}
    assert not heavy & set(loaded.stdout.split())
