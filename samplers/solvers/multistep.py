"""Multistep solvers: Adams methods, exponential or not, in any form of the probability flow.

With w, M and d of a form (`forms`), d taken as the polynomial in a variable v through its last
values, a step from i to i + 1 is

    predict   w_{i+1} = w_i + Σ_{j<p} d_{i−j} ∫ L_j(v) dM                             (1)
    correct   w_{i+1} = w_i + Σ_{j<q} d_{i+1−j} ∫ L*_j(v) dM                          (2)

over v_i … v_{i+1}, the Lagrange polynomials of (2) with the new node, d_{i+1} evaluated at (1) and
not again: one evaluation a step. Predicting alone has order p, correcting min(p + 1, q). The first
steps have the nodes there are.

    v = M         Adams–Bashforth and –Moulton in that form
    v = λ         exponential integrators: e^{±λ} is integrated exactly, data or noise interpolated
    v = t         DEIS (tAB)

Where a form is infinite (α = 0, σ = 0) the step falls back to DDIM's, and its node does not count.

References: Hairer, Nørsett & Wanner 1993, §III.1; Zhang & Chen 2023 "DEIS", eq. 15; Lu et al. 2022
"DPM-Solver++", §4; Gonzalez et al. 2023 "SEEDS", §3 (exponential); Liu et al. 2022 "PNDM" and Zhang
& Chen 2023, App. H (iPNDM).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coefficients.lagrange import integrals
from samplers.coordinates.forms import Form, forms
from samplers.solvers.linear import (
    NOISE,
    LinearSolver,
    Row,
    corrected,
    finite_run,
    newest_first,
)
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, number, static


class Multistep(LinearSolver):
    """A linear multistep method of any order in any form and variable, eq. 1 and 2 of `multistep`.

    A step, with x = w/c and L of the p or q newest nodes v:

        d = [derivative(x, t), *d]
        w = w_before + Σ_{j<q} d[j] * ∫ L_j(v) dM         # (2), over the step before
        w_before = w
        w = w + Σ_{j<p} d[j] * ∫ L_j(v) dM                # (1), over this step

    Args:
      order: p, how many values the prediction uses.
      corrector: q, how many the correction uses; 0: none.
      form: a name in `forms`.
      variable: v, in which the values are interpolated: "form" (M), "log_snr" (λ) or "time" (t).
      s: the scale of the data, for the forms that have one.
    """

    order: int = static(default=3, low=1, high=6)
    corrector: int = static(default=4, choices=(0, 2, 3, 4, 5, 6))
    form: str = static(default="rectified")
    variable: str = static(default="form", choices=("form", "log_snr", "time"))
    s: Array | float = number(default=0.5, above=0)

    @property
    def memory(self) -> int:
        """As many as the prediction or the correction uses."""
        return max(self.order, self.corrector)

    @property
    def convergence_order(self) -> int:
        """p, or min(p + 1, q) with a correction."""
        return min(self.order + 1, self.corrector) if self.corrector else self.order

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step, and one at the end to correct the last."""
        form = forms[self.form](s=self.s)
        t = jnp.append(steps.start, steps.end[-1])
        v, rate = _interpolation(self.variable, sde, form, t)
        scale, derivative = form.scale(sde, t), form.derivative(sde, t)
        history, nodes = finite_run(v + scale), newest_first(v, self.memory)
        falls_back = (history[:-1] == 0) | (history[1:] == 0)

        # Eq. 1 in x = w/c, of the nodes at the start of a step.
        count = jnp.minimum(history[:-1], self.order)
        weights = integrals(nodes[:, :-1], count, v[:-1], v[1:], rate) / scale[1:]
        ratio = scale[:-1] / scale[1:]
        rows = Row.step(ratio, weights, direction=derivative[:-1])
        rows = Row.where(falls_back, Row.ddim(sde, steps, self.memory), rows)
        if not self.corrector:
            return Plan.one_per_step(steps.start, rows)
        # Eq. 2, of those at its end.
        hold = Row.hold(self.memory)
        count = jnp.minimum(history[1:], self.corrector)
        weights = integrals(nodes[:, 1:], count, v[:-1], v[1:], rate) / scale[1:]
        corrections = jnp.where(falls_back[:, None], hold.base, corrected(ratio, weights))
        # There may be no noise at the end, nor a derivative.
        noisy = sde.sigma(t[-1]) > 0
        final = hold._replace(
            direction=jnp.where((history[-1] > 0) & noisy, derivative[-1], 0.0),
            base=jnp.where(noisy, corrections[-1], hold.base),
        )
        return Plan.one_per_step(steps.start, rows.correcting(corrections), final)


def _interpolation(
    name: str, sde: SDE, form: Form, t: Array
) -> tuple[Array, Callable[[Array], Array] | None]:
    """v at the times t, and dM/dv as a function of v; None if it is 1."""

    def half_log_snr(t: Array) -> Array:
        return sde.log_snr(t) / 2

    def slope(curve: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda v: jax.jvp(curve, (v,), (jnp.ones_like(v),))[1]

    if name == "form":
        return form.variable(half_log_snr(t)), None
    if name == "log_snr":
        return half_log_snr(t), slope(form.variable)
    return t, slope(lambda t: form.variable(half_log_snr(t)))


@solvers.register("adams")
class AdamsMoulton(Multistep):
    """The Adams–Bashforth–Moulton method, predict–correct, in the rectified velocity.

    Eq. 1 and 2 of `multistep` with v = M; args and step as of `Multistep`.
    """

    reference = "Hairer, Nørsett & Wanner 1993, §III.1"
    grid = "rectified"


@solvers.register("exponential_adams")
class ExponentialAdams(Multistep):
    """The exponential Adams–Bashforth method, of the data, the noise or the velocity.

    Eq. 1 of `multistep` with v = λ; args and step as of `Multistep`.
    """

    reference = "Hochbruck & Ostermann 2010; Gonzalez et al. 2023"
    grid = "log_snr"

    order: int = static(default=3)
    corrector: int = static(default=0)
    form: str = static(default="data")
    variable: str = static(default="log_snr")


@solvers.register("deis")
class DEIS(Multistep):
    """The diffusion exponential integrator sampler (tAB): the noise as a polynomial in time.

    Eq. 1 of `multistep` with v = t; args and step as of `Multistep`.
    """

    reference = "Zhang & Chen 2023, DEIS"
    grid = "edm"

    order: int = static(default=3)
    corrector: int = static(default=0)
    form: str = static(default="noise")
    variable: str = static(default="time")


@solvers.register("ipndm")
class IPNDM(LinearSolver):
    """The improved pseudo-numerical method: Adams–Bashforth with the weights of equal steps.

    A step from t to s, with n = σ/α and b_j the weights for nodes at 0, −1, −2, …:

        d = [noise, *d]
        x = α_s / α_t * x + α_s * (n_s - n_t) * Σ_{j<order} b[j] * d[j]

    Of its order on grids uniform in n, of order 2 on other smooth ones.

    Args:
      order: how many noises a step uses.
    """

    reference = "Liu et al. 2022; Zhang & Chen 2023"
    grid = "edm"

    order: int = static(default=4, low=1, high=4)

    @property
    def memory(self) -> int:
        """As many as a step uses."""
        return self.order

    @property
    def convergence_order(self) -> int:
        """`order`, on a grid uniform in n."""
        return self.order

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step."""
        n, n_end = sde.noise_to_signal(steps.start), sde.noise_to_signal(steps.end)
        alpha, alpha_end = sde.alpha(steps.start), sde.alpha(steps.end)
        history = finite_run(n)
        nodes = -jnp.arange(float(self.order))[:, None] * jnp.ones(len(n))
        b = integrals(nodes, jnp.minimum(history, self.order), 0.0, 1.0)
        rows = Row.step(alpha_end / alpha, alpha_end * (n_end - n) * b, direction=NOISE)
        rows = Row.where(history == 0, Row.ddim(sde, steps, self.order), rows)
        return Plan.one_per_step(steps.start, rows)
