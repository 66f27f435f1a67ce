"""Steps of its own for every example: the size of an error, and where the next step goes.

    E = max over parts of RMS(error / (atol + rtol max(|y|, |y'|)))               (1)
    accept y' if E ≤ 1;   h ← h · factor                                          (2)

The parts are the leaves of the state; the factor is the method's. An example waits for the slowest
when it has arrived, and ends as NaN where its steps have shrunk to nothing.

Reference: Hairer, Nørsett & Wanner 1993, §II.4.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.integrators.integrator import Solution
from sde_lib import expand

_SHRINK = 0.2


class Clock(NamedTuple):
    """Where each example is and the step it tries next, [B]; what all of them start and end at.

    lost: the examples that cannot go on, [B].
    """

    u: Array
    h: Array
    lost: Array
    start: Array
    end: Array

    @classmethod
    def at_start(cls, start: Array, end: Array, first: Array, batch: int) -> "Clock":
        """All at the start, with the same first step."""
        u, h = jnp.full((batch,), start), jnp.full((batch,), first)
        return cls(u, h, jnp.zeros((batch,), bool), start, end)

    @property
    def running(self) -> Array:
        """Which examples have not ended, [B]."""
        return (self.u != self.end) & ~self.lost

    def tick(self, accept: Array, factor: Array) -> "Clock":
        """Eq. 2: after a step of h, where it was accepted; never past the end."""
        running = self.running
        moved = jnp.where(accept & running, self.u + self.h, self.u)
        remaining = self.end - moved
        h = self.h * jnp.where(jnp.isfinite(factor), factor, _SHRINK)
        # A step that would leave less than a tenth of itself goes to the end.
        h = jnp.where(jnp.abs(h) * 1.1 >= jnp.abs(remaining), remaining, h)
        arrived = accept & (jnp.abs(remaining) <= jnp.abs(self.h) * 1e-6)
        # No step is short enough where the field is not finite.
        least = jnp.finfo(self.u.dtype).eps * jnp.abs(self.end - self.start)
        lost = self.lost | (running & ~accept & (jnp.abs(h) < least))
        return self._replace(
            u=jnp.where(arrived, self.end, moved), h=jnp.where(running, h, self.h), lost=lost
        )

    def solution(self, y: Any, slope: Any, evaluations: Array) -> Solution:
        """NaN for the lost; the others as they are, and whether they have arrived."""
        y, slope = (
            jax.tree.map(lambda k: jnp.where(expand(self.lost, k), jnp.nan, k), tree)
            for tree in (y, slope)
        )
        return Solution(y, slope, evaluations, self.u == self.end)


def error_size(error: Any, old: Any, new: Any, rtol: Array | float, atol: Array | float) -> Array:
    """E of eq. 1, [B]; trees of [B, ...]."""

    def part(error: Array, old: Array, new: Array) -> Array:
        ratio = error / (atol + rtol * jnp.maximum(jnp.abs(old), jnp.abs(new)))
        return jnp.sqrt(jnp.mean(ratio**2, axis=tuple(range(1, ratio.ndim))))

    return jnp.max(jnp.stack(jax.tree.leaves(jax.tree.map(part, error, old, new))), axis=0)


def chosen(mask: Array, new: Any, old: Any) -> Any:
    """The trees' examples [B, ...]: new where the mask is set."""
    return jax.tree.map(lambda n, o: jnp.where(expand(mask, n), n, o), new, old)
