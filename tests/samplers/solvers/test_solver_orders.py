"""Convergence orders of the deterministic solvers, measured, within 0.3 of the claimed ones.

On a Gaussian and on a mixture, under every kind of SDE, between σ/α = 2 and 0.1. In y = x/α and
n = σ/α all of them have one probability flow, so one fine solution y(n) serves all. Multistep
methods start with an exact history; grids are uniform in the method's own variable.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

import samplers
from samplers import Steps, forms, solvers
from samplers.solvers.linear import LinearSolver
from sde_lib import Prediction, sdes

pytestmark = pytest.mark.usefixtures("float64")

MAX_N, MIN_N = 2.0, 0.1
# Weights, means and deviations in two dimensions.
DATA = {
    "gaussian": (np.array([1.0]), np.array([[0.7, -0.4]]), np.array([0.5])),
    "mixture": (
        np.array([0.2, 0.5, 0.3]),
        np.array([[1.0, 0.5], [-0.8, 0.3], [0.1, -0.9]]),
        np.array([0.3, 0.4, 0.5]),
    ),
}
STARTS = np.random.default_rng(0).normal(size=(6, 2)) * 2


def denoiser(name, y, n):
    """E[x_0 | y], from the posterior weights and means of the components."""
    weights, means, stds = DATA[name]
    variance = stds**2 + n**2
    gaps = y[:, None] - means
    log = np.log(weights) - (gaps**2).sum(-1) / 2 / variance - np.log(variance)
    posterior = np.exp(log - log.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    return np.sum(posterior[..., None] * (means + (stds**2 / variance)[:, None] * gaps), 1)


@cache
def solution(name):
    """y(n) for all starts at n = MAX_N and a little more, dense; from log n, to 1e-13."""

    def field(u, y):
        y = y.reshape(STARTS.shape)
        return (y - denoiser(name, y, np.exp(u))).ravel()

    ends = np.log([MIN_N, 3 * MAX_N])
    down = solve_ivp(
        field,
        (np.log(MAX_N), ends[0]),
        STARTS.ravel(),
        "DOP853",
        rtol=1e-13,
        atol=1e-14,
        dense_output=True,
        max_step=0.02,
    )
    return lambda n: down.sol(np.log(n)).reshape(STARTS.shape)


# Programs that run once need not be good.
@partial(
    jax.jit,
    static_argnames="num_steps",
    compiler_options={"xla_backend_optimization_level": 0},
)
def planned(sde, solver, num_steps):
    """(plan, n at the grid, α there, and both where the network is evaluated); one program."""
    grid = grid_for(sde, solver, num_steps)
    plan = solver.plan(sde, Steps.of_grid(grid))
    curves = (sde.noise_to_signal, sde.alpha)
    return plan, *(c(grid) for c in curves), *(c(plan.times) for c in curves)


def grid_for(sde, solver, num_steps):
    """Times between the two levels, uniform in the variable of the method."""
    ends = jnp.array([MAX_N, MIN_N])
    variable = getattr(solver, "variable", "form" if hasattr(solver, "form") else "log_snr")
    if isinstance(solver, samplers.IPNDM):
        return sde.time_of_noise_to_signal(jnp.linspace(*ends, num_steps + 1))
    if variable == "time":
        return jnp.linspace(*sde.time_of_noise_to_signal(ends), num_steps + 1)
    if variable == "log_snr":
        return sde.time_of_log_snr(-2 * jnp.linspace(*jnp.log(ends), num_steps + 1))
    form = forms[solver.form](s=solver.s)
    variables = jnp.linspace(*form.variable(-jnp.log(ends)), num_steps + 1)
    return sde.time_of_log_snr(2 * form.half_log_snr(variables))


def run(name, sde, solver, num_steps):
    """y at the end, from an exact history."""
    plan, n, alpha, *scales = jax.device_get(planned(sde, solver, num_steps))
    y, rows = solution(name), plan.coefficients

    def exact(i):
        return alpha[i] * y(np.clip(n[i], MIN_N, MAX_N))

    def predict(x, step, stage):
        level, a = (scale[step, stage] for scale in scales)
        data = denoiser(name, x / a, level)
        return Prediction(data, (x / a - data) / level)

    def direction(i):
        prediction = predict(exact(i), i, 0)
        a_data, a_noise = rows.direction[i, 0]
        return a_data * prediction.data + a_noise * prediction.noise

    first = solver.memory if solver.evaluations == 1 else 0
    x, state = exact(first), solver.init(exact(first))
    if first:
        state = exact(first - 1), tuple(direction(first - 1 - j) for j in range(first))
    for step in range(first, num_steps):
        for stage in range(solver.evaluations):
            row = jax.tree.map(lambda leaf, at=(step, stage): leaf[at], rows)
            x, state = update(row, predict(x, step, stage), x, state)
    return x / alpha[-1]


def update(row, prediction, x, state):
    """`LinearSolver.update` in NumPy."""
    base, directions = state
    new = row.direction[0] * prediction.data + row.direction[1] * prediction.noise
    directions = (new, *directions)[: len(directions)]
    base = sum(w * p for w, p in zip(row.base, (x, base, *directions), strict=True))
    x = sum(w * p for w, p in zip(row.next, (base, *directions), strict=True))
    return x, (base, directions)


def error(name, sde, solver, num_steps):
    """RMS at the end."""
    return np.sqrt(np.mean((run(name, sde, solver, num_steps) - solution(name)(MIN_N)) ** 2))


SOLVERS = {
    name: solvers[name]()
    for name in solvers
    if issubclass(solvers[name], LinearSolver) and not solvers[name]().draws
} | {
    # On a Gaussian they gain an order: in the rectified form, or there with s its deviation.
    "midpoint": samplers.Midpoint(form="velocity"),
    "rk": samplers.AnyRungeKutta(s=0.8),
    "unipc:order=1": samplers.UniPC(order=1),
    "unipc:order=2": samplers.UniPC(order=2),
    "unipc:order=2,variant=bh1": samplers.UniPC(order=2, variant="bh1"),
    # In the rectified form its error changes sign where it could be measured.
    "adams:order=4": samplers.AdamsMoulton(order=4, form="velocity"),
    "adams:order=2,corrector=3": samplers.AdamsMoulton(order=2, corrector=3, form="velocity"),
    "adams:corrector=0": samplers.AdamsMoulton(corrector=0),
    "deis:order=2": samplers.DEIS(order=2),
    "ipndm:order=2": samplers.IPNDM(order=2),
    "rk:kutta3": samplers.AnyRungeKutta(tableau="kutta3", form="data"),
    "rk:bosh3": samplers.AnyRungeKutta(tableau="bosh3", form="rectified"),
    "exponential:noise": samplers.ExponentialAdams(form="noise"),
    "exponential:velocity": samplers.ExponentialAdams(form="velocity", order=2),
    "sa_solver:order=4": samplers.SASolver(order=4, eta=0.0, corrector=0),
    "sa_solver:order=2": samplers.SASolver(order=2, eta=0.0),
}
every_solver = pytest.mark.parametrize("name", list(SOLVERS))


@pytest.mark.parametrize("data", list(DATA))
@every_solver
def test_order(name, data):
    solver = SOLVERS[name]
    # The fixed coefficients of iPNDM need long to be in their asymptotic regime; fourth orders soon
    # have errors no larger than rounding makes them.
    steps = {"ipndm": (256, 512), "adams:order=4": (192, 384), "rk": (24, 48)}.get(name, (96, 192))
    rough, fine = (error(data, sdes["vp"](), solver, n) for n in steps)
    # What rounding and the solution's own error leave.
    assert fine > 5e-13
    assert_allclose(np.log2(rough / fine), solver.convergence_order, atol=0.3)


@pytest.mark.parametrize("sde", ["ve", "subvp", "edm", "flow"])
@every_solver
def test_every_sde_has_the_same_steps(name, sde):
    """In y = x/α, at the same n; DEIS, whose polynomials are in t, has its order everywhere."""
    solver, process = SOLVERS[name], sdes[sde]()
    if getattr(solver, "variable", None) == "time":
        rough, fine = (error("mixture", process, solver, n) for n in (96, 192))
        assert_allclose(np.log2(rough / fine), solver.convergence_order, atol=0.3)
    else:
        ours, expected = (run("mixture", s, solver, 8) for s in (process, sdes["vp"]()))
        # Inverting log-SNR is exact to 1e-10.
        assert_allclose(ours, expected, atol=1e-8)


@pytest.mark.parametrize("sde", ["vp", "flow"])
@pytest.mark.parametrize("name", ["sde_dpmpp_2m", "sde_dpmpp_3m", "sa_solver"])
def test_weak_order(name, sde):
    """Mean and variance of Gaussian data in closed form: the solver is affine in what it draws."""
    solver, process, mean, variance = solvers[name](), sdes[sde](), 0.7, 0.25
    errors = []
    for num_steps in (50, 100, 200):
        grid = process.time_of_log_snr(-2 * jnp.linspace(np.log(8), np.log(0.1), num_steps + 1))
        plan = jax.jit(lambda solver, grid: solver.plan(process, Steps.of_grid(grid)))(solver, grid)
        rows = jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], plan.coefficients)
        alpha, sigma = np.asarray(process.alpha(grid)), np.asarray(process.sigma(grid))
        spread = np.sqrt(alpha**2 * variance + sigma**2)
        # Columns: nothing, the first state's deviation, every draw.
        x = alpha[0] * mean + spread[0] * np.eye(num_steps + 2)[1]
        state = x, (np.zeros_like(x),) * solver.memory
        for i in range(num_steps):
            score = -(x - alpha[i] * mean) / spread[i] ** 2
            noise = -sigma[i] * score
            prediction = Prediction((x - sigma[i] * noise) / alpha[i], noise)
            row = jax.tree.map(lambda leaf, i=i: leaf[i], rows)
            x, state = update(row, prediction, x, state)
            x = x + row.std * np.eye(num_steps + 2)[2 + i]
        got = x[0], np.sum((x[1:] - x[0]) ** 2)
        errors.append([got[0] - alpha[-1] * mean, got[1] - spread[-1] ** 2])
    rough, fine = np.abs(errors[1]), np.abs(errors[2])
    assert np.log2(rough[1] / fine[1]) > solver.convergence_order - 0.3
    assert fine[0] < 1e-3
