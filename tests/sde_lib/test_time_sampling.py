"""Training times and their importance weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sde_lib import VE, VP, Cosine, Flow, SubVP, time_samplers, weightings
from sde_lib.loss import largest_weight
from sde_lib.time_sampling import independent, low_discrepancy, snr_decay
from tests.cases import every_registered_sde, every_sde
from tests.user_sde import StraightPath

float64 = pytest.mark.usefixtures("float64")
T_MIN, T_MAX = 1e-3, 0.98


@float64
@every_sde
@pytest.mark.parametrize("name", list(time_samplers))
def test_weights_are_the_ratio_of_the_densities(sde, name):
    """ω = (uniform density)/(density of t): dt/du over the length of the interval."""
    u = (jnp.arange(50) + 0.5) / 50

    def time(u):
        return time_samplers[name](sde, u, T_MIN, T_MAX)[0]

    t, weight = time_samplers[name](sde, u, T_MIN, T_MAX)
    assert_allclose(
        time_samplers[name](sde, jnp.array([0.0, 1.0]), T_MIN, T_MAX)[0], [T_MIN, T_MAX]
    )
    assert jnp.all(jnp.diff(t) > 0)
    assert_allclose(weight, jax.vmap(jax.grad(time))(u) / (T_MAX - T_MIN), rtol=1e-8)


@float64
@every_sde
def test_log_snr_sampler_is_uniform_in_log_snr(sde):
    u = jnp.linspace(0, 1, 11)
    t, weight = time_samplers["log_snr"](sde, u, T_MIN, T_MAX)
    ends = sde.log_snr(T_MIN), sde.log_snr(T_MAX)
    assert_allclose(sde.log_snr(t), jnp.linspace(*ends, 11), rtol=1e-9, atol=1e-9)
    # Under likelihood weighting it is importance sampling: ω g²/σ² is the same everywhere.
    total = weight * snr_decay(sde, t) * (T_MAX - T_MIN)
    assert_allclose(total, ends[0] - ends[1], rtol=1e-8)


@float64
@every_sde
def test_log_normal_sampler_is_normal_in_log_noise(sde):
    """Quantiles of N(−1.2, 1.2²) cut to [log n(t_min), log n(t_max)], by SciPy."""
    low, high = np.log(sde.noise_to_signal(jnp.array([T_MIN, T_MAX])))
    cut = stats.truncnorm((low + 1.2) / 1.2, (high + 1.2) / 1.2, loc=-1.2, scale=1.2)
    u = np.linspace(0.01, 0.99, 21)
    t, _ = time_samplers["log_normal"](sde, jnp.asarray(u), T_MIN, T_MAX)
    assert_allclose(np.log(sde.noise_to_signal(t)), cut.ppf(u), rtol=1e-8, atol=1e-8)


@every_registered_sde
def test_times_and_weights_are_finite_to_the_end(sde):
    """Every sampler under every weighting, at u from 0 to 1 and t up to 1, in float32."""
    t_min = float(sde.time_of_noise_to_signal(1e-3)) or 1e-5
    u = jnp.linspace(0, 1, 65)

    @jax.jit
    def all_weights(sde):
        found = {}
        for name in time_samplers:
            t, importance = time_samplers[name](sde, u, t_min)
            found[name] = [t, importance]
            for weighting in weightings:
                for part in weightings[weighting](sde, t, 0.5):
                    found[f"{name}, {weighting}"] = [part, importance * part]
        return found

    for name, values in all_weights(sde).items():
        assert np.isfinite(values).all(), name
        assert np.min(values) >= 0, name


@float64
@pytest.mark.parametrize("sde", [Flow(), Cosine(), StraightPath()], ids=["flow", "cosine", "user"])
@pytest.mark.parametrize("name", ["log_snr", "log_normal"])
def test_what_is_left_out_without_a_signal_is_invisible(sde, name):
    """Times end at α/σ = 10⁻³, and ∫ ‖ε̂ − ε‖² dt of Gaussian data lacks 10⁻⁶ of it at most.

    ‖ε̂ − ε‖² = α² s²/(α² s² + σ²). The mean over u is taken by the normal score of u, where both
    distributions of times have no steep ends.
    """
    t_min, y = float(sde.time_of_noise_to_signal(0.1)), np.linspace(-8, 8, 4001)
    u, weights = stats.norm.cdf(y), stats.norm.pdf(y) * (y[1] - y[0])

    def least(t):
        signal = (0.5 * sde.alpha(t)) ** 2
        return np.asarray(signal / (signal + sde.sigma(t) ** 2))

    t, importance = time_samplers[name](sde, jnp.asarray(u), t_min)
    # 1 − u of 1e-15 has one digit of its own, a hundred times less than where log σ/α is cut.
    assert_allclose(sde.noise_to_signal(t[-1]), 1e3, rtol=1e-4)
    x, of_x = np.polynomial.legendre.leggauss(64)
    whole = of_x @ least(t_min + (1 - t_min) * (x + 1) / 2) / 2
    assert_allclose(weights @ (importance * least(t)), whole, rtol=1e-6)


@float64
def test_the_largest_weight_is_that_of_the_densities():
    """Under VE, whose log σ is linear in t: quotients of the normal density and a constant one."""
    sde, law = VE(), stats.norm(-1.2, 1.2)
    low, high = np.log(0.01), np.log(50.0)
    mass, span = law.cdf(high) - law.cdf(low), high - low
    most = {
        ("uniform", "sigma2"): 1.0,
        ("log_normal", "edm"): 1.0,
        ("log_normal", "sigma2"): mass / (law.pdf(high) * span),
        ("uniform", "edm"): law.pdf(-1.2) * span / mass,
    }
    for (times, weighting), want in most.items():
        # The peak lies between two of 1024 nodes, and the mean is by as many.
        assert_allclose(largest_weight(sde, times, weighting, 0.0, 0.5), want, rtol=1e-4)
    for times in ("uniform", "log_snr"):
        assert largest_weight(Flow(), times, "likelihood", 0.0, 0.5) == np.inf


@float64
@pytest.mark.parametrize(("sde", "published"), [(VP(), 23.864), (SubVP(), 37.679)])
def test_normalisers_are_the_published_ones(sde, published):
    """Z = ∫ g²/σ² from 1e-5 to 1 of Song et al. 2021; the digits given."""
    t, weight = time_samplers["log_snr"](sde, jnp.array([0.2, 0.8]), 1e-5)
    assert_allclose(weight * snr_decay(sde, t) * (1 - 1e-5), published, atol=5e-4)


@every_sde
@pytest.mark.parametrize("name", list(time_samplers))
def test_in_float32(sde, name):
    """Times stay inside; times and weights are those of float64.

    log-SNR of up to 28 is rounded to 2e-6; its slope is 17 at least, and about 1/t for small t, so
    t is off by 1e-7 or by 2e-6 of itself. The weight, a power of t, follows.
    """
    u = np.linspace(0, 1, 201, dtype=np.float32)[:-1]
    t, weight = time_samplers[name](sde, jnp.asarray(u), 1e-5, T_MAX)
    assert t.dtype == weight.dtype == jnp.float32
    assert t.min() >= np.float32(1e-5)
    assert t.max() <= np.float32(T_MAX)
    with jax.enable_x64(True):
        exact, exact_weight = time_samplers[name](sde, jnp.asarray(u, float), 1e-5, T_MAX)
    assert_allclose(t, exact, rtol=2e-5, atol=1e-7)
    assert_allclose(weight, exact_weight, rtol=1e-4)


@pytest.mark.parametrize("num", [1, 5, 64])
def test_low_discrepancy_has_one_time_in_each_stratum(num):
    for seed in range(5):
        u = np.asarray(low_discrepancy(jax.random.key(seed), num), np.float64)
        assert u.shape == (num,)
        assert u.min() >= 0
        assert u.max() < 1
        assert_allclose(np.sort(np.floor(u * num + 1e-5)) % num, np.arange(num))


@pytest.mark.parametrize("sampler", [independent, low_discrepancy])
def test_every_u_is_uniform(sampler):
    """The first and the last of 4 over 500 keys, by a Kolmogorov–Smirnov test at 1e-4."""
    keys = jax.random.split(jax.random.key(7), 500)
    u = np.asarray(jax.vmap(lambda key: sampler(key, 4))(keys))
    for column in (0, 3):
        assert stats.kstest(u[:, column], "uniform").pvalue > 1e-4


def test_low_discrepancy_varies_less():
    """The mean of t² over 16 times: independent ones spread by √(4/45/16) = 0.075."""
    keys = jax.random.split(jax.random.key(8), 200)
    spread = {
        sampler: float(jnp.std(jax.vmap(lambda key, s=sampler: jnp.mean(s(key, 16) ** 2))(keys)))
        for sampler in (independent, low_discrepancy)
    }
    assert_allclose(spread[independent], 0.075, rtol=5 / np.sqrt(2 * 200))
    assert spread[low_discrepancy] < spread[independent] / 3
