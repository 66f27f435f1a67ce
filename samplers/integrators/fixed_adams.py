"""Adams predict–correct integration on a fixed grid, one evaluation a step.

The grid is uniform in v, from 0 to 1, with

    u = start + (end − start) S(v),   S = v − g sin(2πv)/2π,   S' = 1 − g cos 2πv (1)

denser at both ends by the factor 1/(1 − g). g = 0 suits densities of sharp components, whose flow
changes most in between; g = 0.8 is meant for networks, whose output varies with log σ/α up to both
ends. With f_i = (du/dv) F(u_i, ·), h the step in v and k values of history,

    predict    p = y_i + h Σ_j b_j f_{i−j},             Adams–Bashforth of order k    (2)
    evaluate   f_{i+1} = (du/dv) F(u_{i+1}, p)
    correct    y_{i+1} = y_i + h (c_0 f_{i+1} + Σ_j c_{j+1} f_{i−j}),
                                                        Adams–Moulton of order k + 1  (3)

The corrected state is not evaluated again; the error is of order k + 1. The first steps have the
history there is: an error that is small where they are short and the field begins flat, as the
probability flow does at the data.

Every example takes the same evaluations, N + 1 for N steps.

Reference: Hairer, Nørsett & Wanner 1993, §III.1, eq. 1.5 and 1.9.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers.coefficients.lagrange import constant
from samplers.integrators.integrator import (
    Field,
    Integrator,
    Solution,
    advance,
    batch_size,
    combine,
)
from sde_lib import expand, static

# b_j of eq. 2 and c_j of eq. 3, newest first, by k.
_BASHFORTH: dict[int, list[float]] = {
    1: [1],
    2: [3 / 2, -1 / 2],
    3: [23 / 12, -16 / 12, 5 / 12],
    4: [55 / 24, -59 / 24, 37 / 24, -9 / 24],
}
_MOULTON: dict[int, list[float]] = {
    1: [1 / 2, 1 / 2],
    2: [5 / 12, 8 / 12, -1 / 12],
    3: [9 / 24, 19 / 24, -5 / 24, 1 / 24],
    4: [251 / 720, 646 / 720, -264 / 720, 106 / 720, -19 / 720],
}


class FixedAdams(Integrator):
    """Eq. 1 to 3.

    Args:
      num_steps: N.
      history: k, from 1 to 4.
      grading: g, 0 ≤ g < 1.
    """

    num_steps: int = static(default=49)
    history: int = static(default=3)
    grading: Array | float = 0.0

    def solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """See `Integrator`.

        Raises:
          ValueError: `history` or `num_steps` is out of range.
        """
        predict, correct = self._weights()
        batch = batch_size(y)
        h = jnp.full((batch,), 1 / self.num_steps)

        def step(carry: tuple[Any, Any], inputs: tuple) -> tuple[tuple, None]:
            y, slopes = carry
            number, predict, correct = inputs
            v = number * h
            bend = self.grading * jnp.sin(2 * jnp.pi * v) / (2 * jnp.pi)
            u = jnp.where(number == self.num_steps, end, start + (end - start) * (v - bend))
            speed = (end - start) * (1 - self.grading * jnp.cos(2 * jnp.pi * v))
            slope = field(u, advance(y, h, combine(slopes, predict)))
            slope = jax.tree.map(lambda k: expand(speed, k) * k, slope)
            slopes = jax.tree.map(lambda new, k: jnp.concatenate([new[None], k]), slope, slopes)
            y = advance(y, h, combine(slopes, correct))
            return (y, jax.tree.map(lambda k: k[: self.history], slopes)), None

        # The first turn evaluates at the start and goes nowhere: one copy of the field.
        slopes = jax.tree.map(lambda leaf: jnp.zeros((self.history, *leaf.shape), leaf.dtype), y)
        turns = (jnp.arange(self.num_steps + 1), constant(predict), constant(correct))
        (y, slopes), _ = jax.lax.scan(step, (y, slopes), turns)
        last_speed = (end - start) * (1 - self.grading)
        return Solution(
            y=y,
            slope=jax.tree.map(lambda k: k[0] / last_speed, slopes),
            evaluations=jnp.full((batch,), self.num_steps + 1),
            finished=jnp.ones((batch,), bool),
        )

    def _weights(self) -> tuple[np.ndarray, np.ndarray]:
        """b [N + 1, k] and c [N + 1, k + 1] of every turn, the first of which is all zero."""
        if self.history not in _BASHFORTH:
            raise ValueError(f"history: got {self.history}, takes 1 to {max(_BASHFORTH)}")
        if self.num_steps < 1:
            raise ValueError(f"num_steps: got {self.num_steps}, takes an integer ≥ 1")
        predict = np.zeros((self.num_steps + 1, self.history))
        correct = np.zeros((self.num_steps + 1, self.history + 1))
        for turn in range(1, self.num_steps + 1):
            known = min(turn, self.history)
            predict[turn, :known] = _BASHFORTH[known]
            correct[turn, : known + 1] = _MOULTON[known]
        return predict, correct
