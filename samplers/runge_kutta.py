"""Runge–Kutta integration: adaptive, with a step of its own for every example, or on a fixed grid.

    k_i = F(u + c_i h, y + h Σ_j a_ij k_j),   y' = y + h Σ_i b_i k_i              (1)
    error = h Σ_i (b_i − b̂_i) k_i                                                 (2)
    E = max over parts of RMS(error / (atol + rtol max(|y|, |y'|)))               (3)
    accept if E ≤ 1;   h ← h · clip(0.9 ρ, 0.2, 10)                               (4)
    ρ^q = E_n^{−(P+I+D)} E_{n−1}^{P+2D} E_{n−2}^{−D}                              (5)

with q the order of b̂ plus one and E_{n−1}, E_{n−2} of the steps accepted before. (P, I, D) =
(0, 1, 0) is the elementary controller; the default (0.4, 0.3, 0) errs about half as much at equal
tolerance, and by evaluations is better on some problems and worse on others
(benchmarks/likelihood.py). A method is a tableau, not code. The pairs here are "first same as
last": the last k of an accepted step is the first of the next, and the field at the end is known
when the integration is over.

Every turn of the loop is one evaluation of F for the whole batch, so the program holds one copy of
F. Examples that are done wait for the slowest.

References: Dormand & Prince 1980; Bogacki & Shampine 1989; Hairer, Nørsett & Wanner 1993, §II.4 and
§II.10; Söderlind 2003 (5).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers import dop853
from samplers.integrator import (
    Field,
    Integrator,
    Solution,
    advance,
    batch_size,
    combine,
    constant,
)
from sde_lib import Registry, expand, static

tableaux = Registry("tableau")

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class Tableau(NamedTuple):
    """a [S, S], b [S], b − b̂ [S], c [S] and the orders of b and b̂. Its last row of a is b."""

    a: np.ndarray
    b: np.ndarray
    error: np.ndarray
    c: np.ndarray
    order: int
    embedded_order: int


def _tableau(
    rows: list[list[float]], embedded: list[float], order: int, embedded_order: int
) -> Tableau:
    """From the rows of a below the first (the last of them is b) and b̂."""
    stages = len(rows) + 1
    a = np.zeros((stages, stages))
    for i, row in enumerate(rows, start=1):
        a[i, : len(row)] = row
    b = a[-1]
    error = b - np.pad(embedded, (0, stages - len(embedded)))
    return Tableau(a, b, error, a.sum(axis=1), order, embedded_order)


tableaux.register("bosh3")(
    _tableau([[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]], [7 / 24, 1 / 4, 1 / 3, 1 / 8], 3, 2)
)
tableaux.register("dopri5")(
    _tableau(
        [
            [1 / 5],
            [3 / 40, 9 / 40],
            [44 / 45, -56 / 15, 32 / 9],
            [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
            [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
            [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
        ],
        [5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40],
        order=5,
        embedded_order=4,
    )
)
tableaux.register("dop853")(_tableau(dop853.ROWS, dop853.EMBEDDED, order=8, embedded_order=5))


class RungeKutta(Integrator):
    """Adaptive steps, eq. 2 to 5.

    Args:
      tableau: a name in `tableaux`.
      rtol, atol: the tolerances of eq. 3.
      pid: P, I and D of eq. 5.
      max_evaluations: turns of the loop at most; an example that would need more is NaN.
    """

    tableau: str = static(default="dopri5")
    rtol: Array | float = 1e-5
    atol: Array | float = 1e-5
    pid: tuple[Array | float, Array | float, Array | float] = (0.4, 0.3, 0.0)
    max_evaluations: int = static(default=2000)

    def solve(self, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """See `Integrator`."""
        return integrate(
            field,
            y,
            start,
            end,
            tableau=tableaux[self.tableau],
            rtol=self.rtol,
            atol=self.atol,
            max_evaluations=self.max_evaluations,
            pid=self.pid,
        )


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
        slopes = jax.tree.map(lambda leaf: jnp.zeros((last + 1, *leaf.shape), leaf.dtype), y)
        (y, slopes), _ = jax.lax.scan(turn, (y, slopes), jnp.arange(turns))
        slope = jax.tree.map(lambda k: k[0], slopes)
        return Solution(y, slope, jnp.full((batch,), turns))


class _State(NamedTuple):
    turn: Array
    stage: Array
    u: Array
    h: Array
    y: Any
    slopes: Any
    evaluations: Array
    log_errors: Array


def integrate(
    field: Field,
    y: Any,
    start: Array,
    end: Array,
    *,
    tableau: Tableau,
    rtol: Array | float,
    atol: Array | float,
    max_evaluations: int,
    pid: tuple[Array | float, Array | float, Array | float] = (0.4, 0.3, 0.0),
) -> Solution:
    """Solve dy/du = field(u, y) from `start` to `end`, up or down.

    Args:
      field: (u [B], tree of [B, ...]) → tree of [B, ...].
      y: the state at `start`, a tree of [B, ...]; each leaf is a part of eq. 3.
      start, end: scalars.
      tableau: of `tableaux`.
      rtol, atol: the tolerances of eq. 3.
      max_evaluations: turns of the loop at most.
      pid: of eq. 5.
    """
    batch = batch_size(y)
    proportional, integral, derivative = pid
    last = len(tableau.b) - 1
    first_step = (end - start) / 2 * jnp.asarray(rtol, dtype=float) ** (1 / tableau.order)

    def turn(state: _State) -> _State:
        combined = combine(state.slopes, constant(tableau.a)[state.stage])
        at = advance(state.y, state.h, combined)
        slope = field(state.u + constant(tableau.c)[state.stage] * state.h, at)
        slopes = jax.tree.map(lambda k, new: k.at[state.stage].set(new), state.slopes, slope)
        active = state.u != end
        state = state._replace(
            turn=state.turn + 1,
            stage=state.stage + 1,
            slopes=slopes,
            evaluations=state.evaluations + active,
        )
        return jax.lax.cond(state.stage > last, complete, lambda state, _: state, state, at)

    def complete(state: _State, proposed: Any) -> _State:
        size = _error_norm(tableau, state, proposed, rtol, atol)
        accept = size <= 1
        log_error = jnp.log(jnp.maximum(size, 1e-10))
        before, earlier = state.log_errors
        log_factor = (
            -(proportional + integral + derivative) * log_error
            + (proportional + 2 * derivative) * before
            - derivative * earlier
        ) / (tableau.embedded_order + 1)
        grown = _SAFETY * jnp.exp(log_factor)
        # After a rejection the step must not grow, whatever the errors before were.
        grown = jnp.where(accept, grown, jnp.minimum(grown, _SAFETY))
        # A step that met a value that is not finite has no error to go by: try a shorter one.
        factor = jnp.where(jnp.isfinite(size), jnp.clip(grown, _SHRINK, _GROW), _SHRINK)
        log_errors = jnp.stack(
            [jnp.where(accept, log_error, before), jnp.where(accept, before, earlier)]
        )
        hit = state.u + state.h
        u = jnp.where(accept, hit, state.u)
        remaining = end - u
        h = state.h * factor
        # A step that would leave less than a tenth of itself goes to the end.
        h = jnp.where(jnp.abs(h) * 1.1 >= jnp.abs(remaining), remaining, h)
        done = accept & (jnp.abs(remaining) <= jnp.abs(state.h) * 1e-6)
        # No step is short enough where the field is not finite: the example ends here, as NaN.
        least = jnp.finfo(state.u.dtype).eps * jnp.abs(end - start)
        stuck = ~accept & (state.u != end) & (jnp.abs(h) < least)
        u, h = jnp.where(done | stuck, end, u), jnp.where(done | stuck, 0.0, h)

        def chosen(new: Array, old: Array) -> Array:
            return _select(stuck, jnp.nan, _select(accept, new, old))

        first = jax.tree.map(lambda k: k.at[0].set(chosen(k[last], k[0])), state.slopes)
        y = jax.tree.map(chosen, proposed, state.y)
        return state._replace(
            stage=jnp.ones_like(state.stage), u=u, h=h, y=y, slopes=first, log_errors=log_errors
        )

    state = _State(
        turn=jnp.zeros((), jnp.int32),
        stage=jnp.zeros((), jnp.int32),
        u=jnp.full((batch,), start),
        h=jnp.full((batch,), first_step),
        y=y,
        slopes=jax.tree.map(lambda leaf: jnp.zeros((last + 1, *leaf.shape), leaf.dtype), y),
        evaluations=jnp.zeros((batch,), jnp.int32),
        log_errors=jnp.zeros((2, batch)),
    )
    state = jax.lax.while_loop(
        lambda s: jnp.any(s.u != end) & (s.turn < max_evaluations), turn, state
    )
    finished = state.u == end
    return Solution(
        y=jax.tree.map(lambda leaf: _select(finished, leaf, jnp.nan), state.y),
        slope=jax.tree.map(lambda k: _select(finished, k[0], jnp.nan), state.slopes),
        evaluations=state.evaluations,
    )


def _select(mask: Array, new: Array | float, old: Array | float) -> Array:
    """new where the example's mask is set, else old; one of them at least is [B, ...]."""
    ranked = jnp.broadcast_arrays(new, old)[0]
    return jnp.where(expand(mask, ranked), new, old)


def _error_norm(
    tableau: Tableau, state: _State, proposed: Any, rtol: Array | float, atol: Array | float
) -> Array:
    """E of eq. 3, [B]."""
    error = combine(state.slopes, constant(tableau.error))

    def part(error: Array, old: Array, new: Array) -> Array:
        scale = atol + rtol * jnp.maximum(jnp.abs(old), jnp.abs(new))
        ratio = (expand(state.h, error) * error / scale) ** 2
        return jnp.sqrt(jnp.mean(ratio, axis=tuple(range(1, ratio.ndim))))

    parts = jax.tree.leaves(jax.tree.map(part, error, state.y, proposed))
    return jnp.max(jnp.stack(parts), axis=0)
