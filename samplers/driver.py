"""The loop of every fixed-grid sampler.

    for each step of the grid:   corrector (m times), then solver (e evaluations)
    then, when asked for:        x ← E[x_0 | x_t_min]

It is one scan over the network evaluations, whatever each of them is for, in one compiled program
with one copy of the network.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers import noise
from samplers.progress import report
from samplers.solver import Corrector, Solver
from sde_lib import SDE, Model


class Evaluation(NamedTuple):
    """One turn of the loop: its number, what it is for, and where. Leaves [M] for M turns."""

    number: Array
    purpose: Array
    t: Array
    solver: Any
    corrector: Any


@partial(jax.jit, static_argnames=("shape", "denoise", "progress"))
def sample(
    key: Array,
    sde: SDE,
    model: Model,
    shape: tuple[int, ...],
    *,
    solver: Solver,
    grid: Array,
    corrector: Corrector | None = None,
    cond: Any = None,
    indices: Array | None = None,
    denoise: bool = False,
    progress: bool = False,
) -> Array:
    """Samples of `shape` [B, ...] from the prior at grid[0] down to grid[-1].

    Args:
      key: typed key. Sample i is a function of (key, indices[i]) alone.
      sde: the SDE.
      model: `predict(x, t, cond)`. Like the SDE and the solver it is traced: new parameters or
        numbers run the program that is there.
      shape: of the batch.
      solver: of `samplers.solvers`.
      grid: N + 1 decreasing times, of `samplers.grids`.
      corrector: of `samplers.correctors`.
      cond: what the model is conditioned on, for the whole batch.
      indices: the examples' numbers [B]; 0 … B − 1 by default. Sharded over a mesh, they shard the
        whole computation.
      denoise: end with E[x_0 | x] at grid[-1], one evaluation more.
      progress: show a progress bar.

    Returns:
      [B, ...]: the last state without the noise of the last step.
    """
    keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
    draw = partial(noise.normal, keys, shape=shape[1:])
    latents = sde.prior_std() * draw(noise.LATENT)
    return integrate(
        draw,
        sde,
        partial(model, cond=cond),
        latents,
        solver=solver,
        grid=grid,
        corrector=corrector,
        denoise=denoise,
        progress=progress,
    )


def integrate(
    draw: Callable[[Array], Array],
    sde: SDE,
    predict: Callable,
    x: Array,
    *,
    solver: Solver,
    grid: Array,
    corrector: Corrector | None = None,
    denoise: bool = False,
    progress: bool = False,
) -> Array:
    """`sample` from a given state, with a given source of noise.

    Args:
      draw: evaluation number → standard normal of x's shape.
      predict: (x, t) → Prediction.
      x: the state at grid[0], [B, ...].

    Returns:
      [B, ...].
    """
    purposes, plan = _schedule(sde, solver, grid, corrector, denoise)

    def solve(turn: Evaluation, prediction: Any, carry: tuple) -> tuple:
        x, _, state = carry
        return tuple(solver.update(partial(draw, turn.number), prediction, x, turn.solver, state))

    def correct(turn: Evaluation, prediction: Any, carry: tuple) -> tuple:
        assert corrector is not None
        x, _, state = carry
        fresh = partial(draw, turn.number)
        return *corrector.update(fresh, prediction, x, turn.corrector), state

    def finish(turn: Evaluation, prediction: Any, carry: tuple) -> tuple:
        return prediction.data, prediction.data, carry[2]

    actions = {"solve": solve, "correct": correct, "finish": finish}
    branches = [actions[purpose] for purpose in purposes]

    def body(carry: tuple, turn: Evaluation) -> tuple[tuple, None]:
        if progress:
            report(turn.number, len(plan.number))
        prediction = predict(carry[0], turn.t)
        if len(branches) == 1:
            return branches[0](turn, prediction, carry), None
        return jax.lax.switch(turn.purpose, branches, turn, prediction, carry), None

    (_, mean, _), _ = jax.lax.scan(body, (x, x, solver.init(x)), plan)
    return mean


def _schedule(
    sde: SDE, solver: Solver, grid: Array, corrector: Corrector | None, denoise: bool
) -> tuple[list[str], Evaluation]:
    """The purposes in use, and all evaluations in order, their purposes numbered by that list."""
    num_steps, e = len(grid) - 1, solver.evaluations
    m = corrector.num_steps if corrector is not None else 0
    turns = ["correct"] * m + ["solve"] * e
    order = turns * num_steps + ["finish"] * denoise
    if not order:
        raise ValueError("sample: got neither a solver nor a corrector, takes at least one")
    step = np.minimum(np.arange(len(order)) // max(m + e, 1), num_steps - 1)
    slot = np.clip(np.arange(len(order)) % max(m + e, 1) - m, 0, max(e - 1, 0))

    times, solver_plan = solver.plan(sde, grid)
    kinds = np.array(order)
    t = grid[step] if e == 0 else jnp.where(kinds == "solve", times[step, slot], grid[step])
    purposes = sorted(set(order))
    return purposes, Evaluation(
        number=jnp.arange(len(order)),
        purpose=jnp.array([purposes.index(kind) for kind in order]),
        t=jnp.where(kinds == "finish", grid[-1], t),
        solver=jax.tree.map(lambda leaf: leaf[step, slot], solver_plan),
        corrector=None
        if corrector is None
        else jax.tree.map(lambda leaf: leaf[step], corrector.plan(sde, grid)),
    )
