"""Rows of linear solvers and what they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from samplers import IPNDM, Plan, Steps
from samplers.solvers.linear import DATA, NOISE, Row, corrected, finite_run, newest_first, stages
from sde_lib import VP, Prediction

INF, NAN = np.inf, np.nan
X, B = jnp.array([3.0, -1.0]), jnp.array([0.5, 8.0])
PREDICTION = Prediction(data=jnp.array([2.0, 4.0]), noise=jnp.array([-1.0, 0.25]))
OLD = (jnp.array([1.0, 2.0]), jnp.array([-4.0, 0.5]))


def moved_by(row, *, moved=False):
    """x and (b, directions) after an update with a row of a memory of two."""
    update = IPNDM(order=2).update_moved if moved else IPNDM(order=2).update
    new = update(lambda: jnp.full(2, NAN), PREDICTION, X, row, (B, OLD))
    return new.x, new.state


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([INF, 1, 2, NAN, 3], [0, 1, 2, 0, 1]),
        ([1, -INF, NAN, 4, 5], [1, 0, 0, 1, 2]),
    ],
)
def test_finite_run(values, expected):
    assert_array_equal(finite_run(jnp.array(values, dtype=float)), expected)


def test_newest_first():
    history = newest_first(jnp.arange(4.0), 3)
    assert_array_equal(history[0], [0, 1, 2, 3])
    assert_array_equal(history[1, 1:], [0, 1, 2])
    assert_array_equal(history[2, 2:], [0, 1])


def test_a_row_that_holds():
    x, (base, directions) = moved_by(Row.hold(2))
    assert_array_equal(x, X)
    assert_array_equal(base, X)
    assert_array_equal(directions, (PREDICTION.data, OLD[0]))


def test_a_step():
    """x' = scale x + Σ weights d, newest first; a weight of none reads nothing, finite or not."""
    row = Row.step(jnp.float32(2), jnp.array([3.0, -1.0]), direction=NOISE)
    assert_array_equal(moved_by(row)[0], 2 * X + 3 * PREDICTION.noise - OLD[0])
    row = Row.step(jnp.float32(2), jnp.array([3.0, 0.0]), direction=NOISE)
    new = IPNDM(order=2).update(
        lambda: jnp.full(2, NAN), PREDICTION, X, row, (B * NAN, (INF * OLD[0], OLD[1]))
    )
    assert_array_equal(new.x, 2 * X + 3 * PREDICTION.noise)


def test_a_step_that_is_taken_anew():
    """From b, as the correction says; the next step goes on from there."""
    again = corrected(jnp.array([0.5, 0.5]), jnp.array([[1.0, 1.0], [2.0, 2.0]]))
    rows = Row.step(jnp.full(2, 4.0), jnp.zeros((2, 2)), direction=DATA).correcting(again)
    first, second = (jax.tree.map(lambda leaf, i=i: leaf[i], rows) for i in range(2))
    assert_array_equal(moved_by(first)[0], 4 * X)
    expected = B / 2 + PREDICTION.data + 2 * OLD[0]
    x, (base, _) = moved_by(second)
    assert_array_equal(base, expected)
    assert_array_equal(x, 4 * expected)


def test_directions_follow_a_moved_state():
    """The newest is what the network now says, and the older ones change by as much."""
    _, (base, directions) = moved_by(Row.hold(2), moved=True)
    assert_array_equal(base, X)
    assert_array_equal(directions, (PREDICTION.data, OLD[1] + PREDICTION.data - OLD[0]))


def test_stages_set_out_from_the_start_of_the_step():
    assert_array_equal(stages(3, 1), [[1, 0, 0], [0, 1, 0], [0, 1, 0]])


def test_where():
    steps = Steps.of_grid(jnp.array([0.9, 0.5, 0.1]))
    ddim = Row.ddim(VP(), steps, 2)
    hold = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), Row.hold(2))
    rows = Row.where(jnp.array([True, False]), ddim, hold)
    for got, ours, theirs in zip(rows, ddim, hold, strict=True):
        assert_array_equal(got[0], ours[0])
        assert_array_equal(got[1], theirs[1])


def test_one_evaluation_a_step():
    plan = Plan.one_per_step(jnp.arange(3.0), {"a": jnp.ones((3, 2))}, "last")
    assert plan.times.shape == (3, 1)
    assert plan.coefficients["a"].shape == (3, 1, 2)
    assert plan.final_correction == "last"
