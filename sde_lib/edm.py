"""SDEs that add noise to data of fixed scale, α = 1, other than the geometric VE.

    EDM         σ(t) = (σ_min^{1/ρ} + t (σ_max^{1/ρ} − σ_min^{1/ρ}))^ρ            (1)
    linear VE   σ(t) = σ_min + t (σ_max − σ_min)                                  (2)

Their probability flow is VE's in another time. Uniform steps in the time of (1) are EDM's grid.

Reference: Karras et al. 2022 "EDM", eq. 5 (1), Table 1 (2: σ(t) = t).
"""

import jax.numpy as jnp
from jax import Array

from sde_lib.exploding import Exploding
from sde_lib.pytree import number
from sde_lib.sde import register
from sde_lib.shapes import Times


@register("edm")
class EDM(Exploding):
    """The SDE in whose time EDM's grid is uniform: α = 1, and σ^{1/ρ} is linear in t.

    Args:
      sigma_min: σ(0) > 0.
      sigma_max: σ(1).
      rho: ρ ≥ 1.

    Reference: Karras et al. 2022, eq. 5.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = number(default=7.0, low=1)

    def _ends(self) -> tuple[Array, Array]:
        low, high = (jnp.asarray(s, dtype=float) for s in (self.sigma_min, self.sigma_max))
        return low ** (1 / self.rho), high ** (1 / self.rho)

    def sigma(self, t: Times) -> Times:
        """(σ_min^{1/ρ} + t (σ_max^{1/ρ} − σ_min^{1/ρ}))^ρ."""
        low, high = self._ends()
        return (low + t * (high - low)) ** self.rho

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """From σ^{1/ρ}; outside [0, 1] the nearer end."""
        low, high = self._ends()
        root = jnp.exp(-log_snr / 2 / self.rho)
        return jnp.clip((root - low) / (high - low), 0.0, 1.0)


@register("linear_ve")
class LinearVE(Exploding):
    """The SDE whose σ is linear in t, with α = 1.

    Args:
      sigma_min: σ(0) > 0.
      sigma_max: σ(1).

    Reference: Karras et al. 2022, Table 1 (σ(t) = t).
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def sigma(self, t: Times) -> Times:
        """σ_min + t (σ_max − σ_min)."""
        return self.sigma_min + t * (self.sigma_max - self.sigma_min)

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """Linear in σ; outside [0, 1] the nearer end."""
        sigma = jnp.exp(-log_snr / 2)
        return jnp.clip((sigma - self.sigma_min) / (self.sigma_max - self.sigma_min), 0.0, 1.0)
