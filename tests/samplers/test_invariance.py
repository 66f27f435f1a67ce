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


def draw(indices):
    """A program for each size of a batch, whoever is in it."""
    shape = (len(indices), 3)
    return SAMPLER.draw(jax.random.key(0), SDE, DATA.model(SDE), shape, indices=indices).x


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_size(batch):
    np.testing.assert_allclose(draw(jnp.arange(batch)), draw(jnp.arange(64))[:batch], atol=ROUNDING)


def test_noise_is_bitwise_the_same_in_any_batch():
    keys = noise.example_keys(jax.random.key(3), jnp.arange(64))
    whole = noise.normal(keys, 5, (3,))
    np.testing.assert_array_equal(noise.normal(keys[7:8], 5, (3,)), whole[7:8])
    assert not np.array_equal(noise.normal(keys, 6, (3,)), whole)
    assert len(np.unique(np.asarray(whole))) == whole.size


def test_indices_name_the_examples():
    some, whole = draw(jnp.arange(57, 64)), draw(jnp.arange(64))
    np.testing.assert_allclose(some, whole[57:], atol=ROUNDING)


def test_devices():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), (AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    indices = jax.device_put(jnp.arange(64), sharding)
    keys = jax.jit(noise.example_keys)(jax.random.key(0), indices)
    shared = jax.jit(lambda keys: noise.normal(keys, 0, (3,)))(keys)
    alone = noise.normal(noise.example_keys(jax.random.key(0), jnp.arange(64)), 0, (3,))
    np.testing.assert_array_equal(shared, alone)
    samples = draw(indices)
    assert len(samples.sharding.device_set) == jax.device_count()
    np.testing.assert_allclose(samples, draw(jnp.arange(64)), atol=ROUNDING)


def test_scan_or_python_loop():
    """The program of a batch of 7, and its steps one by one."""
    keys = noise.stream(noise.example_keys(jax.random.key(0), jnp.arange(7)), "step")
    fresh = partial(noise.normal, keys, shape=(3,))
    model, solver, corrector = DATA.model(SDE), SAMPLER.solver, SAMPLER.corrector
    steps = Steps.of_grid(SAMPLER.grid)
    plans = jax.jit(lambda: (corrector.plan(SDE, steps), solver.plan(SDE, steps).coefficients))()

    @jax.jit
    def step(i, t, plans, x):
        scales, linear = jax.tree.map(lambda leaf: leaf[i], plans)
        x, _ = corrector.update(partial(fresh, 2 * i), model(x, t), x, scales)
        linear = jax.tree.map(lambda leaf: leaf[0], linear)
        draws, predicted = partial(fresh, 2 * i + 1), model(x, t)
        return solver.update(draws, predicted, x, linear, solver.init(x))

    x = noise.latents(jax.random.key(0), jnp.arange(7), (3,))
    for i in range(10):
        update = step(i, SAMPLER.grid[i], plans, x)
        x = update.x
    np.testing.assert_allclose(draw(jnp.arange(7)), update.mean, atol=ROUNDING)
