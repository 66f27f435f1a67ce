"""Averages of the parameters against integrals, and reconstructed ones against tracked ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.errors import UserError
from experiments.state import averages
from experiments.state.averages import combine, gamma, parse, profile_error, reconstruction_weights

WIDTHS = [0.01, 0.05, 0.1, 0.25]
STEPS = 800


def track(names, trajectory, save=()):
    """The averages of parameters θ_k [K, ...], k = 1, …, from θ_0 = 100; those at `save` too."""
    specs = parse(names)
    kept = {}

    @jax.jit
    def update(state, step, theta):
        return averages.update(specs, state, theta, step)

    state = averages.init(specs, jnp.full_like(trajectory[0], 100.0))
    for step, theta in enumerate(trajectory):
        state = update(state, step, theta)
        if step + 1 in save:
            kept[step + 1] = state
    return state, kept


def walk(steps=STEPS, num=5):
    """A random walk [steps, num], float32: parameters that move on as those of a network do."""
    moves = np.random.default_rng(0).normal(size=(steps, num))
    return np.cumsum(moves, axis=0).astype(np.float32)


@pytest.mark.parametrize("sigma_rel", WIDTHS)
def test_power_law_is_its_integral(sigma_rel):
    """Eq. 4: θ_j weighs ∫_{j−1}^j p = (j^{γ+1} − (j−1)^{γ+1})/k^{γ+1}, and θ_0 nothing.

    A recursion in float32 keeps 1e-6 of the largest parameter.
    """
    theta = walk()
    state, _ = track([f"power:{sigma_rel}"], jnp.asarray(theta))
    edges = (np.arange(STEPS + 1) / STEPS) ** (gamma(sigma_rel) + 1)
    exact = np.diff(edges) @ theta.astype(np.float64)
    assert_allclose(state[f"power:{sigma_rel}"], exact, atol=2e-6 * np.abs(theta).max())


def test_power_law_of_a_straight_line():
    """∫ τ p = (γ + 1)/(γ + 2) k, which the steps θ(τ) = ⌈τ⌉ exceed by less than 1."""
    line = jnp.arange(1.0, STEPS + 1)
    state, _ = track(["power:0.1"], line)
    excess = state["power:0.1"] - (gamma(0.1) + 1) / (gamma(0.1) + 2) * STEPS
    assert 0 < excess < 1


@pytest.mark.parametrize("sigma_rel", WIDTHS)
def test_width_of_the_profile(sigma_rel):
    """σ_rel is the standard deviation of τ/k under p, here by the midpoint rule."""
    tau = (np.arange(200_000) + 0.5) / 200_000
    p = (gamma(sigma_rel) + 1) * tau ** gamma(sigma_rel) / len(tau)
    mean = p @ tau
    assert_allclose(p.sum(), 1, rtol=1e-6)
    assert_allclose(np.sqrt(p @ (tau - mean) ** 2), sigma_rel, rtol=1e-5)


def test_gamma_of_the_published_widths():
    """Karras et al. 2024 §3: σ_rel of 0.05 and 0.10 are γ ≈ 16.97 and 6.94."""
    assert_allclose([gamma(0.05), gamma(0.10)], [16.97, 6.94], atol=5e-3)


@pytest.mark.parametrize("steps", [1, 12, STEPS])
@pytest.mark.parametrize(
    ("name", "decay"), [("0.98", 0.98), ("half_life:30", 0.5 ** (1 / 30)), ("0", 0.0)]
)
def test_exponential_is_the_recursion(name, decay, steps):
    """Decay min(d, (1 + n)/(10 + n)) after n updates, in float64."""
    theta = walk()[:steps]
    expected = np.full(theta.shape[1], 100.0)
    for n, now in enumerate(theta.astype(np.float64)):
        d = min(decay, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * now
    state, _ = track([name], jnp.asarray(theta))
    assert_allclose(state[name], expected, atol=1e-4)


def test_long_runs_keep_their_digits():
    """Half a million updates from a million on, where r is 8e-6, against eq. 4's integral.

    Each rounds to 6e-8 of the average, at random as the parameters vary: √500 000 of them are 4e-5.
    """
    start, num = 1_000_000, 500_000
    theta = (1 + 0.3 * np.sin(1.2345 * np.arange(num))).astype(np.float32)
    specs = parse(["power:0.1"])

    @jax.jit
    def run(theta):
        def one(state, inputs):
            return averages.update(specs, state, inputs[1], inputs[0]), None

        steps = start + jnp.arange(num)
        return jax.lax.scan(one, averages.init(specs, jnp.float32(0.9)), (steps, theta))[0]

    edges = (np.arange(start, start + num + 1) / (start + num)) ** (gamma(0.1) + 1)
    exact = 0.9 * edges[0] + np.diff(edges) @ theta
    assert_allclose(run(theta)["power:0.1"], exact, rtol=1e-4)


def test_averages_are_float32_copies():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    state = averages.init(parse(["0.9", "0.99"]), params)
    updated = averages.update(parse(["0.9", "0.99"]), state, params, jnp.int32(7))
    assert {leaf.dtype for leaf in jax.tree.leaves((state, updated))} == {jnp.dtype("float32")}
    pointers = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)}
    assert len(pointers) == 2


def test_numbers_are_decays():
    assert parse([0.999]) == parse(["0.999"])


@pytest.mark.parametrize(
    "name",
    ["power:2", "power:0.2887", "power:0", "1", "-0.1", "half_life:0", "ema", "nan", "a:0.5"],
)
def test_bad_names(name):
    with pytest.raises(UserError, match=f"training.averages: got '{name}', takes a decay"):
        parse([name])


def test_a_name_twice():
    with pytest.raises(UserError, match=r"'0\.9' twice"):
        parse(["0.9", "power:0.1", "0.9"])


STORED = [(width, step) for width in (0.05, 0.1) for step in range(50, STEPS + 1, 50)]


@pytest.mark.parametrize("target", [(0.03, 800), (0.075, 600), (0.15, 800), (0.15, 400)])
def test_reconstruction_is_the_tracked_average(target):
    """Widths and steps that were not tracked, from snapshots of two others every 50 steps.

    By Cauchy–Schwarz the difference is at most e ‖p‖ ‖θ − c‖, with e the profile's relative error,
    ‖p‖² = (γ + 1)²/((2γ + 1) k) and c the mean of θ, since profile and fit both have area 1. The
    snapshots' rounding adds 2e-6 of the largest parameter, times Σ|w|.
    """
    width, step = target
    stored = [(s, k) for s, k in STORED if k <= step]
    theta = walk()[:step]
    names = ["power:0.05", "power:0.1", f"power:{width}"]
    state, kept = track(names, jnp.asarray(theta), save=[k for _, k in stored])
    weights = reconstruction_weights(stored, target)
    rebuilt = combine(weights, (kept[k][f"power:{s}"] for s, k in stored))

    error, g = profile_error(stored, target, weights), gamma(width)
    norm = (g + 1) / np.sqrt((2 * g + 1) * step)
    spread = np.linalg.norm(theta - theta.mean(axis=0), axis=0)
    rounding = 2e-6 * np.abs(theta).max() * (1 + np.abs(weights).sum())
    assert error < 0.05
    assert_allclose(weights.sum(), 1, rtol=1e-9)
    assert np.all(np.abs(rebuilt - state[f"power:{width}"]) < error * norm * spread + rounding)


def test_weights_are_the_least_squares_ones():
    """Against profiles on a grid: fit p − p_0 by the p_i − p_0, which keeps the sum at 1.

    The midpoint rule on 40 000 points is off by 1e-5, amplified by weights of a few.
    """
    stored, target = STORED[10:16] + STORED[26:], (0.15, 700)
    tau = (np.arange(40_000) + 0.5) / 50  # up to 800

    def profile(width, step):
        return np.where(tau <= step, (gamma(width) + 1) * (tau / step) ** gamma(width) / step, 0)

    basis = np.array([profile(*s) for s in stored])
    rest, wanted = (basis[1:] - basis[0]).T, profile(*target)
    fitted, residual, *_ = np.linalg.lstsq(rest, wanted - basis[0], rcond=None)
    expected = np.concatenate([[1 - fitted.sum()], fitted])
    weights = reconstruction_weights(stored, target)
    assert_allclose(weights, expected, atol=1e-3)
    relative = np.sqrt(residual[0] / np.sum(wanted**2))
    assert_allclose(profile_error(stored, target, weights), relative, rtol=1e-3)


def test_a_stored_average_is_its_own_reconstruction():
    """Also where it was stored twice, which leaves the weights undetermined."""
    weights = reconstruction_weights([*STORED, STORED[20]], STORED[20])
    expected = np.zeros(len(STORED) + 1)
    expected[[20, -1]] = 0.5
    assert_allclose(weights, expected, atol=1e-6)
