"""What the SDEs share that add noise to data of fixed scale: α = 1, f = 0, σ between two values."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sde_lib.sde import SDE


class Exploding(SDE):
    """α = 1, and σ between two values."""

    sigma_min: float
    sigma_max: float

    def validate(self) -> None:
        """Raises ValueError unless 0 < sigma_min < sigma_max."""
        if not self.sigma_min > 0:
            raise ValueError(f"sigma_min: got {self.sigma_min}, takes a number > 0")
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
