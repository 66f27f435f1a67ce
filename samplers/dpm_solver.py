"""DPM-Solver++ and its kin: exponential integrators of the predicted data in λ = log α/σ.

With h = λ' − λ, H = (1 + η) h and D(λ + τh) a polynomial through predictions of the data,

    x' = (σ'/σ) e^{−ηh} x + α' ∫_0^1 H e^{−H(1 − τ)} D(λ + τh) dτ + σ' √(1 − e^{−2ηh}) z.   (1)

η = 0 is the probability flow, η = 1 the reverse-time SDE. Multistep methods take D through the last
predictions. The published second order replaces it by a constant,

    D_i + (D_i − D_{i−1})/(2r),   r = (λ_i − λ_{i−1})/h;                          (2)

2S predicts at λ + h/2 by the first order and then has (2) with that value: r = −1/2. Where h is
infinite, at α = 0 or σ' = 0, the step is of first order.

References: Lu et al. 2022 "DPM-Solver++", eq. 9 (1), Algorithms 1 and 2 (2), and its appendix for
η = 1; Xue et al. 2023 "SA-Solver", eq. 14 and 17, η = τ².
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.lagrange import integrals
from samplers.linear import LinearSolver, Row
from samplers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


class Decay(NamedTuple):
    """What of eq. 1 does not depend on D, [N]: the factors of x and of z, α' and H."""

    x: Array
    std: Array
    alpha: Array
    H: Array

    @classmethod
    def of(cls, sde: SDE, start: Array, end: Array, eta: float) -> "Decay":
        """From start to end.

        Raises:
          ValueError: η is negative.
        """
        if eta < 0:
            raise ValueError(f"eta: got {eta}, takes a number ≥ 0")
        h = (sde.log_snr(end) - sde.log_snr(start)) / 2
        # 0 · ∞ where a step without noise ends at σ = 0 or starts at α = 0.
        noisy = eta * h if eta else jnp.zeros_like(h)
        sigma = sde.sigma(end)
        return cls(
            x=sigma / sde.sigma(start) * jnp.exp(-noisy),
            std=sigma * jnp.sqrt(-jnp.expm1(-2 * noisy)),
            alpha=sde.alpha(end),
            H=h + noisy,
        )

    @property
    def data(self) -> Array:
        """α' (1 − e^{−H}), the factor of a constant D."""
        return -self.alpha * jnp.expm1(-self.H)


class History(NamedTuple):
    """λ at the start and the end of every step, h, and how many finite λ end at the start, [N]."""

    start: Array
    end: Array
    h: Array
    known: Array

    @classmethod
    def of(cls, sde: SDE, steps: Steps) -> "History":
        start, end = sde.log_snr(steps.start) / 2, sde.log_snr(steps.end) / 2
        number = jnp.arange(len(start))
        last_bad = jax.lax.cummax(jnp.where(jnp.isfinite(start), -1, number))
        return cls(start, end, end - start, number - last_bad)


def _plan(steps: Steps, base: Array, weights: Array, decay: Decay) -> Plan:
    """One evaluation of the data a step. base [N, 2 + H], weights of the predictions [N, H]."""
    num = len(steps.start)
    rows = Row(
        direction=jnp.broadcast_to(jnp.array([1.0, 0.0]), (num, 2)),
        base=base,
        next=jnp.concatenate([decay.x[:, None], weights], axis=1),
        std=decay.std,
    )
    return Plan(steps.start[:, None], jax.tree.map(lambda leaf: leaf[:, None], rows))


class DataMultistep(LinearSolver):
    """Eq. 1 with D through the last `order` predictions.

    Args:
      order: from 1 to 4.
      eta: η ≥ 0.
      corrector: how many predictions, the new one among them, correct a step once the network has
        been evaluated at its end, with the same z; 0: none.
    """

    order: int = static(default=3)
    eta: float = static(default=0.0)
    corrector: int = static(default=0)

    @property
    def memory(self) -> int:
        """Of the predictions; a correction takes out what the last step made of the oldest."""
        return max(self.order + 1, self.corrector) if self.corrector else self.order

    @property
    def claimed_order(self) -> int:
        """As for `Multistep`; weakly 1 if noise is drawn."""
        if self.draws:
            return 1
        return min(self.order + 1, self.corrector) if self.corrector else self.order

    @property
    def draws(self) -> bool:
        """Unless η = 0."""
        return self.eta != 0

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """Eq. 1.

        Raises:
          ValueError: `order` or `corrector` is out of range.
        """
        if self.order not in (1, 2, 3, 4):
            raise ValueError(f"order: got {self.order}, takes 1 to 4")
        if self.corrector not in (0, 2, 3, 4):
            raise ValueError(f"corrector: got {self.corrector}, takes 0 or 2 to 4")
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, self.eta)
        nodes = jnp.stack([jnp.roll(history.start, j) for j in range(self.memory)])
        predicted = _weights(nodes, jnp.minimum(history.known, self.order), history, decay)
        return _plan(steps, self._corrections(nodes, predicted, history, decay), predicted.T, decay)

    def _corrections(self, nodes: Array, predicted: Array, history: History, decay: Decay) -> Array:
        """b' = x + the change of eq. 1, z included, that the new value makes. [N, 2 + H]."""
        keep = jnp.broadcast_to(jnp.eye(2 + self.memory)[0], (nodes.shape[1], 2 + self.memory))
        if not self.corrector:
            return keep
        # Of the step to follow, then of the step before.
        after = jnp.concatenate([history.end[None], nodes[: self.memory - 1]])
        counts = jnp.where(history.known > 0, jnp.minimum(history.known + 1, self.corrector), 0)
        better = _weights(after, counts, history, decay)
        # What was d_{j−1} when the step was predicted is d_j now.
        worse = jnp.concatenate([jnp.zeros_like(predicted[:1]), predicted[:-1]])
        change = jnp.where(jnp.isfinite(history.h), better - worse, 0.0)
        change = jnp.roll(change, 1, axis=1).at[:, 0].set(0.0)
        return keep.at[:, 2:].set(change.T)


def _weights(nodes: Array, count: Array, history: History, decay: Decay) -> Array:
    """α' ∫_0^1 H e^{−H(1 − τ)} L_j(τ) dτ over nodes λ [K, N]; D_i alone if h is infinite."""
    relative = (nodes - history.start) / history.h

    def rate(tau: Array) -> Array:
        return decay.H * jnp.exp(-decay.H * (1 - tau))

    weights = decay.alpha * integrals(relative, count, 0.0, jnp.ones_like(decay.H), rate)
    only = jnp.zeros_like(weights).at[0].set(decay.data)
    return jnp.where(jnp.isfinite(history.h) & (count > 0), weights, only)


@solvers.register("dpmpp_3m")
class DPMSolverPP3M(DataMultistep):
    """DPM-Solver++ 3M: `DataMultistep` of order 3.

    The published formula has half of the quadratic term, which errs less at few steps on some
    problems and makes it of order 2.
    """

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"


@solvers.register("sde_dpmpp_3m")
class SDEDPMSolverPP3M(DataMultistep):
    """SDE-DPM-Solver++ 3M."""

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    eta: float = static(default=1.0)


@solvers.register("sa_solver")
class SASolver(DataMultistep):
    """SA-Solver with as many values to correct as to predict."""

    reference = "Xue et al. 2023, SA-Solver"
    grid = "log_snr"

    eta: float = static(default=1.0)
    corrector: int = static(default=3)


@solvers.register("dpmpp_2m")
class DPMSolverPP2M(LinearSolver):
    """Eq. 1 with eq. 2.

    Args:
      eta: η ≥ 0.
    """

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    eta: float = static(default=0.0)

    @property
    def memory(self) -> int:
        """D_i and D_{i−1}."""
        return 2

    @property
    def claimed_order(self) -> int:
        """2; weakly 1 if noise is drawn."""
        return 1 if self.draws else 2

    @property
    def draws(self) -> bool:
        """Unless η = 0."""
        return self.eta != 0

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """Eq. 2."""
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, self.eta)
        half = history.h / (history.start - jnp.roll(history.start, 1)) / 2
        half = jnp.where((history.known > 1) & jnp.isfinite(history.h), half, 0.0)
        base = jnp.broadcast_to(jnp.eye(4)[0], (len(half), 4))
        weights = decay.data * jnp.stack([1 + half, -half])
        return _plan(steps, base, weights.T, decay)


@solvers.register("sde_dpmpp_2m")
class SDEDPMSolverPP2M(DPMSolverPP2M):
    """SDE-DPM-Solver++ 2M."""

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    eta: float = static(default=1.0)


@solvers.register("dpmpp_2s")
class DPMSolverPP2S(LinearSolver):
    """DPM-Solver++ 2S: the midpoint in λ, then eq. 2; two evaluations a step."""

    reference = "Lu et al. 2022, DPM-Solver++"
    grid = "log_snr"

    @property
    def evaluations(self) -> int:
        """Two."""
        return 2

    @property
    def claimed_order(self) -> int:
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
                    # D_i + (D_½ − D_i)/(2 · ½) = D_½.
                    jnp.stack([whole.x, whole.data], axis=1),
                ],
                axis=1,
            ),
            std=jnp.zeros((num, 2)),
        )
        return Plan(jnp.stack([steps.start, middle], axis=1), rows)
