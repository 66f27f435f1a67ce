"""Names of classes: those of every source, what is said about bad ones, and other data's."""

import numpy as np
import pytest

from experiments import data
from experiments.errors import UserError
from experiments.workdir.data_spec import DataSpec
from tests.experiments.data.conditions import IMAGES, LABELS, NAMES, model_of, refused
from tests.experiments.data.sources import draw, examples, numbered, prepare, save


@pytest.mark.parametrize("kind", ["folder", "npz", "shards", "tfds", "digits"])
def test_classes_have_the_names_of_their_source(kind, tmp_path, monkeypatch):
    """Image k is grey level k, of class k mod 3, named by the source; in data.json too."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    names, labels = ("ant", "bee", "cat", "dog"), np.arange(12) % 3
    source = {"folder": f"folder:{tmp_path}", "shards": f"npz:{tmp_path}", "tfds": "tfds:tiny"}
    if kind == "folder":
        names = names[:3]
        for k in range(12):
            draw(tmp_path / NAMES[k % 3] / f"{k}.png", fill=k)
    elif kind == "npz":
        source["npz"] = save(tmp_path, images=numbered(12, 4, 4), labels=labels, label_names=NAMES)
    elif kind == "shards":
        for k, rows in enumerate(np.split(np.arange(12), 2)):
            images = numbered(12, 4, 4)[rows]
            path = tmp_path / f"{k}.npz"
            np.savez(path, images=images, labels=labels[rows], label_names=NAMES)
    elif kind == "tfds":
        pictures = zip(numbered(12, 4, 4, 3), labels.tolist(), strict=True)
        prepare(tmp_path, "tiny/1.0.0", {"train": list(pictures)}, labels=list(names))
    else:
        names = tuple("0123456789")
    for split in ("train", "test"):
        opened = data.open_split(source.get(kind, kind), split)
        for found in (opened, opened.load()):
            assert found.class_names == names
            assert found.num_classes == len(names)
    spec = DataSpec.of(data.open_split(source.get(kind, kind), "train"))
    assert DataSpec.from_json(spec.as_json(), "data.json").class_names == names
    if kind != "digits":
        loaded = data.load(source[kind], "train")
        np.testing.assert_array_equal(loaded.labels, labels[loaded.values[:, 0, 0, 0]])


def test_names_may_be_bytes(tmp_path):
    names = np.char.encode(np.array(["ant", "bée", "cat"]), "utf-8")
    source = save(tmp_path, images=IMAGES, labels=np.arange(6) % 3, label_names=names)
    assert data.load(source, "train").class_names == ("ant", "bée", "cat")


def test_labels_that_some_lack_have_no_names(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    draw(tmp_path / "set" / "ant" / "1.png")
    draw(tmp_path / "set" / "2.png")
    grey = [(image, k - 1) for k, (image, _) in enumerate(examples(2, 4, 4))]
    prepare(tmp_path, "some/1.0.0", {"train": grey[::-1], "test": grey})
    for source in (f"folder:{tmp_path}/set", "tfds:some"):
        loaded = data.load(source, "train")
        assert (loaded.labels, loaded.num_classes, loaded.class_names) == (None, 0, ())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label_names": NAMES[:2]}, "has 2 names; takes 3 or more, since key 'labels' has the"),
        ({"label_names": NAMES[[0, 1, 0]]}, "has the name 'ant' 2×; takes one name a class"),
        ({"label_names": np.array(["a", " ", "b"])}, "has the name ' ' 1×; takes one name a class"),
        ({"label_names": np.arange(3)}, r"is int64 of shape \(3,\); takes strings, one a class"),
        ({"label_names": np.array([b"\xff", b"a", b"b"])}, "has bytes that are no UTF-8; takes"),
        ({"label_names": np.array("ant")}, r"is <U3 of shape \(\); takes strings, one a class"),
        ({"label_names": NAMES[:, None]}, r"is <U3 of shape \(4, 1\); takes strings"),
    ],
)
@pytest.mark.parametrize("name", ["set.npz", "*.npz"])
def test_what_is_said_about_bad_names(tmp_path, arrays, message, name):
    np.savez(tmp_path / "set.npz", **LABELS, **arrays)
    refused(f"{tmp_path}/set.npz: key 'label_names' {message}", f"npz:{tmp_path}/{name}")


def test_names_without_labels_and_shards_with_other_names(tmp_path):
    source = save(tmp_path, images=IMAGES, label_names=NAMES)
    refused(f"{tmp_path}/set.npz: key 'label_names' names the classes of no labels", source)
    for k in range(2):
        np.savez(tmp_path / f"{k}.npz", **LABELS, label_names=np.roll(NAMES, k))
    first, second = tmp_path / "0.npz", tmp_path / "1.npz"
    refused(f"{first} and {second} have other 'label_names'", f"npz:{tmp_path}/[01].npz")


def test_a_model_measures_no_other_classes(tmp_path):
    names = {"label_names": NAMES[:3]}
    model = model_of(save(tmp_path, **LABELS, **names))
    for number, theirs in enumerate(({}, {"label_names": NAMES[[0, 2, 1]]})):
        np.savez(tmp_path / f"{number}.npz", **LABELS, **theirs)
    model.examples(f"npz:{tmp_path}/0.npz", None)
    with pytest.raises(UserError, match="has the class 'cat' where the model has 'bee', takes"):
        model.examples(f"npz:{tmp_path}/1.npz", None)
