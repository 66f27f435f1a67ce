"""Wrong programs of integrators."""

from benchmarks.mutants import Mutant

_ADAPTIVE = "tests/samplers/integrators/test_adaptive_steps.py::"
_FIXED = "tests/samplers/integrators/test_fixed_steps.py::"
_TABLEAUX = "tests/samplers/coefficients/test_tableaux.py::"

_SIZE = (f"{_ADAPTIVE}test_the_size_of_an_error",)

MUTANTS: list[Mutant] = [
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
