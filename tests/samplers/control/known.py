"""A constraint to what is known."""

from typing import Any

import jax
import jax.numpy as jnp

from samplers import Constraint
from sde_lib import SDE, static

TO = jnp.array([1.2, 0.0])


class Known(Constraint):
    """x + share (α to + spread σ z − x): with share 1 the forward process of what is known.

    `to` and `share` are [D], or `to` of each example [B, D]; `calls` takes (t_end, noise) of each.
    """

    sde: SDE
    to: Any
    share: Any = 1.0
    spread: Any = 1.0
    calls: Any = static(default=None)

    def apply(self, draw, x, t_end):
        z = draw()
        if self.calls:
            jax.debug.callback(self.calls, -1.0 if t_end is None else t_end, z, ordered=True)
        if t_end is None:
            return x + self.share * (self.to - x)
        alpha, sigma = self.sde.alpha(t_end), self.sde.sigma(t_end)
        return x + self.share * (alpha * self.to + self.spread * sigma * z - x)
