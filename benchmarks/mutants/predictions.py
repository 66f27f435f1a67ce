"""Wrong programs of predictions, and of those that closed forms make."""

from benchmarks.mutants import Mutant

_MODEL_UNDER_SDE = "tests/sde_lib/test_model_under_sde.py::"
_ORACLES = "tests/sde_lib/test_oracles.py::"
_PREDICTION = "tests/sde_lib/test_prediction.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "data from noise with its sign turned",
        "sde_lib/prediction.py",
        "data=(x - sigma * noise) / alpha, noise=noise",
        "data=(x + sigma * noise) / alpha, noise=noise",
        (_PREDICTION + "test_a_plain_score_function_is_a_model[vp]",),
    ),
    Mutant(
        "the score as noise over −σ",
        "sde_lib/prediction.py",
        "-expand(sde.sigma(t), x) * score)",
        "-score / expand(sde.sigma(t), x))",
        (_PREDICTION + "test_a_plain_score_function_is_a_model[vp]",),
    ),
    Mutant(
        "v's noise with α's sign turned",
        "sde_lib/prediction.py",
        "noise=(sigma * x + alpha * v) / scale",
        "noise=(sigma * x - alpha * v) / scale",
        (_PREDICTION + "test_each_form_determines_the_others",),
    ),
    Mutant(
        "v of another sign",
        "sde_lib/prediction.py",
        "return alpha * prediction.noise - sigma * prediction.data",
        "return alpha * prediction.noise + sigma * prediction.data",
        (_PREDICTION + "test_each_form_determines_the_others",),
    ),
    Mutant(
        "the determinant of velocities turned",
        "sde_lib/prediction.py",
        "alpha * sigma_slope - sigma * alpha_slope",
        "sigma * alpha_slope - alpha * sigma_slope",
        (_PREDICTION + "test_v_where_there_is_no_signal",),
    ),
    Mutant(
        "velocity with α for its slope",
        "sde_lib/prediction.py",
        "return alpha_slope * prediction.data + sigma_slope * prediction.noise",
        "return alpha_slope * prediction.data - sigma_slope * prediction.noise",
        (_PREDICTION + "test_velocity_is_the_probability_flow_drift[vp]",),
    ),
    Mutant(
        "a translated state scaled the wrong way",
        "sde_lib/model_under_sde.py",
        "x * expand(known / size, x)",
        "x * expand(size / known, x)",
        (_MODEL_UNDER_SDE + "test_a_model_under_another_sde[ve]",),
    ),
    Mutant(
        "a translated time left as it is",
        "sde_lib/model_under_sde.py",
        "at = self.trained.time_of_log_snr(self.sde.log_snr(t))",
        "at = jnp.asarray(t)",
        (_MODEL_UNDER_SDE + "test_a_model_under_another_sde[flow]",),
    ),
    Mutant(
        "a Gaussian's data without α",
        "sde_lib/gaussian.py",
        "alpha * self.eigenvalues / variance * centred",
        "self.eigenvalues / variance * centred",
        (_ORACLES + "test_prediction_is_consistent[gaussian-vp]",),
    ),
    Mutant(
        "a Gaussian's flow turned round",
        "sde_lib/gaussian.py",
        "jnp.sqrt(variance_s / variance)",
        "jnp.sqrt(variance / variance_s)",
        (_ORACLES + "test_probability_flow_of_gaussian_data_solves_the_ode[vp]",),
    ),
    Mutant(
        "a Gaussian's flow about 0",
        "sde_lib/gaussian.py",
        "return (alpha * self.mean + moved)",
        "return (moved)",
        (_ORACLES + "test_probability_flow_of_gaussian_data_solves_the_ode[vp]",),
    ),
    Mutant(
        "a Gaussian's samples in other axes",
        "sde_lib/gaussian.py",
        "(jnp.sqrt(self.eigenvalues) * draw) @ self.eigenvectors.T",
        "(jnp.sqrt(self.eigenvalues) * draw) @ self.eigenvectors",
        (_ORACLES + "test_sample_moments[gaussian]",),
    ),
    Mutant(
        "a Gaussian's density without its scale's dimension",
        "sde_lib/gaussian.py",
        "jnp.log(2 * math.pi * variance)",
        "jnp.log(2 * math.pi) + 0 * variance",
        (_ORACLES + "test_densities_of_data",),
    ),
    Mutant(
        "a mixture without weights",
        "sde_lib/gaussian_mixture.py",
        "joint = jnp.log(self.weights) - (squares",
        "joint = jnp.log(1 / 3) - (squares",
        (_ORACLES + "test_densities_of_data",),
    ),
    Mutant(
        "a mixture whose shares ignore the widths",
        "sde_lib/gaussian_mixture.py",
        "joint = jnp.log(self.weights) - (squares + log_scale) / 2",
        "joint = jnp.log(self.weights) - squares / 2",
        (_ORACLES + "test_densities_of_data",),
    ),
    Mutant(
        "a mixture's data at the centres",
        "sde_lib/gaussian_mixture.py",
        "share * (self.means + gain * centred)",
        "share * self.means",
        (_ORACLES + "test_prediction_is_consistent[mixture-vp]",),
    ),
    Mutant(
        "a mixture's samples of equal shares",
        "sde_lib/gaussian_mixture.py",
        "jnp.log(self.weights), shape=shape[:1]",
        "0 * self.weights, shape=shape[:1]",
        (_ORACLES + "test_sample_moments[mixture]",),
    ),
]
