"""A conditional model through the commands: its classes, its guidance, its likelihood."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments.cli import main
from experiments.config_schema.flags import load_experiment
from experiments.data import load
from experiments.errors import UserError
from experiments.likelihood import measure
from experiments.sampling.conditions import parse_classes, parse_vector
from tests.experiments.conftest import train
from tests.experiments.sampling.test_sampling_flags import draw


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """The workdir of a tiny model of the eight labelled Gaussians. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("conditional") / "run"
    flags = ["--config.data.source=toy:mixture", "--config.model.conditional=True"]
    assert train(workdir, *flags) == 0
    return workdir


def line_of(capsys, *command):
    """The one line of an error."""
    assert main([*command, "--devices=1"]) == 2
    return capsys.readouterr().err.strip()


def test_classes_by_number_in_turn(conditional, tmp_path):
    """A sample depends on its class and number alone, not on how many there are."""
    two = draw(conditional, tmp_path, "--num=5", "--classes=3,1", name="two")
    assert two["labels"].tolist() == [3, 1, 3, 1, 3]
    all_ = draw(conditional, tmp_path, "--num=20", name="all")
    assert all_["labels"].tolist() == [*range(8), *range(8), *range(4)]
    np.testing.assert_allclose(two["points"][1], all_["points"][1], rtol=1e-4, atol=1e-4)
    assert np.abs(two["points"][2] - all_["points"][2]).max() > 1e-3


def test_guidance_is_between_the_null_and_beyond_the_condition(conditional, tmp_path):
    """Scale 0 forgets the class, 1 is the model, 2 goes on; for one step it is linear."""
    how = ["--num=8", "--solver=ddim", "--steps=1", "--grid=uniform", "--no-denoise"]
    drawn = {
        (scale, classes): draw(
            conditional,
            tmp_path,
            *how,
            f"--guidance={scale}",
            f"--classes={classes}",
            name=f"{scale}-{classes}",
        )["points"]
        for scale, classes in ((0, 3), (0, 5), (1, 3), (2, 3), (1, 5))
    }
    np.testing.assert_allclose(drawn[0, 3], drawn[0, 5], rtol=1e-5)
    assert np.abs(drawn[1, 3] - drawn[1, 5]).max() > 1e-4
    assert np.abs(drawn[1, 3] - drawn[0, 3]).max() > 1e-4
    # Data of noise: terms of latents' size, 3 at most, rounded to 6e-8, over α(1) = 0.0066.
    extrapolated = 2 * drawn[1, 3] - drawn[0, 3]
    np.testing.assert_allclose(drawn[2, 3], extrapolated, atol=4 * 3 * 6e-8 / 0.0066)


def test_likelihood_is_of_the_examples_own_classes(conditional, tmp_path, monkeypatch, capsys):
    """Each example's density under its label is the one that --classify finds for that class."""
    how = ["likelihood", f"--workdir={conditional}", "--limit=20", "--devices=1", "--steps=6"]
    with monkeypatch.context() as patched:  # it says how long it takes where it takes long
        patched.setattr(measure, "_MANY_DIMENSIONS", 2)
        assert main([*how, "--divergence=exact"]) == 0
    assert "'exact' takes 2 products an evaluation, about 0.0 hours" in capsys.readouterr().err
    assert main([*how, "--divergence=exact", "--classify"]) == 0
    (own,) = (np.load(p) for p in conditional.glob("likelihood/test-*.npz"))
    (all_,) = (np.load(p) for p in conditional.glob("likelihood/classify-*.npz"))
    labels = all_["labels"]
    of_label = all_["log_prob"][np.arange(20), labels]
    # Bits/dim of two dimensions.
    np.testing.assert_allclose(-2 * np.log(2) * own["bits_per_dim"], of_label, rtol=1e-5)
    assert (all_["predicted"] == all_["log_prob"].argmax(axis=1)).all()
    classified = conditional.glob("likelihood/classify-*.json")
    (measured,) = conditional.glob("likelihood/test-*.json")
    assert "given its own condition" in json.loads(measured.read_text(encoding="utf-8"))["target"]
    (report,) = (json.loads(p.read_text(encoding="utf-8")) for p in classified)
    assert report["accuracy"] == pytest.approx(np.mean(all_["predicted"] == labels))
    probability = np.exp(all_["log_prob"])
    entropy = -np.log(probability[np.arange(20), labels] / probability.sum(axis=1))
    assert report["cross_entropy_nats"] == pytest.approx(entropy.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--classes=8"], ["--classes: got 8", "takes 0 to 7"]),
        (["--classes=cat"], ["--classes: got 'cat'", "no names"]),
        (["--classes=-1"], ["--classes: got '-1'", "0 to 7"]),
        (["--cond=1.0"], ["--cond: got '1.0'", "data.cond"]),
        (["--guidance=nan"], ["sampling.guidance", "nan"]),
    ],
)
def test_bad_conditions_are_one_line(conditional, capsys, flags, words):
    line = line_of(capsys, "sample", f"--workdir={conditional}", *flags)
    assert all(word in line for word in words), line
    assert "\n" not in line


def test_classes_by_name_and_vectors_by_numbers():
    """Of a model whose classes have names, and of one of vectors."""
    split = load("toy:mixture", "train")
    named = dataclasses.replace(split, class_names=tuple("abcdefgh"))
    experiment = load_experiment("toy2d", ["--config.model.conditional=True"])
    assert parse_classes("c,0", experiment, named) == [2, 0]
    assert parse_classes("all", experiment, named) is None
    with pytest.raises(UserError, match=r"^--classes: unknown class 'al'; did you mean 'all'"):
        parse_classes("al", experiment, named)
    vectors = load("toy:regression", "train")
    assert parse_vector("0.5", experiment, vectors) == [0.5]
    for text, takes in (("a", "numbers with commas"), ("1,2", "1 finite"), ("inf", "1 finite")):
        with pytest.raises(UserError, match=f"^--cond: got .*{text}.*, takes {takes}"):
            parse_vector(text, experiment, vectors)


def test_an_unconditional_model_takes_no_condition(trained, capsys):
    for flags, word in (
        (["--classes=1"], "model.conditional"),
        (["--cond=1"], "data.cond"),
        (["--guidance=2"], "takes 1 with an unconditional model"),
    ):
        line = line_of(capsys, "sample", f"--workdir={trained}", *flags)
        assert word in line
        assert "\n" not in line
    line = line_of(capsys, "likelihood", f"--workdir={trained}", "--classify")
    assert "--classify: takes a model of classes" in line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.model.conditional=True"], ["model.conditional", "toy:", "neither labels"]),
        (
            [
                "--config.data.source=toy:mixture",
                "--config.model.conditional=True",
                "--config.model.num_classes=3",
            ],
            ["model.num_classes: got 3", "labels below 8"],
        ),
        (["--config.training.cond_dropout=1.0"], ["training.cond_dropout", "< 1"]),
        (["--config.training.objective=denoise"], ["training.objective", "denoising"]),
    ],
)
def test_bad_training_flags_are_one_line(tmp_path, capsys, flags, words):
    source = ["--config.data.source=toy:checkerboard"]
    assert train(tmp_path / "run", *source, *flags) == 2
    line = capsys.readouterr().err.strip()
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


def test_guidance_needs_a_null(conditional, tmp_path, capsys):
    """Which a model that was trained without dropping classes has not."""
    shutil.copytree(conditional, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    config["training"]["cond_dropout"] = 0.0
    (tmp_path / "run" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    line = line_of(capsys, "sample", f"--workdir={tmp_path / 'run'}", "--guidance=2")
    assert "train with training.cond_dropout above 0" in line


def test_a_grid_is_fitted_to_the_guided_model(conditional, tmp_path):
    """And samples by it; its file says the guidance."""
    how = ["--solver=ddim", "--steps=3", "--batch=16", "--devices=1"]
    guided = "--config.sampling.guidance=2.0"
    assert main(["fit_grid", f"--workdir={conditional}", "--name=mine", *how, guided]) == 0
    report = json.loads((conditional / "grids" / "mine.json").read_text(encoding="utf-8"))
    assert report["protocol"]["guidance"] == 2
    drawn = draw(conditional, tmp_path, "--grid=fitted:mine", how[0], guided, "--num=4")
    assert np.isfinite(drawn["points"]).all()


def test_other_data_to_classify_are_of_the_models_classes(conditional, tmp_path, capsys):
    """By number, and their labels are part of what the result follows from."""
    points = np.zeros((4, 2), np.float32)
    how = ["likelihood", f"--workdir={conditional}", "--classify", "--steps=6", "--devices=1"]
    found = []
    for name, labels in (("a", [0, 1, 2, 3]), ("b", [0, 1, 2, 7])):
        np.savez(tmp_path / f"{name}.npz", points=points, labels=np.array(labels))
    for name in ("a", "b"):
        (tmp_path / f"{name}.npz").rename(tmp_path / "set.npz")
        assert main([*how, f"--data=npz:{tmp_path / 'set.npz'}"]) == 0
        found.append(capsys.readouterr().out.splitlines()[-1])
    assert found[0] != found[1]
    np.savez(tmp_path / "set.npz", points=points, labels=np.array([0, 1, 2, 11]))
    line = line_of(capsys, *how[:-1], f"--data=npz:{tmp_path / 'set.npz'}")
    assert "has 12 classes, takes at most 8" in line
    np.savez(tmp_path / "set.npz", points=points)  # of which nobody knows what is right
    data = f"--data=npz:{tmp_path / 'set.npz'}"
    assert main([*how, data]) == 0
    assert capsys.readouterr().out.startswith("4 examples classified\n")
    line = line_of(capsys, *how[:2], data)
    assert line.endswith("set.npz has no labels, which the model takes")
    np.savez(tmp_path / "set.npz", points=points + 1e30)
    line = line_of(capsys, *how[:-1], data).splitlines()[-1]
    assert "--classify: none of 4 examples has finite log-densities" in line


def test_interpolated_rows_have_one_class_each(conditional, tmp_path):
    drawn = draw(conditional, tmp_path, "--num=6", "--interpolate=3", "--classes=4,5")
    assert drawn["labels"].tolist() == [4, 4, 4, 5, 5, 5]
