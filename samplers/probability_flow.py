"""The probability flow: latents to data, data to latents, and exact log-densities.

One ODE serves every affine SDE. With n = σ/α, the data's scale s, and

    u = n/(s + n),    w = s x/(s α + σ) = (1 − u) x/α                             (1)

the probability flow reads

    dw/du = s E[ε | x_t] − E[x_0 | x_t],                                          (2)

a field that stays bounded from u = 0 (data) to u = 1 (α = 0, noise alone): the velocity of the
straight path w = (1 − u) x_0 + u s ε. Since w − u dw/du = E[x_0 | x_t], the denoised end costs
nothing when the integrator knows the slope there.

By the change of variables, with c = s/(s α + σ) at each end and D dimensions,

    log p(x_tmin) = log prior(x_tmax) + D log(c_tmin/c_tmax) + ∫ div_w(dw/du) du.  (3)

References: Song et al. 2021, eq. 13 and App. D.2; Chen et al. 2018 (3).
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.divergence import Divergence, Exact, value_and_divergence
from samplers.runge_kutta import Solution, integrate, tableaux
from sde_lib import SDE, Model, expand

_STATIC = ("tableau", "max_evaluations")


class Flow(NamedTuple):
    """States at the other end [B, ...], and the network evaluations each example took [B]."""

    x: Array
    evaluations: Array


class LogProb(NamedTuple):
    """log p(x) in nats [B] and what came with it.

    standard_error: of log p through the divergence's probes [B]; 0 for the exact one, NaN for one
      probe. latents: x at t_max [B, ...]. evaluations: [B].
    """

    log_prob: Array
    standard_error: Array
    latents: Array
    evaluations: Array


class _Coordinate(NamedTuple):
    """Eq. 1 for one SDE and one scale s."""

    sde: SDE
    s: Array | float

    def u(self, t: Array | float) -> Array:
        """n/(s + n) = σ/(s α + σ)."""
        sigma = self.sde.sigma(t)
        return sigma / (self.s * self.sde.alpha(t) + sigma)

    def scale(self, t: Array | float) -> Array:
        """c = w/x."""
        return self.s / (self.s * self.sde.alpha(t) + self.sde.sigma(t))

    def time(self, u: Array) -> Array:
        """t at u, from n = s u/(1 − u)."""
        log_noise = jnp.log(self.s * u) - jnp.log1p(-u)
        return self.sde.time_of_log_snr(-2 * log_noise)

    def slope(self, model: Model, cond: Any, u: Array, w: Array) -> Array:
        """dw/du, eq. 2. u [B], w [B, ...]."""
        t = self.time(u)
        predicted = model(w / expand(self.scale(t), w), t, cond)
        return self.s * predicted.noise - predicted.data


@partial(jax.jit, static_argnames=(*_STATIC, "denoise"))
def decode(
    sde: SDE,
    model: Model,
    latents: Array,
    *,
    t_min: float,
    t_max: float = 1.0,
    data_std: float = 0.5,
    cond: Any = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    tableau: str = "dopri5",
    max_evaluations: int = 2000,
    denoise: bool = False,
) -> Flow:
    """Carry latents, states at t_max [B, ...], down to t_min.

    Args:
      sde, model, cond: as for `sample`.
      t_min, t_max: the ends, 0 ≤ t_min < t_max ≤ 1.
      data_std: s of eq. 1, about the standard deviation of the data in model units. Any positive
        value is right; the data's own takes the fewest evaluations.
      rtol, atol: tolerances for w, whose size is that of the data.
      tableau: a name in `runge_kutta.tableaux`.
      max_evaluations: a bound; an example that would need more is NaN.
      denoise: return E[x_0 | x_tmin] instead of x_tmin; no further evaluation.

    Returns:
      x at t_min and the evaluations.
    """
    coordinate = _Coordinate(sde, data_std)
    start, end = coordinate.u(t_max), coordinate.u(t_min)
    solution = integrate(
        partial(coordinate.slope, model, cond),
        latents * coordinate.scale(t_max),
        start,
        end,
        tableau=tableaux[tableau],
        rtol=rtol,
        atol=atol,
        max_evaluations=max_evaluations,
    )
    x = solution.y / coordinate.scale(t_min)
    return Flow(solution.y - end * solution.slope if denoise else x, solution.evaluations)


@partial(jax.jit, static_argnames=_STATIC)
def encode(
    sde: SDE,
    model: Model,
    x: Array,
    *,
    t_min: float,
    t_max: float = 1.0,
    data_std: float = 0.5,
    cond: Any = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    tableau: str = "dopri5",
    max_evaluations: int = 2000,
) -> Flow:
    """Carry states x at t_min [B, ...] up to t_max: the inverse of `decode`.

    Args: as for `decode`.

    Returns:
      The latents and the evaluations.
    """
    coordinate = _Coordinate(sde, data_std)
    solution = integrate(
        partial(coordinate.slope, model, cond),
        x * coordinate.scale(t_min),
        coordinate.u(t_min),
        coordinate.u(t_max),
        tableau=tableaux[tableau],
        rtol=rtol,
        atol=atol,
        max_evaluations=max_evaluations,
    )
    return Flow(solution.y / coordinate.scale(t_max), solution.evaluations)


@partial(jax.jit, static_argnames=_STATIC)
def log_prob(
    sde: SDE,
    model: Model,
    x: Array,
    divergence: Divergence | None = None,
    *,
    t_min: float,
    t_max: float = 1.0,
    data_std: float = 0.5,
    cond: Any = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    tableau: str = "dopri5",
    max_evaluations: int = 2000,
) -> LogProb:
    """log-densities of x [B, ...] at t_min under the probability flow, eq. 3.

    Args:
      divergence: `Exact()`, the default, or `Hutchinson`.
      Others as for `decode`. The tolerances hold for w and for the log-density per dimension.

    Returns:
      Nats per example, with the standard error, the latents and the evaluations.
    """
    coordinate = _Coordinate(sde, data_std)
    divergence = Exact() if divergence is None else divergence
    dim = math.prod(x.shape[1:])

    def field(u: Array, y: tuple[Array, Array]) -> tuple[Array, Array]:
        slope = partial(coordinate.slope, model, cond, u)
        value, estimates = value_and_divergence(slope, y[0], divergence)
        return value, estimates / dim

    w = x * coordinate.scale(t_min)
    estimates = jax.eval_shape(field, jnp.zeros(x.shape[0]), (w, w))[1]
    solution: Solution = integrate(
        field,
        (w, jnp.zeros(estimates.shape, estimates.dtype)),
        coordinate.u(t_min),
        coordinate.u(t_max),
        tableau=tableaux[tableau],
        rtol=rtol,
        atol=atol,
        max_evaluations=max_evaluations,
    )
    latents = solution.y[0] / coordinate.scale(t_max)
    change = dim * (jnp.log(coordinate.scale(t_min)) - jnp.log(coordinate.scale(t_max)))
    integrals = dim * solution.y[1]
    return LogProb(
        log_prob=sde.prior_log_prob(latents) + change + jnp.mean(integrals, axis=1),
        standard_error=divergence.standard_error(integrals),
        latents=latents,
        evaluations=solution.evaluations,
    )
