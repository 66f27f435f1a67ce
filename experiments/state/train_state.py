"""The state of a training run: one pytree, laid out over the devices."""

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.runtime import seeds
from experiments.runtime.devices import put, replicated
from experiments.runtime.sharding import shardings
from experiments.state import averages
from experiments.state.optimizers import make_optimizer
from models import abstract_params, init_params
from sde_lib import Pytree, adaptive_weighting

BINS = 8
"""Parts of the times, of equal probability, whose losses are told apart: least noise first."""


class Sums(NamedTuple):
    """Over the updates since the last multiple of `log_every`; skipped ones count as such alone.

    longest: of the updates skipped in a row. loss, grad_norm: sums. param_norm: the last. by_time,
    seen: [BINS] loss and examples.
    """

    updates: Array
    skipped: Array
    longest: Array
    loss: Array
    grad_norm: Array
    param_norm: Array
    by_time: Array
    seen: Array

    @classmethod
    def zero(cls, param_norm: Array) -> "Sums":
        """Of no update."""
        scalar, bins = jnp.zeros(()), jnp.zeros(BINS)
        return cls(scalar, scalar, scalar, scalar, scalar, param_norm, bins, bins)

    def means(self) -> dict[str, Any]:
        """A line of metrics; NaN where nothing was seen."""
        return {
            "loss": self.loss / self.updates,
            "grad_norm": self.grad_norm / self.updates,
            "param_norm": self.param_norm,
            "skipped": self.skipped,
            "loss_by_time": self.by_time / self.seen,
        }


class TrainState(Pytree):
    """All that a run needs to go on.

    Args:
      step: updates done or skipped.
      params: of the network.
      averages: of the parameters, by name.
      opt_state: of the optimizer.
      key: typed key of the run; step k draws from fold_in(key, k).
      weighting: what adaptive weighting knows of the losses.
      in_a_row: updates skipped since the last one that was not.
      sums: of the metrics.
    """

    step: Array
    params: Any
    averages: dict[str, Any]
    opt_state: Any
    key: Array
    weighting: Any
    in_a_row: Array
    sums: Sums


def init_state(
    experiment: Experiment,
    network: nn.Module,
    shape: tuple[int, ...],
    mesh: Mesh,
    params: Any = None,
) -> TrainState:
    """The state before the first step, laid out over the devices.

    Args:
      experiment: the experiment.
      network: its network.
      shape: of one example.
      mesh: the devices.
      params: to begin with, on the devices; fresh ones by default.
    """
    init_key, key = jax.random.split(seeds.key_of(experiment.seed))
    if params is None:
        params = init_params(init_key, network, shape)
        params = jax.tree.map(put, params, shardings(params, mesh))
    start = functools.partial(_start, experiment.training)
    layout = shardings(jax.eval_shape(start, params, key), mesh)
    return jax.jit(start, out_shardings=layout)(params, put(key, replicated(mesh)))


def abstract_state(
    experiment: Experiment, network: nn.Module, shape: tuple[int, ...], mesh: Mesh
) -> TrainState:
    """The shapes of the state and how they lie on the devices; nothing is computed."""
    params = abstract_params(network, shape)
    start = functools.partial(_start, experiment.training)
    state = jax.eval_shape(start, params, seeds.key_of(0))
    return jax.tree.map(
        lambda leaf, layout: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout),
        state,
        shardings(state, mesh),
    )


def state_from(experiment: Experiment, params: Any, averages: Any, step: int) -> TrainState:
    """The state after updates made elsewhere: the optimizer begins, each average is `averages`.

    Args:
      experiment: the experiment.
      params: of its network.
      averages: a tree like it.
      step: how many updates.
    """

    @jax.jit
    def init(params: Any) -> TrainState:
        _, key = jax.random.split(seeds.key_of(experiment.seed))
        return _start(experiment.training, params, key)

    state = init(params)
    return dataclasses.replace(
        state,
        step=jnp.asarray(step, jnp.int32),
        averages={name: jax.tree.map(jnp.asarray, averages) for name in state.averages},
    )


def _start(config: TrainingConfig, params: Any, key: Array) -> TrainState:
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        averages=averages.init(averages.parse(averages.names(config)), params),
        opt_state=make_optimizer(config).init(params),
        key=key,
        weighting=adaptive_weighting.init(BINS),
        in_a_row=jnp.zeros((), jnp.int32),
        sums=Sums.zero(optax.tree.norm(params)),
    )
