"""What each network evaluation of a sampler is for: the list that the driver's loop scans over."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers.solvers.solver import Corrector, Plan, Solver, Steps
from sde_lib import SDE


class Evaluation(NamedTuple):
    """One network evaluation of the loop; or all M of them, as leaves [M, ...].

    Args:
      number: its place in the loop, from 0.
      purpose: what it is for, a number in `Schedule.purposes`.
      t: the time at which the network is evaluated.
      solver: the coefficients of the solver's update after it.
      corrector: the coefficients of the corrector's; None without a corrector.
      renoise: a and b of x ← a x + b z before it; None of a solver that adds no noise so.
      end: the time at which the step that it belongs to ends, or the correction; None without a
        constraint, which alone asks for it.
    """

    number: Array
    purpose: Array
    t: Array
    solver: Any
    corrector: Any
    renoise: Any
    end: Any


class Purpose(NamedTuple):
    """What an evaluation is for.

    Args:
      action: a method of `actions.Actions`.
      ends: whether a step or a correction ends with it, on which a constraint acts.
    """

    action: str
    ends: bool


class Schedule(NamedTuple):
    """All network evaluations of a sampler, in order.

    Args:
      purposes: the purposes in use.
      evaluations: all of them, their purposes numbered by that list.
      final_correction: whether the solver corrects the last step before the denoising.
    """

    purposes: list[Purpose]
    evaluations: Evaluation
    final_correction: bool


def schedule_of(
    sde: SDE,
    solver: Solver,
    grid: Array,
    corrector: Corrector | None,
    denoise: bool,
    constrained: bool,
) -> Schedule:
    """The schedule of a solver with a corrector on a grid.

    Args:
      sde: the SDE.
      solver: what moves the state down the grid.
      grid: N + 1 decreasing times.
      corrector: what moves it before each step, or None.
      denoise: whether one more evaluation ends the loop, for E[x_0 | x] at grid[-1].
      constrained: whether there is a constraint on the state.

    Raises:
      ValueError: there is nothing to evaluate, or a solver that takes no constraint has one.
    """
    if constrained and not solver.carries_moves:
        name = type(solver).__name__
        raise ValueError(f"constraint: got solver {name}, takes one that carries its moves along")
    steps, a_step = solver.steps(sde, grid), _actions_of_a_step(solver, corrector, constrained)
    order = np.array(a_step * len(steps.start) + ["finish"] * denoise)
    if not len(order):
        raise ValueError("sample: got neither a solver nor a corrector, takes at least one")
    # The last denoising counts as of the last step.
    number, length = np.arange(len(order)), max(len(a_step), 1)
    step = np.minimum(number // length, len(steps.start) - 1)
    stage = np.maximum(number % length - (length - solver.evaluations), 0)
    begins = (number % length == 0) & (order != "finish")

    ends = constrained & (order != "finish") & ~_goes_on(solver, order, stage)
    all_purposes = [Purpose(*pair) for pair in zip(order.tolist(), ends.tolist(), strict=True)]

    plan, purposes = solver.plan(sde, steps), sorted(set(all_purposes))
    final_correction = denoise and plan.final_correction is not None
    evaluations = Evaluation(
        number=jnp.asarray(number),
        purpose=jnp.array([purposes.index(purpose) for purpose in all_purposes]),
        t=_times(plan, steps, order, step, stage),
        solver=_coefficients(plan, step, stage, final_correction),
        corrector=None
        if corrector is None
        else jax.tree.map(lambda leaf: leaf[step], corrector.plan(sde, steps)),
        renoise=_renoising(sde, steps, grid[0], step, begins) if solver.renoises else None,
        end=jnp.where(np.isin(order, _SOLVING), steps.end[step], steps.start[step])
        if constrained
        else None,
    )
    return Schedule(purposes, evaluations, final_correction)


_SOLVING = ("solve", "solve_moved", "settle_and_solve")
"""The actions that are updates of the solver."""


def _actions_of_a_step(solver: Solver, corrector: Corrector | None, constrained: bool) -> list[str]:
    """First the corrections, then the solver's evaluations."""
    e, m = solver.evaluations, corrector.num_steps if corrector is not None else 0
    corrections, solves = ["correct"] * m, ["solve"] * e
    if e and m:
        corrections[0], solves[0] = "settle_and_correct", "solve_moved"
    elif e and constrained and solver.remembers:
        solves[0] = "settle_and_solve"
    return corrections + solves


def _goes_on(solver: Solver, order: np.ndarray, stage: np.ndarray) -> np.ndarray:
    """Of which evaluations the solver has more to come in the same step."""
    return np.isin(order, _SOLVING) & (stage < solver.evaluations - 1)


def _times(
    plan: Plan, steps: Steps, order: np.ndarray, step: np.ndarray, stage: np.ndarray
) -> Array:
    """The solver's where it says, corrections at the start of a step, the denoising at the end."""
    others = jnp.where(order == "finish", steps.end[-1], steps.start[step])
    if not plan.times.size:
        return others
    return jnp.where(np.isin(order, _SOLVING), plan.times[step, stage], others)


def _coefficients(plan: Plan, step: np.ndarray, stage: np.ndarray, final_correction: bool) -> Any:
    """The solver's before every evaluation, those of the final correction at the last."""
    coefficients = jax.tree.map(lambda leaf: leaf[step, stage], plan.coefficients)
    if not final_correction:
        return coefficients
    return jax.tree.map(
        lambda leaf, last: leaf.at[-1].set(last), coefficients, plan.final_correction
    )


def _renoising(
    sde: SDE, steps: Steps, first: Array, step: np.ndarray, begins: np.ndarray
) -> tuple[Array, Array]:
    """a and b before every evaluation: those of the steps where they begin, else 1 and 0."""
    scale, std = steps.renoising(sde, first)
    return jnp.where(begins, scale[step], 1.0), jnp.where(begins, std[step], 0.0)
