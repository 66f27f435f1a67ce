"""What several runs of one process share: training steps, compiled once, and data, read once."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

from jax.sharding import Mesh

from experiments.config_schema.sections import Experiment
from experiments.training.objective import Objective
from experiments.training.step import make_train_step

_MAX_STEPS, _MAX_DATA = 8, 2
"""Of each so many are kept, the newest."""

T = TypeVar("T")

_AFTERWARDS = ("sampling", "likelihood")
"""Sections of an `Experiment` that a step does not follow from."""


class Shared:
    """The compiled steps of the runs so far, and their data.

    A run takes a step of another if it differs in seed or learning rate alone. While runs share,
    what a name in their configs stands for must not change, nor the data.
    """

    def __init__(self) -> None:
        self._steps: dict[str, Callable] = {}
        self._data: dict[str, Any] = {}

    def data(self, what: str, experiment: Experiment, read: Callable[[], T]) -> T:
        """What is made of an experiment's data, made once.

        Args:
          what: its name.
          experiment: whose data they are.
          read: makes it, as it is for every experiment of the same section `data`.

        Raises:
          UserError, OSError: as of `read`.
        """
        key = json.dumps([what, dataclasses.asdict(experiment.data)])
        if key not in self._data:
            _make_room(self._data, _MAX_DATA)
            self._data[key] = read()
        return self._data[key]

    def step(self, objective: Objective, mesh: Mesh) -> Callable:
        """The step of a run: `training.step.make_train_step`.

        Args:
          objective: what the run's network is trained for.
          mesh: the devices.
        """
        config = objective.experiment.training
        key = _key(objective, mesh)
        if key not in self._steps:
            _make_room(self._steps, _MAX_STEPS)
            made = make_train_step(config, objective, objective.network, mesh)
            self._steps[key] = made
        return functools.partial(self._steps[key], learning_rate=config.learning_rate)


def _make_room(kept: dict[str, Any], most: int) -> None:
    """Drop the oldest where there are as many as may be."""
    if len(kept) == most:
        kept.pop(next(iter(kept)))


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
