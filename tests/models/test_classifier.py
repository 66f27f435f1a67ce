"""A classifier of noisy states: with the logits of a mixture it is the posterior, and guides."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.workdir.trained_classifier import TrainedClassifier
from models import Classifier
from samplers import ClassifierGuidance
from sde_lib import VE, VP, Condition, ConditionalMixture, GaussianMixture, sdes

STD = 0.7
WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[-1.0, 0.3], [0.8, 0.1]])
STDS = np.array([0.5, 0.3])
LABELS = jnp.array([0, 1, 1, 0])
X = np.random.default_rng(0).normal(size=(4, 2))
T = np.array([0.1, 0.4, 0.6, 0.9])


class Exact(nn.Module):
    """The logits of a mixture of two classes, times a gain, as a network gets x/r and log σ/α.

    With y = x/α and n = σ/α they are log w_k N(y; m_k, s_k² + n²).
    """

    outputs: ClassVar[str] = "logits"

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The logits [B, 2]."""
        gain = self.param("gain", nn.initializers.ones, ())
        n = jnp.exp(c)[:, None]
        y = x * jnp.sqrt(n**2 + STD**2)
        var = jnp.asarray(STDS) ** 2 + n**2
        means = jnp.asarray(MEANS)[:, : x.shape[1]]
        square = jnp.sum((y[:, None] - means) ** 2, axis=-1)
        log_norm = x.shape[1] / 2 * jnp.log(var)
        return gain * (jnp.log(jnp.asarray(WEIGHTS)) - square / (2 * var) - log_norm)


def data(dim=2):
    mixture = GaussianMixture(
        weights=jnp.asarray(WEIGHTS), means=jnp.asarray(MEANS[:, :dim]), stds=jnp.asarray(STDS)
    )
    return ConditionalMixture(mixture=mixture, classes=jnp.arange(2))


def exact(sde, gain=1.0):
    return Classifier(
        network=Exact(),
        params={"gain": jnp.asarray(gain)},
        sde=sde,
        conditioning="log_noise",
        data_std=STD,
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", list(sdes))
def test_is_the_posterior(name):
    """Of each example's label, at a time of each; and nothing where none is kept."""
    sde, keep = sdes[name](), jnp.array([True, False, True, True])
    cond = Condition(label=LABELS)

    @jax.jit
    def run(sde, x, t):
        found = [exact(sde)(x, t, given) for given in (cond, cond.drop(keep))]
        return data().log_posterior(sde, x, t, cond), *found

    want, got, kept = run(sde, X, T)
    # The conditioning ends at e^12 of noise to signal.
    rtol = 1e-8 if name != "flow" else 1e-6
    assert_allclose(got, want, rtol=rtol, atol=1e-9)
    assert_allclose(kept, np.where(keep, want, 0.0), rtol=rtol, atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("trained", "used"), [("vp", "vp"), ("vp", "ve"), ("flow", "subvp")])
def test_guides_to_the_conditional_law_under_any_sde(trained, used):
    """The score of p(x | c) is that of p(x) plus the posterior's gradient."""
    sde, cond = sdes[used](), Condition(label=LABELS)
    opened = TrainedClassifier(None, None, exact(sdes[trained]()), 0, None)
    guided = ClassifierGuidance(
        model=data().model(sde), sde=sde, log_prob=opened.log_prob(sde), scale=1.0
    )
    x = X * np.asarray(sde.alpha(T) + sde.sigma(T))[:, None]
    t = np.asarray(sde.time_of_noise_to_signal(jnp.array([0.1, 0.5, 2.0, 8.0])))
    got, want = jax.jit(lambda x, t: (guided(x, t, cond), data().model(sde)(x, t, cond)))(x, t)
    assert_allclose(got.noise, want.noise, rtol=1e-6, atol=1e-8)
    assert_allclose(got.data, want.data, rtol=1e-6, atol=1e-8)


def test_parameters_are_leaves_of_a_guided_model():
    """Another checkpoint runs the program that is there."""
    traced = []

    @jax.jit
    def run(model, x):
        traced.append(1)
        return model(x, 0.3, Condition(label=LABELS)).noise

    def guided(gain):
        return ClassifierGuidance(model=data().model(VP()), sde=VP(), log_prob=exact(VP(), gain))

    first, second = (run(guided(gain), jnp.asarray(X, jnp.float32)) for gain in (1.0, 2.0))
    assert len(traced) == 1
    assert np.abs(first - second).max() > 1e-3


class States(nn.Module):
    """What has the shape of x."""

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """Other states."""
        return self.param("a", nn.initializers.ones, ()) * x[..., None]


def test_bad_input_stops_with_one_line():
    wrong = dataclasses.replace(exact(VE()), network=States(), params={"a": 1.0})
    with pytest.raises(ValueError, match=r"returns shape \(4, 2, 1\), takes logits \[4, classes\]"):
        wrong.logits(jnp.asarray(X), 0.5)
    for cond in (None, Condition(vector=jnp.zeros((4, 1)))):
        with pytest.raises(ValueError, match="label: got None, takes a class"):
            exact(VP())(jnp.asarray(X), 0.5, cond)
