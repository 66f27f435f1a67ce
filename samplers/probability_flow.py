"""The probability flow: latents to data, data to latents, and exact log-densities.

The flow is integrated in the coordinate (θ, w) of `angle`, from end to end one ODE for every affine
SDE. By the change of variables, with c = w/x at each end and D dimensions,

    log p(x_tmin) = log prior(x_tmax) + D log(c_tmin/c_tmax) + ∫ div_w(dw/dθ) dθ,  (1)

the integral from θ_tmin to θ_tmax. Carried along with the samples it gives their densities at no
second integration.

References: Song et al. 2021, eq. 13 and App. D.2; Chen et al. 2018 (1).
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coordinates.angle import Angle
from samplers.divergence import Divergence, Exact, value_and_divergence
from samplers.integrators.adams import Adams
from samplers.integrators.integrator import Integrator, Solution
from sde_lib import SDE, Model


class Flow(NamedTuple):
    """States at the other end [B, ...], and the network evaluations each example took [B].

    finished: whether it is there [B]; what ran out of evaluations is where it had got to.
    """

    x: Array
    evaluations: Array
    finished: Array


class LogProb(NamedTuple):
    """log p(x) in nats [B], NaN where the evaluations ran out, and what came with it.

    standard_error: of log p through the divergence's probes [B]; 0 for the exact one, NaN for one
      probe. x: states at t_min, latents: at t_max [B, ...]. evaluations: [B].
    """

    log_prob: Array
    standard_error: Array
    x: Array
    latents: Array
    evaluations: Array


@partial(jax.jit, static_argnames="denoise")
def decode(
    sde: SDE,
    model: Model,
    latents: Array,
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    data_std: Array | float = 0.5,
    cond: Any = None,
    integrator: Integrator | None = None,
    denoise: bool = False,
) -> Flow:
    """Carry latents, states at t_max [B, ...], down to t_min.

    Args:
      sde, model, cond: as for `sample`.
      t_min, t_max: the ends, 0 ≤ t_min < t_max ≤ 1.
      data_std: about the standard deviation of the data in model units. Any positive value is
        right; the data's own takes the fewest evaluations.
      integrator: `Adams()` by default. Its tolerances are for w, whose size is about 1.
      denoise: return E[x_0 | x_tmin] instead of x_tmin; no further evaluation.

    Returns:
      x at t_min and the evaluations.
    """
    angle, solution = _carry(sde, model, latents, t_max, t_min, data_std, cond, integrator)
    if denoise:
        x = angle.denoise(angle.theta(t_min), solution.y, solution.slope)
    else:
        x = solution.y / angle.scale(t_min)
    return Flow(x, solution.evaluations, solution.finished)


@jax.jit
def encode(
    sde: SDE,
    model: Model,
    x: Array,
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    data_std: Array | float = 0.5,
    cond: Any = None,
    integrator: Integrator | None = None,
) -> Flow:
    """Carry states x at t_min [B, ...] up to t_max: the inverse of `decode`.

    Args: as for `decode`.

    Returns:
      The latents and the evaluations.
    """
    angle, solution = _carry(sde, model, x, t_min, t_max, data_std, cond, integrator)
    return Flow(solution.y / angle.scale(t_max), solution.evaluations, solution.finished)


@jax.jit
def log_prob(
    sde: SDE,
    model: Model,
    x: Array,
    divergence: Divergence | None = None,
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    data_std: Array | float = 0.5,
    cond: Any = None,
    integrator: Integrator | None = None,
) -> LogProb:
    """log-densities of x [B, ...] at t_min under the probability flow, eq. 1.

    Args:
      t_max: where the latents have the SDE's prior, N(0, σ(1)² I), whatever their time.
      divergence: `Exact()`, the default, or `Hutchinson`.

    The others are as for `decode`. The tolerances hold for w and for the log-density per dimension.

    Returns:
      Nats per example, with the standard error, the latents and the evaluations.
    """
    moved = _carry_with_density(sde, model, x, t_min, t_max, data_std, cond, integrator, divergence)
    log_densities = sde.prior_log_prob(moved.x)[:, None] + moved.log_volumes
    return _log_prob(divergence, log_densities, x, moved.x, moved.evaluations)


@jax.jit
def decode_with_log_prob(
    sde: SDE,
    model: Model,
    latents: Array,
    divergence: Divergence | None = None,
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    data_std: Array | float = 0.5,
    cond: Any = None,
    integrator: Integrator | None = None,
) -> LogProb:
    """`decode` and the log-densities of what it returns, by one integration.

    Args: as for `decode` and `log_prob`.

    Returns:
      x at t_min with its density there in nats.
    """
    moved = _carry_with_density(
        sde, model, latents, t_max, t_min, data_std, cond, integrator, divergence
    )
    log_densities = sde.prior_log_prob(latents)[:, None] - moved.log_volumes
    return _log_prob(divergence, log_densities, moved.x, latents, moved.evaluations)


class _Moved(NamedTuple):
    """States at the end [B, ...], log|det ∂end/∂start| [B, E], evaluations [B]."""

    x: Array
    log_volumes: Array
    evaluations: Array


def _carry(
    sde: SDE,
    model: Model,
    x: Array,
    start: Array | float,
    end: Array | float,
    data_std: Array | float,
    cond: Any,
    integrator: Integrator | None,
) -> tuple[Angle, Solution]:
    """The flow of w from time `start` to time `end`."""
    angle = Angle(sde, data_std)
    solution = (integrator or Adams()).solve(
        partial(angle.slope, model, cond),
        x * angle.scale(start),
        angle.theta(start),
        angle.theta(end),
    )
    return angle, solution


def _carry_with_density(
    sde: SDE,
    model: Model,
    x: Array,
    start: Array | float,
    end: Array | float,
    data_std: Array | float,
    cond: Any,
    integrator: Integrator | None,
    divergence: Divergence | None,
) -> _Moved:
    """The flow from time `start` to time `end`, with the log of how it stretches volume."""
    angle = Angle(sde, data_std)
    divergence = divergence or Exact()
    dim = math.prod(x.shape[1:])

    def field(theta: Array, y: tuple[Array, Array]) -> tuple[Array, Array]:
        slope = partial(angle.slope, model, cond, theta)
        value, estimates = value_and_divergence(slope, y[0], divergence)
        return value, estimates / dim

    def log_stretch(variance: Array) -> Array:
        return (
            (jnp.log(angle.scale(end)) - jnp.log(angle.scale(start)))
            + _log_std(sde, variance, end)
            - _log_std(sde, variance, start)
        )

    w = x * angle.scale(start)
    estimates = jax.eval_shape(field, jnp.zeros(x.shape[0]), (w, w))[1]
    solution = (integrator or Adams()).solve(
        field,
        (w, jnp.zeros(estimates.shape, estimates.dtype)),
        angle.theta(start),
        angle.theta(end),
    )
    integrals = divergence.controlled(dim * solution.y[1], log_stretch)
    # Half the way there is no density.
    integrals = jnp.where(solution.finished[:, None], integrals, jnp.nan)
    change = dim * (jnp.log(angle.scale(start)) - jnp.log(angle.scale(end)))
    return _Moved(solution.y[0] / angle.scale(end), integrals + change, solution.evaluations)


def _log_std(sde: SDE, variance: Array, t: Array | float) -> Array:
    """log of x_t's standard deviation along a direction of Gaussian data of that variance."""
    return jnp.log(sde.alpha(t) ** 2 * variance + sde.sigma(t) ** 2) / 2


def _log_prob(
    divergence: Divergence | None,
    log_densities: Array,
    x: Array,
    latents: Array,
    evaluations: Array,
) -> LogProb:
    """From the estimates [B, E] of log p, one a probe."""
    return LogProb(
        log_prob=jnp.mean(log_densities, axis=1),
        standard_error=(divergence or Exact()).standard_error(log_densities),
        x=x,
        latents=latents,
        evaluations=evaluations,
    )
