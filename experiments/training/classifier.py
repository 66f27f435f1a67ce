"""A noise-conditional classifier: the objective of networks that return logits.

    loss = E_t E_{x_t, y} ω(t) [−log p(y | x_t, t)]                                      (1)

over uniform times, with ω the importance weight of the time (`sde_lib.time_sampling`). Its least
value, where p is the posterior, is the mean over the times of the entropy of y given x_t.

Reference: Dhariwal & Nichol 2021, §4.
"""

from typing import Any

import flax.linen as nn
from jax import Array

from experiments.builders.model import build_classifier, check_outputs, training_t_min
from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Split
from experiments.errors import UserError
from experiments.training.draws import MAX_WEIGHT, check_flip, draw
from experiments.training.objective import Draws, Objective, objectives
from sde_lib import SDE, time_samplers
from sde_lib.loss import largest_weight


@objectives.register("classifier")
class Classification(Objective):
    """The cross-entropy of the labels of perturbed examples, over the times of the section."""

    def __init__(self, experiment: Experiment, sde: SDE, network: nn.Module, data: Split):
        super().__init__(experiment, sde, network, data)
        self.t_min = training_t_min(experiment, sde)

    def check(self) -> None:
        """Stop what does not classify, and what a classifier has no use for.

        Raises:
          UserError: a network of states; data without labels; grids of samples; times by which an
            example weighs more than MAX_WEIGHT; flips of what is no image.
        """
        model, objective = self.experiment.model, "training.objective 'classifier'"
        check_outputs(model, "logits", objective)
        if not model.conditional:
            raise UserError(
                f"model.conditional: got False, takes True with {objective}: it learns p(label | x)"
            )
        if self.data.cond_dim:
            raise UserError(
                f"data.source: {self.data.source} has vectors, {objective} takes labels"
            )
        if every := self.experiment.training.sample_every:
            raise UserError(
                f"training.sample_every: got {every}, takes 0 with {objective}: it has no samples"
            )
        self._check_times()
        check_flip(self.experiment, self.data.shape)

    def _check_times(self) -> None:
        def most(times: str) -> float:
            # Under "sigma2" every time weighs alike.
            return float(largest_weight(self.sde, times, "sigma2", self.t_min, data_std=1.0))

        times = self.experiment.training.times
        if (got := most(times)) > MAX_WEIGHT:
            takes = [name for name in time_samplers if most(name) <= MAX_WEIGHT]
            raise UserError(
                f"training.times: got {times!r}, by which an example weighs up to {got:.1g} times "
                f"the mean, more than {MAX_WEIGHT}; takes {' or '.join(takes)}"
            )

    def draw(self, key: Array, batch: Batch) -> Draws:
        """Times, noise, the examples in model units, and their labels."""
        return draw(self, key, batch, self.t_min, cond_dropout=0.0)

    def losses(self, params: Any, drawn: Draws, key: Array) -> Array:
        """The cross-entropies over the times' density [B], in nats."""
        classifier = build_classifier(self.experiment, self.sde, self.network, params)
        x = self.sde.perturb(drawn.data, drawn.t, drawn.noise)
        return -drawn.importance * classifier(x, drawn.t, drawn.cond, dropout_key=key)
