"""Exponential integrators of the predicted data in λ = log α/σ: what they have in common.

With h = λ' − λ, H = (1 + η) h and D(λ + τh) what is taken for the prediction within a step,

    x' = (σ'/σ) e^{−ηh} x + α' ∫_0^1 H e^{−H(1 − τ)} D(λ + τh) dτ + σ' √(1 − e^{−2ηh}) z.   (1)

η = 0 is the probability flow, η = 1 the reverse-time SDE. Where h is infinite, at α = 0 or σ' = 0,
a step is of first order; where h is 0 it goes nowhere.

References: Lu et al. 2022 "DPM-Solver++", eq. 9 and its appendix for η = 1; Xue et al. 2023
"SA-Solver", eq. 14, η = τ².
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from samplers.coefficients.lagrange import integrals
from samplers.solvers.linear import finite_run
from samplers.solvers.solver import Steps
from sde_lib import SDE


class Decay(NamedTuple):
    """What of eq. 1 does not depend on D, for every step.

    Args:
      x: (σ'/σ) e^{−ηh}.
      std: σ' √(1 − e^{−2ηh}).
      alpha: α'.
      H: (1 + η) h.
    """

    x: Float[Array, "steps"]
    std: Float[Array, "steps"]
    alpha: Float[Array, "steps"]
    H: Float[Array, "steps"]

    @classmethod
    def of(
        cls, sde: SDE, start: Float[Array, "steps"], end: Float[Array, "steps"], eta: float
    ) -> "Decay":
        """The factors for steps from the times `start` to `end`, with η ≥ 0."""
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
    def data(self) -> Float[Array, "steps"]:
        """α' (1 − e^{−H}), the factor of a constant D."""
        return -self.alpha * jnp.expm1(-self.H)


class History(NamedTuple):
    """Where the steps are in λ, and what is known of those before them.

    Args:
      start, end: λ at the ends of every step.
      h: end − start.
      length: how many finite λ in a row end with `start`.
      finite: whether h is neither infinite nor 0, so that polynomials in λ/h can be integrated.
    """

    start: Float[Array, "steps"]
    end: Float[Array, "steps"]
    h: Float[Array, "steps"]
    length: Int[Array, "steps"]
    finite: Bool[Array, "steps"]

    @classmethod
    def of(cls, sde: SDE, steps: Steps) -> "History":
        """The history of the steps of a solver."""
        start, end = sde.log_snr(steps.start) / 2, sde.log_snr(steps.end) / 2
        h = _gap(sde, steps.start, steps.end)
        return cls(start, end, h, finite_run(start), jnp.isfinite(h) & (h != 0))


def _gap(sde: SDE, start: Array, end: Array) -> Array:
    """h, 0 for a step of no length even where λ is infinite."""
    return jnp.where(start == end, 0.0, (sde.log_snr(end) - sde.log_snr(start)) / 2)


def interpolated(
    nodes: Float[Array, "nodes steps"],
    count: Int[Array, "steps"],
    history: History,
    decay: Decay,
) -> Float[Array, "nodes steps"]:
    """The weights in eq. 1 of predictions at some nodes, if D is the polynomial through them.

        α' ∫_0^1 H e^{−H(1 − τ)} L_j(τ) dτ,   L_j the Lagrange polynomials of the first `count`

    Args:
      nodes: λ of the predictions; the first of them that of D_i.
      count: how many nodes are used.
      history, decay: of the steps.

    Returns:
      The weights; that of D_i alone if h is infinite or 0.
    """
    relative = (nodes - history.start) / jnp.where(history.finite, history.h, 1.0)

    def rate(tau: Array) -> Array:
        return decay.H * jnp.exp(-decay.H * (1 - tau))

    weights = decay.alpha * integrals(relative, count, 0.0, jnp.ones_like(decay.H), rate)
    only = jnp.zeros_like(weights).at[0].set(decay.data)
    return jnp.where(history.finite & (count > 0), weights, only)
