"""Loss weights by bins of time: what they make of losses that differ between bins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sde_lib import adaptive_weighting
from sde_lib.adaptive_weighting import init, weights

BINS = 8
CENTERS = (np.arange(BINS, dtype=np.float32) + 0.5) / BINS
MEANS = 10.0 ** np.linspace(-3, 1, BINS)

update = jax.jit(adaptive_weighting.update)


def batch(rng, size=64):
    """u, and losses of mean MEANS in each bin, exponentially distributed."""
    u = rng.uniform(size=size)
    losses = MEANS[(u * BINS).astype(int)] * rng.exponential(size=size)
    return jnp.asarray(u, jnp.float32), jnp.asarray(losses, jnp.float32)


def after(batches, seed=0):
    rng, state = np.random.default_rng(seed), init(BINS)
    for _ in range(batches):
        state = update(state, *batch(rng))
    return state


def test_the_weighted_loss_is_the_same_in_every_bin():
    """Of losses over four decades.

    A mean discounted by 0.99 a batch is one over (1 + d)/(1 − d) = 199 batches of 8 examples, each
    with a relative spread of 1: it is 2.5 % off; five times that is allowed.
    """
    weighted = weights(after(400), CENTERS) * MEANS
    assert_allclose(weighted, np.mean(weighted), rtol=5 * 0.025)


def test_the_loss_keeps_its_size():
    state = after(20)
    weighted = jnp.mean(weights(state, CENTERS) * state.means)
    assert_allclose(weighted, jnp.mean(state.means), rtol=1e-6)


def test_means_are_those_of_the_discounted_losses():
    """Σ d^age ℓ / Σ d^age over all examples of a bin, by a loop: unbiased from the start."""
    rng, state = np.random.default_rng(3), init(BINS)
    seen = [batch(rng, size=20) for _ in range(7)]
    for u, losses in seen:
        state = update(state, u, losses, 0.9)
    for b in range(BINS):
        discount, total = 0.0, 0.0
        for age, (u, losses) in enumerate(reversed(seen)):
            for one, loss in zip(u, losses, strict=True):
                if int(one * BINS) == b:
                    discount, total = discount + 0.9**age, total + 0.9**age * float(loss)
        assert_allclose(state.means[b], total / discount, rtol=1e-5)
        assert_allclose(state.counts[b], discount, rtol=1e-5)


def test_bins_not_seen_weigh_one():
    """And nothing is infinite; the seen ones have the mean of their losses."""
    assert_array_equal(weights(init(BINS), CENTERS), 1)
    state = update(init(BINS), jnp.array([0.1, 0.2]), jnp.array([1.0, 3.0]))
    assert_allclose(weights(state, CENTERS), [2, 2 / 3, 1, 1, 1, 1, 1, 1], rtol=1e-6)
    assert_array_equal(state.means[2:], 0)


def test_an_empty_bin_keeps_its_mean():
    """Also for so long that its count is rounded to 0, when it weighs 1 again."""
    state = after(3)

    @jax.jit
    def first_bin_only(state, batches):
        def one(_, state):
            return adaptive_weighting.update(state, jnp.zeros(1), jnp.ones(1))

        return jax.lax.fori_loop(0, batches, one, state)

    for batches in (1, 20_000):
        later = first_bin_only(state, batches)
        assert_array_equal(later.means[1:], state.means[1:])
        assert np.all(np.isfinite(weights(later, CENTERS)))
    assert_array_equal(weights(later, CENTERS), 1)


@pytest.mark.parametrize("scale", [np.zeros(BINS), MEANS * (CENTERS > 0.5)])
def test_losses_of_zero(scale):
    """Bounded weights, whether some losses are 0 or all."""
    found = weights(update(init(BINS), CENTERS, jnp.asarray(scale, jnp.float32)), CENTERS)
    assert np.all(found <= adaptive_weighting.MAX_WEIGHT * (1 + 1e-6))
    if not scale.any():
        assert_array_equal(found, 1)


def test_u_at_the_ends():
    state = update(init(4), jnp.array([0.0, 1.0]), jnp.array([1.0, 2.0]))
    assert_array_equal(state.means, [1, 0, 0, 2])


def test_the_same_on_every_run():
    assert_array_equal(after(30).means, after(30).means)


def test_no_gradient_passes():
    def through(losses):
        return jnp.sum(weights(adaptive_weighting.update(init(BINS), CENTERS, losses), CENTERS))

    assert_array_equal(jax.grad(through)(jnp.asarray(MEANS, jnp.float32)), 0)
