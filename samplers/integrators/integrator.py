"""What integrates an ODE of which each example of a batch has its own copy."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from sde_lib import Pytree, expand

Field = Callable[[Array, Any], Any]
"""(u [B], tree of [B, ...]) → dy/du, a tree of [B, ...]."""


class Solution(NamedTuple):
    """What an integrator returns: the state at the end, and what it took to get there.

    Args:
      y: a tree of [B, ...], the state at the end. Of an example that is not finished, where the
        evaluations ran out; NaN where the field is not finite however short the step.
      slope: a tree of [B, ...], dy/du there.
      evaluations: [B], the evaluations that each example took.
      finished: [B], whether the example is at the end.
    """

    y: Any
    slope: Any
    evaluations: Int[Array, "batch"]
    finished: Bool[Array, "batch"]


class Integrator(Pytree, abc.ABC):
    """A way to solve dy/du = field(u, y) between two scalars, up or down."""

    @abc.abstractmethod
    def solve(
        self, field: Field, y: Any, start: Float[Array, ""], end: Float[Array, ""]
    ) -> Solution:
        """The solution at `end` from y, a tree of [B, ...], at `start`."""


def batch_size(y: Any) -> int:
    """B of a tree of [B, ...]."""
    return jax.tree.leaves(y)[0].shape[0]


def axpy(h: Float[Array, "batch"], slope: Any, y: Any) -> Any:
    """y + h slope, trees of [B, ...]."""
    return jax.tree.map(lambda leaf, k: leaf + expand(h, leaf) * k, y, slope)


def weighted_sum(slopes: Any, weights: Float[Array, "stages"]) -> Any:
    """Σ_j weights_j k_j over the leading axis of the slopes, trees of [S, B, ...].

    At full precision: an estimate of the error is what is left when the slopes cancel.
    """
    return jax.tree.map(
        lambda k: jnp.tensordot(weights.astype(k.dtype), k, axes=1, precision="highest"), slopes
    )
