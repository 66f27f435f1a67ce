"""Grids fitted to a model: the times at which a solver with so many steps errs least.

In v, the angle arctan(n/s) from its value at t_max to that at t_min as 0 to 1, a grid has the
density of steps

    ρ(v) ∝ exp(piecewise linear through a_1 … a_K at equal distances)              (1)

and the a minimise Σ ‖x_N(a) − x‖² over some latents, where x is where a far finer solution ends, by
the Levenberg–Marquardt method: (JᵀJ + μ diag JᵀJ) Δa = −Jᵀ r, with J by forward differentiation
through the sampler. Other latents say what has been gained.

References: Marquardt 1963; Sabour et al. 2024, "Align your steps" (grids fitted to a model).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.coordinates.angle import Angle
from samplers.driver import integrate
from samplers.integrators.adams import Adams
from samplers.integrators.steps import ByTolerance
from samplers.probability_flow import ProbabilityFlow
from samplers.solvers.solver import Solver
from sde_lib import SDE, Model

_FINE = 512
_MOST_DENSITY = 5.0


class Fitted(NamedTuple):
    """noise_to_signal: n at the grid's times [N + 1], falling; and RMS errors at the end.

    before: of the grid uniform in v, after: of this one; over latents that were not fitted to.
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
) -> Fitted:
    """The grid of eq. 1.

    Args:
      key: of the latents.
      sde, model: as for `sample`.
      shape: of a batch of latents; one is fitted to, another measures.
      solver: deterministic.
      num_steps: N.
      t_min, t_max: the ends.
      data_std: s.
      knots: K.
      iterations: of Levenberg–Marquardt.
      denoise: as for `sample`.
    """
    angle = Angle(sde, data_std)
    ends = angle.theta(t_max), angle.theta(t_min)
    flow = ProbabilityFlow(
        sde=sde,
        model=model,
        t_min=t_min,
        t_max=t_max,
        data_std=data_std,
        integrator=Adams(steps=ByTolerance(rtol=1e-5, atol=1e-5)),
    )

    def latents(key: Array) -> tuple[Array, Array]:
        x = jax.random.normal(key, shape) / angle.scale(t_max)
        return x, flow.decode(x, denoise=denoise).x

    def theta(a: Array) -> Array:
        v = jnp.linspace(0, 1, _FINE)
        bound = _MOST_DENSITY * jnp.tanh(a / _MOST_DENSITY)
        density = jnp.exp(jnp.interp(v, jnp.linspace(0, 1, knots), bound))
        steps = (density[1:] + density[:-1]) / 2
        total = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
        at = jnp.interp(jnp.linspace(0, 1, num_steps + 1), total / total[-1], v)
        return ends[0] + (ends[1] - ends[0]) * at

    def grid(a: Array) -> Array:
        times = angle.time(theta(a))
        return times.at[0].set(t_max).at[-1].set(t_min)

    @jax.jit
    def residual(model: Model, a: Array, x: Array, target: Array) -> Array:
        end = integrate(
            lambda number: jnp.zeros_like(x),
            sde,
            model,
            x,
            solver=solver,
            grid=grid(a),
            denoise=denoise,
        )
        return (end - target).ravel()

    @jax.jit
    def jacobian(model: Model, a: Array, x: Array, target: Array) -> Array:
        return jax.jacfwd(residual, argnums=1)(model, a, x, target)

    fitted, other = (latents(key) for key in jax.random.split(key))
    a = _levenberg_marquardt(
        partial(residual, model), partial(jacobian, model), jnp.zeros(knots), fitted, iterations
    )

    def rms(a: Array) -> Array:
        return jnp.sqrt(jnp.mean(residual(model, a, *other) ** 2))

    before, after = rms(jnp.zeros(knots)), rms(a)
    return Fitted(sde.noise_to_signal(grid(a)), before, after)


def _levenberg_marquardt(
    residual: Callable, jacobian: Callable, a: Array, data: tuple, iterations: int
) -> Array:
    """The a of least squares; a step that does not help is tried again, shorter."""
    damping, r = 1e-1, residual(a, *data)
    for _ in range(iterations):
        j = jacobian(a, *data)
        square = j.T @ j
        for _ in range(4):
            ridge = damping * jnp.diag(jnp.diag(square) + 1e-12 * jnp.trace(square))
            step = jnp.linalg.solve(square + ridge, -(j.T @ r))
            tried = residual(a + step, *data)
            if jnp.sum(tried**2) < jnp.sum(r**2):
                a, r, damping = a + step, tried, damping / 3
                break
            damping *= 4
        else:
            break
    return a
