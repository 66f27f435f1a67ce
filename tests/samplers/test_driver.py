"""The loop: how often it evaluates, what it draws, how it ends, and what it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    IPNDM,
    Ancestral,
    Churn,
    EulerMaruyama,
    GridSampler,
    Langevin,
    NoPredictor,
    ReverseDiffusion,
    correctors,
    grids,
    noise,
    sample,
    solvers,
)
from sde_lib import VP, Prediction
from tests.cases import every_sde, mixture
from tests.samplers.reference import KINDS

SDE = VP()
KEY = jax.random.key(0)
GRID = grids["uniform"](SDE, 6, 1e-2)


def marked(scale, x, t, cond=None):
    """A model with a marker: an operation that nothing else in the program has."""
    del cond
    shrunk = jax.lax.asinh(scale * x)
    return Prediction(data=shrunk, noise=x - shrunk)


def count(jaxpr, name):
    """How often a primitive stands in a program, those inside its loops and branches included."""
    found = 0
    for equation in jaxpr.eqns:
        found += equation.primitive.name == name
        for part in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                found += count(inner, name)
    return found


@pytest.mark.parametrize("name", [*KINDS, "none"])
def test_one_copy_of_the_network(name):
    """Whatever the kind of solver, with two corrections a step and a last denoising."""
    options = {"corrector": Langevin(num_steps=2), "denoise": True, "grid": GRID}
    model = jax.tree_util.Partial(marked, 1.0)
    run = GridSampler(solver=solvers[name](), **options).draw
    program = jax.make_jaxpr(lambda key: run(key, SDE, model, (2, 3)))(KEY)
    assert count(program.jaxpr, "asinh") == 1
    assert count(program.jaxpr, "scan") == 1


@pytest.mark.parametrize(
    ("name", "corrections", "denoise"),
    # Neither a solver nor a corrector is an error, tested below.
    [(name, 2, True) for name in (*KINDS, "none")] + [(name, 0, False) for name in KINDS],
)
def test_evaluations(name, corrections, denoise):
    """N (e + m), and one more to denoise; the corrector before the solver, at the same time."""
    solver = solvers[name]()
    times, numbers = [], []

    def predict(x, t):
        jax.debug.callback(lambda t: times.append(float(t)), t, ordered=True)
        return marked(1.0, x, t)

    def draw(stream, number):
        def note(number):
            numbers.append((stream, int(number)))

        jax.debug.callback(note, number, ordered=True)
        return jnp.ones((2, 3))

    sampler = GridSampler(
        solver=solver,
        grid=GRID[-3:],
        corrector=Langevin(num_steps=corrections) if corrections else None,
        denoise=denoise,
    )

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(sampler):
        return sampler.integrate(draw, SDE, predict, jnp.ones((2, 3))).x

    run(sampler).block_until_ready()
    jax.effects_barrier()
    a_step = corrections + solver.evaluations
    steps = len(jax.eval_shape(solver.steps, SDE, GRID[-3:]).start)
    assert len(times) == steps * a_step + denoise
    assert len(times) == sampler.num_evaluations(SDE)
    if solver.evaluations == 1 and not solver.renoises:
        assert_allclose(times[:corrections], float(GRID[-3]))
        expected = [*np.repeat(GRID[-3:-1], a_step), *[GRID[-1]] * denoise]
        assert_allclose(times, expected)
    # Every draw has a stream and a number of its own.
    assert len(set(numbers)) == len(numbers)
    if not solver.renoises:
        assert len(numbers) == 2 * (corrections + solver.evaluations * solver.draws)


def test_denoising():
    """The end is E[x_0 | x_{t_min}] at the last state, its noise included."""
    oracle = mixture()
    x = noise.latents(KEY, jnp.arange(4), (2,))

    def run(**more):
        sampler = GridSampler(solver=ReverseDiffusion(), grid=GRID, **more)
        draw, model = (lambda *_: jnp.ones((4, 2))), oracle.model(SDE)
        return jax.jit(lambda sampler, x: sampler.integrate(draw, SDE, model, x).x)(sampler, x)

    plain = run()
    step = ReverseDiffusion().coefficients(SDE, GRID[-2], GRID[-1], num_steps=6)
    last = plain + step.std * jnp.ones((4, 2))
    expected = oracle.predict(SDE, last, GRID[-1]).data
    # Six steps of float32, amplified by 1/σ = 7 at t_min.
    assert_allclose(run(denoise=True), expected, atol=1e-5)
    assert np.abs(plain - expected).max() > 1e-2


def test_new_numbers_run_the_program_that_is_there():
    """Parameters, SDE, snr, grid and key; but another number of steps compiles."""
    traces = []

    def predict(scale, x, t, cond):
        traces.append(0)
        return marked(scale, x, t)

    def run(scale, sde, snr, grid, seed):
        return sample(
            jax.random.key(seed),
            sde,
            jax.tree_util.Partial(predict, jnp.float32(scale)),
            (2, 3),
            solver=EulerMaruyama(),
            corrector=Langevin(snr=snr),
            grid=grid,
        ).x

    first = run(1.0, VP(), 0.16, GRID, 0)
    once = len(traces)
    for arguments in (
        (0.5, VP(), 0.16, GRID, 0),
        (1.0, VP(beta_max=10.0), 0.16, GRID, 0),
        (1.0, VP(), 0.3, GRID, 0),
        (1.0, VP(), 0.16, GRID * 0.9, 0),
        (1.0, VP(), 0.16, GRID, 1),
    ):
        assert np.abs(run(*arguments) - first).max() > 1e-3
    assert len(traces) == once
    run(1.0, VP(), 0.16, GRID[:-1], 0)
    assert len(traces) > once


@pytest.mark.parametrize("start", [1.0, 0.7, 0.2])
@every_sde
def test_the_first_state_has_the_law_at_the_first_time(sde, start):
    """With a step of no length: the latent times √(α² s² + σ²), wherever the grid starts."""
    x = sample(
        KEY,
        sde,
        mixture().model(sde),
        (5, 2),
        solver=Ancestral(),
        grid=jnp.array([start, start]),
        data_std=1.3,
    ).x
    latent = noise.latents(KEY, jnp.arange(5), (2,))
    std = np.hypot(1.3 * sde.alpha(start), sde.sigma(start))
    # α data + σ noise = x, two terms of x's size in float32, α and σ of the step rounded too.
    assert_allclose(x, std * latent, atol=8 * np.finfo(np.float32).eps * std * 3)


def test_condition_reaches_its_example():
    def predict(x, t, cond):
        return Prediction(data=jnp.broadcast_to(cond[:, None], x.shape), noise=x)

    cond = jnp.array([-3.0, 0.0, 5.0])
    model = jax.tree_util.Partial(predict)
    options = {"solver": Ancestral(), "grid": GRID, "denoise": True}
    x = sample(KEY, SDE, model, (3, 2), cond=cond, **options).x
    assert_allclose(x, np.repeat(cond, 2).reshape(3, 2))


def test_the_path_is_of_what_the_data_are_taken_to_be():
    """E[x_0 | x_t] at the last evaluation of each of K equal parts, here the time itself."""

    def predict(x, t, cond):
        return Prediction(data=jnp.full_like(x, t), noise=-x)

    options = {"solver": Ancestral(), "grid": GRID, "denoise": True}
    run = partial(sample, KEY, SDE, jax.tree_util.Partial(predict), (3, 2), **options)
    # Seven evaluations, at the six starts and at the end: two, two and three a part.
    assert_allclose(run(keep=3).path[0, :, 0], GRID[jnp.array([2, 4, 6])])
    assert_allclose(run(keep=7).path[1, :, 1], GRID)
    assert_allclose(run(keep=3).x, GRID[-1])


def test_nothing_to_do_is_refused():
    with pytest.raises(ValueError, match=r"^sample: got neither a solver nor a corrector, takes"):
        sample(KEY, SDE, mixture().model(SDE), (2, 2), solver=NoPredictor(), grid=GRID)
    x = jnp.ones((2, 2))
    assert NoPredictor().update(lambda: x, marked(1.0, x, 1.0), x, None, None) == (x, x, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            lambda: {"solver": ReverseDiffusion(discretization="exakt")},
            r"^discretization: unknown value 'exakt'; did you mean 'exact'\? Known: exact, publ",
        ),
        (
            lambda: {"solver": Ancestral(discretization="ddpm")},
            r"^discretization: unknown value 'ddpm'\. Known: exact, published",
        ),
        (
            lambda: {"solver": EulerMaruyama(discretization="exakt")},
            r"^discretization: unknown value 'exakt'; did you mean 'exact'\? Known: exact, publ",
        ),
        (
            lambda: {"solver": Ancestral(variance="prior")},
            r"^variance: unknown value 'prior'; did you mean 'posterior'\? Known: forward, post",
        ),
        (
            lambda: {"solver": Churn(solver=IPNDM())},
            r"^solver: got IPNDM, takes a method without memory of earlier steps",
        ),
        (
            lambda: {"solver": NoPredictor(), "corrector": Langevin(norm="max")},
            r"^norm: unknown value 'max'\. Known: batch, example",
        ),
        (
            lambda: {
                "solver": NoPredictor(),
                "corrector": correctors["annealed_langevin"](discretization="x"),
            },
            r"^discretization: unknown value 'x'\. Known: exact, published",
        ),
    ],
)
def test_wrong_choices_are_named(options, message):
    """In one line; JAX adds a note on its own frames after it."""
    with pytest.raises(ValueError, match=message):
        sample(KEY, SDE, mixture().model(SDE), (2, 2), grid=GRID, **options())
