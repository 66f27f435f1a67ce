"""A model: a callable pytree `predict(x, t, cond=None) → Prediction`.

It is all that samplers, likelihoods and losses know of a network or a closed form. Its parameters
are its leaves, so a compiled program takes it as an argument and serves every checkpoint.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
from jax import Array
from jax.typing import ArrayLike

from sde_lib import prediction
from sde_lib.prediction import Prediction
from sde_lib.sde import SDE


class Model(Protocol):
    """x [B, ...], t scalar or [B], cond what the network takes or None."""

    def __call__(self, x: Array, t: ArrayLike, cond: Any = None) -> Prediction: ...


def from_score(sde: SDE, score_fn: Callable[[Array, ArrayLike], Array]) -> Model:
    """The model of a plain score function ∇log p_t(x) = score_fn(x, t).

    A plain function is part of the program (another one compiles again); a callable pytree, such as
    a `jax.tree_util.Partial`, is an argument of it.
    """
    is_plain = jax.tree_util.all_leaves([score_fn])
    score = jax.tree_util.Partial(score_fn) if is_plain else score_fn
    return jax.tree_util.Partial(_predict_from_score, sde, score)


def _predict_from_score(
    sde: SDE, score: Callable, x: Array, t: ArrayLike, cond: Any = None
) -> Prediction:
    del cond  # a plain score function is unconditional
    return prediction.from_score(sde, x, t, score(x, t))
