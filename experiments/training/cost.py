"""What a training step costs here, measured on a state that has just begun."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.runtime.devices import put, sharded
from experiments.state.train_state import init_state
from experiments.training.setup import fitting
from experiments.training.step import make_train_step

_REPEATS = 5
"""How often a call is timed; the median counts."""


class Cost(NamedTuple):
    """Seconds of a call of a compiled program.

    Args:
      first: of the first call, which compiles it.
      each: of one after it.
    """

    first: float
    each: float


def step_cost(experiment: Experiment, split: Split, mesh: Mesh) -> Cost:
    """The cost of one update.

    Args:
      experiment: the experiment, checked.
      split: its training split, of which a batch is read.
      mesh: the devices.

    Raises:
      UserError: the network does not fit the data.
    """
    objective = fitting(experiment, split)
    experiment, config = objective.experiment, objective.experiment.training
    state = init_state(experiment, objective.network, split.shape, mesh)
    batch = split.read(np.arange(config.batch_size) % split.num)
    if not experiment.model.conditional:
        batch = batch._replace(cond=None)
    rows = jax.tree.map(lambda leaf: put(leaf[None], sharded(mesh, axis=1)), batch)
    step = make_train_step(config, objective, objective.network, mesh)

    def update(state: Any) -> Any:
        return step(state, None, rows)[0]

    return cost_of(update, state)


def cost_of(call: Callable[[Any], Any], value: Any) -> Cost:
    """The cost of a compiled function of what it returns, or of what it is first given.

    Args:
      call: of the same shapes as it returns; it may take the buffers of what it is given.
      value: what it is first given.
    """
    seconds = []
    for _ in range(1 + _REPEATS):
        start = time.perf_counter()
        value = jax.block_until_ready(call(value))
        seconds.append(time.perf_counter() - start)
    return Cost(seconds[0], statistics.median(seconds[1:]))
