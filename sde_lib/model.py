"""A model: a callable pytree `predict(x, t, cond=None) → Prediction`.

It is all that samplers, likelihoods and losses know of a network or a closed form. Its parameters
are its leaves, so a compiled program takes it as an argument and serves every checkpoint.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
from jax import Array

from sde_lib import prediction
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree
from sde_lib.sde import SDE
from sde_lib.shapes import States, Time


class Model(Protocol):
    """Whatever says which data and noise a state is made of."""

    def __call__(self, x: States, t: Time, cond: Any = None) -> Prediction:
        """The conditional means of data and noise.

        Args:
          x: states [B, ...].
          t: their times, a scalar or [B].
          cond: what the network is conditioned on, or None.

        Returns:
          Both means, each [B, ...].
        """


class DataDistribution(Protocol):
    """A distribution of data whose conditional means are known."""

    def predict(self, sde: SDE, x: States, t: Time) -> Prediction:
        """The conditional means of data and noise under `sde`, given x [B, ...] at t."""


class ClosedForm(Pytree):
    """The model of data whose conditional means are known; conditions are nothing to it.

    Args:
      data: the distribution of the data.
      sde: the SDE that perturbs them.
    """

    data: DataDistribution
    sde: SDE

    def __call__(self, x: States, t: Time, cond: Any = None) -> Prediction:
        """The conditional means of data and noise given x [B, ...] at t."""
        return self.data.predict(self.sde, x, t)


class ScoreFunction(Pytree):
    """Data of which a function knows the score ∇log p_t(x) = function(x, t), each [B, ...]."""

    function: Callable[[Array, Time], Array]

    def predict(self, sde: SDE, x: States, t: Time) -> Prediction:
        """The conditional means of data and noise under `sde`, given x [B, ...] at t."""
        return prediction.from_score(sde, x, t, self.function(x, t))


def from_score(sde: SDE, score_fn: Callable[[Array, Time], Array]) -> ClosedForm:
    """The model of a plain score function ∇log p_t(x) = score_fn(x, t).

    A plain function is part of the program (another one compiles again); a callable pytree, such as
    a `jax.tree_util.Partial`, is an argument of it.
    """
    is_plain = jax.tree_util.all_leaves([score_fn])
    score = jax.tree_util.Partial(score_fn) if is_plain else score_fn
    return ClosedForm(data=ScoreFunction(function=score), sde=sde)
