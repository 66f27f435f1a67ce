"""What a network's output means, where a closed form says it."""

import jax.numpy as jnp
import numpy as np
import pytest

from models.conditioning import conditionings
from models.parameterization import ddpm_sigmas, parameterizations
from sde_lib import sdes


def test_ddpm_noise_has_the_sigma_of_the_discrete_chain(float64):
    sde = sdes["vp"](beta_min=0.2, beta_max=15.0)
    t = np.array([1e-5, 0.5 / 999, 0.3, 0.7771, 1.0])
    index = np.array([0, 0, 299, 776, 999])
    left = 1 - np.cumprod(1 - np.linspace(0.2 / 1000, 15.0 / 1000, 1000))
    rng = np.random.default_rng(0)
    x, output = rng.standard_normal((2, 5, 3))
    got = parameterizations["ddpm_noise"](lambda x: 2 * x + output, sde, x, t, 0.5)
    score = -np.asarray(got.noise) / np.asarray(sde.sigma(t))[:, None]
    want = -(2 * x + output) / np.sqrt(left[index])[:, None]
    np.testing.assert_allclose(score, want, rtol=1e-9)
    alpha, sigma = np.asarray(sde.alpha(t))[:, None], np.asarray(sde.sigma(t))[:, None]
    np.testing.assert_allclose(alpha * got.data + sigma * got.noise, x, rtol=1e-9)


def test_smld_has_a_table_of_noises_from_the_largest(float64):
    """The published code looks both the label and σ up in a geometric table."""
    sde = sdes["ve"](sigma_min=0.01, sigma_max=50.0)
    t = np.array([1e-5, 0.4 / 999, 0.30021, 0.7771, 1.0])
    labels = np.array([999, 999, 699, 223, 0])
    table = np.exp(np.linspace(np.log(50.0), np.log(0.01), 1000))
    np.testing.assert_array_equal(conditionings["smld_step"](sde, jnp.asarray(t)), labels)
    rng = np.random.default_rng(0)
    x, output = rng.standard_normal((2, 5, 3))
    got = parameterizations["smld_score"](lambda x: 2 * x + output, sde, x, t, 0.5)
    score = -np.asarray(got.noise) / np.asarray(sde.sigma(t))[:, None]
    np.testing.assert_allclose(score, (2 * x + output) / table[labels][:, None], rtol=1e-9)
    np.testing.assert_allclose(got.data + sde.sigma(t)[:, None] * got.noise, x, rtol=1e-9)


@pytest.mark.parametrize("name", ["subvp", "cosine", "flow"])
def test_every_sde_that_shrinks_the_data_has_such_a_chain(name):
    """Its ᾱ is the SDE's own α² but for the steps: 1000 of them are fine enough for 2 %."""
    sde = sdes[name]()
    sigmas = np.asarray(ddpm_sigmas(sde))
    assert np.isfinite(sigmas).all()
    assert (np.diff(sigmas) >= 0).all()
    middle = np.arange(300, 800)
    alpha = np.asarray(sde.alpha(jnp.asarray(middle / 999)))
    np.testing.assert_allclose(np.sqrt(1 - sigmas[middle] ** 2), alpha, rtol=2e-2)
