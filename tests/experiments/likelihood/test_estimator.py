"""Bits/dim of grey levels whose model is a Gaussian in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.config_schema.flags import load_experiment
from experiments.data import PixelCodec, Split
from experiments.likelihood.estimator import Estimator
from experiments.runtime import devices
from sde_lib import VP
from tests.cases import gaussian

NUM, CODEC, WIDTH = 2048, PixelCodec(4), 0.5  # four grey levels in [-1, 1]
SDE, ORACLE = VP(), gaussian()
# Where the density is not low, so that the place in the bin does not matter too much.
VALUES = CODEC.decode(
    np.asarray(jax.jit(ORACLE.sample, static_argnums=1)(jax.random.key(0), (NUM, 2)))
)
PIXELS = Split.of(VALUES, levels=4)


def measure(**likelihood):
    """What an estimator says of `PIXELS`, each with a draw of its dequantization."""
    options = {"control": False, "num_steps": 20, "repeats": 1, **likelihood}
    overrides = [f"--config.likelihood.{name}={value}" for name, value in options.items()]
    overrides += [f"--config.likelihood.batch_size={NUM}"]
    experiment = load_experiment("digits", overrides)
    mesh = devices.make_mesh(1)
    estimator = Estimator(experiment, SDE, ORACLE.model(SDE), PIXELS, 0, mesh)
    return estimator, estimator.batch(PIXELS, np.arange(NUM))


def expected(t_min):
    """−log₂ of the bound on each pixel's probability.

    Uniform in a bin of width Δ, x has the variance Δ²/12, so that with v the variances of x_t
    E[log p] = log p(centre) − Δ²/24 Σ 1/v, and the bin's volume counts log Δ each dimension.
    """
    alpha, sigma = float(SDE.alpha(t_min)), float(SDE.sigma(t_min))
    curvature = np.sum(1 / (alpha**2 * np.asarray(ORACLE.eigenvalues) + sigma**2))
    centres = jnp.asarray(CODEC.encode(VALUES))
    log_prob = np.asarray(ORACLE.log_prob(SDE, centres, t_min)) - WIDTH**2 / 24 * curvature
    return -(log_prob / 2 + np.log(WIDTH)) / np.log(2)


@pytest.mark.parametrize("estimator", ["ode", "elbo"])
def test_uniform_dequantization_in_closed_form(estimator):
    """The mean over 2048 pixels, within four of its standard errors; two draws of each."""
    used, result = measure(estimator=estimator, divergence="exact", num_times=32, repeats=2)
    gaps = result["draws"] - expected(used.t_min)[:, None]
    gap = gaps.mean(axis=1)
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(NUM)
    # Draws have nothing in common: a correlation of 2048 pairs errs by 0.022.
    assert abs(np.corrcoef(gaps.T)[0, 1]) < 0.1
    # Bin centres, which do not vary, would be off by this much.
    centre = WIDTH**2 / 24 * np.sum(1 / np.asarray(ORACLE.eigenvalues)) / 2 / np.log(2)
    assert centre > 6 * gap.std() / np.sqrt(NUM)


def test_probe_errors_are_those_of_the_bits():
    """Two probes an example: the root mean square of what they change is that of the errors stated.

    Of a variance from two probes the relative error is √2 at the most, of the mean of 2048 such
    3 %, and of its root 1.6 %. In nats it would be 31 % off, and without Bessel's correction 29 %.
    """
    _, exact = measure(divergence="exact")
    used, probed = measure(divergence="hutchinson", probes=2)
    change, error = probed["draws"] - exact["draws"], probed["probe_errors"]
    assert_allclose(np.sqrt(np.mean(error**2)), np.sqrt(np.mean(change**2)), rtol=0.1)
    assert used.degrees_of_freedom == 1
