"""The probability flow there and back, its densities, and what they must not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtr

from samplers import ByTolerance, ProbabilityFlow, RungeKutta
from sde_lib import VP, Prediction
from tests.cases import SDES, every_sde, gaussian, line_mixture, mixture
from tests.samplers.flows import T_MIN, flow_of
from tests.samplers.reference import drawn

TIGHT = {"integrator": RungeKutta(steps=ByTolerance(rtol=1e-7, atol=1e-7))}
LINE = np.linspace(-3.2, 3.2, 801)[:, None]  # six standard deviations beyond the components
float64 = pytest.mark.usefixtures("float64")


def cdf(oracle, sde, x, t):
    """P(x_t ≤ x) of a mixture on a line, [B]."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    deviations = np.sqrt(alpha**2 * np.asarray(oracle.stds) ** 2 + sigma**2)
    parts = ndtr((np.asarray(x) - alpha * np.asarray(oracle.means[:, 0])) / deviations)
    return parts @ np.asarray(oracle.weights)


@float64
@every_sde
def test_on_a_line(sde):
    """801 points of a mixture, at tolerance 1e-7, up to t = 1, where α may be 0.

    10⁻⁵: the tolerance times some 25 steps and the conditioning of the tails.
    """
    oracle = line_mixture()
    flow, x = flow_of(sde, oracle, **TIGHT), jnp.asarray(LINE)
    result = flow.log_prob(x)
    # A density: it integrates to 1 (the trapezoidal rule is exact to rounding here).
    assert_allclose(np.trapezoid(np.exp(result.log_prob), LINE[:, 0]), 1, atol=1e-6)
    # The one of the closed form, once the prior that stands for p_1 is replaced by p_1.
    prior, true = sde.prior_log_prob(result.latents), oracle.log_prob(sde, result.latents, 1.0)
    exact = oracle.log_prob(sde, x, T_MIN)
    assert_allclose(result.log_prob - prior + true, exact, atol=1e-5)
    # On a line the flow is monotone, so it carries quantiles to quantiles.
    ends = cdf(oracle, sde, result.latents, 1.0)
    assert_allclose(ends, cdf(oracle, sde, x, T_MIN), atol=1e-6)
    assert np.all(np.diff(result.latents[:, 0]) > 0)
    # Back again and denoised.
    denoised = flow.decode(result.latents, denoise=True)
    assert_allclose(denoised.x, oracle.predict(sde, x, T_MIN).data, atol=1e-5)
    assert np.all(denoised.evaluations > 0)


# Of unit scale at the end, and of a large one.
in_float32 = pytest.mark.parametrize("sde", [SDES["vp"], SDES["ve"]], ids=["vp", "ve"])


@in_float32
def test_there_and_back(sde):
    """In float32 and at the default tolerance 1e-5, on a mixture in two dimensions.

    The flow of a mixture stretches: between components errors grow by the ratio of the densities.
    """
    oracle = mixture()
    flow = flow_of(sde, oracle)
    x = drawn(oracle, jax.random.key(0), (32, 2))
    latents = flow.encode(x)
    back = flow.decode(latents.x)
    assert back.x.dtype == latents.x.dtype == jnp.float32
    errors = np.abs(back.x - x)
    # 1e-3 is 100 tolerances (0.4 to 1e-3 measured on 64 points); the median is far below.
    assert errors.max() < 3e-3
    assert np.median(errors) < 1e-4
    result = flow.log_prob(x)
    assert_allclose(result.latents, latents.x, atol=1e-3 * float(sde.prior_std()))
    exact = oracle.log_prob(sde, x, T_MIN)
    prior = sde.prior_log_prob(result.latents)
    true = oracle.log_prob(sde, result.latents, 1.0)
    # 3e-4 nats in two dimensions at the most (2e-4 measured), 1e-4 on average.
    assert np.abs(result.log_prob - prior + true - exact).max() < 1e-3
    assert np.abs(result.log_prob - prior + true - exact).mean() < 1e-4


@float64
@every_sde
def test_gaussian_flow_is_the_closed_form(sde):
    """Correlated, off-centre data in two dimensions."""
    oracle = gaussian()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    latents = flow_of(sde, oracle, **TIGHT).encode(x).x
    exact = oracle.probability_flow(sde, x, T_MIN, 1.0)
    # Some tens of steps of 1e-7, at the scale of the latent.
    assert_allclose(latents, exact, atol=1e-5 * float(sde.prior_std()))


@float64
def test_where_there_is_no_signal():
    """α(1) = 0, and down to a time at which σ/α is 1e-5: finite, and the data's law."""
    sde, oracle = SDES["user"], line_mixture()
    latents = jnp.linspace(-3, 3, 13)[:, None]
    x = flow_of(sde, oracle, **TIGHT, t_min=1e-5).decode(latents).x
    assert np.isfinite(x).all()
    assert_allclose(cdf(oracle, sde, x, 1e-5), cdf(oracle, sde, latents, 1.0), atol=1e-6)


@float64
def test_density_does_not_depend_on_the_scale_of_the_coordinate():
    """data_std only chooses how the ODE is written. (10⁻⁵ as above.)"""
    sde, oracle = VP(), line_mixture()
    x = jnp.asarray(LINE[::40])
    narrow, wide = (flow_of(sde, oracle, data_std=std, **TIGHT).log_prob(x) for std in (0.2, 1.5))
    assert_allclose(narrow.log_prob, wide.log_prob, atol=1e-5)
    assert np.any(narrow.evaluations != wide.evaluations)


def test_network_in_bfloat16():
    """A model rounded to bfloat16 leaves a float32 log-density near the closed form.

    A rounding 2⁻⁹ of data and noise is 0.4 % of the field, so 1 % of the state; the tolerance is as
    loose as the field, or steps chase its roundings.
    """
    sde, oracle = VP(), gaussian()
    exact_model = oracle.model(sde)

    def rounded(x, t, cond=None):
        return Prediction(*(a.astype(jnp.bfloat16) for a in exact_model(x, t)))

    x = drawn(oracle, jax.random.key(4), (8, 2))
    flow = ProbabilityFlow(
        sde=sde,
        model=jax.tree_util.Partial(rounded),
        t_min=1e-2,
        integrator=RungeKutta(steps=ByTolerance(rtol=1e-2, atol=1e-2)),
    )
    result = flow.log_prob(x)
    assert result.log_prob.dtype == result.latents.dtype == jnp.float32
    exact = oracle.log_prob(sde, x, 1e-2)
    assert np.abs(result.log_prob - exact).max() < 0.1


def test_a_bound_that_is_too_low():
    """There is no density half the way; states are where they had got to, and say so."""
    flow = flow_of(VP(), mixture(), integrator=RungeKutta(steps=ByTolerance(max_evaluations=20)))
    x = jnp.ones((2, 2))
    result = flow.log_prob(x)
    assert np.isnan(result.log_prob).all()
    assert not result.finished.any()
    moved = flow.encode(x)
    assert not moved.finished.any()
    assert np.isfinite(moved.x).all()


@in_float32
def test_densities_come_with_samples(sde):
    """One integration down gives the samples of `decode` and the densities of `log_prob`."""
    flow = flow_of(sde, mixture())
    latents = sde.prior_sample(jax.random.key(5), (32, 2))
    drawn = flow.decode_with_log_prob(latents)
    plain = flow.decode(latents)
    assert_allclose(drawn.x, plain.x, atol=1e-3)  # steps differ, as the density asks for its own
    again = flow.log_prob(drawn.x)
    # 1e-5 a step and dimension there and back, spread by what lies between the components.
    assert np.abs(drawn.log_prob - again.log_prob).max() < 5e-3
    assert np.median(np.abs(drawn.log_prob - again.log_prob)) < 2e-4
    assert np.all(drawn.standard_error == 0)


def test_a_conditional_model():
    """The condition reaches the model, one for each example."""
    sde, oracle = VP(), gaussian()

    def predict(x, t, cond):
        shifted = oracle.predict(sde, x - sde.alpha(t)[:, None] * cond, t)
        return Prediction(data=shifted.data + cond, noise=shifted.noise)

    x = drawn(oracle, jax.random.key(6), (4, 2))
    cond = jnp.arange(8.0).reshape(4, 2) / 8
    model = jax.tree_util.Partial(predict)
    moved, still = (
        ProbabilityFlow(sde=sde, model=model, cond=by, t_min=T_MIN).log_prob(x + by)
        for by in (cond, jnp.zeros_like(cond))
    )
    prior = sde.prior_log_prob(moved.latents) - sde.prior_log_prob(still.latents)
    # A shift of the data by c shifts x_1 by α(1) c and no density.
    assert_allclose(moved.log_prob - prior, still.log_prob, atol=2e-3)
    assert_allclose(moved.latents - still.latents, sde.alpha(1.0) * cond, atol=2e-3)
