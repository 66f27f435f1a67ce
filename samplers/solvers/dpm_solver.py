"""DPM-Solver++: exponential integrators of the predicted data, by the published formulas.

With D_i the prediction at the start of step i and r = (λ_i − λ_{i−1})/h, 2M takes for D, in eq. 1
of `data_exponential`, the constant

    D_i + (D_i − D_{i−1})/(2r).                                                   (1)

3M takes the parabola P(τ) through the last three predictions, and of its last term one half:

    ∫_0^1 H e^{−H(1 − τ)} D dτ  →  I_0 D_i + I_1 P'(0) + ½ I_2 P''/2,             (2)
    I_0 = 1 − e^{−H},   I_k = ∫_0^1 H e^{−H(1 − τ)} τ^k dτ = 1 − k I_{k−1}/H.

So it is of order 2, and often errs less at few steps than the whole parabola, which is
`exponential_adams`, of order 3. Where the history is too short, 3M is 2M and 2M is of first order.
2S predicts at λ + h/2 by the first order and has (1) with that value: r = −1/2.

References: Lu et al. 2022 "DPM-Solver++", Algorithms 1 and 2 and its appendix for η = 1; its
authors' code (3M).
"""

import abc

import jax.numpy as jnp
from jax import Array

from samplers.solvers.data_exponential import Decay, History, plan_of
from samplers.solvers.linear import LinearSolver, Row
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


class DPMSolverPP(LinearSolver):
    """A multistep method of this module.

    Args:
      eta: η ≥ 0.
    """

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    eta: float = static(default=0.0, low=0)

    @property
    def convergence_order(self) -> int:
        """2; weakly 1 if noise is drawn."""
        return 1 if self.draws else 2

    @property
    def draws(self) -> bool:
        """Unless η = 0."""
        return self.eta != 0

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step.

        Raises:
          ValueError: η is negative.
        """
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, self.eta)
        keep = jnp.eye(2 + self.memory)[0]
        base = jnp.broadcast_to(keep, (len(history.h), 2 + self.memory))
        return plan_of(steps, base, self._weights(history, decay).T, decay)

    @abc.abstractmethod
    def _weights(self, history: History, decay: Decay) -> Array:
        """Of the predictions, newest first, [H, N]."""


@solvers.register("dpmpp_2m")
class DPMSolverPP2M(DPMSolverPP):
    """DPM-Solver++ 2M: eq. 1."""

    @property
    def memory(self) -> int:
        """D_i and D_{i−1}."""
        return 2

    def _weights(self, history: History, decay: Decay) -> Array:
        return _second_order(history, decay)


@solvers.register("dpmpp_3m")
class DPMSolverPP3M(DPMSolverPP):
    """DPM-Solver++ 3M: eq. 2."""

    @property
    def memory(self) -> int:
        """D_i, D_{i−1} and D_{i−2}."""
        return 3

    def _weights(self, history: History, decay: Decay) -> Array:
        λ, h, H = history.start, history.h, decay.H
        # In units of the step the last predictions are at 0, −a and −b.
        a, b = (λ - jnp.roll(λ, 1)) / h, (λ - jnp.roll(λ, 2)) / h
        apart = (a > 0) & (b > a) & history.regular
        bend = jnp.stack([1 / (a * b), -1 / (a * (b - a)), 1 / (b * (b - a))])
        slope = jnp.stack([1 / a, -1 / a, jnp.zeros_like(a)]) + a * bend
        linear = 1 + jnp.expm1(-H) / H
        square = 1 - 2 * linear / H
        third = (decay.alpha * (linear * slope + square / 2 * bend)).at[0].add(decay.data)
        second = jnp.pad(_second_order(history, decay), ((0, 1), (0, 0)))
        return jnp.where((history.known > 2) & apart, third, second)


@solvers.register("sde_dpmpp_2m")
class SDEDPMSolverPP2M(DPMSolverPP2M):
    """SDE-DPM-Solver++ 2M."""

    eta: float = static(default=1.0)


@solvers.register("sde_dpmpp_3m")
class SDEDPMSolverPP3M(DPMSolverPP3M):
    """SDE-DPM-Solver++ 3M."""

    eta: float = static(default=1.0)


def _second_order(history: History, decay: Decay) -> Array:
    """Eq. 1 where there are two predictions, else the first order. [2, N]."""
    before = history.start - jnp.roll(history.start, 1)
    half = history.h / before / 2
    half = jnp.where((history.known > 1) & (before > 0) & history.regular, half, 0.0)
    return decay.data * jnp.stack([1 + half, -half])


@solvers.register("dpmpp_2s")
class DPMSolverPP2S(LinearSolver):
    """DPM-Solver++ 2S: the midpoint in λ, then (1) with that value; two evaluations a step."""

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    @property
    def evaluations(self) -> int:
        """Two."""
        return 2

    @property
    def convergence_order(self) -> int:
        """Two."""
        return 2

    @property
    def memory(self) -> int:
        """The last evaluation alone."""
        return 1

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """At λ and at λ + h/2; at λ again where h is infinite."""
        middle = sde.time_of_log_snr((sde.log_snr(steps.start) + sde.log_snr(steps.end)) / 2)
        whole = Decay.of(sde, steps.start, steps.end, 0.0)
        finite = jnp.isfinite(whole.H)
        middle = jnp.where(finite, middle, steps.start)
        half = Decay.of(sde, steps.start, middle, 0.0)
        half_x, half_data = jnp.where(finite, half.x, 1.0), jnp.where(finite, half.data, 0.0)
        num = len(middle)
        rows = Row(
            direction=jnp.broadcast_to(jnp.array([1.0, 0.0]), (num, 2, 2)),
            base=jnp.broadcast_to(jnp.eye(3)[:2], (num, 2, 3)),
            next=jnp.stack(
                [
                    jnp.stack([half_x, half_data], axis=1),
                    # r = −1/2 in (1): D_½ alone.
                    jnp.stack([whole.x, whole.data], axis=1),
                ],
                axis=1,
            ),
            std=jnp.zeros((num, 2)),
        )
        return Plan(jnp.stack([steps.start, middle], axis=1), rows)
