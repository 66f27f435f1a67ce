"""When a constraint acts on the state, what it leaves as it was, and what is refused."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    DDIM,
    Ancestral,
    Churn,
    Constraint,
    Heun,
    Langevin,
    NoPredictor,
    SASolver,
    UniPC,
    grids,
    noise,
    sample,
)
from sde_lib import VP, Prediction
from tests.cases import mixture
from tests.samplers.control.known import TO, Known

KEY = jax.random.key(0)


# --- when it acts -------------------------------------------------------------------------------


GRID = grids["uniform"](VP(), 3, 1e-2)
T = [float(t) for t in GRID]


@pytest.mark.parametrize(
    ("solver", "corrections", "denoise", "expected"),
    [
        # After the last of two evaluations a step, and on what is returned.
        (Heun(), 0, False, [T[1], T[2], T[3], T[3]]),
        (Ancestral(), 2, True, [T[0], T[0], T[1], T[1], T[1], T[2], T[2], T[2], T[3], -1]),
        # Again on the settled state, with the noise that it had; the first has none before it.
        (UniPC(), 0, True, [T[1], T[1], T[2], T[2], T[3], T[3], -1]),
        (UniPC(), 1, False, [T[0], T[1], T[1], T[1], T[2], T[2], T[2], T[3], T[3]]),
    ],
)
def test_it_acts_on_ends(solver, corrections, denoise, expected):
    calls = []
    known = Known(sde=VP(), to=TO, calls=lambda t, z: calls.append((float(t), float(np.sum(z)))))
    corrector = Langevin(num_steps=corrections) if corrections else None
    options = {"corrector": corrector, "denoise": denoise, "constraint": known}
    run = partial(sample, KEY, VP(), mixture().model(VP()), (2, 2), solver=solver, grid=GRID)
    run(**options).x.block_until_ready()
    jax.effects_barrier()
    times = [t for t, _ in calls]
    # What a settled state has at number 0, where no step has ended, is thrown away.
    if solver.remembers:
        assert times.pop(0) == T[0]
        calls.pop(0)
    assert_allclose(times, expected, rtol=1e-6)
    # Noise is fresh for every end, and the same for the same one.
    ends = len(GRID[1:]) * (corrections + bool(solver.evaluations)) + denoise
    drawn = {round(z, 3) for _, z in calls}
    assert len(drawn) == ends
    own = noise.stream(noise.example_keys(KEY, jnp.arange(2)), "constraint")
    assert drawn <= {round(float(noise.normal(own, k, (2,)).sum()), 3) for k in range(10)}


SHAPE, EACH = (8, 2), jnp.arange(16.0).reshape(8, 2)
ONE_OF_TWO = Known(sde=VP(), to=EACH, share=jnp.array([0.0, 1.0]), spread=0.0)


def drawn(constraint, solver, **options):
    model = mixture().model(VP())
    return sample(
        KEY, VP(), model, SHAPE, solver=solver, grid=GRID, constraint=constraint, **options
    ).x


def test_what_is_returned_is_constrained():
    """Of each example its own, at the time of the end, where a step of correction stays.

    x + (y − x), of numbers up to 15, is rounded three times.
    """
    x = drawn(ONE_OF_TWO, UniPC())
    assert_allclose(x[:, 1], VP().alpha(GRID[-1]) * EACH[:, 1], atol=3 * 15 * 2**-24)
    assert np.abs(x[:, 0] - VP().alpha(GRID[-1]) * EACH[:, 0]).max() > 1
    x = drawn(ONE_OF_TWO, NoPredictor(), corrector=Langevin())
    assert_allclose(x[:, 1], VP().alpha(GRID[-2]) * EACH[:, 1], atol=3 * 15 * 2**-24)


def test_devices_share_what_is_known():
    """It is sharded as the indices are, and so is the result."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), (jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    known = dataclasses.replace(ONE_OF_TWO, to=jax.device_put(EACH, sharding))
    shared = drawn(known, UniPC(), indices=jax.device_put(jnp.arange(8), sharding))
    assert len(shared.sharding.device_set) == jax.device_count()
    # Three steps of float32, in programs that are fused differently.
    assert_allclose(shared, drawn(ONE_OF_TWO, UniPC()), atol=2e-5)


def test_a_constraint_that_holds_already_changes_nothing():
    """Its noise is of a stream of its own, so the others' is what it is without."""
    known = dataclasses.replace(ONE_OF_TWO, share=0.0, spread=1.0)
    options = {"corrector": Langevin(), "denoise": True}
    # Three steps of float32 in programs that are fused differently.
    assert_allclose(
        drawn(known, SASolver(), **options), drawn(None, SASolver(), **options), atol=2e-5
    )


def test_new_knowledge_runs_the_program_that_is_there():
    traces = []

    def predict(x, t, cond):
        traces.append(0)
        return Prediction(data=x / 2, noise=x / 2)

    def run(to):
        known = Known(sde=VP(), to=jnp.full(2, to), share=jnp.array([1.0, 0.0]))
        model = jax.tree_util.Partial(predict)
        return sample(
            KEY, VP(), model, (2, 2), solver=Heun(), grid=GRID, denoise=True, constraint=known
        ).x

    assert_allclose(run(1.0)[:, 0], 1.0)
    once = len(traces)
    assert_allclose(run(-2.0)[:, 0], -2.0)
    assert len(traces) == once


# --- what is refused ----------------------------------------------------------------------------


class Forgetful(DDIM):
    """A solver that says that it does not go on from where a constraint has moved the state."""

    carries_moves = False


class Narrow(Constraint):
    """A constraint that loses a number of each example."""

    def apply(self, draw, x, t_end):
        return x[:, :1]


@pytest.mark.parametrize(
    ("solver", "constraint", "message"),
    [
        (Forgetful(), Known(sde=VP(), to=TO), "constraint: got solver Forgetful, takes one that"),
        (Churn(solver=Forgetful()), Known(sde=VP(), to=TO), "constraint: got solver Churn, takes"),
        (Heun(), Narrow(), r"Narrow.apply: returns shape \(2, 1\) for states of shape \(2, 2\)"),
    ],
    ids=["forgetful", "wrapped", "narrow"],
)
def test_in_one_line(solver, constraint, message):
    run = partial(sample, KEY, VP(), mixture().model(VP()), (2, 2), solver=solver, grid=GRID)
    with pytest.raises(ValueError, match=f"^{message}"):
        run(constraint=constraint)
