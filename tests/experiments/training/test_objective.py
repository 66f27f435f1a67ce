"""The objective in closed form: what a step draws, its expected loss and gradient, its update."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from experiments.builders.check import check_parameterization
from experiments.config_schema.sections import (
    DataConfig,
    Experiment,
    LikelihoodConfig,
    ModelConfig,
    SamplingConfig,
    SDEConfig,
    TrainingConfig,
)
from experiments.data import Batch, ContinuousCodec, PixelCodec, Split
from experiments.errors import UserError
from experiments.runtime.devices import make_mesh
from experiments.state.train_state import init_state
from experiments.training.denoising import Denoising, check_weights
from experiments.training.draws import check_flip, to_model_units
from experiments.training.objective import Draws
from experiments.training.step import make_gradient, make_update
from experiments.workdir.trained_model import TrainedModel
from sde_lib import VP, Condition, adaptive_weighting, sdes, time_samplers, weightings
from tests.experiments.conftest import state_of

STD, MEAN = 0.6, 0.4
# Where log σ/α is a few deviations of `log_normal` from its mean at most, but for the two SDEs
# that lose all signal.
NARROW = {
    "vp": {"beta_max": 4.0},
    "subvp": {"beta_max": 4.0},
    "ve": {"sigma_max": 5.0},
    "edm": {"sigma_max": 5.0},
    "linear_ve": {"sigma_max": 5.0},
    "learned": {"log_snr_min": -3.0, "increments": (0.3,)},
    "flow": {},
    "cosine": {},
}


class Line(nn.Module):
    """a x + b, and dropout of it where asked for."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The network's output."""
        a, b = (
            self.param(name, nn.initializers.constant(value), ())
            for name, value in (("a", 2.0), ("b", -0.3))
        )
        return nn.Dropout(self.dropout, deterministic=not train)(a * x + b)


def experiment(sde="vp", data=None, parameterization="v", **training):
    """An experiment on the line, with all that its SDE would decide."""
    fields = {"weighting": "sigma2", "times": "uniform", "t_min": 0.01, "ema_decay": 0.9}
    return Experiment(
        sde=SDEConfig(name=sde),
        data=DataConfig(**{"centered": True, "std": STD} | (data or {})),
        model=ModelConfig(parameterization=parameterization, conditioning="time"),
        training=TrainingConfig(**fields | training),
        sampling=SamplingConfig(),
        likelihood=LikelihoodConfig(),
    )


def denoising(config, sde=None, network=None, levels=None):
    """The objective of an experiment on data of some grey levels."""
    data = Split.of(np.zeros((2, 1)), levels=levels)
    return Denoising(config, sde or VP(), network or Line(), data)


# --- expected loss and gradient -----------------------------------------------------------------


def squared_errors(sde, t, a, b):
    """E(ε̂ − ε)² and E(d̂ − data)² at t, v = a x + b: each error is A data + B noise + C."""
    alpha, sigma = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t))
    scale = alpha**2 + sigma**2
    found = []
    for gain, shift, of_data, of_noise in (
        ((sigma + alpha * a) / scale, alpha * b / scale, 0, 1),
        ((alpha - sigma * a) / scale, -sigma * b / scale, 1, 0),
    ):
        by_data, by_noise = gain * alpha - of_data, gain * sigma - of_noise
        found.append((by_data * MEAN + shift) ** 2 + (by_data * STD) ** 2 + by_noise**2)
    return found


def interval(low, high, num=160):
    """Gauss–Legendre nodes and weights."""
    x, w = np.polynomial.legendre.leggauss(num)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def expected(sde, weighting, t_min, a, b):
    """Mean over uniform times, as an integral over t, log-SNR or log n = −log-SNR/2."""
    if weighting == "sigma2":
        t, w = interval(t_min, 1.0)
        value = squared_errors(sde, t, a, b)[0]
    else:
        # 1e-13 of signal is none.
        snr, w = interval(max(float(sde.log_snr(1.0)), -30.0), float(sde.log_snr(t_min)))
        on_noise, on_data = squared_errors(sde, sde.time_of_log_snr(snr), a, b)
        value = on_noise
        if weighting == "edm":
            n = np.exp(-snr / 2)
            density = stats.norm.pdf(np.log(n), -1.2, 1.2) / 2
            value = density * (n**2 + STD**2) / (n * STD) ** 2 * on_data
    return float(value @ w) / (1 - t_min)


def nodes(sde, times, t_min):
    """u, and weights of ∫ du, evenly in t or in log-SNR: the distribution of times by SciPy."""
    if times == "uniform":
        return interval(0.0, 1.0, 80)
    first, last = float(sde.log_snr(t_min)), max(float(sde.log_snr(1.0)), -2 * np.log(1e3))
    snr, w = interval(first, last, 80)
    if times == "log_snr":
        return (snr - first) / (last - first), w / (last - first)
    law = stats.norm(-1.2, 1.2)
    mass = law.cdf(-last / 2) - law.cdf(-first / 2)
    u = (law.cdf(-snr / 2) - law.cdf(-first / 2)) / mass
    return u, law.pdf(-snr / 2) / -2 * w / mass


def quadrature(sde, times, t_min):
    """A batch and its weights, whose weighted mean is the expectation over all that is drawn."""
    u, of_time = nodes(sde, times, t_min)
    # Two nodes are exact for squares.
    z = np.array([-1.0, 1.0])
    u, data, noise = (a.reshape(-1) for a in np.meshgrid(u, MEAN + STD * z, z, indexing="ij"))
    t, importance = time_samplers[times](sde, jnp.asarray(u), t_min)
    draws = Draws(data[:, None], t, importance, jnp.asarray(u), noise[:, None])
    return jax.tree.map(jnp.asarray, draws), jnp.asarray(np.repeat(of_time, 4) / 4 * len(u))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", NARROW)
def test_expected_loss_and_gradient_are_quadrature(name):
    """Of every weighting at every distribution of times; the least signal is 1e-6 of a part.

    What an example weighs by its time's density and by the weighting are two factors, whatever
    the SDE: all their pairs are of one SDE, and others have each factor once.
    """
    sde = sdes[name](**NARROW[name])
    t_min, params = float(sde.time_of_noise_to_signal(0.05)), {"a": 0.7, "b": -0.3}
    step = 1e-2
    alone = dict(zip(weightings, time_samplers, strict=True))
    for weighting in weightings:
        want = expected(sde, weighting, t_min, 0.7, -0.3)
        # Central differences of a square are exact.
        slope = [
            (expected(sde, weighting, t_min, 0.7 + da, -0.3 + db)
             - expected(sde, weighting, t_min, 0.7 - da, -0.3 - db)) / (2 * step)
            for da, db in ((step, 0), (0, step))
        ]  # fmt: skip
        for times in time_samplers if name == "vp" else [alone[weighting]]:
            drawn, weights = quadrature(sde, times, t_min)
            gradient = make_gradient(
                denoising(experiment(weighting=weighting, times=times), sde), 1
            )
            got, losses, by_params = gradient(params, drawn, weights, jax.random.key(0))
            note = f"{weighting}, {times}"
            assert_allclose(got, want, rtol=2e-5, err_msg=note)
            assert_allclose(np.mean(np.asarray(weights) * losses), got, rtol=1e-12)
            got = [by_params["a"], by_params["b"]]
            assert_allclose(got, slope, rtol=2e-5, atol=2e-5 * want, err_msg=note)


def test_a_batch_in_parts_is_the_batch():
    """Value, losses in the order of the examples, and gradient.

    Float32 sums of 12 terms of up to 10: a few times 12 · 6e-8 of them where they cancel.
    """
    objective = denoising(experiment())
    drawn = objective.draw(jax.random.key(0), Batch(jnp.linspace(-1, 1, 12)[:, None]))
    params, weights = {"a": 0.7, "b": -0.3}, jnp.arange(1.0, 13.0)
    once, parts = (
        jax.jit(make_gradient(objective, k))(params, drawn, weights, jax.random.key(1))
        for k in (1, 3)
    )
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), parts, once)


# --- what a step draws --------------------------------------------------------------------------


@pytest.mark.parametrize("low_discrepancy", [True, False])
@pytest.mark.parametrize("times", list(time_samplers))
def test_times_and_importance_are_of_the_drawn_u(times, low_discrepancy):
    config = experiment(times=times, low_discrepancy=low_discrepancy)
    drawn = denoising(config).draw(jax.random.key(3), Batch(jnp.zeros((64, 1))))
    t, importance = time_samplers[times](VP(), drawn.u, 0.01)
    assert_array_equal(drawn.t, t)
    assert_array_equal(drawn.importance, importance)
    spread = np.sort(np.floor(np.asarray(drawn.u) * 64 + 1e-4) % 64)
    assert np.array_equal(spread, np.arange(64)) == low_discrepancy


def test_all_that_is_drawn_is_independent():
    """Times, noise, dequantization and flips over 900 keys: correlations below 5/√900.

    One that is not, with one key for two of them, is above 0.9 after the ranks are taken.
    """
    config = experiment(data={"flip": True, "dequantization": True}, low_discrepancy=False)
    draw = denoising(config, levels=256).draw
    values = jnp.zeros((2, 1, 2, 1), jnp.uint8).at[:, :, 1].set(128)

    @jax.jit
    @jax.vmap
    def numbers(key):
        drawn = draw(key, Batch(values))
        flipped = (drawn.data[:, 0, 0, 0] > drawn.data[:, 0, 1, 0]).astype(float)
        place = (drawn.data + 1) * 128 % 1
        return jnp.concatenate([drawn.u, drawn.noise.ravel(), place.ravel(), flipped])

    drawn = np.asarray(numbers(jax.random.split(jax.random.key(5), 900)))
    found = stats.spearmanr(drawn).statistic - np.eye(drawn.shape[1])
    assert np.abs(found).max() < 5 / np.sqrt(900)


@pytest.mark.parametrize("codec", [PixelCodec(64), ContinuousCodec()], ids=["grey", "continuous"])
def test_flips_are_left_to_right_and_of_each_image_alone(codec):
    image = np.arange(6, dtype=codec.dtype).reshape(1, 2, 3, 1)
    values = np.repeat(image, 200, axis=0)
    units = [
        np.asarray(to_model_units(experiment(data={"flip": f}), codec, jax.random.key(0), values))
        for f in (False, True)
    ]
    mirrored = np.all(units[1] == units[0][:, :, ::-1], axis=(1, 2, 3))
    assert_array_equal(units[1][~mirrored], units[0][~mirrored])
    # Half of 200, within 5 √(200/4).
    assert 65 < mirrored.sum() < 135


def test_dequantization_fills_the_bins_in_training():
    """By a Kolmogorov–Smirnov test at 1e-4; without it the centre of each bin."""
    values = jnp.asarray(np.random.default_rng(0).integers(0, 16, (1000, 1)), jnp.uint8)
    for asked in (True, False):
        config = experiment(data={"dequantization": asked})
        drawn = denoising(config, levels=16).draw(jax.random.key(1), Batch(values))
        place = np.asarray((drawn.data + 1) * 8 - values).ravel()
        if asked:
            assert stats.kstest(place, "uniform").pvalue > 1e-4
        else:
            assert_allclose(place, 0.5, atol=1e-5)


class Given(nn.Module):
    """The label over 10, or 7 where it is not kept, whatever x is."""

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The network's output."""
        kept = cond.label / 10 if cond.keep is None else jnp.where(cond.keep, cond.label / 10, 7.0)
        return self.param("a", nn.initializers.ones, ()) * jnp.broadcast_to(kept[:, None], x.shape)


def test_a_condition_stays_with_its_example_and_some_lose_theirs():
    """Through parts of a batch, too; a tenth of 2000 within 5 √(2000 · 0.09), anew each step."""
    labels = jnp.arange(2000, dtype=jnp.int32) % 10
    config = experiment(parameterization="noise", weighting="sigma2", cond_dropout=0.1)
    objective = denoising(config, network=Given())
    batch = Batch(jnp.zeros((2000, 1)), Condition(label=labels))
    drawn, other = (objective.draw(jax.random.key(k), batch) for k in (0, 1))
    assert_array_equal(drawn.cond.label, labels)
    assert 200 - 67 < np.sum(~drawn.cond.keep) < 200 + 67
    assert np.any(drawn.cond.keep != other.cond.keep)
    want = (jnp.where(drawn.cond.keep, labels / 10, 7.0) - drawn.noise[:, 0]) ** 2
    got = make_gradient(objective, 4)({"a": 1.0}, drawn, jnp.ones(2000), jax.random.key(0))[1]
    assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    without = denoising(experiment(cond_dropout=0.0)).draw(jax.random.key(0), batch)
    assert without.cond.keep is None
    # What else is drawn does not depend on there being a condition.
    plain = objective.draw(jax.random.key(0), Batch(batch.values))
    assert plain.cond is None
    jax.tree.map(assert_array_equal, plain[:-1], drawn[:-1])


# --- an update ----------------------------------------------------------------------------------

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


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sde", "training", "words"),
    [
        (
            "vp",
            {"times": "log_normal", "t_min": 1e-5},
            ["2e+05", "takes edm", "log_snr or uniform"],
        ),
        ("subvp", {"times": "log_normal", "t_min": 1e-5}, ["3e+19", "takes edm"]),
        ("vp", {"times": "log_snr", "t_min": 0.0}, ["training.t_min: got 0", "later"]),
        ("vp", {"weighting": "likelihood", "t_min": 0.0}, ["inf", "edm or sigma2, or a later"]),
    ],
)
def test_an_objective_that_single_examples_decide_is_refused(sde, training, words):
    with pytest.raises(UserError) as error:
        check_weights(experiment(sde, **training), sdes[sde]())
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("sde", "fields"),
    [
        ("vp", {"t_min": 0.0}),
        ("vp", {"weighting": "likelihood", "t_min": 1e-5}),  # as published
        ("subvp", {"weighting": "likelihood", "t_min": 1e-5}),
        ("vp", {"weighting": "likelihood", "times": "log_snr", "t_min": 1e-5}),
        ("flow", {"weighting": "edm", "times": "log_normal", "t_min": 1e-3}),
    ],
)
def test_published_objectives_are_taken(sde, fields):
    check_weights(experiment(sde, **fields), sdes[sde]())


def test_points_are_not_flipped():
    with pytest.raises(UserError, match=r"data\.flip: got True, takes False"):
        check_flip(experiment(data={"flip": True}), (2,))


@pytest.mark.parametrize("sde", ["flow", "cosine"])
@pytest.mark.parametrize("name", ["noise", "scaled_score", "score", "ddpm_noise"])
def test_a_meaning_without_data_where_no_signal_is_left_is_refused(sde, name):
    with pytest.raises(UserError, match="takes data, edm, v, velocity"):
        check_parameterization(experiment(sde, parameterization=name), sdes[sde]())
