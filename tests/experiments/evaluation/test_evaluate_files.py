"""Evaluation of files: their labels by name, and what does not go together."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from experiments.cli import main
from experiments.data import load
from experiments.evaluation.against import Against
from experiments.evaluation.content import warnings_of
from experiments.evaluation.evaluate import evaluate_files
from experiments.evaluation.nearest_picture import nearest_picture
from tests.experiments.evaluation.conftest import FD


def test_jpeg_files_are_warned_of(tmp_path):
    for name in ("a.png", "b.jpg", "c.JPEG"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    (warning,) = warnings_of(Against.of_source(f"folder:{tmp_path}", None, None).reference)
    assert "2 of 3 images are JPEG" in warning
    assert not warnings_of(load("toy:moons", "test"))


def test_files_that_do_not_go_together(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("points.npz", points=np.zeros((4, 3), np.float32))
    np.savez("grey.npz", images=np.zeros((4, 8, 8, 1), np.uint8))
    np.savez("one.npz", images=np.zeros((1, 8, 8, 1), np.uint8))
    cases = {
        "--samples=npz:points.npz --data=toy:moons": "has shape (3,), takes (2,), as toy:moons",
        "--samples=npz:grey.npz --data=digits": "has 256 grey levels, takes 17 grey levels",
        "--samples=npz:grey.npz": "takes --data=SOURCE or --reference=FILE",
        "--samples=npz:grey.npz --data=npz:none": "--data: ",
        "--samples=npz:grey.npz --data=digits --num=9": "--num: got 9, takes at most 4",
        "--samples=npz:grey.npz --data=npz:grey.npz --metrics=bpd": "bpd is a model's",
        "--num=4": "--workdir: not given",
        "--samples=npz:grey.npz --data=digits --split=valid": "got 'valid', takes train, test, all",
        "--data=npz:one.npz --make_reference=new.npz": "npz:one.npz has 1 example, takes 2 or more",
        "--samples=npz:grey.npz --data=npz:one.npz --metrics=fd": (
            "--metrics: fd: got 1 reference examples, takes 2 or more"
        ),
    }
    for flags, words in cases.items():
        assert main(["evaluate", *flags.split()]) == 2
        assert words in capsys.readouterr().err
    left = sorted(path.name for path in pathlib.Path().iterdir())
    assert left == ["grey.npz", "one.npz", "points.npz"]


def test_labels_of_files_are_classes_of_the_data_by_name(tmp_path, monkeypatch, no_pictures):
    """Neither by a folder's place among its own, nor where the data have no such class."""
    monkeypatch.chdir(tmp_path)
    grey = {"bird": 0, "cat": 100, "dog": 200}
    folders = {"real": grey, "drawn": {"cat": 100, "dog": 200}, "plain": {"images": 100}}
    for folder, classes in folders.items():
        for name, level in classes.items():
            (tmp_path / folder / name).mkdir(parents=True)
            for i in range(4):
                Image.new("L", (2, 2), level + i).save(tmp_path / folder / name / f"{i}.png")
    real = Against.of_source("folder:real", None, None)
    asked = {"metrics": FD, "features": "pixels"}
    found = evaluate_files("folder:drawn", real, **asked).numbers["fd_by_class"]
    # The same images: roots of eigenvalues keep half of float64's digits of traces below 1.
    assert found.details["by_class"] == pytest.approx({"1": 0, "2": 0}, abs=1e-8)
    assert "fd_by_class" not in evaluate_files("folder:plain", real, **asked).numbers
    # Labels of samples alone are no reason to train a classifier of data without.
    flat = Against.of_source("folder:real/bird", None, None)
    assert evaluate_files("folder:drawn", flat, metrics=FD).result.protocol["features"] == {
        "name": "pixels"
    }


def test_the_nearest_training_images_are_drawn_beside_the_samples(tmp_path, no_pictures):
    values = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", images=values, test_images=values[:4])
    samples = values[[3, 8]] ^ np.array([1, 0], np.uint8)[:, None, None, None]
    np.savez(tmp_path / "drawn.npz", images=samples)
    against = Against.of_source(f"npz:{tmp_path / 'data.npz'}", "train", None)
    found = evaluate_files(
        f"npz:{tmp_path / 'drawn.npz'}",
        against,
        metrics="nearest",
        features="pixels",
        folder=tmp_path / "files",
    )
    (file,) = (tmp_path / "files").glob("*.nearest.png")
    assert found.summary.endswith(f".json, {str(file).replace('.nearest', '')}, {file}")
    drawn = np.asarray(Image.open(file))
    flat = [images.reshape(len(images), -1) / 255 for images in (samples, values)]
    beside = nearest_picture(samples, flat[0], against.train, flat[1], slice(None))
    np.testing.assert_array_equal(drawn, beside)


def test_a_classifier_is_right_of_the_test_set_as_well(tmp_path, no_pictures):
    values = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1)).astype(np.uint8)
    labels = np.arange(12) % 3
    test = {"test_images": values[:4], "test_labels": labels[:4]}
    np.savez(tmp_path / "data.npz", images=values, labels=labels, **test)
    np.savez(tmp_path / "drawn.npz", images=values[:5], labels=labels[:5])
    found = evaluate_files(
        f"npz:{tmp_path / 'drawn.npz'}",
        Against.of_source(f"npz:{tmp_path / 'data.npz'}", "train", None),
        metrics="accuracy",
        features="classifier:num_steps=1,width=4,dim=4",
        folder=tmp_path / "files",
    )
    assert set(found.numbers) == {"accuracy", "accuracy_reference", "accuracy_test"}
    assert found.result.protocol["test"]["num"] == 4
    right = found.result.protocol["features"]["test_accuracy"]
    assert found.numbers["accuracy_test"].value == right
