"""Adaptive steps of the reverse-time SDE: its Brownian path, its law, and its bounds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import AdaptiveSDESampler, brownian, noise
from sde_lib import VE, VP, Gaussian, Prediction, sdes
from tests.cases import mixture

KEY = jax.random.key(0)
NUM = 1500


def test_brownian_path():
    """Mean 0 and covariance min(ς, ς') − ς_0, also across its nodes; the same at every query."""

    def clock(at):
        return jnp.exp(at / brownian.SIZE * 3.0) - 1

    @jax.jit
    def drawn_at(point):
        keys = noise.example_keys(KEY, jnp.arange(20_000))
        return brownian.path(keys, clock, jnp.full(20_000, point), (1,))[:, 0]

    points = [1, 5000, 8192, 8193, 16_383, 16_384]
    drawn = np.stack([drawn_at(point) for point in points])
    levels = np.exp(np.array(points) / brownian.SIZE * 3.0) - 1
    expected = np.minimum(levels[:, None], levels)
    # Four standard errors of a covariance: √((a b + c²)/N).
    spread = np.sqrt((levels[:, None] * levels + expected**2) / 20_000)
    assert np.all(np.abs(drawn @ drawn.T / 20_000 - expected) < 4 * spread)
    assert np.all(np.abs(drawn.mean(1)) < 4 * np.sqrt(levels / 20_000))
    assert np.all(drawn_at(0) == 0)


def draw(sde, oracle, shape, **options):
    sampler = AdaptiveSDESampler(t_min=sde.time_of_noise_to_signal(1e-2), **options)
    return sampler.draw(KEY, sde, oracle.model(sde), shape)


# Thousands of examples: a program that is compiled well takes less time in all.
@partial(jax.jit, static_argnames="shape", compiler_options={"xla_backend_optimization_level": 2})
def _draw_many(sampler, sde, model, shape):
    return sampler.draw(KEY, sde, model, shape)


def draw_many(sde, oracle, shape, **options):
    """x of a sampler without denoising, and whether all have arrived."""
    t_min = float(sde.time_of_noise_to_signal(1e-2))
    sampler = AdaptiveSDESampler(t_min=t_min, denoise=False, **options)
    result = _draw_many(sampler, sde, oracle.model(sde), shape)
    assert result.finished.all()
    return np.asarray(result.x)


@pytest.mark.parametrize("name", ["ve", "flow"])
def test_law(name):
    """Mean and covariance of correlated Gaussian data, within four standard errors."""
    sde = sdes[name]()
    oracle = Gaussian(
        mean=jnp.array([0.7, -0.4]),
        eigenvectors=jnp.array([[0.8, -0.6], [0.6, 0.8]]),
        eigenvalues=jnp.array([0.5, 0.04]),
    )
    x = draw_many(sde, oracle, (NUM, 2), rtol=5e-3, atol=5e-3)
    x = x / float(sde.alpha(sde.time_of_noise_to_signal(1e-2)))
    axes = np.asarray(oracle.eigenvectors)
    covariance = axes * np.asarray(oracle.eigenvalues) @ axes.T
    deviations = np.sqrt(np.diag(covariance))
    assert_allclose(x.mean(0), oracle.mean, atol=4 * deviations.max() / np.sqrt(NUM))
    # A variance of v is known to v √(2/N); the tolerance leaves a hundredth of the deviations.
    assert_allclose(np.cov(x.T), covariance, atol=0.35 * (4 * np.sqrt(2 / NUM) + 0.02))


def test_the_path_does_not_depend_on_the_steps():
    """Finer tolerances converge to one solution for the same key, at more evaluations.

    By the median: a few paths that pass between the components end in another at coarse tolerances.
    """
    sde, oracle = VP(), mixture()
    results = [draw(sde, oracle, (64, 2), rtol=tol, atol=tol) for tol in (3e-2, 1e-2, 3e-3, 1e-3)]
    finest = results[-1].x
    off = [np.median(np.linalg.norm(r.x - finest, axis=1)) for r in results[:-1]]
    calls = [float(r.evaluations.mean()) for r in results]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.02
    assert np.all(np.diff(calls) > 0)


@pytest.mark.usefixtures("float64")
def test_an_example_does_not_depend_on_the_others():
    """In float64: in float32 a rounding may decide whether a step is taken."""
    sde, oracle = VE(), mixture()
    together, alone = (draw(sde, oracle, (num, 2), rtol=0.05, atol=0.05) for num in (16, 3))
    assert_allclose(alone.x, together.x[:3], atol=1e-4)
    assert alone.evaluations.tolist() == together.evaluations[:3].tolist()


def test_what_does_not_arrive_is_returned_and_flagged():
    result = draw(VP(), mixture(), (4, 2), max_evaluations=5)
    assert not result.finished.any()
    assert np.isfinite(result.x).all()
    assert result.evaluations.tolist() == [5] * 4


def test_without_noise_it_is_an_integral(monkeypatch):
    """D = cos log ς alone: U' − U = [ς (cos log ς + sin log ς)/2], in few evaluations.

    A step errs by at most 1e-3, with signs that add up to as much. Without the correction the lines
    are extrapolated, which errs by 5/2 times as much and to the other side; without the trend the
    estimated error is of the first order, which takes 270 evaluations.
    """
    monkeypatch.setattr(brownian, "path", lambda keys, clock, at, shape: jnp.zeros((3, *shape)))
    sde, std = VP(), 0.5

    def predict(x, t, cond):
        return Prediction(jnp.broadcast_to(jnp.cos(sde.log_snr(t))[:, None], x.shape), x)

    t_max, t_min = (float(sde.time_of_noise_to_signal(n)) for n in (20.0, 0.05))
    z = jnp.array([[1.0], [-2.0], [0.3]])
    options = {"rtol": 1e-3, "atol": 1e-3, "data_std": std, "denoise": False}
    sampler = AdaptiveSDESampler(t_min=t_min, t_max=t_max, **options)
    result = sampler.draw(KEY, sde, jax.tree_util.Partial(predict), (3, 1), latents=z)

    def u(x, t):
        return sde.alpha(t) * x / sde.sigma(t) ** 2

    def integral(t):
        level = sde.log_snr(t)
        return jnp.exp(level) * (jnp.cos(level) + jnp.sin(level)) / 2

    # It starts with the law of data of that deviation, wherever it starts.
    start = z * np.hypot(std * sde.alpha(t_max), sde.sigma(t_max))
    expected = u(start, t_max) + integral(t_min) - integral(t_max)
    assert_allclose(u(result.x, t_min), expected, rtol=1.5e-3)
    assert result.evaluations.max() < 150


@pytest.mark.parametrize("name", ["flow", "ve"])
def test_any_tolerance_keeps_the_law_in_one_dimension(name):
    """The variance to 3 %, as the longest step leaves it, and four standard errors, 2.2 % each.

    Steps that E alone chooses grow without bound before there is a signal, or by chance.
    """
    sde, oracle = sdes[name](), Gaussian.isotropic(1, 0.5)
    x = draw_many(sde, oracle, (4000, 1), rtol=0.1, atol=0.1)
    t_min = sde.time_of_noise_to_signal(1e-2)
    variance = sde.alpha(t_min) ** 2 / 4 + sde.sigma(t_min) ** 2
    assert_allclose(x.var(), variance, rtol=0.03 + 4 * np.sqrt(2 / 4000))


def test_it_may_start_late():
    """From the law at t_max, where the noise is a tenth of the data's deviation."""
    sde, oracle = VE(), Gaussian.isotropic(1, 0.5)
    x = draw_many(sde, oracle, (4000, 1), t_max=0.2)
    assert_allclose(x.var(), 0.25, rtol=0.01 + 4 * np.sqrt(2 / 4000))
