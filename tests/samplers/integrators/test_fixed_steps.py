"""Equal steps of Adams and Runge–Kutta: orders, ends, evaluations, and one copy of the field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import Adams, Equal, RungeKutta, pairs, tableaux
from sde_lib import expand

float64 = pytest.mark.usefixtures("float64")

RATES = np.array([0.5, 1.0, 2.0])


def field(u, y):
    """y' = r y² cos(r u), whose solution from 1/2 at 0 is 1/(2 − sin(r u)), an r per example."""
    rates = jnp.asarray(RATES)
    slope = rates * jnp.cos(rates * u)
    return {"y": slope[:, None] * y["y"] ** 2}


def exact(u):
    return 1 / (2 - np.sin(RATES * u))[:, None]


@jax.jit
def solve(integrator, y, start, end):
    return integrator.solve(field, {"y": y}, start, end)


def error(integrator, start, end):
    solution = solve(integrator, exact(start), start, end)
    return np.abs(solution.y["y"] - exact(end)).max(), solution


@float64
@pytest.mark.parametrize("history", [1, 2, 3, 4])
def test_order_of_adams(history):
    """history + 1, on y' = 7 u⁶ y², y = 1/(2 − u⁷): so flat at 0 that the start does not count.

    With enough steps that the high derivatives near 1 do not count either.
    """

    def flat(u, y):
        return 7 * expand(u, y) ** 6 * y**2

    errors = []
    for num_steps in (400, 800):
        integrator = Adams(history=history, steps=Equal(num=num_steps))
        run = jax.jit(lambda y, by=integrator: by.solve(flat, y, jnp.zeros(()), jnp.ones(())).y)
        errors.append(abs(run(jnp.full((1, 1), 0.5)).item() - 1))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(history + 1, abs=0.3)


@float64
@pytest.mark.parametrize("history", [1, 2, 3, 4])
def test_adams_integrates_polynomials(history):
    """Exactly, up to the degree of its history, once the history is there."""
    degree = history

    def polynomial(u, y):
        return (u**degree)[:, None] * jnp.ones_like(y)

    def after(num_steps):
        integrator = Adams(history=history, steps=Equal(num=num_steps))
        run = jax.jit(lambda y: integrator.solve(polynomial, y, jnp.zeros(()), jnp.ones(())).y)
        return run(jnp.zeros((1, 1))).item() - 1 / (degree + 1)

    # Only the first `history` steps, of length h, err: the error is a multiple of h^{degree + 1}.
    few, many = after(10), after(20)
    assert_allclose(few, many * 2 ** (degree + 1), atol=1e-14)
    assert history > 1 or abs(few) < 1e-14


@float64
@pytest.mark.parametrize("name", pairs())
def test_order_of_fixed_steps(name):
    order, steps = tableaux[name].order, {"bosh3": (64, 128), "dop853": (2, 4)}.get(name, (8, 16))
    errors = [error(RungeKutta(tableau=name, steps=Equal(num=n)), 0.0, 1.5)[0] for n in steps]
    assert np.log2(errors[0] / errors[1]) > order - 0.3


@float64
@pytest.mark.parametrize("start_end", [(0.0, 1.5), (1.5, 0.0)])
@pytest.mark.parametrize(
    ("integrator", "evaluations"),
    [
        (Adams(history=3, steps=Equal(num=60)), 61),
        (Adams(history=3, steps=Equal(num=60, grading=0.5)), 61),
        (RungeKutta(steps=Equal(num=10)), 61),
        (RungeKutta(tableau="bosh3", steps=Equal(num=20)), 61),
        (RungeKutta(steps=Equal(num=10, grading=0.3)), 61),
    ],
)
def test_both_ways(integrator, evaluations, start_end):
    """The state, its slope, and what it took; up and down."""
    off, solution = error(integrator, *start_end)
    assert off < 2e-5  # the coarsest, bosh3 at h = 0.075 and r = 2, has 6e-6
    end = jnp.asarray(start_end[1])
    slope = field(end, {"y": jnp.asarray(exact(start_end[1]))})["y"]
    assert_allclose(solution.slope["y"], slope, atol=2e-4)
    assert solution.evaluations.tolist() == [evaluations] * 3


@pytest.mark.parametrize(
    "integrator", [Adams(history=3, steps=Equal(num=7)), RungeKutta(steps=Equal(num=3))]
)
def test_one_copy_of_the_field(integrator):
    def once(u, y):
        return jnp.arctan(y)

    program = str(
        jax.make_jaxpr(lambda y: integrator.solve(once, y, jnp.zeros(()), jnp.ones(())))(
            jnp.ones((2, 3))
        )
    )
    assert program.count("atan") == 1


@pytest.mark.parametrize(
    ("integrator", "words"),
    [
        (lambda: Adams(history=0, steps=Equal()), ["history", "0"]),
        (lambda: Adams(steps=Equal(num=0)), ["num", "0"]),
        (lambda: RungeKutta(tableau="rk4", steps=Equal()), ["tableau", "rk4", "dopri5"]),
    ],
)
def test_out_of_range(integrator, words):
    with pytest.raises(ValueError, match=words[0]) as raised:
        integrator().solve(field, {"y": jnp.ones((3, 1))}, jnp.zeros(()), jnp.ones(()))
    assert all(word in str(raised.value) for word in words)
