"""Grids fitted to a model: the times at which a solver with so many steps errs least.

In v, the angle arctan(n/s) from its value at t_max to that at t_min as 0 to 1, a grid has the
density of steps

    ρ(v) ∝ exp(piecewise linear through a_1 … a_K at equal distances)              (1)

and the a minimise Σ ‖x_N(a) − x‖² over some latents, where x is where a far finer solution ends, by
the Levenberg–Marquardt method: (JᵀJ + μ diag JᵀJ) Δa = −Jᵀ r, with J by forward differentiation
through the sampler. Other latents say what has been gained.

References: Marquardt 1963; Sabour et al. 2024, "Align your steps" (grids fitted to a model).
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers.coordinates.angle import Angle
from samplers.driver import GridSampler
from samplers.integrators.adams import Adams
from samplers.integrators.steps import ByTolerance
from samplers.probability_flow import ProbabilityFlow
from samplers.solvers.solver import Solver
from sde_lib import SDE, Model

_FINE = 512
"""Points of v between which the density of eq. 1 is integrated by the trapezoidal rule."""

_MAX_LOG_DENSITY = 5.0
"""The |a| of eq. 1 stay below it, smoothly: densities differ by e^10 at most."""

_FINE_TOLERANCE = 1e-5
"""The tolerance of the far finer solution."""

_DAMPING, _RELAX, _TIGHTEN, _TRIALS = 1e-1, 3.0, 4.0, 4
"""Levenberg–Marquardt: the first μ; after a step that helps μ/3, after one that does not 4 μ, and
so often at most until one helps."""


class FittedGrid(NamedTuple):
    """A grid, and what it has gained over the one uniform in v.

    Args:
      noise_to_signal: n at the grid's times [N + 1], falling.
      before: the RMS error at the end of the grid uniform in v, over latents not fitted to.
      after: the same of this grid.
    """

    noise_to_signal: Array
    before: Array
    after: Array


def fit_grid(
    key: Array,
    sde: SDE,
    model: Model,
    shape: tuple[int, ...],
    *,
    solver: Solver,
    num_steps: int,
    t_min: float,
    t_max: float = 1.0,
    data_std: float = 0.5,
    knots: int = 8,
    iterations: int = 12,
    denoise: bool = True,
    cond: Any = None,
) -> FittedGrid:
    """The grid of eq. 1 on which a solver errs least.

    Args:
      key: typed key of the latents.
      sde: the SDE.
      model: `predict(x, t, cond)`.
      shape: of a batch of latents [B, ...]; one is fitted to, another measures.
      solver: deterministic.
      num_steps: N.
      t_min: the last time.
      t_max: the first time.
      data_std: s.
      knots: K.
      iterations: at most so many steps of Levenberg–Marquardt.
      denoise: as for `GridSampler`.
      cond: what the model is conditioned on, for a batch.
    """
    angle = Angle(sde, data_std)
    ends = angle.theta(t_max), angle.theta(t_min)
    problem = _Problem(angle, solver, num_steps, t_min, t_max, ends, knots, denoise, cond)
    fitted, other = (problem.latents_and_ends(model, k, shape) for k in jax.random.split(key))
    residual, jacobian = jax.jit(problem.residual), jax.jit(problem.jacobian)
    uniform = np.zeros(knots, jnp.result_type(float))
    a = _levenberg_marquardt(
        partial(residual, model), partial(jacobian, model), uniform, fitted, iterations
    )

    def rms(a: np.ndarray) -> Array:
        return jnp.sqrt(jnp.mean(residual(model, a, *other) ** 2))

    return FittedGrid(sde.noise_to_signal(problem.grid(jnp.asarray(a))), rms(uniform), rms(a))


@dataclasses.dataclass(frozen=True)
class _Problem:
    """What is minimised: the error of a solver's end points as a function of a, eq. 1.

    Args:
      angle: the coordinate in which v is 0 to 1.
      ends: the angles at t_max and t_min.
      Others as for `fit_grid`.
    """

    angle: Angle
    solver: Solver
    num_steps: int
    t_min: float
    t_max: float
    ends: tuple[Array, Array]
    knots: int
    denoise: bool
    cond: Any

    def latents_and_ends(
        self, model: Model, key: Array, shape: tuple[int, ...]
    ) -> tuple[Array, Array]:
        """States at t_max, and where the far finer solution from there ends."""
        x = jax.random.normal(key, shape) / self.angle.scale(self.t_max)
        flow = ProbabilityFlow(
            sde=self.angle.sde,
            model=model,
            cond=self.cond,
            t_min=self.t_min,
            t_max=self.t_max,
            data_std=self.angle.s,
            integrator=Adams(steps=ByTolerance(rtol=_FINE_TOLERANCE, atol=_FINE_TOLERANCE)),
        )
        return x, flow.decode(x, denoise=self.denoise).x

    def _theta(self, a: Array) -> Array:
        """The angles of the grid [N + 1], by inverting the integral of eq. 1."""
        v = jnp.linspace(0, 1, _FINE)
        bound = _MAX_LOG_DENSITY * jnp.tanh(a / _MAX_LOG_DENSITY)
        density = jnp.exp(jnp.interp(v, jnp.linspace(0, 1, self.knots), bound))
        steps = (density[1:] + density[:-1]) / 2
        total = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
        at = jnp.interp(jnp.linspace(0, 1, self.num_steps + 1), total / total[-1], v)
        first, last = self.ends
        return first + (last - first) * at

    def grid(self, a: Array) -> Array:
        """The times of the grid [N + 1]."""
        times = self.angle.time(self._theta(a))
        return times.at[0].set(self.t_max).at[-1].set(self.t_min)

    def residual(self, model: Model, a: Array, x: Array, target: Array) -> Array:
        """How far the solver ends from `target`, all numbers of the batch in one vector."""
        sampler = GridSampler(solver=self.solver, grid=self.grid(a), denoise=self.denoise)
        predict = partial(model, cond=self.cond)
        end = sampler.integrate(lambda *_: jnp.zeros_like(x), self.angle.sde, predict, x).x
        return (end - target).ravel()

    def jacobian(self, model: Model, a: Array, x: Array, target: Array) -> Array:
        """∂ residual/∂a, [numbers of the batch, K]."""
        return jax.jacfwd(self.residual, argnums=1)(model, a, x, target)


def _levenberg_marquardt(
    residual: Callable, jacobian: Callable, a: np.ndarray, data: tuple, iterations: int
) -> np.ndarray:
    """The a of least squares; a step that does not help is tried again, shorter.

    The few unknowns stay on the host, so that the programs are given them in one way.
    """
    damping, r = _DAMPING, np.asarray(residual(a, *data))
    for _ in range(iterations):
        j = np.asarray(jacobian(a, *data), np.float64)
        square = j.T @ j
        if not np.trace(square) > 0:  # one step has no times to move; or the error is not finite
            break
        for _ in range(_TRIALS):
            ridge = damping * np.diag(np.diag(square) + 1e-12 * np.trace(square))
            step = np.linalg.solve(square + ridge, -(j.T @ r)).astype(a.dtype)
            tried = np.asarray(residual(a + step, *data))
            if np.sum(tried**2) < np.sum(r**2):
                a, r, damping = a + step, tried, damping / _RELAX
                break
            damping *= _TIGHTEN
        else:
            break
    return a
