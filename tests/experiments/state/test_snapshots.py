"""Power-law averages on disk, and what is reconstructed from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.errors import UserError
from experiments.state import averages
from experiments.state.snapshots import load_snapshots, reconstruct, save_snapshot

LIKE = {
    "params": {
        "conv": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)},
        "scale": 0 * jnp.ones(()),
    }
}
NAMES = ["0.9", "power:0.05", "power:0.1", "power:0.075"]


def params(step):
    """Smooth trajectories, another for each number."""
    phases = np.arange(10) + step / 100
    return {
        "params": {
            "conv": {
                "kernel": jnp.asarray(np.sin(phases[:6]).reshape(2, 3), jnp.float32),
                "bias": jnp.asarray(np.cos(phases[6:9]), jnp.float32),
            },
            "scale": jnp.asarray(phases[9] ** 2, jnp.float32),
        }
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of 320 steps with a snapshot every 20, and its last averages."""
    folder = tmp_path_factory.mktemp("run") / "averages"
    specs = averages.parse(NAMES)
    update = jax.jit(lambda state, now, step: averages.update(specs, state, now, step))
    state = averages.init(specs, params(0))
    for step in range(320):
        state = update(state, params(step + 1), step)
        if (step + 1) % 20 == 0:
            save_snapshot(folder, step + 1, {k: v for k, v in state.items() if k != NAMES[-1]})
    return folder, state


def test_power_law_averages_come_back(run):
    folder, state = run
    snapshots = load_snapshots(folder)
    assert [(s.step, s.sigma_rel) for s in snapshots[-2:]] == [(320, 0.05), (320, 0.1)]
    assert len(snapshots) == 32
    jax.tree.map(assert_array_equal, snapshots[-1].load(LIKE), state["power:0.1"])
    assert not list(folder.glob("*.partial"))


def test_a_width_that_was_not_tracked(run):
    """The profile is off by 0.35 %; the parameters of these paths by less."""
    folder, state = run
    rebuilt = reconstruct(folder, 0.075, 320, LIKE)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=2e-3), rebuilt, state["power:0.075"])
    assert {leaf.dtype for leaf in jax.tree.leaves(rebuilt)} == {jnp.dtype("float32")}


def test_later_snapshots_do_not_matter(run, tmp_path):
    folder, _ = run
    for path in folder.glob("*.npz"):
        if int(path.stem) <= 160:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    early, late = (reconstruct(f, 0.08, 160, LIKE) for f in (tmp_path, folder))
    jax.tree.map(assert_array_equal, early, late)


def test_without_power_law_averages_no_file(tmp_path):
    save_snapshot(tmp_path, 5, {"0.9": LIKE})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sigma_rel", "step", "words"),
    [
        (0.3, 320, "sigma_rel: got 0.3, takes a width in"),
        (0.0, 320, "sigma_rel: got 0.0"),
        (0.01, 320, "an error of 3[0-9]%"),
        (0.1, 330, "step: got 330, takes one of those stored: 20, 40, .*320$"),
    ],
)
def test_what_cannot_be_reconstructed(run, sigma_rel, step, words):
    with pytest.raises(UserError, match=words):
        reconstruct(run[0], sigma_rel, step, LIKE)


def test_no_snapshots(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match="holds no snapshots"):
            reconstruct(folder, 0.1, 320, LIKE)


def damage(how, path):
    content = path.read_bytes()
    if how == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "one byte":  # of the first array
        path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    else:
        np.savez(path, weights=np.ones(3))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut off", "is damaged"),
        ("empty", "is damaged"),
        ("one byte", "is damaged"),
        ("another's", "holds weights, takes power-law averages"),
    ],
)
def test_damaged_files(run, tmp_path, how, words):
    path = tmp_path / "00000320.npz"
    path.write_bytes((run[0] / path.name).read_bytes())
    damage(how, path)
    with pytest.raises(UserError, match=f"00000320.npz: {words}") as error:
        reconstruct(tmp_path, 0.1, 320, LIKE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "other",
    [
        {"params": {"conv": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}}},
        jax.tree.map(lambda leaf: jnp.zeros((2, *leaf.shape)), LIKE),
        {"params": {**LIKE["params"], "more": jnp.zeros(3)}},
    ],
)
def test_another_network(run, other):
    with pytest.raises(UserError, match="another network"):
        reconstruct(run[0], 0.1, 320, other)
