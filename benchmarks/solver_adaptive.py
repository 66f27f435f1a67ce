"""Adaptive integrators of the probability flow against diffrax's, on the same ODE."""

from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.mixture8 import MAX_SIGMA, Mixture8
from samplers import Adams, ByTolerance, RungeKutta
from samplers.coordinates.angle import Angle

_TOLERANCES = [10.0**-k for k in np.arange(1.5, 9.1, 0.5)]


def adaptive(problem: Mixture8) -> dict[str, list]:
    """[tolerance, mean calls, most calls, RMS error] by integrator: dw/dθ from σ = 80 to 10⁻⁴."""
    sde = problem.sde(1e-4)
    angle, model = Angle(sde, problem.data_std), problem.model(sde)
    start, end = angle.theta(1.0), angle.theta(0.0)
    w = MAX_SIGMA * jnp.asarray(problem.latents) * angle.scale(1.0)

    def field(theta: Array, w: Array) -> Array:
        return angle.slope(model, None, theta, w)

    def error(w: Array, slope: Array) -> float:
        return problem.error(angle.denoise(end, w, slope))[1]

    @jax.jit
    def ours(integrator: Any) -> tuple:
        solution = integrator.solve(field, w, start, end)
        return solution.y, solution.slope, solution.evaluations

    @partial(jax.jit, static_argnames="solver")
    def theirs(solver: Any, tolerance: Array) -> tuple:
        y, steps = jax.vmap(partial(_by_diffrax, field, solver, tolerance, (start, end)))(w)
        return y, field(jnp.full(len(y), end), y), steps

    curves: dict[str, list] = {}
    for name, make in (
        ("adams", Adams),
        ("dopri5", partial(RungeKutta, tableau="dopri5")),
        ("dop853", partial(RungeKutta, tableau="dop853")),
    ):
        curves[name] = []
        for tolerance in _TOLERANCES:
            y, slope, calls = ours(make(steps=ByTolerance(rtol=tolerance, atol=tolerance)))
            point = tolerance, float(calls.mean()), int(calls.max()), error(y, slope)
            curves[name].append(point)
    # Both have the first stage of a step from the one before.
    for name, solver, stages in (
        ("diffrax Tsit5", diffrax.Tsit5(), 6),
        ("diffrax Dopri8", diffrax.Dopri8(), 13),
    ):
        curves[name] = []
        for tolerance in _TOLERANCES:
            y, slope, steps = theirs(solver, tolerance)
            calls = 1 + stages * np.asarray(steps)
            point = tolerance, float(calls.mean()), int(calls.max()), error(y, slope)
            curves[name].append(point)
    for name, curve in curves.items():
        print(name, [(round(mean), most, float(f"{off:.1e}")) for _, mean, most, off in curve])
    return curves


def _by_diffrax(
    field: Callable, solver: Any, tolerance: Array, ends: tuple[Any, Any], w: Array
) -> tuple[Any, Any]:
    """One state carried from the first end to the second, and the number of steps."""

    def slope(theta: Any, w: Any, _: Any) -> Array:
        return field(theta[None], w[None])[0]

    control = diffrax.PIDController(rtol=tolerance, atol=tolerance, pcoeff=0.3, icoeff=0.4)
    solution: Any = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        solver,
        *ends,
        None,
        w,
        stepsize_controller=control,
        max_steps=4000,
    )
    return solution.ys[-1], solution.stats["num_steps"]
