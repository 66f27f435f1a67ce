"""The sub-variance-preserving SDE: VP's α with a smaller noise, σ_subVP = σ_VP².

    α = e^{−B/2},   σ = 1 − e^{−B},   f = −β/2,   g = √(β (1 − e^{−2B}))

β and B as in `linear_beta`.
"""

import jax.numpy as jnp

from sde_lib.linear_beta import LinearBeta
from sde_lib.sde import register
from sde_lib.shapes import Times


@register("subvp")
class SubVP(LinearBeta):
    """The sub-variance-preserving SDE: σ = 1 − e^{−B}, less noise than VP at every time.

    Reference: Song et al. 2021, eq. 12 and 33.
    """

    def sigma(self, t: Times) -> Times:
        """1 − e^{−B}; expm1, because float32 loses 7.5 % of it near t = 1e-5."""
        return -jnp.expm1(-self.integrated_beta(t))

    def noise_to_signal(self, t: Times) -> Times:
        """2 sinh(B/2)."""
        return 2 * jnp.sinh(self.integrated_beta(t) / 2)

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """From B = 2 asinh(n/2), n = e^{−log_snr/2}."""
        n = jnp.exp(-log_snr / 2)
        return self.time_of_integrated_beta(2 * jnp.arcsinh(n / 2))

    def diffusion(self, t: Times) -> Times:
        """√(β (1 − e^{−2B}))."""
        return jnp.sqrt(self.beta(t) * -jnp.expm1(-2 * self.integrated_beta(t)))
