"""What is not finite: parameters, latents, the coefficients of a method, or the state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config_schema.sections import SamplingConfig
from samplers import Corrector, Solver
from sde_lib import SDE


def reason(
    config: SamplingConfig,
    process: SDE,
    *,
    solver: Solver | None = None,
    corrector: Corrector | None = None,
    grid: jax.Array | None = None,
) -> str:
    """Why samples were not finite, from parameters and latents that are.

    Args:
      config: the section, which says the names.
      process: the SDE that they were drawn under.
      solver, corrector, grid: what they were drawn with; none of a solver that chooses its steps.
    """
    if solver is None or grid is None:
        return "the state grew beyond float32; takes smaller tolerances (rtol), or another solver"
    steps = solver.steps(process, grid)
    plan = jax.jit(lambda method, process, steps: method.plan(process, steps))
    methods = {f"solver {config.solver!r}": plan(solver, process, steps).coefficients}
    if corrector is not None:
        methods[f"corrector {config.corrector!r}"] = plan(corrector, process, steps)
    for name, coefficients in methods.items():
        at = _first(coefficients)
        if at is not None:
            return (
                f"the coefficients of {name} are not at t = {steps.start[at]:g} under "
                f"{type(process).__name__}; takes another, more steps cannot help"
            )
    return "the state grew beyond float32; takes more steps, or another solver"


def _first(coefficients: Any) -> int | None:
    """The first step with a coefficient that is not finite; leaves [N, ...]."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(coefficients)]
    fine = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in leaves]
    bad = [int(np.argmin(steps)) for steps in fine if not steps.all()]
    return min(bad, default=None)
