"""Samples of every solver and corrector under every SDE have the law of the data.

Where the solver's error is known in closed form it is in the expected value, and the tolerance is
five standard errors of the statistic (one failure in 10⁶, and the keys are fixed).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    Ancestral,
    GridSampler,
    Langevin,
    correctors,
    grids,
    sample,
    solvers,
)
from sde_lib import Gaussian, GaussianMixture, SubVP
from tests.cases import SDES, mixture
from tests.samplers.reference import Line, drawn, propagate

# The programs run once, so compiling them badly takes a third of the time.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
NUM, STEPS, T_MIN, T_MAX = 2000, 100, 1e-2, 0.98
LINE = Line()
# The others have their orders and limits tested without sampling.
STOCHASTIC = [
    name
    for name in solvers
    if solvers[name]().evaluations and (solvers[name]().draws or solvers[name]().renoises)
]


# Steps have their moments tested in closed form under every kind of SDE.
OTHERS = {"euler_maruyama": "subvp", "reverse_diffusion": "ve"}


def three_times(data):
    """Gaussian data as a mixture of three equal components: the same program as a real mixture."""
    return GaussianMixture(
        weights=jnp.full(3, 1 / 3, jnp.float32),
        means=jnp.full((3, 2), data.mean, jnp.float32),
        stds=jnp.full(3, data.variance**0.5, jnp.float32),
    )


@pytest.mark.parametrize(
    ("name", "sde"),
    [(name, SDES[OTHERS.get(name, "vp")]) for name in STOCHASTIC],
)
def test_solver(sde, name):
    """Moments on Gaussian data, log-density on a mixture."""
    grid = grids["log_snr"](sde, STEPS, T_MIN, T_MAX)

    @quick_jit
    def run(data):
        model = data.model(sde)
        sampler = GridSampler(solver=solvers[name](), grid=grid)
        return sampler.draw(jax.random.key(1), sde, model, (NUM, 2)).x

    x = np.asarray(run(three_times(LINE)), np.float64)
    with jax.enable_x64(True):
        start = (0.0, float(sde.prior_std()) ** 2)
        exact = propagate(sde, solvers[name](), np.asarray(grid, np.float64), start, LINE)
    deviation = np.sqrt(exact.variance_without_noise)
    assert_allclose(x.mean(0), exact.mean, atol=5 * deviation / np.sqrt(NUM))
    assert_allclose(x.std(0), deviation, rtol=5 / np.sqrt(2 * NUM))
    assert_allclose(np.corrcoef(x.T)[0, 1], 0, atol=5 / np.sqrt(NUM))
    # The law itself: first-order errors at 100 steps, and the last step's noise left out.
    truth = LINE.moments(sde, T_MIN)
    assert_allclose(exact.mean, truth[0], atol=0.05)
    assert_allclose(exact.variance_without_noise, truth[1], rtol=0.15)

    data, keys = mixture(), jax.random.split(jax.random.key(2))
    true_data = drawn(data, keys[0], (NUM, 2))
    true = sde.perturb(true_data, T_MIN, jax.random.normal(keys[1], true_data.shape))
    ours, theirs = (
        np.asarray(data.log_prob(sde, sample, T_MIN), np.float64) for sample in (run(data), true)
    )
    error = np.sqrt((ours.var() + theirs.var()) / NUM)
    # 0.15 nats: 0.03 to 0.13 measured at 100 steps with 0.03 of standard error; it halves at 200.
    assert abs(ours.mean() - theirs.mean()) < 5 * error + 0.15
    assert_allclose((ours.std() + 0.5) / (theirs.std() + 0.5), 1, atol=0.15)


DIM, BATCH = 256, 16


# What a correction does is tested under every kind of SDE by itself.
@pytest.mark.parametrize(
    ("name", "sde", "discretization"),
    [
        (name, SDES[sde], d)
        for name in correctors
        for sde, d in (("vp", "exact"), ("ve", "published"))
    ],
)
def test_corrector(name, sde, discretization):
    """After ancestral steps, on N(0.7, 0.25 I) in 256 dimensions: mean, and variance to 10 %.

    The sampler's first-order error is 6 % at 200 steps; correction pulls it to v/(1 − snr²), up by
    1 %. (In few dimensions Langevin's step, as 1/‖score‖², has no mean: then it needs the batch's
    norms.)
    """
    choice = {"discretization": discretization}
    exact = discretization == "exact"
    grid = grids["log_snr" if exact else "published"](sde, 200, T_MIN, T_MAX)
    oracle = Gaussian.isotropic(DIM, 0.5, mean=0.7)

    @quick_jit
    def run():
        return sample(
            jax.random.key(3),
            sde,
            oracle.model(sde),
            (BATCH, DIM),
            solver=Ancestral(**choice),
            corrector=correctors[name](snr=0.1, **choice),
            grid=grid,
        ).x

    x = np.asarray(run(), np.float64)
    mean, variance = LINE.moments(sde, T_MIN)
    assert_allclose(x.mean(), mean, atol=0.03 + 5 * np.sqrt(variance / x.size))
    assert_allclose(x.var(), variance, rtol=0.1 + 5 * np.sqrt(2 / x.size))


def test_langevin_with_norms_of_the_batch_in_two_dimensions():
    """The mean log-density of a mixture, as above."""
    sde = SubVP()
    data, grid = mixture(), grids["log_snr"](sde, STEPS, T_MIN, T_MAX)

    @quick_jit
    def run():
        return sample(
            jax.random.key(4),
            sde,
            data.model(sde),
            (NUM, 2),
            solver=Ancestral(),
            corrector=Langevin(snr=0.1, norm="batch"),
            grid=grid,
        ).x

    keys = jax.random.split(jax.random.key(5))
    true = drawn(data, keys[0], (NUM, 2))
    true = sde.perturb(true, T_MIN, jax.random.normal(keys[1], true.shape))
    ours, theirs = (
        np.asarray(data.log_prob(sde, sample, T_MIN), np.float64) for sample in (run(), true)
    )
    error = np.sqrt((ours.var() + theirs.var()) / NUM)
    assert abs(ours.mean() - theirs.mean()) < 5 * error + 0.15
