"""Guidance in closed form: predictions, samples and densities of a mixture in classes."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from numpy.testing import assert_allclose

from samplers import (
    Adams,
    AdaptiveSDESampler,
    ByTolerance,
    ClassifierGuidance,
    Equal,
    Exact,
    FlowSampler,
    GridSampler,
    Guidance,
    Hutchinson,
    ProbabilityFlow,
    RungeKutta,
    UniPC,
    classifier_guided,
    elbo,
    grids,
    guided,
    transforms,
)
from sde_lib import VP, Condition, ConditionalMixture, Flow, Prediction, declared
from tests.cases import SDES, every_sde, mixture
from tests.samplers.reference import drawn
from tests.samplers.test_driver import count

KEY, SDE = jax.random.key(0), VP()
DATA = ConditionalMixture(mixture=mixture(), classes=jnp.array([0, 1, 0]))
X = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
COND = Condition(label=jnp.array([0, 1, 1, 0]))
T = np.array([0.1, 0.3, 0.6, 0.9])


def guidance(sde, scale, **fields):
    """At any scale, 1 among them, one program."""
    return Guidance(model=DATA.model(sde), sde=sde, scale=jnp.asarray(scale), **fields)


def classifier(sde, scale, **fields):
    log_prob = jax.tree_util.Partial(ConditionalMixture.log_posterior, DATA, sde)
    return ClassifierGuidance(
        model=DATA.model(sde), sde=sde, log_prob=log_prob, scale=scale, **fields
    )


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


# --- densities, of each example its own ---------------------------------------------------------

T_MIN = 1e-2
LABELS = Condition(label=jnp.array([0, 1, 1, 0, 1, 0]))
POINTS = drawn(DATA.given(LABELS), jax.random.key(1), (6, 2))


def densities(sde, transform, **options):
    """log p at scale 0 and 1 of a transform, by the probability flow, and in closed form."""
    x = sde.perturb(POINTS, T_MIN, 0.1 * X[jnp.array([0, 1, 2, 3, 0, 1])])
    divergence = options.pop("divergence", Exact())

    def known(scale):
        flow = ProbabilityFlow(
            sde=sde,
            model=transform(sde, scale),
            cond=LABELS,
            t_min=T_MIN,
            data_std=0.8,
            **options,
        )
        return flow.log_prob(x, divergence).log_prob

    whole, kept = DATA.mixture, DATA.given(LABELS)
    exact = whole.log_prob(sde, x, T_MIN), kept.log_prob(sde, x, T_MIN)
    return (known(jnp.float32(0.0)), known(jnp.float32(1.0))), exact


@pytest.mark.parametrize("sde", [SDE, SDES["ve"]], ids=["vp", "ve"])
def test_densities_of_a_guided_model(sde):
    """At scale 0 that of the mixture, at scale 1 that of each example's class.

    Tolerances of 1e-5 leave less than 1e-3. The prior N(0, σ(1)²) does not know a class's mean m:
    log p is off by |z| α m/σ at t = 1, with |z| ≤ 3 and m ≤ 1.1 by 0.07 under VE (σ = 50), where no
    point here is so far out, and by less under the others.
    """
    got, exact = densities(sde, guidance)
    assert np.abs(exact[0] - exact[1]).max() > 0.5
    assert_allclose(got[0], exact[0], atol=0.05)
    assert_allclose(got[1], exact[1], atol=0.05)


@pytest.mark.parametrize(
    ("transform", "integrator", "divergence"),
    [
        (guidance, RungeKutta(steps=Equal(num=60)), lambda: Exact(chunk=1)),
        (classifier, Adams(steps=Equal(num=200)), Exact),
        # As many orthogonal probes as dimensions are exact.
        (
            guidance,
            RungeKutta(),
            lambda: Hutchinson.draw(KEY, (6, 2), num_probes=2, kind="orthogonal"),
        ),
    ],
    ids=["chunked", "classifier", "probes"],
)
def test_every_integrator_keeps_conditions_with_their_examples(transform, integrator, divergence):
    got, exact = densities(SDE, transform, integrator=integrator, divergence=divergence())
    assert_allclose(got[0], exact[0], atol=0.05)
    assert_allclose(got[1], exact[1], atol=0.05)


def test_bounds_of_a_guided_model():
    """Below the density by nothing but chance: the mean gap of 400 within five standard errors."""
    num, sde = 400, SDES["subvp"]
    cond = Condition(label=jnp.arange(num) % 2)
    t_min = float(sde.time_of_noise_to_signal(0.02))
    alpha, bound = sde.alpha(t_min), jax.jit(partial(elbo, num_times=16, data_std=0.8))
    for scale, data in ((0.0, DATA.mixture), (1.0, DATA.given(cond))):
        x = drawn(data, jax.random.key(2), (num, 2))
        model = guidance(sde, scale)
        gap = bound(KEY, sde, model, x, t_min=t_min, cond=cond).log_prob
        gap -= data.log_prob(sde, alpha * x, t_min) + 2 * jnp.log(alpha)
        # And what n_0 = 0.02 blurs, σ²/(2 α²) Σ 1/v ≤ 0.02²/0.2² = 0.01.
        assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(num) + 0.01


# --- samples ------------------------------------------------------------------------------------

NUM = 1000


def exact_divergence(key, shape, indices):
    return Exact()


@cache
def sampler(name):
    if name == "grid":
        return GridSampler(solver=UniPC(), grid=grids["log_snr"](SDE, 30, T_MIN), data_std=0.8)
    if name == "adaptive_sde":
        return AdaptiveSDESampler(t_min=T_MIN, rtol=0.02, atol=0.02, data_std=0.8, denoise=False)
    steps = ByTolerance(rtol=1e-4, atol=1e-4)
    return FlowSampler(
        integrator=Adams(steps=steps), t_min=T_MIN, data_std=0.8, divergence=exact_divergence
    )


@jax.jit
def true_densities(data):
    """Of samples of the data themselves."""
    x = data.sample(jax.random.key(3), (NUM, 2))
    x = SDE.perturb(x, T_MIN, jax.random.normal(jax.random.key(4), x.shape))
    return data.log_prob(SDE, x, T_MIN)


@pytest.mark.parametrize("name", ["grid", "adaptive_sde", "flow"])
def test_samples_of_a_guided_model(name):
    """At scale 0 of the mixture, at scale 1 each of its class: their mean log-density is its own.

    Within five standard errors; what brings densities along has those of the closed form.
    """
    cond = Condition(label=jnp.arange(NUM) % 2)
    for scale, data in ((0.0, DATA.mixture), (1.0, DATA.given(cond))):
        samples = sampler(name).draw(KEY, SDE, guidance(SDE, scale), (NUM, 2), cond=cond)
        ours = np.asarray(data.log_prob(SDE, samples.x, T_MIN))
        theirs = np.asarray(true_densities(data))
        error = np.sqrt((ours.var() + theirs.var()) / NUM)
        assert abs(ours.mean() - theirs.mean()) < 5 * error
        if name == "flow":
            assert_allclose(samples.log_prob, ours, atol=0.1)


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
