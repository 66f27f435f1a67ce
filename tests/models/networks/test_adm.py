"""ADM: published sizes, what it adds to the blocks of NCSN++, its options.

The whole network and its derivative are held against another implementation's in
tests/experiments/conversion/test_diffusers.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.layers.attention import Attention
from models.layers.embedding import positional_features
from models.layers.resample import ConvDownsample
from models.layers.residual import ResidualBlock
from models.networks.adm import ADM
from models.registry import networks
from sde_lib import Condition
from tests.models.layers.reference import bordered, correlated
from tests.models.parameters import inputs, normal, quick_jit, random_params

TINY = {
    "nf": 8,
    "ch_mult": (1, 1.5),
    "num_res_blocks": 1,
    "attn_resolutions": (4,),
    "head_dim": 4,
    "dropout": 0.0,
}
FLAT = TINY | {"ch_mult": (1,), "middle": "none"}


def shapes(size, fields):
    struct = jax.ShapeDtypeStruct
    label = Condition(label=struct((1,), "int32")) if "num_classes" in fields else None
    x, c = struct((1, size, size, 3), "float32"), struct((1,), "float32")
    return jax.eval_shape(ADM(**fields).init, jax.random.key(0), x, c, label)["params"]


@pytest.mark.parametrize(
    ("size", "fields", "published"),
    [
        # EDM's ADM for ImageNet-64, published as 295.9 M; the null, 768 wide, is ours.
        (
            64,
            {
                "nf": 192,
                "ch_mult": (1, 2, 3, 4),
                "attn_resolutions": (32, 16, 8),
                "num_classes": 1000,
            },
            295_899_267 + 768,
        ),
        # ADM's for 256×256 pixels has three more outputs, the variances: 552,814,086 in all.
        (
            256,
            {
                "nf": 256,
                "ch_mult": (1, 1, 2, 2, 4, 4),
                "num_res_blocks": 2,
                "attn_resolutions": (32, 16, 8),
            },
            552_814_086 - 3 * (9 * 256 + 1),
        ),
        # DDPM on CIFAR-10, 35.7 M.
        (
            32,
            {
                "num_res_blocks": 2,
                "attn_resolutions": (16,),
                "scale_shift": False,
                "conv_down": (0, 1, 2),
                "conv_up": (1, 2, 3),
            },
            35_746_307,
        ),
    ],
)
def test_has_as_many_parameters_as_published(size, fields, published):
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(size, fields))) == published


def test_attention_and_resampling_are_chosen_by_level():
    levels = TINY | {"ch_mult": (1, 2, 2), "middle_norm_groups": 0}
    by_height = shapes(16, levels | {"attn_resolutions": (8,)})
    assert shapes(16, levels | {"attn_down": (1,), "attn_up": (1,)}) == by_height
    mixed = shapes(16, levels | {"attn_down": (0,), "attn_up": (1, 2), "conv_down": (1,)})
    assert {name for name in mixed if "attention" in name} == {
        "down_0_attention_0",
        "middle_attention",
        *(f"up_{level}_attention_{i}" for level in (1, 2) for i in (0, 1)),
    }
    assert "norm" not in mixed["middle_attention"]
    assert set(mixed["down_1_resample"]) == {"conv"}
    assert "conv_0" in mixed["down_0_resample"]
    assert "shortcut" not in mixed["down_0_resample"]
    none = shapes(16, levels | {"middle": "none"})
    assert not any(name.startswith("middle") for name in none)


def group_normalised(x, groups, epsilon):
    grouped = np.asarray(x, np.float64).reshape(*x.shape[:-1], groups, -1)
    mean = grouped.mean((1, 2, 4), keepdims=True)
    variance = grouped.var((1, 2, 4), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)


def test_the_embedding_scales_and_shifts_what_is_normalised():
    x, e = normal(6, 2, 4, 4, 8), normal(7, 2, 5)
    net = ResidualBlock(
        features=8,
        skip_rescale=False,
        norm_groups=2,
        norm_epsilon=0.1,
        scale_shift=True,
        keep_shortcut=True,
    )
    params = quick_jit(net.init, static_argnums=3)(jax.random.key(0), x, e, False)["params"]
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf) + np.float32(0.2) * normal(leaf.size, *leaf.shape), params
    )

    def normalised(name, h):
        return group_normalised(h, 2, 0.1) * params[name]["scale"] + params[name]["bias"]

    def convolved(name, h):
        h = bordered(h / (1 + np.exp(-h)), 1, 1)  # silu
        return correlated(h, params[name]["kernel"], stride=1) + params[name]["bias"]

    told = (e @ params["dense"]["kernel"] + params["dense"]["bias"])[:, None, None]
    h = convolved("conv_0", normalised("norm_0", x))
    h = (1 + told[..., :8]) * normalised("norm_1", h) + told[..., 8:]
    got = quick_jit(net.apply, static_argnums=3)({"params": params}, x, e, False)
    np.testing.assert_allclose(got, x + convolved("conv_1", h), atol=1e-4)


def test_positional_features_in_both_conventions():
    c = np.array([0.0, 1.5, 700.0])
    angles = c[:, None] * 1e4 ** (-np.arange(4) / 4)
    got = positional_features(jnp.asarray(c, jnp.float32), 8, freq_shift=0, cos_first=True)
    # An angle of 700 is rounded by 3e-5, and so is its frequency.
    np.testing.assert_allclose(got, np.concatenate([np.cos(angles), np.sin(angles)], 1), atol=2e-4)


def test_a_symmetric_strided_convolution_has_zeros_all_around():
    net, x = ConvDownsample(5, fir=False, symmetric=True), normal(2, 1, 4, 6, 3)
    params = random_params(net, x)
    got = quick_jit(net.apply)({"params": params}, x)
    want = correlated(bordered(x, 1, 1), params["conv"]["kernel"], stride=2)
    np.testing.assert_allclose(got[:, :, :3], want[:, :2, :3] + params["conv"]["bias"], atol=1e-5)


def test_attention_may_go_without_normalisation():
    x = normal(5, 1, 2, 2, 4)
    net = Attention(norm_groups=0)
    params = random_params(net, x)
    apply = quick_jit(net.apply)
    once, scaled = (np.asarray(apply({"params": params}, np.float32(k) * x)) for k in (1, 3))
    assert np.abs((scaled - 3 * x) - (once - x)).max() > 0.1  # a normalisation would hide the 3


def test_dropout_only_in_training_and_bfloat16_close():
    fields = FLAT | {"dropout": 0.5, "center_input": True}
    net, (x, c) = ADM(**fields), inputs(size=4)
    params = {"params": random_params(net, x, c)}
    out = quick_jit(net.apply)(params, x, c)
    train = quick_jit(partial(net.apply, train=True))
    dropped = [train(params, x, c, rngs={"dropout": jax.random.key(i)}) for i in (0, 1)]
    for other in (out, dropped[1]):
        assert np.abs(dropped[0] - other).max() > 1e-2
    centred = quick_jit(ADM(**FLAT).apply)(params, 2 * x - 1, c)
    np.testing.assert_allclose(centred, out, atol=1e-5 * np.abs(out).max())
    half = quick_jit(ADM(**fields, dtype="bfloat16").apply)(params, x, c)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, out, atol=0.05 * np.abs(out).max())


def test_bad_inputs_stop_with_one_line():
    x, c = inputs()
    init = lambda net, *args: jax.eval_shape(net.init, jax.random.key(0), *args)  # noqa: E731
    with pytest.raises(ValueError, match=r"unknown middle 'nonee'.*Known: "):
        ADM(middle="nonee")
    with pytest.raises(ValueError, match="image size: got 7×8, takes multiples of 2"):
        init(ADM(**TINY), x[:, 1:], c)
    with pytest.raises(ValueError, match="head_dim: got 5, takes a divisor of the 12 channels"):
        init(ADM(**TINY | {"head_dim": 5}), x, c)
    with pytest.raises(ValueError, match="norm_groups: got 3, takes a divisor of the 8 channels"):
        init(ADM(**TINY, norm_groups=3), x, c)
    with pytest.raises(ValueError, match="cond: got None, takes labels"):
        init(ADM(**TINY, num_classes=3), x, c)


def test_is_registered():
    assert networks["adm"] is ADM
