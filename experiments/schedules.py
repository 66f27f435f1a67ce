"""What the learning rate does after its warm-up, as a factor of where the run stands."""

import jax.numpy as jnp
from jax import Array

from sde_lib import Registry

schedules = Registry("schedule")


@schedules.register("constant")
def constant(done: Array) -> Array:
    """1."""
    return jnp.ones_like(done)


@schedules.register("cosine")
def cosine(done: Array) -> Array:
    """(1 + cos π d)/2, from 1 to 0; d in [0, 1] the fraction of the steps done.

    Reference: Loshchilov and Hutter, "SGDR" (2017), eq. 5, without restarts.
    """
    return (1 + jnp.cos(jnp.pi * done)) / 2
