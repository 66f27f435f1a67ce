"""What a step draws: times, noise, flips, dequantization and conditions that are dropped."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from experiments.data import Batch, ContinuousCodec, PixelCodec
from experiments.training.draws import to_model_units
from experiments.training.step import make_gradient
from sde_lib import VP, Condition, time_samplers
from tests.experiments.training.line import denoising, experiment


@pytest.mark.parametrize("low_discrepancy", [True, False])
@pytest.mark.parametrize("times", list(time_samplers))
def test_times_and_importance_are_of_the_drawn_u(times, low_discrepancy):
    config = experiment(times=times, low_discrepancy=low_discrepancy)
    drawn = denoising(config).draw(jax.random.key(3), Batch(jnp.zeros((64, 1))))
    t, importance = time_samplers[times](VP(), drawn.u, 0.01)
    assert_array_equal(drawn.t, t)
    assert_array_equal(drawn.importance, importance)
    spread = np.sort(np.floor(np.asarray(drawn.u) * 64 + 1e-4) % 64)
    assert np.array_equal(spread, np.arange(64)) == low_discrepancy


def test_all_that_is_drawn_is_independent():
    """Times, noise, dequantization and flips over 900 keys: correlations below 5/√900.

    One that is not, with one key for two of them, is above 0.9 after the ranks are taken.
    """
    config = experiment(data={"flip": True, "dequantization": True}, low_discrepancy=False)
    draw = denoising(config, levels=256).draw
    values = jnp.zeros((2, 1, 2, 1), jnp.uint8).at[:, :, 1].set(128)

    @jax.jit
    @jax.vmap
    def numbers(key):
        drawn = draw(key, Batch(values))
        flipped = (drawn.data[:, 0, 0, 0] > drawn.data[:, 0, 1, 0]).astype(float)
        place = (drawn.data + 1) * 128 % 1
        return jnp.concatenate([drawn.u, drawn.noise.ravel(), place.ravel(), flipped])

    drawn = np.asarray(numbers(jax.random.split(jax.random.key(5), 900)))
    found = stats.spearmanr(drawn).statistic - np.eye(drawn.shape[1])
    assert np.abs(found).max() < 5 / np.sqrt(900)


@pytest.mark.parametrize("codec", [PixelCodec(64), ContinuousCodec()], ids=["grey", "continuous"])
def test_flips_are_left_to_right_and_of_each_image_alone(codec):
    image = np.arange(6, dtype=codec.dtype).reshape(1, 2, 3, 1)
    values = np.repeat(image, 200, axis=0)
    units = [
        np.asarray(to_model_units(experiment(data={"flip": f}), codec, jax.random.key(0), values))
        for f in (False, True)
    ]
    mirrored = np.all(units[1] == units[0][:, :, ::-1], axis=(1, 2, 3))
    assert_array_equal(units[1][~mirrored], units[0][~mirrored])
    # Half of 200, within 5 √(200/4).
    assert 65 < mirrored.sum() < 135


def test_dequantization_fills_the_bins_in_training():
    """By a Kolmogorov–Smirnov test at 1e-4; without it the centre of each bin."""
    values = jnp.asarray(np.random.default_rng(0).integers(0, 16, (1000, 1)), jnp.uint8)
    for asked in (True, False):
        config = experiment(data={"dequantization": asked})
        drawn = jax.jit(denoising(config, levels=16).draw)(jax.random.key(1), Batch(values))
        place = np.asarray((drawn.data + 1) * 8 - values).ravel()
        if asked:
            assert stats.kstest(place, "uniform").pvalue > 1e-4
        else:
            assert_allclose(place, 0.5, atol=1e-5)


class Given(nn.Module):
    """The label over 10, or 7 where it is not kept, whatever x is."""

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The network's output."""
        kept = cond.label / 10 if cond.keep is None else jnp.where(cond.keep, cond.label / 10, 7.0)
        return self.param("a", nn.initializers.ones, ()) * jnp.broadcast_to(kept[:, None], x.shape)


def test_a_condition_stays_with_its_example_and_some_lose_theirs():
    """Through parts of a batch, too; a tenth of 2000 within 5 √(2000 · 0.09), anew each step."""
    labels = jnp.arange(2000, dtype=jnp.int32) % 10
    config = experiment(parameterization="noise", weighting="sigma2", cond_dropout=0.1)
    objective = denoising(config, network=Given())
    batch = Batch(jnp.zeros((2000, 1)), Condition(label=labels))
    drawn, other = (objective.draw(jax.random.key(k), batch) for k in (0, 1))
    assert_array_equal(drawn.cond.label, labels)
    assert 200 - 67 < np.sum(~drawn.cond.keep) < 200 + 67
    assert np.any(drawn.cond.keep != other.cond.keep)
    want = (jnp.where(drawn.cond.keep, labels / 10, 7.0) - drawn.noise[:, 0]) ** 2
    got = make_gradient(objective, 4)({"a": 1.0}, drawn, jnp.ones(2000), jax.random.key(0))[1]
    assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    without = denoising(experiment(cond_dropout=0.0)).draw(jax.random.key(0), batch)
    assert without.cond.keep is None
    # What else is drawn does not depend on there being a condition.
    plain = objective.draw(jax.random.key(0), Batch(batch.values))
    assert plain.cond is None
    jax.tree.map(assert_array_equal, plain[:-1], drawn[:-1])
