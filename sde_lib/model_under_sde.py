"""A model used under another SDE than the one it was trained with.

All affine SDEs give the same x/α at the same noise-to-signal ratio n = σ/α, so a model
of one is a model of every other: at x and t it predicts what it does at

    t_0: n_0(t_0) = n(t),   x_0 = x √(α_0² + σ_0²)/√(α² + σ²)                      (1)

where the factor is α_0/α, and finite where α = 0. Beyond the n that the model knows, the nearest.

Reference: Karras et al. 2022 "EDM", App. B.
"""

from typing import Any

import jax.numpy as jnp

from sde_lib.model import Model
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree
from sde_lib.sde import SDE, expand
from sde_lib.shapes import States, Time


class ModelUnderSDE(Pytree):
    """The model that a model trained with one SDE is under another: eq. 1 of `model_under_sde`.

    Args:
      model: the model, as trained; or what else is a function (x, t, cond) of its states, as the
        log-probabilities of a classifier.
      trained: the SDE it was trained with.
      sde: the SDE it is used with.
    """

    model: Model
    trained: SDE
    sde: SDE

    def __call__(self, x: States, t: Time, cond: Any = None) -> Prediction:
        """What the model predicts at x_0 and t_0, for states x [B, ...] at t, a scalar or [B]."""
        at = self.trained.time_of_log_snr(self.sde.log_snr(t))
        size, known = (
            jnp.hypot(sde.alpha(time), sde.sigma(time))
            for sde, time in ((self.sde, t), (self.trained, at))
        )
        return self.model(x * expand(known / size, x), at, cond)
