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

    @jax.jit
    def expected(shifts):
        def model(x, t, cond=None):
            constant, sine, factor = shifts
            moved = exact(x, t).noise + constant + sine * jnp.sin(x) + factor * x
            return prediction.from_noise(sde, x, t, moved)

        times = jnp.full(len(data), t)
        return weights @ denoising_loss(sde, model, data, times, noise, weighting=weighting)

    least = float(expected(np.zeros(3)))
    for shift in np.diag([0.1, 0.1, 0.05]):
        up, down = float(expected(shift)), float(expected(-shift))
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
    data, noise, denoised = rng.normal(size=(3, 5, 4))
    t = np.array([0.01, 0.1, 0.4, 0.7, 0.95])

    def model(x, t, cond):
        return prediction.from_data(sde, x, t, denoised)

    @jax.jit
    def run(t):
        ours = denoising_loss(sde, model, data, t, noise, weighting="edm", data_std=data_std)
        log_n = lambda t: jnp.log(sde.sigma(t) / sde.alpha(t))  # noqa: E731
        return ours, sde.sigma(t) / sde.alpha(t), jax.vmap(jax.grad(log_n))(t)

    ours, n, slope = jax.device_get(run(t))
    density = stats.norm.pdf(np.log(n), -1.2, 1.2) * slope
    n = n[:, None]
    weight = (n**2 + data_std**2) / (n * data_std) ** 2
    assert_allclose(ours, density * np.mean(weight * (denoised - data) ** 2, 1), rtol=1e-9)

    y = data + n * noise
    skip = data_std**2 / (n**2 + data_std**2)
    out = n * data_std / np.sqrt(n**2 + data_std**2)
    network, target = (denoised - skip * y) / out, (data - skip * y) / out
    assert_allclose(ours, density * np.mean((network - target) ** 2, 1), rtol=1e-9)


@every_sde
def test_edm_weighting_is_finite_at_the_ends(sde):
    t = jnp.array([0.0, 1.0])
    for weight in weightings["edm"](sde, t, 0.5):
        assert jnp.all(jnp.isfinite(weight))


@every_sde
def test_likelihood_weighting_is_g_squared_on_the_score(sde):
    rng = np.random.default_rng(1)
    data, noise, predicted = rng.normal(size=(3, 4, 3))
    t, step = np.array([1e-3, 0.1, 0.5, 0.9]), 1e-6

    def model(x, t, cond):
        return prediction.from_noise(sde, x, t, predicted)

    @jax.jit
    def run(t):
        ours = denoising_loss(sde, model, data, t, noise, weighting="likelihood")
        ends = sde.log_snr(t + step), sde.log_snr(t - step)
        return ours, sde.diffusion(t)[:, None], sde.sigma(t)[:, None], snr_decay(sde, t), *ends

    ours, diffusion, sigma, decay, ahead, behind = jax.device_get(run(t))
    expected = np.mean(diffusion**2 * ((predicted - noise) / sigma) ** 2, 1)
    assert_allclose(ours, expected, rtol=1e-10)
    # g²/σ² is minus the slope of log-SNR.
    assert_allclose(decay, -(ahead - behind) / (2 * step), rtol=1e-5)


def test_condition_reaches_the_model():
    seen = []
    sde = SDES["vp"]

    def model(x, t, cond):
        seen.append(cond)
        return gaussian().predict(sde, x, t)

    denoising_loss(sde, model, jnp.ones((2, 2)), jnp.full(2, 0.5), jnp.ones((2, 2)), cond="label")
    assert seen == ["label"]
