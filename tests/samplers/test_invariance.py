"""What a sample must not depend on: its batch, the devices, how the loop is written."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from samplers import GridSampler, Langevin, ReverseDiffusion, Steps, grids, noise
from sde_lib import VP, GaussianMixture

SDE = VP()
DATA = GaussianMixture(
    weights=jnp.array([0.3, 0.7]),
    means=jnp.array([[-1.0, 0.0, 0.5], [1.0, 0.5, 0.0]]),
    stds=jnp.array([0.2, 0.3]),
)
SAMPLER = GridSampler(
    solver=ReverseDiffusion(), corrector=Langevin(), grid=grids["uniform"](SDE, 10, 1e-3)
)
# Ten steps of float32 arithmetic in another order.
ROUNDING = 2e-5


def draw(batch: int, **options):
    return SAMPLER.draw(jax.random.key(0), SDE, DATA.model(SDE), (batch, 3), **options).x


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_size(batch):
    np.testing.assert_allclose(draw(batch), draw(64)[:batch], atol=ROUNDING)


def test_noise_is_bitwise_the_same_in_any_batch():
    keys = noise.example_keys(jax.random.key(3), jnp.arange(64))
    whole = noise.normal(keys, 5, (3,))
    np.testing.assert_array_equal(noise.normal(keys[7:8], 5, (3,)), whole[7:8])
    assert not np.array_equal(noise.normal(keys, 6, (3,)), whole)
    assert len(np.unique(np.asarray(whole))) == whole.size


def test_indices_name_the_examples():
    np.testing.assert_allclose(draw(4, indices=jnp.arange(60, 64)), draw(64)[60:], atol=ROUNDING)


def test_devices():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), (AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    indices = jax.device_put(jnp.arange(64), sharding)
    keys = jax.jit(noise.example_keys)(jax.random.key(0), indices)
    shared = jax.jit(lambda keys: noise.normal(keys, 0, (3,)))(keys)
    alone = noise.normal(noise.example_keys(jax.random.key(0), jnp.arange(64)), 0, (3,))
    np.testing.assert_array_equal(shared, alone)
    samples = draw(64, indices=indices)
    assert len(samples.sharding.device_set) == jax.device_count()
    np.testing.assert_allclose(samples, draw(64), atol=ROUNDING)


def test_scan_or_python_loop():
    keys = noise.stream(noise.example_keys(jax.random.key(0), jnp.arange(7)), "step")
    fresh = partial(noise.normal, keys, shape=(3,))
    x = noise.latents(jax.random.key(0), jnp.arange(7), (3,))
    model = DATA.model(SDE)
    looped = x
    solver, corrector, grid = SAMPLER.solver, SAMPLER.corrector, SAMPLER.grid
    steps = Steps.of_grid(grid)
    linear, scales = solver.plan(SDE, steps).coefficients, corrector.plan(SDE, steps)
    for i in range(10):
        at = jax.tree.map(lambda leaf, i=i: leaf[i], scales)
        looped, _ = corrector.update(partial(fresh, 2 * i), model(looped, grid[i]), looped, at)
        at = jax.tree.map(lambda leaf, i=i: leaf[i, 0], linear)
        draws, predicted = partial(fresh, 2 * i + 1), model(looped, grid[i])
        update = solver.update(draws, predicted, looped, at, solver.init(looped))
        looped = update.x
    scanned = jax.jit(
        lambda x: SAMPLER.integrate(lambda stream, number: fresh(number), SDE, model, x).x
    )(x)
    np.testing.assert_allclose(scanned, update.mean, atol=ROUNDING)
    np.testing.assert_allclose(scanned, draw(7), atol=ROUNDING)
