"""Positions that were learned on one grid, on another."""

import jax.numpy as jnp
import numpy as np

from models.features.vision_transformer import positions_on


def test_positions_stay_as_they_are_on_their_own_grid_and_the_class_token_on_any():
    learned = jnp.asarray(np.random.default_rng(0).normal(size=(1, 10, 2)), jnp.float32)
    assert positions_on(learned, (3, 3)) is learned
    moved = positions_on(learned, (2, 4))
    assert moved.shape == (1, 9, 2)
    # A weighted mean: what is the same everywhere stays.
    same = jnp.ones_like(learned)
    np.testing.assert_allclose(positions_on(same, (2, 4)), 1, atol=1e-6)
    np.testing.assert_array_equal(moved[:, 0], learned[:, 0])
