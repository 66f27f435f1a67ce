"""Wrong programs of what a step of training draws, and of its loss."""

from benchmarks.mutants import Mutant

_CLASSIFICATION = "tests/experiments/training/test_classification.py::"
_LEARNED = "tests/experiments/training/test_learned_sde.py::"
_OBJECTIVE = "tests/experiments/training/test_objective.py::"
_DRAWS = "tests/experiments/training/test_draws.py::"
_STEP = "tests/experiments/training/test_step.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "a classifier's cross-entropy without the importance of the times",
        "experiments/training/classifier.py",
        "return -drawn.importance * classifier(",
        "return -classifier(",
        (_CLASSIFICATION + "test_the_least_loss_is_the_entropy_of_the_posterior[vp]",),
    ),
    Mutant(
        "a classifier of the data without noise",
        "experiments/training/classifier.py",
        "self.sde.perturb(drawn.data, drawn.t, drawn.noise)",
        "drawn.data",
        (_CLASSIFICATION + "test_the_least_loss_is_the_entropy_of_the_posterior[vp]",),
    ),
    Mutant(
        "a classifier loses labels",
        "experiments/training/classifier.py",
        "self.t_min, cond_dropout=0.0",
        "self.t_min, cond_dropout=0.5",
        (_CLASSIFICATION + "test_labels_stay_with_their_examples_and_none_is_dropped",),
    ),
    Mutant(
        "a classifier's states not of unit variance",
        "models/classifier.py",
        "self.sde.alpha(t) * self.data_std",
        "self.data_std",
        ("tests/models/test_classifier.py::test_is_the_posterior[flow]",),
    ),
    Mutant(
        "a classifier guides without a label",
        "models/classifier.py",
        "return found if cond.keep is None else jnp.where(cond.keep, found, 0.0)",
        "return found",
        ("tests/models/test_classifier.py::test_is_the_posterior[vp]",),
    ),
    Mutant(
        "importance weight dropped",
        "experiments/training/denoising.py",
        "return drawn.importance * denoising_loss(",
        "return denoising_loss(",
        (_OBJECTIVE + "test_expected_loss_and_gradient_are_quadrature[ve]",),
    ),
    Mutant(
        "importance not that of the times",
        "experiments/training/draws.py",
        "return Draws(data, t, importance, u,",
        "return Draws(data, t, jnp.ones_like(t), u,",
        (_DRAWS + "test_times_and_importance_are_of_the_drawn_u[log_normal-True]",),
    ),
    Mutant(
        "t and noise from one key",
        "experiments/training/draws.py",
        "jax.random.normal(noise_key, data.shape)",
        "jax.random.normal(time_key, data.shape)",
        (_DRAWS + "test_all_that_is_drawn_is_independent",),
    ),
    Mutant(
        "flips and dequantization from one key",
        "experiments/training/draws.py",
        "jax.random.uniform(noise_key, values.shape)",
        "jax.random.uniform(flip_key, values.shape)",
        (_DRAWS + "test_all_that_is_drawn_is_independent",),
    ),
    Mutant(
        "flips upside down",
        "experiments/training/draws.py",
        "values[:, :, ::-1]",
        "values[:, ::-1]",
        (_DRAWS + "test_flips_are_left_to_right_and_of_each_image_alone[grey]",),
    ),
    Mutant(
        "flips of the whole batch alike",
        "experiments/training/draws.py",
        "shape=(len(values), 1, 1, 1)",
        "shape=(1, 1, 1, 1)",
        (_DRAWS + "test_flips_are_left_to_right_and_of_each_image_alone[grey]",),
    ),
    Mutant(
        "no flips of continuous images",
        "experiments/training/draws.py",
        "if config.flip:",
        "if config.flip and codec.bin_width is not None:",
        (_DRAWS + "test_flips_are_left_to_right_and_of_each_image_alone[continuous]",),
    ),
    Mutant(
        "no dequantization in training",
        "experiments/training/draws.py",
        "if config.dequantization else 0.5",
        "if False else 0.5",
        (_DRAWS + "test_dequantization_fills_the_bins_in_training",),
    ),
    Mutant(
        "dequantization that is not asked for",
        "experiments/training/draws.py",
        "if config.dequantization else 0.5",
        "if True else 0.5",
        (_DRAWS + "test_dequantization_fills_the_bins_in_training",),
    ),
    Mutant(
        "an SDE that is to be learned, as it was",
        "experiments/training/denoising.py",
        "sde, params = apart(self.sde, params)",
        "sde, params = self.sde, apart(self.sde, params)[1]",
        (_LEARNED + "test_a_step_moves_the_network_and_the_sde_by_the_bound",),
    ),
    Mutant(
        "dropout off in training",
        "experiments/training/denoising.py",
        "partial(model, dropout_key=key),",
        "model,",
        (_STEP + "test_dropout_is_on_in_training_and_new_at_every_step",),
    ),
    Mutant(
        "t_min left out",
        "experiments/training/draws.py",
        "time_samplers[config.times](objective.sde, u, t_min)",
        "time_samplers[config.times](objective.sde, u, 0.02)",
        (_DRAWS + "test_times_and_importance_are_of_the_drawn_u[log_normal-True]",),
    ),
    Mutant(
        "times independent though low-discrepancy is asked for",
        "experiments/training/draws.py",
        "low_discrepancy if config.low_discrepancy else independent",
        "independent",
        (_DRAWS + "test_times_and_importance_are_of_the_drawn_u[log_normal-True]",),
    ),
]
