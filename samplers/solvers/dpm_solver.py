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

from samplers.solvers.data_exponential import Decay, History
from samplers.solvers.linear import DATA, LinearSolver, Row, newest_first, stages
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


class DPMSolverPP(LinearSolver):
    """A multistep DPM-Solver++: an exponential integrator of the predicted data.

    A step from λ to λ' = λ + h, with H = (1 + η) h and D of the method:

        data = [prediction, *data]
        x = σ' / σ * exp(-η * h) * x + Σ_j weights[j] * data[j]       # α' (1 − e^{−H}) D
        x = x + σ' * sqrt(1 - exp(-2 * η * h)) * z                    # eq. 1 of data_exponential

    Args:
      eta: η, from the probability flow (0) to the reverse-time SDE (1) and more noise.
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
        """One evaluation a step."""
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, self.eta)
        weights = self._weights(history, decay)
        rows = Row.step(decay.x, weights, direction=DATA, std=decay.std)
        return Plan.one_per_step(steps.start, rows)

    @abc.abstractmethod
    def _weights(self, history: History, decay: Decay) -> Array:
        """The weights of the predictions in x', newest first, [H, N]."""


@solvers.register("dpmpp_2m")
class DPMSolverPP2M(DPMSolverPP):
    """DPM-Solver++ 2M: the data extrapolated from two predictions.

    The step is that of `DPMSolverPP`, eq. 1 of `dpm_solver`:

        r = (λ - λ_before) / h
        D = data[0] + (data[0] - data[1]) / (2 * r)
    """

    @property
    def memory(self) -> int:
        """D_i and D_{i−1}."""
        return 2

    def _weights(self, history: History, decay: Decay) -> Array:
        return _second_order(history, decay)


@solvers.register("dpmpp_3m")
class DPMSolverPP3M(DPMSolverPP):
    """DPM-Solver++ 3M: the data on a parabola through three predictions, with half its last term.

    The step is that of `DPMSolverPP`, eq. 2 of `dpm_solver`, P(τ) through data[0], data[1] and
    data[2] at τ = 0, −a and −b:

        weights · data = α' * (I_0 * data[0] + I_1 * P'(0) + I_2 / 2 * P'' / 2)
    """

    @property
    def memory(self) -> int:
        """D_i, D_{i−1} and D_{i−2}."""
        return 3

    def _weights(self, history: History, decay: Decay) -> Array:
        H, before = decay.H, newest_first(history.start, 3)
        # In units of the step the last predictions are at 0, −a and −b.
        a, b = (history.start - before[1:]) / history.h
        apart = (a > 0) & (b > a) & history.finite
        bend = jnp.stack([1 / (a * b), -1 / (a * (b - a)), 1 / (b * (b - a))])
        slope = jnp.stack([1 / a, -1 / a, jnp.zeros_like(a)]) + a * bend
        linear = 1 + jnp.expm1(-H) / H
        square = 1 - 2 * linear / H
        third = (decay.alpha * (linear * slope + square / 2 * bend)).at[0].add(decay.data)
        second = jnp.pad(_second_order(history, decay), ((0, 1), (0, 0)))
        return jnp.where((history.length > 2) & apart, third, second)


@solvers.register("sde_dpmpp_2m")
class SDEDPMSolverPP2M(DPMSolverPP2M):
    """SDE-DPM-Solver++ 2M: 2M on the reverse-time SDE, noise drawn in every step."""

    eta: float = static(default=1.0)


@solvers.register("sde_dpmpp_3m")
class SDEDPMSolverPP3M(DPMSolverPP3M):
    """SDE-DPM-Solver++ 3M: 3M on the reverse-time SDE, noise drawn in every step."""

    eta: float = static(default=1.0)


def _second_order(history: History, decay: Decay) -> Array:
    """The weights of eq. 1 where there are two predictions, else of the first order. [2, N]."""
    before = history.start - jnp.roll(history.start, 1)
    half = history.h / before / 2
    half = jnp.where((history.length > 1) & (before > 0) & history.finite, half, 0.0)
    return decay.data * jnp.stack([1 + half, -half])


@solvers.register("dpmpp_2s")
class DPMSolverPP2S(LinearSolver):
    """DPM-Solver++ 2S: two evaluations a step, at its start and half way in λ; no memory.

    A step from λ to λ' = λ + h, D_½ for eq. 1 of `dpm_solver` with r = −1/2:

        x_½ = σ_½ / σ * x - α_½ * expm1(-h / 2) * D(x, λ)
        x = σ' / σ * x - α' * expm1(-h) * D(x_½, λ + h / 2)
    """

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    @property
    def evaluations(self) -> int:
        """At the start and in the middle."""
        return 2

    @property
    def convergence_order(self) -> int:
        """That of the midpoint method."""
        return 2

    @property
    def memory(self) -> int:
        """The newest evaluation alone."""
        return 1

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """At λ and at λ + h/2; at λ again where h is infinite."""
        middle = sde.time_of_log_snr((sde.log_snr(steps.start) + sde.log_snr(steps.end)) / 2)
        whole = Decay.of(sde, steps.start, steps.end, 0.0)
        finite = jnp.isfinite(whole.H)
        middle = jnp.where(finite, middle, steps.start)
        half = Decay.of(sde, steps.start, middle, 0.0)
        half_x, half_data = jnp.where(finite, half.x, 1.0), jnp.where(finite, half.data, 0.0)
        rows = Row.step(
            jnp.stack([half_x, whole.x], axis=1),
            jnp.stack([half_data, whole.data], axis=1)[None],
            direction=DATA,
            base=stages(2, self.memory),
        )
        return Plan(jnp.stack([steps.start, middle], axis=1), rows)
