"""Single updates and whole runs against the reference's, with its noise (golden/README.md)."""

import jax
import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose

from samplers import (
    Ancestral,
    AnnealedLangevin,
    EulerMaruyama,
    GridSampler,
    Langevin,
    ReverseDiffusion,
    Steps,
    grids,
)
from sde_lib import VE, VP, SubVP, expand, from_score

pytestmark = pytest.mark.usefixtures("float64")

SDES = {"vp": VP(), "subvp": SubVP(), "ve": VE()}
# The reference draws the ancestral noise with the forward variance for VP, the posterior's for VE.
VARIANCE = {"vp": "forward", "ve": "posterior"}
PUBLISHED = {"discretization": "published"}
PREDICTORS = {
    "euler_maruyama": lambda sde: EulerMaruyama(**PUBLISHED),
    "reverse_diffusion": lambda sde: ReverseDiffusion(**PUBLISHED),
    "reverse_diffusion_pf": lambda sde: ReverseDiffusion(probability_flow=True, **PUBLISHED),
    "ancestral_sampling": lambda sde: Ancestral(variance=VARIANCE[sde], **PUBLISHED),
}
CORRECTORS = {
    "langevin": Langevin(norm="batch", **PUBLISHED),
    "langevin_2steps": Langevin(norm="batch", num_steps=2, **PUBLISHED),
    "langevin_single": Langevin(norm="batch", **PUBLISHED),
    "ald": AnnealedLangevin(**PUBLISHED),
    "ald_2steps": AnnealedLangevin(num_steps=2, **PUBLISHED),
    "ald_single": AnnealedLangevin(**PUBLISHED),
}


def model_of(sde):
    """The closed form for N(0, 0.25 I), whose score the reference was given."""
    return from_score(sde, lambda x, t: -x / expand(sde.alpha(t) ** 2 / 4 + sde.sigma(t) ** 2, x))


@jax.jit
def stepped(solver, sde, t, x, noise):
    linear = solver.coefficients(sde, t, t - 1e-3, num_steps=1000)
    return solver.update(lambda: noise, model_of(sde)(x, t), x, linear.row, solver.init(x))


@jax.jit
def corrected(corrector, sde, t, x, noise, scales):
    return corrector.update(lambda: noise, model_of(sde)(x, t), x, scales)


def check(values, key, row, x, mean):
    # 1e-10: the reference's 1 − e^{−B} and its tables round to 1e-12 or so.
    for ours, name in ((x, "x_next"), (mean, "x_mean")):
        assert_allclose(ours[:, :2, :2, 0], values[f"{key}/{name}"][row], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "method"),
    # The reference has no ancestral sampling for sub-VP.
    [(n, m) for n in SDES for m in PREDICTORS if (n, m) != ("subvp", "ancestral_sampling")],
)
def test_predictor(golden, name, method):
    values, sde = golden("steps"), SDES[name]
    solver, noise = PREDICTORS[method](name), jnp.asarray(values["noise"])
    for row, t in enumerate(values["t"]):
        x = jnp.asarray(values[f"{name}/x"][row])
        new = stepped(solver, sde, t, x, noise)
        check(values, f"{name}/{method}", row, new.x, new.mean)


@pytest.mark.parametrize("method", CORRECTORS)
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_corrector(golden, name, method):
    values, sde, corrector = golden("steps"), SDES[name], CORRECTORS[method]
    times = jnp.asarray(values["t"])
    # N = 1000 steps that begin with the times of the file; the others are not looked at.
    grid = jnp.concatenate([times, jnp.linspace(0.9, 1e-3, 1001 - len(times))])
    plan = corrector.plan(sde, Steps.of_grid(grid))
    for row, t in enumerate(values["t"]):
        x = mean = jnp.asarray(values[f"{name}/x"][row])
        for draw in ("noise", "noise2")[: corrector.num_steps]:
            scales = jax.tree.map(lambda leaf, row=row: leaf[row], plan)
            noise = jnp.asarray(values[draw])
            # "single": every example run alone, a batch of one.
            parts = len(x) if method.endswith("single") else 1
            moved = [
                corrected(corrector, sde, t, part, z, scales)
                for part, z in zip(jnp.split(x, parts), jnp.split(noise, parts), strict=True)
            ]
            x, mean = map(jnp.concatenate, zip(*moved, strict=True))
        check(values, f"{name}/{method}", row, x, mean)


@jax.jit
def integrated(sampler, sde, x, noise):
    return sampler.integrate(lambda stream, number: noise[number], sde, model_of(sde), x).x


STEPS = 50
# Predictor, corrector, t_min of each run.
RUNS = {
    "ve_reverse_diffusion_langevin": ("reverse_diffusion", "langevin", 1e-5),
    "ve_ancestral_sampling_none": ("ancestral_sampling", None, 1e-5),
    "vp_euler_maruyama_none": ("euler_maruyama", None, 1e-3),
    "vp_ancestral_sampling_none": ("ancestral_sampling", None, 1e-3),
    "vp_reverse_diffusion_langevin": ("reverse_diffusion", "langevin", 1e-3),
    "subvp_euler_maruyama_none": ("euler_maruyama", None, 1e-3),
    "ve_euler_maruyama_ald": ("euler_maruyama", "ald", 1e-5),
}


@pytest.mark.parametrize("run", RUNS)
def test_run(golden, run):
    """50 steps from the prior: corrector, then predictor, at the same time; the mean at the end."""
    values, name = golden("steps"), run.split("_")[0]
    sde, (predictor, corrector, t_min) = SDES[name], RUNS[run]
    noise = jnp.asarray(values["pc/noise"])  # [step, corrector or predictor, ...]
    noise = noise.reshape(-1, *noise.shape[2:]) if corrector else noise[:, 1]
    sampler = GridSampler(
        solver=PREDICTORS[predictor](name),
        corrector=CORRECTORS[corrector] if corrector else None,
        grid=grids["published"](sde, STEPS, t_min),
    )
    start = sde.prior_std() * values["pc/prior_noise"]
    mean = integrated(sampler, sde, start, noise)
    expected = values[f"pc/{run}/x_denoised"]
    # 1e-9 of the largest value: 1e-10 an update, fifty updates that contract.
    assert_allclose(mean[:, :4, :4], expected, atol=1e-9 * abs(expected).max())
