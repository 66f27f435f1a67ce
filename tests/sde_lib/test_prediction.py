"""Conversions between what a network may predict."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import from_score, prediction
from tests.cases import SDES, every_sde, float32_tolerance, gaussian

FORMS = ("data", "noise", "score", "v", "velocity")


def convert(sde, form, t, predicted):
    """A `Prediction` in one of the five forms."""
    if form in ("data", "noise"):
        return getattr(predicted, form)
    return getattr(prediction, f"to_{form}")(sde, t, predicted)


@pytest.mark.usefixtures("float64")
@every_sde
def test_each_form_determines_the_others(sde):
    """Back from every form; a time of its own for each example."""
    rng = np.random.default_rng(0)
    data, noise = rng.uniform(-3, 3, (2, 64, 1))
    data[:3], noise[1:4] = 0, 0  # one of them, and both
    t = np.array([1e-3, 0.98, *rng.uniform(1e-3, 0.98, 62)])

    @jax.jit
    def there_and_back(data, noise, t):
        x, exact = sde.perturb(data, t, noise), prediction.Prediction(data, noise)
        return [
            getattr(prediction, f"from_{form}")(sde, x, t, convert(sde, form, t, exact))
            for form in FORMS
        ]

    for form, back in zip(FORMS, there_and_back(data, noise, t), strict=True):
        # Noise from data, and data from noise, lose σ/α or α/σ ≤ 1e7 of sixteen digits (α is
        # 7e-3 and σ 1e-4 at the worst, and the numbers are of order 1).
        assert_allclose(back.data, data, atol=1e-8, err_msg=form)
        assert_allclose(back.noise, noise, atol=1e-8, err_msg=form)


@pytest.mark.usefixtures("float64")
@every_sde
def test_velocity_is_the_probability_flow_drift(sde):
    """α' data + σ' noise = f x − ½ g² score, for any data and noise, not only conditional means."""
    rng = np.random.default_rng(0)
    data, noise = rng.normal(size=(2, 5, 3))
    t = np.array([1e-3, 0.05, 0.4, 0.8, 0.98])

    @jax.jit
    def both(data, noise, t):
        x, predicted = sde.perturb(data, t, noise), prediction.Prediction(data, noise)
        drift = sde.probability_flow_drift(x, t, prediction.to_score(sde, t, predicted))
        return drift, prediction.to_velocity(sde, t, predicted)

    drift, velocity = both(data, noise, t)
    # f x and ½ g² score cancel to their difference: four digits of sixteen at most.
    assert_allclose(velocity, drift, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("float64")
@every_sde
def test_score_of_the_forms_is_the_gradient_of_the_density(sde):
    """to_score of a closed form's conditional means is ∇ log p_t."""
    oracle, x = gaussian(), np.random.default_rng(1).normal(size=(4, 2))

    @jax.jit
    def both(x, t):
        gradient = jax.grad(lambda x: jnp.sum(oracle.log_prob(sde, x, t)))(x)
        return prediction.to_score(sde, t, oracle.predict(sde, x, t)), gradient

    for t in (0.01, 0.5, 0.95):
        assert_allclose(*both(x, t), rtol=1e-9)


@pytest.mark.usefixtures("float64")
@every_sde
def test_a_plain_score_function_is_a_model(sde):
    oracle = gaussian()
    model = from_score(sde, lambda x, t: jax.grad(lambda x: jnp.sum(oracle.log_prob(sde, x, t)))(x))
    x, t = np.random.default_rng(2).normal(size=(4, 2)), np.array([0.01, 0.2, 0.6, 0.9])
    both = jax.jit(lambda x, t: (model(x, t), oracle.predict(sde, x, t)))
    for ours, exact in zip(*both(x, t), strict=True):
        # data = (x + σ² score)/α: 1/α ≤ 150 and σ/α ≤ 50 times a rounding.
        assert_allclose(ours, exact, rtol=1e-8, atol=1e-10)


def test_v_where_there_is_no_signal():
    """α = 0: v = −σ data, so data is known where noise alone would leave 0/0."""
    sde = SDES["user"]
    x, data = jnp.array([[2.6]]), jnp.array([[0.4]])
    predicted = prediction.from_v(sde, x, 1.0, -1.3 * data)
    assert_allclose(predicted.data, data, rtol=1e-6)
    assert_allclose(predicted.noise, x / 1.3, rtol=1e-6)
    moved = prediction.from_velocity(sde, x, 1.0, -data + 1.3 * x / 1.3)
    # The difference of 2.6 and 2.2.
    assert_allclose(moved.data, data, atol=float32_tolerance([2.6, 2.2]))
    assert_allclose(moved.noise, x / 1.3, rtol=1e-6)
