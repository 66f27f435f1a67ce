"""The variational bound as a loss, for an SDE that is learned together with the network.

With λ = log α²/σ², γ' = −dλ/dt, times from t_0 to 1, λ_0 and λ_1 the log-SNRs there, and D the
dimensions of an example x, the model that runs the reverse-time SDE from the prior to t_0 and then
draws x ~ N(x_{t_0}/α, e^{−λ_0} I) has, in nats per dimension,

    −log p(x)/D ≤ ½ (1 + log 2π − λ_0)                                   reconstruction   (1)
                + E ℓ,   ℓ = ½ (1 − t_0) γ'(t) ‖ε − ε̂(x_t)‖²/D            diffusion        (2)
                + ½ e^{λ_1} ‖x‖²/D                                       prior            (3)

where t is uniform on [t_0, 1], and the prior is that of the SDE, N(0, σ(1)² I).

A curve λ is its two ends and an interior C, which runs from 0 to 1 between them:

    λ(t) = λ_0 − (λ_0 − λ_1) C(t)                                                         (4)

The mean of (2) is ½ ∫ mse dλ/D over [λ_1, λ_0], mse(λ) = E‖ε − ε̂‖²: only the ends are in it. So
the bound teaches the ends, and can teach the interior nothing. The interior decides how much ℓ
varies from draw to draw, and as its mean stays, least variance is least second moment

    E ℓ² = ¼ (1 − t_0)² E_t γ'² m²/D²,   m(λ)² = E‖ε − ε̂‖⁴,                               (5)

which is ¼ (1 − t_0)/D² ∫ γ' m² dγ over the ends, with ∫ dγ/γ' = 1 − t_0 given. By Cauchy and
Schwarz it is least, (½ ∫ m dγ/D)², where

    γ' ∝ 1/m:   uniform times then meet the same root mean square of ℓ everywhere.        (6)

m is mse but for what ‖ε − ε̂‖² varies at one λ; without it γ' ∝ 1/mse. For Gaussian data N(0, s² I)
the two are proportional, m² = (1 + 2/D) mse², mse = D s²e^λ/(1 + s²e^λ): the best interior is
log(1 + s²e^λ) linear in t, and the least variance of ℓ is 2/D times its mean squared.

References: Kingma et al. 2021 "Variational diffusion models", eq. 11 to 18, §5.1 and App. I.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.model import Model
from sde_lib.sde import SDE
from sde_lib.shapes import PerExample, States
from sde_lib.times import value_and_slope


class Bound(NamedTuple):
    """The terms of the bound on −log p of each example, in nats per dimension, each [B].

    Args:
      reconstruction: what drawing the example from its least noisy state costs, eq. 1 of `bound`.
      diffusion: ℓ, what denoising costs, by one time and one noise, eq. 2.
      prior: what the most noisy state still tells of the example, eq. 3.
    """

    reconstruction: Array
    diffusion: Array
    prior: Array

    @property
    def total(self) -> Array:
        """Their sum, [B]."""
        return self.reconstruction + self.diffusion + self.prior


class _Curve(NamedTuple):
    """λ at the times of a batch and γ' there, each [B]."""

    log_snr: Array
    decay: Array


def variational_bound(
    sde: SDE,
    model_under: Callable[[SDE], Model],
    data: States,
    t: PerExample,
    noise: States,
    *,
    t_min: float,
    cond: Any = None,
) -> Bound:
    """The variational bound, with gradients that learn the SDE: eq. 1 to 3 of the module.

    The gradient of the mean of `total` by what the model is made of is the bound's. That by the
    SDE's numbers is the bound's, for what they do to the ends of the curve, plus that of the mean
    of ℓ², for what they do to its interior (eq. 4). One pass back through the network gives both.

    The network is taken as a function of x_t and λ, so α has no gradient of its own: two SDEs with
    one λ see the same data, in other units.

    Args:
      sde: the SDE that is learned; its log-SNR is finite at t_min and 1.
      model_under: the model under the SDE that it is given, which has no gradient.
      data: x [B, ...], in model units.
      t: uniform on [t_min, 1], [B].
      noise: ε, standard normal [B, ...].
      t_min: t_0.
      cond: what the model is conditioned on.

    Returns:
      The terms [B]. Examples must not depend on each other in the model.

    Reference: Kingma et al. 2021, §5.1 and App. I.
    """
    start, end = sde.log_snr(t_min), sde.log_snr(1.0)
    ends, interior = _apart(start, end, _Curve(*value_and_slope(sde.log_snr, t)))
    frozen = jax.lax.stop_gradient(sde)
    model, axes = model_under(frozen), tuple(range(1, data.ndim))

    def diffusion(curve: _Curve) -> Array:
        """ℓ [B] on a curve near that of `frozen`."""
        still = jax.lax.stop_gradient(curve)
        # t itself, with the derivative of the time at which `frozen` has this log-SNR.
        time = t - (curve.log_snr - still.log_snr) / still.decay
        predicted = model(frozen.perturb(data, time, noise), time, cond)
        return (1 - t_min) * curve.decay * jnp.mean((predicted.noise - noise) ** 2, axes) / 2

    converted, inside = jax.closure_convert(diffusion, ends)
    squares = jnp.mean(data**2, axes)
    return Bound(
        reconstruction=jnp.broadcast_to((1 + math.log(2 * math.pi) - start) / 2, t.shape),
        diffusion=_by_mean_and_square(converted, ends, interior, *inside),
        prior=jnp.exp(end) * squares / 2,
    )


def _apart(start: Array, end: Array, curve: _Curve) -> tuple[_Curve, _Curve]:
    """One curve twice, eq. 4: its gradients go to its ends alone, and to its interior alone.

    Args:
      start, end: λ_0 and λ_1.
      curve: λ and its slope dλ/dt.
    """
    span = start - end
    inner = _Curve((start - curve.log_snr) / span, -curve.decay / span)

    def joined(start: Array, span: Array, inner: _Curve) -> _Curve:
        return _Curve(start - span * inner.log_snr, span * inner.decay)

    stop = jax.lax.stop_gradient
    return joined(start, span, stop(inner)), joined(stop(start), stop(span), inner)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _by_mean_and_square(
    losses: Callable[..., Array], ends: _Curve, interior: _Curve, *inside: Array
) -> Array:
    """losses(ends, *inside) [B], whose gradient by `interior`, the same numbers, is the squares'.

    A loss [b] depends on the numbers [b] of a curve alone.
    """
    del interior
    return losses(ends, *inside)


def _forward(
    losses: Callable[..., Array], ends: _Curve, interior: _Curve, *inside: Array
) -> tuple[Array, tuple[Array, Callable]]:
    del interior
    values, pull = jax.vjp(losses, ends, *inside)
    return values, (values, pull)


def _backward(losses: Callable, kept: tuple[Array, Callable], cotangent: Array) -> tuple:
    del losses
    values, pull = kept
    by_ends, *by_inside = pull(cotangent)
    return by_ends, _Curve(*(2 * values * slope for slope in by_ends)), *by_inside


_by_mean_and_square.defvjp(_forward, _backward)
