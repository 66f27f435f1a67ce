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

Where a form is not regular (α = 0, σ = 0) the step is DDIM's, and its node does not count.

References: Hairer, Nørsett & Wanner 1993, §III.1; Zhang & Chen 2023 "DEIS", eq. 15; Lu et al. 2022
"DPM-Solver++", §4; Gonzalez et al. 2023 "SEEDS", §3 (exponential); Liu et al. 2022 "PNDM" and Zhang
& Chen 2023, App. H (iPNDM).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coefficients.lagrange import integrals
from samplers.coordinates.forms import Form, forms
from samplers.solvers.linear import LinearSolver, Row, ddim_step
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, number, static


class Multistep(LinearSolver):
    """Eq. 1 and 2.

    Args:
      order: p, how many values the prediction uses.
      corrector: q, how many the correction uses; 0: none.
      form: a name in `forms`.
      variable: v, "form" (M), "log_snr" (λ) or "time".
      s: the scale of the data, for the forms that have one.
    """

    order: int = static(default=3, low=1, high=6)
    corrector: int = static(default=4, choices=(0, 2, 3, 4, 5, 6))
    form: str = static(default="rectified")
    variable: str = static(default="form", choices=("form", "log_snr", "time"))
    s: Array | float = number(default=0.5, above=0)

    @property
    def memory(self) -> int:
        """Of the directions."""
        return max(self.order, self.corrector)

    @property
    def convergence_order(self) -> int:
        """p, or min(p + 1, q)."""
        return min(self.order + 1, self.corrector) if self.corrector else self.order

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step, and one at the end to correct the last.

        Raises:
          ValueError: a field is out of range.
        """
        self._check()
        form = forms[self.form](s=self.s)
        value, rate = _variable(self.variable, sde, form)
        t = jnp.append(steps.start, steps.end[-1])
        # At every time: nodes, newest first, those that count, and what follows the newest.
        v, c = value(t), form.scale(sde, t)
        regular = jnp.isfinite(v) & jnp.isfinite(c)
        number = jnp.arange(len(t))
        last_bad = jax.lax.cummax(jnp.where(regular, -1, number))
        known = number - last_bad
        nodes = jnp.stack([jnp.roll(v, j) for j in range(self.memory)])

        predicted = integrals(nodes, jnp.minimum(known, self.order), v, jnp.roll(v, -1), rate)
        after = jnp.roll(c, -1)
        plain = ~regular | ~jnp.roll(regular, -1)
        step = jnp.concatenate([(c / after)[None], predicted / after]).T
        ddim, unit = ddim_step(sde, steps, self.memory), jnp.eye(2 + self.memory)
        base, direction = self._corrections(nodes, known, v, c, rate), form.derivative(sde, t)
        rows = Row(
            direction=jnp.where(plain[:-1, None], jnp.array([1.0, 0.0]), direction[:-1]),
            base=base[:-1],
            next=jnp.where(plain[:-1, None], ddim, step[:-1]),
            std=jnp.zeros(len(steps.start)),
        )
        final_correction = Row(
            # There may be no noise at the end, nor a direction.
            direction=jnp.where(regular[-1] & (sde.sigma(t[-1]) > 0), direction[-1], 0.0),
            base=jnp.where(sde.sigma(t[-1]) > 0, base[-1], unit[0]),
            next=unit[0, : 1 + self.memory],
            std=jnp.zeros(()),
        )
        return Plan(
            steps.start[:, None],
            jax.tree.map(lambda leaf: leaf[:, None], rows),
            final_correction if self.corrector else None,
        )

    def _corrections(self, nodes: Array, known: Array, v: Array, c: Array, rate: Any) -> Array:
        """Eq. 2 at every time, [N + 1, 2 + H]; x as it is where there is no step to correct."""
        keep = jnp.eye(2 + self.memory)[0]
        if not self.corrector:
            return jnp.broadcast_to(keep, (len(v), 2 + self.memory))
        # The new node and those that the step had.
        counts = jnp.minimum(known, self.corrector)
        weights = integrals(nodes, counts, jnp.roll(v, 1), v, rate)
        base = jnp.concatenate([jnp.zeros((1, len(v))), (jnp.roll(c, 1) / c)[None], weights / c]).T
        return jnp.where((known > 1)[:, None], base, keep)

    def _check(self) -> None:
        if not 1 <= self.order <= _MOST:
            raise ValueError(f"order: got {self.order}, takes 1 to {_MOST}")
        if not 0 <= self.corrector <= _MOST or self.corrector == 1:
            raise ValueError(f"corrector: got {self.corrector}, takes 0 or 2 to {_MOST}")


_MOST = 6


def _variable(name: str, sde: SDE, form: Form) -> tuple[Callable, Callable | None]:
    """v(t), and dM/dv as a function of v; None if it is 1.

    Raises:
      ValueError: an unknown name.
    """

    def half_log_snr(t: Array) -> Array:
        return sde.log_snr(t) / 2

    def slope(curve: Callable) -> Callable:
        return lambda v: jax.jvp(curve, (v,), (jnp.ones_like(v),))[1]

    if name == "form":
        return lambda t: form.variable(half_log_snr(t)), None
    if name == "log_snr":
        return half_log_snr, slope(form.variable)
    if name == "time":
        return lambda t: t, slope(lambda t: form.variable(half_log_snr(t)))
    raise ValueError(f"variable: got {name!r}, takes 'form', 'log_snr' or 'time'")


@solvers.register("adams")
class AdamsMoulton(Multistep):
    """Predict–correct Adams in the rectified velocity: eq. 1 and 2 with v = M."""

    reference = "Hairer, Nørsett & Wanner 1993, §III.1"
    grid = "rectified"


@solvers.register("exponential_adams")
class ExponentialAdams(Multistep):
    """Eq. 1 with v = λ, of data, noise or velocity."""

    reference = "Hochbruck & Ostermann 2010; Gonzalez et al. 2023"
    grid = "log_snr"

    order: int = static(default=3)
    corrector: int = static(default=0)
    form: str = static(default="data")
    variable: str = static(default="log_snr")


@solvers.register("deis")
class DEIS(Multistep):
    """Eq. 1 of the noise, with v = t."""

    reference = "Zhang & Chen 2023, DEIS"
    grid = "edm"

    order: int = static(default=3)
    corrector: int = static(default=0)
    form: str = static(default="noise")
    variable: str = static(default="time")


@solvers.register("ipndm")
class IPNDM(LinearSolver):
    """w' = w + (n' − n) Σ_j b_j noise_{i−j}, b those of Adams–Bashforth for equal steps.

    Of its order on grids uniform in n, of order 2 on other smooth ones.

    Args:
      order: 1 to 4.
    """

    reference = "Liu et al. 2022; Zhang & Chen 2023"
    grid = "edm"

    order: int = static(default=4, low=1, high=4)

    @property
    def memory(self) -> int:
        """Of the noises."""
        return self.order

    @property
    def convergence_order(self) -> int:
        """On a grid uniform in n."""
        return self.order

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step.

        Raises:
          ValueError: `order` is out of range.
        """
        if self.order not in (1, 2, 3, 4):
            raise ValueError(f"order: got {self.order}, takes 1 to 4")
        n, n_end = sde.noise_to_signal(steps.start), sde.noise_to_signal(steps.end)
        number, alpha = jnp.arange(len(n)), sde.alpha(steps.end)
        # The nodes 0, −1, … of equal steps.
        nodes = -jnp.arange(float(self.order))[:, None] * jnp.ones(len(n))
        regular = jnp.isfinite(n)
        known = number - jax.lax.cummax(jnp.where(regular, -1, number))
        b = integrals(nodes, jnp.minimum(known, self.order), 0.0, 1.0)
        step = jnp.concatenate([(alpha / sde.alpha(steps.start))[None], alpha * (n_end - n) * b]).T
        ddim, plain = ddim_step(sde, steps, self.order), ~regular[:, None]
        rows = Row(
            direction=jnp.where(plain, jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])),
            base=jnp.broadcast_to(jnp.eye(2 + self.order)[0], (len(n), 2 + self.order)),
            next=jnp.where(plain, ddim, step),
            std=jnp.zeros(len(n)),
        )
        return Plan(steps.start[:, None], jax.tree.map(lambda leaf: leaf[:, None], rows))
