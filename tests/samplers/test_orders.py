"""Convergence orders, measured: the slope of log error against log step, ±0.3 of the claim."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    ByTolerance,
    EulerMaruyama,
    ProbabilityFlow,
    Restart,
    ReverseDiffusion,
    RungeKutta,
    grids,
    solvers,
)
from sde_lib import VP
from tests.cases import SDES, every_sde, mixture
from tests.samplers.reference import Line, driven, loop, propagate

pytestmark = pytest.mark.usefixtures("float64")

ONE_STEP = ["euler_maruyama", "reverse_diffusion", "ancestral"]
# Ends well away from t = 0: there a grid uniform in t does not resolve 1/t, and VE's g is so small
# that the first-order error of Euler–Maruyama hides below the second-order one.
T_MAX, T_MIN = 0.98, 0.3
STEPS = np.array([100, 200])


def slope(errors):
    """Of log |error| against log step."""
    rough, fine = np.abs(errors)
    return np.log(rough / fine) / np.log(STEPS[1] / STEPS[0])


# From σ = 24 of its 80 there is too little left to err on.
@pytest.mark.parametrize("sde", [SDES[name] for name in SDES if name != "linear_ve"])
@pytest.mark.parametrize("name", ONE_STEP)
def test_weak_order(sde, name):
    """Mean and variance at t_min of Gaussian data, in closed form: no sampling."""
    solver, data = solvers[name](), Line()
    exact = data.moments(sde, T_MIN)
    errors = []
    for num_steps in STEPS:
        grid = grids["uniform"](sde, int(num_steps), T_MIN, T_MAX)
        end = propagate(sde, solver, grid, data.moments(sde, T_MAX), data)
        errors.append([end.mean - exact[0], end.variance - exact[1]])
    errors = np.array(errors)
    assert np.abs(errors[-1]).max() < 0.05
    assert_allclose(slope(errors[:, 1]), solvers[name]().convergence_order, atol=0.3)
    if np.abs(errors[-1, 0]) > 1e-10:  # the mean may be exact
        assert slope(errors[:, 0]) > solvers[name]().convergence_order - 0.3


def test_restart_errs_by_its_own_steps():
    """Of order 0 in the grid's steps, as it says; of Heun's order in those of the repeats."""
    sde, data = VP(), Line()
    t_min = float(sde.time_of_noise_to_signal(0.05))
    alpha, sigma = float(sde.alpha(t_min)), float(sde.sigma(t_min))
    denoised = alpha**2 * data.variance**2 / (alpha**2 * data.variance + sigma**2)

    def error(num_steps, own):
        grid = jax.jit(grids["log_snr"], static_argnums=1)(sde, num_steps, t_min, T_MAX)
        return driven(sde, Restart(num_steps=own), None, data)(grid, 0.0)[1] / denoised - 1

    assert Restart().convergence_order == 0
    rough = error(25, 4)
    assert_allclose(error(50, 4), rough, rtol=0.05)
    assert_allclose(np.log2(rough / error(25, 8)), 2, atol=0.3)


DETERMINISTIC = [
    solvers[name](probability_flow=True)
    for name in solvers
    if "probability_flow" in {field.name for field in dataclasses.fields(solvers[name])}
]
every_deterministic = pytest.mark.parametrize(
    "solver", DETERMINISTIC, ids=[type(solver).__name__ for solver in DETERMINISTIC]
)


def test_deterministic_ones_are_found():
    assert {EulerMaruyama, ReverseDiffusion} <= {type(solver) for solver in DETERMINISTIC}


@every_sde
@every_deterministic
def test_deterministic_order_on_gaussian_data(sde, solver):
    """The end of the probability flow, (x − α m)/√v constant; the same for two starts."""
    data = Line()
    mean, variance = data.moments(sde, T_MAX)
    end_mean, end_variance = data.moments(sde, T_MIN)
    scores = np.array([[-1.5], [0.8]])
    exact = end_mean + np.sqrt(end_variance) * scores
    errors = []
    for num_steps in STEPS:
        x, without_noise = loop(
            lambda number: np.full((2, 1), 1e3),  # must not enter
            sde,
            lambda x, t: data.predict(sde, x, float(t)),
            mean + np.sqrt(variance) * scores,
            solver,
            grids["uniform"](sde, int(num_steps), T_MIN, T_MAX),
        )
        assert_allclose(x, without_noise)
        errors.append(np.abs(x - exact).max())
    assert_allclose(slope(errors), 1, atol=0.3)


@every_deterministic
def test_deterministic_order_on_a_mixture(solver):
    """Against an adaptive method at tolerance 1e-9."""
    sde, oracle = VP(), mixture()
    model = jax.jit(lambda x, t: oracle.predict(sde, x, t))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)))
    flow = ProbabilityFlow(
        sde=sde,
        model=oracle.model(sde),
        t_min=T_MIN,
        t_max=T_MAX,
        integrator=RungeKutta(steps=ByTolerance(rtol=1e-9, atol=1e-9)),
    )
    exact = flow.decode(x).x
    errors = []
    for num_steps in STEPS:
        grid = grids["uniform"](sde, int(num_steps), T_MIN, T_MAX)
        ours, _ = loop(lambda number: jnp.zeros((8, 2)), sde, model, x, solver, grid)
        errors.append(float(jnp.sqrt(jnp.mean((ours - exact) ** 2))))
    assert_allclose(slope(errors), 1, atol=0.3)


@every_sde
@pytest.mark.parametrize("name", ONE_STEP)
def test_one_short_step_is_the_reverse_sde(sde, name):
    """mean − x = −(f x − g² score) Δ, noise variance = g² Δ, each to first order in Δ."""
    t, step = 0.5, 1e-6
    linear = solvers[name]().coefficients(sde, t, t - step, num_steps=1)
    data, noise = np.array([[0.3], [-1.2]]), np.array([[1.1], [0.4]])
    x = np.asarray(sde.perturb(jnp.asarray(data), t, noise))
    mean = linear.x * x + linear.data * data + linear.noise * noise
    drift = sde.reverse_drift(jnp.asarray(x), t, -noise / sde.sigma(t))
    # 1e-4: Δ times second derivatives over first ones, some tens, and rounding 1e-16/Δ.
    assert_allclose((x - mean) / step, drift, rtol=1e-4)
    assert_allclose(linear.std**2 / step, sde.diffusion(t) ** 2, rtol=1e-4)


@every_sde
@pytest.mark.parametrize("name", ONE_STEP)
def test_given_the_data_a_step_has_the_kernels_moments(sde, name):
    """One exact ancestral step from p_t, told data and noise themselves, lands on p_s.

    x_s = α_s data + σ_s √(1 − v/σ_t²) ε + c_z z has variance σ_s² about α_s data. The other rules
    hold this to first order in the step.
    """
    t, s = 0.5, 0.45 if name == "ancestral" else 0.5 - 1e-5
    linear = solvers[name]().coefficients(sde, t, s, num_steps=1)
    from_data = linear.x * sde.alpha(t) + linear.data
    from_noise = linear.x * sde.sigma(t) + linear.noise
    rtol = 1e-10 if name == "ancestral" else 1e-3
    assert_allclose(from_data, sde.alpha(s), rtol=rtol)
    assert_allclose(from_noise**2 + linear.std**2, sde.sigma(s) ** 2, rtol=rtol)
