"""The rectified flow: straight lines between noise and data.

    α = 1 − t,   σ = t

All of the signal is gone at t = 1, where α = 0.
"""

import jax

from sde_lib.sde import SDE, register
from sde_lib.shapes import Times


@register("flow")
class Flow(SDE):
    """The rectified flow: α = 1 − t, σ = t, straight lines between noise and data.

    It is flow matching with the conditional optimal-transport path.

    Reference: Liu et al. 2023; Lipman et al. 2023, eq. 20 with σ_min = 0.
    """

    def alpha(self, t: Times) -> Times:
        """1 − t."""
        return 1 - t

    def sigma(self, t: Times) -> Times:
        """t."""
        return t

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """n/(1 + n) with n = σ/α."""
        return jax.nn.sigmoid(-log_snr / 2)
