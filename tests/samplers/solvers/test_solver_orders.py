"""Convergence orders of the deterministic solvers, measured, within 0.3 of the claimed ones.

On a Gaussian and on a mixture, between σ/α = 2 and 0.1, under SDEs of every kind: variance
preserving, exploding, a rectified flow, and another. In y = x/α and n = σ/α all of them have one
probability flow, so one fine solution y(n) serves all. Multistep methods start with an exact
history; grids are uniform in the method's own variable. A method is planned for all SDEs and
numbers of steps by one program, and its steps are taken by NumPy.
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

import samplers
from samplers import Steps, forms, solvers
from samplers.solvers.linear import LinearSolver, Row
from sde_lib import SDE, Prediction, sdes

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


class Kind(SDE):
    """α = (1 + n^p)^{−k/p} and log n as t^r between its ends: one program for all p, k and r."""

    p: float
    k: float
    r: float

    def log_snr(self, t):
        low, high = ENDS
        return -2 * (low + (high - low) * t**self.r)

    def time_of_log_snr(self, log_snr):
        low, high = ENDS
        return ((-log_snr / 2 - low) / (high - low)) ** (1 / self.r)

    def noise_to_signal(self, t):
        return jnp.exp(-self.log_snr(t) / 2)

    def alpha(self, t):
        return (1 + self.noise_to_signal(t) ** self.p) ** (-self.k / self.p)

    def sigma(self, t):
        return self.alpha(t) * self.noise_to_signal(t)


ENDS = np.log(0.01), np.log(20.0)
KINDS = {
    "vp": Kind(p=2.0, k=1.0, r=1.0),  # α² + σ² = 1
    "ve": Kind(p=2.0, k=0.0, r=2.0),  # α = 1
    "flow": Kind(p=1.0, k=1.0, r=0.5),  # α + σ = 1
    "other": Kind(p=1.0, k=0.5, r=1.5),
}


class Planned(NamedTuple):
    """A plan, n at its grid, α there, and both where the network is evaluated."""

    plan: Any
    n: Any
    alpha: Any
    levels: Any
    scales: Any


@cache
def planned(name):
    """(kind, number of steps) → `Planned`: of a method, for all its cases."""
    solver, counts = SOLVERS[name], step_counts(name)

    def one(sde, num_steps):
        # Steps of no length follow the last.
        grid = grid_for(sde, solver, jnp.minimum(jnp.arange(max(counts) + 1) / num_steps, 1.0))
        plan = solver.plan(sde, Steps.of_grid(grid))
        curves = (sde.noise_to_signal, sde.alpha)
        return Planned(plan, *(c(grid) for c in curves), *(c(plan.times) for c in curves))

    cases = [(kind, count) for kind in KINDS for count in counts]
    kinds = jax.tree.map(lambda *leaves: jnp.array(leaves), *(KINDS[kind] for kind, _ in cases))
    numbers = jnp.array([count for _, count in cases], float)
    every = jax.device_get(jax.jit(jax.vmap(one))(kinds, numbers))
    return {case: jax.tree.map(lambda leaf, i=i: leaf[i], every) for i, case in enumerate(cases)}


def step_counts(name):
    """The numbers of steps at which a method's errors are compared."""
    # The fixed coefficients of iPNDM need long to be in their asymptotic regime; fourth orders soon
    # have errors no larger than rounding makes them.
    return {"ipndm": (256, 512), "adams:order=4": (192, 384), "rk": (24, 48)}.get(name, (96, 192))


def grid_for(sde, solver, part):
    """Times between the two levels at some parts of the way, in the variable of the method."""

    def between(ends):
        return ends[0] + (ends[1] - ends[0]) * part

    ends = jnp.array([MAX_N, MIN_N])
    variable = getattr(solver, "variable", "form" if hasattr(solver, "form") else "log_snr")
    if isinstance(solver, samplers.IPNDM):
        return sde.time_of_noise_to_signal(between(ends))
    if variable == "time":
        return between(sde.time_of_noise_to_signal(ends))
    if variable == "log_snr":
        return sde.time_of_log_snr(-2 * between(jnp.log(ends)))
    form = forms[solver.form](s=solver.s)
    return sde.time_of_log_snr(2 * form.half_log_snr(between(form.variable(-jnp.log(ends)))))


def run(data, name, kind, num_steps, end=None):
    """y after all steps, or after some, from an exact history."""
    plan, n, alpha, levels, scales = planned(name)[kind, num_steps]
    solver, y, rows = SOLVERS[name], solution(data), plan.coefficients

    def exact(i):
        return alpha[i] * y(np.clip(n[i], MIN_N, MAX_N))

    def predict(x, step, stage):
        level, a = levels[step, stage], scales[step, stage]
        mean = denoiser(data, x / a, level)
        return Prediction(mean, (x / a - mean) / level)

    def direction(i):
        prediction = predict(exact(i), i, 0)
        a_data, a_noise = rows.direction[i, 0]
        return a_data * prediction.data + a_noise * prediction.noise

    first = solver.memory if solver.evaluations == 1 else 0
    x, state = exact(first), jax.device_get(solver.init(exact(first)))
    if first:
        state = exact(first - 1), tuple(direction(first - 1 - j) for j in range(first))
    end = end or num_steps
    for step in range(first, end):
        for stage in range(solver.evaluations):
            row = Row(*(leaf[step, stage] for leaf in rows))
            x, state = update(row, predict(x, step, stage), x, state)
    return x / alpha[end]


def update(row, prediction, x, state):
    """`LinearSolver.update` in NumPy."""
    base, directions = state
    new = row.direction[0] * prediction.data + row.direction[1] * prediction.noise
    directions = (new, *directions)[: len(directions)]
    base = sum(w * p for w, p in zip(row.base, (x, base, *directions), strict=True))
    x = sum(w * p for w, p in zip(row.next, (base, *directions), strict=True))
    return x, (base, directions)


def measured_order(data, name, kind):
    """Of the RMS at the end."""
    ends = [run(data, name, kind, count) for count in step_counts(name)]
    rough, fine = (np.sqrt(np.mean((end - solution(data)(MIN_N)) ** 2)) for end in ends)
    # What rounding and the solution's own error leave.
    assert fine > 5e-13
    return np.log2(rough / fine)


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
    assert_allclose(measured_order(data, name, "vp"), SOLVERS[name].convergence_order, atol=0.3)


@every_solver
def test_every_kind_has_the_same_steps(name):
    """In y = x/α, at the same n; DEIS, whose polynomials are in t, has its order everywhere."""
    solver, rough = SOLVERS[name], step_counts(name)[0]
    for kind in set(KINDS) - {"vp"}:
        if getattr(solver, "variable", None) == "time":
            order = measured_order("mixture", name, kind)
            assert_allclose(order, solver.convergence_order, atol=0.3, err_msg=kind)
        else:
            ours, expected = (run("mixture", name, k, rough, 12) for k in (kind, "vp"))
            # Times of log-SNR are exact to 1e-10.
            assert_allclose(ours, expected, atol=1e-8, err_msg=kind)


@pytest.mark.parametrize("sde", ["vp", "flow"])
@pytest.mark.parametrize("name", ["sde_dpmpp_2m", "sde_dpmpp_3m", "sa_solver"])
def test_weak_order(name, sde):
    """Mean and variance of Gaussian data in closed form: the solver is affine in what it draws."""
    solver, process, mean, variance = solvers[name](), sdes[sde](), 0.7, 0.25
    counts = (100, 200)

    @jax.jit
    @jax.vmap
    def program(num_steps):
        part = jnp.minimum(jnp.arange(max(counts) + 1) / num_steps, 1.0)
        grid = process.time_of_log_snr(-2 * (np.log(8) + (np.log(0.1) - np.log(8)) * part))
        rows = solver.plan(process, Steps.of_grid(grid)).coefficients
        return rows, process.alpha(grid), process.sigma(grid)

    errors, every = [], jax.device_get(program(jnp.array(counts, float)))
    for number, num_steps in enumerate(counts):
        rows, alpha, sigma = jax.tree.map(lambda leaf, at=number: leaf[at], every)
        spread = np.sqrt(alpha**2 * variance + sigma**2)
        # Columns: nothing, the first state's deviation, every draw.
        x = alpha[0] * mean + spread[0] * np.eye(num_steps + 2)[1]
        state = x, (np.zeros_like(x),) * solver.memory
        for i in range(num_steps):
            score = -(x - alpha[i] * mean) / spread[i] ** 2
            noise = -sigma[i] * score
            prediction = Prediction((x - sigma[i] * noise) / alpha[i], noise)
            row = Row(*(leaf[i, 0] for leaf in rows))
            x, state = update(row, prediction, x, state)
            x = x + row.std * np.eye(num_steps + 2)[2 + i]
        got = x[0], np.sum((x[1:] - x[0]) ** 2)
        end = num_steps
        errors.append([got[0] - alpha[end] * mean, got[1] - spread[end] ** 2])
    rough, fine = np.abs(errors)
    assert np.log2(rough[1] / fine[1]) > solver.convergence_order - 0.3
    assert fine[0] < 1e-3
