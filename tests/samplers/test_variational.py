"""The variational bound against the densities of data whose score is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import elbo, log_prob
from sde_lib import Gaussian, Prediction
from tests.cases import SDES, every_sde, mixture

T_MIN = 1e-3
NUM = 400


@every_sde
def test_with_the_exact_score_it_is_the_density(sde):
    """On a mixture: no gap to the ODE's density beyond the blur at t_min, within the error stated.

    The mean over 400 points errs by the root sum of squares of the reported errors.
    """
    oracle = mixture()
    x = oracle.sample(jax.random.key(0), (NUM, 2))
    t_min = float(sde.time_of_noise_to_signal(1e-2))
    bound = elbo(jax.random.key(1), sde, oracle.model(sde), x, t_min=t_min, num_times=64)
    density = log_prob(sde, oracle.model(sde), x, t_min=t_min)
    gap = np.asarray(density.log_prob - bound.log_prob)
    error = np.sqrt(np.sum(np.asarray(bound.standard_error) ** 2)) / NUM
    # The blur n_0² = 1e-4 of components 0.2 wide moves a density by 1e-4/0.04/2 per dimension.
    assert abs(gap.mean()) < 4 * error + 5e-3
    # Errors are neither stated too small nor too large: each gap has the size of its error.
    assert 0.8 < np.std(gap) / np.sqrt(np.mean(np.asarray(bound.standard_error) ** 2)) < 1.25


def test_a_wrong_model_leaves_a_gap():
    """A score that is 20 % too small: the bound falls by ½ ∫ E‖Δε‖² dλ, to be computed exactly."""
    sde, oracle = SDES["vp"], Gaussian.isotropic(2, 0.5)
    exact = oracle.model(sde)

    def shrunk(x, t, cond=None):
        predicted = exact(x, t)
        return Prediction(data=predicted.data, noise=0.8 * predicted.noise)

    x = oracle.sample(jax.random.key(2), (NUM, 2))
    t_min = float(sde.time_of_noise_to_signal(1e-2))
    bounds = [
        elbo(jax.random.key(3), sde, model, x, t_min=t_min, num_times=64)
        for model in (exact, jax.tree_util.Partial(shrunk))
    ]
    # E‖0.2 ε̂‖² = 0.04 · 2 σ²/(α² s² + σ²) = 0.08/(1 + s² e^λ), and the cross term vanishes.
    high, low = float(sde.log_snr(t_min)), float(sde.log_snr(1.0))
    levels = np.linspace(low, high, 100_001)
    expected = np.trapezoid(0.08 / (1 + 0.25 * np.exp(levels)), levels) / 2
    gap = float(jnp.mean(bounds[0].log_prob - bounds[1].log_prob))
    # The same draws in both; the spread of what is left over 400 points was measured as 0.02.
    assert_allclose(gap, expected, atol=0.08)
    assert expected > 0.2


def test_an_example_does_not_depend_on_its_batch():
    sde, oracle = SDES["vp"], mixture()
    x = oracle.sample(jax.random.key(4), (5, 2))
    options = {"t_min": T_MIN, "num_times": 4}
    together = elbo(jax.random.key(5), sde, oracle.model(sde), x, **options)
    alone = elbo(
        jax.random.key(5), sde, oracle.model(sde), x[3:4], indices=jnp.array([3]), **options
    )
    assert_allclose(alone.log_prob[0], together.log_prob[3], rtol=1e-5)


@pytest.mark.parametrize("num_times", [0, 3])
def test_times_come_in_pairs(num_times):
    sde, oracle = SDES["vp"], mixture()
    with pytest.raises(ValueError, match=f"num_times: got {num_times}, takes an even"):
        elbo(
            jax.random.key(0),
            sde,
            oracle.model(sde),
            jnp.ones((1, 2)),
            t_min=T_MIN,
            num_times=num_times,
        )
