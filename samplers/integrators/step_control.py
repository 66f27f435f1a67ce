"""Steps of its own for every example: the size of an error, and where the next step goes.

    E = max over parts of RMS(error / (atol + rtol max(|y|, |y'|)))               (1)
    accept y' if E ≤ 1;   h ← h · factor                                          (2)

The parts are the leaves of the state; the factor is the method's. An example that has arrived waits
for the slowest. One whose steps have shrunk to nothing has failed, and ends as NaN.

Reference: Hairer, Nørsett & Wanner 1993, §II.4.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from samplers.integrators.integrator import Solution
from sde_lib import expand

# What a step shrinks by where the error is not finite: the least factor of DOPRI5 (`runge_kutta`).
_SHRINK = 0.2


class StepState(NamedTuple):
    """Where each example is, and the step that it tries next.

    Args:
      u: [B], the variable of integration.
      h: [B], the next step, negative on the way down.
      failed: [B], whether no step is short enough.
      start, end: scalars, the ends of all examples.
    """

    u: Array
    h: Array
    failed: Array
    start: Array
    end: Array

    @classmethod
    def at_start(cls, start: Array, end: Array, first: Array, batch: int) -> "StepState":
        """All at the start, with the same first step."""
        u, h = jnp.full((batch,), start), jnp.full((batch,), first)
        return cls(u, h, jnp.zeros((batch,), bool), start, end)

    @property
    def running(self) -> Array:
        """Which examples have not ended, [B]."""
        return (self.u != self.end) & ~self.failed

    def advance(self, accept: Array, factor: Array | float) -> "StepState":
        """After a step of h: eq. 2, where it was accepted; never past the end."""
        running = self.running
        moved = jnp.where(accept & running, self.u + self.h, self.u)
        remaining = self.end - moved
        h = self.h * jnp.where(jnp.isfinite(factor), factor, _SHRINK)
        # A step that would leave less than a tenth of itself goes to the end.
        h = jnp.where(jnp.abs(h) * 1.1 >= jnp.abs(remaining), remaining, h)
        # What is left of the last step is rounding.
        arrived = accept & (jnp.abs(remaining) <= jnp.abs(self.h) * 1e-6)
        # No step is short enough where the field is not finite.
        least = jnp.finfo(self.u.dtype).eps * jnp.abs(self.end - self.start)
        failed = self.failed | (running & ~accept & (jnp.abs(h) < least))
        return self._replace(
            u=jnp.where(arrived, self.end, moved), h=jnp.where(running, h, self.h), failed=failed
        )

    def solution(self, y: Any, slope: Any, evaluations: Array) -> Solution:
        """NaN where an example failed; the others as they are, and whether they have arrived."""
        y, slope = (
            jax.tree.map(lambda k: jnp.where(expand(self.failed, k), jnp.nan, k), tree)
            for tree in (y, slope)
        )
        return Solution(y, slope, evaluations, self.u == self.end)


def error_size(
    error: Any, old: Any, new: Any, rtol: Array | float, atol: Array | float
) -> Float[Array, "batch"]:
    """E of eq. 1: the size of an error of a step, in tolerances.

    Args:
      error: a tree of [B, ...].
      old, new: the states before and after, trees of [B, ...].
      rtol, atol: what the error may be of the state, and what it may be at all.
    """

    def part(error: Array, old: Array, new: Array) -> Array:
        ratio = error / (atol + rtol * jnp.maximum(jnp.abs(old), jnp.abs(new)))
        return jnp.sqrt(jnp.mean(ratio**2, axis=tuple(range(1, ratio.ndim))))

    return jnp.max(jnp.stack(jax.tree.leaves(jax.tree.map(part, error, old, new))), axis=0)


def where(mask: Bool[Array, "batch"], new: Any, old: Any) -> Any:
    """The examples of trees of [B, ...]: new where the mask is set, else old."""
    return jax.tree.map(lambda n, o: jnp.where(expand(mask, n), n, o), new, old)
