"""Adaptive Runge–Kutta integration with a step of its own for every example.

    k_i = F(u + c_i h, y + h Σ_j a_ij k_j),   y' = y + h Σ_i b_i k_i              (1)
    error = h Σ_i (b_i − b̂_i) k_i                                                 (2)
    E = max over parts of RMS(error / (atol + rtol max(|y|, |y'|)))               (3)
    accept if E ≤ 1;   h ← h · clip(0.9 E^{−1/q}, 0.2, 10),  q the order          (4)

A method is a tableau, not code. The pairs here are "first same as last": the last k of an accepted
step is the first of the next, and the field at the end is known when the integration is over.

Every turn of the loop is one evaluation of F for the whole batch, so the program holds one copy of
F. Examples that are done wait for the slowest.

References: Dormand & Prince 1980; Bogacki & Shampine 1989; Hairer, Nørsett & Wanner 1993, §II.4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sde_lib import Registry, expand

tableaux = Registry("tableau")

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class Tableau(NamedTuple):
    """a [S, S], b [S], b − b̂ [S], c [S] and the order of b. Its last row of a is b."""

    a: np.ndarray
    b: np.ndarray
    error: np.ndarray
    c: np.ndarray
    order: int


def _tableau(rows: list[list[float]], embedded: list[float], order: int) -> Tableau:
    """From the rows of a below the first (the last of them is b) and b̂."""
    stages = len(rows) + 1
    a = np.zeros((stages, stages))
    for i, row in enumerate(rows, start=1):
        a[i, : len(row)] = row
    b = a[-1]
    return Tableau(a, b, b - np.array(embedded), a.sum(axis=1), order)


tableaux.register("bosh3")(
    _tableau([[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]], [7 / 24, 1 / 4, 1 / 3, 1 / 8], order=3)
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
    )
)


class Solution(NamedTuple):
    """y and its derivative at the end (trees of [B, ...]), and evaluations each example took [B].

    An example that was not done after `max_evaluations` turns, or met a value that is not finite,
    is NaN throughout.
    """

    y: Any
    slope: Any
    evaluations: Array


class _State(NamedTuple):
    turn: Array
    stage: Array
    u: Array
    h: Array
    y: Any
    slopes: Any
    evaluations: Array


def integrate(
    field: Callable[[Array, Any], Any],
    y: Any,
    start: Array,
    end: Array,
    *,
    tableau: Tableau,
    rtol: Array | float,
    atol: Array | float,
    max_evaluations: int,
) -> Solution:
    """Solve dy/du = field(u, y) from `start` to `end`, up or down.

    Args:
      field: (u [B], tree of [B, ...]) → tree of [B, ...].
      y: the state at `start`, a tree of [B, ...]; each leaf is a part of eq. 3.
      start, end: scalars.
      tableau: of `tableaux`.
      rtol, atol: the tolerances of eq. 3.
      max_evaluations: turns of the loop at most.
    """
    batch = jax.tree.leaves(y)[0].shape[0]
    last = len(tableau.b) - 1
    first_step = (end - start) / 2 * jnp.asarray(rtol, dtype=float) ** (1 / tableau.order)

    def turn(state: _State) -> _State:
        combined = _combine(state.slopes, _constant(tableau.a)[state.stage])
        at = _advance(state.y, state.h, combined)
        slope = field(state.u + _constant(tableau.c)[state.stage] * state.h, at)
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
        grown = _SAFETY * jnp.maximum(size, 1e-10) ** (-1 / tableau.order)
        # A step that met a value that is not finite has no error to go by: try a shorter one.
        factor = jnp.where(jnp.isfinite(size), jnp.clip(grown, _SHRINK, _GROW), _SHRINK)
        hit = state.u + state.h
        u = jnp.where(accept, hit, state.u)
        remaining = end - u
        h = state.h * factor
        # A step that would leave less than a tenth of itself goes to the end.
        h = jnp.where(jnp.abs(h) * 1.1 >= jnp.abs(remaining), remaining, h)
        done = accept & (jnp.abs(remaining) <= jnp.abs(state.h) * 1e-6)
        u, h = jnp.where(done, end, u), jnp.where(done, 0.0, h)
        first = jax.tree.map(lambda k: k.at[0].set(_select(accept, k[last], k[0])), state.slopes)
        y = jax.tree.map(lambda new, old: _select(accept, new, old), proposed, state.y)
        return state._replace(stage=jnp.ones_like(state.stage), u=u, h=h, y=y, slopes=first)

    state = _State(
        turn=jnp.zeros((), jnp.int32),
        stage=jnp.zeros((), jnp.int32),
        u=jnp.full((batch,), start),
        h=jnp.full((batch,), first_step),
        y=y,
        slopes=jax.tree.map(lambda leaf: jnp.zeros((last + 1, *leaf.shape), leaf.dtype), y),
        evaluations=jnp.zeros((batch,), jnp.int32),
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


def _constant(values: np.ndarray) -> Array:
    """In the working precision: JAX would keep the one in which it first met the NumPy array."""
    return jnp.array(values.tolist())


def _combine(slopes: Any, weights: Array) -> Any:
    """Σ_j weights_j k_j over the stages."""
    return jax.tree.map(lambda k: jnp.tensordot(weights.astype(k.dtype), k, axes=1), slopes)


def _advance(y: Any, h: Array, slope: Any) -> Any:
    """y + h slope, h one per example."""
    return jax.tree.map(lambda leaf, k: leaf + expand(h, leaf) * k, y, slope)


def _select(mask: Array, new: Array, old: Array | float) -> Array:
    """new where the example's mask is set, else old."""
    return jnp.where(expand(mask, new), new, old)


def _error_norm(
    tableau: Tableau, state: _State, proposed: Any, rtol: Array | float, atol: Array | float
) -> Array:
    """E of eq. 3, [B]."""
    error = _combine(state.slopes, _constant(tableau.error))

    def part(error: Array, old: Array, new: Array) -> Array:
        scale = atol + rtol * jnp.maximum(jnp.abs(old), jnp.abs(new))
        ratio = (expand(state.h, error) * error / scale) ** 2
        return jnp.sqrt(jnp.mean(ratio, axis=tuple(range(1, ratio.ndim))))

    parts = jax.tree.leaves(jax.tree.map(part, error, state.y, proposed))
    return jnp.max(jnp.stack(parts), axis=0)
