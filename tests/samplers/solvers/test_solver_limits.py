"""Solvers in their limits: first order, η of 0 and 1, no noise at the end, no signal before."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import samplers
from samplers import (
    DDIM,
    DEIS,
    IPNDM,
    AdamsMoulton,
    Ancestral,
    AnyRungeKutta,
    Churn,
    DPMSolverPP2M,
    ExponentialAdams,
    GridSampler,
    Heun,
    Restart,
    SASolver,
    Steps,
    grids,
    solvers,
)
from samplers.solvers.linear import LinearSolver
from samplers.solvers.predictors import Linear
from sde_lib import VP, sdes
from tests.cases import mixture
from tests.samplers.reference import KINDS, MOVING

pytestmark = pytest.mark.usefixtures("float64")

X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
Z = jnp.asarray(np.random.default_rng(1).normal(size=(100, 6, 2)))


def end(solver, sde=None, grid=None, *, denoise=False, noise=Z):
    sde = VP() if sde is None else sde
    grid = grids["log_snr"](sde, 8, 1e-2) if grid is None else grid
    return _end(solver, sde, grid, noise, denoise)


@partial(jax.jit, static_argnames="denoise")
def _end(solver, sde, grid, noise, denoise):
    """A program for solvers that differ in numbers alone, grids of a length, and any noise."""
    sampler = GridSampler(solver=solver, grid=grid, denoise=denoise)
    model, start = mixture().model(sde), sde.prior_std() * X
    return sampler.integrate(lambda stream, number: noise[number], sde, model, start).x


@jax.jit
def data_of(sde, x, t):
    """E[x_0 | x_t = x]."""
    return mixture().predict(sde, x, t).data


@pytest.mark.parametrize(
    "solver",
    [
        Ancestral(eta=0.0),
        AnyRungeKutta(tableau="euler", form="noise"),
        AnyRungeKutta(tableau="euler", form="data"),
        AdamsMoulton(order=1, corrector=0, form="noise"),
        ExponentialAdams(order=1),
        ExponentialAdams(order=1, form="noise"),
        DEIS(order=1),
        IPNDM(order=1),
        SASolver(order=1, corrector=0, eta=0.0),
    ],
    ids=repr,
)
def test_first_order_without_noise_is_ddim(solver):
    assert_allclose(end(solver), end(DDIM()), rtol=1e-9)


class HalfByState(samplers.Predictor):
    """DDIM's step, half of the noise taken from x = α data + σ noise."""

    def coefficients(self, sde, t, s, num_steps):
        x = sde.sigma(s) / sde.sigma(t) / 2
        return Linear(x=x, data=sde.alpha(s) - sde.alpha(t) * x, noise=sde.sigma(s) / 2, std=0.0)


def test_a_predictor_of_ones_own():
    assert_allclose(end(HalfByState()), end(DDIM()), rtol=1e-9)


def test_eta():
    """η = 1 is ancestral sampling, by the exponential integrator of order 1 as well."""
    ancestral = end(Ancestral())
    assert_allclose(end(SASolver(order=1, corrector=0)), ancestral, rtol=1e-9)
    half = end(Ancestral(eta=0.5))
    assert np.abs(half - ancestral).max() > 1e-2
    assert np.abs(half - end(Ancestral(eta=0.0))).max() > 1e-2


def test_sa_solver_without_noise_is_the_exponential_adams_method():
    assert_allclose(end(SASolver(eta=0.0, corrector=0)), end(ExponentialAdams(order=3)), rtol=1e-9)
    corrected = ExponentialAdams(order=3, corrector=3)
    assert_allclose(end(SASolver(eta=0.0, corrector=3)), end(corrected), rtol=1e-9)


def test_published_formulas():
    """Lu et al. 2022, Algorithm 2, and the third order of its authors' code, written out."""
    sde, grid = VP(), grids["log_snr"](VP(), 4, 1e-2)
    lam = np.asarray(sde.log_snr(grid)) / 2
    alpha, sigma = np.asarray(sde.alpha(grid)), np.asarray(sde.sigma(grid))

    def written_out(order):
        x, data = np.array(X), []
        for i in range(4):
            data.append(np.asarray(data_of(sde, x, grid[i])))
            h = lam[i + 1] - lam[i]
            phi_1 = np.expm1(-h)
            x = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * phi_1 * data[-1]
            if i:
                r_0 = (lam[i] - lam[i - 1]) / h
                slope = (data[-1] - data[-2]) / r_0
            if i and min(order, i + 1) == 2:
                x -= alpha[i + 1] * phi_1 / 2 * slope
            if i > 1 and order == 3:
                r_1 = (lam[i - 1] - lam[i - 2]) / h
                bend = (slope - (data[-2] - data[-3]) / r_1) / (r_0 + r_1)
                phi_2 = phi_1 / h + 1
                x += alpha[i + 1] * phi_2 * (slope + r_0 * bend)
                x -= alpha[i + 1] * (phi_2 / h - 0.5) * bend
        return x

    assert_allclose(end(DPMSolverPP2M(), grid=grid), written_out(2), rtol=1e-9)
    assert_allclose(end(samplers.DPMSolverPP3M(), grid=grid), written_out(3), rtol=1e-9)


def test_heun_is_edms():
    """Karras et al. 2022, Algorithm 1, with α = 1."""
    sde = sdes["edm"]()
    grid = jnp.linspace(1.0, 0.05, 6)
    levels = np.asarray(sde.sigma(grid))
    x = np.asarray(sde.prior_std() * X)
    for i in range(5):
        d = (x - np.asarray(data_of(sde, x, grid[i]))) / levels[i]
        ahead = x + (levels[i + 1] - levels[i]) * d
        d_ahead = (ahead - np.asarray(data_of(sde, ahead, grid[i + 1]))) / levels[i + 1]
        x = x + (levels[i + 1] - levels[i]) * (d + d_ahead) / 2
    assert_allclose(end(Heun(), sde, grid), x, rtol=1e-7)


@pytest.mark.parametrize("churn", [1.0, 40.0])
def test_churn_is_edms(churn):
    """Karras et al. 2022, Algorithm 2, with α = 1 and S_tmax = 1; Heun's steps as above."""
    sde = sdes["edm"]()
    solver, num = Churn(churn=churn, high=1.0, inflation=1.1), 6
    grid = sde.time_of_noise_to_signal(jnp.array([3.0, 1.5, 0.9, 0.5, 0.2, 0.1, 0.05]))
    ended = end(solver, sde, grid)
    levels, x, z = np.asarray(sde.sigma(grid)), np.asarray(sde.prior_std() * X), np.asarray(Z)
    for i in range(num):
        start, finish = levels[i], levels[i + 1]
        gamma = min(churn / num, np.sqrt(2) - 1) if 0.05 <= start <= 1 else 0.0
        raised = start * (1 + gamma)
        # Each step has two evaluations, and renoises before the first.
        x = x + np.sqrt(raised**2 - start**2) * 1.1 * z[2 * i]
        time = sde.time_of_noise_to_signal(raised)
        d = (x - np.asarray(data_of(sde, x, time))) / raised
        ahead = x + (finish - raised) * d
        d_ahead = (ahead - np.asarray(data_of(sde, ahead, grid[i + 1]))) / finish
        x = x + (finish - raised) * (d + d_ahead) / 2
    # Inverting log-SNR is exact to 1e-10, and x is as large as the prior: 80.
    assert_allclose(ended, x, atol=1e-6)


EVERY = {name: solvers[name]() for name in MOVING}
for _name in ("bh1", "bh2"):
    EVERY[_name] = samplers.UniPC(variant=_name)
every_solver = pytest.mark.parametrize("name", list(EVERY))


# The drift of these two is infinite where α = 0, as the README says.
@pytest.mark.parametrize("name", sorted(set(EVERY) - {"euler_maruyama", "reverse_diffusion"}))
def test_from_no_signal_to_no_noise(name):
    """α = 0 at the start, σ = 0 at the end: finite, and in the range of the data."""
    process = sdes["flow"]()
    grid = jnp.linspace(1.0, 0.0, 13)
    denoises = name in KINDS and isinstance(EVERY[name], LinearSolver)
    for denoise in (False, True) if denoises else (False,):
        ended = end(EVERY[name], process, grid, denoise=denoise)
        assert np.isfinite(ended).all()
        assert np.abs(ended).max() < 3


@pytest.mark.parametrize("name", ["ddim", "heun", "midpoint", "rk"])
def test_a_step_to_no_noise_is_denoising(name):
    """σ' = 0 leaves of x what the data are taken to be: one evaluation, as the last denoising."""
    process, grid = sdes["flow"](), jnp.linspace(1.0, 0.0, 13)
    denoised = end(EVERY[name], process, grid[:-1], denoise=True)
    assert_allclose(end(EVERY[name], process, grid), denoised, rtol=1e-9)


@every_solver
def test_what_draws_says_so(name):
    """A solver that says it draws nothing never asks for noise; the others do."""
    solver, grid = EVERY[name], jnp.linspace(0.95, 0.05, 13)
    quiet = np.isfinite(end(solver, sdes["flow"](), grid, noise=jnp.full_like(Z, jnp.nan))).all()
    assert quiet == (not (solver.draws or solver.renoises))


def test_no_churn_is_heun():
    assert_allclose(end(Churn(churn=0.0)), end(Heun()), rtol=1e-12)


def test_restart_goes_up_and_down_again():
    """The steps of the grid, then twice from n = 1 down to where it had got."""
    solver = Restart(low=0.1, high=1.0, repeats=2, num_steps=3)

    @jax.jit
    def noise_to_signal(sde):
        grid = grids["log_snr"](sde, 10, 1e-2)
        return [sde.noise_to_signal(t) for t in (*solver.steps(sde, grid)[:2], grid)]

    start, finish, levels = jax.device_get(noise_to_signal(VP()))
    up = np.flatnonzero(start[1:] > finish[:-1] * (1 + 1e-9)) + 1
    assert len(start) == 16
    assert_allclose(start[up], 1.0, rtol=1e-6)
    crossing = np.flatnonzero(levels <= 0.1)[0]
    assert_allclose(finish[up - 1], levels[crossing], rtol=1e-6)
    inside = np.r_[np.arange(up[0], up[0] + 6)]
    kept = np.delete(np.arange(16), inside)
    assert_allclose(np.r_[start[kept], finish[-1]], levels, rtol=1e-6)


@pytest.mark.parametrize(
    ("solver", "fields", "words"),
    [
        (AdamsMoulton, {"order": 7}, ["order", "got 7", "1 to 6"]),
        (AdamsMoulton, {"corrector": 1}, ["corrector", "got 1"]),
        (AdamsMoulton, {"variable": "n"}, ["variable", "'n'", "form"]),
        (AdamsMoulton, {"form": "speed"}, ["form", "speed", "velocity"]),
        (IPNDM, {"order": 5}, ["order", "got 5", "1 to 4"]),
        (SASolver, {"order": 0}, ["order", "got 0"]),
        (SASolver, {"corrector": 1}, ["corrector", "got 1"]),
        (SASolver, {"eta": -0.5}, ["eta", "got -0.5", "≥ 0"]),
        (samplers.UniPC, {"order": 4}, ["order", "got 4", "1 to 3"]),
        (samplers.UniPC, {"variant": "bh3"}, ["variant", "'bh3'", "bh2"]),
        (samplers.DPMSolverPP2M, {"eta": -1.0}, ["eta", "got -1.0", "≥ 0"]),
        (AnyRungeKutta, {"tableau": "rk5"}, ["tableau", "rk5", "rk4"]),
    ],
    ids=str,
)
def test_out_of_range(solver, fields, words):
    with pytest.raises(ValueError, match=words[0]) as raised:
        solver(**fields).plan(VP(), Steps.of_grid(jnp.array([1.0, 0.5, 0.1])))
    assert all(word in str(raised.value) for word in words)


def test_numbers_are_leaves():
    """s, η of ancestral sampling and churn may be swept without compiling again."""
    swept = {type(s).__name__: len(jax.tree.leaves(s)) for s in EVERY.values()}
    assert swept["AdamsMoulton"] == 1
    assert swept["Ancestral"] == 1
    assert swept["Churn"] == 4 + len(jax.tree.leaves(Heun()))
    assert all(dataclasses.is_dataclass(solver) for solver in EVERY.values())
