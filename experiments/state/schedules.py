"""What the learning rate does after its warm-up, as a factor of where the run stands.

A schedule is a function of d in [0, 1], the fraction of the steps done.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from sde_lib import Registry

schedules = Registry("schedule", Callable)


@schedules.register("constant")
def constant(done: Array) -> Array:
    """No change: 1."""
    return jnp.ones_like(done)


@schedules.register("cosine")
def cosine(done: Array) -> Array:
    """Half a cosine: (1 + cos π d)/2, from 1 to 0.

    Reference: Loshchilov and Hutter, "SGDR" (2017), eq. 5, without restarts.
    """
    return (1 + jnp.cos(jnp.pi * done)) / 2


@schedules.register("linear")
def linear(done: Array) -> Array:
    """A straight line: 1 − d, from 1 to 0.

    Reference: Defazio et al., "Optimal linear decay learning rate schedules and further
    refinements" (2023).
    """
    return 1.0 - done


@schedules.register("inverse_sqrt")
def inverse_sqrt(done: Array) -> Array:
    """The inverse square root of the step: 1/√max(d/d_ref, 1).

    It is 1 until d_ref = 1/15 of the steps, and 0.26 at the last.

    Reference: Karras et al. 2024 "Analyzing and improving the training dynamics of diffusion
    models" App. B; d_ref is the 70 000 of the 1 048 576 steps of their EDM2-S.
    """
    return 1 / jnp.sqrt(jnp.maximum(15.0 * done, 1.0))
