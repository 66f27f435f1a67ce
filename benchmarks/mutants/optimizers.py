"""Wrong programs of optimizers, schedules and averages."""

from benchmarks.mutants import Mutant

_AVERAGES = "tests/experiments/state/test_averages.py::"
_LEARNED = "tests/experiments/training/test_learned_sde.py::"
_OPTIMIZERS = "tests/experiments/state/test_optimizers.py::"
_SCHEDULES = "tests/experiments/state/test_schedules.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "one bound on the gradients of the network and of the SDE",
        "experiments/state/optimizers.py",
        "return _of_each_part(bounded) if config.learn_sde else bounded",
        "return bounded",
        (_LEARNED + "test_a_step_moves_the_network_and_the_sde_by_the_bound",),
    ),
    Mutant(
        "averages without a warm-up",
        "experiments/state/averages.py",
        "jnp.maximum(self.forgetting, 9.0 / (10.0 + step))",
        "jnp.asarray(self.forgetting)",
        (_AVERAGES + "test_exponential_is_the_recursion[0.98-0.98-1]",),
    ),
    Mutant(
        "a warm-up of averages that never ends",
        "experiments/state/averages.py",
        "jnp.maximum(self.forgetting, 9.0 / (10.0 + step))",
        "9.0 / (10.0 + step)",
        (_AVERAGES + "test_exponential_is_the_recursion[0.98-0.98-800]",),
    ),
    Mutant(
        "a half-life in units of e",
        "experiments/state/averages.py",
        "-math.expm1(-math.log(2) / value)",
        "-math.expm1(-1 / value)",
        (_AVERAGES + "test_exponential_is_the_recursion[half_life:30-0.9771599684342459-800]",),
    ),
    Mutant(
        "a power law one step late",
        "experiments/state/averages.py",
        "jnp.log1p(-1.0 / (1.0 + step))",
        "jnp.log1p(-1.0 / (2.0 + step))",
        (_AVERAGES + "test_power_law_is_its_integral[0.05]",),
    ),
    Mutant(
        "a power law of γ, not γ + 1",
        "experiments/state/averages.py",
        "-jnp.expm1((gamma(self.sigma_rel) + 1) * ",
        "-jnp.expm1(gamma(self.sigma_rel) * ",
        (_AVERAGES + "test_power_law_is_its_integral[0.05]",),
    ),
    Mutant(
        "another root of the width's cubic",
        "experiments/state/averages.py",
        "np.roots([1, 7, 16 - inverse, 12 - inverse])",
        "np.roots([1, 7, 16 - inverse, 13 - inverse])",
        (_AVERAGES + "test_gamma_of_the_published_widths",),
    ),
    Mutant(
        "reconstructed averages that ignore the sum of weights",
        "experiments/state/averages.py",
        "right = np.append(_inner_products(stored, [target], target[1]), 1)",
        "right = np.append(_inner_products(stored, [target], target[1]), 0)",
        (_AVERAGES + "test_weights_are_the_least_squares_ones",),
    ),
    Mutant(
        "a cosine schedule of a quarter turn",
        "experiments/state/schedules.py",
        "(1 + jnp.cos(jnp.pi * done)) / 2",
        "jnp.cos(jnp.pi * done / 2)",
        (_SCHEDULES + "test_learning_rate[cosine-factors1]",),
    ),
    Mutant(
        "a warm-up from 0",
        "experiments/state/optimizers.py",
        "(count + 1) / max(config.warmup, 1)",
        "count / max(config.warmup, 1)",
        (_SCHEDULES + "test_learning_rate[constant-factors0]",),
    ),
    Mutant(
        "no schedule after the warm-up",
        "experiments/state/optimizers.py",
        "config.learning_rate * warmup * schedule(count / config.num_steps)",
        "config.learning_rate * warmup",
        (_SCHEDULES + "test_learning_rate[linear-factors2]",),
    ),
    Mutant(
        "no bound on the gradient",
        "experiments/state/optimizers.py",
        "optax.chain(optax.clip_by_global_norm(config.grad_clip), optimizer)",
        "optimizer",
        (_OPTIMIZERS + "test_adam_is_optaxs_behind_a_bound_and_a_warm_up[constant]",),
    ),
    Mutant(
        "a bound on every number of the gradient",
        "experiments/state/optimizers.py",
        "optax.clip_by_global_norm(config.grad_clip)",
        "optax.clip(config.grad_clip)",
        (_OPTIMIZERS + "test_adam_is_optaxs_behind_a_bound_and_a_warm_up[constant]",),
    ),
    Mutant(
        "the bound after the optimizer",
        "experiments/state/optimizers.py",
        "optax.chain(optax.clip_by_global_norm(config.grad_clip), optimizer)",
        "optax.chain(optimizer, optax.clip_by_global_norm(config.grad_clip))",
        (_OPTIMIZERS + "test_adam_is_optaxs_behind_a_bound_and_a_warm_up[constant]",),
    ),
    Mutant(
        "weight decay of biases",
        "experiments/state/optimizers.py",
        "p.ndim - _stacked(path) > 1",
        "p.ndim - _stacked(path) > 0",
        (_OPTIMIZERS + "test_weight_decay_is_decoupled_and_spares_biases[adamw]",),
    ),
]
