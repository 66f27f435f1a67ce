"""Images that TFDS has prepared: versions, splits, labels, and what is said about bad ones."""

import sys

import numpy as np
import pytest

from experiments import data
from experiments.data import tfds
from tests.experiments.data.sources import examples, numbered, prepare, refused


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


def test_tfds_numbers_without_a_count_of_classes_are_counted(tfds_dir, monkeypatch):
    """In parts, of all the images of a split."""
    monkeypatch.setattr(tfds, "MANY", 4)
    numbers = [(image, [0, 4, 2][k % 3]) for k, (image, _) in enumerate(examples(10, 4, 4, 3))]
    sets = {"train": numbers, "test": numbers[:2]}
    prepare(tfds_dir, "tiny/1.0.0", sets, labels="numbers")
    for split, (num, classes) in {"train": (10, 5), "test": (2, 5)}.items():
        opened = data.open_split("tfds:tiny", split)
        assert (opened.num_classes, opened.class_names) == (classes, ())
        assert opened.load().labels.tolist() == [[0, 4, 2][k % 3] for k in range(num)]


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
