"""The U-Net: published sizes, its parts against explicit references, its derivatives."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.initialization import init_params
from models.layers.attention import Attention, attend, split_heads
from models.layers.basic import GroupNorm, Head, num_groups
from models.layers.embedding import FourierFeatures, positional_features
from models.layers.pyramid import InputPyramid, OutputPyramid
from models.layers.resample import ConvDownsample, ConvUpsample, downsample, upsample
from models.layers.residual import ResidualBlock
from models.networks.ncsnpp import NCSNpp
from models.registry import networks
from sde_lib import Condition
from tests.cases import float32_tolerance

NCSN = {"embedding": "fourier", "fir": True, "progressive_input": "residual"}
SKIP = {
    "embedding": "fourier",
    "fir": True,
    "progressive": "output_skip",
    "progressive_input": "input_skip",
}
TINY = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (4,), "dropout": 0.0}
FLAT = TINY | {"ch_mult": (1,), "attn_resolutions": ()}  # the middle attends

# The programs run once: compiling them badly takes half the time.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def random_params(net, *inputs):
    """Parameters none of which is zero; as initialised, half the network would go untested."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), *inputs)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    fan_in = [np.prod(leaf.shape[:-1]) for leaf in leaves]
    pairs = enumerate(zip(leaves, fan_in, strict=True))
    return tree.unflatten(
        [normal(i, *leaf.shape) / np.float32(np.sqrt(fan)) for i, (leaf, fan) in pairs]
    )


def inputs(batch=2, size=8, channels=3):
    return normal(100, batch, size, size, channels), np.linspace(-1, 1, batch, dtype=np.float32)


def dense_fir(size, up):
    """One axis as a matrix: insert zeros, pad, correlate with k, keep every other."""
    k = np.array([1, 3, 3, 1]) / 8
    matrix = np.zeros((2 * size, size) if up else (size // 2, size))
    for row, column in np.ndindex(*matrix.shape):
        tap = 2 * column - row + 2 if up else column - 2 * row + 1
        if 0 <= tap < 4:
            matrix[row, column] = k[tap] * (2 if up else 1)
    return matrix


@pytest.mark.parametrize("up", [False, True])
def test_fir_resampling_is_the_dense_filter(up):
    x = normal(1, 2, 6, 8, 3)
    got = quick_jit(partial(upsample if up else downsample, fir=True))(x)
    rows, columns = dense_fir(6, up), dense_fir(8, up)
    want = np.einsum("ph,bhwc,qw->bpqc", rows, x, columns)
    # Sixteen pixels, whose weights add up to 1 for each that is made.
    atol = float32_tolerance(np.full(16, np.abs(x).max() / 16))
    np.testing.assert_allclose(got, want, atol=atol)


def test_plain_resampling_is_mean_and_repetition():
    x = np.asarray(normal(1, 2, 6, 8, 3))
    fours = np.moveaxis(x.reshape(2, 3, 2, 4, 2, 3), (2, 4), (-2, -1)).reshape(2, 3, 4, 3, 4)
    atol = float32_tolerance(fours / 4)
    np.testing.assert_allclose(downsample(x, fir=False), fours.mean(axis=-1), atol=atol)
    np.testing.assert_array_equal(upsample(x, fir=False), np.kron(x, np.ones((1, 2, 2, 1))))


def transposed(x, kernel):
    """Scatter the flipped kernel at every second pixel; the rim beyond the image stays."""
    batch, height, width, _ = x.shape
    y = np.zeros((batch, 2 * height + 1, 2 * width + 1, kernel.shape[-1]))
    for i, j, a, b in np.ndindex(height, width, 3, 3):
        y[:, 2 * i + a, 2 * j + b] += x[:, i, j] @ kernel[2 - a, 2 - b]
    return y


def filtered(y, before, gain):
    """k along both axes, `before` zeros around."""
    y = bordered(y, before, before)
    for axis in (1, 2):
        size = y.shape[axis] - 3
        taps = [np.take(y, np.arange(i, i + size), axis) for i in range(4)]
        y = gain * sum(k * tap for k, tap in zip((1, 3, 3, 1), taps, strict=True)) / 8
    return y


def correlated(x, kernel, stride):
    """3×3 correlation at every pixel or every second one, no padding."""
    height, width = (x.shape[1] - 3) // stride + 1, (x.shape[2] - 3) // stride + 1
    y = np.zeros((x.shape[0], height, width, kernel.shape[-1]))
    for i, j, a, b in np.ndindex(height, width, 3, 3):
        y[:, i, j] += x[:, stride * i + a, stride * j + b] @ kernel[a, b]
    return y


def bordered(x, before, after):
    return np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))


def convolution_tolerance(x, kernel):
    """Of float32 sums over a 3×3 window and the channels; filters take means, or less."""
    signs = (-1) ** np.arange(kernel[..., 0].size)
    return float32_tolerance(signs * np.abs(x).max() * np.abs(kernel).max())


@pytest.mark.parametrize("fir", [False, True])
def test_convolution_up_is_transposed_and_filtered_or_of_repeated_pixels(fir):
    net, x = ConvUpsample(5, fir), normal(2, 1, 4, 6, 3)
    params = random_params(net, x)
    kernel, bias = params["conv"]["kernel"], params["conv"]["bias"]
    if fir:
        want = filtered(transposed(x, kernel), before=1, gain=2)
    else:
        want = correlated(bordered(np.kron(x, np.ones((1, 2, 2, 1))), 1, 1), kernel, stride=1)
    got = quick_jit(net.apply)({"params": params}, x)
    np.testing.assert_allclose(got, want + bias, atol=convolution_tolerance(x, kernel))


@pytest.mark.parametrize("fir", [False, True])
def test_convolution_down_is_strided(fir):
    net, x = ConvDownsample(5, fir), normal(2, 1, 4, 6, 3)
    params = random_params(net, x)
    wide = filtered(x, before=2, gain=1) if fir else bordered(x, 0, 1)
    got = quick_jit(net.apply)({"params": params}, x)
    kernel, bias = params["conv"]["kernel"], params["conv"]["bias"]
    want = correlated(wide, kernel, stride=2)
    np.testing.assert_allclose(got, want + bias, atol=convolution_tolerance(x, kernel))


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


def test_the_input_pyramid_joins_the_hidden_image():
    h, pyramid = normal(9, 2, 2, 4, 6), normal(8, 2, 4, 8, 3)
    for kind, combine in (("residual", "sum"), ("input_skip", "sum"), ("input_skip", "cat")):
        net = InputPyramid(kind, combine, fir=True, skip_rescale=True)
        params = random_params(net, pyramid, h)
        got_pyramid, got = quick_jit(net.apply)({"params": params}, pyramid, h)
        if kind == "residual":
            convolve = quick_jit(ConvDownsample(6, fir=True).apply)
            down = convolve({"params": params["down"]}, pyramid)
            want_pyramid = want = (down + h) / np.sqrt(2)
        else:
            want_pyramid = np.asarray(filtered(pyramid, before=1, gain=1)[:, ::2, ::2])
            seen = want_pyramid @ params["combine"]["kernel"] + params["combine"]["bias"]
            want = seen + h if combine == "sum" else np.concatenate([seen, h], -1)
        np.testing.assert_allclose(got_pyramid, want_pyramid, atol=1e-5)
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_output_pyramid_takes_up_the_hidden_image():
    h, pyramid = normal(9, 2, 4, 8, 8), normal(8, 2, 2, 4, 3)
    for kind in ("output_skip", "residual"):
        net = OutputPyramid(kind, features=3, fir=True, skip_rescale=True)
        params = random_params(net, pyramid, h)
        got_pyramid, got = quick_jit(net.apply)({"params": params}, pyramid, h)
        if kind == "output_skip":
            image = quick_jit(Head(3).apply)({"params": params["head"]}, h)
            want_pyramid, want = quick_jit(partial(upsample, fir=True))(pyramid) + image, h
        else:
            up = quick_jit(ConvUpsample(8, fir=True).apply)({"params": params["up"]}, pyramid)
            want_pyramid = want = (up + h) / np.sqrt(2)
        np.testing.assert_allclose(got_pyramid, want_pyramid, atol=1e-5)
        np.testing.assert_allclose(got, want, atol=1e-5)


OPTIONS = {
    "residual": NCSN | {"progressive": "residual", "attn_resolutions": ()},
    "skip": {
        "remat": True,
        "resblock": "ddpm",
        "progressive": "output_skip",
        "progressive_input": "input_skip",
        "progressive_combine": "cat",
        "skip_rescale": False,
    },
}


def backwards_but_frequencies(path, leaf):
    """Some direction for the parameters that learn."""
    return 0 * leaf if path[-1].key == "frequencies" else leaf[::-1]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients_are_finite_differences_and_reach_every_parameter(options):
    """By the image and by all parameters at once; computing again changes nothing."""
    net, (x, c) = NCSNpp(**TINY | options), inputs()
    params = random_params(net, x, c)
    tangent, cotangent, step = normal(101, *x.shape), normal(102, *x.shape), 1e-2
    x_all, c_all = np.concatenate([x, x + step * tangent, x - step * tangent]), np.tile(c, 3)

    @quick_jit
    def gradients(params, x_all):
        out, pull = jax.vjp(lambda p, x: net.apply({"params": p}, x, c_all), params, x_all)
        first = jnp.concatenate([cotangent, jnp.zeros((4, *x.shape[1:]))])
        return out, *pull(first)

    out, grads, grad_x = jax.device_get(gradients(params, x_all))
    finite = np.sum((out[2:4] - out[4:]) * cotangent) / (2 * step)
    np.testing.assert_allclose(np.sum(grad_x[:2] * tangent), finite, rtol=2e-2)
    along, step = jax.tree_util.tree_map_with_path(backwards_but_frequencies, params), 1e-3
    ahead, behind = (
        gradients(jax.tree.map(lambda p, v, s=s: p + s * v, params, along), x_all)[0][:2]
        for s in (step, -step)
    )
    finite = np.sum((ahead - behind) * cotangent) / (2 * step)
    slope = sum(jax.tree.leaves(jax.tree.map(np.vdot, grads, along)))
    np.testing.assert_allclose(slope, finite, rtol=2e-2)
    np.testing.assert_array_equal(grad_x[2:], 0)  # examples do not see each other
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        assert np.isfinite(leaf).all(), name
        if name.endswith("qkv/bias"):  # the softmax does not see a constant added to every key
            np.testing.assert_allclose(np.split(leaf, 3)[1], 0, atol=1e-4)
        assert name.endswith("fourier/frequencies") or np.abs(leaf).max() > 1e-5, name


@cache
def flat():
    """A network of one level, x, c and its parameters; `run_flat` is its program."""
    net, (x, c) = NCSNpp(**FLAT), inputs(size=4)
    return net, x, c, random_params(net, x, c)


run_flat = quick_jit(NCSNpp(**FLAT).apply)


def test_forward_mode_is_the_finite_difference():
    net, x, c, params = flat()
    tangent, step = normal(101, *x.shape), 1e-2

    @quick_jit
    def forward(x):
        return jax.jvp(lambda x: net.apply({"params": params}, x, c), (x,), (tangent,))

    (ahead, _), (behind, _) = (jax.device_get(forward(x + s * step * tangent)) for s in (1, -1))
    finite = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(forward(x)[1], finite, atol=1e-2 * np.abs(finite).max())


def test_batch_size_changes_nothing():
    _, x, c, params = flat()
    together, alone = (run_flat({"params": params}, x[i:], c[i:]) for i in (0, 1))
    np.testing.assert_allclose(together[1:], alone, atol=1e-5 * jnp.abs(together).max())


def test_starts_at_zero():
    net, x, c, _ = flat()
    params = init_params(jax.random.key(0), net, x.shape[1:])
    assert jnp.abs(run_flat({"params": params}, x, c)).max() < 1e-3


def test_listens_to_time_and_class():
    net, (x, c) = NCSNpp(**FLAT, num_classes=3), inputs(size=4)
    label = np.array([0, 2])
    params = random_params(net, x, c, Condition(label=label))
    apply = lambda c, label: net.apply({"params": params}, x, c, Condition(label=label))  # noqa: E731
    run = quick_jit(apply)
    out = run(c, label)
    other_class, other_time = run(c, np.array([1, 2])), run(c + np.float32([1, 0]), label)
    for other in (other_class, other_time):
        assert np.abs(other[0] - out[0]).max() > 1e-3 * np.abs(out).max()
        np.testing.assert_array_equal(other[1], out[1])


def test_an_embedding_may_stand_in_for_the_class():
    net, (x, c) = NCSNpp(**FLAT, cond_dim=5), inputs(size=4)
    cond = normal(103, 2, 5)
    params = random_params(net, x, c, Condition(vector=cond))
    run = quick_jit(lambda cond: net.apply({"params": params}, x, c, Condition(vector=cond)))
    out, other = run(cond), run(cond + np.float32([[1], [0]]))
    assert np.abs(other[0] - out[0]).max() > 1e-2
    np.testing.assert_array_equal(other[1], out[1])


def test_without_time_the_blocks_are_told_nothing():
    net, (x, c) = NCSNpp(**FLAT, time_conditioned=False), inputs(size=4)
    params = random_params(net, x, c)
    assert "time" not in params
    assert "dense" not in params["down_0_block_0"]
    run = quick_jit(lambda c: net.apply({"params": params}, x, c))
    np.testing.assert_array_equal(run(c), run(c + 1))


def test_data_in_0_to_1_are_centred_first():
    _, x, c, params = flat()
    centring = NCSNpp(**FLAT, center_input=True)
    got = quick_jit(centring.apply)({"params": params}, (x + 1) / 2, c)
    want = run_flat({"params": params}, x, c)
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_dropout_only_in_training_and_bfloat16_close():
    fields = FLAT | {"dropout": 0.5}
    net, (_, x, c, params) = NCSNpp(**fields), flat()
    out = quick_jit(net.apply)({"params": params}, x, c)
    train = quick_jit(partial(net.apply, train=True))
    dropped = [train({"params": params}, x, c, rngs={"dropout": jax.random.key(i)}) for i in (0, 1)]
    for other in (out, dropped[1]):
        assert np.abs(dropped[0] - other).max() > 1e-2
    np.testing.assert_array_equal(run_flat({"params": params}, x, c), out)
    half = quick_jit(NCSNpp(**fields, dtype="bfloat16").apply)({"params": params}, x, c)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, out, atol=0.05 * jnp.abs(out).max())


@pytest.mark.parametrize("field", ["embedding", "resblock", "progressive", "progressive_input"])
def test_an_unknown_option_names_its_field(field):
    with pytest.raises(ValueError, match=rf"^unknown {field} 'nonee'.*Known: "):
        NCSNpp(**{field: "nonee"})


def test_bad_inputs_stop_with_one_line():
    x, c = inputs()
    init = lambda net, *args: jax.eval_shape(net.init, jax.random.key(0), *args)  # noqa: E731
    with pytest.raises(ValueError, match="cond: got None, takes labels"):
        init(NCSNpp(**TINY, num_classes=3), x, c)
    with pytest.raises(ValueError, match=r"cond: got int32\[2\], takes None"):
        init(NCSNpp(**TINY), x, c, Condition(label=jnp.array([0, 1])))
    with pytest.raises(ValueError, match="image size: got 7×8, takes multiples of 2"):
        init(NCSNpp(**TINY), x[:, 1:], c)
    with pytest.raises(ValueError, match="takes an even number"):
        init(NCSNpp(nf=33), x, c)


def test_is_registered():
    assert networks["ncsnpp"] is NCSNpp
