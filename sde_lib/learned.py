"""A variance-preserving SDE whose log-SNR is learned: any monotone curve between two ends.

    log α²/σ² = l_max − (l_max − l_min) C(t),   α² + σ² = 1                        (1)

with C piecewise linear on K equal intervals of [0, 1], its increments softmax(a): monotone whatever
the a, which are leaves, so that gradients reach them like a network's parameters (`bound`).

Reference: Kingma et al. 2021 "VDM", §5.1 and App. H.
"""

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.ranges import check_ranges
from sde_lib.sde import SDE, register
from sde_lib.shapes import Times


@register("learned")
class LearnedLogSNR(SDE):
    """The variance-preserving SDE whose log-SNR is any monotone curve, learned with the network.

    Eq. 1 of `learned`.

    Args:
      log_snr_max: l_max, at t = 0.
      log_snr_min: l_min < l_max, at t = 1.
      increments: a, of any length K ≥ 1.

    Reference: Kingma et al. 2021, §5.1 and App. H.
    """

    log_snr_max: float = 13.0
    log_snr_min: float = -10.0
    increments: tuple[Array | float, ...] = (0.0,) * 16

    def validate(self) -> None:
        """Raises ValueError unless log_snr_min < log_snr_max, both finite, and K ≥ 1."""
        check_ranges(self)
        if not self.log_snr_min < self.log_snr_max:
            raise ValueError(
                f"log_snr_min: got {self.log_snr_min}, takes a number < log_snr_max = "
                f"{self.log_snr_max}"
            )
        if not len(self.increments):
            raise ValueError("increments: got none, takes one or more")

    def _knots(self) -> Array:
        """C at 0, 1/K, …, 1."""
        steps = jax.nn.softmax(jnp.asarray(self.increments, dtype=float))
        inner = jnp.cumsum(steps)[:-1]
        return jnp.concatenate([jnp.zeros(1), inner, jnp.ones(1)])

    def log_snr(self, t: Times) -> Times:
        """l_max − (l_max − l_min) C(t)."""
        knots = self._knots()
        at = jnp.interp(t, jnp.linspace(0, 1, len(knots)), knots)
        return self.log_snr_max - (self.log_snr_max - self.log_snr_min) * at

    def time_of_log_snr(self, log_snr: Times) -> Times:
        """The inverse, piecewise linear too; outside [0, 1] the nearer end."""
        knots = self._knots()
        span = self.log_snr_max - self.log_snr_min
        at = (self.log_snr_max - log_snr) / span
        return jnp.interp(at, knots, jnp.linspace(0, 1, len(knots)))

    def alpha(self, t: Times) -> Times:
        """√sigmoid(log-SNR)."""
        return jnp.sqrt(jax.nn.sigmoid(self.log_snr(t)))

    def sigma(self, t: Times) -> Times:
        """√sigmoid(−log-SNR)."""
        return jnp.sqrt(jax.nn.sigmoid(-self.log_snr(t)))

    def noise_to_signal(self, t: Times) -> Times:
        """e^{−log-SNR/2}."""
        return jnp.exp(-self.log_snr(t) / 2)
