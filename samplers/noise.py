"""Noise that belongs to an example, not to a batch.

The k-th draw of example i is a function of (key, i, k) alone, so a sample does not depend on the
batch size, on who else is in the batch, or on how many devices share it.
"""

from functools import partial

import jax
from jax import Array

# The draw that makes the latent; the updates of the loop draw at 0, 1, 2, ...
LATENT = 2**31 - 1


def example_keys(key: Array, indices: Array) -> Array:
    """One key per example, fold_in(key, index). indices [B] → [B]."""
    return jax.vmap(partial(jax.random.fold_in, key))(indices)


def normal(keys: Array, draw: Array | int, shape: tuple[int, ...]) -> Array:
    """Standard normal [B, *shape], the draw numbered `draw` of each example. keys [B]."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, draw), shape))(keys)


def rademacher(keys: Array, draw: Array | int, shape: tuple[int, ...]) -> Array:
    """±1 with equal chances [B, *shape], the draw numbered `draw` of each example. keys [B]."""

    def one(key: Array) -> Array:
        return jax.random.rademacher(jax.random.fold_in(key, draw), shape, dtype=float)

    return jax.vmap(one)(keys)


def uniform(keys: Array, draw: Array | int, shape: tuple[int, ...]) -> Array:
    """Uniform on [0, 1) [B, *shape], the draw numbered `draw` of each example. keys [B]."""
    return jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, draw), shape))(keys)
