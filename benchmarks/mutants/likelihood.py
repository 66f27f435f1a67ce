"""Wrong programs of likelihood."""

from benchmarks.mutants import Mutant

_FLOW = "tests/samplers/test_probability_flow.py::"
_DIVERGENCE = "tests/samplers/test_divergence.py::"
_BOUND = "tests/samplers/test_variational.py::"
_ESTIMATOR = "tests/experiments/likelihood/test_estimator.py::"
_LIKELIHOOD = "tests/experiments/likelihood/test_likelihood.py::"
_DEQUANTIZATION = "tests/experiments/data/test_dequantization.py::"
_ADAPTIVE = "tests/samplers/integrators/test_adaptive_steps.py::"
_FIXED = "tests/samplers/integrators/test_fixed_steps.py::"
_TABLEAUX = "tests/samplers/coefficients/test_tableaux.py::"
_ANGLE = "tests/samplers/coordinates/test_angle.py::"

_IN_A_BIN = (f"{_ESTIMATOR}test_uniform_dequantization_in_closed_form[ode]",)
_BITS = (f"{_ESTIMATOR}test_probe_errors_are_those_of_the_bits",)
_EXACT_SCORE = (f"{_BOUND}test_with_the_exact_score_it_is_the_density[heavy-8]",)
_PRIOR = (f"{_BOUND}test_a_prior_that_is_not_the_law_at_the_end[ve]",)
_ON_A_LINE = (f"{_FLOW}test_on_a_line[ve]",)
_CONTROL = (f"{_DIVERGENCE}test_the_control_variate_is_exact_for_its_own_gaussian[log_prob]",)
_TRUNCATED = (f"{_DEQUANTIZATION}test_the_truncated_normal_is_scipys",)
_SIZE = (f"{_ADAPTIVE}test_the_size_of_an_error",)
_INTERVAL = (f"{_LIKELIHOOD}test_one_draw_has_the_interval_of_its_probes",)
_DRAWS = (f"{_LIKELIHOOD}test_importance_weighting_is_the_log_of_the_mean",)

MUTANTS = [
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
    # --- the flow's density -----------------------------------------------------------------------
    Mutant(
        "the divergence with the wrong sign",
        "samplers/probability_flow.py",
        "state, integrals + change",
        "state, change - integrals",
        _ON_A_LINE,
    ),
    Mutant(
        "no change of variables",
        "samplers/probability_flow.py",
        "state, integrals + change",
        "state, integrals",
        _ON_A_LINE,
    ),
    Mutant(
        "the change of variables of one dimension",
        "samplers/probability_flow.py",
        "change = dim * (",
        "change = (",
        (f"{_FLOW}test_there_and_back[ve]",),
    ),
    Mutant(
        "the integral of the divergence per dimension",
        "samplers/probability_flow.py",
        "dim * solution.y[1], partial(self._log_stretch",
        "solution.y[1], partial(self._log_stretch",
        (f"{_FLOW}test_there_and_back[vp]",),
    ),
    Mutant(
        "densities of samples that grow where they spread",
        "samplers/probability_flow.py",
        "sde.prior_log_prob(latents)[:, None] - log_volumes",
        "sde.prior_log_prob(latents)[:, None] + log_volumes",
        (f"{_FLOW}test_densities_come_with_samples[vp]",),
    ),
    Mutant(
        "a prior of deviation 1",
        "samplers/probability_flow.py",
        "sde.prior_log_prob(end.x)[",
        "sde.prior_log_prob(end.x * self.sde.prior_std())[",
        _ON_A_LINE,
    ),
    Mutant(
        "states that do not become the flow's",
        "samplers/probability_flow.py",
        "self._slope, x * angle.scale(start), angle",
        "self._slope, x, angle",
        (f"{_FLOW}test_gaussian_flow_is_the_closed_form[ve]",),
    ),
    Mutant(
        "latents that stay the flow's",
        "samplers/probability_flow.py",
        "FlowState(end.y / self._angle.scale(self.t_max),",
        "FlowState(end.y,",
        (f"{_FLOW}test_gaussian_flow_is_the_closed_form[ve]",),
    ),
    Mutant(
        "a slope without the data's deviation",
        "samplers/coordinates/angle.py",
        "sine / self.s * predicted.data",
        "sine * predicted.data",
        (f"{_ANGLE}test_gaussian_data_stand_still[vp]",),
    ),
    Mutant(
        "denoising against the slope",
        "samplers/coordinates/angle.py",
        "- slope * jnp.sin(theta)",
        "+ slope * jnp.sin(theta)",
        (f"{_ANGLE}test_denoising_by_the_slope[vp]",),
    ),
    # --- divergences ------------------------------------------------------------------------------
    Mutant(
        "the sum of the Jacobian, not its trace",
        "samplers/divergence.py",
        "jnp.sum(probe * product(probe)",
        "jnp.sum(product(probe)",
        (f"{_DIVERGENCE}test_exact_is_the_trace",),
    ),
    Mutant(
        "the same probes for every example",
        "samplers/divergence.py",
        "jnp.arange(shape[0]) if indices is None else indices",
        "jnp.zeros(shape[0], int) if indices is None else indices",
        (f"{_DIVERGENCE}test_every_kind_is_unbiased[rademacher]",),
    ),
    Mutant(
        "orthogonal probes of length 1",
        "samplers/divergence.py",
        "return math.sqrt(dim) * jnp.moveaxis(columns",
        "return jnp.moveaxis(columns",
        (f"{_DIVERGENCE}test_every_kind_is_unbiased[orthogonal]",),
    ),
    Mutant(
        "ddof = 0 at few probes",
        "samplers/divergence.py",
        "jnp.std(estimates, axis=1, ddof=1)",
        "jnp.std(estimates, axis=1)",
        _BITS,
    ),
    Mutant(
        "the error of one probe for that of their mean",
        "samplers/divergence.py",
        " / math.sqrt(num_probes)",
        "",
        (f"{_DIVERGENCE}test_hutchinson_is_unbiased_and_knows_its_error",),
    ),
    Mutant(
        "a control variate whose mean is not 0",
        "samplers/divergence.py",
        "rotated**2 - 1, stretch",
        "rotated**2, stretch",
        _CONTROL,
    ),
    Mutant(
        "a control variate with the wrong sign",
        "samplers/divergence.py",
        "- self.control_weight * jnp",
        "+ self.control_weight * jnp",
        _CONTROL,
    ),
    Mutant(
        "a control variate of the flow back",
        "samplers/probability_flow.py",
        "+ log_std(end)\n            - log_std(start)",
        "+ log_std(start)\n            - log_std(end)",
        _CONTROL,
    ),
    Mutant(
        "a control variate that forgets the signal's decay",
        "samplers/probability_flow.py",
        "sde.alpha(t) ** 2 * variance",
        "variance",
        _CONTROL,
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
    # --- integrators ------------------------------------------------------------------------------
    Mutant(
        "one error for the whole batch",
        "samplers/integrators/step_control.py",
        "jnp.mean(ratio**2, axis=tuple(range(1, ratio.ndim)))",
        "jnp.full(len(ratio), jnp.mean(ratio**2))",
        _SIZE,
    ),
    Mutant(
        "an error that grows with the dimensions",
        "samplers/integrators/step_control.py",
        "jnp.mean(ratio**2,",
        "jnp.sum(ratio**2,",
        _SIZE,
    ),
    Mutant(
        "an error against the old state alone",
        "samplers/integrators/step_control.py",
        "jnp.maximum(jnp.abs(old), jnp.abs(new))",
        "jnp.abs(old)",
        _SIZE,
    ),
    Mutant(
        "the mean of the parts' errors",
        "samplers/integrators/step_control.py",
        "return jnp.max(jnp.stack(",
        "return jnp.mean(jnp.stack(",
        _SIZE,
    ),
    Mutant(
        "a rejected step is taken",
        "samplers/integrators/runge_kutta.py",
        "accept = (size <= 1) & step.running",
        "accept = (size <= jnp.inf) & step.running",
        (f"{_ADAPTIVE}test_a_step_with_a_large_error_is_tried_again[dopri5]",),
    ),
    Mutant(
        "Adams takes a rejected step",
        "samplers/integrators/adams.py",
        "accept = (sizes[1] <= 1) & running",
        "accept = (sizes[1] <= jnp.inf) & running",
        (f"{_ADAPTIVE}test_a_step_with_a_large_error_is_tried_again[adams]",),
    ),
    Mutant(
        "Adams corrects with the predictor's order",
        "samplers/integrators/adams.py",
        "y = jax.tree.map(jnp.add, state.y, _integral(slopes, h, high))",
        "y = jax.tree.map(jnp.add, state.y, _integral(slopes, h, low))",
        ("tests/samplers/integrators/test_adams.py::test_order[3]",),
    ),
    Mutant(
        "Adams predicts with one value less",
        "samplers/integrators/adams.py",
        "integrals(old, state.order, 0.0, 1.0)",
        "integrals(old, state.order - 1, 0.0, 1.0)",
        (f"{_FIXED}test_order_of_adams[3]",),
    ),
    Mutant(
        "equal steps of Adams that learn nothing",
        "samplers/integrators/adams.py",
        "order=jnp.where(learns, state.known + 1, order)",
        "order=jnp.where(state.known < 1, state.known + 1, order)",
        (f"{_FIXED}test_adams_integrates_polynomials[3]",),
    ),
    Mutant(
        "graded steps without their speed",
        "samplers/integrators/steps.py",
        "1 - self.grading * jnp.cos(",
        "1 - 0 * self.grading * jnp.cos(",
        (f"{_FIXED}test_both_ways[integrator1-61-start_end0]",),
    ),
    Mutant(
        "a wrong weight of Dormand–Prince",
        "samplers/coefficients/tableaux.py",
        "500 / 1113, 125 / 192",
        "501 / 1113, 125 / 192",
        (f"{_TABLEAUX}test_local_error_of_one_step[dopri5]",),
    ),
    Mutant(
        "a wrong weight of Dormand–Prince's estimate",
        "samplers/coefficients/tableaux.py",
        "393 / 640",
        "392 / 640",
        (f"{_TABLEAUX}test_order_conditions[dopri5]",),
    ),
    Mutant(
        "a wrong weight of DOP853",
        "samplers/coefficients/dop853.py",
        "0.05260015195876773",
        "0.05270015195876773",
        (f"{_TABLEAUX}test_order_conditions[dop853]",),
    ),
]
