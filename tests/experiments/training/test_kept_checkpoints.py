"""What is kept of a run, and what begins there: averages by name, and another run."""

import dataclasses
import itertools
import shutil

import jax
import numpy as np
import pytest

from experiments.cli import main
from experiments.config_schema.resolve import resolve
from experiments.runtime.devices import make_mesh
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from tests.experiments.conftest import train


def test_an_average_that_no_checkpoint_has_is_no_model(trained, tmp_path, capsys):
    """A run that was killed before its first checkpoint under the new fields."""
    shutil.copytree(trained, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    experiment = resolve(workdir.load())
    kept = dataclasses.replace(experiment.training, averages=("0.5",))
    workdir.record(dataclasses.replace(experiment, training=kept))
    TrainedModel.open(workdir.path, [], make_mesh(1))
    command = ["sample", f"--workdir={workdir.path}", "--average=0.5", "--devices=1"]
    assert main(command) == 2
    assert (
        "--average: got 0.5, which begins after the checkpoint of step 6" in capsys.readouterr().err
    )


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """The workdir of a run of several averages and many checkpoints. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "averaged"
    more = ["--config.training.averages=('half_life:0.2','power:0.1')"]
    more += ["--config.training.optimizer=muon", "--config.training.adaptive_weighting=True"]
    more += ["--config.training.keep=1", "--config.training.keep_every=4"]
    assert train(workdir, *more, "--config.training.save_every=2") == 0
    return workdir


def test_every_nth_checkpoint_stays(averaged):
    assert sorted(int(p.name) for p in (averaged / "checkpoints").iterdir()) == [4, 6]


def test_a_run_may_start_from_another(trained, tmp_path, capsys):
    """From its averages: with a learning rate of almost 0 they stay."""
    still = ["--config.training.learning_rate=1e-30", f"--init_from={trained}"]
    assert train(tmp_path / "run", *still) == 0
    ours, theirs = (TrainedModel.open(p, [], make_mesh(1)) for p in (tmp_path / "run", trained))
    jax.tree.map(np.testing.assert_array_equal, ours.model.params, theirs.model.params)
    # Killed before its first checkpoint: it begins there again.
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert train(tmp_path / "run", *still) == 0
    again = TrainedModel.open(tmp_path / "run", [], make_mesh(1))
    jax.tree.map(np.testing.assert_array_equal, again.model.params, theirs.model.params)
    other = [*still, "--config.model.hidden=(8,8)"]
    assert train(tmp_path / "other", *other) == 2
    assert "training.init_from" in capsys.readouterr().err


def test_averages_by_name_and_of_any_width(averaged, capsys):
    names = [None, "half_life:0.2", "power:0.1", "power:0.11"]
    params = [
        jax.tree.leaves(TrainedModel.open(averaged, [], make_mesh(1), average=n).model.params)
        for n in names
    ]
    for one, other in itertools.pairwise(params):
        assert any(np.any(a != b) for a, b in zip(one, other, strict=True))
    command = ["sample", f"--workdir={averaged}", "--average=half_lif:0.2"]
    assert main(command) == 2
    assert "'half_life:0.2'" in capsys.readouterr().err


def test_an_average_of_any_width_needs_a_snapshot_before_its_checkpoint(averaged, tmp_path, capsys):
    """Older ones were removed, and then the newest checkpoint."""
    shutil.copytree(averaged, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "6")
    *older, _ = sorted((tmp_path / "run" / "averages").glob("*.npz"))
    for file in older:
        file.unlink()
    command = ["sample", f"--workdir={tmp_path / 'run'}", "--average=power:0.11", "--devices=1"]
    assert main(command) == 2
    line = capsys.readouterr().err
    assert "--average: got power:0.11, takes one of ('0.999', 'half_life:0.2', 'power:0.1')" in line
