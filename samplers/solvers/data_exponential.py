"""Exponential integrators of the predicted data in λ = log α/σ: what they have in common.

With h = λ' − λ, H = (1 + η) h and D(λ + τh) what is taken for the prediction within a step,

    x' = (σ'/σ) e^{−ηh} x + α' ∫_0^1 H e^{−H(1 − τ)} D(λ + τh) dτ + σ' √(1 − e^{−2ηh}) z.   (1)

η = 0 is the probability flow, η = 1 the reverse-time SDE. Where h is infinite, at α = 0 or σ' = 0,
a step is of first order; where h is 0 it goes nowhere.

References: Lu et al. 2022 "DPM-Solver++", eq. 9 and its appendix for η = 1; Xue et al. 2023
"SA-Solver", eq. 14, η = τ².
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coefficients.lagrange import integrals
from samplers.solvers.linear import Row
from samplers.solvers.solver import Plan, Steps
from sde_lib import SDE


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
        h = _gap(sde, start, end)
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
    """λ at the start and the end of every step, h, and how many finite λ end at the start, [N].

    regular: whether h is neither infinite nor 0, so that polynomials in λ/h can be integrated.
    """

    start: Array
    end: Array
    h: Array
    known: Array
    regular: Array

    @classmethod
    def of(cls, sde: SDE, steps: Steps) -> "History":
        start, end = sde.log_snr(steps.start) / 2, sde.log_snr(steps.end) / 2
        number = jnp.arange(len(start))
        last_bad = jax.lax.cummax(jnp.where(jnp.isfinite(start), -1, number))
        h = _gap(sde, *steps[:2])
        return cls(start, end, h, number - last_bad, jnp.isfinite(h) & (h != 0))


def _gap(sde: SDE, start: Array, end: Array) -> Array:
    """h, 0 for a step of no length even where λ is infinite."""
    return jnp.where(start == end, 0.0, (sde.log_snr(end) - sde.log_snr(start)) / 2)


def interpolated(nodes: Array, count: Array, history: History, decay: Decay) -> Array:
    """The weights of predictions at nodes λ [K, N] if D is their polynomial, in eq. 1.

    α' ∫_0^1 H e^{−H(1 − τ)} L_j(τ) dτ, L_j of the first `count` [N] nodes; D_i alone, the first of
    them, if h is infinite or 0.
    """
    relative = (nodes - history.start) / jnp.where(history.regular, history.h, 1.0)

    def rate(tau: Array) -> Array:
        return decay.H * jnp.exp(-decay.H * (1 - tau))

    weights = decay.alpha * integrals(relative, count, 0.0, jnp.ones_like(decay.H), rate)
    only = jnp.zeros_like(weights).at[0].set(decay.data)
    return jnp.where(history.regular & (count > 0), weights, only)


def plan_of(steps: Steps, base: Array, weights: Array, decay: Decay) -> Plan:
    """One evaluation of the data a step. base [N, 2 + H], weights of the predictions [N, H]."""
    num = len(steps.start)
    rows = Row(
        direction=jnp.broadcast_to(jnp.array([1.0, 0.0]), (num, 2)),
        base=base,
        next=jnp.concatenate([decay.x[:, None], weights], axis=1),
        std=decay.std,
    )
    return Plan(steps.start[:, None], jax.tree.map(lambda leaf: leaf[:, None], rows))
