"""Adams predict–correct integration, one evaluation a step: steps and order are the example's own.

With f_i = F(u_i, ·) at the last values and h the next step, k of them make up the polynomial P_k
through f_i … f_{i−k+1}, and with the new value P*_k:

    predict    p = y_i + ∫ P_k du                                  over u_i … u_i + h  (1)
    evaluate   f_{i+1} = F(u_i + h, p)
    correct    y_{i+1} = y_i + ∫ P*_k du                                              (2)
    error      e_k = ∫ (P*_k − P*_{k−1}) du                                           (3)

The corrected state is not evaluated again. k starts at 1, grows by one with every step while there
is no more history, and then goes where the next step may be longest, E_k being the size of e_k:

    h ← h · clip(0.7 max over k − 1, k, k + 1 of E_k^{−1/(k + 1)}, 0.2, 2).           (4)

The error of (2) is of order k + 1, that of its estimate k. A network's output is rough in u and
small steps are not much more accurate than their number makes them, so that old values are worth
more than the stages of a Runge–Kutta method: about half the evaluations at errors of 10⁻³ to 10⁻⁴
(benchmarks/likelihood.py).

References: Hairer, Nørsett & Wanner 1993, §III.1 and §III.5 (variable steps), §III.7 (4).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coefficients.lagrange import integrals
from samplers.integrators.integrator import Field, Integrator, Solution, batch_size
from samplers.integrators.step_control import Clock, chosen, error_size
from sde_lib import expand, static

_SAFETY, _SHRINK, _GROW = 0.7, 0.2, 2.0


class Adams(Integrator):
    """Eq. 1 to 4.

    Args:
      rtol, atol: the tolerances of `step_control`, eq. 1.
      history: the largest k.
      max_evaluations: turns of the loop at most; see `Solution` for what would need more.
    """

    rtol: Array | float = 1e-5
    atol: Array | float = 1e-5
    history: int = static(default=4)
    max_evaluations: int = static(default=2000)

    def solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """See `Integrator`.

        Raises:
          ValueError: `history` is below 1.
        """
        if self.history < 1:
            raise ValueError(f"history: got {self.history}, takes an integer ≥ 1")
        batch = batch_size(y)
        first = (end - start) / 5 * jnp.sqrt(jnp.asarray(self.rtol, dtype=float))
        state = _State(
            turn=jnp.zeros((), jnp.int32),
            clock=Clock.at_start(start, end, first, batch),
            y=y,
            # Nothing is known yet: nodes that differ, so that no weight is infinite.
            nodes=start - first * jnp.arange(1.0, self.history + 1)[:, None] * jnp.ones(batch),
            slopes=(jax.tree.map(jnp.zeros_like, y),) * self.history,
            known=jnp.zeros(batch, jnp.int32),
            order=jnp.zeros(batch, jnp.int32),
            evaluations=jnp.zeros(batch, jnp.int32),
        )
        state = jax.lax.while_loop(
            lambda s: jnp.any(s.clock.running) & (s.turn < self.max_evaluations),
            partial(self._turn, field),
            state,
        )
        return state.clock.solution(state.y, state.slopes[0], state.evaluations)

    def _turn(self, field: Field, state: "_State") -> "_State":
        """One evaluation. The first is at the start and goes nowhere: one copy of the field."""
        clock, running = state.clock, state.clock.running
        h = jnp.where(state.turn > 0, clock.h, 0.0)
        unit = jnp.where(running, clock.h, 1.0)
        old = (state.nodes - clock.u) / unit
        predicted = _integral(state.slopes, h, integrals(old, state.order, 0.0, 1.0))
        slope = field(clock.u + h, jax.tree.map(jnp.add, state.y, predicted))

        slopes = (slope, *state.slopes)
        new = jnp.concatenate([(h / unit)[None], old])
        lower, low, high, higher = (
            integrals(new, state.order + j, 0.0, 1.0) for j in (-1, 0, 1, 2)
        )
        y = jax.tree.map(jnp.add, state.y, _integral(slopes, h, high))
        sizes = [
            error_size(_integral(slopes, h, more - less), state.y, y, self.rtol, self.atol)
            for less, more in ((lower, low), (low, high), (high, higher))
        ]
        accept = (sizes[1] <= 1) & running
        factor, order = _next(sizes, accept, state.order, state.known)

        learns = accept & (state.known < self.history)
        ticked = clock.tick(accept, factor)
        return _State(
            turn=state.turn + 1,
            clock=jax.tree.map(partial(jnp.where, state.turn > 0), ticked, clock),
            y=chosen(accept, y, state.y),
            nodes=jnp.where(
                accept, jnp.concatenate([(clock.u + h)[None], state.nodes[:-1]]), state.nodes
            ),
            slopes=chosen(accept, slopes[:-1], state.slopes),
            known=state.known + learns,
            order=jnp.where(learns, state.known + 1, order),
            evaluations=state.evaluations + running,
        )


class _State(NamedTuple):
    """nodes u_i … [K, B] and the slopes there, K trees; how many are known, and k, [B] each."""

    turn: Array
    clock: Clock
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
