"""An update in closed form: where it goes, what it counts, and the averages that follow it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from experiments.data import Batch
from experiments.runtime.devices import make_mesh
from experiments.state.train_state import init_state
from experiments.training.objective import Draws
from experiments.training.step import make_gradient, make_update
from experiments.workdir.trained_model import TrainedModel
from sde_lib import adaptive_weighting
from tests.experiments.conftest import state_of
from tests.experiments.training.line import Line, denoising, experiment

VALUES = jnp.linspace(-1, 1, 16)[:, None]

# Gradient descent whose momentum does not show in the first step.
DESCENT = {
    "optimizer": "sgd",
    "beta1": 0.5,
    "learning_rate": 0.1,
    "warmup": 0,
    "grad_clip": 1e9,
    "averages": ("0.0",),
}


@functools.cache
def update(adaptive=False):
    """The compiled update of `start`'s state."""
    config = experiment(**DESCENT, adaptive_weighting=adaptive)
    run = jax.jit(make_update(config.training, denoising(config), Line()))
    return lambda state, values: run(state, Batch(values))


@functools.cache
def start():
    """The state before the first update."""
    return init_state(experiment(**DESCENT), Line(), (1,), make_mesh(1))


def test_each_step_draws_anew_and_the_same_again():
    state = start()
    first, again = (update()(state, VALUES) for _ in range(2))
    other = update()(dataclasses.replace(state, step=state.step + 1), VALUES)
    assert first.sums.loss == again.sums.loss
    assert first.sums.loss != other.sums.loss
    assert_array_equal([first.step, other.step], [1, 2])
    # The sums of the metrics go on until a line of them is written.
    empty = dataclasses.replace(first, sums=state.sums)
    second, alone = (update()(before, VALUES).sums.loss for before in (first, empty))
    assert_allclose(second, first.sums.loss + alone, rtol=1e-6)


def test_an_update_goes_down_the_gradient_and_the_averages_follow_it():
    """θ − η ∇, in the direction of less; with decay 0.9 the first step keeps 1/10 of θ₀."""
    state = start()
    after = update()(state, VALUES)
    moved = jax.tree.map(lambda new, old: new - old, after.params, state.params)
    # θ of 2 is rounded to 1e-7, and moves by more than 0.01.
    norm = np.hypot(*jax.tree.leaves(moved))
    assert_allclose(norm, 0.1 * after.sums.grad_norm, rtol=1e-4)
    # θ₀ is kept by min(0.9, 1/10), or by 0.
    for name, kept in (("0.9", 0.1), ("0.0", 0.0)):
        for average, new, old in zip(
            *(jax.tree.leaves(tree) for tree in (after.averages[name], after.params, state.params)),
            strict=True,
        ):
            assert_allclose(average, kept * old + (1 - kept) * new, rtol=1e-6)
    # F = 2 x − 0.3 is far above the best of the line: less a is less loss.
    assert moved["a"] < 0


def test_adaptive_weights_multiply_the_losses_and_stay_out_of_the_metrics():
    """A loss 100 times smaller in the second half of the times counts as much as in the first."""
    means = jnp.where(jnp.arange(8) < 4, 1.0, 0.01)
    seen = adaptive_weighting.BinnedLoss(means=means, counts=jnp.ones(8))
    moves, kept = {}, {}
    for asked in (False, True):
        for name, weighting in (("fresh", start().weighting), ("seen", seen)):
            after = update(asked)(dataclasses.replace(start(), weighting=weighting), VALUES)
            moves[asked, name] = float(after.params["a"] - start().params["a"])
            kept[asked, name] = float(after.sums.loss)
    # Two programs may round a sum of 16 terms apart, and θ of 2 to 1e-7.
    assert_allclose(list(kept.values()), kept[False, "fresh"], rtol=1e-5)
    for plain in ((False, "seen"), (True, "fresh")):
        assert_allclose(moves[plain], moves[False, "fresh"], rtol=1e-4)
    assert abs(moves[True, "seen"] / moves[False, "seen"] - 1) > 0.1


def test_an_update_that_is_not_finite_is_counted_and_changes_no_parameter():
    """The averages go on: decay 0 is at the parameters, which stayed."""
    state = dataclasses.replace(start(), averages=jax.tree.map(jnp.zeros_like, start().averages))
    after = update()(state, VALUES.at[3].set(jnp.nan))
    for kept in ("params", "opt_state", "weighting"):
        jax.tree.map(assert_array_equal, getattr(after, kept), getattr(state, kept))
    jax.tree.map(assert_array_equal, after.averages["0.0"], state.params)
    counted = after.sums.skipped, after.sums.updates, after.in_a_row, after.sums.longest
    assert_array_equal([*counted, after.step], [1, 0, 1, 1, 1])
    assert after.sums.loss == 0
    fine = update()(after, VALUES)
    assert_array_equal([fine.in_a_row, fine.sums.longest, fine.sums.skipped], [0, 1, 1])
    assert fine.params["a"] != state.params["a"]


def test_dropout_is_on_in_training_and_new_at_every_step():
    """Half of the outputs are 0, the others twice as large: not the same half in two parts."""
    config = experiment(parameterization="noise")
    gradient = make_gradient(denoising(config, network=Line(dropout=0.5)), 2)
    zero = jnp.zeros((64, 1))
    drawn = Draws(zero, jnp.full(64, 0.5), jnp.ones(64), jnp.full(64, 0.5), zero)
    losses = [
        np.asarray(gradient({"a": 0.0, "b": 1.0}, drawn, jnp.ones(64), jax.random.key(k))[1])
        for k in (0, 1)
    ]
    # 5 √64/2 = 20 around 32.
    assert all(12 < np.sum(half == 4) < 52 and np.isin(half, [0, 4]).all() for half in losses)
    assert np.any(losses[0] != losses[1])
    assert np.any(losses[0][::2] != losses[0][1::2])


def test_sampling_reads_the_average(trained):
    """And `raw` the parameters, which differ from it."""
    drawn = [
        jax.tree.leaves(TrainedModel.open(trained, [], make_mesh(1), raw=raw).model.params)
        for raw in (True, False)
    ]
    # The parameters come first, then their one average.
    for ours, theirs in zip(drawn[0] + drawn[1], state_of(trained), strict=False):
        assert_array_equal(ours, theirs)
    assert any(np.any(raw != average) for raw, average in zip(*drawn, strict=True))
