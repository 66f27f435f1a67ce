"""Denoising: the objective of score networks."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from experiments.builders.model import build_model, training_t_min
from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Codec, Split
from experiments.errors import UserError
from experiments.state.learned_sde import apart
from experiments.training.objective import Draws, Objective, objectives
from sde_lib import (
    SDE,
    Condition,
    Model,
    denoising_loss,
    time_samplers,
    variational_bound,
    weightings,
)
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


@objectives.register("denoising")
class Denoising(Objective):
    """The weighted mean square error of the denoised data, over the times of the section.

    Where the SDE is learned too, it is the variational bound in nats per dimension (`bound`).
    """

    def __init__(self, experiment: Experiment, sde: SDE, network: nn.Module, data: Split):
        super().__init__(experiment, sde, network, data)
        self.t_min = training_t_min(experiment, sde)

    def check(self) -> None:
        """Stop weights that single examples would decide, and flips of what is no image.

        Raises:
          UserError: these; or the bound of data that have no density.
        """
        config = self.experiment
        check_weights(config, self.sde)
        has_bins = self.data.codec.bin_width is not None
        if config.training.learn_sde and has_bins and not config.data.dequantization:
            raise UserError(
                "data.dequantization: got False, takes True with training.learn_sde, which learns "
                "by a bound on a density"
            )
        check_flip(config, self.data.shape)

    def draw(self, key: Array, batch: Batch) -> Draws:
        """Times, noise, and the examples in model units; some of them lose their condition."""
        config = self.experiment.training
        time_key, noise_key, data_key, cond_key = jax.random.split(key, 4)
        data = to_model_units(self.experiment, self.data.codec, data_key, batch.values)
        spread = low_discrepancy if config.low_discrepancy else independent
        u = spread(time_key, len(data))
        t, importance = time_samplers[config.times](self.sde, u, self.t_min)
        cond = drop_some(cond_key, batch.cond, config.cond_dropout)
        return Draws(data, t, importance, u, jax.random.normal(noise_key, data.shape), cond)

    def losses(self, params: Any, drawn: Draws, key: Array) -> Array:
        """The denoising losses over the times' density [B], or the bounds."""
        if self.experiment.training.learn_sde:
            return self._bounds(params, drawn, key)
        model = build_model(self.experiment, self.sde, self.network, params)
        return drawn.importance * denoising_loss(
            self.sde,
            partial(model, dropout_key=key),
            drawn.data,
            drawn.t,
            drawn.noise,
            weighting=self.experiment.training.weighting,
            data_std=self.experiment.data.std,
            cond=drawn.cond,
        )

    def _bounds(self, params: Any, drawn: Draws, key: Array) -> Array:
        """The bounds [B], by which the network and the SDE are learned."""
        sde, params = apart(self.sde, params)

        def model_under(sde: SDE) -> Model:
            model = build_model(self.experiment, sde, self.network, params)
            return partial(model, dropout_key=key)

        x, t, noise = drawn.data, drawn.t, drawn.noise
        bound = variational_bound(sde, model_under, x, t, noise, t_min=self.t_min, cond=drawn.cond)
        return bound.total


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
