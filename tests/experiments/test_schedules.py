"""The learning rate over a run, as the optimizer applies it."""

import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose

from experiments.config import TrainingConfig
from experiments.training import make_optimizer


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [0.5, 1, 1, 1, 1]),
        ("cosine", [0.5, 0.90451, 0.65451, 0.34549, 0.09549]),
    ],
)
def test_learning_rate(schedule, factors):
    """Adam moves by the learning rate while the gradient stays the same.

    Its float32 1 − 0.999^k is off by up to 6e-5.

    Two steps of warm-up of five; cosine: (1 + cos π k/5)/2 at step k.
    """
    config = TrainingConfig(num_steps=5, warmup=2, learning_rate=0.1, schedule=schedule)
    optimizer = make_optimizer(config)
    params = jnp.zeros(())
    state = optimizer.init(params)
    moves = []
    for _ in factors:
        update, state = optimizer.update(jnp.ones(()), state, params)
        moves.append(-update)
    assert_allclose(moves, 0.1 * jnp.array(factors), rtol=1e-4)
