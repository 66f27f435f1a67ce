"""Wrong programs of training: what a step draws, its loss, its update, averages."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = [
    Mutant(
        "importance weight dropped",
        "experiments/objective.py",
        "losses = drawn.importance * denoising_loss(",
        "losses = denoising_loss(",
        (
            "tests/experiments/test_objective.py::test_expected_loss_and_gradient_are_quadrature[ve]",
        ),
    ),
    Mutant(
        "importance not that of the times",
        "experiments/objective.py",
        "return Draws(data, t, importance, u,",
        "return Draws(data, t, jnp.ones_like(t), u,",
        (
            "tests/experiments/test_objective.py::test_times_and_importance_are_of_the_drawn_u[log_normal-True]",
        ),
    ),
    Mutant(
        "the same draws at every step",
        "experiments/training.py",
        "jax.random.split(jax.random.fold_in(state.key, state.step))",
        "jax.random.split(state.key)",
        ("tests/experiments/test_objective.py::test_each_step_draws_anew_and_the_same_again",),
    ),
    Mutant(
        "t and noise from one key",
        "experiments/objective.py",
        "jax.random.normal(noise_key, data.shape)",
        "jax.random.normal(time_key, data.shape)",
        ("tests/experiments/test_objective.py::test_all_that_is_drawn_is_independent",),
    ),
    Mutant(
        "flips and dequantization from one key",
        "experiments/objective.py",
        "jax.random.uniform(noise_key, values.shape)",
        "jax.random.uniform(flip_key, values.shape)",
        ("tests/experiments/test_objective.py::test_all_that_is_drawn_is_independent",),
    ),
    Mutant(
        "flips upside down",
        "experiments/objective.py",
        "values[:, :, ::-1]",
        "values[:, ::-1]",
        (
            "tests/experiments/test_objective.py::test_flips_are_left_to_right_and_of_each_image_alone[64]",
        ),
    ),
    Mutant(
        "flips of the whole batch alike",
        "experiments/objective.py",
        "shape=(len(values), 1, 1, 1)",
        "shape=(1, 1, 1, 1)",
        (
            "tests/experiments/test_objective.py::test_flips_are_left_to_right_and_of_each_image_alone[64]",
        ),
    ),
    Mutant(
        "no flips of continuous images",
        "experiments/objective.py",
        "if config.flip:",
        "if config.flip and levels is not None:",
        (
            "tests/experiments/test_objective.py::test_flips_are_left_to_right_and_of_each_image_alone[None]",
        ),
    ),
    Mutant(
        "no dequantization in training",
        "experiments/objective.py",
        "if config.dequantization else 0.5",
        "if False else 0.5",
        ("tests/experiments/test_objective.py::test_dequantization_fills_the_bins_in_training",),
    ),
    Mutant(
        "dequantization that is not asked for",
        "experiments/objective.py",
        "if config.dequantization else 0.5",
        "if True else 0.5",
        ("tests/experiments/test_objective.py::test_dequantization_fills_the_bins_in_training",),
    ),
    Mutant(
        "adaptive weights never computed",
        "experiments/training.py",
        "if config.adaptive_weighting:",
        "if False:",
        (
            "tests/experiments/test_objective.py::test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",
        ),
    ),
    Mutant(
        "adaptive weights always applied",
        "experiments/training.py",
        "if config.adaptive_weighting:",
        "if True:",
        (
            "tests/experiments/test_objective.py::test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",
        ),
    ),
    Mutant(
        "adaptive weights left out of the loss",
        "experiments/objective.py",
        "return jnp.mean(weights * losses), losses",
        "return jnp.mean(losses), losses",
        (
            "tests/experiments/test_objective.py::test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",
        ),
    ),
    Mutant(
        "adaptive weights in the metrics",
        "experiments/objective.py",
        "return jnp.mean(weights * losses), losses",
        "return jnp.mean(weights * losses), weights * losses",
        (
            "tests/experiments/test_objective.py::test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",
        ),
    ),
    Mutant(
        "averages of the parameters before the update",
        "experiments/training.py",
        "state.averages, moved[0], state.step)",
        "state.averages, state.params, state.step)",
        (
            "tests/experiments/test_objective.py::test_an_update_goes_down_the_gradient_and_the_averages_follow_it",
        ),
    ),
    Mutant(
        "averages of parameters that are not finite",
        "experiments/training.py",
        "state.averages, moved[0], state.step)",
        "state.averages, params, state.step)",
        (
            "tests/experiments/test_objective.py::test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",
        ),
    ),
    Mutant(
        "averages one step late",
        "experiments/training.py",
        "state.averages, moved[0], state.step)",
        "state.averages, moved[0], state.step + 1)",
        (
            "tests/experiments/test_objective.py::test_an_update_goes_down_the_gradient_and_the_averages_follow_it",
        ),
    ),
    Mutant(
        "the average read from raw parameters",
        "experiments/trained.py",
        "params = state.params if raw else _averaged(",
        "params = state.params if True else _averaged(",
        ("tests/experiments/test_objective.py::test_sampling_reads_the_average",),
    ),
    Mutant(
        "dropout off in training",
        "experiments/objective.py",
        "model = partial(build.model(experiment, sde, network, params), dropout_key=key)",
        "model = build.model(experiment, sde, network, params)",
        (
            "tests/experiments/test_objective.py::test_dropout_is_on_in_training_and_new_at_every_step",
        ),
    ),
    Mutant(
        "the same dropout in every part of a batch",
        "experiments/objective.py",
        "jax.random.fold_in(key, k)",
        "key",
        (
            "tests/experiments/test_objective.py::test_dropout_is_on_in_training_and_new_at_every_step",
        ),
    ),
    Mutant(
        "parts of a batch summed",
        "experiments/objective.py",
        "lambda leaf: leaf / number",
        "lambda leaf: leaf",
        ("tests/experiments/test_objective.py::test_a_batch_in_parts_is_the_batch",),
    ),
    Mutant(
        "losses of parts in another order",
        "experiments/objective.py",
        "jnp.moveaxis(losses, 0, 1).ravel()",
        "losses.ravel()",
        ("tests/experiments/test_objective.py::test_a_batch_in_parts_is_the_batch",),
    ),
    Mutant(
        "parts that are runs of a batch, with losses as of strides",
        "experiments/objective.py",
        "jnp.moveaxis(leaf.reshape(-1, number, *leaf.shape[1:]), 1, 0)",
        "leaf.reshape(number, -1, *leaf.shape[1:])",
        ("tests/experiments/test_objective.py::test_a_batch_in_parts_is_the_batch",),
    ),
    Mutant(
        "t_min left out",
        "experiments/objective.py",
        "sample_times(sde, u, t_min)",
        "sample_times(sde, u, 0.02)",
        (
            "tests/experiments/test_objective.py::test_times_and_importance_are_of_the_drawn_u[log_normal-True]",
        ),
    ),
    Mutant(
        "times independent though low-discrepancy is asked for",
        "experiments/objective.py",
        "low_discrepancy if config.low_discrepancy else independent",
        "independent",
        (
            "tests/experiments/test_objective.py::test_times_and_importance_are_of_the_drawn_u[log_normal-True]",
        ),
    ),
    Mutant(
        "a step that is not finite is taken",
        "experiments/training.py",
        "jnp.where(fine, new, old), moved, still",
        "new, moved, still",
        (
            "tests/experiments/test_objective.py::test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",
        ),
    ),
    Mutant(
        "a skipped step counted as an update",
        "experiments/training.py",
        "updates=sums.updates + one,",
        "updates=sums.updates + 1,",
        (
            "tests/experiments/test_objective.py::test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",
        ),
    ),
    Mutant(
        "skipped steps in a row never forgotten",
        "experiments/training.py",
        "jnp.where(fine, 0, state.in_a_row + 1)",
        "state.in_a_row + jnp.where(fine, 0, 1)",
        (
            "tests/experiments/test_objective.py::test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",
        ),
    ),
    Mutant(
        "the loss of the last step alone in the metrics",
        "experiments/training.py",
        "loss=sums.loss + jnp.where(fine, jnp.mean(losses), 0.0)",
        "loss=jnp.where(fine, jnp.mean(losses), 0.0)",
        ("tests/experiments/test_objective.py::test_each_step_draws_anew_and_the_same_again",),
    ),
    Mutant(
        "the norm of the gradient in another place",
        "experiments/training.py",
        "norms = optax.tree.norm(slope), optax.tree.norm(params)",
        "norms = optax.tree.norm(updates), optax.tree.norm(params)",
        (
            "tests/experiments/test_objective.py::test_an_update_goes_down_the_gradient_and_the_averages_follow_it",
        ),
    ),
    Mutant(
        "averages without a warm-up",
        "experiments/averages.py",
        "jnp.maximum(self.forgetting, 9.0 / (10.0 + step))",
        "jnp.asarray(self.forgetting)",
        ("tests/experiments/test_averages.py::test_exponential_is_the_recursion[0.98-0.98-1]",),
    ),
    Mutant(
        "a warm-up of averages that never ends",
        "experiments/averages.py",
        "jnp.maximum(self.forgetting, 9.0 / (10.0 + step))",
        "9.0 / (10.0 + step)",
        ("tests/experiments/test_averages.py::test_exponential_is_the_recursion[0.98-0.98-800]",),
    ),
    Mutant(
        "a half-life in units of e",
        "experiments/averages.py",
        "-math.expm1(-math.log(2) / value)",
        "-math.expm1(-1 / value)",
        (
            "tests/experiments/test_averages.py::test_exponential_is_the_recursion[half_life:30-0.9771599684342459-800]",
        ),
    ),
    Mutant(
        "a power law one step late",
        "experiments/averages.py",
        "jnp.log1p(-1.0 / (1.0 + step))",
        "jnp.log1p(-1.0 / (2.0 + step))",
        ("tests/experiments/test_averages.py::test_power_law_is_its_integral[0.05]",),
    ),
    Mutant(
        "a power law of γ, not γ + 1",
        "experiments/averages.py",
        "-jnp.expm1((gamma(self.sigma_rel) + 1) * ",
        "-jnp.expm1(gamma(self.sigma_rel) * ",
        ("tests/experiments/test_averages.py::test_power_law_is_its_integral[0.05]",),
    ),
    Mutant(
        "another root of the width's cubic",
        "experiments/averages.py",
        "np.roots([1, 7, 16 - inverse, 12 - inverse])",
        "np.roots([1, 7, 16 - inverse, 13 - inverse])",
        ("tests/experiments/test_averages.py::test_gamma_of_the_published_widths",),
    ),
    Mutant(
        "reconstructed averages that ignore the sum of weights",
        "experiments/averages.py",
        "right = np.append(_inner_products(stored, [target], target[1]), 1)",
        "right = np.append(_inner_products(stored, [target], target[1]), 0)",
        ("tests/experiments/test_averages.py::test_weights_are_the_least_squares_ones",),
    ),
    Mutant(
        "a cosine schedule of a quarter turn",
        "experiments/schedules.py",
        "(1 + jnp.cos(jnp.pi * done)) / 2",
        "jnp.cos(jnp.pi * done / 2)",
        ("tests/experiments/test_schedules.py::test_learning_rate[cosine-factors1]",),
    ),
    Mutant(
        "a warm-up from 0",
        "experiments/optimizers.py",
        "(count + 1) / max(config.warmup, 1)",
        "count / max(config.warmup, 1)",
        ("tests/experiments/test_schedules.py::test_learning_rate[constant-factors0]",),
    ),
    Mutant(
        "no schedule after the warm-up",
        "experiments/optimizers.py",
        "config.learning_rate * warmup * schedule(count / config.num_steps)",
        "config.learning_rate * warmup",
        ("tests/experiments/test_schedules.py::test_learning_rate[linear-factors2]",),
    ),
    Mutant(
        "no bound on the gradient",
        "experiments/optimizers.py",
        "optax.chain(optax.clip_by_global_norm(config.grad_clip), optimizer)",
        "optimizer",
        (
            "tests/experiments/test_optimizers.py::test_adam_is_optaxs_behind_a_bound_and_a_warm_up[constant]",
        ),
    ),
    Mutant(
        "a bound on every number of the gradient",
        "experiments/optimizers.py",
        "optax.clip_by_global_norm(config.grad_clip)",
        "optax.clip(config.grad_clip)",
        (
            "tests/experiments/test_optimizers.py::test_adam_is_optaxs_behind_a_bound_and_a_warm_up[constant]",
        ),
    ),
    Mutant(
        "the bound after the optimizer",
        "experiments/optimizers.py",
        "optax.chain(optax.clip_by_global_norm(config.grad_clip), optimizer)",
        "optax.chain(optimizer, optax.clip_by_global_norm(config.grad_clip))",
        (
            "tests/experiments/test_optimizers.py::test_adam_is_optaxs_behind_a_bound_and_a_warm_up[constant]",
        ),
    ),
    Mutant(
        "weight decay of biases",
        "experiments/optimizers.py",
        "p.ndim - _stacked(path) > 1",
        "p.ndim - _stacked(path) > 0",
        (
            "tests/experiments/test_optimizers.py::test_weight_decay_is_decoupled_and_spares_biases[adamw]",
        ),
    ),
]
