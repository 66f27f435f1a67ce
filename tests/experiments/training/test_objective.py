"""The objective in closed form: its expected loss and gradient, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from experiments.builders.check import check_parameterization
from experiments.data import Batch
from experiments.errors import UserError
from experiments.training.denoising import check_weights
from experiments.training.draws import check_flip
from experiments.training.objective import Draws
from experiments.training.step import make_gradient
from sde_lib import sdes, time_samplers, weightings
from tests.experiments.training.line import MEAN, STD, denoising, experiment

# Where log σ/α is a few deviations of `log_normal` from its mean at most, but for the two SDEs
# that lose all signal.
NARROW = {
    "vp": {"beta_max": 4.0},
    "subvp": {"beta_max": 4.0},
    "ve": {"sigma_max": 5.0},
    "edm": {"sigma_max": 5.0},
    "linear_ve": {"sigma_max": 5.0},
    "learned": {"log_snr_min": -3.0, "increments": (0.3,)},
    "flow": {},
    "cosine": {},
}


# --- expected loss and gradient -----------------------------------------------------------------


def squared_errors(sde, t, a, b):
    """E(ε̂ − ε)² and E(d̂ − data)² at t, v = a x + b: each error is A data + B noise + C."""
    alpha, sigma = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t))
    scale = alpha**2 + sigma**2
    found = []
    for gain, shift, of_data, of_noise in (
        ((sigma + alpha * a) / scale, alpha * b / scale, 0, 1),
        ((alpha - sigma * a) / scale, -sigma * b / scale, 1, 0),
    ):
        by_data, by_noise = gain * alpha - of_data, gain * sigma - of_noise
        found.append((by_data * MEAN + shift) ** 2 + (by_data * STD) ** 2 + by_noise**2)
    return found


def interval(low, high, num=160):
    """Gauss–Legendre nodes and weights."""
    x, w = np.polynomial.legendre.leggauss(num)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def expected(sde, weighting, t_min, a, b):
    """Mean over uniform times, as an integral over t, log-SNR or log n = −log-SNR/2."""
    if weighting == "sigma2":
        t, w = interval(t_min, 1.0)
        value = squared_errors(sde, t, a, b)[0]
    else:
        # 1e-13 of signal is none.
        snr, w = interval(max(float(sde.log_snr(1.0)), -30.0), float(sde.log_snr(t_min)))
        on_noise, on_data = squared_errors(sde, sde.time_of_log_snr(snr), a, b)
        value = on_noise
        if weighting == "edm":
            n = np.exp(-snr / 2)
            density = stats.norm.pdf(np.log(n), -1.2, 1.2) / 2
            value = density * (n**2 + STD**2) / (n * STD) ** 2 * on_data
    return float(value @ w) / (1 - t_min)


def nodes(sde, times, t_min):
    """u, and weights of ∫ du, evenly in t or in log-SNR: the distribution of times by SciPy."""
    if times == "uniform":
        return interval(0.0, 1.0, 80)
    first, last = float(sde.log_snr(t_min)), max(float(sde.log_snr(1.0)), -2 * np.log(1e3))
    snr, w = interval(first, last, 80)
    if times == "log_snr":
        return (snr - first) / (last - first), w / (last - first)
    law = stats.norm(-1.2, 1.2)
    mass = law.cdf(-last / 2) - law.cdf(-first / 2)
    u = (law.cdf(-snr / 2) - law.cdf(-first / 2)) / mass
    return u, law.pdf(-snr / 2) / -2 * w / mass


def quadrature(sde, times, t_min):
    """A batch and its weights, whose weighted mean is the expectation over all that is drawn."""
    u, of_time = nodes(sde, times, t_min)
    # Two nodes are exact for squares.
    z = np.array([-1.0, 1.0])
    u, data, noise = (a.reshape(-1) for a in np.meshgrid(u, MEAN + STD * z, z, indexing="ij"))
    t, importance = time_samplers[times](sde, jnp.asarray(u), t_min)
    draws = Draws(data[:, None], t, importance, jnp.asarray(u), noise[:, None])
    return jax.tree.map(jnp.asarray, draws), jnp.asarray(np.repeat(of_time, 4) / 4 * len(u))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", NARROW)
def test_expected_loss_and_gradient_are_quadrature(name):
    """Of every weighting at every distribution of times; the least signal is 1e-6 of a part.

    What an example weighs by its time's density and by the weighting are two factors, whatever
    the SDE: all their pairs are of one SDE, and others have each factor once.
    """
    sde = sdes[name](**NARROW[name])
    t_min, params = float(sde.time_of_noise_to_signal(0.05)), {"a": 0.7, "b": -0.3}
    step = 1e-2
    alone = dict(zip(weightings, time_samplers, strict=True))
    for weighting in weightings:
        want = expected(sde, weighting, t_min, 0.7, -0.3)
        # Central differences of a square are exact.
        slope = [
            (expected(sde, weighting, t_min, 0.7 + da, -0.3 + db)
             - expected(sde, weighting, t_min, 0.7 - da, -0.3 - db)) / (2 * step)
            for da, db in ((step, 0), (0, step))
        ]  # fmt: skip
        for times in time_samplers if name == "vp" else [alone[weighting]]:
            drawn, weights = quadrature(sde, times, t_min)
            gradient = make_gradient(
                denoising(experiment(weighting=weighting, times=times), sde), 1
            )
            got, losses, by_params = gradient(params, drawn, weights, jax.random.key(0))
            note = f"{weighting}, {times}"
            assert_allclose(got, want, rtol=2e-5, err_msg=note)
            assert_allclose(np.mean(np.asarray(weights) * losses), got, rtol=1e-12)
            got = [by_params["a"], by_params["b"]]
            assert_allclose(got, slope, rtol=2e-5, atol=2e-5 * want, err_msg=note)


def test_a_batch_in_parts_is_the_batch():
    """Value, losses in the order of the examples, and gradient.

    Float32 sums of 12 terms of up to 10: a few times 12 · 6e-8 of them where they cancel.
    """
    objective = denoising(experiment())
    drawn = objective.draw(jax.random.key(0), Batch(jnp.linspace(-1, 1, 12)[:, None]))
    params, weights = {"a": 0.7, "b": -0.3}, jnp.arange(1.0, 13.0)
    once, parts = (
        jax.jit(make_gradient(objective, k))(params, drawn, weights, jax.random.key(1))
        for k in (1, 3)
    )
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), parts, once)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sde", "training", "words"),
    [
        (
            "vp",
            {"times": "log_normal", "t_min": 1e-5},
            ["2e+05", "takes edm", "log_snr or uniform"],
        ),
        ("subvp", {"times": "log_normal", "t_min": 1e-5}, ["3e+19", "takes edm"]),
        ("vp", {"times": "log_snr", "t_min": 0.0}, ["training.t_min: got 0", "later"]),
        ("vp", {"weighting": "likelihood", "t_min": 0.0}, ["inf", "edm or sigma2, or a later"]),
    ],
)
def test_an_objective_that_single_examples_decide_is_refused(sde, training, words):
    with pytest.raises(UserError) as error:
        check_weights(experiment(sde, **training), sdes[sde]())
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("sde", "fields"),
    [
        ("vp", {"t_min": 0.0}),
        ("vp", {"weighting": "likelihood", "t_min": 1e-5}),  # as published
        ("subvp", {"weighting": "likelihood", "t_min": 1e-5}),
        ("vp", {"weighting": "likelihood", "times": "log_snr", "t_min": 1e-5}),
        ("flow", {"weighting": "edm", "times": "log_normal", "t_min": 1e-3}),
    ],
)
def test_published_objectives_are_taken(sde, fields):
    check_weights(experiment(sde, **fields), sdes[sde]())


def test_points_are_not_flipped():
    with pytest.raises(UserError, match=r"data\.flip: got True, takes False"):
        check_flip(experiment(data={"flip": True}), (2,))


@pytest.mark.parametrize("sde", ["flow", "cosine"])
@pytest.mark.parametrize("name", ["noise", "scaled_score", "score", "ddpm_noise"])
def test_a_meaning_without_data_where_no_signal_is_left_is_refused(sde, name):
    with pytest.raises(UserError, match="takes data, edm, v, velocity"):
        check_parameterization(experiment(sde, parameterization=name), sdes[sde]())
