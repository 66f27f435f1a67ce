"""The classifier of images: its logits, what it listens to, its gradients, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import Encoder, init_params, networks, outputs
from models.layers import winograd
from sde_lib import Condition

TINY = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (2,), "num_classes": 3}
C = jnp.array([-1.0, 0.5])


def images():
    return jax.random.normal(jax.random.key(0), (2, 4, 4, 1))


def params_of(network):
    """Random parameters everywhere, also where a network begins at zero."""
    params = init_params(jax.random.key(1), network, (4, 4, 1))
    draw = np.random.default_rng(2).normal
    return jax.tree.map(lambda leaf: leaf + 0.3 * draw(size=leaf.shape), params)


def test_starts_at_equal_logits():
    network = Encoder(**TINY)
    params = init_params(jax.random.key(1), network, (4, 4, 1))
    logits = jax.jit(network.apply)({"params": params}, images(), C)
    assert logits.shape == (2, 3)
    assert jnp.abs(logits).max() < 1e-3


def test_listens_to_image_and_time_and_not_to_the_label():
    network = Encoder(**TINY)
    apply = jax.jit(lambda x, c, cond: network.apply({"params": params}, x, c, cond))
    params, x = params_of(network), images()
    label = Condition(label=jnp.array([0, 1]))
    out = apply(x, C, label)
    np.testing.assert_array_equal(out, apply(x, C, Condition(label=jnp.array([2, 2]))))
    assert (jnp.abs(apply(x, C + 1, label) - out).max(axis=1) > 1e-3).all()
    assert (jnp.abs(apply(x + 0.1, C, label) - out).max(axis=1) > 1e-4).all()
    # An example has its own logits.
    np.testing.assert_allclose(apply(x[::-1], C[::-1], label)[::-1], out, rtol=1e-4, atol=1e-5)


def test_gradients_are_finite_differences_and_reach_every_parameter(float64):
    network = Encoder(**TINY | {"dtype": "float64", "convolution": "loop_vjp"})
    params, x, v = params_of(network), images(), jnp.array([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]])
    assert x.dtype == jnp.float64

    @jax.jit
    def value(params, x):
        return jnp.sum(v * network.apply({"params": params}, x, C))

    by_params, by_x = jax.jit(jax.grad(value, argnums=(0, 1)))(params, x)
    for leaf in jax.tree.leaves(by_params):
        assert jnp.abs(leaf).max() > 1e-8
    step = jax.random.normal(jax.random.key(3), x.shape)
    h = 1e-5
    # The logits leave in float32, whose rounding the difference has over 2h.
    slope = (value(params, x + h * step) - value(params, x - h * step)) / (2 * h)
    np.testing.assert_allclose(jnp.sum(by_x * step), slope, atol=20 * 6e-8 / (2 * h), rtol=1e-4)


def test_every_convolution_gives_the_same(monkeypatch):
    monkeypatch.setattr(winograd, "_MIN_PIXELS", 1)
    monkeypatch.setattr(winograd, "_MIN_CHANNELS", 8)
    params, x = params_of(Encoder(**TINY)), images()

    def slopes(kind):
        network = Encoder(**TINY, convolution=kind)
        loss = jax.jit(jax.grad(lambda x: network.apply({"params": params}, x, C)[:, 0].sum()))
        return loss(x)

    want = slopes("xla")
    for kind in ("winograd_vjp", "loop_vjp"):
        np.testing.assert_allclose(slopes(kind), want, rtol=1e-3, atol=1e-4 * jnp.abs(want).max())


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
