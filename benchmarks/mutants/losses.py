"""Wrong programs of losses, of their weights and of the times they are taken at."""

from benchmarks.mutants import Mutant

_ADAPTIVE_WEIGHTING = "tests/sde_lib/test_adaptive_weighting.py::"
_BOUND = "tests/sde_lib/test_bound.py::"
_GOLDEN_LOSS = "tests/sde_lib/test_golden_loss.py::"
_LOSS = "tests/sde_lib/test_loss.py::"
_TIME_SAMPLING = "tests/sde_lib/test_time_sampling.py::"

_BY_BOTH = _BOUND + "test_ends_learn_by_the_bound_and_the_interior_by_the_variance[vp]"

MUTANTS: list[Mutant] = [
    Mutant(
        "an interior that learns by the bound",
        "sde_lib/bound.py",
        "_Curve(*(2 * values * slope for slope in by_ends))",
        "by_ends",
        (_BY_BOTH,),
    ),
    Mutant(
        "ends that learn by the variance",
        "sde_lib/bound.py",
        "return by_ends, _Curve(",
        "return _Curve(*(2 * values * slope for slope in by_ends)), _Curve(",
        (_BY_BOTH,),
    ),
    Mutant(
        "a learned curve that the network does not see move",
        "sde_lib/bound.py",
        "(curve.log_snr - still.log_snr) / still.decay",
        "(still.log_snr - still.log_snr) / still.decay",
        (_BY_BOTH,),
    ),
    Mutant(
        "a prior of unit log-SNR",
        "sde_lib/bound.py",
        "prior=jnp.exp(end) * squares / 2",
        "prior=squares / 2",
        (_BY_BOTH,),
    ),
    Mutant(
        "log-normal times about +1.2",
        "sde_lib/time_sampling.py",
        "_LOG_NORMAL_STD = -1.2, 1.2",
        "_LOG_NORMAL_STD = 1.2, 1.2",
        (_TIME_SAMPLING + "test_log_normal_sampler_is_normal_in_log_noise[vp]",),
    ),
    Mutant(
        "log-normal times of log-SNR, not log σ/α",
        "sde_lib/time_sampling.py",
        "sde.time_of_log_snr(-2 * log_noise)",
        "sde.time_of_log_snr(-log_noise)",
        (_TIME_SAMPLING + "test_log_normal_sampler_is_normal_in_log_noise[vp]",),
    ),
    Mutant(
        "importance upside down",
        "sde_lib/time_sampling.py",
        "return t, 1 / (density * (t_max - t_min))",
        "return t, density * (t_max - t_min)",
        (_TIME_SAMPLING + "test_weights_are_the_ratio_of_the_densities[vp]",),
    ),
    Mutant(
        "importance without the interval",
        "sde_lib/time_sampling.py",
        "return t, 1 / (density * (t_max - t_min))",
        "return t, 1 / density",
        (_TIME_SAMPLING + "test_weights_are_the_ratio_of_the_densities[vp]",),
    ),
    Mutant(
        "log-normal importance without what was cut off",
        "sde_lib/time_sampling.py",
        "return t, (end - start) / (log_normal_density",
        "return t, 1 / (log_normal_density",
        (_TIME_SAMPLING + "test_weights_are_the_ratio_of_the_densities[vp]",),
    ),
    Mutant(
        "times up to where log-SNR is infinite",
        "sde_lib/time_sampling.py",
        "jnp.where(jnp.isfinite(sde.log_snr(t_max)), t_max, least)",
        "t_max + 0 * least",
        (_TIME_SAMPLING + "test_times_and_weights_are_finite_to_the_end[flow]",),
    ),
    Mutant(
        "times that end where there is signal",
        "sde_lib/time_sampling.py",
        "_MIN_SIGNAL = 1e-3",
        "_MIN_SIGNAL = 0.1",
        (_TIME_SAMPLING + "test_what_is_left_out_without_a_signal_is_invisible[log_snr-flow]",),
    ),
    Mutant(
        "strata that do not fill the interval",
        "sde_lib/time_sampling.py",
        "jnp.arange(num) / num",
        "jnp.arange(num) / (num + 1)",
        (_TIME_SAMPLING + "test_low_discrepancy_has_one_time_in_each_stratum[5]",),
    ),
    Mutant(
        "strata without a common shift",
        "sde_lib/time_sampling.py",
        "(jax.random.uniform(key, ()) + jnp.arange(num) / num)",
        "(0.5 / num + jnp.arange(num) / num)",
        (_TIME_SAMPLING + "test_every_u_is_uniform[low_discrepancy]",),
    ),
    Mutant(
        "g/σ for its square",
        "sde_lib/time_sampling.py",
        "(sde.diffusion(t) / sde.sigma(t)) ** 2",
        "sde.diffusion(t) / sde.sigma(t)",
        (_LOSS + "test_likelihood_weighting_is_g_squared_on_the_score[vp]",),
    ),
    Mutant(
        "edm's weight of data without σ_d",
        "sde_lib/loss.py",
        "return q, q / data_std**2",
        "return q, q",
        (_LOSS + "test_edm_weighting_is_that_of_edm[vp]",),
    ),
    Mutant(
        "likelihood's weight of data without σ_d",
        "sde_lib/loss.py",
        "return rho, rho / data_std**2",
        "return rho, rho",
        (_LOSS + "test_likelihood_weighting_is_g_squared_on_the_score[vp]",),
    ),
    Mutant(
        "likelihood infinite where no signal is left",
        "sde_lib/loss.py",
        "rho = jnp.where(alpha > 0, snr_decay(sde, t) * share, 0.0)",
        "rho = snr_decay(sde, t) * share",
        (_TIME_SAMPLING + "test_times_and_weights_are_finite_to_the_end[flow]",),
    ),
    Mutant(
        "noise's weight on the data",
        "sde_lib/loss.py",
        "expand(on_data, data) * (predicted.data - data) ** 2",
        "expand(on_noise, data) * (predicted.data - data) ** 2",
        (_LOSS + "test_edm_weighting_is_that_of_edm[vp]",),
    ),
    Mutant(
        "a sum over the dimensions",
        "sde_lib/loss.py",
        "/ math.prod(data.shape[1:])",
        "* 1.0",
        (_GOLDEN_LOSS + "test_continuous[0-vp]",),
    ),
    Mutant(
        "the largest weight that leaves out u = 1",
        "sde_lib/loss.py",
        "jnp.linspace(0.0, 1.0, _NODES)",
        "jnp.linspace(0.0, 0.99, _NODES)",
        (_TIME_SAMPLING + "test_the_largest_weight_is_that_of_the_densities",),
    ),
    Mutant(
        "adaptive weights upside down",
        "sde_lib/adaptive_weighting.py",
        "mean / jnp.maximum(state.means, floor)",
        "jnp.maximum(state.means, floor) / mean",
        (_ADAPTIVE_WEIGHTING + "test_the_weighted_loss_is_the_same_in_every_bin",),
    ),
    Mutant(
        "adaptive weights that never forget",
        "sde_lib/adaptive_weighting.py",
        "counts = decay * state.counts + num",
        "counts = state.counts + num",
        (_ADAPTIVE_WEIGHTING + "test_means_are_those_of_the_discounted_losses",),
    ),
    Mutant(
        "bins of another width",
        "sde_lib/adaptive_weighting.py",
        "(u * bins).astype(jnp.int32)",
        "(u * (bins - 1)).astype(jnp.int32)",
        (_ADAPTIVE_WEIGHTING + "test_means_are_those_of_the_discounted_losses",),
    ),
    Mutant(
        "gradients through the running losses",
        "sde_lib/adaptive_weighting.py",
        "sums_by_bin(u, jax.lax.stop_gradient(losses), len(state.means))",
        "sums_by_bin(u, losses, len(state.means))",
        (_ADAPTIVE_WEIGHTING + "test_no_gradient_passes",),
    ),
    Mutant(
        "DDPM's table with ᾱ for its root",
        "sde_lib/discrete.py",
        "alphas=jnp.exp(log_survival / 2)",
        "alphas=jnp.exp(log_survival)",
        (_GOLDEN_LOSS + "test_discrete[vp]",),
    ),
    Mutant(
        "SMLD's table evenly spaced",
        "sde_lib/discrete.py",
        "jnp.exp(jnp.linspace(math.log(sigma_min), math.log(sigma_max), num_scales))",
        "jnp.linspace(sigma_min, sigma_max, num_scales)",
        (_GOLDEN_LOSS + "test_discrete[ve]",),
    ),
]
