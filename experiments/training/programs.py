"""Training steps that several runs of one process share, each compiled once."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh

from experiments.training.objective import Objective
from experiments.training.step import make_train_step

_MOST = 8
"""Steps that are kept; each holds its run's data."""

_AFTERWARDS = ("sampling", "likelihood")
"""Sections of an `Experiment` that a step does not follow from."""


class Programs:
    """The compiled steps of the runs so far; a run takes one if it differs in seed or rate alone.

    Runs must not change, while they share, what a name in their configs stands for.
    """

    def __init__(self) -> None:
        self._steps: dict[str, Callable] = {}

    def step(self, objective: Objective, mesh: Mesh) -> Callable:
        """The step of a run: `training.step.make_train_step`.

        Args:
          objective: what the run's network is trained for.
          mesh: the devices.
        """
        config = objective.experiment.training
        key = _key(objective, mesh)
        if key not in self._steps:
            if len(self._steps) == _MOST:
                self._steps.pop(next(iter(self._steps)))
            made = make_train_step(config, objective, objective.network, mesh)
            self._steps[key] = made
        return functools.partial(self._steps[key], learning_rate=config.learning_rate)


def _key(objective: Objective, mesh: Mesh) -> str:
    """All that the program follows from, but for the shapes of what it is given."""
    experiment, data = objective.experiment, objective.data
    training = dataclasses.replace(experiment.training, learning_rate=0.0)
    facts: dict[str, Any] = dataclasses.asdict(
        dataclasses.replace(experiment, seed=0, training=training)
    )
    for section in _AFTERWARDS:
        facts.pop(section)
    of_data = [data.shape, data.codec, data.num, data.num_classes, data.cond_mean, data.cond_std]
    return json.dumps(
        [facts, of_data, [str(d) for d in mesh.devices.flat], mesh.shape], default=str
    )
