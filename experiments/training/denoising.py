"""Denoising: the objective of score networks."""

from functools import partial
from typing import Any

import flax.linen as nn
from jax import Array

from experiments.builders.model import build_model, check_outputs, training_t_min
from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Split
from experiments.errors import UserError
from experiments.state.learned_sde import apart
from experiments.training.draws import MAX_WEIGHT, check_flip, draw
from experiments.training.objective import Draws, Objective, objectives
from sde_lib import (
    SDE,
    Model,
    denoising_loss,
    time_samplers,
    variational_bound,
    weightings,
)
from sde_lib.loss import largest_weight


def check_weights(experiment: Experiment, sde: SDE) -> None:
    """Stop an objective that single examples would decide.

    Raises:
      UserError: with its time's importance an example weighs more than MAX_WEIGHT.
    """
    config = experiment.training
    times, weighting = config.times, config.weighting
    t_min = training_t_min(experiment, sde)

    def most(times: str, weighting: str) -> float:
        return float(largest_weight(sde, times, weighting, t_min, experiment.data.std))

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
          UserError: these; a network of logits; or the bound of data that have no density.
        """
        config = self.experiment
        check_outputs(config.model, "states", "training.objective 'denoising'")
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
        return draw(self, key, batch, self.t_min, self.experiment.training.cond_dropout)

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
