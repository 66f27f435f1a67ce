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
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    t = jnp.array([1e-3, 0.02, 0.1, 0.3, 0.6, 0.95])
    predicted = oracle.predict(sde, x, t)
    gradient = jax.grad(lambda x: jnp.sum(oracle.log_prob(sde, x, t)))(x)
    assert_allclose(prediction.to_score(sde, t, predicted), gradient, rtol=1e-9, atol=1e-12)
    again = sde.perturb(predicted.data, t, predicted.noise)
    # Both are of order 1/σ² ≤ 1e6 before they cancel, hence ten digits of sixteen.
    assert_allclose(again, x, rtol=1e-9)
    model = oracle.model(sde)(x, t, cond="ignored")
    assert_allclose(jnp.stack(model), jnp.stack(predicted))


@float64
@every_sde
def test_densities_integrate_to_one(sde):
    """In one dimension, by the trapezoidal rule over twelve standard deviations either way."""
    single = Gaussian.isotropic(1, 0.6, mean=0.3)
    for t in MIDDLE:
        reach = 12 * float(jnp.sqrt(sde.alpha(t) ** 2 + sde.sigma(t) ** 2))
        x = np.linspace(-reach, reach, 20_001)
        for oracle in (single, line_mixture()):
            density = np.exp(oracle.log_prob(sde, jnp.asarray(x[:, None]), t))
            # The trapezoidal rule is exact to rounding for such functions when it resolves them.
            assert_allclose(np.trapezoid(density, x), 1.0, rtol=1e-9)


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

    def data_density(x_0):
        return np.sum(weights * normal(x_0, means, stds))

    for t in MIDDLE[1:]:
        alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
        for x in (-0.7, 0.4):

            def joint(x_0, x=x, alpha=alpha, sigma=sigma):
                return data_density(x_0) * normal(x, alpha * x_0, sigma)

            density = quad(joint, -4, 4, points=[-0.6, 1.0], epsabs=0, epsrel=1e-10)[0]
            first = quad(lambda y: y * joint(y), -4, 4, points=[-0.6, 1.0], epsrel=1e-10)[0]
            state = jnp.array([[x]])
            assert_allclose(oracle.predict(sde, state, t).data[0, 0], first / density, rtol=1e-7)
            assert_allclose(oracle.log_prob(sde, state, t)[0], np.log(density), rtol=1e-7)


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
    draws = np.asarray(oracle.sample(jax.random.key(3), (5000, 2)), np.float64)
    if isinstance(oracle, Gaussian):
        mean = oracle.mean
        covariance = oracle.eigenvectors * oracle.eigenvalues @ oracle.eigenvectors.T
    else:
        mean = oracle.weights @ oracle.means
        spread = oracle.means - mean
        within = jnp.sum(oracle.weights * oracle.stds**2) * jnp.eye(2)
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
    keys = jax.random.split(jax.random.key(4))
    data = oracle.sample(keys[0], (5000, 1))
    x = sde.perturb(data, t, jax.random.normal(keys[1], data.shape))
    log_density = np.asarray(oracle.log_prob(sde, x, t), np.float64)
    line = np.linspace(-6, 6, 8001, dtype=np.float32) * float(jnp.sqrt(1 + sde.sigma(t) ** 2))
    log_p = np.asarray(oracle.log_prob(sde, jnp.asarray(line[:, None]), t), np.float64)
    exact = np.trapezoid(np.exp(log_p) * log_p, line)
    assert abs(log_density.mean() - exact) < 5 * log_density.std() / np.sqrt(5000)


def test_images_are_flattened():
    """A Gaussian over 9 numbers takes [B, 3, 3, 1] and gives it back."""
    sde = VP()
    oracle = Gaussian.isotropic(9, 0.5, mean=jnp.arange(9.0))
    x = jnp.asarray(np.random.default_rng(5).normal(size=(4, 3, 3, 1)), jnp.float32)
    flat = x.reshape(4, 9)
    image, vector = oracle.predict(sde, x, 0.3), oracle.predict(sde, flat, 0.3)
    assert_allclose(image.data.reshape(4, 9), vector.data)
    assert_allclose(oracle.log_prob(sde, x, 0.3), oracle.log_prob(sde, flat, 0.3))
    assert oracle.sample(jax.random.key(0), (4, 3, 3, 1)).shape == (4, 3, 3, 1)
    assert oracle.probability_flow(sde, x, 0.3, 0.1).shape == x.shape
