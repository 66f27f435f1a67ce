"""Fields that change from one launch of a run to the next: which may, and which are accepted."""

import dataclasses
import gc
import shutil

import jax
import numpy as np

from experiments.config_schema.resolve import resolve
from experiments.runtime.devices import make_mesh
from experiments.workdir.folder import Workdir
from experiments.workdir.restored_run import restore
from experiments.workdir.trained_model import TrainedModel
from tests.experiments.conftest import train

CHANGED = ["--config.training.num_steps=8", "--config.training.batch_size=8"]
"""Fields of which a run may always change the first, and the second where it is accepted."""


def test_a_config_that_nothing_follows_from_may_change(trained, tmp_path):
    """The first launch ran out of memory, say: there is no checkpoint yet."""
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert train(tmp_path / "run", *CHANGED) == 0
    assert resolve(Workdir(tmp_path / "run").load()).training.batch_size == 8


def test_a_changed_field_is_refused_or_accepted_by_name(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    assert train(tmp_path / "run", *CHANGED) == 2
    assert "--accept=training.batch_size" in capsys.readouterr().err
    assert train(tmp_path / "run", *CHANGED, "--accept=training.batch_siz") == 2
    assert "'training.batch_size'" in capsys.readouterr().err
    # A rate that falls to its end: with another end it falls differently.
    falls = ["--config.training.schedule=cosine", "--accept=training.schedule"]
    assert train(tmp_path / "run", CHANGED[0], *falls) == 2
    assert "training.num_steps = 6, not 8; takes" in capsys.readouterr().err
    assert train(tmp_path / "run", *CHANGED, "--accept=training.batch_size") == 0
    assert resolve(Workdir(tmp_path / "run").load()).training.batch_size == 8


def test_accepting_another_network_changes_nothing(trained, tmp_path, capsys):
    """Also one whose parameters are all in the checkpoint, among others."""
    shutil.copytree(trained, tmp_path / "run")
    for hidden in ("(8,8)", "(16,)", "(16,16,16)"):
        other = [f"--config.model.hidden={hidden}", "--accept=model.hidden"]
        assert train(tmp_path / "run", *other) == 2
        gc.collect(1)  # of what Orbax has left unread Python would warn here
        line = capsys.readouterr().err
        assert "holds the parameters of another network" in line
        assert line.count("\n") == 1
    assert resolve(Workdir(tmp_path / "run").load()).model.hidden == (16, 16)
    assert train(tmp_path / "run") == 0


def test_accepting_other_averages_and_another_optimizer_keeps_the_rest(trained, tmp_path, capsys):
    """What is new begins at the parameters as they are; the learning rate goes on."""
    shutil.copytree(trained, tmp_path / "run")
    still = ["--config.training.learning_rate=1e-30", "--config.training.num_steps=7"]
    other = ["--config.training.optimizer=lion", "--config.training.averages=('0.5',)"]
    accepted = ["optimizer", "averages", "learning_rate"]
    accept = [f"--accept=training.{name}" for name in accepted]
    before = restored(trained)
    assert train(tmp_path / "run", *still, *other, *accept) == 0
    assert "at step 6; new there: opt_state, average 0.5" in capsys.readouterr().out
    after = restored(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    jax.tree.map(np.testing.assert_array_equal, after.averages["0.5"], after.params)
    # r = 9/(9 + 7) of eq. 2 of `averages`: a rounding of each of three operations, below 4 ulps.
    old, params = before.averages["0.999"], before.params
    expected = jax.tree.map(lambda a, p: a + np.float32(9 / 16) * (p - a), old, params)
    jax.tree.map(
        lambda a, e, p: np.testing.assert_allclose(
            a, e, rtol=0, atol=2**-21 * max(abs(p).max(), abs(e).max())
        ),
        after.averages["0.999"],
        expected,
        params,
    )
    counts = [leaf for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim == 0]
    assert [int(count) for count in counts] == [1, 7]
    # The command goes on, and so does what is made of the averages.
    assert train(tmp_path / "run", *still, *other) == 0
    assert TrainedModel.open(tmp_path / "run", [], make_mesh(1), average="0.5").step == 7


def restored(workdir):
    """The newest state in NumPy, as the workdir's config has it."""
    state = restore(Workdir(workdir), resolve(Workdir(workdir).load()), (2,), make_mesh(1))
    return jax.device_get(dataclasses.replace(state, key=None))
