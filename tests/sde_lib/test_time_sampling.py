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
def test_weights_are_the_ratio_of_the_densities(sde):
    """ω = (uniform density)/(density of t): dt/du over the length of the interval."""

    @jax.jit
    def drawn(sde, u):
        found = {}
        for name in time_samplers:

            def time(u, name=name):
                return time_samplers[name](sde, u, T_MIN, T_MAX)

            (t, weight), (slope, _) = jax.jvp(time, (u,), (jnp.ones_like(u),))
            found[name] = t, weight, slope
        return found

    u = np.r_[0.0, (np.arange(50) + 0.5) / 50, 1.0]
    for name, (t, weight, slope) in jax.device_get(drawn(sde, u)).items():
        assert_allclose(t[[0, -1]], [T_MIN, T_MAX], err_msg=name)
        assert np.all(np.diff(t) > 0), name
        assert_allclose(weight[1:-1], slope[1:-1] / (T_MAX - T_MIN), rtol=1e-8, err_msg=name)


@float64
@every_sde
def test_log_snr_sampler_is_uniform_in_log_snr(sde):

    @jax.jit
    def drawn(sde, u, ends):
        t, weight = time_samplers["log_snr"](sde, u, T_MIN, T_MAX)
        return sde.log_snr(t), sde.log_snr(ends), weight * snr_decay(sde, t)

    levels, ends, decay = jax.device_get(
        drawn(sde, np.linspace(0, 1, 11), np.array([T_MIN, T_MAX]))
    )
    assert_allclose(levels, np.linspace(*ends, 11), rtol=1e-9, atol=1e-9)
    # Under likelihood weighting it is importance sampling: ω g²/σ² is the same everywhere.
    assert_allclose(decay * (T_MAX - T_MIN), ends[0] - ends[1], rtol=1e-8)


@float64
@every_sde
def test_log_normal_sampler_is_normal_in_log_noise(sde):
    """Quantiles of N(−1.2, 1.2²) cut to [log n(t_min), log n(t_max)], by SciPy."""

    @jax.jit
    def drawn(sde, u, ends):
        t, _ = time_samplers["log_normal"](sde, u, T_MIN, T_MAX)
        return sde.noise_to_signal(ends), sde.noise_to_signal(t)

    u = np.linspace(0.01, 0.99, 21)
    ends, levels = jax.device_get(drawn(sde, u, np.array([T_MIN, T_MAX])))
    low, high = np.log(ends)
    cut = stats.truncnorm((low + 1.2) / 1.2, (high + 1.2) / 1.2, loc=-1.2, scale=1.2)
    assert_allclose(np.log(levels), cut.ppf(u), rtol=1e-8, atol=1e-8)


@every_registered_sde
def test_times_and_weights_are_finite_to_the_end(sde):
    """Every sampler under every weighting, at u from 0 to 1 and t up to 1, in float32."""

    @jax.jit
    def all_weights(sde, u):
        t_min = sde.time_of_noise_to_signal(1e-3)
        t_min = jnp.where(t_min > 0, t_min, 1e-5)
        drawn = [time_samplers[name](sde, u, t_min) for name in time_samplers]
        t, importance = (jnp.stack(parts) for parts in zip(*drawn, strict=True))
        found = {"none": [t, importance]}
        for name in weightings:
            parts = [part.reshape(t.shape) for part in weightings[name](sde, t.ravel(), 0.5)]
            found[name] = [*parts, *(importance * part for part in parts)]
        return found

    for weighting, values in all_weights(sde, np.linspace(0, 1, 65, dtype=np.float32)).items():
        for of_samplers in zip(time_samplers, *values, strict=True):
            name, *numbers = of_samplers
            assert np.isfinite(numbers).all(), (name, weighting)
            assert np.min(numbers) >= 0, (name, weighting)


@float64
@pytest.mark.parametrize("sde", [Flow(), Cosine(), StraightPath()], ids=["flow", "cosine", "user"])
@pytest.mark.parametrize("name", ["log_snr", "log_normal"])
def test_what_is_left_out_without_a_signal_is_invisible(sde, name):
    """Times end at α/σ = 10⁻³, and ∫ ‖ε̂ − ε‖² dt of Gaussian data lacks 10⁻⁶ of it at most.

    ‖ε̂ − ε‖² = α² s²/(α² s² + σ²). The mean over u is taken by the normal score of u, where both
    distributions of times have no steep ends.
    """
    y = np.linspace(-8, 8, 4001)
    x, of_x = np.polynomial.legendre.leggauss(64)
    u, weights = stats.norm.cdf(y), stats.norm.pdf(y) * (y[1] - y[0])

    def least(t):
        signal = (0.5 * sde.alpha(t)) ** 2
        return signal / (signal + sde.sigma(t) ** 2)

    @jax.jit
    def integrands(u, x):
        t_min = sde.time_of_noise_to_signal(0.1)
        t, importance = time_samplers[name](sde, u, t_min)
        everywhere = least(t_min + (1 - t_min) * (x + 1) / 2) / 2
        return importance * least(t), everywhere, sde.noise_to_signal(t[-1])

    drawn, everywhere, last = jax.device_get(integrands(u, x))
    # 1 − u of 1e-15 has one digit of its own, a hundred times less than where log σ/α is cut.
    assert_allclose(last, 1e3, rtol=1e-4)
    assert_allclose(weights @ drawn, of_x @ everywhere, rtol=1e-6)


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
    endless = [(times, "likelihood") for times in ("uniform", "log_snr")]

    @jax.jit
    def every_weight(sde, flow):
        of_ve = {key: largest_weight(sde, *key, 0.0, 0.5) for key in most}
        return of_ve, {key: largest_weight(flow, *key, 0.0, 0.5) for key in endless}

    of_ve, of_flow = every_weight(sde, Flow())
    for key, want in most.items():
        # The peak lies between two of 1024 nodes, and the mean is by as many.
        assert_allclose(of_ve[key], want, rtol=1e-4)
    assert set(map(float, of_flow.values())) == {np.inf}


@float64
@pytest.mark.parametrize(("sde", "published"), [(VP(), 23.864), (SubVP(), 37.679)])
def test_normalisers_are_the_published_ones(sde, published):
    """Z = ∫ g²/σ² from 1e-5 to 1 of Song et al. 2021; the digits given."""

    @jax.jit
    def normalisers(sde, u):
        t, weight = time_samplers["log_snr"](sde, u, 1e-5)
        return weight * snr_decay(sde, t) * (1 - 1e-5)

    assert_allclose(normalisers(sde, np.array([0.2, 0.8])), published, atol=5e-4)


@every_sde
def test_in_float32(sde):
    """Times stay inside; times and weights are those of float64.

    log-SNR of up to 28 is rounded to 2e-6; its slope is 17 at least, and about 1/t for small t, so
    t is off by 1e-7 or by 2e-6 of itself. The weight, a power of t, follows.
    """
    u = np.linspace(0, 1, 201, dtype=np.float32)[:-1]

    @jax.jit
    def drawn(sde, u):
        return {name: time_samplers[name](sde, u, 1e-5, T_MAX) for name in time_samplers}

    ours = jax.device_get(drawn(sde, u))
    with jax.enable_x64(True):
        every_exact = jax.device_get(drawn(sde, u.astype(np.float64)))
    for name, (t, weight) in ours.items():
        assert t.dtype == weight.dtype == np.float32
        assert t.min() >= np.float32(1e-5)
        assert t.max() <= np.float32(T_MAX)
        exact, exact_weight = every_exact[name]
        assert_allclose(t, exact, rtol=2e-5, atol=1e-7, err_msg=name)
        assert_allclose(weight, exact_weight, rtol=1e-4, err_msg=name)


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
    u = np.asarray(jax.jit(jax.vmap(lambda key: sampler(key, 4)))(keys))
    for column in (0, 3):
        assert stats.kstest(u[:, column], "uniform").pvalue > 1e-4


def test_low_discrepancy_varies_less():
    """The mean of t² over 16 times: independent ones spread by √(4/45/16) = 0.075."""
    keys = jax.random.split(jax.random.key(8), 200)

    def spread_of(sampler):
        u = jax.jit(jax.vmap(lambda key: sampler(key, 16)))(keys)
        return np.std(np.mean(np.square(u), axis=1))

    spread = {sampler: spread_of(sampler) for sampler in (independent, low_discrepancy)}
    assert_allclose(spread[independent], 0.075, rtol=5 / np.sqrt(2 * 200))
    assert spread[low_discrepancy] < spread[independent] / 3
