"""EDM2: layers that keep the mean square, the published sizes, derivatives, the projection."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.initialization import init_params
from models.layers.magnitude_preserving import (
    MPConv,
    MPFourier,
    MPLinear,
    mp_cat,
    mp_silu,
    mp_sum,
    pixel_norm,
    unit_weight,
)
from models.networks.edm2 import EDM2
from models.registry import networks
from sde_lib import Condition
from tests.cases import float32_tolerance
from tests.models.parameters import normal, random_params

TINY = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (4,), "head_dim": 8}
FLAT = TINY | {"ch_mult": (1,), "attn_resolutions": ()}  # the middle attends
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def inputs(batch=2, size=8):
    return normal(100, batch, size, size, 3), np.linspace(-1, 1, batch, dtype=np.float32)


def mean_square(x):
    return float(np.mean(np.square(np.asarray(x, np.float64))))


def test_layers_keep_the_mean_square():
    """Of independent normal numbers: 5 standard errors of n squares, 5 √(2/n)."""
    a, b = normal(1, 4000, 64), normal(2, 4000, 32)
    linear = MPLinear(48)
    kept = {
        "silu": mp_silu(a),
        "sum": mp_sum(a[:, :32], b, 0.3),
        "cat": mp_cat(a, b, 0.5),
        "linear": linear.apply(linear.init(jax.random.key(0), a), a),
    }
    for name, value in kept.items():
        # The square of silu has heavier tails; the outputs of a linear map are not independent.
        assert mean_square(value) == pytest.approx(1, abs=0.02), name
    c = np.linspace(-3, 3, 50, dtype=np.float32)
    fourier = MPFourier(4096, 1.0)
    features = fourier.apply(fourier.init(jax.random.key(1), c), c)
    assert mean_square(features) == pytest.approx(1, abs=0.02)


def test_layers_are_their_equations():
    a, b = normal(1, 3, 4), normal(2, 3, 12)
    np.testing.assert_allclose(mp_sum(a, a, 0.3), a / np.hypot(0.7, 0.3), rtol=1e-6)
    # 16 channels; the shares of a and b in the mean square are (1 − t)² and t².
    joined = np.asarray(mp_cat(a, b, 0.3))
    scale = np.sqrt(16 / (0.7**2 + 0.3**2))
    np.testing.assert_allclose(joined[:, :4], scale * 0.7 / 2 * a, rtol=1e-6)
    np.testing.assert_allclose(joined[:, 4:], scale * 0.3 / np.sqrt(12) * b, rtol=1e-6)
    rms = np.sqrt(np.mean(a**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(pixel_norm(a), a / (1e-4 + rms), rtol=1e-5)
    w = normal(3, 3, 3, 4, 5)
    got = np.asarray(unit_weight(w))[..., 2]
    np.testing.assert_allclose(
        got, w[..., 2] / (1e-4 + np.sqrt(np.mean(w[..., 2] ** 2))), rtol=1e-5
    )


def test_the_convolution_is_of_unit_weights_over_the_root_of_the_inputs():
    x, net = normal(4, 1, 3, 3, 4), MPConv(5)
    params = {"weight": normal(5, 3, 3, 4, 5)}
    got = np.asarray(net.apply({"params": params}, x))[0, 1, 1]
    w = np.asarray(unit_weight(params["weight"]), np.float64) / 6
    terms = (x[0, ..., None] * w).reshape(36, 5).T
    np.testing.assert_allclose(got, terms.sum(axis=1), atol=float32_tolerance(terms))


def num_parameters(nf, **fields):
    net = EDM2(nf=nf, num_classes=1000, **fields)
    x = jax.ShapeDtypeStruct((1, 64, 64, 4), "float32")
    c = jax.ShapeDtypeStruct((1,), "float32")
    label = Condition(label=jax.ShapeDtypeStruct((1,), "int32"))
    shapes = jax.eval_shape(net.init, jax.random.key(0), x, c, label)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(("nf", "millions"), [(128, 124.7), (192, 280.2)])
def test_has_as_many_parameters_as_published(nf, millions):
    """Table 3, to its last digit; a gain or a phase more or less does not show."""
    assert num_parameters(nf) / 1e6 == pytest.approx(millions, abs=0.05)


CLASSES = EDM2(**FLAT, num_classes=3)


@cache
def initial():
    """First parameters of a network with classes."""
    return init_params(jax.random.key(0), CLASSES, (4, 4, 3))


def test_starts_at_zero_and_what_comes_before_has_unit_size():
    for path, leaf in jax.tree_util.tree_leaves_with_path(initial()):
        assert path[-1].key != "gain" or leaf == 0
    x, c = inputs(batch=4, size=16)
    net = EDM2(**TINY | {"nf": 32, "head_dim": 32})
    # As at first: the weights are normalised where they are used.
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 0 * leaf if path[-1].key == "gain" else leaf, random_params(net, x, c)
    )
    opened = params | {"gain": np.ones((), np.float32)}
    # One draw of the weights: what a sum and a mean of 2 × 2 pixels lose is up to a quarter.
    assert 0.5 < mean_square(quick_jit(net.apply)({"params": opened}, x, c)) < 1.5


def test_is_blind_to_the_scale_of_weights_and_constrain_sets_it():
    net, (x, c) = CLASSES, inputs(size=4)
    label = Condition(label=np.array([0, 2]))
    params = random_params(net, x, c, label)
    run, constrained = quick_jit(net.apply), quick_jit(net.constrain)
    normalised = constrained(params)
    weights = [
        (path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(normalised)
        if path[-1].key == "weight"
    ]
    assert len(weights) > 20
    for _, leaf in weights:
        rms = np.sqrt(np.mean(np.square(leaf), axis=tuple(range(leaf.ndim - 1))))
        np.testing.assert_allclose(rms, 1, atol=2e-3)  # ε over the rms of a tenth of these draws
    want = run({"params": params}, x, c, label)
    # ε = 1e-4 beside an rms of some 0.1, and twice where it is applied twice.
    np.testing.assert_allclose(
        run({"params": normalised}, x, c, label), want, atol=2e-2 * np.abs(want).max()
    )
    again = constrained(normalised)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(normalised), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-3)
    np.testing.assert_array_equal(run({"params": initial()}, x, c, label), 0)
    for a, b in zip(*map(jax.tree.leaves, (initial(), constrained(initial()))), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-4, atol=1e-6)


def test_gradients_are_finite_differences_and_reach_every_parameter():
    net = EDM2(**TINY, num_classes=3, remat=True)
    x, c = inputs()
    label = Condition(label=np.array([0, 2]), keep=np.array([True, False]))
    params = random_params(net, x, c, label)
    tangent, cotangent, step = normal(101, *x.shape), normal(102, *x.shape), 1e-2

    @quick_jit
    def gradients(params, x):
        out, pull = jax.vjp(lambda p, x: net.apply({"params": p}, x, c, label), params, x)
        return out, *pull(cotangent)

    ahead, behind = (gradients(params, x + s * step * tangent)[0] for s in (1, -1))
    _, grads, grad_x = jax.device_get(gradients(params, x))
    finite = np.sum((ahead - behind) * cotangent) / (2 * step)
    np.testing.assert_allclose(np.sum(grad_x * tangent), finite, rtol=2e-2)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        assert np.isfinite(leaf).all(), name
        still = name.endswith(("frequencies", "phases"))
        assert still or np.abs(leaf).max() > 1e-7, name


def test_listens_to_time_and_embedding_and_bfloat16_is_close():
    net, (x, c) = EDM2(**FLAT, cond_dim=5), inputs(size=4)
    cond = Condition(vector=normal(103, 2, 5))
    params = random_params(net, x, c, cond)
    run = quick_jit(lambda c, cond: net.apply({"params": params}, x, c, cond))
    out = run(c, cond)
    other_time = run(c + np.float32([1, 0]), cond)
    other_cond = run(c, Condition(vector=cond.vector * np.float32([[-1], [1]])))
    for other in (other_time, other_cond):
        assert np.abs(other[0] - out[0]).max() > 1e-3 * np.abs(out).max()
        np.testing.assert_array_equal(other[1], out[1])
    half = quick_jit(EDM2(**FLAT, cond_dim=5, dtype="bfloat16").apply)(
        {"params": params}, x, c, cond
    )
    assert half.dtype == jnp.float32
    # bfloat16 has 8 bits, 4e-3, over some thirty roundings in a row.
    np.testing.assert_allclose(half, out, atol=0.1 * np.abs(out).max())


def test_bad_input_is_one_line():
    x, c = inputs()
    init = lambda net, x: jax.eval_shape(net.init, jax.random.key(0), x, c)  # noqa: E731
    with pytest.raises(ValueError, match="image size: got 7×8, takes multiples of 2"):
        init(EDM2(**TINY), x[:, 1:])
    with pytest.raises(ValueError, match="head_dim: got 3, takes a divisor of the 8 channels"):
        init(EDM2(**TINY | {"head_dim": 3, "attn_resolutions": (8,)}), x)
    with pytest.raises(ValueError, match="unknown attention 'flash'"):
        EDM2(attention="flash")


def test_is_registered():
    assert networks["edm2"] is EDM2
