"""Tableaux against the order conditions, and adaptive steps against diffrax."""

from functools import cache

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import ByTolerance, RungeKutta, tableaux

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
    weights = [(method.b, method.order), (method.needed.b, method.order)]
    if method.error is not None:
        weights.append((method.b - method.error, method.embedded_order))
    for b, highest in weights:
        a = method.a[: len(b), : len(b)]
        for order in range(1, highest + 1):
            for tree in trees(order):
                # The coefficients are fractions in float64, up to 44 in size.
                assert_allclose(b @ weight(a, tree), 1 / density(tree), atol=1e-13)
        beyond = [b @ weight(a, tree) - 1 / density(tree) for tree in trees(highest + 1)]
        # (1.4e-6 for DOP853, whose coefficients were chosen to make it small.)
        assert np.abs(beyond).max() > 1e-7


@every_tableau
def test_structure(name):
    """Explicit; a pair's first is the same as its last."""
    method = tableaux[name]
    assert_allclose(np.triu(method.a), 0)
    if method.error is not None:
        assert_allclose(method.a[-1], method.b)
        assert len(method.needed.b) == len(method.b) - 1


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


@float64
def test_against_diffrax():
    """Dormand–Prince on one pendulum y'' = −sin y, both at tolerance 1e-9."""

    def pendulum(u, y):
        return jnp.stack([y[..., 1], -jnp.sin(y[..., 0])], -1)

    y = jnp.array([1.5, 0.2])
    steps = ByTolerance(rtol=1e-9, atol=1e-9, max_evaluations=5000)
    ours = RungeKutta(steps=steps).solve(pendulum, y[None], jnp.asarray(0.0), jnp.asarray(5.0))
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
