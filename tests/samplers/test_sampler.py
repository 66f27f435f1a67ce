"""What all kinds of sampler do alike: the latents, the indices, the path, nothing traced again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    DDIM,
    AdaptiveSDESampler,
    ByTolerance,
    EulerMaruyama,
    Exact,
    FlowSampler,
    GridSampler,
    Langevin,
    ProbabilityFlow,
    RungeKutta,
    grids,
    noise,
    sample,
)
from sde_lib import VP, Prediction, sdes
from tests.cases import mixture

SDE, KEY, T_MIN, STD = VP(), jax.random.key(0), 1e-2, 0.8
GRID = jax.jit(grids["log_snr"], static_argnums=1)(SDE, 6, T_MIN)
FLOW = FlowSampler(
    integrator=RungeKutta(steps=ByTolerance(rtol=1e-4, atol=1e-4)), t_min=T_MIN, data_std=STD
)
SAMPLERS = {
    "grid": GridSampler(solver=DDIM(), grid=GRID, data_std=STD),
    "flow": FLOW,
    "adaptive_sde": AdaptiveSDESampler(t_min=T_MIN, rtol=0.05, atol=0.05, data_std=STD),
}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


@every_sampler
def test_a_sample_is_of_its_index(sampler):
    """Whoever else is in the batch; and by default the indices are 0, 1, …"""
    model, indices = mixture().model(SDE), jnp.array([3, 1])
    some = sampler.draw(KEY, SDE, model, (2, 2), indices=indices)
    whole = sampler.draw(KEY, SDE, model, (4, 2))
    # Tolerances of 0.05 and of 1e-4 decide on steps by numbers that are rounded in another order.
    assert_allclose(some.x, whole.x[indices], atol=1e-3)
    assert some.evaluations.shape == (2,)


@every_sampler
def test_latents_that_are_given_are_those_of_the_key(sampler):
    model = mixture().model(SDE)
    latents = noise.latents(KEY, jnp.arange(4), (2,))
    given = sampler.draw(KEY, SDE, model, (4, 2), latents=latents)
    assert_allclose(given.x, sampler.draw(KEY, SDE, model, (4, 2)).x, atol=1e-3)
    other = sampler.draw(KEY, SDE, model, (4, 2), latents=-latents)
    # Ten times the tolerance: the SDE forgets most of its latents, and still not all.
    assert np.abs(other.x - given.x).max() > 0.01


TRACES = []


def predict(scale, x, t, cond):
    """The conditional means of data at one point, a multiple of the condition."""
    TRACES.append(0)
    data = jnp.broadcast_to(scale * cond[:, None], x.shape)
    t = jnp.broadcast_to(t, x.shape[:1])[:, None]
    return Prediction(data, (x - SDE.alpha(t) * data) / SDE.sigma(t))


def drawn(sampler, scale, cond):
    """A program for each sampler."""
    model = jax.tree_util.Partial(predict, jnp.float32(scale))
    return sampler.draw(KEY, SDE, model, (3, 2), cond=jnp.array(cond)).x


@every_sampler
def test_a_condition_reaches_its_example(sampler):
    cond = [-3.0, 0.0, 5.0]
    x = drawn(sampler, 1.0, cond)
    # Of data at one point the samples are α data + σ z, σ = 0.03 at the end.
    assert_allclose(x, np.repeat(cond, 2).reshape(3, 2), atol=4 * float(SDE.sigma(T_MIN)) + 0.02)


@every_sampler
def test_new_parameters_run_the_program_that_is_there(sampler):
    first, once = drawn(sampler, 0.5, [1.0, 2.0, 3.0]), len(TRACES)
    assert np.abs(drawn(sampler, 0.4, [1.0, 2.0, 3.0]) - first).max() > 1e-3
    assert len(TRACES) == once


@pytest.mark.parametrize("name", ["flow", "adaptive_sde"])
def test_a_path_takes_a_grid(name):
    with pytest.raises(ValueError, match=r"^keep: got 3, takes 0 where examples choose"):
        SAMPLERS[name].draw(KEY, SDE, mixture().model(SDE), (2, 2), keep=3)


def test_a_path_has_no_more_than_there_are():
    model = mixture().model(SDE)
    samples = sample(KEY, SDE, model, (3, 2), solver=DDIM(), grid=GRID, keep=100)
    assert samples.path.shape == (3, 6, 2)
    assert samples.evaluations.tolist() == [6] * 3


def test_the_flow_brings_densities():
    """Those of its samples; with a divergence of (key, shape, indices)."""
    asked = []

    def exact(key, shape, indices):
        asked.append((shape, indices.tolist()))
        return Exact()

    model = mixture().model(SDE)
    dense = FlowSampler(integrator=FLOW.integrator, t_min=T_MIN, data_std=STD, divergence=exact)
    samples = dense.draw(KEY, SDE, model, (4, 2))
    assert asked == [((4, 2), [0, 1, 2, 3])]
    assert_allclose(samples.x, FLOW.draw(KEY, SDE, model, (4, 2)).x, atol=1e-2)
    flow = ProbabilityFlow(sde=SDE, model=model, t_min=T_MIN, data_std=STD)
    known = flow.log_prob(samples.x)
    # Both by steps that leave 1e-4 or less of each coordinate.
    assert_allclose(samples.log_prob, known.log_prob, atol=5e-3)
    assert np.all(samples.log_prob_error == 0)


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ({"solver": EulerMaruyama()}, ("solver", 1.0)),
        ({"solver": DDIM(), "corrector": Langevin(discretization="published")}, ("corrector", 1.0)),
        ({"solver": DDIM(), "corrector": Langevin()}, None),
        (FLOW, None),
    ],
)
def test_coefficients_that_are_not_finite_are_found(sampler, expected):
    """β of the rectified flow is infinite at t = 1, and so is what is made of β Δt."""
    sde = sdes["flow"]()
    if isinstance(sampler, dict):
        sampler = GridSampler(**sampler, grid=grids["uniform"](sde, 3, T_MIN))
    assert sampler.not_finite(sde) == expected
