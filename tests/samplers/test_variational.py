"""The variational bound, and its intervals, against the densities of data in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import stdtrit as t_quantile

from samplers import REPLICATES, elbo
from sde_lib import Gaussian, GaussianMixture, Prediction, expand
from tests.cases import SDES, gaussian, line_mixture, mixture
from tests.samplers.reference import drawn

NUM = 4000
# σ/α at t_min; VE has 0.01 there. With v the variances of the data, the bound is below the density
# of the blurred data by σ²/(2 α²) Σ 1/v: under VE 0.001 nats for `gaussian`, 0.007 in 64
# dimensions, a tenth of the standard error of the mean or less.
BLUR = 1e-3
HALF = t_quantile(REPLICATES - 1, 0.975)


HEAVY = GaussianMixture(
    weights=jnp.array([0.6, 0.3, 0.1]), means=jnp.zeros((3, 1)), stds=jnp.array([0.1, 0.5, 2.0])
)


def gaps(sde, oracle, dim, num_times, *, num=NUM):
    """Bound less log-density at data [num], and the bound's standard errors, with exact scores."""
    x = drawn(oracle, jax.random.key(0), (num, dim))
    t_min = float(sde.time_of_noise_to_signal(BLUR))
    options = {"t_min": t_min, "num_times": num_times, "data_std": 0.7}
    bound = elbo(jax.random.key(1), sde, oracle.model(sde), x, **options)
    return np.asarray(bound.log_prob - density(oracle, sde, x, t_min)), bound.standard_error


@jax.jit
def density(oracle, sde, x, t_min):
    """log p(x) of the data blurred by σ/α at t_min."""
    alpha = sde.alpha(t_min)
    return oracle.log_prob(sde, alpha * x, t_min) + x.shape[1] * jnp.log(alpha)


def check_intervals(gap, error):
    """95 % intervals of at least 4000 examples cover 93 to 97 %, and the mean is without bias.

    A coverage of 95 % is measured with the standard error √(0.05 · 0.95/4000) = 0.34 %, so one
    within 94.3 and 95.7 % passes with a confidence of 99.99 %.
    """
    assert 0.93 < np.mean(np.abs(gap) < HALF * np.asarray(error)) < 0.97
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))


@pytest.mark.parametrize(
    ("sde", "oracle", "dim", "num_times"),
    [
        ("vp", HEAVY, 1, 8),
        ("vp", HEAVY, 1, 32),
        ("subvp", line_mixture(), 1, 8),
        ("ve", Gaussian.isotropic(64, 0.7), 64, 8),
    ],
    ids=["heavy-8", "heavy-32", "line-8", "many_dimensions-8"],
)
def test_with_the_exact_score_it_is_the_density(sde, oracle, dim, num_times):
    """For light and heavy tails, from 8 times on: no gap beyond the error each example states."""
    check_intervals(*gaps(SDES[sde], oracle, dim, num_times))


def test_a_split_states_its_error():
    """The same of 1000 splits of 32 examples, with the standard error 0.7 %; up to α = 0."""
    gap, error = gaps(SDES["user"], mixture(), 2, 8, num=32_000)
    check_intervals(gap, error)
    splits = gap.reshape(1000, 32)
    half = t_quantile(31, 0.975) * splits.std(axis=1, ddof=1) / np.sqrt(32)
    assert 0.93 < np.mean(np.abs(splits.mean(axis=1)) < half) < 0.97


@pytest.mark.parametrize("sde", [SDES["vp"], SDES["ve"]], ids=["vp", "ve"])
def test_a_prior_that_is_not_the_law_at_the_end(sde):
    """Off-centre, correlated data up to σ/α = 1: each density changes by E[log prior/p_t_max].

    With v the variances of x_t, E[log p_t(α x + σ ε)] = log p_t(α x) − σ²/2 Σ 1/v.
    """
    oracle = gaussian()
    x = drawn(oracle, jax.random.key(2), (NUM, 2))
    t_min, t_max = (float(sde.time_of_noise_to_signal(n)) for n in (BLUR, 1.0))
    options = {"t_min": t_min, "t_max": t_max, "num_times": 16}
    bound = elbo(jax.random.key(3), sde, oracle.model(sde), x, **options)
    alpha, sigma, prior = float(sde.alpha(t_max)), float(sde.sigma(t_max)), float(sde.prior_std())
    curvature = np.sum(1 / (alpha**2 * np.asarray(oracle.eigenvalues) + sigma**2))
    end = oracle.log_prob(sde, alpha * x, t_max) - sigma**2 / 2 * curvature
    at_prior = sde.prior_log_prob(alpha * x) - 2 * sigma**2 / (2 * prior**2)
    gap = np.asarray(bound.log_prob - (density(oracle, sde, x, t_min) + at_prior - end))
    check_intervals(gap, bound.standard_error)


def test_a_wrong_model_leaves_a_gap():
    """Half the score: the bound falls by ½ ∫ E‖Δε‖² dλ, to be computed exactly.

    Above a log-SNR of −2: times of less are rare, and few of them make a mean with heavy tails.
    """
    sde, oracle, least = SDES["vp"], Gaussian.isotropic(2, 0.5), -2.0
    exact = oracle.model(sde)

    def shrunk(by, x, t, cond=None):
        predicted = exact(x, t)
        scale = jnp.where(sde.log_snr(t) > least, by, 1.0)
        return Prediction(data=predicted.data, noise=expand(scale, x) * predicted.noise)

    x = drawn(oracle, jax.random.key(2), (400, 2))
    t_min = float(sde.time_of_noise_to_signal(1e-2))
    bounds = [
        elbo(
            jax.random.key(3),
            sde,
            jax.tree_util.Partial(shrunk, by),
            x,
            t_min=t_min,
            num_times=64,
        )
        for by in (1.0, 0.5)
    ]
    # E‖ε̂/2‖² = ¼ · 2 σ²/(α² s² + σ²) = 0.5/(1 + s² e^λ), and the cross term vanishes.
    levels = np.linspace(least, float(sde.log_snr(t_min)), 100_001)
    expected = np.trapezoid(0.5 / (1 + 0.25 * np.exp(levels)), levels) / 2
    gap = np.asarray(bounds[0].log_prob - bounds[1].log_prob)
    assert abs(gap.mean() - expected) < 4 * gap.std() / np.sqrt(400)
    assert expected > 6 * gap.std() / np.sqrt(400)


def test_an_example_does_not_depend_on_its_batch():
    sde, oracle = SDES["vp"], mixture()
    x = drawn(oracle, jax.random.key(4), (5, 2))
    options = {"t_min": 1e-3, "num_times": 8}
    together = elbo(jax.random.key(5), sde, oracle.model(sde), x, **options)
    alone = elbo(
        jax.random.key(5), sde, oracle.model(sde), x[3:4], indices=jnp.array([3]), **options
    )
    # Eight squares and a constant of some 10 nats each, in another order.
    assert_allclose(alone.log_prob[0], together.log_prob[3], atol=1e-4)
    assert np.std(together.log_prob - alone.log_prob) > 0.1


@pytest.mark.parametrize("num_times", [0, 4, 10])
def test_times_come_in_replicates(num_times):
    sde, oracle = SDES["vp"], mixture()
    with pytest.raises(ValueError, match=f"num_times: got {num_times}, takes a multiple of 4"):
        elbo(
            jax.random.key(0),
            sde,
            oracle.model(sde),
            jnp.ones((1, 2)),
            t_min=1e-3,
            num_times=num_times,
        )
