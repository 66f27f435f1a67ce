"""What examples are conditioned on, as a pytree with a row an example.

A field more (tokens, a mask, an image) is one line here and one in the networks that take it.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sde_lib.pytree import Pytree


class Condition(Pytree):
    """What each example is conditioned on; of those that are not kept, a network's learned null.

    Args:
      label: classes from 0, int32 [B]; None where there are none.
      vector: float32 [B, D], standardised; None where there are none.
      keep: bool [B], of which examples the condition holds; None: of all.
    """

    label: Int[Array | np.ndarray, "batch"] | None = None
    vector: Float[Array | np.ndarray, "batch features"] | None = None
    keep: Bool[Array | np.ndarray, "batch"] | None = None

    def drop(self, keep: Bool[Array, "batch"]) -> "Condition":
        """The condition with the null in place of what is not to be kept.

        Args:
          keep: bool [B], false for the examples that lose their condition.
        """
        return dataclasses.replace(self, keep=keep if self.keep is None else self.keep & keep)

    @property
    def null(self) -> "Condition":
        """The null for every example."""
        return self.drop(jnp.zeros(self.num, bool))

    @property
    def num(self) -> int:
        """The number B of examples.

        Raises:
          ValueError: it holds nothing.
        """
        for leaf in (self.label, self.vector):
            if leaf is not None:
                return len(leaf)
        raise ValueError("condition: got nothing, takes a label or a vector")
