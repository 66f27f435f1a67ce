"""Tableaux against the order conditions, and the adaptive integrator against closed forms."""

from functools import cache

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import tableaux
from samplers.runge_kutta import Tableau, integrate

every_tableau = pytest.mark.parametrize("name", list(tableaux))
float64 = pytest.mark.usefixtures("float64")


@cache
def trees(order):
    """The rooted trees of `order` vertices; a tree is the sorted tuple of its root's branches."""

    def forests(size, largest):
        if size == 0:
            yield ()
        for first in range(min(size, largest), 0, -1):
            for tree in trees(first):
                for rest in forests(size - first, first):
                    yield (tree, *rest)

    return sorted({tuple(sorted(forest)) for forest in forests(order - 1, order - 1)})


def size(tree):
    return 1 + sum(size(branch) for branch in tree)


def density(tree):
    """γ of Butcher's theory."""
    return size(tree) * np.prod([density(branch) for branch in tree], initial=1.0)


def weight(a, tree):
    """Φ_i of Butcher's theory, one a stage."""
    return np.prod([a @ weight(a, branch) for branch in tree], axis=0, initial=1.0) * np.ones(
        len(a)
    )


def test_number_of_trees():
    """1, 1, 2, 4, 9, 20 rooted trees of 1 to 6 vertices (OEIS A000081)."""
    assert [len(trees(order)) for order in range(1, 7)] == [1, 1, 2, 4, 9, 20]


@every_tableau
def test_order_conditions(name):
    """Σ_i b_i Φ_i(τ) = 1/γ(τ) for every tree up to the order, of b and of b̂, and not beyond."""
    method = tableaux[name]
    embedded = method.b - method.error
    for order in range(1, method.order + 1):
        for tree in trees(order):
            # The coefficients are fractions in float64, up to 44 in size.
            exact = 1 / density(tree)
            assert_allclose(method.b @ weight(method.a, tree), exact, atol=1e-13)
            if order <= method.embedded_order:
                assert_allclose(embedded @ weight(method.a, tree), exact, atol=1e-13)
    above = trees(method.embedded_order + 1)
    missed = [embedded @ weight(method.a, t) - 1 / density(t) for t in above]
    assert np.abs(missed).max() > 1e-5
    beyond = [method.b @ weight(method.a, t) - 1 / density(t) for t in trees(method.order + 1)]
    # (1.4e-6 for DOP853, whose coefficients were chosen to make it small.)
    assert np.abs(beyond).max() > 1e-7


@every_tableau
def test_structure(name):
    """Explicit, consistent row sums, and first same as last."""
    method = tableaux[name]
    assert_allclose(np.triu(method.a), 0)
    assert_allclose(method.a.sum(1), method.c)
    assert_allclose(method.a[-1], method.b)
    assert method.c[-1] == pytest.approx(1)


@every_tableau
def test_local_error_of_one_step(name):
    """q + 1, on y' = y² cos u, whose solution from y(0) = 1/2 is 1/(2 − sin u)."""
    method = tableaux[name]
    errors = []
    # Long enough that the error of order 8 is far above rounding.
    steps = np.array([0.2, 0.1]) if method.order < 8 else np.array([1.0, 0.5])
    for h in steps:
        slopes = np.zeros(len(method.b))
        for i in range(len(method.b)):
            y = 0.5 + h * method.a[i] @ slopes
            slopes[i] = y**2 * np.cos(method.c[i] * h)
        errors.append(0.5 + h * method.b @ slopes - 1 / (2 - np.sin(h)))
    slope = np.log(errors[0] / errors[1]) / np.log(2)
    assert slope > method.order + 1 - 0.3


RATES = np.array([0.3, 2.0, 8.0])


def field(u, y):
    """A tree of two parts: oscillators of different rates, and logistic growth."""
    rates, (turning, growing) = jnp.asarray(RATES)[: len(u)], y
    turned = rates[:, None] * jnp.stack([-turning[:, 1], turning[:, 0]], 1)
    return turned, (rates * growing[:, 0] * (1 - growing[:, 0]))[:, None]


def exact(u):
    """The solution with (1, 0) and 0.1 at u = 0."""
    angle = RATES * u
    turning = np.stack([np.cos(angle), np.sin(angle)], 1)
    return turning, (1 / (1 + 9 * np.exp(-angle)))[:, None]


@jax.jit
def solve_up(y, tolerance):
    """From 0 to 2; compiled once."""
    return integrate(
        field,
        y,
        jnp.asarray(0.0),
        jnp.asarray(2.0),
        tableau=tableaux["dopri5"],
        rtol=tolerance,
        atol=tolerance,
        max_evaluations=3000,
    )


@float64
@every_tableau
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (2.0, 0.0)])
def test_adaptive_both_ways(name, start, end):
    errors, evaluations = [], []

    @jax.jit
    def solve(tolerance):
        return integrate(
            field,
            jax.tree.map(jnp.asarray, exact(start)),
            jnp.asarray(start),
            jnp.asarray(end),
            tableau=tableaux[name],
            rtol=tolerance,
            atol=tolerance,
            max_evaluations=4000,
        )

    for tolerance in (1e-4, 1e-7):
        solution = solve(tolerance)
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
def test_against_diffrax():
    """Dormand–Prince on one pendulum y'' = −sin y, both at tolerance 1e-9."""

    def pendulum(u, y):
        return jnp.stack([y[..., 1], -jnp.sin(y[..., 0])], -1)

    y = jnp.array([1.5, 0.2])
    ours = integrate(
        lambda u, y: pendulum(u, y),
        y[None],
        jnp.asarray(0.0),
        jnp.asarray(5.0),
        tableau=tableaux["dopri5"],
        rtol=1e-9,
        atol=1e-9,
        max_evaluations=5000,
    )
    theirs = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda u, y, args: pendulum(u, y)),
        diffrax.Dopri5(),
        0.0,
        5.0,
        None,
        y,
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
    )
    # Each is within some tens of steps of 1e-9 of the solution.
    assert_allclose(ours.y[0], theirs.ys[0], atol=2e-7)


@float64
def test_an_example_does_not_depend_on_the_others():
    """Alone or in company: the same steps, and the same values to rounding."""
    y = jax.tree.map(jnp.asarray, exact(0.0))
    together = solve_up(y, 1e-6)
    swapped = solve_up(jax.tree.map(lambda leaf: leaf.at[1:].set(leaf[1:] * 0.37), y), 1e-6)
    assert swapped.evaluations[0] == together.evaluations[0]
    assert np.any(swapped.evaluations[1:] != together.evaluations[1:])
    for a, b in zip(together.y, swapped.y, strict=True):
        assert_allclose(a[0], b[0], rtol=1e-14)
    single = solve_up(jax.tree.map(lambda leaf: leaf[:1], y), 1e-6)
    assert single.evaluations[0] == together.evaluations[0]
    for a, b in zip(together.y, single.y, strict=True):
        assert_allclose(a[0], b[0], rtol=1e-14)


def test_evaluations_are_counted():
    """Turns of the loop in which an example was still moving; the callback sees every turn."""
    calls = []

    def counted(u, y):
        jax.debug.callback(lambda u: calls.append(np.array(u)), u)
        return field(u, y)

    y = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), exact(0.0))
    solution = integrate(
        counted,
        y,
        jnp.asarray(0.0),
        jnp.asarray(2.0),
        tableau=tableaux["dopri5"],
        rtol=1e-5,
        atol=1e-5,
        max_evaluations=1000,
    )
    jax.effects_barrier()
    assert len(calls) == solution.evaluations.max()
    # The first evaluation, then six a step.
    assert np.all((np.asarray(solution.evaluations) - 1) % 6 == 0)


def test_float64_after_float32():
    """JAX keeps the dtype in which it first met a NumPy array, such as a tableau's coefficients.

    Rounded to float32 they let no error go below 1e-8, and the steps shrink until the bound.
    """

    fresh = Tableau(*(np.copy(part) for part in tableaux["dopri5"][:4]), order=5, embedded_order=4)

    def decay(rtol):
        return integrate(
            lambda u, y: -y,
            jnp.ones((1, 1)),
            jnp.asarray(0.0),
            jnp.asarray(1.0),
            tableau=fresh,
            rtol=rtol,
            atol=rtol,
            max_evaluations=2000,
        ).y

    assert jax.jit(decay)(1e-4).dtype == jnp.float32
    with jax.enable_x64(True):
        assert_allclose(jax.jit(decay)(1e-11), np.exp(-1), rtol=1e-9)


def test_too_many_evaluations_are_nan():
    """The bound stops the fast examples alone; so does a solution that ends before the end."""

    def growing(u, y):
        return y**2

    y = jnp.array([[0.1], [1.0], [0.2]])  # 1/(1/y − u): the second is infinite at u = 1
    bound = {"tableau": tableaux["dopri5"], "rtol": 1e-5, "atol": 1e-5}
    solution = integrate(growing, y, jnp.float32(0), jnp.float32(2), max_evaluations=200, **bound)
    assert np.isnan(solution.y[1]).all()
    assert np.isnan(solution.slope[1]).all()
    assert_allclose(solution.y[[0, 2], 0], [1 / 8, 1 / 3], rtol=1e-4)
    few = integrate(growing, y, jnp.float32(0), jnp.float32(2), max_evaluations=3, **bound)
    assert np.isnan(few.y).all()
    assert_allclose(few.evaluations, 3)


def test_an_example_that_is_not_finite_does_not_hold_up_the_others():
    def root(u, y):
        return -jnp.sqrt(y)

    y = jnp.array([[1.0], [jnp.nan], [2.0]])
    solution = integrate(
        root,
        y,
        jnp.float32(0),
        jnp.float32(1),
        tableau=tableaux["dopri5"],
        rtol=1e-4,
        atol=1e-4,
        max_evaluations=5000,
    )
    assert np.isnan(solution.y[1, 0])
    assert np.isnan(solution.slope[1, 0])
    # y = (√y₀ − u/2)²
    assert_allclose(solution.y[::2, 0], [0.25, (np.sqrt(2) - 0.5) ** 2], atol=1e-3)
    assert solution.evaluations.max() < 150
