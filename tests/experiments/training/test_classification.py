"""The objective of classifiers in closed form: a line with two labelled Gaussians."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax
from scipy.stats import norm

from experiments.data import Batch, Split
from experiments.errors import UserError
from experiments.training.classifier import Classification
from experiments.training.objective import Draws
from experiments.training.step import make_gradient
from sde_lib import Condition, sdes, time_samplers
from tests.experiments.training.line import experiment
from tests.experiments.training.test_objective import NARROW, interval, nodes
from tests.models.test_classifier import MEANS, STD, STDS, WEIGHTS, Exact


class Linear(nn.Module):
    """Two logits, linear in what it is given of x; the time is nothing to it."""

    outputs: ClassVar[str] = "logits"

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The logits [B, 2]."""
        w, b = (self.param(name, nn.initializers.ones, (2,)) for name in ("w", "b"))
        return x * w + b


def objective(sde, network, times="uniform", **fields):
    config = experiment(times=times, objective="classifier", data={"std": STD}, **fields)
    config = with_model(config, network)
    return Classification(config, sde, network, Split.of(np.zeros((2, 1)), np.arange(2)))


def with_model(config, network, **model):
    """The experiment with a network of a test's own."""
    name = f"{type(network).__module__}:{type(network).__name__}"
    fields = {"name": name, "conditioning": "log_noise", "conditional": True}
    fields |= {"parameterization": "v"} | model
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **fields))


def expected(sde, t_min, logits):
    """The mean cross-entropy over uniform times, by integrals over t and x in NumPy.

    Args:
      logits: (y [X], n, r) → [X, 2], of y = x/α, n = σ/α.
    """
    z, dz = np.linspace(-9, 9, 4001, retstep=True)
    t, w = interval(t_min, 1.0, 60)
    total = 0.0
    for at, weight in zip(t, w, strict=True):
        alpha, sigma = float(sde.alpha(at)), float(sde.sigma(at))
        n = sigma / alpha
        for k in (0, 1):
            y = MEANS[k, 0] + np.hypot(STDS[k], n) * z
            each = -log_softmax(logits(y, n), axis=1)[:, k]
            total += weight * WEIGHTS[k] * np.sum(norm.pdf(z) * each) * dz
    return total / (1 - t_min)


def posterior(y, n):
    """log w_k N(y; m_k, s_k² + n²), by SciPy."""
    return np.stack(
        [np.log(WEIGHTS[k]) + norm.logpdf(y, MEANS[k, 0], np.hypot(STDS[k], n)) for k in (0, 1)],
        axis=1,
    )


def linear(w, b):
    """The logits of `Linear`, of x/r = y/√(n² + s²)."""
    return lambda y, n: (y / np.hypot(n, STD))[:, None] * w + b


def quadrature(sde, times, t_min):
    """A batch and its weights, whose weighted mean is the expectation over all that is drawn.

    Of data and noise only x_t matters, of which one normal number stands for both: with v² its
    variance, data = m + α s² z/v and noise = σ z/v have x_t = α m + v z.
    """
    u, of_time = nodes(sde, times, t_min)
    z, dz = np.linspace(-9, 9, 401, retstep=True)
    k, i, z = (a.ravel() for a in np.meshgrid([0, 1], np.arange(len(u)), z, indexing="ij"))
    t, importance = time_samplers[times](sde, jnp.asarray(u[i]), t_min)
    alpha, sigma = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t))
    v = np.hypot(alpha * STDS[k], sigma)
    x_data = MEANS[k, 0] + alpha * STDS[k] ** 2 * z / v
    weights = WEIGHTS[k] * of_time[i] * norm.pdf(z) * dz
    cond = Condition(label=jnp.asarray(k, jnp.int32))
    drawn = Draws(x_data[:, None], t, importance, u[i], (sigma * z / v)[:, None], cond)
    return jax.tree.map(jnp.asarray, drawn), jnp.asarray(weights * len(z))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["vp", "ve", "flow"])
def test_the_least_loss_is_the_entropy_of_the_posterior(name):
    """Of exact logits; sharper or flatter ones cost what NumPy says, at every times' density."""
    sde = sdes[name](**NARROW[name])
    t_min = float(sde.time_of_noise_to_signal(0.05))
    want = {g: expected(sde, t_min, lambda y, n, g=g: g * posterior(y, n)) for g in (0.5, 1, 1.5)}
    assert want[1] < min(want[0.5], want[1.5]) - 1e-3
    # The last 10⁻³ of a flow's times, of no signal, `log_snr` does not draw.
    for times in ("uniform", "log_snr")[: 1 if name == "flow" else 2]:
        drawn, weights = quadrature(sde, times, t_min)
        gradient = make_gradient(objective(sde, Exact(), times), 1)
        for gain, loss in want.items():
            got, losses, slope = gradient(
                {"gain": jnp.asarray(float(gain))}, drawn, weights, jax.random.key(0)
            )
            assert_allclose(got, loss, rtol=2e-5, err_msg=f"{times}, {gain}")
            assert_allclose(jnp.mean(weights * losses), got, rtol=1e-12)
            # Down to the posterior from both sides, where it is level.
            assert np.sign(np.round(float(slope["gain"]), 5)) == np.sign(gain - 1)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_the_gradient_is_the_finite_difference_of_the_expected_loss(name):
    sde = sdes[name](**NARROW[name])
    t_min, h = float(sde.time_of_noise_to_signal(0.05)), 1e-4
    w, b = np.array([-0.8, 0.5]), np.array([0.2, -0.1])
    drawn, weights = quadrature(sde, "uniform", t_min)
    params = {"w": jnp.asarray(w), "b": jnp.asarray(b)}
    got, _, slope = make_gradient(objective(sde, Linear()), 1)(
        params, drawn, weights, jax.random.key(0)
    )
    assert_allclose(got, expected(sde, t_min, linear(w, b)), rtol=2e-5)
    for i in (0, 1):
        e = h * np.eye(2)[i]
        for which, up, down in (
            ("w", linear(w + e, b), linear(w - e, b)),
            ("b", linear(w, b + e), linear(w, b - e)),
        ):
            by = (expected(sde, t_min, up) - expected(sde, t_min, down)) / (2 * h)
            assert_allclose(slope[which][i], by, rtol=1e-4, atol=1e-6)


def test_labels_stay_with_their_examples_and_none_is_dropped():
    """Also at the default cond_dropout, which is of models."""
    labels = jnp.arange(64, dtype=jnp.int32) % 2
    values = jnp.linspace(-1, 1, 64)[:, None]
    drawn = objective(sdes["vp"](), Linear(), cond_dropout=0.5).draw(
        jax.random.key(0), Batch(values, Condition(label=labels))
    )
    assert_array_equal(drawn.cond.label, labels)
    assert drawn.cond.keep is None
    assert_array_equal(drawn.data, values)
    spread = np.sort(np.floor(np.asarray(drawn.u) * 64 + 1e-4) % 64)
    assert_array_equal(spread, np.arange(64))


def test_times_that_single_examples_decide_are_refused():
    with pytest.raises(
        UserError, match=r"training\.times: got 'log_normal', .*takes log_snr or uniform"
    ):
        objective(sdes["vp"](), Linear(), times="log_normal", sample_every=0).check()
    objective(sdes["vp"](), Linear(), sample_every=0).check()


def test_vectors_are_no_classes():
    network = Linear()
    config = with_model(experiment(objective="classifier", sample_every=0), network)
    vectors = Split.of(np.zeros((2, 1)), vectors=np.eye(2), cond_mean=(0, 0), cond_std=(1, 1))
    with pytest.raises(UserError, match=r"^data\.source: .* has vectors, .* takes labels$"):
        Classification(config, sdes["vp"](), network, vectors).check()
