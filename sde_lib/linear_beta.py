"""SDEs whose β(t) is linear.

β(t) = β_min + t (β_max − β_min),    B(t) = ∫₀ᵗ β = β_min t + (β_max − β_min) t²/2
α = e^{−B/2},   f = −β/2
"""

import jax.numpy as jnp
from jax import Array

from sde_lib.pytree import number
from sde_lib.ranges import check_ranges
from sde_lib.sde import SDE
from sde_lib.shapes import Times
from sde_lib.times import of_times


class LinearBeta(SDE):
    """The part that VP and sub-VP share: α = e^{−B/2} with a linear β. A subclass adds σ.

    Args:
      beta_min: β(0) ≥ 0.
      beta_max: β(1) > β(0).
    """

    beta_min: float = number(default=0.1, low=0)
    beta_max: float = 20.0

    def validate(self) -> None:
        """Raises ValueError unless 0 ≤ beta_min < beta_max."""
        check_ranges(self)
        if not self.beta_max > self.beta_min:
            raise ValueError(
                f"beta_max: got {self.beta_max}, takes a number > beta_min = {self.beta_min}"
            )
        super().validate()

    @of_times
    def beta(self, t: Times) -> Times:
        """β(t)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    @of_times
    def integrated_beta(self, t: Times) -> Times:
        """B(t)."""
        return t * (self.beta_min + t * (self.beta_max - self.beta_min) / 2)

    def time_of_integrated_beta(self, integral: Array) -> Array:
        """The t in [0, 1] with B(t) = integral, by the quadratic formula that never cancels."""
        slope = self.beta_max - self.beta_min
        integral = jnp.minimum(integral, self.integrated_beta(jnp.ones(())))
        root = jnp.sqrt(jnp.square(self.beta_min) + 2 * slope * integral)
        # The floor serves β_min = 0 at t = 0 alone, where the quotient is 0/0 and t is 0.
        denominator = jnp.maximum(self.beta_min + root, jnp.finfo(root.dtype).tiny)
        return jnp.minimum(2 * integral / denominator, 1.0)

    def alpha(self, t: Times) -> Times:
        """e^{−B/2}."""
        return jnp.exp(-self.integrated_beta(t) / 2)

    def log_alpha(self, t: Times) -> Times:
        """−B/2."""
        return -self.integrated_beta(t) / 2

    def drift_coefficient(self, t: Times) -> Times:
        """−β/2."""
        return -self.beta(t) / 2

    def prior_std(self) -> Array:
        """1: the published prior N(0, I), whose variance differs from σ(1)² by e^{−B(1)} ≈ 4e-5."""
        return jnp.ones(())
