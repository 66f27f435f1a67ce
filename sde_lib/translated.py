"""A model used under another SDE than the one it was trained with.

All affine SDEs see the same data through x/α at the same noise-to-signal ratio n = σ/α, so a model
of one is a model of every other: at x and t it predicts what it does at

    t_0: n_0(t_0) = n(t),   x_0 = x √(α_0² + σ_0²)/√(α² + σ²)                      (1)

where the factor is α_0/α, and finite where α = 0. Beyond the n that the model knows, the nearest.

Reference: Karras et al. 2022 "EDM", App. B.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sde_lib.model import Model
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree
from sde_lib.sde import SDE, expand


class Translated(Pytree):
    """Eq. 1.

    Args:
      model: of `trained`.
      trained: the SDE it was trained with.
      sde: the SDE it is used with.
    """

    model: Model
    trained: SDE
    sde: SDE

    def __call__(self, x: Array, t: ArrayLike, cond: Any = None) -> Prediction:
        """What the model predicts at eq. 1."""
        at = self.trained.time_of_log_snr(self.sde.log_snr(t))
        size, known = (
            jnp.hypot(sde.alpha(time), sde.sigma(time))
            for sde, time in ((self.sde, t), (self.trained, at))
        )
        return self.model(x * expand(known / size, x), at, cond)
