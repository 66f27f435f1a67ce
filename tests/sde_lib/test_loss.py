"""Denoising score matching: what minimises it, what its weightings mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sde_lib import denoising_loss, prediction, weightings
from sde_lib.time_sampling import snr_decay
from tests.cases import SDES, every_sde, gaussian, line_mixture

pytestmark = pytest.mark.usefixtures("float64")


def expectation(oracle, order=48):
    """Nodes (data, noise) [Q, 1] and weights [Q] of E over a mixture on a line and N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    weights = weights / weights.sum()
    data = (np.asarray(oracle.means) + np.asarray(oracle.stds)[:, None] * nodes).ravel()
    data_weights = (np.asarray(oracle.weights)[:, None] * weights).ravel()
    first, second = np.meshgrid(data, nodes, indexing="ij")
    both = np.outer(data_weights, weights)
    return first.reshape(-1, 1), second.reshape(-1, 1), both.ravel()


@every_sde
@pytest.mark.parametrize("weighting", list(weightings))
def test_the_conditional_mean_is_the_minimiser(sde, weighting):
    """Moving the noise prediction by ±h costs the same either way, and costs something.

    A loss quadratic in the prediction has L(±h) = L ± c + q; c = 0 for every h at the minimiser.
    Expectations by Gauss–Hermite quadrature.
    """
    oracle, t = line_mixture(), 0.5
    data, noise, weights = expectation(oracle)
    exact = oracle.model(sde)

    def expected(shift):
        def model(x, t, cond=None):
            moved = exact(x, t).noise + shift(x)
            return prediction.from_noise(sde, x, t, moved)

        times = jnp.full(len(data), t)
        losses = denoising_loss(
            sde, model, jnp.asarray(data), times, jnp.asarray(noise), weighting=weighting
        )
        return float(weights @ np.asarray(losses))

    least = expected(lambda x: 0.0)
    for shift in (lambda x: 0.1 + 0 * x, lambda x: 0.1 * jnp.sin(x), lambda x: 0.05 * x):
        up, down = expected(shift), expected(lambda x, shift=shift: -shift(x))
        gain = (up + down) / 2 - least
        assert gain > 0
        # 1e-6 of the gain: the quadrature of a posterior mean, whose poles are off the real line.
        assert abs(up - down) / 2 < 1e-6 * gain


@every_sde
def test_edm_weighting_is_that_of_edm(sde):
    """(n² + σ_d²)/(n σ_d)² ‖D − data‖², and the error of the preconditioned network F.

    D = c_skip y + c_out F(c_in y), y = x/α = data + n ε, under the density of
    log n ~ N(−1.2, 1.2²) in t (Karras et al. 2022, Table 1).
    """
    data_std = 0.7
    rng = np.random.default_rng(0)
    data, noise, denoised = (jnp.asarray(a) for a in rng.normal(size=(3, 5, 4)))
    t = jnp.array([0.01, 0.1, 0.4, 0.7, 0.95])

    def model(x, t, cond):
        return prediction.from_data(sde, x, t, denoised)

    ours = denoising_loss(sde, model, data, t, noise, weighting="edm", data_std=data_std)
    n = (sde.sigma(t) / sde.alpha(t))[:, None]
    weight = (n**2 + data_std**2) / (n * data_std) ** 2
    slope = jax.vmap(jax.grad(lambda t: jnp.log(sde.sigma(t) / sde.alpha(t))))(t)
    density = stats.norm.pdf(np.log(n[:, 0]), -1.2, 1.2) * slope
    assert_allclose(ours, density * jnp.mean(weight * (denoised - data) ** 2, 1), rtol=1e-9)

    y = data + n * noise
    skip = data_std**2 / (n**2 + data_std**2)
    out = n * data_std / jnp.sqrt(n**2 + data_std**2)
    network, target = (denoised - skip * y) / out, (data - skip * y) / out
    assert_allclose(ours, density * jnp.mean((network - target) ** 2, 1), rtol=1e-9)


@every_sde
def test_edm_weighting_is_finite_at_the_ends(sde):
    t = jnp.array([0.0, 1.0])
    for weight in weightings["edm"](sde, t, 0.5):
        assert jnp.all(jnp.isfinite(weight))


@every_sde
def test_likelihood_weighting_is_g_squared_on_the_score(sde):
    rng = np.random.default_rng(1)
    data, noise, predicted = (jnp.asarray(a) for a in rng.normal(size=(3, 4, 3)))
    t = jnp.array([1e-3, 0.1, 0.5, 0.9])

    def model(x, t, cond):
        return prediction.from_noise(sde, x, t, predicted)

    score_error = (predicted - noise) / sde.sigma(t)[:, None]
    expected = jnp.mean(sde.diffusion(t)[:, None] ** 2 * score_error**2, 1)
    ours = denoising_loss(sde, model, data, t, noise, weighting="likelihood")
    assert_allclose(ours, expected, rtol=1e-10)
    # g²/σ² is minus the slope of log-SNR.
    step = 1e-6
    slope = (sde.log_snr(t + step) - sde.log_snr(t - step)) / (2 * step)
    assert_allclose(snr_decay(sde, t), -slope, rtol=1e-5)


def test_condition_reaches_the_model():
    seen = []
    sde = SDES["vp"]

    def model(x, t, cond):
        seen.append(cond)
        return gaussian().predict(sde, x, t)

    denoising_loss(sde, model, jnp.ones((2, 2)), jnp.full(2, 0.5), jnp.ones((2, 2)), cond="label")
    assert seen == ["label"]
