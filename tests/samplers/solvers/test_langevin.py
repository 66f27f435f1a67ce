"""Correctors: what their numbers mean, and what they leave invariant."""

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import AnnealedLangevin, Langevin, Steps, correctors, grids
from samplers.solvers.langevin import Scales
from sde_lib import Prediction
from tests.cases import SDES, every_sde, gaussian, mixture

RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=(2, 64, 2)).astype(np.float32)
every_corrector = pytest.mark.parametrize("name", list(correctors))


def moved(sde, corrector, x, z, t, s, predict=None):
    """(x', mean, prediction) of one correction before the step from t to s."""
    x, z = jnp.asarray(x, dtype=float), jnp.asarray(z, dtype=float)
    return _moved(sde, corrector, predict or mixture().model(sde), x, z, t, s)


@jax.jit
def _moved(sde, corrector, predict, x, z, t, s):
    """A program for all numbers."""
    plan = corrector.plan(sde, Steps.of_grid(jnp.array([t, s])))
    scales = jax.tree.map(lambda leaf: leaf[0], plan)
    prediction = predict(x, t)
    return *corrector.update(lambda: z, prediction, x, scales), prediction


def constant_noise(noise, x, t):
    return Prediction(x, noise)


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
@pytest.mark.parametrize("size", [0.5, 1.0])
def test_meaning_of_snr(sde, size):
    """‖mean − x‖ = √a · snr · ‖x' − mean‖, with a = α²_{t|s} of the step that follows.

    For scores of `size` times the size of the noise's alone, in 2¹⁵ dimensions: the 128 units
    that are counted with them change ε by (1 − size²)/size² · 128/2¹⁵, 1.2 % at most.
    """
    t, s, dim = 0.5, 0.45, 2**15
    units = jnp.where(jnp.arange(dim) % 2, 1.0, -1.0)[None]

    predict = jax.tree_util.Partial(constant_noise, size * units)
    for snr in (0.05, 0.3):
        new, mean, _ = moved(sde, Langevin(snr=snr), jnp.zeros((1, dim)), units, t, s, predict)
        ratio = np.linalg.norm(mean) / np.linalg.norm(new - mean)
        assert_allclose(ratio, snr * sde.transition(s, t).alpha, rtol=0.012)
        # Annealed: √(2ε) = 2 √a · snr · σ_t times the noise, whatever the score.
        new, mean, _ = moved(sde, AnnealedLangevin(snr=snr), X, NOISE, t, s)
        scale = 2 * snr * sde.transition(s, t).alpha * sde.sigma(t)
        assert_allclose(new - mean, scale * NOISE, rtol=1e-10, atol=1e-12)


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


@cache
def curves_and_noise():
    """α and σ under every kind of SDE, where σ/α is 0.2 and 1, [8, 2]; and 61 times 2¹⁷ numbers."""
    times = [(sde, sde.time_of_noise_to_signal(n)) for sde in SDES.values() for n in (0.2, 1.0)]
    curves = np.array([[float(sde.alpha(t)), float(sde.sigma(t))] for sde, t in times], np.float32)
    return curves, np.random.default_rng(5).standard_normal((61, 2**17), np.float32)


@pytest.mark.parametrize(
    ("name", "dim"),
    [*(("langevin", dim) for dim in (1, 8, 1024)), ("annealed_langevin", 8)],
)
def test_corrections_find_the_law(name, dim):
    """60 corrections of N(0, v I) from a variance half as large, in any number of dimensions.

    Each makes v' = (1 − ε/v)² v_k + 2ε. ε = 2 snr² σ² for the annealed rule; for the other it is
    that times (K + D)/(K + D σ² v_k/v²). The limit is v/(1 − ε/2v), too wide by snr² = 4 % at most.
    Where ε moves with x the law is ∝ p/ε, too wide by 2/(K + D), with K = 128: that, and four and a
    half standard errors of a variance of 2¹⁷ numbers, √(2/2¹⁷) = 0.4 %, are 3.3 % at most.
    """
    snr, corrector = 0.2, correctors[name](snr=0.2)

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    @partial(jax.vmap, in_axes=(0, None))
    def run(curve, noise):
        alpha, sigma = curve
        variance = alpha**2 / 4 + sigma**2

        def body(x, z):
            predicted = sigma * x / variance
            prediction = Prediction((x - sigma * predicted) / alpha, predicted)
            return corrector.update(lambda: z, prediction, x, Scales(1.0, sigma))[0], None

        start = jnp.sqrt(variance / 2) * noise[0]
        return jax.lax.scan(body, start, noise[1:])[0]

    curves, noise = curves_and_noise()
    ends = np.asarray(run(curves, noise.reshape(61, -1, dim)), np.float64)
    for (alpha, sigma), end in zip(curves.astype(float), ends, strict=True):
        variance = alpha**2 / 4 + sigma**2
        expected = variance / 2
        for _ in range(60):
            size = 2 * snr**2 * sigma**2
            if name == "langevin":
                size *= (128 + dim) / (128 + dim * sigma**2 * expected / variance**2)
            expected = (1 - size / variance) ** 2 * expected + 2 * size
        assert_allclose(end.mean(), 0, atol=5 * np.sqrt(expected / end.size))
        wider = 2 / (128 + dim) if name == "langevin" else 0.0
        assert_allclose(end.var(), expected, rtol=wider + 4.5 * np.sqrt(2 / end.size))


def test_norms_of_the_batch():
    """Per-example norms do not see the others; the batch's do."""
    sde = SDES["ve"]
    example, batch = Langevin(), Langevin(norm="batch")
    others = X.copy()
    others[1:] *= 7

    def first(corrector, x, rows=slice(None)):
        return moved(sde, corrector, jnp.asarray(x[rows]), NOISE[rows], 0.5, 0.45)[0][0]

    # Three terms of at most 4 in float32, a few ulps each.
    assert_allclose(first(example, others), first(example, X), atol=8 * 4 * 2**-23)
    assert np.abs(first(batch, others) - first(batch, X)).max() > 1e-3


def test_norms_of_a_batch_take_many_numbers():
    """Of few, ε = 1/‖score‖² has no mean: refused, not sampled wrongly."""
    with pytest.raises(ValueError, match=r"^norm: got 'batch' with 12 numbers in a batch, takes"):
        moved(SDES["vp"], Langevin(norm="batch"), jnp.asarray(X[:6]), NOISE[:6], 0.5, 0.45)


@pytest.mark.usefixtures("float64")
@every_sde
@every_corrector
def test_plan(sde, name):
    """a and σ at the start of each step; "published" takes a from the tables for N steps."""
    own = correctors[name]()
    published = dataclasses.replace(own, discretization="published")

    def plans(sde, grid):
        return [c.plan(sde, Steps.of_grid(grid)) for c in (own, published)]

    grid = grids["uniform"](sde, 4, 1e-2, 0.9)
    exact, got = jax.jit(plans)(sde, grid)
    assert_allclose(exact.sigma, sde.sigma(grid[:-1]))
    assert_allclose(exact.scale, (sde.alpha(grid[:-1]) / sde.alpha(grid[1:])) ** 2, rtol=1e-10)
    expected = sde.discrete_transition(grid[:-1], num_scales=4).alpha ** 2
    assert_allclose(got.scale, expected, rtol=1e-10)
