"""Dequantization against discrete probabilities that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtr
from scipy.stats import kstest, truncnorm

from experiments.data import ContinuousCodec, PixelCodec
from experiments.data.dequantization import dequantizations, noise_to_signal_min
from samplers import noise
from sde_lib import VP
from tests.cases import every_sde, float32_tolerance, line_mixture

NUM = 20_000


def probability(oracle, sde, t, low, high):
    """P(low ≤ x_t < high) of a mixture on a line."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    deviations = np.sqrt(alpha**2 * np.asarray(oracle.stds) ** 2 + sigma**2)
    ends = [(x - alpha * np.asarray(oracle.means[:, 0])) / deviations for x in (low, high)]
    return float((ndtr(ends[1]) - ndtr(ends[0])) @ np.asarray(oracle.weights))


@every_sde
@pytest.mark.parametrize("codec", [PixelCodec(17), PixelCodec(256, False), PixelCodec(2)])
@pytest.mark.parametrize("name", list(dequantizations))
def test_the_bound_and_its_importance_weights(name, codec, sde):
    """E_q[p/q] is the probability of the level, and E_q[log p/q] is below its logarithm."""
    oracle = line_mixture()
    t_min = float(sde.time_of_noise_to_signal(noise_to_signal_min(name, codec)))
    for level in (0, codec.levels // 2, codec.levels - 1):
        values = np.full((NUM, 1), level, np.uint8)
        keys = noise.example_keys(jax.random.key(level), jnp.arange(NUM))
        draw = dequantizations[name](keys, values, codec, sde, t_min)
        low = (-1.0 if codec.centered else 0.0) + level * codec.bin_width
        scale = float(sde.alpha(t_min)) if name == "truncated_normal" else 1.0
        low, high = scale * low, scale * (low + codec.bin_width)
        assert draw.x.min() >= low - 1e-6
        assert draw.x.max() <= high + 1e-6

        log_ratio = np.asarray(oracle.log_prob(sde, draw.x, t_min) - draw.log_q, np.float64)
        ratio = np.exp(log_ratio)
        true = probability(oracle, sde, t_min, low, high)
        # Five standard errors of the mean, and float32, which places x to 2⁻¹⁶ of a bin.
        assert_allclose(ratio.mean(), true, atol=5 * ratio.std() / np.sqrt(NUM) + 3e-5 * true)
        assert log_ratio.mean() < np.log(true) + 5 * log_ratio.std() / np.sqrt(NUM) + 1e-5
        entropy = -np.asarray(draw.log_q, np.float64)
        assert_allclose(entropy.mean(), draw.entropy, atol=5 * entropy.std() / np.sqrt(NUM) + 1e-5)


def test_the_truncated_normal_is_scipys():
    """At τ = 1, where its ends count: the law of its draws, their densities and their entropy."""
    sde, codec = VP(), PixelCodec(2)
    t = float(sde.time_of_noise_to_signal(codec.bin_width / 2))
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    keys = noise.example_keys(jax.random.key(2), jnp.arange(4000))
    draw = dequantizations["truncated_normal"](keys, np.zeros((4000, 1), int), codec, sde, t)
    law = truncnorm(-1, 1, loc=-0.5 * alpha, scale=sigma)
    x = np.asarray(draw.x, np.float64)[:, 0]
    # Within the ends, which float32 rounds.
    assert kstest(x, law.cdf).pvalue > 1e-3
    inside = np.clip(x, *law.support())
    assert_allclose(draw.log_q, law.logpdf(inside), atol=float32_tolerance([2.0]))
    assert_allclose(draw.entropy, law.entropy(), atol=float32_tolerance([2.0]))


def test_more_samples_are_a_tighter_bound():
    """−log of the mean of K ratios falls with K towards −log P."""
    (sde,) = (case for case in every_sde.args[1] if type(case).__name__ == "VP")
    oracle, codec = line_mixture(), PixelCodec(2)
    t_min = float(sde.time_of_noise_to_signal(1e-3))
    keys = noise.example_keys(jax.random.key(1), jnp.arange(NUM))
    draw = dequantizations["uniform"](keys, np.zeros((NUM, 1), np.uint8), codec, sde, t_min)
    ratio = np.exp(np.asarray(oracle.log_prob(sde, draw.x, t_min) - draw.log_q))
    bounds = [np.log(ratio.reshape(-1, k).mean(axis=1)).mean() for k in (1, 4, 16)]
    true = np.log(probability(oracle, sde, t_min, -1.0, 0.0))
    assert bounds[0] < bounds[1] - 0.02 < bounds[2] - 0.02
    assert_allclose(bounds[2], true, atol=0.03)


def test_tau_is_three():
    """σ/α at t_min is Δ/6, so that the bin ends three deviations from its centre."""
    assert noise_to_signal_min("truncated_normal", PixelCodec(256)) == pytest.approx(2 / 256 / 6)
    assert noise_to_signal_min("uniform", PixelCodec(256)) == 1e-3
    assert noise_to_signal_min("truncated_normal", ContinuousCodec()) == 1e-3
