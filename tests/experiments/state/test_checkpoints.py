"""Checkpoints, read in parts."""

import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.errors import UserError
from experiments.state.checkpoints import Checkpoints
from experiments.state.train_state import TrainState
from experiments.state.trees import flatten

FIELDS = ("step", "key", "weighting", "in_a_row", "sums")


def state(width: int) -> TrainState:
    """A state whose every part is a number of its own; parameters have a width."""
    ones = {"kernel": jnp.ones((2, width))}
    parts = {"params": ones, "averages": {"a": ones, "b": ones}, "opt_state": ones}
    parts |= dict.fromkeys(FIELDS, jnp.ones(3))
    numbers = iter(range(20))
    return TrainState(**jax.tree.map(lambda leaf: leaf * next(numbers), parts))


def abstract(width: int) -> TrainState:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), state(width)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    with Checkpoints(folder, writer=True) as checkpoints:
        checkpoints.save(1, state(4))
    return folder


@pytest.mark.parametrize("width", [4, 5])
def test_only_what_is_asked_for_is_read(folder, width):
    """What does not fit stays abstract, asked for or not; what fits and is not asked for, None."""
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.restore(abstract(width), ["step", "averages/b"])
    saved, leaves = flatten(state(4)), flatten(found)
    assert set(leaves) == ({"step", "averages/b/kernel"} if width == 4 else {"step"}) | {
        path for path in saved if path.endswith("kernel") and width == 5
    }
    for path, leaf in leaves.items():
        if width == 5 and path.endswith("kernel"):
            assert isinstance(leaf, jax.ShapeDtypeStruct)
        else:
            np.testing.assert_array_equal(leaf, saved[path])


def test_a_checkpoint_whose_structure_nobody_wrote_down(folder, tmp_path):
    """As one of another name: what was saved is looked at."""
    shutil.copytree(folder, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints.json").exists()
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        found = checkpoints.restore(abstract(4))
    for path, leaf in flatten(found).items():
        np.testing.assert_array_equal(leaf, flatten(state(4))[path])


def test_an_empty_folder_holds_none(tmp_path):
    with (
        Checkpoints(tmp_path, writer=True) as checkpoints,
        pytest.raises(UserError, match="holds no checkpoint, takes one; run train first"),
    ):
        checkpoints.restore(abstract(4))


def noise(width):
    """A state that no compression makes smaller."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), state(width))


def test_a_full_disk_loses_what_it_has_no_room_for_alone(tmp_path, capsys):
    """Which is said with the next one; a limit on file sizes stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(tmp_path / "checkpoints", writer=True) as checkpoints:
        checkpoints.save(1, noise(4))
        checkpoints.wait()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            checkpoints.save(2, noise(10_000))
            with pytest.raises(UserError, match=r"step 3 could not be .* step 1 is whole"):
                checkpoints.save(3, noise(10_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "checkpoint of step 2 could not be written" in capsys.readouterr().err
        checkpoints.save(4, noise(10_000))
        checkpoints.wait()
        assert checkpoints.steps == [1, 4]


def test_a_checkpoint_that_says_nothing_of_its_structure(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "1" / "state" / "_METADATA").write_bytes(b"")
    with (
        Checkpoints(tmp_path / "checkpoints") as checkpoints,
        pytest.raises(UserError, match=r"checkpoints/1: the checkpoint cannot be read"),
    ):
        checkpoints.restore(abstract(4))
