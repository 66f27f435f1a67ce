"""Transition kernels, simulated paths and priors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sde_lib import VP, SubVP
from tests.cases import SDES, TIMES, every_sde


@jax.jit
def transition(sde, s, t):
    return sde.transition(s, t)


@jax.jit
def curves(sde, t):
    return sde.alpha(t), sde.sigma(t)


@jax.jit
def f_and_g(sde, t):
    return sde.drift_coefficient(t), sde.diffusion(t)


@pytest.mark.usefixtures("float64")
@every_sde
def test_transitions_compose(sde):
    """Chapman–Kolmogorov: s → r → t is s → t, and 0 → s → t has the marginal's α and σ."""
    s, r, t = TIMES[:-2], TIMES[1:-1], TIMES[2:]
    first, second, whole = (
        jax.device_get(transition(sde, *times)) for times in ((s, r), (r, t), (s, t))
    )
    (alpha_s, sigma_s), (alpha_t, sigma_t) = (jax.device_get(curves(sde, time)) for time in (s, t))
    # 1e-12: rounding of log-SNR, 1e-15 of up to 14, with a margin.
    assert_allclose(second.alpha * first.alpha, whole.alpha, rtol=1e-12)
    assert_allclose(second.alpha**2 * first.variance + second.variance, whole.variance, rtol=1e-12)
    assert_allclose(whole.alpha * alpha_s, alpha_t, rtol=1e-12)
    assert_allclose(whole.alpha**2 * sigma_s**2 + whole.variance, sigma_t**2, rtol=1e-12)
    assert_allclose(whole.fraction, whole.variance / sigma_t**2, rtol=1e-12)


@pytest.mark.usefixtures("float64")
@every_sde
def test_short_transition_is_the_sde(sde):
    """α_{t|s} = 1 + f Δ, σ²_{t|s} = g² Δ to first order in Δ = t − s; the errors are O(Δ²)."""
    step = 1e-6
    kernel = jax.device_get(transition(sde, TIMES, TIMES + step))
    f, g = jax.device_get(f_and_g(sde, TIMES))
    # 3e-3: Δ times the logarithmic slopes of f and g, at most 1/t = 1e3 at the first time.
    assert_allclose((kernel.alpha - 1) / step, f, rtol=3e-3)
    assert_allclose(kernel.variance / step, g**2, rtol=3e-3)


@every_sde
def test_transition_in_float32(sde):
    """Short steps keep their digits.

    The variance comes from a difference of two log-SNRs of size up to 14, rounded to 1e-6 each,
    which is at least 6e-3 here: 3e-4.
    """
    t = np.linspace(0.01, 0.98, 30).astype(np.float32)
    s = (t - np.float32(1e-3)).astype(np.float32)
    ours = transition(sde, s, t)
    with jax.enable_x64(True):
        exact = transition(sde, s.astype(np.float64), t.astype(np.float64))
    for value, truth in zip(ours, exact, strict=True):
        assert_allclose(value, truth, rtol=3e-4)


def test_transition_to_a_time_without_signal():
    """α(1) = 0: all of x_s is forgotten."""
    kernel = SDES["user"].transition(0.3, 1.0)
    assert_allclose(kernel, (0.0, 1.3**2, 1.0), rtol=1e-6)


@every_sde
def test_simulated_moments(sde):
    """Mean, variance and covariance in time of 4000 paths, within five standard errors.

    Five: one failure in 10⁶ statistics if the paths are right, and the key is fixed.
    """
    num, mean, std = 4000, 0.8, 0.3
    times = jnp.array([0.05, 0.2, 0.5, 0.9])
    key_data, key_noise, key_path = jax.random.split(jax.random.key(0), 3)

    @jax.jit
    def simulated(sde, times):
        data = mean + std * jax.random.normal(key_data, (num, 2))
        start = sde.perturb(data, times[0], jax.random.normal(key_noise, data.shape))
        return start, sde.simulate(key_path, start, times)

    start, path = (np.asarray(part, np.float64) for part in simulated(sde, times))
    assert path.shape == (4, num, 2)
    assert_allclose(path[0], start)

    alpha, sigma = map(np.asarray, curves(sde, times))
    variance = alpha**2 * std**2 + sigma**2
    for i, x in enumerate(path):
        assert_allclose(x.mean(), alpha[i] * mean, atol=5 * np.sqrt(variance[i] / x.size))
        assert_allclose(x.var(), variance[i], rtol=5 * np.sqrt(2 / x.size))
    for i in range(3):
        kept = alpha[i + 1] / alpha[i] * variance[i]
        covariance = np.mean((path[i] - path[i].mean()) * (path[i + 1] - path[i + 1].mean()))
        # The variance of a sample covariance of Gaussians is (v_i v_j + c²)/n.
        error = np.sqrt((variance[i] * variance[i + 1] + kept**2) / path[0].size)
        assert_allclose(covariance, kept, atol=5 * error)


@every_sde
def test_prior_density_is_that_of_scipy(sde):
    x = np.array(3 * np.random.default_rng(0).normal(size=(4, 3, 2)), np.float32)
    std = float(sde.prior_std())
    ours = sde.prior_log_prob(jnp.asarray(x))
    # A few float32 roundings of a sum of six terms.
    assert_allclose(ours, stats.norm(0, std).logpdf(x).sum((1, 2)), rtol=1e-5)


@every_sde
def test_prior_stands_for_the_end(sde):
    """prior_std² is within e^{−B(1)} = 4.3e-5 of σ(1)² (α(1)² for those of linear β)."""
    assert_allclose(sde.prior_std() ** 2, sde.sigma(1.0) ** 2, rtol=1e-4)


@every_sde
def test_prior_samples(sde):
    draws = np.asarray(sde.prior_sample(jax.random.key(1), (4000, 2)), np.float64)
    std = float(sde.prior_std())
    assert_allclose(draws.mean(), 0, atol=5 * std / np.sqrt(draws.size))
    assert_allclose(draws.var(), std**2, rtol=5 * np.sqrt(2 / draws.size))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("sde", [VP(), SubVP()], ids=["vp", "subvp"])
def test_beta_is_the_slope_of_its_integral(sde):

    @jax.jit
    def run(t):
        slope = jax.vmap(jax.grad(sde.integrated_beta))(t)
        return slope, sde.beta(t), sde.time_of_integrated_beta(sde.integrated_beta(t))

    slope, beta, back = run(TIMES)
    assert_allclose(slope, beta, rtol=1e-12)
    assert_allclose(back, TIMES, rtol=1e-12)
    flat = type(sde)(beta_min=0.0)
    assert_allclose(flat.time_of_integrated_beta(jnp.array([0.0, 10.0])), [0.0, 1.0], atol=1e-15)


@pytest.mark.usefixtures("float64")
@every_sde
def test_discrete_steps_tend_to_the_sde(sde):
    """The published kernel of one of N steps is 1 + f/N and g²/N, with an error of O(1/N).

    VE's variance σ_i² − σ_{i−1}² ends at σ_i with i = ⌊t (N − 1)⌋, so it is off by up to a step.
    """
    times = TIMES[2:]
    errors, scales = [], (1000, 2000, 4000, 100_000)

    @jax.jit
    def every_step(sde, t):
        return [sde.discrete_transition(t, num_scales=num) for num in scales]

    f, g = jax.device_get(f_and_g(sde, times))
    for num_scales, step in zip(scales, jax.device_get(every_step(sde, times)), strict=True):
        gain = (step.alpha - 1) * num_scales - f
        spread = step.variance * num_scales / g**2 - 1
        errors.append(max(np.abs(gain).max(), np.abs(spread).max()))
    # The first constant: (f² + |log g²|')/N ≤ (100 + 20)/1000 at β = 20; then it goes as 1/N.
    assert errors[0] < 0.15
    assert errors[-1] < 0.15 / 80


@pytest.mark.parametrize("num_scales", [25, 100, 1000])
def test_published_fractions_are_fractions(num_scales):
    """DDPM's β_i of the variance that the step reaches, 1 at first; below 1 needs N > β_max."""
    t = np.linspace(0, 1, 41, dtype=np.float32)
    step = jax.jit(lambda t: VP().discrete_transition(t, num_scales=num_scales))
    fraction = np.asarray(step(t).fraction)
    assert np.all((fraction > 0) & (fraction <= 1))
    assert fraction[0] == 1


@pytest.mark.parametrize("sde", [VP(beta_max=80.0), SubVP(beta_max=80.0)])
def test_time_of_the_least_log_snr_is_the_end(sde):
    assert sde.time_of_log_snr(jnp.array(-jnp.inf)) == 1
