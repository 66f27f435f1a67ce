"""Runge–Kutta methods on a grid, in any form of the probability flow.

    d_k = d at M + c_k h, w + h Σ_{j<k} a_kj d_j;    w' = w + h Σ_k b_k d_k       (1)

with w, M and d of a form (`forms`) and h the step in M. EDM's sampler is Heun's method in the form
"noise". Where the form is not regular, or no noise is left at the end (σ' = 0), the step is DDIM's.

References: Hairer, Nørsett & Wanner 1993, §II.1; Karras et al. 2022 "EDM", Algorithm 1 (Heun).
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers.coefficients.lagrange import as_constant
from samplers.coefficients.tableaux import tableaux
from samplers.coordinates.forms import forms
from samplers.solvers.linear import LinearSolver, Row, ddim_step
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, number, static


class GridRungeKutta(LinearSolver):
    """Eq. 1.

    Args:
      tableau: a name in `tableaux`.
      form: a name in `forms`.
      s: the scale of the data, for the forms that have one.
    """

    tableau: str = static(default="rk4")
    form: str = static(default="rectified")
    s: Array | float = number(default=0.5, above=0)

    @property
    def evaluations(self) -> int:
        """One a stage."""
        return len(tableaux[self.tableau].needed.b)

    @property
    def claimed_order(self) -> int:
        """Of the tableau."""
        return tableaux[self.tableau].order

    @property
    def memory(self) -> int:
        """All stages."""
        return self.evaluations

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """A row for every stage."""
        method, form = tableaux[self.tableau].needed, forms[self.form](s=self.s)
        stages = len(method.b)
        start, end = (form.measure(sde.log_snr(t) / 2) for t in steps[:2])
        scale, h = form.scale(sde, steps.start), end - start
        plain = ~jnp.isfinite(h) | ~jnp.isfinite(scale) | (sde.sigma(steps.end) == 0)
        fractions = as_constant(method.c)
        measures = start[:, None] + h[:, None] * fractions
        times = sde.time_of_log_snr(2 * form.log_signal(measures))
        # Exact where the stage is at an end, and finite where the form is not.
        times = jnp.where((fractions == 0) | plain[:, None], steps.start[:, None], times)
        times = jnp.where((fractions == 1) & ~plain[:, None], steps.end[:, None], times)

        follow = jnp.append(times[:, 1:], steps.end[:, None], axis=1)
        scales = form.scale(sde, follow)
        # Row k leads to stage k + 1, the last one to the end; the newest direction comes first.
        weights = as_constant(np.append(method.a[1:], method.b[None], axis=0))
        order = np.arange(stages)[:, None] - np.arange(stages)
        newest_first = jnp.where(
            order >= 0, jnp.take_along_axis(weights, jnp.maximum(order, 0), axis=1), 0.0
        )
        directions = h[:, None, None] * newest_first / scales[..., None]
        step = jnp.concatenate([(scale[:, None] / scales)[..., None], directions], axis=2)
        stay = jnp.eye(1 + stages)[0]
        ddim = jnp.concatenate(
            [
                jnp.broadcast_to(stay, (len(h), stages - 1, 1 + stages)),
                ddim_step(sde, steps, stages)[:, None],
            ],
            axis=1,
        )
        first_then_base = jnp.eye(2 + stages)[np.minimum(np.arange(stages), 1)]
        plain = plain[:, None, None]
        rows = Row(
            direction=jnp.where(plain, jnp.array([1.0, 0.0]), form.direction(sde, times)),
            base=jnp.broadcast_to(first_then_base, (len(h), stages, 2 + stages)),
            next=jnp.where(plain, ddim, step),
            std=jnp.zeros((len(h), stages)),
        )
        return Plan(times, rows)


@solvers.register("rk")
class AnyRungeKutta(GridRungeKutta):
    """Eq. 1 with any tableau in any form; the classical fourth order in the rectified one."""

    reference = "Hairer, Nørsett & Wanner 1993, §II.1"
    grid = "rectified"


@solvers.register("heun")
class Heun(GridRungeKutta):
    """Heun's method in the noise: EDM's deterministic sampler."""

    reference = "Karras et al. 2022, EDM"
    grid = "edm"

    tableau: str = static(default="heun")
    form: str = static(default="noise")


@solvers.register("midpoint")
class Midpoint(GridRungeKutta):
    """The midpoint method in the rectified velocity."""

    reference = "Hairer, Nørsett & Wanner 1993, §II.1"
    grid = "rectified"

    tableau: str = static(default="midpoint")


@solvers.register("ddim")
class DDIM(GridRungeKutta):
    """Euler's method in the noise; in the data it is the same. Order 1."""

    reference = "Song et al. 2021, DDIM"
    grid = "edm"

    tableau: str = static(default="euler")
    form: str = static(default="noise")
