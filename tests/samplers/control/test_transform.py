"""Guidance in closed form: what it predicts of a mixture in classes, and transforms by name."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from numpy.testing import assert_allclose

from samplers import GridSampler, UniPC, classifier_guided, grids, guided, transforms
from sde_lib import Condition, Flow, Prediction, declared
from tests.cases import every_sde
from tests.samplers.control.classes import COND, DATA, KEY, SDE, T_MIN, X, classifier, guidance
from tests.samplers.test_driver import count

T = np.array([0.1, 0.3, 0.6, 0.9])


# --- what it predicts ---------------------------------------------------------------------------


@cache
def predictions(sde):
    """Of the model without and with the condition, guided by SCALES, and by a classifier."""

    @jax.jit
    def run(sde, x):
        model, free = DATA.model(sde), guidance(sde, SCALES)
        narrow = guidance(
            sde, SCALES, low=sde.noise_to_signal(T[1]), high=sde.noise_to_signal(T[2])
        )
        dropped = COND.drop(jnp.array([True, False, True, False]))
        return {
            "null": model(x, T),
            "kept": model(x, T, COND),
            "guided": free(x, T, COND),
            "in an interval": narrow(x, T, COND),
            "some dropped": free(x, T, dropped),
            "by a classifier": classifier(sde, SCALES)(x, T, COND),
        }

    return run(sde, jnp.asarray(X, dtype=float))


SCALES = np.array([3.5, 1.0, -1.0, 2.0])


@pytest.mark.usefixtures("float64")
@every_sde
@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("guided", SCALES),
        # Of its four times the two in the middle are at the ends of the interval, and in it.
        ("in an interval", [1.0, 1.0, -1.0, 1.0]),
        ("some dropped", [3.5, 0.0, -1.0, 0.0]),
        # A perfect one: s(x) + w ∇log p(c | x) = s(x) + w (s(x | c) − s(x)).
        ("by a classifier", SCALES),
    ],
)
def test_guidance_is_of_data_and_noise(sde, name, scales):
    """s' = (1 − w) s(x) + w s(x | c), which both say; w of each example."""
    known, w = predictions(sde), np.asarray(scales)[:, None]
    for ours, null, kept in zip(known[name], known["null"], known["kept"], strict=True):
        assert_allclose(ours, (1 - w) * null + w * kept, rtol=1e-7, atol=1e-9)
    alpha, sigma = sde.alpha(T)[:, None], sde.sigma(T)[:, None]
    assert_allclose(alpha * known[name].data + sigma * known[name].noise, X, rtol=1e-7, atol=1e-9)


def test_one_call_of_twice_the_batch_and_none_at_scale_1():
    shapes = []

    def predict(x, t, cond):
        shapes.append((x.shape, t.shape, cond.label.tolist(), cond.keep.tolist()))
        return Prediction(data=jax.lax.asinh(x), noise=x)

    model = jax.tree_util.Partial(predict)
    guided(model, SDE, scale=2.0)(X, T, COND)
    pairs = [0, 0, 1, 1, 1, 1, 0, 0]
    assert shapes == [((8, 2), (8,), pairs, [True, False] * 4)]
    guided(model, SDE, scale=2.0)(X, 0.5, COND)
    assert shapes[1][1] == ()
    assert guided(model, SDE, scale=1.0) is model
    assert guided(model, SDE, scale=1) is model
    assert classifier_guided(model, SDE, log_prob=predict, scale=0.0) is model


def test_a_batch_that_devices_share_stays_where_it_is():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), (AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    batch = 2 * jax.device_count()
    x, t, label = (
        jax.device_put(value, split)
        for value in (jnp.ones((batch, 2)), jnp.full(batch, 0.5), jnp.arange(batch) % 2)
    )
    model, cond = guidance(SDE, 2.0), Condition(label=label)
    program = jax.jit(lambda model, *given: model(*given)).lower(model, x, t, cond).compile()
    moves = ("all-gather", "all-to-all", "collective", "all-reduce")
    assert not any(word in program.as_text() for word in moves)
    assert program(model, x, t, cond).data.sharding.is_equivalent_to(split, 2)


@pytest.mark.usefixtures("float64")
def test_transforms_compose():
    """A guided model, guided by a classifier too: their scales add up, 1.5 + 2.5."""
    both = classifier_guided(
        guided(DATA.model(SDE), SDE, scale=1.5),
        SDE,
        log_prob=lambda x, t, cond: DATA.log_posterior(SDE, x, t, cond),
        scale=2.5,
        conditional=True,
    )
    known = predictions(SDE)
    got = jax.jit(lambda x: both(x, T, COND))(jnp.asarray(X, dtype=float))
    for ours, null, kept in zip(got, known["null"], known["kept"], strict=True):
        assert_allclose(ours, -3 * null + 4 * kept, rtol=1e-7, atol=1e-9)


def test_a_classifier_knows_nothing_without_a_signal():
    """α = 0: data and noise are as they were, and finite."""
    flow = Flow()
    run = jax.jit(lambda x: (classifier(flow, 2.0)(x, 1.0, COND), DATA.model(flow)(x, 1.0)))
    got, alone = run(X)
    assert_allclose(got.data, alone.data, atol=1e-6)
    assert_allclose(got.noise, alone.noise, atol=1e-6)


# --- by name ------------------------------------------------------------------------------------


def test_the_program_of_every_scale_is_one():
    """With one copy of the network in it."""

    def predict(x, t, cond):
        return Prediction(data=jax.lax.asinh(x), noise=x)

    model = guided(jax.tree_util.Partial(predict), SDE, scale=2.0)
    run = GridSampler(solver=UniPC(), grid=grids["log_snr"](SDE, 5, T_MIN), denoise=True).draw
    program = jax.make_jaxpr(lambda model: run(KEY, SDE, model, (4, 2), cond=COND))(model)
    assert count(program.jaxpr, "asinh") == 1
    assert len(jax.tree.leaves(model)) == len(jax.tree.leaves(SDE)) + 3


def test_transforms_by_name():
    assert transforms["guidance"] is guided
    own = transforms["tests.samplers.control.test_constraint:Moved"]
    moved = own(model=DATA.model(SDE), sde=SDE, by=jnp.ones(2))
    assert np.isfinite(moved(X, 0.5).data).all()
    takes = declared(guided)
    assert list(takes) == ["scale", "low", "high"]
    with pytest.raises(ValueError, match=r"^scale: got nan, takes a finite number$"):
        takes["scale"].check("scale", float("nan"))
    with pytest.raises(ValueError, match=r"^low: got -1.0, takes a number ≥ 0$"):
        takes["low"].check("low", -1.0)
    with pytest.raises(ValueError, match=r"^unknown transform 'guidence'; did you mean 'guidance'"):
        transforms["guidence"]


def test_guidance_takes_a_condition():
    with pytest.raises(ValueError, match=r"^guidance: got condition None, takes a Condition$"):
        guidance(SDE, 2.0)(X, T)
