"""The diffusion transformer: its equations block by block, its sizes, its derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from models.layers.embedding import TimeEmbedding
from models.networks.dit import (
    DiT,
    from_patches,
    rotary_angles,
    rotate,
    sincos_positions,
    to_patches,
)
from models.registry import networks
from sde_lib import Condition
from tests.cases import float32_tolerance
from tests.models.parameters import normal, random_params

TINY = {"width": 8, "depth": 2, "head_dim": 4, "mlp_ratio": 2.0}
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def inputs(batch=2, height=4, width=6):
    return normal(100, batch, height, width, 3), np.linspace(-1, 1, batch, dtype=np.float32)


def test_patches_are_squares_row_by_row():
    x = normal(1, 2, 4, 6, 3)
    patches = to_patches(x, 2)
    assert patches.shape == (2, 6, 12)
    np.testing.assert_array_equal(patches[1, 4], x[1, 2:4, 2:4].reshape(-1))
    np.testing.assert_array_equal(from_patches(patches, x.shape, 2), x)


def test_positions_are_their_equations():
    got = np.asarray(sincos_positions(2, 3, 8)).reshape(2, 3, 8)
    omega = np.array([1.0, 0.01])
    for i, j in np.ndindex(2, 3):
        want = [np.sin(j * omega), np.cos(j * omega), np.sin(i * omega), np.cos(i * omega)]
        np.testing.assert_allclose(got[i, j], np.concatenate(want), atol=1e-6)


def test_rotated_products_depend_on_the_distance_alone():
    query, key = normal(2, 8), normal(3, 8)
    angles = rotary_angles(5, 5, 8)
    turned = quick_jit(rotate)
    everywhere = lambda x: np.asarray(  # noqa: E731
        turned(np.broadcast_to(x, (1, 25, 1, 8)), angles)
    ).reshape(5, 5, 8)
    q, k = everywhere(query), everywhere(key)
    # From (0, 1) to (2, 0) as from (2, 4) to (4, 3); another distance is another product.
    atol = float32_tolerance(q[0, 1] * k[2, 0])
    np.testing.assert_allclose(q[0, 1] @ k[2, 0], q[2, 4] @ k[4, 3], atol=atol)
    assert abs(q[0, 1] @ k[2, 0] - q[0, 1] @ k[2, 1]) > 1e-2
    np.testing.assert_allclose((q**2).sum(-1), (query**2).sum(), rtol=1e-5)


def norm(h):
    h = h - h.mean(-1, keepdims=True)
    return h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-6)


def dense(p, x):
    return x @ np.asarray(p["kernel"], np.float64) + np.asarray(p["bias"], np.float64)


def block(p, h, e):
    """Equations (2) and (3) in NumPy, heads of four channels."""
    shift1, scale1, gate1, shift2, scale2, gate2 = np.split(dense(p["adaln"], e)[:, None], 6, -1)
    split = (*h.shape[:2], -1, 4)
    qkv = np.split(dense(p["qkv"], (1 + scale1) * norm(h) + shift1), 3, axis=-1)
    query, key, value = (part.reshape(split) for part in qkv)
    weights = softmax(np.einsum("bqhc,bkhc->bhqk", query, key) / 2, axis=-1)
    seen = np.einsum("bhqk,bkhc->bqhc", weights, value).reshape(h.shape)
    h = h + gate1 * dense(p["attention_out"], seen)
    x = dense(p["mlp_0"], (1 + scale2) * norm(h) + shift2)
    gelu = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return h + gate2 * dense(p["mlp_1"], gelu)


def test_is_its_equations_with_one_program_for_all_blocks():
    net, (x, c) = DiT(**TINY), inputs()
    params = random_params(net, x, c)
    embed = TimeEmbedding(embedding="positional", dim=256, features=8, fourier_scale=0.25)
    e = np.asarray(embed.apply({"params": params["time"]}, c, None), np.float64)
    h = dense(params["patches"], np.asarray(to_patches(x, 2), np.float64))
    h = h + np.asarray(sincos_positions(2, 3, 8))
    for i in range(2):
        h = block(jax.tree.map(lambda p, i=i: p[i], params["blocks"]), h, e)
    shift, scale = np.split(dense(params["adaln"], e)[:, None], 2, -1)
    want = from_patches(dense(params["out"], (1 + scale) * norm(h) + shift), x.shape, 2)
    got = quick_jit(net.apply)({"params": params}, x, c)
    # float32 through two blocks, relative to the largest value.
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())


def num_parameters(**fields):
    x = jax.ShapeDtypeStruct((1, 32, 32, 4), "float32")
    c = jax.ShapeDtypeStruct((1,), "float32")
    label = Condition(label=jax.ShapeDtypeStruct((1,), "int32"))
    shapes = jax.eval_shape(DiT(**fields, num_classes=1000).init, jax.random.key(0), x, c, label)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("width", "depth", "head_dim", "millions"),
    [(384, 12, 64, 33), (768, 12, 64, 130), (1024, 24, 64, 458), (1152, 28, 72, 675)],
)
def test_has_as_many_parameters_as_published(width, depth, head_dim, millions):
    """Table 1, patches of 2 × 2; the published output has a variance too: 16 (width + 1) more."""
    got = num_parameters(width=width, depth=depth, head_dim=head_dim)
    blocks = depth * (18 * width**2 + 15 * width)
    ends = 17 * width + 16 * (width + 1) + 2 * width * (width + 1)
    told = 257 * width + width * (width + 1) + 1001 * width
    assert got == blocks + ends + told
    assert (got + 16 * (width + 1)) / 1e6 == pytest.approx(millions, abs=0.7)


def test_starts_at_zero():
    x, c = inputs()
    out, _ = quick_jit(DiT(**TINY).init_with_output)(jax.random.key(0), x, c)
    np.testing.assert_array_equal(out, 0)


@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_gradients_are_finite_differences_and_reach_every_parameter(positions):
    net = DiT(**TINY, positions=positions, qk_norm=True, remat=positions == "rope", num_classes=3)
    (x, c), label = inputs(), Condition(label=np.array([0, 2]), keep=np.array([True, False]))
    params = random_params(net, x, c, label)
    tangent, cotangent, step = normal(101, *x.shape), normal(102, *x.shape), 1e-2

    @quick_jit
    def gradients(params, x):
        out, pull = jax.vjp(lambda p, x: net.apply({"params": p}, x, c, label), params, x)
        return out, *pull(cotangent)

    ahead, behind = (
        gradients(params, x + step * tangent)[0],
        gradients(params, x - step * tangent)[0],
    )
    _, grads, grad_x = jax.device_get(gradients(params, x))
    finite = np.sum((ahead - behind) * cotangent) / (2 * step)
    np.testing.assert_allclose(np.sum(grad_x * tangent), finite, rtol=2e-2)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        assert np.isfinite(leaf).all(), name
        assert np.abs(leaf).max() > 1e-6, name


def test_bfloat16_is_close():
    x, c = inputs()
    params = random_params(DiT(**TINY), x, c)
    out, half = (
        quick_jit(DiT(**TINY, dtype=dtype).apply)({"params": params}, x, c)
        for dtype in ("float32", "bfloat16")
    )
    assert half.dtype == jnp.float32
    # bfloat16 has 8 bits, 4e-3, over some ten roundings in a row.
    np.testing.assert_allclose(half, out, atol=0.05 * np.abs(out).max())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"head_dim": 3}, "head_dim: got 3, takes a divisor of the 8 channels"),
        ({"patch_size": 4}, "image size: got 4×6, takes multiples of 4"),
        ({"positions": "sine"}, "unknown positions 'sine'"),
        ({"depth": 0}, "depth: got 0, takes 1 or more"),
        ({"positions": "rope", "head_dim": 2}, "head_dim: got 2, takes a multiple of 4"),
        ({"width": 6, "head_dim": 3}, "width: got 6, takes a multiple of 4"),
    ],
)
def test_bad_input_is_one_line(fields, words):
    x, c = inputs()
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(DiT(**TINY | fields).init, jax.random.key(0), x, c)


def test_is_registered():
    assert networks["dit"] is DiT
