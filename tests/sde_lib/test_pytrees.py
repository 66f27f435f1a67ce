"""SDEs are pytrees: numbers are leaves that may be swept, batched and learned. And `validate`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import SDE, VE, VP, LearnedLogSNR, Pytree, SubVP, static
from tests.cases import SDES, every_sde, float32_tolerance
from tests.user_sde import StraightPath


@every_sde
def test_numbers_are_leaves(sde):
    leaves, tree = jax.tree.flatten(sde)
    assert leaves == [getattr(sde, field.name) for field in dataclasses.fields(sde)]
    assert jax.tree.unflatten(tree, leaves) == sde


@every_sde
def test_new_numbers_run_the_program_that_is_there(sde):
    traces = []

    @jax.jit
    def sigma(sde, t):
        traces.append(t)
        return sde.sigma(t), sde.time_of_log_snr(sde.log_snr(t))

    for factor in (1.0, 1.1, 1.2):
        swept = jax.tree.map(lambda leaf, factor=factor: leaf * factor, sde)
        # An exponential whose argument, up to 5, has a few roundings.
        expected = swept.sigma(0.5)
        assert_allclose(sigma(swept, 0.5)[0], expected, rtol=float32_tolerance([5.0]))
    assert len(traces) == 1


@pytest.mark.parametrize("sde", [sde for sde in SDES.values() if jax.tree.leaves(sde)])
def test_a_batch_of_sdes(sde):
    """vmap over every field at once is the SDEs one by one."""
    factors = (1.0, 1.3, 1.7)
    swept = [jax.tree.map(lambda leaf, f=f: leaf * f, sde) for f in factors]
    batch = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *swept)
    diffusions = jax.vmap(lambda sde: sde.diffusion(0.4))(batch)
    assert_allclose(diffusions, [one.diffusion(0.4) for one in swept], rtol=1e-5)
    assert len(np.unique(diffusions)) == 3


def test_structures_of_different_classes_differ():
    """`jit` looks its programs up by structure: equal ones run each other's, once in 128 pairs."""
    structures = [jax.tree.structure(sde) for sde in SDES.values()]
    for i, one in enumerate(structures):
        for j, other in enumerate(structures):
            assert (one == other) == (i == j)
            assert (hash(one) == hash(other)) == (i == j)


def test_paths_are_field_names():
    """Checkpoints and error messages call the leaves by them."""
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(VP())]
    assert paths == [".beta_min", ".beta_max"]


def test_sdes_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VP().beta_max = 3.0
    with pytest.raises(TypeError):
        VP(0.1, 20.0)


def test_static_fields_are_part_of_the_program():
    class Named(Pytree):
        value: float
        name: str = static(default="linear")

    traces = []

    @jax.jit
    def program(tree):
        traces.append(tree.name)
        return tree.value

    for tree in (Named(value=1.0), Named(value=2.0), Named(value=2.0, name="square")):
        program(tree)
    assert traces == ["linear", "square"]


class Rising(SDE):
    """An SDE whose noise goes down: not one."""

    def alpha(self, t):
        """1."""
        return jnp.ones_like(t)

    def sigma(self, t):
        """2 − t."""
        return 2 - t


@every_sde
def test_defaults_are_valid(sde):
    sde.validate()


INVALID = [
    (VP(beta_min=-1.0), r"^beta_min: got -1.0, takes a number ≥ 0$"),
    (VP(beta_min=5.0, beta_max=2.0), r"^beta_max: got 2.0, takes a number > beta_min = 5.0$"),
    (SubVP(beta_max=float("inf")), r"^beta_max: got inf, takes a finite number$"),
    (SubVP(beta_min=float("nan")), r"^beta_min: got nan, takes a number ≥ 0$"),
    (VE(sigma_min=0.0), r"^sigma_min: got 0.0, takes a number > 0$"),
    (VE(sigma_min=2.0, sigma_max=1.0), r"^sigma_max: got 1.0, takes a number > sigma_min = 2.0$"),
    (StraightPath(noise_std=float("nan")), r"^noise_std: got nan, takes a finite number$"),
    (StraightPath(noise_std=float("inf")), r"^noise_std: got inf, takes a finite number$"),
    (
        LearnedLogSNR(log_snr_max=-10.0),
        r"^log_snr_min: got -10.0, takes a number < log_snr_max = -10.0$",
    ),
    (LearnedLogSNR(increments=()), r"^increments: got none, takes one or more$"),
    (Rising(), r"^Rising: log α²/σ² must decrease with t, it does not$"),
]


@pytest.mark.parametrize(("sde", "message"), INVALID)
def test_invalid_numbers_are_named(sde, message):
    with pytest.raises(ValueError, match=message) as error:
        sde.validate()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["0.1", None, [0.1], True + 0j])
def test_a_field_takes_only_numbers(value):
    with pytest.raises(ValueError, match=r"^noise_std: got .*, takes a finite number$"):
        StraightPath(noise_std=value).validate()


def test_an_sde_needs_both_curves():
    class Half(SDE):
        def alpha(self, t):
            return t

    with pytest.raises(TypeError, match="sigma"):
        Half()


def test_every_registered_sde_is_under_test():
    assert {"vp", "subvp", "ve", "user"} <= set(SDES)
