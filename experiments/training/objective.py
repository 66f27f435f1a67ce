"""The objective: what a step draws, its loss and its gradient."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from experiments.builders.model import build_model, training_t_min
from experiments.config_schema.sections import Experiment
from experiments.data import Codec
from experiments.errors import UserError
from sde_lib import SDE, denoising_loss, time_samplers, weightings
from sde_lib.loss import largest_weight
from sde_lib.time_sampling import independent, low_discrepancy

MAX_WEIGHT = 20_000
"""Bound on what an example may weigh in the loss, over what one weighs on average. The published
likelihood weighting at uniform times has 8000 under VP."""


def check_weights(experiment: Experiment, sde: SDE) -> None:
    """Stop an objective that single examples would decide.

    Raises:
      UserError: with its time's importance an example weighs more than MAX_WEIGHT.
    """
    config = experiment.training
    times, weighting = config.times, config.weighting
    t_min = training_t_min(experiment, sde)

    def most(times: str, weighting: str) -> float:
        weight = partial(largest_weight, times=times, weighting=weighting, t_min=t_min)
        return float(jax.jit(lambda: weight(sde, data_std=experiment.data.std))())

    if (got := most(times, weighting)) <= MAX_WEIGHT:
        return
    fitting = [name for name in weightings if most(times, name) <= MAX_WEIGHT]
    if not fitting:
        raise UserError(
            f"training.t_min: got {t_min:g}, where sde.name {experiment.sde.name!r} gives times "
            f"{times!r} no finite importance; takes a later time"
        )
    others = [name for name in time_samplers if most(name, weighting) <= MAX_WEIGHT]
    instead = f"training.times {' or '.join(others)}" if others else "a later training.t_min"
    raise UserError(
        f"training.weighting: got {weighting!r}, by which an example at times {times!r} weighs up "
        f"to {got:.1g} times the mean, more than {MAX_WEIGHT}; takes {' or '.join(fitting)}, or "
        f"{instead}"
    )


def check_flip(experiment: Experiment, shape: tuple[int, ...]) -> None:
    """Stop flips of examples of `shape` that are no images.

    Raises:
      UserError: they are asked for.
    """
    if experiment.data.flip and len(shape) != 3:
        raise UserError(f"data.flip: got True, takes False with data of shape {shape}, no images")


class Draws(NamedTuple):
    """What a step learns from.

    Args:
      data: float32 [B, ...], in model units.
      t: float32 [B], times.
      importance: float32 [B], weights for the times' density.
      u: float32 [B], where in the distribution of times they lie, in [0, 1).
      noise: float32 [B, ...], standard normal.
    """

    data: Array
    t: Array
    importance: Array
    u: Array
    noise: Array


def make_draw(experiment: Experiment, sde: SDE, codec: Codec) -> Callable[[Array, Array], Draws]:
    """The function that draws what a step learns from: (key, raw values [B, ...]) → `Draws`.

    Args:
      experiment: the experiment.
      sde: its SDE.
      codec: of the data.
    """
    config = experiment.training
    spread = low_discrepancy if config.low_discrepancy else independent
    sample_times = time_samplers[config.times]
    t_min = training_t_min(experiment, sde)

    def draw(key: Array, values: Array) -> Draws:
        time_key, noise_key, data_key = jax.random.split(key, 3)
        data = to_model_units(experiment, codec, data_key, values)
        u = spread(time_key, len(data))
        t, importance = sample_times(sde, u, t_min)
        return Draws(data, t, importance, u, jax.random.normal(noise_key, data.shape))

    return draw


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


def batch_loss(
    experiment: Experiment, sde: SDE, network: nn.Module
) -> Callable[[Any, Draws, Array, Array], tuple[Array, Array]]:
    """The denoising loss: (params, draws, weights [B], dropout key) → (mean, losses [B]).

    The mean over the batch is weighted; the losses are not.

    Args:
      experiment, sde: as of `make_draw`.
      network: the score network, built for training.
    """
    config = experiment.training

    def loss(params: Any, drawn: Draws, weights: Array, key: Array) -> tuple[Array, Array]:
        model = partial(build_model(experiment, sde, network, params), dropout_key=key)
        losses = drawn.importance * denoising_loss(
            sde,
            model,
            drawn.data,
            drawn.t,
            drawn.noise,
            weighting=config.weighting,
            data_std=experiment.data.std,
        )
        return jnp.mean(weights * losses), losses

    return loss


def make_gradient(
    experiment: Experiment, sde: SDE, network: nn.Module
) -> Callable[[Any, Draws, Array, Array], tuple[Array, Array, Any]]:
    """The gradient: (params, draws, weights [B], key) → (loss, losses [B], gradient).

    It is computed in `training.accumulate` parts.
    A part takes every k-th example, so that a batch that is split over devices stays where it is.
    On the CPU the parts are written out one after the other: its gradients of convolutions are many
    times slower inside a loop.

    Args:
      experiment, sde, network: as of `batch_loss`.
    """
    number = experiment.training.accumulate
    part = jax.value_and_grad(batch_loss(experiment, sde, network), has_aux=True)

    def split(leaf: Array) -> Array:
        return jnp.moveaxis(leaf.reshape(-1, number, *leaf.shape[1:]), 1, 0)

    def gradient(params: Any, drawn: Draws, weights: Array, key: Array) -> tuple:
        if number == 1:
            (value, losses), slope = part(params, drawn, weights, key)
            return value, losses, slope

        def add(total: tuple, this: tuple) -> tuple[tuple, Array]:
            drawn, weights, k = this
            (value, losses), slope = part(params, drawn, weights, jax.random.fold_in(key, k))
            return jax.tree.map(jnp.add, total, (value, slope)), losses

        zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
        parts = (*jax.tree.map(split, (drawn, weights)), jnp.arange(number))
        unroll = number if jax.default_backend() == "cpu" else 1
        (value, slope), losses = jax.lax.scan(add, zero, parts, unroll=unroll)
        mean = jax.tree.map(lambda leaf: leaf / number, (value, slope))
        return mean[0], jnp.moveaxis(losses, 0, 1).ravel(), mean[1]

    return gradient
