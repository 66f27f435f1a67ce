"""Evaluation end to end: numbers that follow from their protocol, drawn once, whatever happens."""

import contextlib
import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.cli import main
from experiments.data import Split, load
from experiments.errors import UserError
from experiments.evaluation import evaluate as verb
from experiments.evaluation.against import Against
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.evaluate import Filing, evaluate, evaluate_files
from experiments.evaluation.labels import Labels
from experiments.evaluation.make_reference import make_reference
from experiments.evaluation.metrics import Metric
from experiments.evaluation.nearest_picture import nearest_picture
from experiments.runtime import devices
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from tests.experiments.conftest import train
from tests.experiments.evaluation.conftest import FD


def features_of(toy) -> np.ndarray:
    (file,) = toy.workdir.path.glob("evaluation/features/samples-*/features.npy")
    return np.load(file)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean(Metric):
    """The mean of a coordinate.

    One's own metric, whose line is beside its number.
    """

    of: int = 0

    def compute(self, generated, reference, test, seed):
        return {"mean": Estimate(float(generated.features[:, self.of].mean()))}


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
    own = f"{__name__}:Mean"
    for _ in range(2):  # of the same samples
        told = evaluate(toy, metrics=f"fd:sizes=0,bootstrap=2, {own}:of=1", num=40).summary
        assert re.search(r"^mean  .*  The mean of a coordinate\.$", told, re.MULTILINE)
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
    published = tmp_path / "published.npz"
    found = evaluate(toy, num=16, reference=str(published), metrics=FD)
    assert np.isfinite(found.numbers["fd"].value)
    with pytest.raises(UserError, match="no file"):
        evaluate(toy, num=16, metrics=FD)
    # Nor do files of samples.
    np.savez(tmp_path / "drawn.npz", points=features_of(toy))
    drawn, against = f"npz:{tmp_path / 'drawn.npz'}", Against.of_source(None, None, published)
    assert evaluate_files(drawn, against, metrics=FD, folder=tmp_path).numbers == found.numbers
    model = dataclasses.replace(toy.experiment.model, conditional=True)
    classes = dataclasses.replace(toy, experiment=dataclasses.replace(toy.experiment, model=model))
    with pytest.raises(UserError, match="--classes: takes a data set as the reference, not its"):
        evaluate(classes, reference=published, metrics=FD, classes=[1])
    with pytest.raises(UserError, match="--make_reference: takes a data set"):
        make_reference(against, tmp_path / "new.npz", None, tmp_path)


def test_bits_are_those_of_the_likelihood(toy, drawn):
    found = evaluate(toy, metrics="bpd:limit=16").numbers["bpd"]
    (file,) = toy.workdir.path.glob("likelihood/*.json")
    measured = json.loads(file.read_text(encoding="utf-8"))
    assert found.value == measured["bits_per_dim"]
    assert found.standard_error == measured["standard_error"]
    assert [found.low, found.high] == measured["interval_95"]
    assert drawn == []


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


def test_vectors_are_those_of_the_data(toy):
    """As often as the data have them, in the units of the model; read some at a time."""
    split = load("toy:regression", "train")
    model = dataclasses.replace(toy.experiment.model, conditional=True)
    experiment = dataclasses.replace(toy.experiment, model=model)
    source = SimpleNamespace(experiment=experiment, train=split)
    comparison = SimpleNamespace(against=SimpleNamespace(reference=split))
    cond = Labels(source, of_one_kind=True).conditions(comparison, 700, None)
    rows = np.random.RandomState(0).permutation(split.num)[:700]
    np.testing.assert_array_equal(cond.vector, split.conditions.vector[rows])


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
