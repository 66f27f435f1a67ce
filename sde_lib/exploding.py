"""What the SDEs share that add noise to data of fixed scale: α = 1, f = 0, σ between two values."""

import jax.numpy as jnp

from sde_lib.pytree import number
from sde_lib.ranges import check_ranges
from sde_lib.sde import SDE
from sde_lib.shapes import Times


class Exploding(SDE):
    """The part that SDEs with α = 1 share; a subclass adds σ, from one value up to another.

    Args:
      sigma_min: σ(0) > 0.
      sigma_max: σ(1) > σ(0).
    """

    sigma_min: float = number(above=0)
    sigma_max: float

    def validate(self) -> None:
        """Raises ValueError unless 0 < sigma_min < sigma_max."""
        check_ranges(self)
        if not self.sigma_max > self.sigma_min:
            raise ValueError(
                f"sigma_max: got {self.sigma_max}, takes a number > sigma_min = {self.sigma_min}"
            )
        super().validate()

    def alpha(self, t: Times) -> Times:
        """1."""
        return jnp.ones_like(t)

    def drift_coefficient(self, t: Times) -> Times:
        """0."""
        return jnp.zeros_like(t)
