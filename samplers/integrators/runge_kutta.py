"""Runge–Kutta integration by embedded pairs, with steps by a tolerance or equal.

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

Every iteration is one evaluation of F for the whole batch, so the program holds one copy of F.
Examples that are done wait for the slowest.

References: Dormand & Prince 1980; Bogacki & Shampine 1989; Hairer, Nørsett & Wanner 1993, §II.4 and
§II.10; Söderlind 2003 (4).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from samplers.coefficients.lagrange import as_constant
from samplers.coefficients.tableaux import Tableau, pairs, tableaux
from samplers.integrators.integrator import (
    Field,
    Integrator,
    Solution,
    axpy,
    batch_size,
    weighted_sum,
)
from samplers.integrators.step_control import StepState, error_size, where
from samplers.integrators.steps import ByTolerance, Equal
from sde_lib import static

# Those of DOPRI5 (Hairer, Nørsett & Wanner 1993, appendix).
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class RungeKutta(Integrator):
    """A Runge–Kutta method with an embedded one: eq. 1 to 4 of the module.

    Args:
      tableau: a name in `tableaux`, of a method with an embedded one.
      pid: P, I and D of eq. 4, for steps by a tolerance.
      steps: by a tolerance, or equal.

    Reference: Hairer, Nørsett & Wanner 1993, §II.4.
    """

    tableau: str = static(default="dopri5")
    pid: tuple[Array | float, Array | float, Array | float] = (0.4, 0.3, 0.0)
    steps: ByTolerance | Equal = ByTolerance()

    def solve(
        self, field: Field, y: Any, start: Float[Array, ""], end: Float[Array, ""]
    ) -> Solution:
        """See `Integrator`.

        Raises:
          ValueError: the tableau has no embedded method.
        """
        method = tableaux[self.tableau]
        if method.error is None:
            raise ValueError(f"tableau: got {self.tableau!r}, takes one of {', '.join(pairs())}")
        return self.steps.solve(partial(self._solve, method), field, y, start, end)

    def _solve(self, method: Tableau, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """The solution in the variable of the steps."""
        batch = batch_size(y)
        first = self.steps.first(end - start, parts=2, order=method.order)
        slopes = jax.tree.map(lambda leaf: jnp.zeros((len(method.b), *leaf.shape), leaf.dtype), y)
        state = _State(
            step=StepState.at_start(start, end, first, batch),
            y=y,
            slopes=slopes,
            evaluations=jnp.zeros(batch, jnp.int32),
            log_errors=jnp.zeros((2, batch)),
        )
        state = self.steps.repeat(
            partial(self._iterate, method, field), state, evaluations=len(method.b) - 1
        )
        slope = jax.tree.map(lambda k: k[0], state.slopes)
        return state.step.solution(state.y, slope, state.evaluations)

    def _iterate(
        self, method: Tableau, field: Field, iteration: Array, state: "_State"
    ) -> "_State":
        """One stage, and the end of the step after the last."""
        step, last = state.step, len(method.b) - 1
        # The first step has a stage more: of the others it is the last of the step before.
        stage = jnp.where(iteration == 0, 0, (iteration - 1) % last + 1)
        proposed = axpy(step.h, weighted_sum(state.slopes, as_constant(method.a)[stage]), state.y)
        slope = field(step.u + as_constant(method.c)[stage] * step.h, proposed)
        state = state._replace(
            slopes=jax.tree.map(lambda k, new: k.at[stage].set(new), state.slopes, slope),
            evaluations=state.evaluations + step.running,
        )
        return jax.lax.cond(
            stage == last,
            partial(self._complete, method),
            lambda state, _: state,
            state,
            proposed,
        )

    def _complete(self, method: Tableau, state: "_State", proposed: Any) -> "_State":
        """Accept the step or not, and choose the next."""
        accept, factor, log_errors = self._judge(method, state, proposed)
        first = where(
            accept,
            jax.tree.map(lambda k: k[-1], state.slopes),
            jax.tree.map(lambda k: k[0], state.slopes),
        )
        return state._replace(
            step=state.step.advance(accept, factor),
            y=where(accept, proposed, state.y),
            slopes=jax.tree.map(lambda k, new: k.at[0].set(new), state.slopes, first),
            log_errors=log_errors,
        )

    def _judge(
        self, method: Tableau, state: "_State", proposed: Any
    ) -> tuple[Array, Array | float, Array]:
        """Who accepts [B], the factor of the next step [B], and log E of the last two steps."""
        step = state.step
        if isinstance(self.steps, Equal):
            return step.running, 1.0, state.log_errors
        slope = weighted_sum(state.slopes, as_constant(method.error))
        error = axpy(step.h, slope, jax.tree.map(jnp.zeros_like, slope))
        size = error_size(error, state.y, proposed, self.steps.rtol, self.steps.atol)
        accept = (size <= 1) & step.running
        return accept, *self._next(method, size, accept, state.log_errors)

    def _next(
        self, method: Tableau, size: Array, accept: Array, log_errors: Array
    ) -> tuple[Array, Array]:
        """The factor of eq. 3 [B], and log E of the two steps accepted last [2, B]."""
        proportional, integral, derivative = self.pid
        before, earlier = log_errors
        # An error may vanish.
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
    """What an iteration carries on.

    Args:
      step: where the examples are.
      y: a tree of [B, ...], the state there.
      slopes: trees of [S, B, ...], k of the stages so far.
      evaluations: [B].
      log_errors: [2, B], log E of the steps accepted last.
    """

    step: StepState
    y: Any
    slopes: Any
    evaluations: Array
    log_errors: Array
