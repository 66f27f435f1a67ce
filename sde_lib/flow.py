"""The rectified flow: straight lines between noise and data.

    α = 1 − t,   σ = t

All of the signal is gone at t = 1, where α = 0.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sde_lib.sde import SDE, register


@register("flow")
class Flow(SDE):
    """Rectified flow, flow matching with the conditional optimal-transport path.

    Reference: Liu et al. 2023; Lipman et al. 2023, eq. 20 with σ_min = 0.
    """

    def alpha(self, t: ArrayLike) -> Array:
        """1 − t."""
        return 1 - jnp.asarray(t, dtype=float)

    def sigma(self, t: ArrayLike) -> Array:
        """t."""
        return jnp.asarray(t, dtype=float)

    def time_of_log_snr(self, log_snr: ArrayLike) -> Array:
        """n/(1 + n) with n = σ/α."""
        return jax.nn.sigmoid(-jnp.asarray(log_snr, dtype=float) / 2)
