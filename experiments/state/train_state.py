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
from experiments.state.learned_sde import beside
from experiments.state.optimizers import make_optimizer
from models import abstract_params, init_params
from sde_lib import Pytree, adaptive_weighting

BINS = 8
"""Parts of the times, of equal probability, whose losses are told apart: least noise first."""


class Measured(NamedTuple):
    """What one update has measured.

    Args:
      finite: bool [], whether the loss, the gradient and the new parameters were finite; the update
        was skipped where not.
      skipped_in_a_row: int32 [], updates skipped since the last one that was not, with this one.
      grad_norm: float32 [], L2 norm of the gradient.
      param_norm: float32 [], L2 norm of the new parameters.
      u: float32 [B], where in the distribution of times each example's time lies, in [0, 1).
      losses: float32 [B], unweighted.
    """

    finite: Array
    skipped_in_a_row: Array
    grad_norm: Array
    param_norm: Array
    u: Array
    losses: Array


class Sums(NamedTuple):
    """What the metrics are made of: sums over the updates since the last multiple of `log_every`.

    A skipped update adds to `skipped` and `longest` only.

    Args:
      updates: float32 [], number of updates that were not skipped.
      skipped: float32 [], number of those that were.
      longest: float32 [], the most updates that were skipped in a row, as of each of these.
      loss: float32 [], sum of the mean losses.
      grad_norm: float32 [], sum of the gradients' L2 norms.
      param_norm: float32 [], the parameters' L2 norm after the last update.
      by_time: float32 [BINS], sum of the examples' losses by their times.
      seen: float32 [BINS], number of examples.
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
        """The sums of no update."""
        scalar, bins = jnp.zeros(()), jnp.zeros(BINS)
        return cls(scalar, scalar, scalar, scalar, scalar, param_norm, bins, bins)

    def after(self, update: Measured, *, starts_line: Array) -> "Sums":
        """The sums with one update more.

        Args:
          update: what it has measured.
          starts_line: bool [], whether it is the first of a line of metrics: the sums begin again.
        """
        total, seen = adaptive_weighting.sums_by_bin(update.u, update.losses, BINS)
        param_norm = jnp.where(update.finite, update.param_norm, self.param_norm)
        sums = jax.tree.map(lambda leaf: jnp.where(starts_line, 0.0, leaf), self)
        one = update.finite.astype(float)
        return Sums(
            updates=sums.updates + one,
            skipped=sums.skipped + 1 - one,
            longest=jnp.maximum(sums.longest, update.skipped_in_a_row),
            loss=sums.loss + jnp.where(update.finite, jnp.mean(update.losses), 0.0),
            grad_norm=sums.grad_norm + jnp.where(update.finite, update.grad_norm, 0.0),
            param_norm=param_norm,
            by_time=sums.by_time + jnp.where(update.finite, total, 0.0),
            seen=sums.seen + jnp.where(update.finite, seen, 0),
        )

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
    """All that a run needs to go on. Checkpoints hold the fields by their names.

    Args:
      step: int32 [], updates done or skipped.
      params: of the network, and of an SDE that is learned (eq. 1 of `learned_sde`), float32.
      averages: of the parameters, by name; each a tree like `params`, float32.
      opt_state: of the optimizer, an optax state.
      key: typed key [] of the run; step k draws from fold_in(key, k).
      weighting: what adaptive weighting knows of the losses, a `BinnedLoss` of BINS bins.
      in_a_row: int32 [], updates skipped since the last one that was not.
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
        params = beside(experiment, init_params(init_key, network, shape))
        params = jax.tree.map(put, params, shardings(params, mesh))
    start = functools.partial(_start, experiment.training)
    layout = shardings(jax.eval_shape(start, params, key), mesh)
    return jax.jit(start, out_shardings=layout)(params, put(key, replicated(mesh)))


def abstract_state(
    experiment: Experiment, network: nn.Module, shape: tuple[int, ...], mesh: Mesh
) -> TrainState:
    """The shapes of the state and how they lie on the devices; nothing is computed.

    Args: as of `init_state`.
    """
    params = beside(experiment, abstract_params(network, shape))
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
        averages={name: jax.device_put(averages) for name in state.averages},
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
