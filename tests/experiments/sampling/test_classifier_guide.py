"""A classifier through the commands: it is trained, it guides samples, and what it does not fit."""

import json
import re
from types import SimpleNamespace
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.cli import main
from experiments.data import ContinuousCodec, PixelCodec
from experiments.errors import UserError
from experiments.sampling.classifier_guide import check_fits
from experiments.workdir.metrics import read_metrics
from tests.experiments.conftest import DIGITS, train
from tests.experiments.sampling.test_sampling_flags import draw


class Logits(nn.Module):
    """Logits of points, by one hidden layer."""

    outputs: ClassVar[str] = "logits"

    hidden: tuple[int, ...] = (16,)
    num_classes: int = 0

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The logits [B, num_classes]."""
        h = nn.silu(nn.Dense(self.hidden[0])(jnp.concatenate([x, c[:, None]], axis=-1)))
        return nn.Dense(self.num_classes)(h)


MIXTURE = "--config.data.source=toy:mixture"
CONDITIONAL = "--config.model.conditional=True"
CLASSIFIER = [
    MIXTURE,
    CONDITIONAL,
    f"--config.model.name={__name__}:Logits",
    "--config.training.objective=classifier",
    "--config.training.times=uniform",
    "--config.training.sample_every=0",
]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The workdir of a tiny classifier of eight labelled Gaussians. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("classifier") / "run"
    assert train(workdir, *CLASSIFIER) == 0
    return workdir


def line_of(capsys, *command):
    """The one line of an error."""
    capsys.readouterr()
    assert main([*command]) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


def test_trains_and_says_how_it_is_used(classifier, capsys):
    lines = read_metrics(classifier / "metrics.jsonl")
    assert len(lines) == 3
    assert len(lines[-1]["loss_by_time"]) == 8
    # Of eight classes, of logits that have hardly moved from small random ones.
    assert 1.0 < lines[0]["loss"] < 4.0
    assert main(["status", f"--workdir={classifier}"]) == 0
    assert f"scoresde sample --workdir=MODEL --classifier={classifier}" in capsys.readouterr().out


def test_guides_a_model_that_knows_no_classes(trained, classifier, tmp_path):
    """Scale 0 is the model alone, and for one step the gradient adds in proportion to the scale."""
    how = ["--num=8", "--solver=ddim", "--steps=1", "--grid=uniform", "--no-denoise"]
    by = f"--classifier={classifier}"
    alone = draw(trained, tmp_path, *how, name="alone")
    assert "labels" not in alone
    drawn = {
        (scale, classes): draw(
            trained,
            tmp_path,
            *how,
            by,
            f"--classifier_scale={scale}",
            f"--classes={classes}",
            name=f"{scale}-{classes}",
        )
        for scale, classes in ((0, 3), (1, 3), (2, 3), (1, 5))
    }
    assert (drawn[1, 3]["labels"] == 3).all()
    points = {key: value["points"] for key, value in drawn.items()}
    # Data of noise: terms of latents' size, 3 at most, rounded to 6e-8, over α(1) = 0.0066.
    rounding = 4 * 3 * 6e-8 / 0.0066
    np.testing.assert_allclose(points[0, 3], alone["points"], atol=rounding)
    assert np.abs(points[1, 3] - points[0, 3]).max() > 10 * rounding
    assert np.abs(points[1, 3] - points[1, 5]).max() > 10 * rounding
    beyond = 2 * points[1, 3] - points[0, 3]
    np.testing.assert_allclose(points[2, 3], beyond, atol=4 * rounding)
    protocol = json.loads((tmp_path / "1-3.json").read_text(encoding="utf-8"))["protocol"]
    other = json.loads((tmp_path / "2-3.json").read_text(encoding="utf-8"))["protocol"]
    assert (protocol["classifier_scale"], other["classifier_scale"]) == (1.0, 2.0)
    assert protocol["classifier"] == other["classifier"]
    assert protocol["classifier"]["step"] == 6
    plain = json.loads((tmp_path / "alone.json").read_text(encoding="utf-8"))["protocol"]
    assert not {"classifier", "classifier_scale"} & set(plain)


def test_classes_in_turn_under_another_sde_and_with_densities(trained, classifier, tmp_path):
    by = f"--classifier={classifier}"
    drawn = draw(trained, tmp_path, by, "--num=10", "--sde=ve:sigma_max=20", name="ve")
    assert drawn["labels"].tolist() == [*range(8), 0, 1]
    flow = ["--solver=probability_flow", "--rtol=0.1", "--log_prob", "--num=4"]
    assert np.isfinite(draw(trained, tmp_path, by, *flow, name="flow")["log_prob"]).all()


def test_guides_a_conditional_model_of_the_same_classes(classifier, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, MIXTURE, CONDITIONAL) == 0
    by = [f"--classifier={classifier}", "--classes=3", "--num=4"]
    both = [draw(run, tmp_path, *by, f"--classifier_scale={s}", name=f"s{s}") for s in (0, 50)]
    none = draw(run, tmp_path, "--classes=3", "--num=4", name="none")
    np.testing.assert_allclose(both[0]["points"], none["points"], rtol=1e-3, atol=1e-3)
    assert np.abs(both[1]["points"] - none["points"]).max() > 1e-2
    line = line_of(capsys, "sample", f"--workdir={run}", "--classes=8", *by[:1])
    assert "--classes: got 8, takes 0 to 7" in line


def test_a_classifier_is_no_model(trained, classifier, tmp_path, capsys):
    for command in (
        ["sample"],
        ["likelihood"],
        ["export", f"--output={tmp_path / 'm.safetensors'}"],
    ):
        line = line_of(capsys, *command, f"--workdir={classifier}")
        assert f"--workdir: {classifier} is of a classifier, takes that of a model" in line
    line = line_of(capsys, "sample", f"--workdir={trained}", f"--classifier={trained}")
    assert f"--classifier: {trained} is of a model, takes that of a classifier" in line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--classifier_scale=2"], ["--classifier_scale: got 2", "--classifier=DIR"]),
        (["--classifier={}", "--classifier_scale=nan"], ["--classifier_scale: got nan", "finite"]),
        (["--classifier={}", "--classes=8"], ["--classes: got 8", "takes 0 to 7"]),
        (["--classifier={}/none"], ["/none"]),
        (["--classes=3"], ["--classes: got '3'", "model.conditional"]),
    ],
)
def test_bad_guides_are_one_line(trained, classifier, capsys, flags, words):
    given = [flag.format(classifier) for flag in flags]
    line = line_of(capsys, "sample", f"--workdir={trained}", *given)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.model.name=mlp"], ["model.name: got 'mlp'", "logits: encoder"]),
        (["--config.training.objective=denoising"], ["which returns logits", "states: adm, dit"]),
        (["--config.model.conditional=False"], ["model.conditional: got False, takes True"]),
        (["--config.training.sample_every=5"], ["training.sample_every: got 5, takes 0"]),
        (["--config.training.evaluate_every=3"], ["training.evaluate_every: got 3, takes 0"]),
        (["--config.training.times=log_normal"], ["training.times: got 'log_normal'", "uniform"]),
        (["--config.data.source=toy:checkerboard"], ["model.conditional", "neither labels"]),
        (["--config.data.source=toy:regression"], ["vectors from toy:regression", "cond_dim"]),
        (["--config.data.flip=True"], ["data.flip"]),
    ],
)
def test_what_cannot_be_trained_is_one_line(tmp_path, capsys, flags, words):
    assert train(tmp_path / "run", *CLASSIFIER, *flags) == 2
    line = capsys.readouterr().err.strip()
    assert all(word in line for word in words), line
    assert "\n" not in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("other", "conditional", "words"),
    [
        ({"shape": (3,)}, False, "examples of shape (3,), takes (2,)"),
        ({"codec": PixelCodec(4)}, False, "values as PixelCodec(levels=4, centered=True), takes"),
        ({"num_classes": 3}, True, "classes 3, takes 2"),
        ({"class_names": ("cat", "cow")}, True, "names ('cat', 'cow'), takes ('cat', 'dog')"),
        ({"class_names": ("cat", "cow")}, False, None),
        ({"class_names": ()}, True, None),
        ({"num_classes": 3}, False, None),
    ],
)
def test_a_classifier_of_other_data_does_not_guide(other, conditional, words):
    """Of a model that knows no classes, the classes may be any; names that nobody knows, too."""
    data = {"shape": (2,), "codec": ContinuousCodec(), "cond_dim": 0, "num_classes": 2}
    data |= {"class_names": ("cat", "dog")}
    model = SimpleNamespace(conditional=conditional)
    guided = SimpleNamespace(train=SimpleNamespace(**data), experiment=SimpleNamespace(model=model))
    theirs = SimpleNamespace(
        train=SimpleNamespace(**data | other), workdir=SimpleNamespace(path="runs/c")
    )
    if words is None:
        check_fits(theirs, guided)
        return
    with pytest.raises(UserError, match=re.escape(words)) as error:
        check_fits(theirs, guided)
    assert str(error.value).startswith("--classifier: runs/c has ")


def test_digits_end_to_end(trained, trained_digits, tmp_path, capsys):
    """The config of digits: a classifier, a model, and samples of a class by both."""
    tiny = [*DIGITS, "--config.training.sample_every=0", f"--workdir={tmp_path / 'classifier'}"]
    assert main(["train", "--config=digits:classifier", *tiny]) == 0
    by = f"--classifier={tmp_path / 'classifier'}"
    drawn = draw(trained_digits, tmp_path, by, "--num=4", "--classes=7")
    assert drawn["labels"].tolist() == [7] * 4
    assert drawn["images"].shape == (4, 8, 8, 1)
    line = line_of(capsys, "sample", f"--workdir={trained}", by)
    assert "has examples of shape (8, 8, 1), takes (2,), the model's" in line
