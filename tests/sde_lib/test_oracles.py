"""The closed forms that other tests lean on, against quadrature, autodiff, SciPy and samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad, solve_ivp

from sde_lib import VP, Gaussian, prediction
from tests.cases import every_sde, gaussian, line_mixture, mixture

float64 = pytest.mark.usefixtures("float64")
ORACLES = {"gaussian": gaussian, "mixture": mixture}
every_oracle = pytest.mark.parametrize("oracle", ORACLES)
MIDDLE = (0.02, 0.3, 0.9)


@float64
@every_sde
@every_oracle
def test_prediction_is_consistent(sde, oracle):
    """score = ∇ log p_t, and α data + σ noise = x."""
    oracle = ORACLES[oracle]()
    x = np.random.default_rng(0).normal(size=(6, 2))
    t = np.array([1e-3, 0.02, 0.1, 0.3, 0.6, 0.95])

    @jax.jit
    def both(x, t):
        predicted = oracle.predict(sde, x, t)
        gradient = jax.grad(lambda x: jnp.sum(oracle.log_prob(sde, x, t)))(x)
        again = sde.perturb(predicted.data, t, predicted.noise)
        model = oracle.model(sde)(x, t, cond="ignored")
        return prediction.to_score(sde, t, predicted), gradient, again, model, predicted

    score, gradient, again, model, predicted = both(x, t)
    assert_allclose(score, gradient, rtol=1e-9, atol=1e-12)
    # Both are of order 1/σ² ≤ 1e6 before they cancel, hence ten digits of sixteen.
    assert_allclose(again, x, rtol=1e-9)
    assert_allclose(model, predicted)


@float64
@every_sde
def test_densities_integrate_to_one(sde):
    """In one dimension, by the trapezoidal rule over twelve standard deviations either way."""
    oracles = Gaussian.isotropic(1, 0.6, mean=0.3), line_mixture()

    @jax.jit
    def log_densities(x, t):
        return [oracle.log_prob(sde, x, t) for oracle in oracles]

    for t in MIDDLE:
        reach = 12 * np.hypot(sde.alpha(t), sde.sigma(t))
        x = np.linspace(-reach, reach, 20_001)
        for log_density in log_densities(x[:, None], t):
            # The trapezoidal rule is exact to rounding for such functions when it resolves them.
            assert_allclose(np.trapezoid(np.exp(log_density), x), 1.0, rtol=1e-9)


def test_densities_of_data():
    """At a time with no noise to speak of, the densities of SciPy."""
    sde, x = VP(), np.random.default_rng(1).normal(size=(5, 2))
    with jax.enable_x64(True):
        one, several = gaussian(), mixture()
        covariance = one.eigenvectors * one.eigenvalues @ one.eigenvectors.T
        exact = stats.multivariate_normal(one.mean, covariance).logpdf(x)
        # σ² = 1e-13 at this time, and 0.04 the smallest variance.
        assert_allclose(one.log_prob(sde, jnp.asarray(x), 1e-12), exact, rtol=1e-8)
        parts = [
            float(several.weights[k])
            * stats.multivariate_normal(several.means[k], several.stds[k] ** 2 * np.eye(2)).pdf(x)
            for k in range(3)
        ]
        ours = several.log_prob(sde, jnp.asarray(x), 1e-12)
        assert_allclose(ours, np.log(np.sum(parts, 0)), rtol=1e-8)


@float64
@every_sde
def test_posterior_mean_by_quadrature(sde):
    """E[x_0 | x] and p_t(x) = ∫ p(x_0) N(x; α x_0, σ²) dx_0."""
    oracle = line_mixture()
    weights, means, stds = (
        np.asarray(a) for a in (oracle.weights, oracle.means[:, 0], oracle.stds)
    )

    def normal(x, mean, std):
        return np.exp(-(((x - mean) / std) ** 2) / 2) / (np.sqrt(2 * np.pi) * std)

    @jax.jit
    def closed_forms(x, t):
        return oracle.predict(sde, x, t).data, oracle.log_prob(sde, x, t)

    def data_density(x_0):
        return np.sum(weights * normal(x_0, means, stds))

    for t in MIDDLE[1:]:
        alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
        for x in (-0.7, 0.4):

            def joint(x_0, x=x, alpha=alpha, sigma=sigma):
                return data_density(x_0) * normal(x, alpha * x_0, sigma)

            density = quad(joint, -4, 4, points=[-0.6, 1.0], epsabs=0, epsrel=1e-10)[0]
            first = quad(lambda y: y * joint(y), -4, 4, points=[-0.6, 1.0], epsrel=1e-10)[0]
            mean, log_density = closed_forms(np.array([[x]]), t)
            assert_allclose(mean[0, 0], first / density, rtol=1e-7)
            assert_allclose(log_density[0], np.log(density), rtol=1e-7)


@float64
@every_sde
def test_probability_flow_of_gaussian_data_solves_the_ode(sde):
    """dx/dt = f x − ½ g² ∇log p_t, by an eighth-order method of SciPy from 0.9 down to 0.01."""
    oracle = gaussian()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2)))

    @jax.jit
    def field(t, x):
        x = x.reshape(3, 2)
        gradient = jax.grad(lambda x: jnp.sum(oracle.log_prob(sde, x, t)))(x)
        return sde.probability_flow_drift(x, t, gradient).ravel()

    solution = solve_ivp(field, (0.9, 0.01), x.ravel(), method="DOP853", rtol=1e-10, atol=1e-12)
    exact = oracle.probability_flow(sde, x, 0.9, 0.01)
    # 1e-7: the integrator's 1e-10 a step over some tens of steps, growing with the flow.
    assert_allclose(exact, solution.y[:, -1].reshape(3, 2), rtol=1e-7)
    assert_allclose(oracle.probability_flow(sde, exact, 0.01, 0.9), x, rtol=1e-10)


@every_oracle
def test_sample_moments(oracle):
    """Mean and covariance of 5000 draws, within five standard errors."""
    oracle = ORACLES[oracle]()
    draws = jax.jit(oracle.sample, static_argnums=1)(jax.random.key(3), (5000, 2))
    draws, oracle = np.asarray(draws, np.float64), jax.device_get(oracle)
    if isinstance(oracle, Gaussian):
        mean = oracle.mean
        covariance = oracle.eigenvectors * oracle.eigenvalues @ oracle.eigenvectors.T
    else:
        mean = oracle.weights @ oracle.means
        spread = oracle.means - mean
        within = np.sum(oracle.weights * oracle.stds**2) * np.eye(2)
        covariance = spread.T * oracle.weights @ spread + within
    assert_allclose(draws.mean(0), mean, atol=5 * draws.std() / np.sqrt(5000))
    centred = draws - draws.mean(0)
    products = centred[:, :, None] * centred[:, None, :]
    errors = products.std(0) / np.sqrt(5000)
    assert np.all(np.abs(products.mean(0) - covariance) < 5 * errors)


@every_sde
def test_samples_have_the_density(sde):
    """The mean of log p_t over samples is minus the entropy, by quadrature in one dimension."""
    oracle, t = line_mixture(), 0.1
    line = np.linspace(-6, 6, 8001, dtype=np.float32) * np.hypot(1, sde.sigma(t))

    @jax.jit
    def log_densities(keys, line):
        data = oracle.sample(keys[0], (5000, 1))
        x = sde.perturb(data, t, jax.random.normal(keys[1], data.shape))
        return oracle.log_prob(sde, x, t), oracle.log_prob(sde, line[:, None], t)

    found = log_densities(jax.random.split(jax.random.key(4)), line)
    log_density, log_p = (np.asarray(each, np.float64) for each in found)
    exact = np.trapezoid(np.exp(log_p) * log_p, line)
    assert abs(log_density.mean() - exact) < 5 * log_density.std() / np.sqrt(5000)


def test_images_are_flattened():
    """A Gaussian over 9 numbers takes [B, 3, 3, 1] and gives it back."""
    sde = VP()
    oracle = Gaussian.isotropic(9, 0.5, mean=jnp.arange(9.0))
    x = jnp.asarray(np.random.default_rng(5).normal(size=(4, 3, 3, 1)), jnp.float32)

    @jax.jit
    def closed_forms(x):
        return oracle.predict(sde, x, 0.3).data, oracle.log_prob(sde, x, 0.3)

    image, vector = closed_forms(x), closed_forms(x.reshape(4, 9))
    assert_allclose(image[0].reshape(4, 9), vector[0])
    assert_allclose(image[1], vector[1])
    sample = jax.eval_shape(lambda key: oracle.sample(key, x.shape), jax.random.key(0))
    assert sample.shape == (4, 3, 3, 1)
    assert jax.eval_shape(lambda x: oracle.probability_flow(sde, x, 0.3, 0.1), x).shape == x.shape
