"""Evaluations that are refused, before anything is drawn."""

import pytest

from experiments.errors import UserError
from experiments.evaluation.evaluate import evaluate
from tests.experiments.conftest import refused
from tests.experiments.evaluation.conftest import FD


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
        (["--samples=toy:moons"], ["--samples: got 'toy:moons', takes npz:FILE or folder:DIR"]),
        (["--samples=npz:none.npz"], ["--samples: no file 'none.npz'; takes npz:FILE"]),
        (["--make_reference=/proc/no/x.npz"], ["--make_reference: /proc/no/x.npz: ", "folder"]),
        ([f"--metrics={FD}", "--output=.."], ["--output: got '..', takes a name for files"]),
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
