"""Noise belongs to an example: a function of (key, example, draw) alone."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose
from scipy import stats

from samplers import Hutchinson, noise

KEY = jax.random.key(3)
STREAMS = get_args(noise.Stream)


def draws(indices, draw, shape=(5,), stream="step"):
    keys = noise.stream(noise.example_keys(KEY, jnp.asarray(indices)), stream)
    return np.asarray(noise.normal(keys, draw, shape))


def test_an_example_does_not_depend_on_its_batch():
    """Bit for bit, in batches of 1, 7 and 64, wherever it stands."""
    whole = draws(np.arange(64), 2)
    np.testing.assert_array_equal(draws(np.arange(7), 2), whole[:7])
    np.testing.assert_array_equal(draws([5], 2), whole[5:6])
    np.testing.assert_array_equal(draws([40, 3, 17], 2), whole[[40, 3, 17]])


def test_a_traced_draw_number_is_the_same_draw():
    keys = noise.stream(noise.example_keys(KEY, jnp.arange(7)), "step")
    traced = jax.jit(lambda draw: noise.normal(keys, draw, (5,)))
    np.testing.assert_array_equal(traced(2), draws(np.arange(7), 2))
    np.testing.assert_array_equal(traced(2**31 - 1), draws(np.arange(7), 2**31 - 1))


def test_draws_and_examples_are_independent():
    """Each pair of draws and streams × 4 examples of 2000 numbers correlates below 5/√2000.

    946 pairs at five standard errors: one failure in 1800 keys, and the key is fixed.
    """
    numbers = [draws(np.arange(4), k, (2000,)) for k in (0, 1, 1000)]
    numbers += [draws(np.arange(4), 0, (2000,), name) for name in STREAMS if name != "step"]
    assert len(numbers) == 3 + len(STREAMS) - 1
    stacked = np.concatenate(numbers)
    correlation = np.corrcoef(stacked) - np.eye(len(stacked))
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)
    for row in stacked:
        assert stats.kstest(row, "norm").pvalue > 1e-5


def test_sharded_over_devices():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    indices = jax.device_put(jnp.arange(16), sharding)

    @jax.jit
    def drawn(indices):
        return noise.normal(noise.stream(noise.example_keys(KEY, indices), "step"), 2, (5,))

    sharded = drawn(indices)
    assert len(sharded.sharding.device_set) == jax.device_count()
    np.testing.assert_array_equal(sharded, draws(np.arange(16), 2))


def test_rademacher_probes():
    probes = np.asarray(Hutchinson.draw(KEY, (64, 3, 5), num_probes=4).vectors)
    assert probes.shape == (4, 64, 3, 5)
    assert set(np.unique(probes)) == {-1.0, 1.0}
    flat = probes.reshape(4 * 64, 15)
    # Identity second moments, E[z zᵀ] = I, and mean 0, to five standard errors 1/√256.
    assert np.abs(flat.mean(0)).max() < 5 / 16
    assert np.abs(flat.T @ flat / 256 - np.eye(15)).max() < 5 / 16
    assert len(np.unique(flat, axis=0)) > 250
    some = Hutchinson.draw(KEY, (2, 3, 5), num_probes=4, indices=jnp.array([9, 60]))
    np.testing.assert_array_equal(some.vectors, probes[:, [9, 60]])


def test_spherical_interpolation():
    """From end to end at a constant angle, on the sphere that both ends are on."""
    rng = np.random.default_rng(0)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 4, 5)))
    spherical = jax.jit(noise.spherical, static_argnums=2)
    between = np.asarray(spherical(jnp.asarray(a), jnp.asarray(b), 7))
    assert_allclose(between[:, 0], a, atol=1e-6)
    assert_allclose(between[:, -1], b, atol=1e-6)
    assert_allclose(np.linalg.norm(between, axis=-1), 1, atol=1e-6)
    cosines = np.sum(between[:, 1:] * between[:, :-1], axis=-1)
    assert_allclose(cosines, cosines[:, :1] * np.ones((1, 6)), atol=1e-6)
    same = spherical(jnp.asarray(a), jnp.asarray(a), 7)
    assert_allclose(same, np.repeat(a[:, None], 7, axis=1), atol=1e-6)
