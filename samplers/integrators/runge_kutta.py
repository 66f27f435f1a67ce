"""Runge–Kutta integration: adaptive, with a step of its own for every example, or on a fixed grid.

    k_i = F(u + c_i h, y + h Σ_j a_ij k_j),   y' = y + h Σ_i b_i k_i              (1)
    error = h Σ_i (b_i − b̂_i) k_i                                                 (2)
    accept if its size E ≤ 1;   h ← h · clip(0.9 ρ, 0.2, 10)                      (3)
    ρ^q = E_n^{−(P+I+D)} E_{n−1}^{P+2D} E_{n−2}^{−D}                              (4)

with q the order of b̂ plus one and E_{n−1}, E_{n−2} of the steps accepted before. (P, I, D) =
(0, 1, 0) is the elementary controller; the default (0.4, 0.3, 0) errs about half as much at equal
tolerance, and by evaluations is better on some problems and worse on others
(benchmarks/likelihood.py). A method is a tableau, not code. The pairs here are "first same as
last": the last k of an accepted step is the first of the next, and the field at the end is known
when the integration is over.

Every turn of the loop is one evaluation of F for the whole batch, so the program holds one copy of
F. Examples that are done wait for the slowest.

References: Dormand & Prince 1980; Bogacki & Shampine 1989; Hairer, Nørsett & Wanner 1993, §II.4 and
§II.10; Söderlind 2003 (4).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coefficients.lagrange import constant
from samplers.coefficients.tableaux import Tableau, tableaux
from samplers.integrators.integrator import (
    Field,
    Integrator,
    Solution,
    advance,
    batch_size,
    combine,
)
from samplers.integrators.step_control import Clock, chosen, error_size
from sde_lib import static

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class RungeKutta(Integrator):
    """Adaptive steps, eq. 2 to 4.

    Args:
      tableau: a name in `tableaux`.
      rtol, atol: the tolerances of `step_control`, eq. 1.
      pid: P, I and D of eq. 4.
      max_evaluations: turns of the loop at most; see `Solution` for what would need more.
    """

    tableau: str = static(default="dopri5")
    rtol: Array | float = 1e-5
    atol: Array | float = 1e-5
    pid: tuple[Array | float, Array | float, Array | float] = (0.4, 0.3, 0.0)
    max_evaluations: int = static(default=2000)

    def solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """See `Integrator`."""
        method = tableaux[self.tableau]
        batch = batch_size(y)
        first = (end - start) / 2 * jnp.asarray(self.rtol, dtype=float) ** (1 / method.order)
        state = _State(
            turn=jnp.zeros((), jnp.int32),
            stage=jnp.zeros((), jnp.int32),
            clock=Clock.at_start(start, end, first, batch),
            y=y,
            slopes=_no_slopes(method, y),
            evaluations=jnp.zeros(batch, jnp.int32),
            log_errors=jnp.zeros((2, batch)),
        )
        state = jax.lax.while_loop(
            lambda s: jnp.any(s.clock.running) & (s.turn < self.max_evaluations),
            partial(self._turn, method, field),
            state,
        )
        slope = jax.tree.map(lambda k: k[0], state.slopes)
        return state.clock.solution(state.y, slope, state.evaluations)

    def _turn(self, method: Tableau, field: Field, state: "_State") -> "_State":
        """One stage, and the end of the step after the last."""
        clock, stage = state.clock, state.stage
        proposed = advance(state.y, clock.h, combine(state.slopes, constant(method.a)[stage]))
        slope = field(clock.u + constant(method.c)[stage] * clock.h, proposed)
        state = state._replace(
            turn=state.turn + 1,
            stage=stage + 1,
            slopes=jax.tree.map(lambda k, new: k.at[stage].set(new), state.slopes, slope),
            evaluations=state.evaluations + clock.running,
        )
        return jax.lax.cond(
            state.stage == len(method.b),
            partial(self._complete, method),
            lambda state, _: state,
            state,
            proposed,
        )

    def _complete(self, method: Tableau, state: "_State", proposed: Any) -> "_State":
        """Accept the step or not, and choose the next."""
        clock = state.clock
        error = combine(state.slopes, constant(method.error))
        error = advance(jax.tree.map(jnp.zeros_like, error), clock.h, error)
        size = error_size(error, state.y, proposed, self.rtol, self.atol)
        accept = (size <= 1) & clock.running
        factor, log_errors = self._next(method, size, accept, state.log_errors)
        first = chosen(
            accept,
            jax.tree.map(lambda k: k[-1], state.slopes),
            jax.tree.map(lambda k: k[0], state.slopes),
        )
        return state._replace(
            stage=jnp.ones_like(state.stage),
            clock=clock.tick(accept, factor),
            y=chosen(accept, proposed, state.y),
            slopes=jax.tree.map(lambda k, new: k.at[0].set(new), state.slopes, first),
            log_errors=log_errors,
        )

    def _next(
        self, method: Tableau, size: Array, accept: Array, log_errors: Array
    ) -> tuple[Array, Array]:
        """The factor of eq. 3 [B], and log E of the two steps accepted last [2, B]."""
        proportional, integral, derivative = self.pid
        before, earlier = log_errors
        now = jnp.log(jnp.maximum(size, 1e-10))
        log_factor = (
            -(proportional + integral + derivative) * now
            + (proportional + 2 * derivative) * before
            - derivative * earlier
        ) / (method.embedded_order + 1)
        factor = _SAFETY * jnp.exp(log_factor)
        # After a rejection the step must not grow, whatever the errors before were.
        factor = jnp.clip(factor, _SHRINK, jnp.where(accept, _GROW, _SAFETY))
        return factor, jnp.where(accept, jnp.stack([now, before]), log_errors)


class _State(NamedTuple):
    """The slopes of the stages so far [S, B, ...]."""

    turn: Array
    stage: Array
    clock: Clock
    y: Any
    slopes: Any
    evaluations: Array
    log_errors: Array


def _no_slopes(method: Tableau, y: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros((len(method.b), *leaf.shape), leaf.dtype), y)


class FixedRungeKutta(Integrator):
    """`num_steps` equal steps of eq. 1, the same evaluations for every example.

    Args:
      tableau: a name in `tableaux`.
      num_steps: steps.
    """

    tableau: str = static(default="dopri5")
    num_steps: int = static(default=10)

    def solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """See `Integrator`."""
        tableau = tableaux[self.tableau]
        last = len(tableau.b) - 1
        batch = batch_size(y)
        h = jnp.broadcast_to((end - start) / self.num_steps, (batch,))
        a, c = constant(tableau.a), constant(tableau.c)

        def turn(carry: tuple[Any, Any], number: Array) -> tuple[tuple, None]:
            y, slopes = carry
            # Turn 0 is stage 0 of the first step; each further step has stages 1 to `last`.
            stage = jnp.where(number == 0, 0, (number - 1) % last + 1)
            step = (number - 1) // last
            at = advance(y, h, combine(slopes, a[stage]))
            u = start + (step + c[stage]) * h
            u = jnp.where(number == 0, start, jnp.where(number == turns - 1, end, u))
            slope = field(u, at)
            is_last = stage == last
            # The last stage of a step is the first of the next, at the state it ends in.
            slopes = jax.tree.map(
                lambda k, new: k.at[jnp.where(is_last, 0, stage)].set(new), slopes, slope
            )
            y = jax.tree.map(lambda new, old: jnp.where(is_last, new, old), at, y)
            return (y, slopes), None

        turns = self.num_steps * last + 1
        (y, slopes), _ = jax.lax.scan(turn, (y, _no_slopes(tableau, y)), jnp.arange(turns))
        slope = jax.tree.map(lambda k: k[0], slopes)
        return Solution(y, slope, jnp.full((batch,), turns), jnp.ones((batch,), bool))
