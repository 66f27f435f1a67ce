"""What integrates an ODE of which each example of a batch has its own copy."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib import Pytree, expand

Field = Callable[[Array, Any], Any]
"""(u [B], tree of [B, ...]) → dy/du, a tree of [B, ...]."""


class Solution(NamedTuple):
    """y and its derivative at the end (trees of [B, ...]), and evaluations each example took [B].

    finished: whether it is at the end [B]. If not, y is where the evaluations ran out, or NaN where
      the field is not finite however short the step.
    """

    y: Any
    slope: Any
    evaluations: Array
    finished: Array


class Integrator(Pytree, abc.ABC):
    """A way to solve dy/du = field(u, y) between two scalars, up or down."""

    @abc.abstractmethod
    def solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """The solution at `end` from y, a tree of [B, ...], at `start`."""


def batch_size(y: Any) -> int:
    """B of a tree of [B, ...]."""
    return jax.tree.leaves(y)[0].shape[0]


def advance(y: Any, h: Array, slope: Any) -> Any:
    """y + h slope, h one per example."""
    return jax.tree.map(lambda leaf, k: leaf + expand(h, leaf) * k, y, slope)


def combine(slopes: Any, weights: Array) -> Any:
    """Σ_j weights_j k_j over the leading axis of the slopes.

    At full precision: an estimate of the error is what is left when the slopes cancel.
    """
    return jax.tree.map(
        lambda k: jnp.tensordot(weights.astype(k.dtype), k, axes=1, precision="highest"), slopes
    )
