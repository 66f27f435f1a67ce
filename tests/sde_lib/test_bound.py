"""The bound that learns an SDE: its value, its gradients and what they lead to, in closed form."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose

from sde_lib import VP, Gaussian, LearnedLogSNR, denoising_loss, variational_bound
from tests.cases import line_mixture

STD = 0.7
LINE = Gaussian.isotropic(1, STD)
PIECES = 4
LEARNED = LearnedLogSNR(log_snr_max=7.0, log_snr_min=-5.0, increments=(0.3, -0.5, 0.1, 0.4))
CASES = {
    "learned": (LEARNED, ("log_snr_max", "log_snr_min", "increments"), 0.0),
    # Both ends and the interior move with each.
    "vp": (VP(beta_min=0.2, beta_max=12.0), ("beta_min", "beta_max"), 0.05),
}
every_case = pytest.mark.parametrize(("sde", "names", "t_min"), CASES.values(), ids=list(CASES))


def replaced(sde, values):
    return dataclasses.replace(sde, **values)


def chosen(sde, names):
    """The fields of an SDE as arrays, by name."""
    return {name: jnp.asarray(getattr(sde, name), dtype=float) for name in names}


def legendre(start, end, pieces=PIECES, order=24):
    """Nodes and weights of the mean over [start, end], of what is smooth on equal pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    edges = np.linspace(start, end, pieces + 1)
    middles, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    return (middles[:, None] + halves[:, None] * nodes).ravel(), np.tile(
        weights / 2, pieces
    ) / pieces


def draws(t_min):
    """(data, t, noise, weights) whose weighted sum is the exact mean over all three on the line."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    times, parts = legendre(t_min, 1.0)
    data, noise, t = np.meshgrid(STD * nodes, nodes, times, indexing="ij")
    both = np.einsum("i,j,k->ijk", weights, weights, parts) / weights.sum() ** 2
    return *(jnp.asarray(a.ravel()) for a in (data, t, noise)), jnp.asarray(both.ravel())


def mse(log_snr):
    """E(ε − ε̂)² of `LINE`."""
    return jax.nn.sigmoid(log_snr + 2 * math.log(STD))


def bound_of_ends(start, end):
    """The bound of `LINE` in closed form: the integral of the mse is log(1 + s²e^λ)."""
    log_total = [jax.nn.softplus(end + 2 * math.log(STD)) for end in (start, end)]
    ends = (1 + math.log(2 * math.pi) - start) / 2 + STD**2 * jnp.exp(end) / 2
    return ends + (log_total[0] - log_total[1]) / 2


@every_case
@pytest.mark.usefixtures("float64")
def test_ends_learn_by_the_bound_and_the_interior_by_the_variance(sde, names, t_min):
    """Against both in closed form: a Gaussian's E(ε − ε̂)⁴ is 3 mse²."""
    data, t, noise, weights = draws(t_min)
    times, parts = legendre(t_min, 1.0)

    def ours(values):
        here = replaced(sde, values)
        terms = variational_bound(here, LINE.model, data[:, None], t, noise[:, None], t_min=t_min)
        return weights @ terms.total

    def ends(values):
        here = replaced(sde, values)
        return bound_of_ends(here.log_snr(t_min), here.log_snr(1.0))

    def second_moment(values):
        here = replaced(sde, values)
        start, end = here.log_snr(t_min), here.log_snr(1.0)
        fixed = sde.log_snr(t_min), sde.log_snr(1.0)

        def curve(t):
            share = (start - here.log_snr(t)) / (start - end)
            return fixed[0] - (fixed[0] - fixed[1]) * share

        decay = -jax.vmap(jax.grad(curve))(jnp.asarray(times))
        losses = (1 - t_min) ** 2 * decay**2 * 3 * mse(curve(times)) ** 2 / 4
        return parts @ losses

    values = chosen(sde, names)
    value, slope = jax.jit(jax.value_and_grad(ours))(values)
    assert_allclose(value, ends(values), rtol=1e-9)
    by_both = jax.jit(jax.grad(lambda values: ends(values) + second_moment(values)))
    expected = by_both(values)
    for name in names:
        assert_allclose(slope[name], expected[name], rtol=1e-7)


@pytest.mark.usefixtures("float64")
def test_the_network_learns_by_the_likelihood_weighting():
    """The gradient by the model is that of ½ (1 − t_min) times the denoising loss."""
    data, t, noise, weights = draws(0.0)
    data, noise = data[:, None], noise[:, None]

    def by_bound(variance):
        model = dataclasses.replace(LINE, eigenvalues=variance).model
        return weights @ variational_bound(LEARNED, model, data, t, noise, t_min=0.0).total

    def by_denoising(variance):
        model = dataclasses.replace(LINE, eigenvalues=variance).model(LEARNED)
        options = {"weighting": "likelihood", "data_std": STD}
        return weights @ denoising_loss(LEARNED, model, data, t, noise, **options) / 2

    off = jnp.array([0.3])
    slopes = (jax.jit(jax.grad(loss))(off) for loss in (by_bound, by_denoising))
    assert_allclose(*slopes, rtol=1e-9)


INTERIORS = {
    "log-SNR linear": (0.0,) * 16,
    "early": tuple(np.linspace(1.5, -1.5, 16)),
    "in the middle": tuple(-0.05 * (np.arange(16) - 7.5) ** 2),
}


def test_the_bound_of_a_mixture_does_not_depend_on_the_interior():
    """Three interiors, and the integral over log-SNR, within 2 standard errors of each other."""
    oracle, num = line_mixture(), 40_000
    keys = jax.random.split(jax.random.key(5), 3)

    @jax.jit
    def estimate(sde, key):
        data_key, time_key, noise_key = jax.random.split(key, 3)
        data = oracle.sample(data_key, (num, 1))
        t, noise = jax.random.uniform(time_key, (num,)), jax.random.normal(noise_key, (num, 1))
        losses = variational_bound(sde, oracle.model, data, t, noise, t_min=0.0).diffusion
        return jnp.mean(losses), jnp.std(losses) / math.sqrt(num)

    found = []
    for key, increments in zip(keys, INTERIORS.values(), strict=True):
        sde = LearnedLogSNR(log_snr_max=7.0, log_snr_min=-5.0, increments=increments)
        found.append([float(number) for number in estimate(sde, key)])
    log_snr, parts = legendre(-5.0, 7.0)
    square, _ = moments(log_snr)
    found.append([12 * parts @ square / 2, 0.0])
    for i, (mean, error) in enumerate(found):
        for other, its_error in found[:i]:
            assert abs(mean - other) < 2 * math.hypot(error, its_error)


def test_the_best_interior_for_gaussian_data():
    """log(1 + s²e^λ) linear in t: ℓ is its mean times χ²_D/D, of variance 2/D."""
    dim, num, pieces = 4, 40_000, 512
    log_total = np.linspace(*np.logaddexp(0, np.array([7.0, -5.0]) + 2 * math.log(STD)), pieces + 1)
    knots = np.log(np.expm1(log_total)) - 2 * math.log(STD)
    increments = np.log(-np.diff(knots)).astype(np.float32)
    sde = LearnedLogSNR(log_snr_max=7.0, log_snr_min=-5.0, increments=increments)
    oracle = Gaussian.isotropic(dim, STD)

    @jax.jit
    def drawn(sde, key):
        data_key, time_key, noise_key = jax.random.split(key, 3)
        data, noise = oracle.sample(data_key, (num, dim)), jax.random.normal(noise_key, (num, dim))
        t = jax.random.uniform(time_key, (num,))
        return variational_bound(sde, oracle.model, data, t, noise, t_min=0.0).diffusion

    losses = np.asarray(drawn(sde, jax.random.key(6)))
    mean = (log_total[0] - log_total[-1]) / 2
    # χ²_D/D has a fourth central moment of 12/D² (1 + 4/D); 4 standard errors.
    error = math.sqrt((12 / dim**2 * (1 + 4 / dim) - (2 / dim) ** 2) / num)
    assert abs(losses.mean() / mean - 1) < 4 * math.sqrt(2 / dim / num)
    assert abs(losses.var() / mean**2 - 2 / dim) < 4 * error


def moments(log_snr):
    """E(ε − ε̂)² and E(ε − ε̂)⁴ of the line's mixture at log-SNRs, by quadrature."""
    oracle = line_mixture()
    sde = LearnedLogSNR(log_snr_max=20.0, log_snr_min=-20.0, increments=(0.0,))
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    weights = weights / weights.sum()
    data = (np.asarray(oracle.means) + np.asarray(oracle.stds)[:, None] * nodes).ravel()
    shares = (np.asarray(oracle.weights)[:, None] * weights).ravel()
    data, noise = (a.reshape(-1, 1) for a in np.meshgrid(data, nodes, indexing="ij"))
    both = np.outer(shares, weights).ravel()

    @jax.jit
    def at(log_snr):
        t = sde.time_of_log_snr(log_snr)
        error = oracle.predict(sde, sde.perturb(data, t, noise), t).noise - noise
        return both @ error[:, 0] ** 2, both @ error[:, 0] ** 4

    return np.asarray([at(value) for value in log_snr], float).T


def test_the_learned_interior_has_the_least_variance():
    """Within 5 % of (½ ∫ m dγ)² − (½ ∫ mse dγ)², which no interior is below."""
    oracle, start, end, num = line_mixture(), 7.0, -5.0, 512
    pieces, steps = 48, 600
    first = LearnedLogSNR(log_snr_max=start, log_snr_min=end, increments=(0.0,) * pieces)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, steps))

    def mean(increments, key):
        data_key, time_key, noise_key = jax.random.split(key, 3)
        data = oracle.sample(data_key, (num, 1))
        t, noise = jax.random.uniform(time_key, (num,)), jax.random.normal(noise_key, (num, 1))
        sde = replaced(first, {"increments": increments})
        return variational_bound(sde, oracle.model, data, t, noise, t_min=0.0).total.mean()

    def step(state, key):
        increments, moments = state
        updates, moments = optimizer.update(jax.grad(mean)(increments, key), moments)
        return (increments + updates, moments), None

    @jax.jit
    def learn(increments, key):
        state = increments, optimizer.init(increments)
        return jax.lax.scan(step, state, jax.random.split(key, steps))[0][0]

    log_snr, parts = legendre(end, start, pieces=16, order=12)
    square, fourth = moments(log_snr)
    middle = (start - end) * parts @ square / 2
    least = ((start - end) * parts @ np.sqrt(fourth) / 2) ** 2 - middle**2

    def variance(increments):
        """That of ℓ: ¼ Σ (slope of a piece) ∫ m² dγ over it, less the mean squared."""
        sde = replaced(first, {"increments": increments})
        knots = np.asarray(sde.log_snr(jnp.linspace(0, 1, pieces + 1)), float)
        fine = np.linspace(end, start, 4001)
        dense = np.interp(fine, log_snr, fourth)
        below = np.append(0, np.cumsum((dense[1:] + dense[:-1]) / 2)) * (fine[1] - fine[0])
        areas = -np.diff(np.interp(knots, fine, below))
        return pieces * -np.diff(knots) @ areas / 4 - middle**2

    learned = learn(jnp.zeros(pieces), jax.random.key(0))
    assert variance(jnp.zeros(pieces)) > 1.2 * least
    assert least < variance(learned) < 1.05 * least
