"""Integrators whose steps are each example's own, against closed forms and at their bounds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import Adams, ByTolerance, RungeKutta, pairs, tableaux
from samplers.integrators.step_control import error_size

float64 = pytest.mark.usefixtures("float64")

METHODS = {name: (RungeKutta, {"tableau": name}) for name in pairs()} | {"adams": (Adams, {})}
every_method = pytest.mark.parametrize("name", list(METHODS))


def method(name, **steps):
    cls, named = METHODS[name]
    return cls(**named, steps=ByTolerance(**steps))


RATES = np.array([0.3, 2.0, 8.0])


def field(u, y):
    """A tree of two parts: oscillators of different rates, and logistic growth."""
    turning, growing = y
    rates = jnp.asarray(RATES, turning.dtype)[: len(u)]
    turned = rates[:, None] * jnp.stack([-turning[:, 1], turning[:, 0]], 1)
    return turned, (rates * growing[:, 0] * (1 - growing[:, 0]))[:, None]


def exact(u):
    """The solution with (1, 0) and 0.1 at u = 0."""
    angle = RATES * u
    turning = np.stack([np.cos(angle), np.sin(angle)], 1)
    return turning, (1 / (1 + 9 * np.exp(-angle)))[:, None]


@jax.jit
def solve(integrator, y, start, end):
    return integrator.solve(field, y, start, end)


def solve_up(name, y, tolerance):
    """From 0 to 2."""
    integrator = method(name, rtol=tolerance, atol=tolerance)
    return solve(integrator, y, jnp.asarray(0.0), jnp.asarray(2.0))


@float64
@every_method
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (2.0, 0.0)])
def test_both_ways(name, start, end):
    errors, evaluations = [], []
    for tolerance in (1e-4, 1e-7):
        integrator = method(name, rtol=tolerance, atol=tolerance, max_evaluations=4000)
        y = jax.tree.map(jnp.asarray, exact(start))
        solution = solve(integrator, y, jnp.asarray(start), jnp.asarray(end))
        errors.append(max(np.abs(a - b).max() for a, b in zip(solution.y, exact(end), strict=True)))
        evaluations.append(solution.evaluations)
    # Errors of about ten accepted steps, each below the tolerance times |y| ≤ 1, and turning parts
    # keep them; backwards, logistic growth shrinks to its start and spreads errors by 1/0.1.
    assert errors[0] < 1e-2
    assert errors[1] < 1e-5
    assert np.all(evaluations[1] > evaluations[0])
    for k, expected in zip(solution.slope, field(RATES, exact(end)), strict=True):
        assert_allclose(k, expected, atol=1e-3)
    # Faster examples take more steps, slower ones do not pay for them.
    assert np.all(np.diff(evaluations[1]) > 0)


@float64
@pytest.mark.parametrize("name", ["adams", "dopri5"])
def test_an_example_does_not_depend_on_the_others(name):
    """Alone or in company: the same steps, and the same values to rounding."""
    y = jax.tree.map(jnp.asarray, exact(0.0))
    together = solve_up(name, y, 1e-6)
    others = np.array([1.0, 0.37, 0.37])[:, None]
    swapped = solve_up(name, jax.tree.map(lambda leaf: leaf * others, y), 1e-6)
    assert swapped.evaluations[0] == together.evaluations[0]
    assert np.any(swapped.evaluations[1:] != together.evaluations[1:])
    for a, b in zip(together.y, swapped.y, strict=True):
        assert_allclose(a[0], b[0], rtol=1e-14)
    single = solve_up(name, jax.tree.map(lambda leaf: leaf[:1], y), 1e-6)
    assert single.evaluations[0] == together.evaluations[0]
    for a, b in zip(together.y, single.y, strict=True):
        assert_allclose(a[0], b[0], rtol=1e-14)


@pytest.mark.parametrize(("name", "each_step"), [("adams", 1), ("dopri5", 6)])
def test_evaluations_are_counted(name, each_step):
    """Iterations in which an example was still moving; the callback sees every iteration."""
    calls = []

    def counted(u, y):
        jax.debug.callback(lambda u: calls.append(np.array(u)), u)
        return field(u, y)

    y = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), exact(0.0))
    run = jax.jit(lambda y: method(name).solve(counted, y, jnp.asarray(0.0), jnp.asarray(2.0)))
    solution = run(y)
    jax.effects_barrier()
    assert len(calls) == solution.evaluations.max()
    # The first evaluation, then those of every step.
    assert np.all((np.asarray(solution.evaluations) - 1) % each_step == 0)
    # None is beyond the ends.
    assert np.min(calls) == 0
    assert np.max(calls) <= 2


@float64
@every_method
def test_a_step_with_a_large_error_is_tried_again(name):
    """y' is 0 up to u = 1, so that steps grow, then 4000 (u − 1)³: to 1001 at u = 2."""

    def late(u, y):
        return 4e3 * jnp.maximum(u - 1, 0)[:, None] ** 3 * jnp.ones_like(y)

    integrator = method(name, rtol=1e-4, atol=1e-4)
    run = jax.jit(lambda y: integrator.solve(late, y, jnp.asarray(0.0), jnp.asarray(2.0)).y)
    # One tolerance; steps that are taken whatever their error end 0.9 to 312 off.
    assert_allclose(run(jnp.ones((1, 1))), 1001, rtol=1e-4)


def test_the_size_of_an_error():
    """The largest part's RMS, each number against atol + rtol max(|y|, |y'|); of each example."""
    old = (np.array([[1.0, -4.0], [0.0, 0.0]]), np.array([[2.0], [0.0]]))
    new = (np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([[-5.0], [1.0]]))
    error = (np.array([[0.7, -1.8], [0.3, 0.4]]), np.array([[2.2], [0.6]]))
    sizes = jax.jit(partial(error_size, rtol=0.2, atol=0.1))(error, old, new)
    # √(((0.7/0.7)² + (1.8/0.9)²)/2) and 2.2/1.1; √((3² + 4²)/2) and 0.6/0.3. In float32.
    assert_allclose(sizes, [2.0, np.sqrt(12.5)], rtol=1e-6)


# In no precision yet when its test begins.
_KNOWN = tableaux["dopri5"]
FRESH = _KNOWN._replace(a=_KNOWN.a.copy(), b=_KNOWN.b.copy(), error=_KNOWN.error.copy())


@pytest.mark.parametrize(
    "make",
    [Adams, lambda **options: RungeKutta(tableau=f"{__name__}:FRESH", **options)],
)
def test_float64_after_float32(make):
    """JAX keeps the dtype in which it first met a NumPy array, such as a tableau's coefficients.

    Rounded to float32 they let no error go below 1e-8, and the steps shrink until the bound.
    """

    def decay(rtol):
        integrator = make(steps=ByTolerance(rtol=rtol, atol=rtol))
        start, end = jnp.asarray(0.0), jnp.asarray(1.0)
        return integrator.solve(lambda u, y: -y, jnp.ones((1, 1)), start, end).y

    assert jax.jit(decay)(1e-4).dtype == jnp.float32
    with jax.enable_x64(True):
        assert_allclose(jax.jit(decay)(1e-11), np.exp(-1), rtol=1e-9)


@every_method
def test_what_runs_out_of_evaluations_says_so(name):
    """The bound stops the fast examples alone; so does a solution that ends before the end."""

    def growing(u, y):
        return y**2

    def solve(most):
        integrator = method(name, max_evaluations=most)
        run = jax.jit(lambda y: integrator.solve(growing, y, jnp.float32(0), jnp.float32(2)))
        return jax.device_get(run(y))

    y = jnp.array([[0.1], [1.0], [0.2]])  # 1/(1/y − u): the second is infinite at u = 1
    solution = solve(200)
    assert solution.finished.tolist() == [True, False, True]
    # Errors of 1e-5 in some fifteen steps, carried on by up to (y_2/y_0)² = 2.8.
    assert_allclose(solution.y[[0, 2], 0], [1 / 8, 1 / 3], rtol=4e-4)
    few = solve(3)
    assert not few.finished.any()
    assert np.isfinite(few.y).all()
    assert_allclose(few.evaluations, 3)


@every_method
def test_an_example_that_is_not_finite_does_not_hold_up_the_others(name):
    def root(u, y):
        return -jnp.sqrt(y)

    y = jnp.array([[1.0], [jnp.nan], [2.0]])
    integrator = method(name, rtol=1e-4, atol=1e-4)
    run = jax.jit(lambda y: integrator.solve(root, y, jnp.float32(0), jnp.float32(1)))
    solution = jax.device_get(run(y))
    assert np.isnan(solution.y[1, 0])
    assert np.isnan(solution.slope[1, 0])
    assert solution.finished.tolist() == [True, False, True]
    # y = (√y₀ − u/2)²
    assert_allclose(solution.y[::2, 0], [0.25, (np.sqrt(2) - 0.5) ** 2], atol=1e-3)
    assert solution.evaluations.max() < 150
