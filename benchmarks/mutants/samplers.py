"""Wrong programs of sampling other than its solvers: drivers, constraints, grids, noise."""

from benchmarks.mutants import Mutant

_ADAPTIVE = "tests/samplers/test_adaptive_sde.py"
_COMPOSITIONS = "tests/samplers/test_compositions.py"
_CONSTRAINT = "tests/samplers/control/test_constraint.py"
_ENDS = "tests/samplers/control/test_constraint_ends.py"
_DRIVER = "tests/samplers/test_driver.py"
_FITTED = "tests/samplers/test_fitted_grid.py"
_FLAGS = "tests/experiments/sampling/test_sampling_flags.py"
_PROGRESS = "tests/samplers/test_progress.py"
_GRIDS = "tests/samplers/test_grids.py"
_TRANSFORM = "tests/samplers/control/test_transform.py"

MUTANTS: list[Mutant] = [
    Mutant(
        "a progress bar where JAX names no CPU",
        "samplers/progress.py",
        "if not _has_cpu():",
        "if False:",
        (f"{_PROGRESS}::test_there_is_no_bar_where_jax_names_no_cpu",),
    ),
    Mutant(
        "adaptive steps without their correction",
        "samplers/adaptive_sde.py",
        "corrected = predicted + change",
        "corrected = predicted",
        (f"{_ADAPTIVE}::test_without_noise_it_is_an_integral",),
    ),
    Mutant(
        "the trend of adaptive steps with the wrong sign",
        "samplers/adaptive_sde.py",
        "expand(ahead, z) * (state.data - state.older)",
        "expand(ahead, z) * (state.older - state.data)",
        (f"{_ADAPTIVE}::test_without_noise_it_is_an_integral",),
    ),
    Mutant(
        "adaptive steps of any length",
        "samplers/adaptive_sde.py",
        "_LONGEST = 0.5",
        "_LONGEST = 50.0",
        (f"{_ADAPTIVE}::test_any_tolerance_keeps_the_law_in_one_dimension[flow]",),
    ),
    Mutant(
        "adaptive steps that start with the prior at any time",
        "samplers/adaptive_sde.py",
        "latents / (Angle(sde, s).scale(t_max) * sde.sigma(t_max))",
        "latents * sde.prior_std() / sde.sigma(t_max)",
        (f"{_ADAPTIVE}::test_it_may_start_late",),
    ),
    Mutant(
        "a Brownian path that spreads too far between its points",
        "samplers/brownian.py",
        "spread = jnp.sqrt(fraction * (b - m))",
        "spread = jnp.sqrt(fraction * (b - a))",
        (f"{_ADAPTIVE}::test_brownian_path",),
    ),
    Mutant(
        "a correction of a state that is not settled",
        "samplers/actions.py",
        "return self.correct(now, prediction, self._settle(now, prediction, carry))",
        "return self.correct(now, prediction, carry)",
        (f"{_COMPOSITIONS}::test_corrections_are_carried_along[unipc]",),
    ),
    Mutant(
        "a settled state that forgets its constraint",
        "samplers/actions.py",
        "if carry.free is not None:\n            # As",
        "if False:\n            # As",
        (f"{_CONSTRAINT}::test_a_state_is_constrained_once_a_step[unipc]",),
    ),
    Mutant(
        "a step that is settled from the constrained state",
        "samplers/actions.py",
        "free = carry.x if carry.free is None else carry.free",
        "free = carry.x",
        (f"{_CONSTRAINT}::test_a_state_is_constrained_once_a_step[dpmpp_2m]",),
    ),
    Mutant(
        "a constraint at the time at which its step began",
        "samplers/schedule.py",
        "jnp.where(np.isin(order, _SOLVING), steps.end[step], steps.start[step])",
        "steps.start[step]",
        (f"{_CONSTRAINT}::test_every_kind_of_solver_goes_on_from_what_is_known[rk]",),
    ),
    Mutant(
        "a constraint in the middle of a step",
        "samplers/schedule.py",
        "(stage < solver.evaluations - 1)",
        "(stage < 0)",
        (f"{_CONSTRAINT}::test_every_kind_of_solver_goes_on_from_what_is_known[rk]",),
    ),
    Mutant(
        "a result without its constraint",
        "samplers/actions.py",
        "if self.constraint is None:\n            return carry.mean",
        "if True:\n            return carry.mean",
        (f"{_CONSTRAINT}::test_every_kind_of_solver_goes_on_from_what_is_known[heun]",),
    ),
    Mutant(
        "a constraint that draws the step's noise",
        "samplers/actions.py",
        'partial(self.draw, "constraint", number)',
        'partial(self.draw, "step", number)',
        (f"{_ENDS}::test_it_acts_on_ends",),
    ),
    Mutant(
        "guidance with the copies of an example apart",
        "samplers/control/transform.py",
        "jnp.stack([first, second], axis=1)",
        "jnp.stack([first, second], axis=0)",
        (f"{_TRANSFORM}::test_guidance_is_of_data_and_noise",),
    ),
    Mutant(
        "guidance from the condition instead of the null",
        "samplers/control/transform.py",
        "return null + scale * (kept - null)",
        "return kept + scale * (kept - null)",
        (f"{_TRANSFORM}::test_guidance_is_of_data_and_noise",),
    ),
    Mutant(
        "a classifier's gradient on the data without its scale",
        "samplers/control/transform.py",
        "gain = sigma**2 / jnp.where(has_signal, alpha, 1.0)",
        "gain = sigma**2",
        (f"{_TRANSFORM}::test_guidance_is_of_data_and_noise",),
    ),
    Mutant(
        "noise of the prior wherever a grid starts",
        "samplers/driver.py",
        "latents / Angle(sde, self.data_std).scale(self.grid[0])",
        "latents * sde.prior_std()",
        (f"{_DRIVER}::test_the_first_state_has_the_law_at_the_first_time",),
    ),
    Mutant(
        "a path that keeps the noise for the data",
        "samplers/driver.py",
        ".set(prediction.data)",
        ".set(prediction.noise)",
        (f"{_DRIVER}::test_the_path_is_of_what_the_data_are_taken_to_be",),
    ),
    Mutant(
        "renoising and step draw the same noise",
        "samplers/driver.py",
        'draw("renoise", now.number)',
        'draw("step", now.number)',
        (f"{_DRIVER}::test_evaluations",),
    ),
    Mutant(
        "the last denoising forgets the last step's noise",
        "samplers/actions.py",
        "data = (x - removed) / self.sde.alpha(now.t)",
        "data = x / self.sde.alpha(now.t)",
        (f"{_COMPOSITIONS}::test_corrections_are_carried_along[adams]",),
    ),
    Mutant(
        "the rectified grid without the data's scale",
        "samplers/grids.py",
        "_of_form(RectifiedForm(s=data_std)",
        "_of_form(RectifiedForm(s=0.5)",
        (f"{_GRIDS}::test_uniform_in_its_own_variable",),
    ),
    Mutant(
        "a cubic grid for the quadratic one",
        "samplers/grids.py",
        "jnp.linspace(t_max**0.5, t_min**0.5, num_steps + 1) ** 2",
        "jnp.linspace(t_max ** (1 / 3), t_min ** (1 / 3), num_steps + 1) ** 3",
        (f"{_GRIDS}::test_uniform_in_its_own_variable",),
    ),
    Mutant(
        "EDM's grid with its exponent inverted",
        "samplers/grids.py",
        "lambda level: jnp.exp(-level / rho)",
        "lambda level: jnp.exp(-level * rho)",
        (f"{_GRIDS}::test_edm_grid_is_that_of_the_paper",),
    ),
    Mutant(
        "a fitted grid that is the uniform one",
        "samplers/fitted_grid.py",
        "problem.grid(jnp.asarray(a))",
        "problem.grid(0 * jnp.asarray(a))",
        (f"{_FITTED}::test_what_is_kept_errs_less_on_other_latents",),
    ),
    Mutant(
        "fitting that measures the latents it was fitted to",
        "samplers/fitted_grid.py",
        "jnp.sqrt(jnp.mean(residual(model, a, *other) ** 2))",
        "jnp.mean(residual(model, a, *other) ** 2)",
        (f"{_FITTED}::test_what_is_kept_errs_less_on_other_latents",),
    ),
    Mutant(
        "fitted grids read as times",
        "experiments/builders/grid.py",
        "return process.time_of_noise_to_signal(jnp.asarray(levels))",
        "return jnp.asarray(levels)",
        (f"{_FLAGS}::test_grids",),
    ),
    Mutant(
        "the probability flow starts at deviation one",
        "samplers/flow_sampler.py",
        "latents = sde.prior_std() * latents",
        "latents = 1.0 * latents",
        (f"{_FLAGS}::test_every_way_starts_from_the_same_latents",),
    ),
    Mutant(
        "latents between two along a straight line",
        "samplers/noise.py",
        "start, end = jnp.sin((1 - fraction) * angle), jnp.sin(fraction * angle)",
        "start, end = jnp.sin(angle) * (1 - fraction), jnp.sin(angle) * fraction",
        ("tests/samplers/test_noise.py",),
    ),
]
