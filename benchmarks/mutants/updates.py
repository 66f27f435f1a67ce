"""Wrong programs of an update of training, and of what is read afterwards."""

from benchmarks.mutants import Mutant

_LEARNED = "tests/experiments/training/test_learned_sde.py::"
_OBJECTIVE = "tests/experiments/training/test_objective.py::"
_SURVIVING = "tests/experiments/training/test_surviving.py::"
_STEP = "tests/experiments/training/test_step.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "images a second count what compiles",
        "experiments/training/train.py",
        "elif step - count == begun:",
        "elif False:",
        (_SURVIVING + "test_a_signal_saves_and_the_same_command_goes_on",),
    ),
    Mutant(
        "the same draws at every step",
        "experiments/training/step.py",
        "jax.random.split(jax.random.fold_in(state.key, state.step))",
        "jax.random.split(state.key)",
        (_STEP + "test_each_step_draws_anew_and_the_same_again",),
    ),
    Mutant(
        "adaptive weights never computed",
        "experiments/training/step.py",
        "if config.adaptive_weighting:",
        "if False:",
        (_STEP + "test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",),
    ),
    Mutant(
        "adaptive weights always applied",
        "experiments/training/step.py",
        "if config.adaptive_weighting:",
        "if True:",
        (_STEP + "test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",),
    ),
    Mutant(
        "adaptive weights left out of the loss",
        "experiments/training/step.py",
        "return jnp.mean(weights * losses), losses",
        "return jnp.mean(losses), losses",
        (_STEP + "test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",),
    ),
    Mutant(
        "adaptive weights in the metrics",
        "experiments/training/step.py",
        "return jnp.mean(weights * losses), losses",
        "return jnp.mean(weights * losses), weights * losses",
        (_STEP + "test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics",),
    ),
    Mutant(
        "averages of the parameters before the update",
        "experiments/training/step.py",
        "state.averages, params, state.step)",
        "state.averages, state.params, state.step)",
        (_STEP + "test_an_update_goes_down_the_gradient_and_the_averages_follow_it",),
    ),
    Mutant(
        "averages of parameters that are not finite",
        "experiments/training/step.py",
        "state.averages, params, state.step)",
        "state.averages, new[0], state.step)",
        (_STEP + "test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",),
    ),
    Mutant(
        "averages one step late",
        "experiments/training/step.py",
        "state.averages, params, state.step)",
        "state.averages, params, state.step + 1)",
        (_STEP + "test_an_update_goes_down_the_gradient_and_the_averages_follow_it",),
    ),
    Mutant(
        "the average read from raw parameters",
        "experiments/workdir/restored_run.py",
        "params = state.params if raw else _averaged(",
        "params = state.params if True else _averaged(",
        (_STEP + "test_sampling_reads_the_average",),
    ),
    Mutant(
        "the SDE of the config where another was learned",
        "experiments/workdir/restored_run.py",
        "experiment, params = settled(experiment, params)",
        "params = settled(experiment, params)[1]",
        (_LEARNED + "test_what_comes_after_training_has_the_learned_sde",),
    ),
    Mutant(
        "numbers that make no SDE",
        "experiments/state/learned_sde.py",
        "falls = (jnp.diff(log_snr) <= 0).all() & (log_snr[0] > log_snr[-1])",
        "falls = True",
        (_LEARNED + "test_numbers_that_make_no_sde_stay_as_they_were",),
    ),
    Mutant(
        "the same dropout in every part of a batch",
        "experiments/training/step.py",
        "jax.random.fold_in(key, k)",
        "key",
        (_STEP + "test_dropout_is_on_in_training_and_new_at_every_step",),
    ),
    Mutant(
        "parts of a batch summed",
        "experiments/training/step.py",
        "lambda leaf: leaf / parts",
        "lambda leaf: leaf",
        (_OBJECTIVE + "test_a_batch_in_parts_is_the_batch",),
    ),
    Mutant(
        "losses of parts in another order",
        "experiments/training/step.py",
        "jnp.moveaxis(losses, 0, 1).ravel()",
        "losses.ravel()",
        (_OBJECTIVE + "test_a_batch_in_parts_is_the_batch",),
    ),
    Mutant(
        "parts that are runs of a batch, with losses as of strides",
        "experiments/training/step.py",
        "jnp.moveaxis(leaf.reshape(-1, parts, *leaf.shape[1:]), 1, 0)",
        "leaf.reshape(parts, -1, *leaf.shape[1:])",
        (_OBJECTIVE + "test_a_batch_in_parts_is_the_batch",),
    ),
    Mutant(
        "a step that is not finite is taken",
        "experiments/training/step.py",
        "jax.tree.map(partial(jnp.where, finite), new, old)",
        "new",
        (_STEP + "test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",),
    ),
    Mutant(
        "a skipped step counted as an update",
        "experiments/state/train_state.py",
        "updates=sums.updates + one,",
        "updates=sums.updates + 1,",
        (_STEP + "test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",),
    ),
    Mutant(
        "skipped steps in a row never forgotten",
        "experiments/training/step.py",
        "jnp.where(finite, 0, state.in_a_row + 1)",
        "state.in_a_row + jnp.where(finite, 0, 1)",
        (_STEP + "test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter",),
    ),
    Mutant(
        "the loss of the last step alone in the metrics",
        "experiments/state/train_state.py",
        "loss=sums.loss + jnp.where(update.finite, jnp.mean(update.losses), 0.0)",
        "loss=jnp.where(update.finite, jnp.mean(update.losses), 0.0)",
        (_STEP + "test_each_step_draws_anew_and_the_same_again",),
    ),
    Mutant(
        "the norm of the gradient in another place",
        "experiments/training/step.py",
        "norms = optax.tree.norm(slope), optax.tree.norm(params)",
        "norms = optax.tree.norm(updates), optax.tree.norm(params)",
        (_STEP + "test_an_update_goes_down_the_gradient_and_the_averages_follow_it",),
    ),
]
