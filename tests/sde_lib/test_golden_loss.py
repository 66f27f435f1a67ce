"""Losses and their gradients against the reference's (tests/golden/README.md)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import VE, VP, SubVP, denoising_loss, discrete, expand, prediction

pytestmark = pytest.mark.usefixtures("float64")

SDES = {"vp": VP(), "subvp": SubVP(), "ve": VE()}
WEIGHTINGS = {0: "sigma2", 1: "likelihood"}
CONSTANTS = np.array([0.3, 0.7])


def net(values, constants, x, labels):
    """a x + b cos(c labels) w, the network of the file."""
    a, b = constants
    return a * x + b * expand(jnp.cos(0.01 * labels), x) * values["w"]


def check(values, case, losses):
    """losses: (a, b) → per-example means over D. The published "½ sum" is D/2 times the mean."""

    @jax.jit
    def run(constants):
        gradient = jax.grad(lambda constants: jnp.mean(losses(constants)))(constants)
        return losses(constants), gradient

    means, slope = jax.device_get(run(CONSTANTS))
    for reduce_mean, scale in enumerate((values["x0"][0].size / 2, 1)):
        key, per_example = f"{case}/reduce_mean={reduce_mean}", means * scale
        # The reference's 1 − e^{−B} rounds to about 1e-10 at the smallest times.
        assert_allclose(per_example, values[f"{key}/per_sample"], rtol=1e-9)
        assert_allclose(np.mean(per_example), values[f"{key}/loss"], rtol=1e-9)
        assert_allclose(slope[0] * scale, values[f"{key}/dloss_da"], rtol=1e-9)
        assert_allclose(slope[1] * scale, values[f"{key}/dloss_db"], rtol=1e-9)


@pytest.mark.parametrize("name", SDES)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_continuous(golden, name, weighting):
    values, sde = golden("loss"), SDES[name]
    data, noise, t = (jnp.asarray(values[key]) for key in ("x0", "z", "t"))

    def losses(constants):
        def model(x, t, cond):
            if name == "ve":  # the network is the score, labelled by σ
                score = net(values, constants, x, sde.sigma(t))
                return prediction.from_score(sde, x, t, score)
            return prediction.from_noise(sde, x, t, net(values, constants, x, 999 * t))

        return denoising_loss(sde, model, data, t, noise, weighting=WEIGHTINGS[weighting])

    check(values, f"{name}/likelihood_weighting={weighting}", losses)


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_discrete(golden, name):
    values = golden("loss")
    labels = jnp.asarray(values["discrete_labels"])
    data, noise = jnp.asarray(values["x0"]), jnp.asarray(values["z"])

    def losses(constants):
        if name == "vp":
            table, index = discrete.ddpm_table(1000), labels

            def predict_noise(x, index):
                return net(values, constants, x, index)

        else:  # labelled from the most noise; the network is the score
            table, index = discrete.smld_table(1000), 999 - labels

            def predict_noise(x, index):
                return -expand(table.sigmas[index], x) * net(values, constants, x, 999 - index)

        return discrete.discrete_denoising_loss(table, predict_noise, data, index, noise)

    check(values, f"{name}_discrete", losses)
