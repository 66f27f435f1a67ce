"""Correctors: what their numbers mean, and what they leave invariant."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import AnnealedLangevin, Langevin, Steps, correctors, grids, noise
from samplers.langevin import Scales
from sde_lib import Gaussian
from tests.cases import SDES, every_sde, gaussian, mixture

RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=(2, 6, 2)).astype(np.float32)
every_corrector = pytest.mark.parametrize("name", list(correctors))


def moved(sde, corrector, x, z, t, s, predict=None):
    """(x', mean, prediction) of one correction before the step from t to s."""
    z = jnp.asarray(z, dtype=float)
    scales = jax.tree.map(
        lambda leaf: leaf[0], corrector.plan(sde, Steps.of_grid(jnp.array([t, s])))
    )
    prediction = (predict or mixture().model(sde))(x, t)
    return *corrector.update(lambda: z, prediction, x, scales), prediction


@pytest.mark.usefixtures("float64")
@every_sde
@every_corrector
def test_direction(sde, name):
    """mean = x + ε score, x' = mean + √(2ε) z, with one ε > 0 for each example."""
    corrector, t = correctors[name](), 0.5
    new, mean, prediction = moved(sde, corrector, jnp.asarray(X, float), NOISE, t, 0.45)
    score = -np.asarray(prediction.noise) / sde.sigma(t)
    size = ((np.asarray(mean) - X) / score).mean(1, keepdims=True)
    assert np.all(size > 0)
    assert_allclose(mean, X + size * score, rtol=1e-10)
    assert_allclose(new, mean + np.sqrt(2 * size) * NOISE, rtol=1e-10)


@pytest.mark.usefixtures("float64")
@every_sde
def test_meaning_of_snr(sde):
    """‖mean − x‖ = √a · snr · ‖x' − mean‖, with a = α²_{t|s} of the step that follows."""
    x, t, s = jnp.asarray(X, float), 0.5, 0.45
    for snr in (0.05, 0.3):
        new, mean, _ = moved(sde, Langevin(snr=snr), x, NOISE, t, s)
        ratio = np.linalg.norm(mean - x, axis=1) / np.linalg.norm(new - mean, axis=1)
        assert_allclose(ratio, snr * sde.transition(s, t).alpha, rtol=1e-10)
        # Annealed: √(2ε) = 2 √a · snr · σ_t times the noise, whatever the score.
        new, mean, _ = moved(sde, AnnealedLangevin(snr=snr), x, NOISE, t, s)
        scale = 2 * snr * sde.transition(s, t).alpha * sde.sigma(t)
        assert_allclose(new - mean, scale * NOISE, rtol=1e-10)


@pytest.mark.usefixtures("float64")
@every_sde
def test_annealed_langevin_nearly_keeps_the_law(sde):
    """On N(m, v), x' = m + (1 − ε/v)(x − m) + √(2ε) z has variance v + ε²/v: v to first order.

    So the error is quadratic in ε, and ε = 2 a snr² σ²; in closed form, from the update itself.
    """
    oracle, t = gaussian(), 0.5
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    centre = alpha * np.asarray(oracle.mean)
    axes = np.asarray(oracle.eigenvectors)
    variances = alpha**2 * np.asarray(oracle.eigenvalues) + sigma**2
    x = jnp.asarray(centre + axes.T)  # one example along each principal axis
    for snr in (0.05, 0.2):
        corrector = AnnealedLangevin(snr=snr)
        new, mean, _ = moved(sde, corrector, x, jnp.ones((2, 2)), t, 0.45, oracle.model(sde))
        kept = np.sum((np.asarray(mean) - centre) * axes.T, 1)
        spread = np.asarray(new - mean)[:, 0]
        size = spread**2 / 2
        assert_allclose(kept**2 * variances + spread**2, variances + size**2 / variances)
        still, *_ = moved(
            sde, corrector, jnp.asarray(centre)[None], jnp.zeros((1, 2)), t, 0.45, oracle.model(sde)
        )
        assert_allclose(still[0], centre, rtol=1e-9)


@every_sde
@every_corrector
def test_corrections_find_the_law(sde, name):
    """40 corrections of N(0, v) from a variance half as large, each v' = (1 − ε/v)² v_k + 2ε.

    ε = 2 snr² σ² for the annealed rule. For the other ε = 2 snr² v ‖z‖²/‖x/√v‖², which is
    2 snr² v²/v_k up to the fluctuation of a norm in D = 1024 dimensions, 2 √(2/D) = 9 % of ε at the
    start and less of its effect. The limit is v/(1 − ε/2v): too wide by ε/2v = snr² = 4 %.
    """
    t, snr, num, dim = 0.5, 0.2, 32, 1024
    sigma = sde.sigma(t)
    oracle = Gaussian.isotropic(dim, 0.5)
    variance = float(sde.alpha(t) ** 2 * 0.25 + sigma**2)
    corrector, scales = correctors[name](snr=snr), Scales(jnp.ones(()), sigma)
    keys = noise.example_keys(jax.random.key(5), jnp.arange(num))

    @jax.jit
    def run():
        def body(x, k):
            prediction = oracle.predict(sde, x, t)
            return corrector.update(lambda: draw(k), prediction, x, scales)[0], None

        def draw(k):
            return noise.normal(keys, k, (dim,))

        start = jnp.sqrt(variance / 2) * draw(noise.LATENT)
        return jax.lax.scan(body, start, jnp.arange(40))[0]

    expected = variance / 2
    for _ in range(40):
        annealed = name == "annealed_langevin"
        size = 2 * snr**2 * (float(sigma) ** 2 if annealed else variance**2 / expected)
        expected = (1 - size / variance) ** 2 * expected + 2 * size
    end = np.asarray(run(), np.float64)
    assert_allclose(end.mean(), 0, atol=5 * np.sqrt(expected / end.size))
    # Five standard errors, √(2/32768) each, and 1 % for the fluctuation of ε.
    assert_allclose(end.var(), expected, rtol=0.01 + 5 * np.sqrt(2 / end.size))


def test_norms_of_the_batch():
    """Per-example norms do not see the others; the batch's do, and agree for a batch of one."""
    sde = SDES["ve"]
    example, batch = Langevin(), Langevin(norm="batch")
    others = X.copy()
    others[1:] *= 7

    def first(corrector, x, rows=slice(None)):
        return moved(sde, corrector, jnp.asarray(x[rows]), NOISE[rows], 0.5, 0.45)[0][0]

    assert_allclose(first(example, others), first(example, X), rtol=1e-6)
    assert np.abs(first(batch, others) - first(batch, X)).max() > 1e-3
    one = slice(0, 1)
    assert_allclose(first(batch, X, one), first(example, X, one), rtol=1e-6)


@pytest.mark.usefixtures("float64")
@every_sde
@every_corrector
def test_plan(sde, name):
    """a and σ at the start of each step; "published" takes a from the tables for N steps."""
    grid = grids["uniform"](sde, 4, 1e-2, 0.9)
    exact = correctors[name]().plan(sde, Steps.of_grid(grid))
    assert_allclose(exact.sigma, sde.sigma(grid[:-1]))
    assert_allclose(exact.scale, (sde.alpha(grid[:-1]) / sde.alpha(grid[1:])) ** 2, rtol=1e-10)
    published = dataclasses.replace(correctors[name](), discretization="published")
    expected = sde.discrete_transition(grid[:-1], 4).alpha ** 2
    assert_allclose(published.plan(sde, Steps.of_grid(grid)).scale, expected, rtol=1e-10)
