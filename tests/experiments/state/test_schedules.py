"""The learning rate over a run, as the optimizer applies it."""

import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose

from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.state.optimizers import make_optimizer
from experiments.state.schedules import schedules


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [0.5, 1, 1, 1, 1]),
        ("cosine", [0.5, 0.90451, 0.65451, 0.34549, 0.09549]),
        ("linear", [0.5, 0.8, 0.6, 0.4, 0.2]),
        ("inverse_sqrt", [0.5, 0.57735, 0.40825, 0.33333, 0.28868]),
    ],
)
def test_learning_rate(schedule, factors):
    """Adam moves by the learning rate while the gradient stays the same.

    Its float32 1 − 0.999^k is off by up to 6e-5.

    Two steps of warm-up of five; at step k: cosine (1 + cos π k/5)/2, linear 1 − k/5, inverse_sqrt
    1/√(3 k), since a fifteenth of five steps is 1/3.
    """
    fields = {"num_steps": 5, "warmup": 2, "learning_rate": 0.1, "schedule": schedule}
    config = filled(default_config(), {f"training.{k}": v for k, v in fields.items()})
    optimizer = make_optimizer(resolve(config).training)
    params = jnp.zeros(())
    state = optimizer.init(params)
    moves = []
    for _ in factors:
        update, state = optimizer.update(jnp.ones(()), state, params)
        moves.append(-update)
    assert_allclose(moves, 0.1 * jnp.array(factors), rtol=1e-4)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_falls_to_zero(name):
    assert_allclose(schedules[name](jnp.array([0.0, 1.0])), [1, 0], atol=1e-7)


def test_inverse_sqrt_of_edm2():
    """Karras et al. 2024: 1 for 70 000 of 2²⁰ steps, then as 1/√t."""
    done = jnp.array([0.0, 69_900, 4 * 69_905.07, 2**20]) / 2**20
    assert_allclose(schedules["inverse_sqrt"](done), [1, 1, 0.5, 15**-0.5], rtol=1e-6)
