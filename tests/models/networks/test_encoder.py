"""The classifier of images: its logits, what it listens to, its gradients, what it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import Encoder, init_params, networks, outputs
from sde_lib import Condition
from tests.models.parameters import normal, random_params

TINY = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (2,), "num_classes": 3}
FLAT = TINY | {"ch_mult": (1,), "attn_resolutions": ()}
C, IMAGES = np.array([-1.0, 0.5], np.float32), normal(100, 2, 4, 4, 1)


def test_starts_at_equal_logits():
    network = Encoder(**FLAT)
    params = init_params(jax.random.key(1), network, (4, 4, 1))
    logits = jax.jit(network.apply)({"params": params}, IMAGES, C)
    assert logits.shape == (2, 3)
    assert jnp.abs(logits).max() < 1e-3


def test_listens_to_image_and_time_and_not_to_the_label():
    network = Encoder(**TINY)
    apply = jax.jit(lambda x, c, cond: network.apply({"params": params}, x, c, cond))
    params, x = random_params(network, IMAGES, C), IMAGES
    label = Condition(label=jnp.array([0, 1]))
    out = apply(x, C, label)
    np.testing.assert_array_equal(out, apply(x, C, Condition(label=jnp.array([2, 2]))))
    assert (jnp.abs(apply(x, C + 1, label) - out).max(axis=1) > 1e-3).all()
    assert (jnp.abs(apply(x + 0.1, C, label) - out).max(axis=1) > 1e-4).all()
    # An example has its own logits.
    np.testing.assert_allclose(apply(x[::-1], C[::-1], label)[::-1], out, rtol=1e-4, atol=1e-5)


def test_gradients_are_finite_differences_and_reach_every_parameter(float64):
    network = Encoder(**TINY | {"dtype": "float64", "convolution": "loop_vjp"})
    params, x = random_params(network, IMAGES, C), IMAGES.astype(float)
    v = np.array([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]])

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1))
    def value(params, x):
        return jnp.sum(v * network.apply({"params": params}, x, C))

    by_params, by_x = jax.device_get(value(params, x)[1])
    assert by_x.dtype == np.float64
    for leaf in jax.tree.leaves(by_params):
        assert np.abs(leaf).max() > 1e-8
    step = normal(101, *x.shape).astype(float)
    h = 1e-3
    # The logits leave in float32, whose rounding the difference has over 2h.
    slope = (value(params, x + h * step)[0] - value(params, x - h * step)[0]) / (2 * h)
    np.testing.assert_allclose(np.sum(by_x * step), slope, atol=20 * 6e-8 / (2 * h), rtol=1e-4)


def test_bad_input_stops_with_one_line():
    with pytest.raises(ValueError, match="num_classes: got 0"):
        Encoder(nf=8).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), jnp.zeros(1))
    with pytest.raises(ValueError, match="image size: got 3×3, takes multiples of 2"):
        Encoder(**TINY).init(jax.random.key(0), jnp.zeros((1, 3, 3, 1)), jnp.zeros(1))
    with pytest.raises(ValueError, match="unknown embedding 'furier'"):
        Encoder(embedding="furier")


def test_says_what_it_returns():
    assert networks["encoder"] is Encoder
    assert {name for name in networks if outputs(networks[name]) != "states"} == {"encoder"}
