"""Group norm, attention, embeddings and residual blocks, against explicit references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.layers.attention import Attention, attend, split_heads
from models.layers.basic import GroupNorm, num_groups
from models.layers.embedding import FourierFeatures, positional_features
from models.layers.resample import downsample, upsample
from models.layers.residual import ResidualBlock
from tests.cases import float32_tolerance
from tests.models.parameters import normal, quick_jit, random_params


def test_group_norm_is_its_definition_far_from_zero():
    x = np.asarray(normal(3, 2, 4, 6, 12), np.float64) * np.arange(1, 13) + 1000
    net = GroupNorm()
    params = random_params(net, x.astype(np.float32))
    groups = x.astype(np.float32).astype(np.float64).reshape(2, 24, 3, 4)
    mean = groups.mean((1, 3), keepdims=True)
    std = np.sqrt(groups.var((1, 3), keepdims=True) + 1e-6)
    want = ((groups - mean) / std).reshape(x.shape) * params["scale"] + params["bias"]
    got = quick_jit(net.apply)({"params": params}, x.astype(np.float32))
    # The mean of 72 numbers of 1000 is what is rounded.
    atol = float32_tolerance(np.full(72, 1000 / 72)) * np.max(params["scale"] / std.min())
    np.testing.assert_allclose(got, want, atol=atol)


def test_groups_divide_the_channels():
    published = {16: 4, 48: 12, 128: 32, 384: 32}
    assert {channels: num_groups(channels) for channels in published} == published
    assert all(channels % num_groups(channels) == 0 for channels in range(1, 300))


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_the_plain_softmax(heads):
    qkv = np.asarray(normal(4, 2, 5, 18), np.float64)
    query, key, value = (part.reshape(2, 5, heads, -1) for part in np.split(qkv, 3, axis=-1))
    want = np.zeros_like(query)
    for b, i, h in np.ndindex(2, 5, heads):
        weights = np.exp(key[b, :, h] @ query[b, i, h] / np.sqrt(6 / heads))
        want[b, i, h] = weights @ value[b, :, h] / weights.sum()
    run = quick_jit(lambda qkv: attend(*split_heads(qkv, heads), "xla"))
    got = run(qkv.astype(np.float32))
    # A logit's rounding is relative to its weight, and a result averages five values by weights.
    products = key[:, None] * query[:, :, None] / np.sqrt(6 / heads)
    atol = float32_tolerance(products) * np.abs(value).max()
    np.testing.assert_allclose(got, want.reshape(2, 5, 6), atol=atol)


def test_attention_commutes_with_a_permutation_of_the_pixels():
    x, order = normal(5, 2, 4, 4, 8), np.random.default_rng(0).permutation(16)
    net = Attention(skip_rescale=True)
    params = random_params(net, x)
    flat = lambda image: image.reshape(2, 16, 8)  # noqa: E731
    apply = quick_jit(net.apply)
    got = np.asarray(apply({"params": params}, flat(x)[:, order].reshape(x.shape)))
    want = flat(np.asarray(apply({"params": params}, x)))[:, order]
    np.testing.assert_allclose(flat(got), want, atol=1e-5)
    assert np.abs(want - flat(x)[:, order] / np.sqrt(2)).max() > 0.1  # and it does something
    silent = params | {"out": jax.tree.map(np.zeros_like, params["out"])}
    np.testing.assert_allclose(apply({"params": silent}, x), x / np.sqrt(2), rtol=1e-6)


def test_embeddings_are_their_equations():
    c = np.array([0.0, 0.3, 999.0])
    omega = 10.0 ** (-4 * np.arange(4) / 3)
    want = np.concatenate([np.sin(c[:, None] * omega), np.cos(c[:, None] * omega)], 1)
    np.testing.assert_allclose(positional_features(jnp.asarray(c), 8), want, atol=1e-4)
    net, c = FourierFeatures(4096, 16.0), np.array([-2.0, 0.1])
    w = net.init(jax.random.key(0), c)["params"]["frequencies"]
    got = net.apply({"params": {"frequencies": w}}, c)
    angles = 2 * np.pi * c[:, None] * np.asarray(w, np.float64)
    # The largest angle, some 700, is a product of three.
    atol = float32_tolerance(np.abs(angles).max())
    np.testing.assert_allclose(got, np.concatenate([np.sin(angles), np.cos(angles)], 1), atol=atol)
    np.testing.assert_allclose(w.std(), 16.0, rtol=0.05)


@pytest.mark.parametrize("resample", ["none", "up", "down"])
def test_a_residual_block_starts_as_its_rescaled_shortcut(resample):
    x, e = normal(6, 2, 4, 4, 8), normal(7, 2, 16)
    fir = resample == "up"
    net = ResidualBlock(8, resample, fir)
    params = quick_jit(net.init, static_argnums=3)(jax.random.key(0), x, e, False)["params"]
    got = quick_jit(net.apply, static_argnums=3)({"params": params}, x, e, False)
    if resample == "none":
        want = x
    else:
        resized = quick_jit(partial(upsample if resample == "up" else downsample, fir=fir))(x)
        want = resized @ params["shortcut"]["kernel"]
    np.testing.assert_allclose(got, want / np.sqrt(2), atol=1e-4)
