"""A model under another SDE than its own is the closed form under that SDE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import ModelUnderSDE, sdes
from tests.cases import mixture


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("used", ["ve", "subvp", "flow", "edm", "cosine", "linear_ve", "learned"])
def test_a_model_under_another_sde(used):
    oracle, trained, sde = mixture(), sdes["vp"](), sdes[used]()
    data, noise = np.random.default_rng(0).normal(size=(2, 4, 2))

    @jax.jit
    def both(ratios):
        t = sde.time_of_noise_to_signal(ratios)
        x = sde.perturb(data, t, noise)
        ours = ModelUnderSDE(model=oracle.model(trained), trained=trained, sde=sde)(x, t)
        return ours, oracle.predict(sde, x, t)

    # Ratios that all of them have.
    ours, expected = both(np.array([0.05, 0.3, 2.0, 20.0]))
    # Inverting log-SNR is exact to 1e-9.
    assert_allclose(ours.data, expected.data, atol=1e-7)
    assert_allclose(ours.noise, expected.noise, atol=1e-7)


def test_where_no_signal_is_left():
    oracle, trained, sde = mixture(), sdes["vp"](), sdes["flow"]()
    prediction = ModelUnderSDE(model=oracle.model(trained), trained=trained, sde=sde)(
        jnp.ones((3, 2)), 1.0
    )
    mean = oracle.weights @ oracle.means
    # VP at t = 1 has σ/α = 150: the posterior mean is the prior's to 1 %.
    assert_allclose(prediction.data, jnp.broadcast_to(mean, (3, 2)), atol=0.02)
