"""Solvers with correctors and on grids with doubled times: moments in closed form, no sampling.

On Gaussian data solvers and annealed Langevin steps are linear in the first state and in their
draws, so one run with a row for each of them carries mean and variance through the driver.
"""

from functools import cache, partial

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    AnnealedLangevin,
    AnyRungeKutta,
    Plan,
    Predictor,
    Solver,
    Update,
    grids,
    solvers,
)
from samplers.solvers.linear import LinearSolver
from sde_lib import SDE, sdes
from tests.samplers.reference import MOVING, Line, driven

pytestmark = pytest.mark.usefixtures("float64")

# Narrower than what the solvers take the data for, so that none has it easy.
LINE, NUM, SNR = Line(variance=0.04), 40, 0.16


@partial(jax.jit, static_argnums=0)
def grid_of(name: str, sde: SDE) -> jax.Array:
    """Of NUM steps, down to a twentieth of noise."""
    return grids[name](sde, NUM, sde.time_of_noise_to_signal(0.05))


def case(name: str) -> tuple[SDE, Solver, np.ndarray]:
    """A solver, and a grid that suits it: from no signal at all, where it can start there."""
    solver = solvers[name]()
    # The drift that some predictors need is infinite without a signal.
    anywhere = isinstance(solver, LinearSolver) and not isinstance(solver, Predictor)
    sde = sdes["flow" if anywhere else "vp"]()
    return sde, solver, np.asarray(grid_of(solver.grid if anywhere else "log_snr", sde))


@cache
def program(name: str):
    """One for all that is asked of a solver."""
    sde, solver, _ = case(name)
    return driven(sde, solver, AnnealedLangevin(num_steps=2), LINE)


@cache
def fine(sde: SDE):
    """The same, of a solver that errs by nothing but the corrections."""
    return driven(sde, AnyRungeKutta(), AnnealedLangevin(num_steps=2), LINE)


def run(name: str, double: int, snr: float) -> tuple[float, float]:
    """Error of the mean and of the variance, relative, with one time of the grid twice."""
    sde, _, grid = case(name)
    return errors(sde, grid, program(name)(np.insert(grid, double, grid[double]), snr))


@jax.jit
def curves(sde: SDE, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """α and σ."""
    return sde.alpha(t), sde.sigma(t)


def errors(sde: SDE, grid: np.ndarray, ended: tuple) -> tuple[float, float]:
    """From E[x_0 | x] at the end of a grid, whose law is N(m, α² v²/(α² v + σ²))."""
    alpha, sigma = map(float, curves(sde, grid[-1]))
    variance = alpha**2 * LINE.variance**2 / (alpha**2 * LINE.variance + sigma**2)
    return float(ended[0]) - LINE.mean, float(ended[1] / variance) - 1


@pytest.mark.parametrize("name", MOVING)
def test_corrections_are_carried_along(name):
    """Two corrections before each step do to every solver what they do to a Runge–Kutta method.

    That errs by 1e-9 alone, so what is left of it is the corrections' own: 1.5 % of the variance,
    since snr² = 2.6 % is what they would end at. Of its own error a solver has as much as without
    them, and 1 % more for steps that start elsewhere. A method that forgets a correction, or mixes
    evaluations before and after it, is off by 3 % to 90 %; one that is not settled first has not
    its order, from which at 40 steps 2.5 % (second) and 1 % (higher) follow.
    """
    sde, _, grid = case(name)
    expected = errors(sde, grid, fine(sde)(np.append(grid, grid[-1]), SNR))
    (mean, variance), (alone_mean, alone) = run(name, NUM, SNR), run(name, NUM, 0.0)
    assert abs(mean) <= abs(alone_mean) + 1e-12
    assert abs(variance - expected[1]) <= abs(alone) + 0.01
    assert abs(expected[1]) < 0.017
    solver = solvers[name]()
    if not solver.draws and not solver.renoises and solver.convergence_order > 1:
        assert abs(alone) < (0.025 if solver.convergence_order == 2 else 0.01)


class Own(Solver):
    """DDIM by the two methods that a solver must have."""

    def plan(self, sde, steps):
        return Plan.one_per_step(steps.start, (sde.alpha(steps.end), sde.sigma(steps.end)))

    def update(self, draw, prediction, x, coefficients, state):
        alpha, sigma = coefficients
        moved = alpha * prediction.data + sigma * prediction.noise
        return Update(moved, moved, state)


def test_corrections_of_a_solver_that_says_nothing_of_them():
    """It goes on from where they have moved its steps' ends, as the registered one does."""
    sde, _, grid = case("ddim")
    grid = np.append(grid, grid[-1])
    own = driven(sde, Own(), AnnealedLangevin(num_steps=2), LINE)(grid, SNR)
    assert_allclose(own, program("ddim")(grid, SNR), rtol=1e-12)


@pytest.mark.parametrize("kind", list(sdes))
@pytest.mark.parametrize("name", ["adams", "dpmpp_2m"])
def test_every_sde_that_is_registered(name, kind):
    """A solver in each of two forms, on its own grid: second order errs by 2.5 %, more by 1 %."""
    sde, solver = sdes[kind](), solvers[name]()
    grid = np.asarray(grid_of(solver.grid, sde))
    ended = driven(sde, solver, None, LINE)(np.append(grid, grid[-1]), 0.0)
    _, variance = errors(sde, grid, ended)
    assert abs(variance) < (0.025 if solver.convergence_order == 2 else 0.01)


@pytest.mark.parametrize("double", [0, NUM // 2])
@pytest.mark.parametrize("name", MOVING)
def test_a_step_of_no_length(name, double):
    """A time that stands twice, at the start or in the middle, does what it does at the end.

    There no step follows, so nothing but the denoising could go wrong. Elsewhere a method with a
    memory has one value less to go by for a while, and churn has other steps: 0.3 % at most.
    """
    (mean, variance), (last_mean, last) = run(name, double, 0.0), run(name, NUM, 0.0)
    assert_allclose(mean, last_mean, atol=1e-12)
    assert_allclose(variance, last, atol=0.004)


@pytest.mark.parametrize("name", ["dpmpp_3m", "ipndm", "heun", "ancestral"])
def test_corrections_of_no_size(name):
    """With snr = 0 the two halves of a step, with an evaluation each, are the step itself.

    Methods that correct the step before gain a second evaluation by it, so they are others.
    """
    sde, solver, grid = case(name)
    plain = driven(sde, solver, None, LINE)(np.append(grid, grid[-1]), 0.0)
    assert_allclose(run(name, NUM, 0.0), errors(sde, grid, plain), atol=1e-12)
