"""The variance-preserving SDE with a cosine schedule.

    α = cos(πt/2),   σ = sin(πt/2),   log α²/σ² = −2 log tan(πt/2)

All of the signal is gone at t = 1, where α = 0.
"""

import jax.numpy as jnp

from sde_lib.sde import SDE, register
from sde_lib.shapes import Times


@register("cosine")
class Cosine(SDE):
    """The variance-preserving SDE with a cosine schedule: α = cos(πt/2), σ = sin(πt/2).

    Reference: Nichol & Dhariwal 2021, eq. 17, without the offset; Salimans & Ho 2022, §2.
    """

    def alpha(self, t: Times) -> Times:
        """cos(πt/2) as a sine, so that it is 0 at t = 1 and has all its digits before."""
        return jnp.sin(jnp.pi / 2 * (1 - t))

    def sigma(self, t: Times) -> Times:
        """sin(πt/2)."""
        return jnp.sin(jnp.pi / 2 * t)

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """2/π arctan(σ/α)."""
        return 2 / jnp.pi * jnp.arctan(jnp.exp(-log_snr / 2))
