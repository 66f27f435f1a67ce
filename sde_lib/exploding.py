"""What the SDEs share that add noise to data of fixed scale: α = 1, f = 0, σ between two values."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sde_lib.pytree import number
from sde_lib.ranges import check_ranges
from sde_lib.sde import SDE


class Exploding(SDE):
    """α = 1, and σ between two values."""

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

    def alpha(self, t: ArrayLike) -> Array:
        """1."""
        return jnp.ones_like(jnp.asarray(t, dtype=float))

    def drift_coefficient(self, t: ArrayLike) -> Array:
        """0."""
        return jnp.zeros_like(jnp.asarray(t, dtype=float))
