"""What each network evaluation of a sampler is for: the list that the driver's loop scans over."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers.solvers.solver import Corrector, Solver
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
    """

    number: Array
    purpose: Array
    t: Array
    solver: Any
    corrector: Any
    renoise: Any


class Schedule(NamedTuple):
    """All network evaluations of a sampler, in order.

    Args:
      purposes: the purposes in use, each "solve", "solve_corrected", "settle_and_correct",
        "correct" or "finish".
      evaluations: all of them, their purposes numbered by that list.
      final_correction: whether the solver corrects the last step before the denoising.
    """

    purposes: list[str]
    evaluations: Evaluation
    final_correction: bool


def schedule_of(
    sde: SDE, solver: Solver, grid: Array, corrector: Corrector | None, denoise: bool
) -> Schedule:
    """The schedule of a solver with a corrector on a grid.

    Args:
      sde: the SDE.
      solver: what moves the state down the grid.
      grid: N + 1 decreasing times.
      corrector: what moves it before each step, or None.
      denoise: whether one more evaluation ends the loop, for E[x_0 | x] at grid[-1].

    Raises:
      ValueError: there is nothing to evaluate.
    """
    steps = solver.steps(sde, grid)
    num_steps, e = len(steps.start), solver.evaluations
    m = corrector.num_steps if corrector is not None else 0
    solves = ["solve"] * e
    if e and m:
        solves[0] = "solve_corrected"
    corrections = ["settle_and_correct" if e else "correct"][:m] + ["correct"] * (m - 1)
    order = (corrections + solves) * num_steps + ["finish"] * denoise
    if not order:
        raise ValueError("sample: got neither a solver nor a corrector, takes at least one")
    a_step = max(m + e, 1)
    step = np.minimum(np.arange(len(order)) // a_step, num_steps - 1)
    stage = np.clip(np.arange(len(order)) % a_step - m, 0, max(e - 1, 0))

    plan = solver.plan(sde, steps)
    kinds = np.array(order)
    solving = np.isin(kinds, ["solve", "solve_corrected"])
    t = steps.start[step]
    if e:
        t = jnp.where(solving, plan.times[step, stage], t)
    coefficients = jax.tree.map(lambda leaf: leaf[step, stage], plan.coefficients)
    final_correction = denoise and plan.final_correction is not None
    if final_correction:
        coefficients = jax.tree.map(
            lambda leaf, last: leaf.at[-1].set(last), coefficients, plan.final_correction
        )
    begins = (np.arange(len(order)) % a_step == 0) & (kinds != "finish")
    scale, std = steps.renoising(sde, grid[0])
    purposes = sorted(set(order))
    evaluations = Evaluation(
        number=jnp.arange(len(order)),
        purpose=jnp.array([purposes.index(kind) for kind in order]),
        t=jnp.where(kinds == "finish", steps.end[-1], t),
        solver=coefficients,
        corrector=None
        if corrector is None
        else jax.tree.map(lambda leaf: leaf[step], corrector.plan(sde, steps)),
        renoise=(jnp.where(begins, scale[step], 1.0), jnp.where(begins, std[step], 0.0))
        if solver.renoises
        else None,
    )
    return Schedule(purposes, evaluations, final_correction)
