"""What objectives of noisy examples draw: times, noise, and examples in model units."""

import jax
import jax.numpy as jnp
from jax import Array

from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Codec
from experiments.errors import UserError
from experiments.training.objective import Draws, Objective
from sde_lib import Condition, time_samplers
from sde_lib.time_sampling import independent, low_discrepancy

MAX_WEIGHT = 20_000
"""Bound on what an example may weigh in the loss, over what one weighs on average. The published
likelihood weighting at uniform times has 8000 under VP."""


def check_flip(experiment: Experiment, shape: tuple[int, ...]) -> None:
    """Stop flips of examples of `shape` that are no images.

    Raises:
      UserError: they are asked for.
    """
    if experiment.data.flip and len(shape) != 3:
        raise UserError(f"data.flip: got True, takes False with data of shape {shape}, no images")


def draw(
    objective: Objective, key: Array, batch: Batch, t_min: float, cond_dropout: float
) -> Draws:
    """Times of the section's, noise, and the examples in model units.

    Args:
      objective: whose data, SDE and experiment they are of.
      key: of all that is drawn.
      batch: raw examples [B, ...].
      t_min: where times start.
      cond_dropout: fraction of the examples that lose their condition.
    """
    config = objective.experiment.training
    time_key, noise_key, data_key, cond_key = jax.random.split(key, 4)
    data = to_model_units(objective.experiment, objective.data.codec, data_key, batch.values)
    spread = low_discrepancy if config.low_discrepancy else independent
    u = spread(time_key, len(data))
    t, importance = time_samplers[config.times](objective.sde, u, t_min)
    cond = drop_some(cond_key, batch.cond, cond_dropout)
    return Draws(data, t, importance, u, jax.random.normal(noise_key, data.shape), cond)


def drop_some(key: Array, cond: Condition | None, rate: float) -> Condition | None:
    """A condition that every example loses with the probability `rate`."""
    if cond is None or rate == 0:
        return cond
    return cond.drop(jax.random.bernoulli(key, 1 - rate, (cond.num,)))


def to_model_units(experiment: Experiment, codec: Codec, key: Array, values: Array) -> Array:
    """Raw values [B, ...] in model units: dequantized and flipped at random where asked for.

    Args:
      experiment: its section `data` says what is done.
      codec: of the values.
      key: of what is drawn.
      values: uint8 [B, H, W, C] or float32 [B, ...].

    Returns:
      float32 [B, ...].
    """
    config = experiment.data
    noise_key, flip_key = jax.random.split(key)
    if config.flip:
        mirror = jax.random.bernoulli(flip_key, shape=(len(values), 1, 1, 1))
        values = jnp.where(mirror, values[:, :, ::-1], values)
    u = jax.random.uniform(noise_key, values.shape) if config.dequantization else 0.5
    return codec.encode(values, u)
