"""The variance-preserving SDE with a cosine schedule.

    α = cos(πt/2),   σ = sin(πt/2),   log α²/σ² = −2 log tan(πt/2)

All of the signal is gone at t = 1, where α = 0.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sde_lib.sde import SDE, register


@register("cosine")
class Cosine(SDE):
    """Cosine VP.

    Reference: Nichol & Dhariwal 2021, eq. 17, without the offset; Salimans & Ho 2022, §2.
    """

    def alpha(self, t: ArrayLike) -> Array:
        """cos(πt/2) as a sine, so that it is 0 at t = 1 and has all its digits before."""
        return jnp.sin(jnp.pi / 2 * (1 - jnp.asarray(t, dtype=float)))

    def sigma(self, t: ArrayLike) -> Array:
        """sin(πt/2)."""
        return jnp.sin(jnp.pi / 2 * jnp.asarray(t, dtype=float))

    def time_of_log_snr(self, log_snr: ArrayLike) -> Array:
        """2/π arctan(σ/α)."""
        return 2 / jnp.pi * jnp.arctan(jnp.exp(-jnp.asarray(log_snr, dtype=float) / 2))
