"""The U-Net: its derivatives, what it listens to, and what is refused."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.initialization import init_params
from models.networks.ncsnpp import NCSNpp
from models.registry import networks
from sde_lib import Condition
from tests.models.parameters import inputs, normal, quick_jit, random_params

NCSN = {"embedding": "fourier", "fir": True, "progressive_input": "residual"}
TINY = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (4,), "dropout": 0.0}
FLAT = TINY | {"ch_mult": (1,), "attn_resolutions": ()}  # the middle attends


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
