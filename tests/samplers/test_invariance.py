"""What a sample must not depend on, and what must not compile again."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from samplers import Langevin, ReverseDiffusion, decode, grids, integrate, log_prob, noise, sample
from sde_lib import VP, GaussianMixture, from_score

SDE = VP()
DATA = GaussianMixture(
    weights=jnp.array([0.3, 0.7]),
    means=jnp.array([[-1.0, 0.0, 0.5], [1.0, 0.5, 0.0]]),
    stds=jnp.array([0.2, 0.3]),
)
SETTING = {
    "solver": ReverseDiffusion(),
    "corrector": Langevin(),
    "grid": grids["uniform"](SDE, 10, 1e-3),
}
# Ten steps of float32 arithmetic in another order.
ROUNDING = 2e-5


def draw(batch: int, **options):
    return sample(jax.random.key(0), SDE, DATA.model(SDE), (batch, 3), **SETTING, **options)


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
    mesh = jax.make_mesh((8,), ("data",), (AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    indices = jax.device_put(jnp.arange(64), sharding)
    keys = jax.jit(noise.example_keys)(jax.random.key(0), indices)
    shared = jax.jit(lambda keys: noise.normal(keys, 0, (3,)))(keys)
    alone = noise.normal(noise.example_keys(jax.random.key(0), jnp.arange(64)), 0, (3,))
    np.testing.assert_array_equal(shared, alone)
    samples = draw(64, indices=indices)
    assert len(samples.sharding.device_set) == 8
    np.testing.assert_allclose(samples, draw(64), atol=ROUNDING)


def test_scan_or_python_loop():
    keys = noise.example_keys(jax.random.key(0), jnp.arange(5))
    fresh = partial(noise.normal, keys, shape=(3,))
    x = fresh(noise.LATENT)
    model = DATA.model(SDE)
    looped = x
    solver, corrector, grid = SETTING["solver"], SETTING["corrector"], SETTING["grid"]
    linear, scales = solver.plan(SDE, grid).coefficients, corrector.plan(SDE, grid)
    for i in range(10):
        at = jax.tree.map(lambda leaf, i=i: leaf[i], scales)
        looped, _ = corrector.update(partial(fresh, 2 * i), model(looped, grid[i]), looped, at)
        at = jax.tree.map(lambda leaf, i=i: leaf[i, 0], linear)
        update = solver.update(partial(fresh, 2 * i + 1), model(looped, grid[i]), looped, at, None)
        looped = update.x
    scanned = integrate(fresh, SDE, model, x, **SETTING)
    np.testing.assert_allclose(scanned, update.mean, atol=ROUNDING)
    np.testing.assert_allclose(scanned, draw(5), atol=ROUNDING)


def test_numbers_are_traced_and_the_network_stands_in_the_program_once():
    traces = []

    def score(scale, x, t):
        traces.append(1)
        return -scale * x

    def run(scale, sde, snr, t_min):
        model = from_score(sde, jax.tree_util.Partial(score, scale))
        setting = {
            "solver": ReverseDiffusion(),
            "corrector": Langevin(snr=snr),
            "grid": jnp.linspace(1.0, t_min, 6),
            "denoise": True,
        }
        sampled = sample(jax.random.key(0), sde, model, (2, 3), **setting)
        flow = decode(sde, model, sampled, t_min=t_min, rtol=1e-2, atol=1e-2)
        density = log_prob(sde, model, sampled, t_min=t_min, rtol=1e-2, atol=1e-2)
        return sampled, flow.x, density.log_prob

    first = run(jnp.array(1.0), VP(), 0.16, 1e-3)
    count = len(traces)
    second = run(jnp.array(0.5), VP(beta_max=10.0), 0.1, 1e-2)
    assert len(traces) == count
    assert all(not np.allclose(a, b) for a, b in zip(first, second, strict=True))


def test_one_copy_of_the_network():
    def score(x, t):
        return -jax.lax.erf(x)

    model = from_score(SDE, score)
    run = partial(sample, shape=(2, 3), denoise=True, **SETTING)
    program = str(jax.make_jaxpr(lambda key: run(key, SDE, model))(jax.random.key(0)))
    # jax.random.normal uses erf_inv; erf alone marks the network.
    assert program.replace("erf_inv", "").count("erf") == 1
    flow = str(jax.make_jaxpr(lambda z: decode(SDE, model, z, t_min=1e-3))(jnp.ones((2, 3))))
    assert flow.count("erf") == 1


@pytest.mark.parametrize(("denoise", "extra"), [(False, 0), (True, 1)])
def test_evaluations(denoise, extra):
    calls = []

    def score(x, t):
        jax.debug.callback(lambda t: calls.append(float(t)), t)
        return -x

    sample(jax.random.key(0), SDE, from_score(SDE, score), (2, 3), denoise=denoise, **SETTING)
    jax.effects_barrier()
    grid = np.asarray(SETTING["grid"])
    assert sorted(calls, reverse=True) == pytest.approx(
        [*np.repeat(grid[:-1], 2), *grid[-1:]][: 20 + extra]
    )


def test_progress_changes_nothing(capfd):
    np.testing.assert_array_equal(draw(5, progress=True), draw(5))
    jax.effects_barrier()
    assert "20/20" in capfd.readouterr().err


def test_nothing_to_do_is_an_error():
    from samplers import NoPredictor

    with pytest.raises(ValueError, match="neither a solver nor a corrector"):
        sample(
            jax.random.key(0),
            SDE,
            DATA.model(SDE),
            (1, 3),
            solver=NoPredictor(),
            grid=SETTING["grid"],
        )
