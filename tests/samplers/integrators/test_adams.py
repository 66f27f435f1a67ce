"""Adams with steps of its own: its weights, its order, and its work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import Adams, ByTolerance, RungeKutta
from samplers.coefficients.lagrange import integrals

float64 = pytest.mark.usefixtures("float64")


@jax.jit
def over_one(nodes, count):
    """The weights of the integral from 0 to 1."""
    return integrals(nodes, count, 0.0, 1.0)


@float64
def test_weights_on_equal_steps():
    """Those of Adams–Bashforth (Hairer, Nørsett & Wanner 1993, §III.1, eq. 1.5)."""
    nodes = -jnp.arange(4.0)[:, None] * jnp.ones(4)
    weights = over_one(nodes, jnp.array([1, 2, 3, 4])).T
    expected = [
        [1, 0, 0, 0],
        [3 / 2, -1 / 2, 0, 0],
        [23 / 12, -16 / 12, 5 / 12, 0],
        [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    ]
    assert_allclose(weights, expected, atol=1e-14)


@float64
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_weights_integrate_polynomials(count):
    """Σ_j w_j τ_j^m = 1/(m + 1) for m < count, on any nodes."""
    nodes = np.random.default_rng(0).uniform(-3, 1, (5, 7))
    weights = np.asarray(over_one(nodes, jnp.full(7, count)))
    for m in range(count):
        # Nodes that are close make weights of up to some hundred.
        assert_allclose(np.sum(weights * nodes**m, axis=0), 1 / (m + 1), atol=1e-11)


PHASES = np.arange(32.0)


@jax.jit
def error(integrator):
    """RMS of y' = y² cos(u + φ), y = 1/(2 − sin(u + φ)), at u = 1.5; and mean evaluations."""

    def exact(u):
        return 1 / (2 - jnp.sin(u + PHASES))

    def field(u, y):
        return y**2 * jnp.cos(u + PHASES)

    solution = integrator.solve(field, exact(0.0), jnp.asarray(0.0), jnp.asarray(1.5))
    off = jnp.sqrt(jnp.mean((solution.y - exact(1.5)) ** 2))
    return off, jnp.mean(solution.evaluations)


@float64
@pytest.mark.parametrize("history", [1, 2, 3, 4])
def test_order(history):
    """history + 1: the slope of log error against log evaluations.

    At tolerances at which the first steps, before the history is filled, do not count.
    """
    rough, fine = {
        1: (1e-4, 1e-6),
        2: (1e-6, 1e-8),
        3: (1e-8, 1e-11),
        4: (1e-11, 1e-13),
    }[history]
    (rough_error, few), (fine_error, many) = (
        error(Adams(history=history, steps=ByTolerance(rtol=tol, atol=tol, max_evaluations=20_000)))
        for tol in (rough, fine)
    )
    slope = np.log(rough_error / fine_error) / np.log(many / few)
    assert slope == pytest.approx(history + 1, abs=0.3)


@float64
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
def test_error_follows_the_tolerance_with_less_work_than_dopri5(tolerance):
    off, evaluations = error(Adams(steps=ByTolerance(rtol=tolerance, atol=tolerance)))
    assert off < 10 * tolerance
    _, theirs = error(RungeKutta(steps=ByTolerance(rtol=tolerance, atol=tolerance)))
    assert evaluations < theirs


def test_one_copy_of_the_field():
    def once(u, y):
        return jnp.arctan(y)

    program = str(
        jax.make_jaxpr(lambda y: Adams().solve(once, y, jnp.zeros(()), jnp.ones(())))(
            jnp.ones((2, 3))
        )
    )
    assert program.count("atan") == 1


def test_out_of_range():
    with pytest.raises(ValueError, match="history: got 0, takes an integer ≥ 1"):
        Adams(history=0).solve(lambda u, y: y, jnp.ones((1, 1)), jnp.zeros(()), jnp.ones(()))
