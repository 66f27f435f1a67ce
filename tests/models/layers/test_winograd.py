"""Convolutions by Winograd's filtering against the direct sum."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import Encoder
from models.layers import winograd
from models.layers.basic import conv3x3
from tests.models.parameters import random_params

KINDS = {
    "winograd": winograd.winograd,
    "winograd_vjp": winograd.winograd_vjp,
    "direct_vjp": winograd.direct_vjp,
}


def direct(x, w):
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def test_matrices_filter_exactly():
    """Aᵀ[(G w) ⊙ (Bᵀ d)] is the correlation of d with w, whatever the points."""
    for points, rows in (((0, 1, -1), 2), ((0, 0.75, -0.75, 1.5, -1.5), 4), ((2, 3, -1, 0.5), 3)):
        a, b, g = winograd.cook_toom(points, rows)
        w, d = arrays(3, rows + 2)
        want = np.correlate(d, w, "valid")
        np.testing.assert_allclose(a.T @ ((g @ w) * (b.T @ d)), want, rtol=1e-11, atol=1e-11)


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(convolve, x, w, c):
    value, pull = jax.vjp(convolve, x, w)
    return value, *pull(c)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(4, 4), (8, 6), (12, 1)])
def test_value_and_gradients_are_those_of_the_direct_sum(kind, size, float64):
    x, w, c = arrays((2, *size, 5), (3, 3, 5, 7), (2, *size, 7))
    got = value_and_gradients(KINDS[kind], x, w, c)
    want = value_and_gradients(direct, x, w, c)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_only_one_kind_has_a_derivative_forwards(float64):
    x, w, dx = arrays((2, 4, 4, 3), (3, 3, 3, 3), (2, 4, 4, 3))
    tangent = jax.jit(lambda x, dx: jax.jvp(lambda x: winograd.winograd(x, w), (x,), (dx,))[1])(
        x, dx
    )
    np.testing.assert_allclose(tangent, direct(dx, w), rtol=1e-11, atol=1e-11)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: winograd.winograd_vjp(x, w), (x,), (dx,))
    # Which the other has not; it is called without a derivative all the same.
    value = jax.jit(winograd.winograd_vjp)(x, w)
    np.testing.assert_allclose(value, direct(x, w), rtol=1e-11, atol=1e-11)


def test_rounding_is_a_few_times_that_of_the_direct_sum():
    """2.5 times was measured, of the root mean square; the points ±1, ±2 have 3.5."""
    x, w = (a.astype("float32") for a in arrays((2, 16, 16, 256), (3, 3, 256, 32)))
    with jax.enable_x64(True):
        exact = np.asarray(direct(x.astype("float64"), w.astype("float64")))

    def error(values):
        return np.sqrt(np.square(values - exact).mean() / np.square(exact).mean())

    ours = error(jax.jit(winograd.winograd)(x, w))
    assert ours < 3 * error(direct(x, w))
    assert ours < 1.2e-6


@pytest.mark.parametrize(
    ("shape", "features", "fields"),
    [
        ((8, 16, 16, 64), 64, {}),  # too few pixels
        ((16, 16, 16, 3), 64, {}),  # too few channels
        ((16, 18, 16, 64), 64, {}),  # no multiple of 4 rows
        ((16, 16, 16, 64), 64, {"strides": 2}),
        ((16, 16, 16, 64), 64, {"padding": "VALID"}),
        ((16, 16, 16, 64), 64, {"dtype": "bfloat16"}),
    ],
)
def test_what_it_does_not_suit_is_the_direct_sum(shape, features, fields):
    def program(kind):
        layer = conv3x3(features, convolution=kind, name="conv", **fields)
        x = jnp.zeros(shape)
        params = jax.eval_shape(layer.init, jax.random.key(0), x)
        return jax.jit(layer.apply).lower(params, x).as_text().count("convolution(")

    assert program("winograd") == program("loop_vjp") == program("xla") == 1


def test_gradients_in_loops_are_convolutions_of_the_ordinary_axes():
    """Of loop_vjp, where the direct sum stays; xla's has the axes of the kernel changed."""

    def axes(kind):
        layer = conv3x3(3, convolution=kind, name="conv")
        x = jnp.zeros((2, 4, 4, 5))
        params = jax.eval_shape(layer.init, jax.random.key(0), x)
        slope = jax.grad(lambda x, params: layer.apply(params, x).sum())
        return jax.jit(slope).lower(x, params).as_text().count("[0, 1, i, o]")

    assert axes("loop_vjp") == 1
    assert axes("xla") == 0


def test_a_network_is_the_same_function(monkeypatch):
    monkeypatch.setattr(winograd, "_MIN_PIXELS", 1)
    monkeypatch.setattr(winograd, "_MIN_CHANNELS", 8)
    x, c, v = (a.astype(np.float32) for a in arrays((2, 4, 4, 1), (2,), (2, 3)))
    tiny = {"nf": 8, "ch_mult": (1,), "num_res_blocks": 1, "attn_resolutions": ()}
    networks = {
        kind: Encoder(**tiny, num_classes=3, convolution=kind)
        for kind in ("xla", "winograd_vjp", "loop_vjp")
    }
    params = random_params(networks["xla"], x, c)

    def loss(params, network):
        return jnp.sum(v * network.apply({"params": params}, x, c))

    run = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    want, slope = jax.device_get(run(params, networks.pop("xla")))
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(slope))
    for network in networks.values():
        value, other = run(params, network)
        # A few times float32's 6e-8, over some convolutions forwards and back.
        np.testing.assert_allclose(value, want, rtol=1e-5)
        for ours, theirs in zip(jax.tree.leaves(other), jax.tree.leaves(slope), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * largest)
