"""Independent counterparts of the driver: a Python loop, and moments carried through it exactly."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samplers import Corrector, GridSampler, Solver, solvers
from samplers.solvers.linear import LinearSolver
from samplers.solvers.solver import Plan, Update
from sde_lib import SDE, Gaussian, GaussianMixture, Prediction

MOVING = [name for name in solvers if solvers[name]().evaluations]
# One of everything that the driver tells apart: of several evaluations a step and of one, with
# noise, with a memory, with corrections of its steps and of the last; and all that bring updates of
# their own. How solvers of one kind differ is in their coefficients.
_LINEAR = ("heun", "rk", "ancestral", "dpmpp_2m", "sa_solver", "unipc")
KINDS = [name for name in MOVING if name in _LINEAR or not issubclass(solvers[name], LinearSolver)]


def loop(draw: Callable, sde: SDE, predict: Callable, x: Any, solver: Solver, grid: Any) -> tuple:
    """(x, x without its last noise) at the end of the grid; draw: evaluation number → noise."""
    plan, (scale, std) = jax.device_get(_planned(solver, sde, grid))
    state, mean, number = solver.init(x), x, 0
    for step, times in enumerate(plan.times):
        if std[step]:
            x = scale[step] * x + std[step] * draw(plan.times.size + number)
        for stage, t in enumerate(times):
            here = jax.tree.map(lambda leaf, at=(step, stage): leaf[at], plan.coefficients)
            x, mean, state = _update(solver, draw(number), predict(x, t), x, here, state)
            number += 1
    return x, mean


@jax.jit
def _planned(solver: Solver, sde: SDE, grid: Array) -> tuple[Plan, tuple[Array, Array]]:
    """The plan, and what brings the state from step to step."""
    steps = solver.steps(sde, grid)
    return solver.plan(sde, steps), steps.renoising(sde, grid[0])


@jax.jit
def _update(solver: Solver, noise: Array, *given: Any) -> Update:
    """A program for all steps of a method."""
    return solver.update(lambda: noise, *given)


@partial(jax.jit, static_argnames="shape")
def drawn(data: Gaussian | GaussianMixture, key: Array, shape: tuple[int, ...]) -> Array:
    """Examples of data in closed form, by one program."""
    return data.sample(key, shape)


class Line(NamedTuple):
    """Data N(mean, variance) on a line."""

    mean: float = 0.7
    variance: float = 0.25

    def moments(self, sde: SDE, t: float) -> tuple[float, float]:
        """Of x_t."""
        alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
        return alpha * self.mean, alpha**2 * self.variance + sigma**2

    @jax.jit
    def predict(self, sde: SDE, x: Any, t: Any) -> Prediction:
        """The conditional means, linear in x."""
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        centred = (x - alpha * self.mean) / (alpha**2 * self.variance + sigma**2)
        return Prediction(self.mean + alpha * self.variance * centred, sigma * centred)


class Moments(NamedTuple):
    """Mean and variance of the last state and of the same without its last noise."""

    mean: float
    variance: float
    variance_without_noise: float


def propagate(
    sde: SDE, solver: Solver, grid: Any, start: tuple[float, float], data: Line
) -> Moments:
    """The moments at the end of the grid of a solver started with mean and variance `start`.

    On Gaussian data every solver is affine in the first state and in its draws,
    x = c + a x_0 + Σ_k b_k z_k, so runs with one of them switched on give c, a and all b_k: no
    sampling. Works for any solver, however many evaluations and however long its memory.
    """
    steps = jax.eval_shape(solver.steps, sde, jnp.asarray(grid))
    number = len(steps.start) * solver.evaluations
    number *= 2 if solver.renoises else 1
    switched = np.zeros((number + 2, 1))
    switched[1] = 1.0

    def draw(k: int) -> np.ndarray:
        noise = np.zeros_like(switched)
        noise[2 + k] = 1.0
        return noise

    def predict(x: Any, t: float) -> Prediction:
        return data.predict(sde, np.asarray(x), float(t))

    def moments(x: Any) -> tuple[float, float]:
        constant, *gains = np.asarray(x)[:, 0]
        gains = np.array(gains) - constant
        mean = constant + gains[0] * start[0]
        return mean, gains[0] ** 2 * start[1] + np.sum(gains[1:] ** 2)

    x, without_noise = loop(draw, sde, predict, switched, solver, grid)
    return Moments(*moments(x), moments(without_noise)[1])


def driven(
    sde: SDE, solver: Solver, corrector: Corrector | None, data: Line
) -> Callable[[Array, Array], tuple[Array, Array]]:
    """(grid, snr) → mean and variance of denoised samples, through the driver, with no sampling.

    As `propagate`, of a solver with a corrector that is linear: one run with a row of the batch for
    each draw. It is one program for all grids of a length and for every snr.
    """

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(grid: Array, snr: Array) -> tuple[Array, Array]:
        corrected = corrector and dataclasses.replace(corrector, snr=snr)
        sampler = GridSampler(solver=solver, grid=grid, corrector=corrected, denoise=True)
        number = sampler.num_evaluations(sde)
        first = {"step": 2, "renoise": 2 + number}
        rows = jnp.zeros((2 + number * (2 if solver.renoises else 1), 1))
        std = jnp.sqrt(sde.alpha(grid[0]) ** 2 * data.variance + sde.sigma(grid[0]) ** 2)
        x = sampler.integrate(
            lambda stream, k: rows.at[first[stream] + k].set(1.0),
            sde,
            partial(data.predict, sde),
            sde.alpha(grid[0]) * data.mean + std * rows.at[1].set(1.0),
        ).x[:, 0]
        return x[0], jnp.sum((x[1:] - x[0]) ** 2)

    return run
