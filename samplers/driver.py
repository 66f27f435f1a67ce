"""The loop of every fixed-grid sampler.

    for each step of the grid:   corrector (m times), then solver (e evaluations)
    then, when asked for:        x ← E[x_0 | x_t_min]

The first correction's evaluation, or that of the denoising, is the first at its state, so what the
solver still has to say of the step that ended there (`Solver.settle`) comes before either.

It is one scan over the network evaluations, whatever each of them is for, in one compiled program
with one copy of the network.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers import noise
from samplers.coordinates.angle import Angle
from samplers.progress import report
from samplers.schedule import Evaluation, schedule_of
from samplers.solvers.solver import Corrector, Solver
from sde_lib import SDE, Model


class Path(NamedTuple):
    """Samples [B, ...], and E[x_0 | x_t] at K of the evaluations on the way [K, B, ...]."""

    x: Array
    data: Array


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
    latents: Array | None = None,
    data_std: Array | float = 0.5,
    denoise: bool = False,
    progress: bool = False,
) -> Array:
    """Samples of `shape` [B, ...] from noise at grid[0] down to grid[-1].

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
      latents: where to start, standard normal [B, ...], instead of draws from the key.
      data_std: s, the data's standard deviation: the state at grid[0] has √(α²s² + σ²), wherever
        the grid starts.
      denoise: end with E[x_0 | x] at grid[-1], one evaluation more.
      progress: show a progress bar.

    Returns:
      [B, ...]: the last state without the noise of the last step.
    """
    draw, x = _start(key, sde, shape, indices, latents, grid[0], data_std)
    return _run(
        draw,
        sde,
        partial(model, cond=cond),
        x,
        solver=solver,
        grid=grid,
        corrector=corrector,
        denoise=denoise,
        progress=progress,
        keep=0,
    ).x


@partial(jax.jit, static_argnames=("shape", "keep", "denoise"))
def sample_path(
    key: Array,
    sde: SDE,
    model: Model,
    shape: tuple[int, ...],
    *,
    keep: int,
    solver: Solver,
    grid: Array,
    corrector: Corrector | None = None,
    cond: Any = None,
    indices: Array | None = None,
    latents: Array | None = None,
    data_std: Array | float = 0.5,
    denoise: bool = False,
) -> Path:
    """`sample`, with what the model took the data to be at `keep` evaluations, evenly spread.

    Memory is that of `keep` batches more, however many evaluations there are.
    """
    draw, x = _start(key, sde, shape, indices, latents, grid[0], data_std)
    return _run(
        draw,
        sde,
        partial(model, cond=cond),
        x,
        solver=solver,
        grid=grid,
        corrector=corrector,
        denoise=denoise,
        progress=False,
        keep=keep,
    )


def _start(
    key: Array,
    sde: SDE,
    shape: tuple[int, ...],
    indices: Array | None,
    latents: Array | None,
    t: Array,
    data_std: Array | float,
) -> tuple[Callable, Array]:
    """The noise of a batch, and its state at t: of the deviation that data of mean 0 have there."""
    keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
    draw = partial(noise.normal, keys, shape=shape[1:])
    latents = draw(noise.LATENT) if latents is None else latents
    return draw, latents / Angle(sde, data_std).scale(t)


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
    return _run(
        draw,
        sde,
        predict,
        x,
        solver=solver,
        grid=grid,
        corrector=corrector,
        denoise=denoise,
        progress=progress,
        keep=0,
    ).x


def _run(
    draw: Callable[[Array], Array],
    sde: SDE,
    predict: Callable,
    x: Array,
    *,
    solver: Solver,
    grid: Array,
    corrector: Corrector | None,
    denoise: bool,
    progress: bool,
    keep: int,
) -> Path:
    """The loop. Evaluation k of M is kept as number ⌊k · keep/M⌋, over those before it."""
    schedule = schedule_of(sde, solver, jnp.asarray(grid), corrector, denoise)
    turns, total = schedule.evaluations, len(schedule.evaluations.number)
    actions = _actions(draw, sde, solver, corrector, schedule.final_correction)
    branches = [actions[purpose] for purpose in schedule.purposes]

    def body(carry: tuple, turn: Evaluation) -> tuple[tuple, None]:
        if progress:
            report(turn.number, total)
        (x, *rest), kept = carry
        if solver.renoises:
            scale, std = turn.renoise
            x = scale * x + std * draw(total + turn.number)
        prediction = predict(x, turn.t)
        if keep:
            kept = kept.at[turn.number * keep // total].set(prediction.data)
        moved = jax.lax.switch(turn.purpose, branches, turn, prediction, _Carry(x, *rest))
        return (moved, kept), None

    start = _Carry(x, x, solver.init(x)), jnp.zeros((keep, *x.shape), x.dtype)
    (end, kept), _ = jax.lax.scan(body, start, turns)
    return Path(end.mean, kept)


class _Carry(NamedTuple):
    """The state, without the noise of its last update, and what the solver keeps."""

    x: Array
    mean: Array
    state: Any


def _actions(
    draw: Callable[[Array], Array],
    sde: SDE,
    solver: Solver,
    corrector: Corrector | None,
    final_correction: bool,
) -> dict[str, Callable[[Evaluation, Any, _Carry], _Carry]]:
    """What is done after an evaluation, by its purpose."""

    def settle(turn: Evaluation, prediction: Any, carry: _Carry) -> _Carry:
        x, state = solver.settle(prediction, carry.x, turn.solver, carry.state)
        return _Carry(x, carry.mean, state)

    def correct(turn: Evaluation, prediction: Any, carry: _Carry) -> _Carry:
        assert corrector is not None
        fresh = partial(draw, turn.number)
        moved = corrector.update(fresh, prediction, carry.x, turn.corrector)
        return _Carry(*moved, carry.state)

    def settle_and_correct(turn: Evaluation, prediction: Any, carry: _Carry) -> _Carry:
        return correct(turn, prediction, settle(turn, prediction, carry))

    def solve(turn: Evaluation, prediction: Any, carry: _Carry) -> _Carry:
        fresh = partial(draw, turn.number)
        return _Carry(*solver.update(fresh, prediction, carry.x, turn.solver, carry.state))

    def solve_corrected(turn: Evaluation, prediction: Any, carry: _Carry) -> _Carry:
        fresh = partial(draw, turn.number)
        return _Carry(*solver.update_moved(fresh, prediction, carry.x, turn.solver, carry.state))

    def finish(turn: Evaluation, prediction: Any, carry: _Carry) -> _Carry:
        if not final_correction:
            return _Carry(prediction.data, prediction.data, carry.state)
        x = settle(turn, prediction, carry).x
        # Where σ = 0 there is no noise to remove, and none to know.
        sigma = sde.sigma(turn.t)
        noise = jnp.where(sigma > 0, sigma * prediction.noise, 0.0)
        data = (x - noise) / sde.alpha(turn.t)
        return _Carry(data, data, carry.state)

    return {
        "settle_and_correct": settle_and_correct,
        "correct": correct,
        "solve_corrected": solve_corrected,
        "solve": solve,
        "finish": finish,
    }


def evaluations(
    sde: SDE, solver: Solver, grid: Array, corrector: Corrector | None, denoise: bool
) -> int:
    """How often `sample` evaluates the model. Nothing is computed."""
    starts = jax.eval_shape(lambda sde, grid: solver.steps(sde, grid).start, sde, grid)
    corrections = corrector.num_steps if corrector is not None else 0
    return len(starts) * (solver.evaluations + corrections) + denoise
