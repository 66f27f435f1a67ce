"""The angle: the flow that is zero for Gaussian data, and its inverse at both ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers.coordinates.angle import Angle
from sde_lib import Gaussian
from tests.cases import SDES, TIMES, every_sde, mixture

float64 = pytest.mark.usefixtures("float64")


@float64
@every_sde
def test_gaussian_data_stand_still(sde):
    angle, oracle = Angle(sde, 0.7), Gaussian.isotropic(3, 0.7)
    w = jnp.asarray(np.random.default_rng(0).normal(size=(len(TIMES), 3)))
    slope = jax.jit(lambda t, w: angle.slope(oracle.model(sde), None, angle.theta(t), w))
    assert_allclose(slope(jnp.asarray(TIMES), w), 0, atol=1e-12)


@float64
@every_sde
def test_slope_is_the_probability_flow(sde):
    """dw/dθ = dw/dt / (dθ/dt), with x moving by f x − ½ g² score."""
    angle, oracle = Angle(sde, 0.4), mixture()
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 2)))

    @jax.jit
    @jax.vmap
    def slopes(t):
        score = jax.grad(lambda x: oracle.log_prob(sde, x, t)[0])(x)
        velocity = sde.probability_flow_drift(x, t, score)
        scale, scale_slope = jax.jvp(angle.scale, (t,), (jnp.ones(()),))
        theta, theta_slope = jax.jvp(angle.theta, (t,), (jnp.ones(()),))
        expected = (scale * velocity + scale_slope * x) / theta_slope
        return angle.slope(oracle.model(sde), None, theta[None], scale * x), expected

    assert_allclose(*slopes(jnp.asarray(TIMES)), rtol=1e-6)


@every_sde
def test_time_is_the_inverse(sde):
    angle = Angle(sde, 0.5)
    # In float32, where θ near π/2 has a spacing of 1.2e-7 and n = s tan θ is 1e2 or more.
    times = jnp.asarray([t for t in TIMES if t > 5e-3], dtype=jnp.float32)
    there_and_back = jax.jit(lambda times: angle.time(angle.theta(times)))
    assert_allclose(there_and_back(times), times, rtol=2e-3, atol=1e-5)


def test_where_there_is_no_signal():
    angle = Angle(SDES["user"], 0.5)
    theta, time = angle.theta(1.0), jax.jit(angle.time)
    assert_allclose(theta, np.pi / 2)
    assert time(theta) == 1.0
    assert 0 <= time(jnp.zeros(())) < 1e-12


@float64
@every_sde
def test_denoising_by_the_slope(sde):
    angle, oracle = Angle(sde, 0.4), mixture()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(1, 2)))

    @jax.jit
    @jax.vmap
    def denoised(t):
        theta, w = angle.theta(t), angle.scale(t) * x
        slope = angle.slope(oracle.model(sde), None, theta[None], w)
        return angle.denoise(theta, w, slope), oracle.predict(sde, x, t).data

    assert_allclose(*denoised(jnp.asarray(TIMES)), rtol=1e-7, atol=1e-9)
