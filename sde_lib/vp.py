"""The variance-preserving SDE, the continuous limit of DDPM.

    α = e^{−B/2},   σ = √(1 − e^{−B}),   f = −β/2,   g = √β

β and B as in `linear_beta`.
"""

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.linear_beta import LinearBeta
from sde_lib.sde import Transition, register
from sde_lib.shapes import Times


@register("vp")
class VP(LinearBeta):
    """The variance-preserving SDE: α² + σ² = 1, with a linear β.

    Reference: Song et al. 2021, eq. 11 and 32; Ho et al. 2020 for the discrete table.
    """

    def sigma(self, t: Times) -> Times:
        """√(1 − e^{−B}); expm1, because float32 loses 3.7 % of 1 − e^{−B} near t = 1e-5."""
        return jnp.sqrt(-jnp.expm1(-self.integrated_beta(t)))

    def log_snr(self, t: Times) -> Times:
        """−log(e^B − 1)."""
        return -jnp.log(jnp.expm1(self.integrated_beta(t)))

    def noise_to_signal(self, t: Times) -> Times:
        """√(e^B − 1)."""
        return jnp.sqrt(jnp.expm1(self.integrated_beta(t)))

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """From B = log(1 + e^{−log_snr})."""
        return self.time_of_integrated_beta(jax.nn.softplus(-log_snr))

    def diffusion(self, t: Times) -> Times:
        """√β."""
        return jnp.sqrt(self.beta(t))

    def transition(self, s: Array, t: Array) -> Transition:
        """α_{t|s} = e^{−ΔB/2}, σ²_{t|s} = 1 − e^{−ΔB}, with ΔB = B(t) − B(s) factored by t − s."""
        increment = (t - s) * self.beta((s + t) / 2)
        variance = -jnp.expm1(-increment)
        return Transition(
            alpha=jnp.exp(-increment / 2),
            variance=variance,
            fraction=variance / -jnp.expm1(-self.integrated_beta(t)),
        )

    def discrete_transition(self, t: Times, *, num_scales: int) -> Transition:
        """DDPM: α = √(1 − β_i), σ² = β_i, β_i = linspace(β_min/N, β_max/N, N), i = ⌊t (N − 1)⌋.

        The step reaches the variance (1 − β_i) σ² + β_i, from σ² at i/N, where the one before ends.
        """
        index = jnp.floor(t * (num_scales - 1))
        beta = self.beta(index / (num_scales - 1)) / num_scales
        before = self.sigma(index / num_scales) ** 2
        return Transition(
            alpha=jnp.sqrt(1 - beta), variance=beta, fraction=beta / ((1 - beta) * before + beta)
        )
