"""Optimizers by name: their steps, their fields, and what is refused."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.config_schema.sections import TrainingConfig
from experiments.errors import UserError
from experiments.state.optimizers import learning_rate, make_optimizer, optimizers
from tests.cases import float32_tolerance


@dataclass(frozen=True, kw_only=True)
class Training(TrainingConfig):
    """The section with the fields of optimizers, and few steps."""

    num_steps: int = 10
    learning_rate: float = 0.01
    warmup: int = 0
    optimizer: str = "adam"
    optimizer_args: dict = dataclasses.field(default_factory=dict)
    beta2: float = 0.999
    weight_decay: float = 0.0
    ema_decay: float = 0.9
    weighting: str = "sigma2"
    times: str = "uniform"


def draw(seed=0):
    """A convolution [3, 3, in, out], a matrix and a bias."""
    rng = np.random.default_rng(seed)
    shapes = {"conv": (3, 3, 4, 6), "dense": (6, 5), "bias": (5,)}
    return {k: jnp.asarray(rng.normal(size=s), jnp.float32) for k, s in shapes.items()}


def moves(optimizer, params, steps=3, gradient=draw):
    """The updates of some steps, the gradient of step k drawn from k."""
    state, update, taken = optimizer.init(params), jax.jit(optimizer.update), []
    for k in range(steps):
        change, state = update(gradient(k + 1), state, params)
        params = optax.apply_updates(params, change)
        taken.append(change)
    return taken


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_adam_is_optaxs_behind_a_bound_and_a_warm_up(schedule):
    config = Training(warmup=2, schedule=schedule, beta1=0.8, adam_eps=1e-6)
    known = optax.chain(
        optax.clip_by_global_norm(config.grad_clip),
        optax.adam(learning_rate(config), b1=0.8, eps=1e-6),
    )
    jax.tree.map(assert_array_equal, moves(make_optimizer(config), draw()), moves(known, draw()))


@pytest.mark.parametrize("name", list(optimizers))
def test_goes_down(name):
    """‖θ − θ*‖²/2 falls to under a tenth in 200 steps, whatever the optimizer."""
    config = Training(optimizer=name, num_steps=200, learning_rate=0.03, grad_clip=1e9)
    optimizer, target, params = make_optimizer(config), draw(1), draw(2)

    def loss(params):
        return optax.tree.norm(optax.tree.sub(params, target)) ** 2 / 2

    @jax.jit
    def step(params, state):
        change, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, change), state

    state, start = optimizer.init(params), loss(params)
    for _ in range(200):
        params, state = step(params, state)
    assert loss(params) < 0.1 * start


@pytest.mark.parametrize("name", ["adamw", "lion", "muon"])
def test_weight_decay_is_decoupled_and_spares_biases(name):
    """Without a gradient θ moves by −η w θ alone, and vectors not at all."""
    config = Training(optimizer=name, weight_decay=0.1)
    params = draw()
    (change,) = moves(make_optimizer(config), params, 1, lambda k: optax.tree.zeros_like(params))
    for kernel in ("conv", "dense"):
        assert_allclose(change[kernel], -0.01 * 0.1 * params[kernel], rtol=1e-6)
    assert_array_equal(change["bias"], 0)


def test_adamw_without_decay_is_adam():
    adamw, adam = (moves(make_optimizer(Training(optimizer=n)), draw()) for n in ("adamw", "adam"))
    jax.tree.map(assert_array_equal, adamw, adam)


def test_lion_is_a_sign():
    """Every number of the first step is ±η."""
    (change,) = moves(make_optimizer(Training(optimizer="lion")), draw(), 1)
    jax.tree.map(lambda c, g: assert_allclose(c, -0.01 * np.sign(g), rtol=1e-6), change, draw(1))


def test_sgd_has_momentum():
    """m_k = β m_{k−1} + g_k."""
    config = Training(optimizer="sgd", beta1=0.7, grad_clip=1e9)
    taken = moves(make_optimizer(config), draw())
    momentum = np.zeros(5)
    for k, change in enumerate(taken):
        momentum = 0.7 * momentum + draw(k + 1)["bias"]
        # Gradients of opposite signs cancel.
        atol = 0.01 * float32_tolerance(np.stack([momentum, draw(k + 1)["bias"]], axis=-1))
        assert_allclose(change["bias"], -0.01 * momentum, atol=atol)


@pytest.mark.parametrize("kernel", ["conv", "dense"])
def test_muon_orthogonalises_convolutions_too(kernel):
    """Its first step is η · 0.2 √max(m, n) U Vᵀ of the gradient's SVD, of [3·3·4, 6] for `conv`.

    Five Newton–Schulz steps bring the singular values to 0.7–1.2, not to 1.
    """
    (change,) = moves(make_optimizer(Training(optimizer="muon")), draw(), 1)
    u, _, v = np.linalg.svd(draw(1)[kernel].reshape(-1, draw()[kernel].shape[-1]), False)
    step = np.asarray(change[kernel]).reshape(len(u), -1)
    values = np.diag(-u.T @ step @ v.T) / (0.01 * 0.2 * np.sqrt(max(len(u), v.shape[1])))
    assert np.all((values > 0.65) & (values < 1.25))
    off = u.T @ step @ v.T
    assert np.abs(off - np.diag(np.diag(off))).max() < 1e-5


def test_muon_leaves_biases_to_adam():
    muon, adam = (moves(make_optimizer(Training(optimizer=n)), draw()) for n in ("muon", "adam"))
    for ours, theirs in zip(muon, adam, strict=True):
        # Nesterov's, unlike the default Adam: the same sign and size, not the same numbers.
        assert_array_equal(np.sign(ours["bias"]), np.sign(theirs["bias"]))
    config = Training(optimizer_args={"nesterov": True})
    for ours, theirs in zip(muon, moves(make_optimizer(config), draw()), strict=True):
        assert_allclose(ours["bias"], theirs["bias"], rtol=1e-5)


def test_the_gradient_is_clipped():
    config = Training(optimizer="sgd", grad_clip=0.5)
    (change,) = moves(make_optimizer(config), draw(), 1)
    assert_allclose(optax.tree.norm(change), 0.5 * 0.01, rtol=1e-5)


def test_arguments_of_its_own():
    config = Training(optimizer="lion", optimizer_args={"b2": 0.5})
    given = moves(make_optimizer(config), draw())
    default = moves(make_optimizer(Training(optimizer="lion")), draw())
    assert not np.array_equal(given[2]["dense"], default[2]["dense"])
    make_optimizer(Training(optimizer="muon", optimizer_args={"consistent_rms": 1}))
    make_optimizer(Training(optimizer="muon", optimizer_args={"consistent_rms": None}))


def halving(learning_rate, *, beta1: float, factor: float = 0.5):
    """A user's own."""
    return optax.chain(optax.scale_by_learning_rate(learning_rate), optax.scale(factor * beta1))


def test_a_users_own():
    name = f"{__name__}:halving"
    config = Training(optimizer=name, optimizer_args={"factor": 2.0}, beta1=0.25, grad_clip=1e9)
    (change,) = moves(make_optimizer(config), draw(), 1)
    assert_allclose(change["bias"], -0.01 * 0.5 * draw(1)["bias"], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "adm"}, "training.optimizer: unknown optimizer 'adm'; did you mean 'adam'"),
        ({"optimizer": "nowhere:f"}, "training.optimizer: .*cannot be imported"),
        (
            {"optimizer_args": {"nestrov": True}},
            "training.optimizer_args: unknown argument of adam 'nestrov'; did you mean 'nesterov'. "
            "Known: mu_dtype, nesterov",
        ),
        ({"optimizer_args": {"beta1": 0.5}}, "args.beta1: got 0.5, takes .*: it is training.beta1"),
        ({"optimizer_args": {"nesterov": 1}}, "optimizer_args.nesterov: got 1, takes True or"),
        ({"optimizer": "muon", "optimizer_args": {"ns_steps": 2.5}}, "got 2.5, takes an integer"),
        ({"optimizer": "muon", "optimizer_args": {"beta": "x"}}, "beta: got 'x', takes a number"),
        ({"optimizer": "muon", "optimizer_args": {"beta": 1}}, "beta: got 1, .* ≥ 0 and < 1"),
        ({"optimizer_args": {"mu_dtype": "float33"}}, "optimizer_args.mu_dtype: .*'float33'"),
        ({"weight_decay": 0.1}, "training.weight_decay: got 0.1, takes 0 with optimizer 'adam'"),
    ],
)
def test_what_is_refused(changes, words):
    with pytest.raises(UserError, match=words) as error:
        make_optimizer(Training(**changes))
    assert "\n" not in str(error.value)
