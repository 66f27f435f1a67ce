"""Constraints on the state: when they act, and that every solver goes on from there.

With a model that is transformed, since both are the tests' own and one program has both.
"""

import dataclasses
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from samplers import (
    DDIM,
    Ancestral,
    Churn,
    Constraint,
    GridSampler,
    Heun,
    Langevin,
    NoPredictor,
    SASolver,
    Solver,
    Transform,
    UniPC,
    grids,
    noise,
    sample,
    solvers,
)
from sde_lib import SDE, VP, Prediction, expand, static
from tests.cases import gaussian, mixture
from tests.samplers.reference import KINDS

KEY, VARIANCE_PRESERVING = jax.random.key(0), VP()


class Known(Constraint):
    """x + share (α to + spread σ z − x): with share 1 the forward process of what is known.

    `to` and `share` are [D], or `to` of each example [B, D]; `calls` takes (t_end, noise) of each.
    """

    sde: SDE
    to: Any
    share: Any = 1.0
    spread: Any = 1.0
    calls: Any = static(default=None)

    def apply(self, draw, x, t_end):
        z = draw()
        if self.calls:
            jax.debug.callback(self.calls, -1.0 if t_end is None else t_end, z, ordered=True)
        if t_end is None:
            return x + self.share * (self.to - x)
        alpha, sigma = self.sde.alpha(t_end), self.sde.sigma(t_end)
        return x + self.share * (alpha * self.to + self.spread * sigma * z - x)


class Moved(Transform):
    """The model of data that are moved by b: of data at x − α b, and b added."""

    by: Any

    def __call__(self, x, t, cond=None):
        data, noise = self.model(x - expand(self.sde.alpha(t), x) * self.by, t, cond)
        return Prediction(data=data + self.by, noise=noise)


# --- the law, without sampling ------------------------------------------------------------------

NUM, TO, STD = 40, jnp.array([1.2, 0.0]), 0.5


@cache
def program(name: str):
    """(grid, constraint) → mean [2] and covariance [2, 2] of denoised samples of Gaussian data.

    The model is that of data around 0, transformed. Everything is affine in the first state and in
    the draws, so one run with a row of the batch for each number among them carries the moments
    through the driver.
    """
    sde, solver = VARIANCE_PRESERVING, solvers[name]()

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(grid, constraint):
        sampler = GridSampler(solver=solver, grid=grid, denoise=True, constraint=constraint)
        number = sampler.num_evaluations(sde)
        streams = ["step", "constraint", *["renoise"] * solver.renoises]
        first = {stream: 3 + 2 * number * k for k, stream in enumerate(streams)}
        rows = jnp.zeros((3 + 2 * number * len(streams), 2))

        def units(place):
            return rows.at[place, 0].set(1.0).at[place + 1, 1].set(1.0)

        start = jnp.hypot(STD * sde.alpha(grid[0]), sde.sigma(grid[0])) * units(1)
        data = gaussian()
        centred = dataclasses.replace(data, mean=jnp.zeros(2)).model(sde)
        model = Moved(model=centred, sde=sde, by=data.mean)
        x = sampler.integrate(lambda s, k: units(first[s] + 2 * k), sde, model, start).x
        return x[0], (x[1:] - x[0]).T @ (x[1:] - x[0])

    return run


@jax.jit
def steps_of(solver: Solver, sde: SDE, grid: Any) -> tuple:
    """(α, σ) at the first time, at the starts and at the ends of the steps; and the renoising."""
    steps = solver.steps(sde, grid)
    times = grid[:1], steps.start, steps.end
    return *((sde.alpha(t), sde.sigma(t)) for t in times), steps.renoising(sde, grid[0])


def composed(name: str, grid: Any, constraint: Known) -> tuple[np.ndarray, np.ndarray]:
    """The same with exact steps: of the probability flow, or, if it draws, of the reverse SDE."""
    sde, solver, data = VARIANCE_PRESERVING, solvers[name](), gaussian()
    axes, lam, m = (np.asarray(v) for v in (data.eigenvectors, data.eigenvalues, data.mean))
    first, starts, ends, raised = jax.device_get(steps_of(solver, sde, grid))

    def curves(alpha, sigma):
        return zip(alpha, sigma, np.outer(alpha**2, lam) + sigma[:, None] ** 2, strict=True)

    def along(values):
        return axes @ np.diag(values) @ axes.T

    ((alpha, sigma, _),) = curves(*first)
    mean, cov = np.zeros(2), np.eye(2) * (STD**2 * alpha**2 + sigma**2)
    keep = np.diag(1 - np.asarray(constraint.share))
    pull = np.asarray(constraint.share * constraint.to)
    for (scale, std), (alpha, _, v), (alpha_end, sigma_end, v_end) in zip(
        zip(*raised, strict=True), curves(*starts), curves(*ends), strict=True
    ):
        mean, cov = scale * mean, scale**2 * cov + std**2 * np.eye(2)
        step, drawn = np.sqrt(v_end / v), np.zeros(2)
        if solver.draws and not solver.renoises:
            step = alpha / alpha_end * v_end / v
            drawn = v_end - step * alpha / alpha_end * v_end
        mean = alpha_end * m + along(step) @ (mean - alpha * m)
        cov = along(step) @ cov @ along(step) + along(drawn)
        spread = np.asarray(constraint.share * constraint.spread) * sigma_end
        mean, cov = keep @ mean + alpha_end * pull, keep @ cov @ keep + np.diag(spread**2)
    gain = along(alpha_end * lam / v_end)
    mean, cov = m + gain @ (mean - alpha_end * m), gain @ cov @ gain
    return keep @ mean + pull, keep @ cov @ keep


@cache
def grid() -> jax.Array:
    """Uniform in log-SNR."""
    return jax.jit(lambda sde: grids["log_snr"](sde, NUM, sde.time_of_noise_to_signal(0.05)))(VP())


def case(name: str, share: float) -> tuple:
    """What the driver makes of the first number known to `share`, and the same with exact steps."""
    known = Known(sde=VP(), to=TO, share=jnp.array([share, 0.0]), spread=jnp.ones(()))
    return program(name)(grid(), known), composed(name, grid(), known)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_solver_goes_on_from_what_is_known(name):
    """One number of two is known: it is exact at the end, and the other's law is that of (1).

    Compared with exact steps between the constraints, a solver errs about as much as without any:
    1e-7 by a Runge–Kutta method of order 4. One that remembers has evaluations from before a move
    among those after it. That is of first order, as the splitting of step and constraint is, which
    at 40 steps errs by 1 % of the deviation and 2.5 % of the variance (against 320 of them).
    A constraint that is forgotten, or put on at another time, makes 10 % and more.
    """
    (mean, cov), (exact_mean, exact_cov) = case(name, 1.0)
    assert_array_equal(mean[0], TO[0])
    assert_array_equal(cov[0], 0.0)
    (alone, alone_cov), (free, free_cov) = case(name, 0.0)
    std = np.sqrt(exact_cov[1, 1])
    remembers = solvers[name]().remembers
    own = np.abs(alone - free).max() / std, abs(alone_cov[1, 1] / free_cov[1, 1] - 1)
    off = abs(mean[1] - exact_mean[1]) / std, abs(cov[1, 1] / exact_cov[1, 1] - 1)
    assert off[0] <= own[0] + (0.035 if remembers else 0.02)
    assert off[1] <= 1.5 * own[1] + (0.04 if remembers else 1e-3)
    if name == "rk":
        assert max(off) < 1e-5


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["heun", "unipc", "dpmpp_2m", "sa_solver"])
def test_a_state_is_constrained_once_a_step(name):
    """A tenth of the way to what is known, where twice would be off by one deviation and more.

    What is left is the lag of evaluations from before a move, 0.13 at most.
    """
    (mean, _), (exact_mean, exact_cov) = case(name, 0.1)
    assert abs(mean[0] - exact_mean[0]) < 0.2 * np.sqrt(exact_cov[0, 0])


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
