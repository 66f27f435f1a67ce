"""Adams predict–correct integration, one evaluation a step, with steps by a tolerance or equal.

With f_i = F(u_i, ·) at the last values and h the next step, k of them make up the polynomial P_k
through f_i … f_{i−k+1}, and with the new value P*_k:

    predict    p = y_i + ∫ P_k du                                  over u_i … u_i + h  (1)
    evaluate   f_{i+1} = F(u_i + h, p)
    correct    y_{i+1} = y_i + ∫ P*_k du                                              (2)
    error      e_k = ∫ (P*_k − P*_{k−1}) du                                           (3)

On equal steps (1) is the Adams–Bashforth method of order k and (2) that of Adams–Moulton of order
k + 1. The corrected state is not evaluated again. k starts at 1 and grows by one with every step
while there is no more history. Then equal steps keep it, and by a tolerance it goes where the next
step may be longest, E_k being the size of e_k:

    h ← h · clip(0.7 max over k − 1, k, k + 1 of E_k^{−1/(k + 1)}, 0.2, 2).           (4)

The error of (2) is of order k + 1, that of its estimate k. The first steps, with less history, cost
equal steps little where they are short and the field begins flat, as the probability flow does at
the data. A network's output is rough in u and small steps are not much more accurate than their
number makes them, so that old values are worth more than the stages of a Runge–Kutta method: about
half the evaluations at errors of 10⁻³ to 10⁻⁴ (benchmarks/likelihood.py).

References: Hairer, Nørsett & Wanner 1993, §III.1 and §III.5 (variable steps), §III.7 (4).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from samplers.coefficients.lagrange import integrals
from samplers.integrators.integrator import Field, Integrator, Solution, batch_size
from samplers.integrators.step_control import StepState, error_size, where
from samplers.integrators.steps import ByTolerance, Equal
from sde_lib import expand, static

# A step at most doubles, as in Shampine & Gordon's codes (Hairer, Nørsett & Wanner 1993, §III.7),
# and 0.7 is their safety (1/2)^{1/(k + 1)} at k = 1. The least factor is that of `runge_kutta`.
_SAFETY, _SHRINK, _GROW = 0.7, 0.2, 2.0


class Adams(Integrator):
    """The Adams–Bashforth–Moulton method on any steps: eq. 1 to 4 of the module.

    Args:
      history: the largest k.
      steps: by a tolerance, where k too is each example's own, or equal.

    Reference: Hairer, Nørsett & Wanner 1993, §III.5.
    """

    history: int = static(default=4, low=1)
    steps: ByTolerance | Equal = ByTolerance()

    def solve(
        self, field: Field, y: Any, start: Float[Array, ""], end: Float[Array, ""]
    ) -> Solution:
        """See `Integrator`."""
        return self.steps.solve(self._solve, field, y, start, end)

    def _solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """The solution in the variable of the steps."""
        batch = batch_size(y)
        first = self.steps.first(end - start, parts=5, order=2)
        state = _State(
            step=StepState.at_start(start, end, first, batch),
            y=y,
            # Nothing is known yet: nodes that differ, so that no weight is infinite.
            nodes=start - first * jnp.arange(1.0, self.history + 1)[:, None] * jnp.ones(batch),
            slopes=(jax.tree.map(jnp.zeros_like, y),) * self.history,
            known=jnp.zeros(batch, jnp.int32),
            order=jnp.zeros(batch, jnp.int32),
            evaluations=jnp.zeros(batch, jnp.int32),
        )
        state = self.steps.repeat(partial(self._iterate, field), state, evaluations=1)
        return state.step.solution(state.y, state.slopes[0], state.evaluations)

    def _iterate(self, field: Field, iteration: Array, state: "_State") -> "_State":
        """One step.

        The first iteration only evaluates the field at the start, by a step of length 0, so that
        the program holds the field once.
        """
        step, running = state.step, state.step.running
        h = jnp.where(iteration > 0, step.h, 0.0)
        unit = jnp.where(running, step.h, 1.0)
        old = (state.nodes - step.u) / unit
        predicted = _integral(state.slopes, h, integrals(old, state.order, 0.0, 1.0))
        slope = field(step.u + h, jax.tree.map(jnp.add, state.y, predicted))

        slopes = (slope, *state.slopes)
        new = jnp.concatenate([(h / unit)[None], old])
        lower, low, high, higher = (
            integrals(new, state.order + j, 0.0, 1.0) for j in (-1, 0, 1, 2)
        )
        y = jax.tree.map(jnp.add, state.y, _integral(slopes, h, high))
        errors = [_integral(slopes, h, w) for w in (low - lower, high - low, higher - high)]
        accept, factor, order = self._judge(state, y, errors)

        learns = accept & (state.known < self.history)
        advanced = step.advance(accept, factor)
        return _State(
            step=jax.tree.map(partial(jnp.where, iteration > 0), advanced, step),
            y=where(accept, y, state.y),
            nodes=jnp.where(
                accept, jnp.concatenate([(step.u + h)[None], state.nodes[:-1]]), state.nodes
            ),
            slopes=where(accept, slopes[:-1], state.slopes),
            known=state.known + learns,
            order=jnp.where(learns, state.known + 1, order),
            evaluations=state.evaluations + running,
        )

    def _judge(self, state: "_State", y: Any, errors: list) -> tuple[Array, Array | float, Array]:
        """Who accepts y [B], the factor of the next step [B], and its k [B] once there is history.

        errors: e_{k−1}, e_k and e_{k+1}.
        """
        running = state.step.running
        if isinstance(self.steps, Equal):
            return running, 1.0, state.order
        rtol, atol = self.steps.rtol, self.steps.atol
        sizes = [error_size(error, state.y, y, rtol, atol) for error in errors]
        accept = (sizes[1] <= 1) & running
        return accept, *_next(sizes, accept, state.order, state.known)


class _State(NamedTuple):
    """What an iteration carries on.

    Args:
      step: where the examples are.
      y: a tree of [B, ...], the state there.
      nodes: [K, B], u_i, u_{i−1}, ….
      slopes: K trees of [B, ...], f at the nodes.
      known: [B], how many of them there are so far.
      order: [B], k.
      evaluations: [B].
    """

    step: StepState
    y: Any
    nodes: Array
    slopes: tuple
    known: Array
    order: Array
    evaluations: Array


def _next(sizes: list[Array], accept: Array, order: Array, known: Array) -> tuple[Array, Array]:
    """The factor of eq. 4 and the k that allows it, [B] each."""
    orders = jnp.stack([order - 1, order, order + 1])
    possible = (orders >= 1) & (orders <= known)
    # An error may vanish.
    factors = _SAFETY * jnp.maximum(jnp.stack(sizes), 1e-10) ** (-1 / (orders + 1.0))
    factors = jnp.where(possible, factors, 0.0)
    best = jnp.argmax(factors, axis=0).astype(order.dtype)
    factor = jnp.take_along_axis(factors, best[None], axis=0)[0]
    # After a rejection the step must not grow.
    factor = jnp.clip(factor, _SHRINK, jnp.where(accept, _GROW, _SAFETY))
    return factor, order - 1 + best


def _integral(slopes: tuple, h: Array, weights: Array) -> Any:
    """h Σ_j weights_j slopes_j; the weights [K, B], a row for each of at most K slopes."""
    return jax.tree.map(
        lambda *ks: sum(expand(h * w, k) * k for w, k in zip(weights, ks, strict=True)), *slopes
    )
