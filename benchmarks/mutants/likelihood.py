"""Wrong programs of likelihood: an example's draws, their statistics, the variational bound."""

from benchmarks.mutants import Mutant

_BOUND = "tests/samplers/test_variational.py::"
_DEQUANTIZATION = "tests/experiments/data/test_dequantization.py::"
_ESTIMATOR = "tests/experiments/likelihood/test_estimator.py::"
_LIKELIHOOD = "tests/experiments/likelihood/test_likelihood.py::"

_IN_A_BIN = (f"{_ESTIMATOR}test_uniform_dequantization_in_closed_form[ode]",)
_BITS = (f"{_ESTIMATOR}test_probe_errors_are_those_of_the_bits",)
_EXACT_SCORE = (f"{_BOUND}test_with_the_exact_score_it_is_the_density[heavy-8]",)
_PRIOR = (f"{_BOUND}test_a_prior_that_is_not_the_law_at_the_end[ve]",)
_TRUNCATED = (f"{_DEQUANTIZATION}test_the_truncated_normal_is_scipys",)
_INTERVAL = (f"{_LIKELIHOOD}test_one_draw_has_the_interval_of_its_probes",)
_DRAWS = (f"{_LIKELIHOOD}test_importance_weighting_is_the_log_of_the_mean",)

MUTANTS: list[Mutant] = [
    # --- an example's draws -----------------------------------------------------------------------
    Mutant(
        "bin centres instead of dequantized data",
        "experiments/likelihood/estimator.py",
        "self._log_prob(key, drawn.x, cond, indices, integrator)",
        "self._log_prob(key, dataset.codec.encode(values), cond, indices, integrator)",
        _IN_A_BIN,
    ),
    Mutant(
        "the bin's volume with the wrong sign",
        "experiments/likelihood/estimator.py",
        "-(log_prob + drawn.entropy)",
        "-(log_prob - drawn.entropy)",
        _IN_A_BIN,
    ),
    Mutant(
        "bits of an example, not of a dimension",
        "experiments/likelihood/estimator.py",
        '"draws": -(log_prob + drawn.entropy) / dim / math.log(2)',
        '"draws": -(log_prob + drawn.entropy) / math.log(2)',
        _IN_A_BIN,
    ),
    Mutant(
        "the same draw for every repeat",
        "experiments/likelihood/estimator.py",
        "jax.random.fold_in(self.key, r)",
        "jax.random.fold_in(self.key, 0 * r)",
        _IN_A_BIN,
    ),
    Mutant(
        "probe errors in nats instead of bits",
        "experiments/likelihood/estimator.py",
        '"probe_errors": error / dim / math.log(2)',
        '"probe_errors": error / dim',
        _BITS,
    ),
    Mutant(
        "an entropy that does not count the dimensions",
        "experiments/data/dequantization.py",
        "math.prod(values.shape[1:]) * math.log(codec.bin_width)",
        "math.log(codec.bin_width)",
        _IN_A_BIN,
    ),
    Mutant(
        "the entropy of a normal that is not truncated",
        "experiments/data/dequantization.py",
        "log_norm + 0.5 - tau * density / inside",
        "log_norm + 0.5",
        _TRUNCATED,
    ),
    Mutant(
        "the density of a normal that is not truncated",
        "experiments/data/dequantization.py",
        "jnp.log(sigma * inside)",
        "jnp.log(sigma)",
        _TRUNCATED,
    ),
    # --- statistics -------------------------------------------------------------------------------
    Mutant(
        "the normal law's factor instead of Student's",
        "experiments/likelihood/result.py",
        "stdtrit(max(degrees_of_freedom, 1),",
        "stdtrit(1e9,",
        _INTERVAL,
    ),
    Mutant(
        "a one-sided interval",
        "experiments/likelihood/result.py",
        "(1 + confidence) / 2))",
        "confidence))",
        _INTERVAL,
    ),
    Mutant(
        "the spread of draws without Bessel's correction",
        "experiments/likelihood/result.py",
        "self.draws.std(axis=1, ddof=1)",
        "self.draws.std(axis=1)",
        _DRAWS,
    ),
    Mutant(
        "the spread of a split without Bessel's correction",
        "experiments/likelihood/result.py",
        "np.std(values, ddof=1)",
        "np.std(values)",
        (f"{_LIKELIHOOD}test_the_mean_of_four",),
    ),
    Mutant(
        "the importance-weighted bound as a mean of logarithms",
        "experiments/likelihood/result.py",
        "np.mean(np.exp(self.log_weights - top), axis=1)",
        "np.exp(np.mean(self.log_weights - top, axis=1))",
        _DRAWS,
    ),
    # --- the variational bound --------------------------------------------------------------------
    Mutant(
        "the bound without its prior term",
        "samplers/variational.py",
        "reconstruction + diffusion + _prior_divergence(sde, x, t_max)",
        "reconstruction + diffusion",
        (f"{_BOUND}test_a_prior_that_is_not_the_law_at_the_end[vp]",),
    ),
    Mutant(
        "the prior term without its logarithm",
        "samplers/variational.py",
        "ratio - 1 - jnp.log(ratio)",
        "ratio - 1",
        _PRIOR,
    ),
    Mutant(
        "the prior term at t = 1",
        "samplers/variational.py",
        "_prior_divergence(sde, x, t_max))",
        "_prior_divergence(sde, x, 1.0))",
        _PRIOR,
    ),
    Mutant(
        "the bound without its half",
        "samplers/variational.py",
        ".mean(axis=1) / 2",
        ".mean(axis=1)",
        _EXACT_SCORE,
    ),
    Mutant(
        "the blur's deviation for its variance",
        "samplers/variational.py",
        "+ 2 * log_blur",
        "+ log_blur",
        _EXACT_SCORE,
    ),
    Mutant(
        "times without their weights",
        "samplers/variational.py",
        "return None, weight * radial_weight",
        "return None, radial_weight",
        _EXACT_SCORE,
    ),
    Mutant(
        "lengths of the noise without their weights",
        "samplers/variational.py",
        "return None, weight * radial_weight",
        "return None, weight",
        _EXACT_SCORE,
    ),
    Mutant(
        "noise of one dimension more where two were meant",
        "samplers/variational.py",
        "-2 * jnp.log1p(-u)",
        "-jnp.log1p(-u)",
        _EXACT_SCORE,
    ),
    Mutant(
        "one noise for all times of an example",
        "samplers/variational.py",
        "_light_tailed(keys, draw, x",
        "_light_tailed(keys, 0 * draw, x",
        _EXACT_SCORE,
    ),
    Mutant(
        "replicates without Bessel's correction",
        "samplers/variational.py",
        "jnp.std(replicates, axis=0, ddof=1)",
        "jnp.std(replicates, axis=0)",
        _EXACT_SCORE,
    ),
    Mutant(
        "the error of one replicate for that of their mean",
        "samplers/variational.py",
        " / math.sqrt(REPLICATES),",
        ",",
        _EXACT_SCORE,
    ),
]
