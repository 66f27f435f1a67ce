"""A mixture in classes against mixtures of the components of one class, written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import Condition, ConditionalMixture, GaussianMixture
from tests.cases import every_sde, mixture

pytestmark = pytest.mark.usefixtures("float64")

X = np.random.default_rng(0).normal(size=(5, 2))
T = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
COND = Condition(label=jnp.array([0, 1, 0, 1, 1]), keep=jnp.array([True, True, False, False, True]))


def classes() -> ConditionalMixture:
    return ConditionalMixture(mixture=mixture(), classes=jnp.array([0, 1, 0]))


def of_class() -> tuple[GaussianMixture, GaussianMixture]:
    """The mixtures of the components of either class."""
    m = mixture()
    return (
        GaussianMixture(weights=jnp.array([0.4, 0.6]), means=m.means[::2], stds=m.stds[::2]),
        GaussianMixture(weights=jnp.ones(1), means=m.means[1:2], stds=m.stds[1:2]),
    )


def log_prob_and_noise(data, sde, x):
    """log p [B], and −σ ∇log p [B, 2] by differentiation."""
    log_p, score = data.log_prob(sde, x, T), jax.grad(lambda x: data.log_prob(sde, x, T).sum())(x)
    return log_p, -sde.sigma(T)[:, None] * score


@every_sde
def test_an_example_has_the_mixture_of_its_class(sde):
    """Or the whole one, where its condition is dropped; the noise is −σ ∇log p."""

    @jax.jit
    def run(sde, x):
        given, predicted = classes().given(COND), classes().model(sde)(x, T, COND)
        zero, one = (log_prob_and_noise(data, sde, x) for data in of_class())
        rows = zero, one, (whole := log_prob_and_noise(mixture(), sde, x)), whole, one
        expected = [jnp.stack([row[k][i] for i, row in enumerate(rows)]) for k in (0, 1)]
        return (given.log_prob(sde, x, T), predicted.noise), expected, predicted

    got, expected, predicted = run(sde, jnp.asarray(X))
    for ours, theirs in zip(got, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9)
    alpha, sigma = sde.alpha(T)[:, None], sde.sigma(T)[:, None]
    assert_allclose(alpha * predicted.data + sigma * predicted.noise, X, rtol=1e-9)


@every_sde
def test_the_posterior_is_bayes(sde):
    """p(c | x) = p(x | c) p(c)/p(x), of all classes 1; and 1 where nothing is asked."""
    asked = (Condition(label=jnp.full(5, 0)), Condition(label=jnp.full(5, 1)), COND)

    @jax.jit
    def run(sde, x):
        of_one = of_class()[1].log_prob(sde, x, T) + jnp.log(0.5) - mixture().log_prob(sde, x, T)
        return [classes().log_posterior(sde, x, T, cond) for cond in asked], of_one

    posterior, of_one = run(sde, X)
    assert_allclose(np.sum(np.exp(posterior[:2]), axis=0), 1.0, rtol=1e-9)
    assert_allclose(posterior[1], of_one, rtol=1e-9, atol=1e-12)
    assert_allclose(posterior[2][2:4], 0.0, atol=1e-12)


def test_samples_are_of_their_class():
    """Of 20,000 numbers a mean is within five standard errors."""
    label = jnp.arange(10_000) % 2
    draw = jax.jit(lambda key: classes().given(Condition(label=label)).sample(key, (10_000, 2)))
    x, label = np.asarray(draw(jax.random.key(0))), np.asarray(label)
    for c, data in enumerate(of_class()):
        mean, own = data.weights @ data.means, np.asarray(x[label == c])
        assert np.all(np.abs(own.mean(0) - mean) < 5 * own.std(0) / np.sqrt(5000))


def test_a_condition_without_a_label():
    with pytest.raises(ValueError, match=r"^label: got None, takes a class for each example$"):
        classes().given(Condition(vector=jnp.ones((5, 2))))
