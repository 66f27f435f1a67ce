"""What a network is trained for: an objective, by name.

    loss = mean_b w_b l_b,   l_b the loss of what was drawn for example b                     (1)

The objective knows the losses; the step (`training.step`) the weights by times, gradients, averages
and guards.
"""

import abc
from typing import Any, NamedTuple

import flax.linen as nn
from jax import Array

from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Split
from sde_lib import SDE, Condition, Registry


class Draws(NamedTuple):
    """What a step learns from, one row an example.

    Args:
      data: float32 [B, ...], in model units.
      t: float32 [B], times.
      importance: float32 [B], weights for the times' density.
      u: float32 [B], where in the distribution of times they lie, in [0, 1).
      noise: float32 [B, ...], standard normal.
      cond: what each is conditioned on; None for nothing.
    """

    data: Array
    t: Array
    importance: Array
    u: Array
    noise: Array
    cond: Condition | None = None


class Objective(abc.ABC):
    """A loss and what it is a loss of.

    Args:
      experiment: the experiment.
      sde: its SDE.
      network: its network, built for training.
      data: the split that it is trained on.
    """

    def __init__(self, experiment: Experiment, sde: SDE, network: nn.Module, data: Split):
        self.experiment, self.sde, self.network, self.data = experiment, sde, network, data

    @abc.abstractmethod
    def check(self) -> None:
        """Stop what cannot be trained, before any work.

        Raises:
          UserError: a field that does not suit.
        """

    @abc.abstractmethod
    def draw(self, key: Array, batch: Batch) -> Draws:
        """What a step learns from.

        Args:
          key: of all that is drawn.
          batch: raw examples [B, ...], as their source has them.
        """

    @abc.abstractmethod
    def losses(self, params: Any, drawn: Draws, key: Array) -> Array:
        """The losses l_b of eq. 1, [B].

        Args:
          params: of the network.
          drawn: some of the rows that `draw` returned.
          key: of dropout.
        """


objectives = Registry("objective", Objective)
