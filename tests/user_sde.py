"""An SDE as a user writes it: two curves and a number, registered nowhere.

α(1) = 0, and f and g are infinite at t = 1, so it is also the hardest one.
"""

from jax import Array

from sde_lib import SDE


class StraightPath(SDE):
    """α = 1 − t, σ = noise_std t: rectified flow, with noise of another size."""

    noise_std: float = 1.3

    def alpha(self, t: Array) -> Array:
        """1 − t."""
        return 1 - t

    def sigma(self, t: Array) -> Array:
        """noise_std · t."""
        return self.noise_std * t
