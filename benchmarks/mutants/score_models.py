"""Wrong programs of what a network is told and what its output means."""

from benchmarks.mutants import Mutant

_BUILDERS = "tests/experiments/builders/test_model.py::"
_PARAMETERIZATION = "tests/models/test_parameterization.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "edm's noise with the sign of F turned",
        "models/parameterization.py",
        "sigma * unit - alpha * self.data_std * output",
        "sigma * unit + alpha * self.data_std * output",
        (_PARAMETERIZATION + "test_data_and_noise_make_the_state[vp]",),
    ),
    Mutant(
        "edm's c_skip with one σ_d",
        "models/parameterization.py",
        "alpha * self.data_std**2 * unit",
        "alpha * self.data_std * unit",
        (_PARAMETERIZATION + "test_data_and_noise_make_the_state[vp]",),
    ),
    Mutant(
        "edm's input as it is",
        "models/parameterization.py",
        "output = network(unit)",
        "output = network(x)",
        (_PARAMETERIZATION + "test_the_input_of_edms_network_has_unit_variance",),
    ),
    Mutant(
        "edm's input over σ alone",
        "models/parameterization.py",
        "scale = jnp.sqrt(sigma**2 + (alpha * self.data_std) ** 2)",
        "scale = jnp.sqrt(sigma**2 + alpha**2)",
        (_PARAMETERIZATION + "test_the_input_of_edms_network_has_unit_variance",),
    ),
    Mutant(
        "a scaled score taken for noise",
        "models/parameterization.py",
        "prediction.from_noise(sde, x, t, -network(x))",
        "prediction.from_noise(sde, x, t, network(x))",
        (_PARAMETERIZATION + "test_data_and_noise_make_the_state[vp]",),
    ),
    Mutant(
        "DDPM's σ turned over",
        "models/parameterization.py",
        "ratio = sde.sigma(t) / ddpm_sigmas(sde)[steps]",
        "ratio = ddpm_sigmas(sde)[steps] / sde.sigma(t)",
        (_PARAMETERIZATION + "test_ddpm_noise_has_the_sigma_of_the_discrete_chain",),
    ),
    Mutant(
        "DDPM's chain of half the β",
        "models/parameterization.py",
        "jnp.clip(-2 * drift / DDPM_STEPS",
        "jnp.clip(-drift / DDPM_STEPS",
        (_PARAMETERIZATION + "test_ddpm_noise_has_the_sigma_of_the_discrete_chain",),
    ),
    Mutant(
        "SMLD's table from the least noise",
        "models/conditioning.py",
        "jnp.round(999 * (1 - t))",
        "jnp.round(999 * t)",
        (_PARAMETERIZATION + "test_smld_has_a_table_of_noises_from_the_largest",),
    ),
    Mutant(
        "SMLD's score by the σ of its table turned over",
        "models/parameterization.py",
        "-expand(ratio, x) * network(x)",
        "-expand(1 / ratio, x) * network(x)",
        (_PARAMETERIZATION + "test_smld_has_a_table_of_noises_from_the_largest",),
    ),
    Mutant(
        "a reversed log_noise",
        "models/conditioning.py",
        "jnp.clip(-sde.log_snr(t) / 2",
        "jnp.clip(sde.log_snr(t) / 2",
        (_PARAMETERIZATION + "test_the_number_that_stands_for_the_time",),
    ),
    Mutant(
        "log_noise twice as large",
        "models/conditioning.py",
        "jnp.clip(-sde.log_snr(t) / 2",
        "jnp.clip(-sde.log_snr(t)",
        (_PARAMETERIZATION + "test_the_number_that_stands_for_the_time",),
    ),
    Mutant(
        "log_sigma of σ/α",
        "models/conditioning.py",
        "return jnp.log(sde.sigma(t))",
        "return jnp.log(sde.noise_to_signal(t))",
        (_PARAMETERIZATION + "test_the_number_that_stands_for_the_time",),
    ),
    Mutant(
        "the time as it is",
        "models/conditioning.py",
        "return 999 * t",
        "return t",
        (_PARAMETERIZATION + "test_the_number_that_stands_for_the_time",),
    ),
    Mutant(
        "rounding that looks at the noise alone",
        "models/parameterization.py",
        "jnp.concatenate([predicted.data / data_std, predicted.noise], axis=1)",
        "predicted.noise",
        (_PARAMETERIZATION + "test_rounding_tells_where_a_prediction_is_lost",),
    ),
    Mutant(
        "a score model that is told no condition",
        "models/score_model.py",
        "cond=cond,",
        "cond=None,",
        (_PARAMETERIZATION + "test_a_score_model_is_its_network_and_its_meaning",),
    ),
    Mutant(
        "a score model with a data scale of its own",
        "experiments/builders/model.py",
        '{"data_std": data_std} if',
        "{} if",
        (_BUILDERS + "test_the_parameterization_knows_the_scale_of_the_data",),
    ),
    Mutant(
        "a score model that tells its network the bare time",
        "models/score_model.py",
        "c = conditionings.entry(self.conditioning)(self.sde, t)",
        "c = t",
        (_PARAMETERIZATION + "test_a_score_model_is_its_network_and_its_meaning",),
    ),
]
