"""The variance-exploding SDE, the continuous limit of SMLD.

    α = 1,   σ(t) = σ_min (σ_max/σ_min)^t,   f = 0,   g = σ √(2 log(σ_max/σ_min))

σ(0) = σ_min > 0: the data counts as already blurred by it.
"""

import jax.numpy as jnp
from jax import Array

from sde_lib.exploding import Exploding
from sde_lib.sde import Transition, register
from sde_lib.shapes import Times


@register("ve")
class VE(Exploding):
    """The variance-exploding SDE: α = 1, and σ grows geometrically.

    Args:
      sigma_min: σ(0) > 0, below the detail of the data.
      sigma_max: σ(1) > σ(0), about the largest distance between two data points.

    Reference: Song et al. 2021, eq. 9 and 31; Song & Ermon 2020, Technique 1 (the choice of σ_max).
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def _log_ratio(self) -> Array:
        return jnp.log(self.sigma_max / self.sigma_min)

    def log_alpha(self, t: Times) -> Times:
        """0."""
        return jnp.zeros_like(t)

    def sigma(self, t: Times) -> Times:
        """σ_min (σ_max/σ_min)^t."""
        return self.sigma_min * jnp.exp(t * self._log_ratio())

    def log_snr(self, t: Times) -> Times:
        """−2 log σ, linear in t."""
        return -2 * (jnp.log(self.sigma_min) + t * self._log_ratio())

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """Linear; outside [0, 1] the nearer end."""
        t = (-log_snr / 2 - jnp.log(self.sigma_min)) / self._log_ratio()
        return jnp.clip(t, 0.0, 1.0)

    def diffusion(self, t: Times) -> Times:
        """σ √(2 log(σ_max/σ_min))."""
        return self.sigma(t) * jnp.sqrt(2 * self._log_ratio())

    def discrete_transition(self, t: Times, *, num_scales: int) -> Transition:
        """SMLD: σ²_{t|s} = σ_i² − σ_{i−1}², σ_i geometric, σ_{−1} = 0, i = ⌊t (N − 1)⌋."""
        index = jnp.floor(t * (num_scales - 1))
        below = jnp.exp(-2 * self._log_ratio() / (num_scales - 1))
        fraction = jnp.where(index > 0, 1 - below, 1.0)
        variance = fraction * self.sigma(index / (num_scales - 1)) ** 2
        return Transition(alpha=jnp.ones_like(variance), variance=variance, fraction=fraction)
