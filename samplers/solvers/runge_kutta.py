"""Runge–Kutta methods on a grid, in any form of the probability flow.

    d_k = d at M + c_k h, w + h Σ_{j<k} a_kj d_j;    w' = w + h Σ_k b_k d_k       (1)

with w, M and d of a form (`forms`) and h the step in M. EDM's sampler is Heun's method in the form
"noise". Where the form is infinite, or no noise is left at the end (σ' = 0), the step falls back to
DDIM's.

References: Hairer, Nørsett & Wanner 1993, §II.1; Karras et al. 2022 "EDM", Algorithm 1 (Heun).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers.coefficients.lagrange import as_constant
from samplers.coefficients.tableaux import tableaux
from samplers.coordinates.forms import Form, forms
from samplers.solvers.linear import LinearSolver, Row, stages
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, number, static


class GridRungeKutta(LinearSolver):
    """An explicit Runge–Kutta method of any tableau in any form, eq. 1 of `runge_kutta`.

    A step, with x = w/c and M at its start:

        for k in range(stages):
            d[k] = derivative(w + h * Σ_{j<k} a[k, j] * d[j], M + c[k] * h)
        w = w + h * Σ_k b[k] * d[k]

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
        """One for each stage."""
        return len(tableaux[self.tableau].needed.b)

    @property
    def convergence_order(self) -> int:
        """That of the tableau."""
        return tableaux[self.tableau].order

    @property
    def memory(self) -> int:
        """All stages of a step."""
        return self.evaluations

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """A row for every stage, which leads to the next one, the last to the end."""
        method, form = tableaux[self.tableau].needed, forms[self.form](s=self.s)
        start, end = (form.variable(sde.log_snr(t) / 2) for t in steps[:2])
        scale, h = form.scale(sde, steps.start), end - start
        falls_back = ~jnp.isfinite(h) | ~jnp.isfinite(scale) | (sde.sigma(steps.end) == 0)
        times = _stage_times(sde, form, steps, start, h, as_constant(method.c), falls_back)

        after = form.scale(sde, jnp.append(times[:, 1:], steps.end[:, None], axis=1))
        weights = _newest_first(np.append(method.a[1:], method.b[None], axis=0))
        rows = Row.step(
            scale[:, None] / after,
            h[:, None] * weights[:, None] / after,
            direction=form.derivative(sde, times),
            base=stages(self.evaluations, self.memory),
        )
        rows = Row.where(falls_back, _ddim(sde, steps, len(method.b)), rows)
        return Plan(times, rows)


def _stage_times(
    sde: SDE, form: Form, steps: Steps, start: Array, h: Array, c: Array, falls_back: Array
) -> Array:
    """The times of M + c h, [N, S]; exact at the ends, and those of the start for DDIM's steps."""
    times = sde.time_of_log_snr(2 * form.half_log_snr(start[:, None] + h[:, None] * c))
    times = jnp.where((c == 0) | falls_back[:, None], steps.start[:, None], times)
    return jnp.where((c == 1) & ~falls_back[:, None], steps.end[:, None], times)


def _newest_first(weights: np.ndarray) -> Array:
    """[H, S] from the weights [S, S] of d_0 … d_k after stage k: of the newest direction first."""
    aligned = [np.pad(row[k::-1], (0, len(row) - k - 1)) for k, row in enumerate(weights)]
    return as_constant(np.stack(aligned, axis=1))


def _ddim(sde: SDE, steps: Steps, num: int) -> Row:
    """DDIM's step after the last of `num` stages; the others stay where the step began."""
    ddim = jax.tree.map(lambda leaf: leaf[:, None], Row.ddim(sde, steps, num))
    is_last = jnp.arange(num) == num - 1
    following = jnp.where(is_last[:, None], ddim.next, Row.hold(num).next)
    return ddim._replace(base=stages(num, num), next=following)


@solvers.register("rk")
class AnyRungeKutta(GridRungeKutta):
    """A Runge–Kutta method of any tableau in any form: by default RK4 in the rectified velocity.

    Step and args as of `GridRungeKutta`.
    """

    reference = "Hairer, Nørsett & Wanner 1993, §II.1"
    grid = "rectified"


@solvers.register("heun")
class Heun(GridRungeKutta):
    """Heun's method in the noise: EDM's deterministic sampler.

    A step from t to s, with n = σ/α:

        noise_t = noise(x, t)
        ahead = α_s / α_t * x + α_s * (n_s - n_t) * noise_t
        x = α_s / α_t * x + α_s * (n_s - n_t) * (noise_t + noise(ahead, s)) / 2
    """

    reference = "Karras et al. 2022, EDM"
    grid = "edm"

    tableau: str = static(default="heun")
    form: str = static(default="noise")


@solvers.register("midpoint")
class Midpoint(GridRungeKutta):
    """The midpoint method in the rectified velocity.

    A step of length h in M, with x = w/c of the form:

        w_½ = w + h / 2 * derivative(w, M)
        w = w + h * derivative(w_½, M + h / 2)
    """

    reference = "Hairer, Nørsett & Wanner 1993, §II.1"
    grid = "rectified"

    tableau: str = static(default="midpoint")


@solvers.register("ddim")
class DDIM(GridRungeKutta):
    """DDIM without noise: Euler's method in the noise, and the same in the data.

    A step from t to s:

        x = α_s * data + σ_s * noise
    """

    reference = "Song et al. 2021, DDIM"
    grid = "edm"

    tableau: str = static(default="euler")
    form: str = static(default="noise")
