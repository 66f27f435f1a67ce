"""The probability flow: latents to data, data to latents, and exact log-densities.

The flow is integrated in the coordinate (θ, w) of `angle`, from end to end one ODE for every affine
SDE. By the change of variables, with c = w/x at each end and D dimensions,

    log p(x_tmin) = log prior(x_tmax) + D log(c_tmin/c_tmax) + ∫ div_w(dw/dθ) dθ,  (1)

the integral from θ_tmin to θ_tmax. Carried along with the samples it gives their densities without
a second integration.

References: Song et al. 2021, eq. 13 and App. D.2; Chen et al. 2018 (1).
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from samplers.coordinates.angle import Angle
from samplers.divergence import Divergence, Exact, value_and_divergence
from samplers.integrators.adams import Adams
from samplers.integrators.integrator import Integrator, Solution
from sde_lib import SDE, Model, Pytree

_EXACT = Exact()


class FlowState(NamedTuple):
    """What the flow carried to the other end.

    Args:
      x: [B, ...], the states there; of an example that is not finished, where it had got to.
      evaluations: [B], the network evaluations that each example took.
      finished: [B], whether the example reached the end within the integrator's evaluations.
    """

    x: Float[Array, "batch *shape"]
    evaluations: Int[Array, "batch"]
    finished: Bool[Array, "batch"]


class LogProb(NamedTuple):
    """Log-densities of states at t_min, and what the flow carried to get them.

    Args:
      log_prob: [B], log p(x) in nats; NaN for an example that is not finished.
      standard_error: [B], of log p through the divergence's probes; 0 for the exact divergence, NaN
        for one probe.
      x: [B, ...], the states at t_min.
      latents: [B, ...], the states at t_max.
      evaluations: [B], the network evaluations that each example took.
      finished: [B], whether the example reached the end within the integrator's evaluations.
    """

    log_prob: Float[Array, "batch"]
    standard_error: Float[Array, "batch"]
    x: Float[Array, "batch *shape"]
    latents: Float[Array, "batch *shape"]
    evaluations: Int[Array, "batch"]
    finished: Bool[Array, "batch"]


class ProbabilityFlow(Pytree):
    """The deterministic map between latents and data that a model's probability-flow ODE defines.

    Its methods are compiled once for a shape: the fields are leaves, so that another model, SDE or
    tolerance runs the same program.

    Args:
      sde, model, cond: as for `sample`; cond is the condition of each example, or None.
      t_min, t_max: the times of data and of latents, 0 ≤ t_min < t_max ≤ 1.
      data_std: about the standard deviation of the data in model units. Any positive value is
        right; the data's own takes the fewest evaluations.
      integrator: its tolerances are for the state scaled to about 1 (w of `angle`), and for the
        log-density per dimension.

    Reference: Song et al. 2021, §4.3.
    """

    sde: SDE
    model: Model
    t_min: Array | float
    t_max: Array | float = 1.0
    data_std: Array | float = 0.5
    cond: Any = None
    integrator: Integrator = Adams()

    @partial(jax.jit, static_argnames="denoise")
    def decode(self, latents: Float[Array, "batch *shape"], *, denoise: bool = False) -> FlowState:
        """The data that latents become: states carried from t_max down to t_min.

        Args:
          latents: [B, ...], states at t_max.
          denoise: return E[x_0 | x_tmin] instead of x_tmin; no further evaluation.
        """
        angle, end = self._angle, self._carry(latents, self.t_max, self.t_min)
        if denoise:
            x = angle.denoise(angle.theta(self.t_min), end.y, end.slope)
        else:
            x = end.y / angle.scale(self.t_min)
        return FlowState(x, end.evaluations, end.finished)

    @jax.jit
    def encode(self, x: Float[Array, "batch *shape"]) -> FlowState:
        """The latents that data come from, states at t_max: the inverse of `decode`.

        Args:
          x: [B, ...], states at t_min.
        """
        end = self._carry(x, self.t_min, self.t_max)
        return FlowState(end.y / self._angle.scale(self.t_max), end.evaluations, end.finished)

    @jax.jit
    def log_prob(self, x: Float[Array, "batch *shape"], divergence: Divergence = _EXACT) -> LogProb:
        """The log-densities of data at t_min, by eq. 1 of the module.

        The latents have the SDE's prior, N(0, σ(1)² I), whatever t_max is.

        Args:
          x: [B, ...], states at t_min.
          divergence: `Exact` or `Hutchinson`.
        """
        end, log_volumes = self._carry_with_density(x, self.t_min, self.t_max, divergence)
        log_densities = self.sde.prior_log_prob(end.x)[:, None] + log_volumes
        return _log_prob(divergence, log_densities, x, end.x, end)

    @jax.jit
    def decode_with_log_prob(
        self, latents: Float[Array, "batch *shape"], divergence: Divergence = _EXACT
    ) -> LogProb:
        """`decode`, and the log-densities at t_min of what it returns, by one integration.

        Args:
          latents: [B, ...], states at t_max.
          divergence: as for `log_prob`.
        """
        end, log_volumes = self._carry_with_density(latents, self.t_max, self.t_min, divergence)
        log_densities = self.sde.prior_log_prob(latents)[:, None] - log_volumes
        return _log_prob(divergence, log_densities, end.x, latents, end)

    @property
    def _angle(self) -> Angle:
        return Angle(self.sde, self.data_std)

    def _slope(self, theta: Array, w: Array) -> Array:
        """dw/dθ [B, ...] at θ [B]."""
        return self._angle.slope(self.model, self.cond, theta, w)

    def _carry(self, x: Array, start: Array | float, end: Array | float) -> Solution:
        """The flow of w, from x at the time `start` to the time `end`."""
        angle = self._angle
        return self.integrator.solve(
            self._slope, x * angle.scale(start), angle.theta(start), angle.theta(end)
        )

    def _carry_with_density(
        self, x: Array, start: Array | float, end: Array | float, divergence: Divergence
    ) -> tuple[FlowState, Array]:
        """The states at the time `end`, and log|det ∂x_end/∂x_start| [B, E], one a probe."""
        angle, dim = self._angle, math.prod(x.shape[1:])

        def field(theta: Array, y: tuple[Array, Array]) -> tuple[Array, Array]:
            value, estimates = value_and_divergence(partial(self._slope, theta), y[0], divergence)
            return value, estimates / dim

        w = x * angle.scale(start)
        estimates = jax.eval_shape(field, jnp.zeros(x.shape[0]), (w, w))[1]
        solution = self.integrator.solve(
            field,
            (w, jnp.zeros(estimates.shape, estimates.dtype)),
            angle.theta(start),
            angle.theta(end),
        )
        integrals = divergence.controlled(
            dim * solution.y[1], partial(self._log_stretch, start, end)
        )
        # Half the way there is no density.
        integrals = jnp.where(solution.finished[:, None], integrals, jnp.nan)
        change = dim * (jnp.log(angle.scale(start)) - jnp.log(angle.scale(end)))
        state = FlowState(solution.y[0] / angle.scale(end), solution.evaluations, solution.finished)
        return state, integrals + change

    def _log_stretch(self, start: Array | float, end: Array | float, variance: Array) -> Array:
        """The log of how the flow of w stretches a direction of Gaussian data of that variance."""
        angle = self._angle

        def log_std(t: Array | float) -> Array:
            return jnp.log(self.sde.alpha(t) ** 2 * variance + self.sde.sigma(t) ** 2) / 2

        return (
            (jnp.log(angle.scale(end)) - jnp.log(angle.scale(start)))
            + log_std(end)
            - log_std(start)
        )


def _log_prob(
    divergence: Divergence, log_densities: Array, x: Array, latents: Array, end: FlowState
) -> LogProb:
    """From the estimates [B, E] of log p, one a probe."""
    return LogProb(
        log_prob=jnp.mean(log_densities, axis=1),
        standard_error=divergence.standard_error(log_densities),
        x=x,
        latents=latents,
        evaluations=end.evaluations,
        finished=end.finished,
    )
