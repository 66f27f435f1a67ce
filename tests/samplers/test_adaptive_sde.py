"""Adaptive steps of the reverse-time SDE: its Brownian path, its law, and its bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import brownian, noise, sample_adaptively
from sde_lib import VE, VP, Gaussian, sdes
from tests.cases import mixture

KEY = jax.random.key(0)
NUM = 1500


def test_brownian_path():
    """Mean 0 and covariance min(ς, ς') − ς_0, also across its nodes; the same at every query."""

    def clock(at):
        return jnp.exp(at / brownian.SIZE * 3.0) - 1

    keys = noise.example_keys(KEY, jnp.arange(20_000))
    points = [1, 5000, 8192, 8193, 16_383, 16_384]
    drawn = np.stack([brownian.path(keys, clock, jnp.full(20_000, p), (1,))[:, 0] for p in points])
    levels = np.asarray(clock(jnp.array(points)))
    expected = np.minimum(levels[:, None], levels)
    # Four standard errors of a covariance: √((a b + c²)/N).
    spread = np.sqrt((levels[:, None] * levels + expected**2) / 20_000)
    assert np.all(np.abs(drawn @ drawn.T / 20_000 - expected) < 4 * spread)
    assert np.all(np.abs(drawn.mean(1)) < 4 * np.sqrt(levels / 20_000))
    assert np.all(brownian.path(keys[:2], clock, jnp.zeros(2, int), (1,)) == 0)


def draw(sde, oracle, shape, **options):
    return sample_adaptively(
        KEY, sde, oracle.model(sde), shape, t_min=sde.time_of_noise_to_signal(1e-2), **options
    )


@pytest.mark.parametrize("name", ["vp", "ve", "flow"])
def test_law(name):
    """Mean and covariance of correlated Gaussian data, within four standard errors."""
    sde = sdes[name]()
    oracle = Gaussian(
        mean=jnp.array([0.7, -0.4]),
        eigenvectors=jnp.array([[0.8, -0.6], [0.6, 0.8]]),
        eigenvalues=jnp.array([0.5, 0.04]),
    )
    result = draw(sde, oracle, (NUM, 2), denoise=False, rtol=2e-3, atol=2e-3)
    x = np.asarray(result.x) / float(sde.alpha(sde.time_of_noise_to_signal(1e-2)))
    covariance = oracle.eigenvectors * oracle.eigenvalues @ oracle.eigenvectors.T
    deviations = np.sqrt(np.diag(covariance))
    assert result.finished.all()
    assert_allclose(x.mean(0), oracle.mean, atol=4 * deviations.max() / np.sqrt(NUM))
    # A variance of v is known to v √(2/N); the tolerance leaves a hundredth of the deviations.
    assert_allclose(np.cov(x.T), covariance, atol=0.35 * (4 * np.sqrt(2 / NUM) + 0.02))


def test_the_path_does_not_depend_on_the_steps():
    """Finer tolerances converge to one solution for the same key, at more evaluations."""
    sde, oracle = VP(), mixture()
    results = [draw(sde, oracle, (64, 2), rtol=tol, atol=tol) for tol in (3e-2, 1e-2, 3e-3, 1e-3)]
    off = [np.sqrt(np.mean((r.x - results[-1].x) ** 2)) for r in results[:-1]]
    calls = [float(r.evaluations.mean()) for r in results]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.05
    assert np.all(np.diff(calls) > 0)


def test_an_example_does_not_depend_on_the_others():
    sde, oracle = VE(), mixture()
    together, alone = (draw(sde, oracle, (num, 2), rtol=0.05, atol=0.05) for num in (16, 3))
    assert_allclose(alone.x, together.x[:3], atol=1e-4)
    assert alone.evaluations.tolist() == together.evaluations[:3].tolist()


def test_what_does_not_arrive_is_returned_and_flagged():
    result = draw(VP(), mixture(), (4, 2), max_evaluations=5)
    assert not result.finished.any()
    assert np.isfinite(result.x).all()
    assert result.evaluations.tolist() == [5] * 4
