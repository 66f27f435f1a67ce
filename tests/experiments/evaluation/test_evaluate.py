"""Evaluation end to end: numbers that follow from their protocol, drawn once, whatever happens."""

import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from experiments.cli import main
from experiments.data import Split, load
from experiments.errors import UserError
from experiments.evaluation import evaluate as verb
from experiments.evaluation import report
from experiments.evaluation.against import Against
from experiments.evaluation.content import warnings_of
from experiments.evaluation.evaluate import Filing, evaluate, evaluate_files
from experiments.evaluation.make_reference import make_reference
from experiments.evaluation.nearest_picture import nearest_picture
from experiments.evaluation.question import Question, default_features, default_metrics
from experiments.runtime import devices
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from tests.experiments.commands.test_bad_input import refused
from tests.experiments.conftest import metrics_of, train

FD = "fd:sizes=0,bootstrap=0"
"""The quickest metric."""


@pytest.fixture(scope="module")
def opened(trained):
    return TrainedModel.open(trained, [], devices.make_mesh(1), divergence=True)


@pytest.fixture
def toy(opened, tmp_path):
    """The trained toy, with an empty folder for what is made of it."""
    return dataclasses.replace(opened, workdir=Workdir(tmp_path / "toy"))


@pytest.fixture
def drawn(monkeypatch):
    """The first samples of the batches that are drawn."""
    firsts, batch = [], BatchedSampler.batch

    def counted(self, first, *arguments, **how):
        firsts.append(first)
        return batch(self, first, *arguments, **how)

    monkeypatch.setattr(BatchedSampler, "batch", counted)
    return firsts


@pytest.fixture
def no_pictures(monkeypatch):
    """They take longer than the rest."""
    monkeypatch.setattr(report, "picture", lambda *_: np.zeros((1, 1, 3), np.uint8))


def features_of(toy) -> np.ndarray:
    (file,) = toy.workdir.path.glob("evaluation/features/samples-*/features.npy")
    return np.load(file)


def test_a_run_that_is_killed_goes_on_with_the_same_bits(toy, tmp_path, drawn, monkeypatch):
    whole = dataclasses.replace(toy, workdir=Workdir(tmp_path / "whole"))
    found = evaluate(whole, metrics=FD, num=40)
    assert drawn == [0, 16, 32]
    extract = verb.extract

    def killed(batches, *rest):
        def read(first):
            if first == 32:
                raise KeyboardInterrupt
            return batches.read(first)

        return extract(batches._replace(read=read), *rest)

    with monkeypatch.context() as patched:
        patched.setattr(verb, "extract", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate(toy, metrics=FD, num=40)
    del drawn[:]
    assert evaluate(toy, metrics=FD, num=40).numbers == found.numbers
    assert drawn == [32]
    np.testing.assert_array_equal(features_of(toy), features_of(whole))
    assert not list(toy.workdir.path.glob("evaluation/**/parts"))


def test_the_features_are_those_of_samples_drawn_at_once(toy, tmp_path, no_pictures):
    found = evaluate(toy, metrics=FD, num=40, seed=3)
    points = np.asarray(BatchedSampler.of(toy).draw(40, 3).x)
    np.testing.assert_array_equal(features_of(toy), points)
    # So are those of a file, and what is measured of them.
    np.savez(tmp_path / "drawn.npz", points=points)
    against = Against.of_source("toy:moons", None, None)
    of_file = evaluate_files(
        f"npz:{tmp_path / 'drawn.npz'}", against, metrics=FD, seed=3, folder=tmp_path / "files"
    )
    assert of_file.numbers == found.numbers


def test_what_was_drawn_or_measured_is_found_again(toy, drawn, no_pictures):
    first = evaluate(toy, metrics=FD, num=40).summary
    again = evaluate(toy, metrics=FD, num=40).summary.splitlines()
    assert again[0].startswith("measured before")
    assert again[1:] == first.splitlines()
    evaluate(toy, metrics="fd:sizes=0,bootstrap=2", num=40)  # of the same samples
    assert drawn == [0, 16, 32]
    evaluate(toy, metrics=FD, num=40, seed=1)
    assert drawn == [0, 16, 32] * 2
    assert len(list(toy.workdir.path.glob("evaluation/*.json"))) == 3


def test_the_command_prints_a_table_and_says_where_it_was_written(trained, tmp_path, capsys):
    flags = ["--num=40", "--split=test", "--steps=2", f"--metrics={FD}"]
    output = tmp_path / "found"
    command = ["evaluate", f"--workdir={trained}", "--devices=1", f"--output={output}", *flags]
    assert main(command) == 0
    shutil.rmtree(trained / "evaluation")
    number, told, written = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"fd  \d+\.\d+ ± \d+\.\d+  Fréchet distance of .*", number)
    assert told == (
        "40 samples by 3 network evaluations each, against 5000 examples of toy:moons (test), in 2 "
        "features: pixels"
    )
    assert written == f"{output}.json, {output}.png"
    protocol = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["protocol"]
    assert {key: protocol["reference"][key] for key in ("source", "split", "num")} == {
        "source": "toy:moons",
        "split": "test",
        "num": 5000,
    }
    assert protocol["samples"]["num"] == 40
    assert protocol["samples"]["num_steps"] == 2
    assert protocol["features"] == {"name": "pixels"}
    assert protocol["metrics"] == {FD: "FrechetDistance(sizes=0, bootstrap=0, by_class=True)"}


def test_statistics_stand_in_for_the_data(toy, tmp_path, no_pictures):
    file, folder = tmp_path / "moons.npz", tmp_path / "features"
    assert str(file) in make_reference(Against.of_trained(toy, "train", None), file, None, folder)
    with pytest.raises(UserError, match=r"moons\.npz exists, takes a new name"):
        make_reference(Against.of_trained(toy, "train", None), file, None, folder)
    of_file = evaluate(toy, num=40, reference=str(file), metrics=FD).numbers["fd"]
    # float64 sums of the same numbers, written and read as float64.
    assert of_file.value == pytest.approx(
        evaluate(toy, metrics=FD, num=40).numbers["fd"].value, rel=1e-9
    )


def test_statistics_need_no_data(toy, tmp_path, no_pictures, monkeypatch):
    """As of an imported model, whose data are not here."""
    np.savez(tmp_path / "published.npz", mu=np.zeros(2), sigma=np.eye(2))

    def nowhere(self, split):
        raise UserError("data.source: no file")

    monkeypatch.setattr(TrainedModel, "opened", nowhere)
    published = str(tmp_path / "published.npz")
    found = evaluate(toy, num=16, reference=published, metrics=FD)
    assert np.isfinite(found.numbers["fd"].value)
    with pytest.raises(UserError, match="no file"):
        evaluate(toy, num=16, metrics=FD)


def test_bits_are_those_of_the_likelihood(toy, drawn):
    found = evaluate(toy, metrics="bpd:limit=16").numbers["bpd"]
    (file,) = toy.workdir.path.glob("likelihood/*.json")
    measured = json.loads(file.read_text(encoding="utf-8"))
    assert found.value == measured["bits_per_dim"]
    assert found.standard_error == measured["standard_error"]
    assert [found.low, found.high] == measured["interval_95"]
    assert drawn == []


def test_while_training(trained, tmp_path, drawn, no_pictures):
    """Lines beside those of training, again the same after a stop; the run is the same run."""
    watch = ["--config.training.evaluate_every=4", f"--config.training.evaluate_metrics={FD}"]
    watch += ["--config.training.evaluate_num=32"]
    assert train(tmp_path / "toy", *watch) == 0
    lines = metrics_of(tmp_path / "toy")
    assert [line["step"] for line in lines if "eval/fd" in line] == [4]
    assert [line for line in lines if "loss" in line] == metrics_of(trained)
    assert drawn == [0, 16]
    assert train(tmp_path / "cut", *watch, "--config.training.num_steps=2") == 0
    assert train(tmp_path / "cut", *watch) == 0
    assert metrics_of(tmp_path / "cut") == lines
    assert not list((tmp_path / "toy").glob("evaluation/features/samples-*"))
    (file,) = (tmp_path / "toy" / "evaluation").glob("step4-*.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    (line,) = [line for line in lines if "eval/fd" in line]
    assert line["eval/fd"] == kept["metrics"]["fd"]["value"]
    assert kept["protocol"]["samples"]["parameters"] == "ema"


def test_conditions_are_those_of_the_data(tmp_path, no_pictures, monkeypatch):
    """Labels as often as the reference has them; of two classes, against those two alone."""
    data = ["--config.data.source=toy:mixture", "--config.model.conditional=True"]
    assert train(tmp_path / "toy", *data) == 0
    opened = TrainedModel.open(tmp_path / "toy", [], devices.make_mesh(1))
    labels = load("toy:mixture", "train").labels
    rows = np.random.RandomState(0).permutation(len(labels))[:64]
    evaluate(opened, metrics="fd:sizes=0,bootstrap=0,by_class=False", num=64)
    (file,) = (tmp_path / "toy" / "evaluation").glob("features/samples-*/labels.npy")
    np.testing.assert_array_equal(np.load(file), labels[rows])
    shutil.rmtree(file.parent)
    found = evaluate(opened, metrics="fd:sizes=0,bootstrap=0,by_class=False", num=8, classes=[5, 3])
    (file,) = (tmp_path / "toy" / "evaluation").glob("features/samples-*/labels.npy")
    np.testing.assert_array_equal(np.load(file), [5, 3] * 4)
    assert found.result.protocol["reference"]["classes"] == [3, 5]
    told = found.result.report["about"][0]
    assert f"against {np.isin(labels, [3, 5]).sum()} examples of classes (3, 5)" in told
    # As many as there are examples of the classes, where nobody says how many.
    with monkeypatch.context() as patched:
        patched.setattr(verb, "_MAX_EXAMPLES", 10**9)
        patched.setattr(verb, "_measured", lambda subject, *_, **__: subject.batches.num)
        assert evaluate(opened, metrics=FD, classes=[5]) == np.sum(labels == 5)


def test_classes_of_a_guide_that_are_not_the_datas_are_its_own(toy, monkeypatch):
    """In turn, and compared with all of the data; those of the data are as often as there."""
    monkeypatch.setattr(verb.Subject, "of_model", lambda *_, cond, **__: cond.label)
    monkeypatch.setattr(
        verb, "_measured", lambda labels, comparison, *_, **__: (labels, comparison)
    )
    model = dataclasses.replace(toy.experiment.model, conditional=True)
    experiment = dataclasses.replace(toy.experiment, model=model)
    moons = load("toy:moons", "train")
    other = Split.of(moons.values, np.arange(moons.num) % 3, levels=None, classes=3)
    for split, expected in ((other, [0, 1, 2, 0, 1, 2]), (moons, None)):
        trained = SimpleNamespace(experiment=experiment, train=split)
        guide = SimpleNamespace(trained=trained, conditional=False)
        labels, comparison = evaluate(toy, metrics=FD, num=6, guide=guide)
        if expected is None:
            rows = np.random.RandomState(0).permutation(moons.num)[:6]
            expected = moons.labels[rows]
        np.testing.assert_array_equal(labels, expected)
        assert comparison.classes is None


def test_the_nearest_training_images_stand_beside_a_copy_first():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (40, 4, 4, 1)).astype(np.uint8)
    train = Split.of(values, levels=256)
    flat = values.reshape(40, -1).astype(np.float32)
    samples = rng.integers(0, 256, (12, 4, 4, 1)).astype(np.uint8)
    samples[7] = values[31]
    rows = np.arange(20, 40)
    features = samples.reshape(12, -1).astype(np.float32)
    shown = nearest_picture(samples, features, train, flat[rows], rows)
    tile = np.full((4, 4), 1) * 0 + values[31, :, :, 0]
    scale = (shown.shape[0] - 1) // 10 - 1  # of a tile with its line, ten of them in a column
    enlarged = tile.repeat(scale // 4, axis=0).repeat(scale // 4, axis=1)
    left = shown[1 : 1 + scale, 1 : 1 + scale, 0]
    np.testing.assert_array_equal(left, enlarged)
    first = 1 + scale + 1 + max(2, (scale + 2) // 8) + 1
    np.testing.assert_array_equal(shown[1 : 1 + scale, first : first + scale, 0], enlarged)


def test_defaults_follow_the_data():
    points, digits = load("toy:moons", "train"), load("digits", "train")
    assert (default_features(points), default_features(digits)) == ("pixels", "classifier")
    plain, labelled = {"labelled": False, "examples": True}, {"labelled": True, "examples": True}
    photographs = Split.of(np.zeros((4, 64, 64, 3), np.uint8), levels=256)
    assert default_features(photographs) == "pca"
    assert default_metrics(points, 0, **plain) == "sw2,mmd,c2st"
    assert default_metrics(digits, 0, **plain) == "fd,kd,prdc"
    assert default_metrics(digits, 10, **plain) == "fd,kd,prdc,is"
    assert default_metrics(digits, 10, **labelled) == "fd,kd,prdc,is,accuracy"
    assert default_metrics(digits, 1000, **labelled) == "fd,kd,prdc,is"
    assert default_metrics(digits, 10, labelled=True, examples=False) == "fd"


def test_more_features_than_a_covariance_fits_memory_are_refused():
    with pytest.raises(UserError, match=r"--features: got 16385 features, takes at most 16384"):
        Question.of("kd,fd").check_dim(16385)
    Question.of("kd,prdc").check_dim(10**6)


def test_labels_are_compared_with_classes_of_the_data_alone():
    Question.of("fd,is").check_classes(1000, 10)
    Question.of("accuracy").check_classes(10, 10)
    with pytest.raises(UserError, match="--features: got 1000 classes, takes the data's 10 with"):
        Question.of("fd,accuracy").check_classes(1000, 10)


def test_a_metric_of_ones_own_is_another_once_it_is_edited(tmp_path, monkeypatch):
    file = tmp_path / "edited_metric.py"
    file.write_text(
        "import dataclasses\n"
        "from experiments.evaluation.metrics import Metric\n\n"
        "@dataclasses.dataclass(frozen=True, kw_only=True)\n"
        "class Zero(Metric):\n"
        "    def compute(self, *sets): ...\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    before, again = (Question.of("edited_metric:Zero").protocol for _ in range(2))
    file.write_text(file.read_text(encoding="utf-8") + "#", encoding="utf-8")
    assert before == again != Question.of("edited_metric:Zero").protocol


def test_jpeg_files_are_warned_of(tmp_path):
    for name in ("a.png", "b.jpg", "c.JPEG"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    (warning,) = warnings_of(Against.of_source(f"folder:{tmp_path}", None, None).reference)
    assert "2 of 3 images are JPEG" in warning
    assert not warnings_of(load("toy:moons", "test"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--metrics=fid"], ["--metrics", "unknown metric 'fid'", "'fd'", "bpd"]),
        (["--metrics=fd,fd"], ["--metrics", "fd twice"]),
        (["--metrics=prdc:k=0"], ["--metrics: prdc", "k", "got 0", "≥ 1"]),
        (["--metrics=bpd:limit=0"], ["--metrics: bpd", "limit", "got 0"]),
        (["--features=pixls"], ["--features", "'pixels'"]),
        (["--data=toy:moons"], ["--data", "takes no --workdir"]),
        (["--samples=npz:x.npz", "--solver=heun"], ["--solver", "--workdir alone"]),
        (["--split=test", "--reference=x.npz"], ["--split", "--reference"]),
        (["--samples=npz:x.npz", "--make_reference=y"], ["--make_reference", "no --samples"]),
        (["--classes=1"], ["--classes", "takes a model of classes"]),
    ],
)
def test_flags_that_are_refused(trained, flags, words, capsys):
    line = refused(["evaluate", f"--workdir={trained}", "--devices=1", *flags], capsys)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"metrics": "is"}, ["is", "without probabilities"]),
        ({"metrics": "accuracy"}, ["accuracy", "without labels"]),
        ({"metrics": "nearest", "split": "test"}, ["nearest", "no test set"]),
        ({"features": "pca:dim=3"}, ["--features: pca", "got 3", "at most 2"]),
        ({"metrics": "fd", "num": 1}, ["--num", "got 1", "2 or more with fd"]),
        ({"metrics": "c2st", "num": 49}, ["--num", "got 49", "50 or more with c2st"]),
        ({"metrics": "prdc:k_density=7", "num": 7}, ["--num", "got 7", "8 or more"]),
        ({"split": "valid"}, ["--split", "'valid'", "train or test"]),
        ({"reference": "none.npz"}, ["--reference", "none.npz"]),
        ({"reference": "none.npz", "metrics": "kd"}, ["kd", "moments as the reference"]),
    ],
)
def test_refused_before_anything_is_drawn(opened, drawn, asked, words):
    with pytest.raises(UserError) as error:
        evaluate(opened, **asked)
    assert all(word in str(error.value) for word in words), error.value
    assert drawn == []
    assert not (opened.workdir.path / "evaluation").exists()


def test_files_that_do_not_go_together(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("points.npz", points=np.zeros((4, 3), np.float32))
    np.savez("grey.npz", images=np.zeros((4, 8, 8, 1), np.uint8))
    cases = {
        "--samples=npz:points.npz --data=toy:moons": "has shape (3,), takes (2,), as toy:moons",
        "--samples=npz:grey.npz --data=digits": "has 256 grey levels, takes 17 grey levels",
        "--samples=npz:grey.npz": "takes --data=SOURCE or --reference=FILE",
        "--samples=npz:grey.npz --data=npz:none": "--data: ",
        "--samples=npz:grey.npz --data=digits --num=9": "--num: got 9, takes at most 4",
        "--samples=npz:grey.npz --data=npz:grey.npz --metrics=bpd": "bpd is a model's",
        "--num=4": "--workdir: not given",
    }
    for flags, words in cases.items():
        assert main(["evaluate", *flags.split()]) == 2
        assert words in capsys.readouterr().err
    assert sorted(path.name for path in pathlib.Path().iterdir()) == ["grey.npz", "points.npz"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("metrics=fid", ["training.evaluate_metrics", "unknown metric 'fid'"]),
        ("metrics=accuracy", ["accuracy", "without labels"]),
        ("features=inceptoin", ["training.evaluate_features", "'inceptoin'"]),
        ("num=1", ["training.evaluate_num", "got 1", "≥ 2"]),
        ("num=49", ["training.evaluate_num: got 49, takes 50 or more with c2st"]),
    ],
)
def test_a_run_that_could_not_measure_does_not_start(field, words, tmp_path, capsys):
    flags = ["--config.training.evaluate_every=2", f"--config.training.evaluate_{field}"]
    assert train(tmp_path / "run", *flags) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not (tmp_path / "run").exists()


def test_runs_that_share_a_folder_share_the_features_of_the_data(toy, tmp_path, no_pictures):
    """One after the other; each has its own samples and results."""
    held = []

    @contextlib.contextmanager
    def lock():
        held.append("held")
        yield
        held.append(len(list((tmp_path / "shared").glob("train-pixels-*/features.npy"))))

    for name in ("one", "two"):
        run = dataclasses.replace(toy, workdir=Workdir(tmp_path / name))
        filing = Filing(features=tmp_path / "shared", lock=lock())
        evaluate(run, metrics=FD, num=16, filing=filing)
        assert len(list((tmp_path / name).glob("evaluation/*.json"))) == 1
    assert held == ["held", 1] * 2


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
