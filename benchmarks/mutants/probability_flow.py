"""Wrong programs of the probability flow's density and its divergence."""

from benchmarks.mutants import Mutant

_ANGLE = "tests/samplers/coordinates/test_angle.py::"
_DIVERGENCE = "tests/samplers/test_divergence.py::"
_ESTIMATOR = "tests/experiments/likelihood/test_estimator.py::"
_FLOW = "tests/samplers/test_probability_flow.py::"

_BITS = (f"{_ESTIMATOR}test_probe_errors_are_those_of_the_bits",)
_ON_A_LINE = (f"{_FLOW}test_on_a_line[ve]",)
_CONTROL = (f"{_DIVERGENCE}test_the_control_variate_is_exact_for_its_own_gaussian[log_prob]",)

MUTANTS: list[Mutant] = [
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
]
