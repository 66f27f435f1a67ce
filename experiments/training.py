"""Training: one compiled, donated step.

What comes at step k is a function of (seed, k) alone: the examples, their noise, their times. The
sums behind the metrics are part of the state. So a run that resumes from a checkpoint is the run
that was not interrupted, bit for bit, its metrics included.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from experiments import averages, seeds
from experiments.devices import BATCH_AXES, compiler_options, put, replicated
from experiments.objective import make_draw, make_gradient
from experiments.optimizers import make_optimizer
from experiments.sections import Experiment, TrainingConfig
from experiments.sharding import shardings
from models import abstract_params, init_params
from sde_lib import SDE, Pytree, adaptive_weighting

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


def make_update(
    experiment: Experiment, sde: SDE, network: nn.Module, levels: int | None
) -> Callable[[TrainState, Array], TrainState]:
    """One update (state, raw values [B, ...]) → state.

    A network that has a method `constrain` (params → params) has it applied to the new parameters.
    Where the loss, the gradient or what it makes of the parameters is not finite, the step is
    counted and the averages go on, and the rest stays.
    """
    config = experiment.training
    optimizer = make_optimizer(config)
    kept = averages.parse(averages.names(config))
    draw = make_draw(experiment, sde, levels)
    gradient = make_gradient(experiment, sde, network)
    constrain = getattr(network, "constrain", lambda params: params)

    def update(state: TrainState, values: Array) -> TrainState:
        draw_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        drawn = draw(draw_key, values)
        weights = jnp.ones_like(drawn.u)
        if config.adaptive_weighting:
            weights = adaptive_weighting.weights(state.weighting, drawn.u)
        value, losses, slope = gradient(state.params, drawn, weights, dropout_key)
        updates, opt_state = optimizer.update(slope, state.opt_state, state.params)
        params = constrain(optax.apply_updates(state.params, updates))
        weighting = adaptive_weighting.update(state.weighting, drawn.u, losses)
        norms = optax.tree.norm(slope), optax.tree.norm(params)
        fine = jnp.isfinite(jnp.stack([value, *norms])).all()
        moved, still = (
            (params, opt_state, weighting),
            (state.params, state.opt_state, state.weighting),
        )
        moved = jax.tree.map(lambda new, old: jnp.where(fine, new, old), moved, still)
        in_a_row = jnp.where(fine, 0, state.in_a_row + 1)
        fresh = state.step % config.log_every == 0
        return TrainState(
            step=state.step + 1,
            params=moved[0],
            # Of the parameters as they are, also after a skipped update: its time has passed.
            averages=averages.update(kept, state.averages, moved[0], state.step),
            opt_state=moved[1],
            key=state.key,
            weighting=moved[2],
            in_a_row=in_a_row,
            sums=_add(state.sums, fresh, fine, norms, drawn.u, losses, in_a_row),
        )

    return update


def _add(
    sums: Sums,
    fresh: Array,
    fine: Array,
    norms: tuple[Array, Array],
    u: Array,
    losses: Array,
    in_a_row: Array,
) -> Sums:
    """One update more, the first if `fresh`."""
    total, seen = adaptive_weighting.sums_by_bin(u, losses, BINS)
    param_norm = jnp.where(fine, norms[1], sums.param_norm)
    sums = jax.tree.map(lambda leaf: jnp.where(fresh, 0.0, leaf), sums)
    one = fine.astype(float)
    return Sums(
        updates=sums.updates + one,
        skipped=sums.skipped + 1 - one,
        longest=jnp.maximum(sums.longest, in_a_row),
        loss=sums.loss + jnp.where(fine, jnp.mean(losses), 0.0),
        grad_norm=sums.grad_norm + jnp.where(fine, norms[0], 0.0),
        param_norm=param_norm,
        by_time=sums.by_time + jnp.where(fine, total, 0.0),
        seen=sums.seen + jnp.where(fine, seen, 0),
    )


def make_train_step(
    experiment: Experiment, sde: SDE, network: nn.Module, levels: int | None, mesh: Mesh
) -> Callable[[TrainState, Array | None, Array], tuple[TrainState, dict[str, Array]]]:
    """The compiled step (state, all values [N, ...], rows [K, B]) → (state, metrics so far).

    With None for all values, `rows` are the values themselves [K, B, ...]. It makes K updates,
    scanned when K > 1. The state is donated. XLA's CPU backend runs the gradients of convolutions
    many times slower inside a loop, so there K is 1.
    """
    update = make_update(experiment, sde, network, levels)
    batch = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(BATCH_AXES))

    def training_step(
        state: TrainState, values: Array | None, rows: Array
    ) -> tuple[TrainState, dict]:
        def one(state: TrainState, rows: Array) -> tuple[TrainState, None]:
            read = rows if values is None else values[rows]
            return update(state, jax.lax.with_sharding_constraint(read, batch)), None

        state = one(state, rows[0])[0] if len(rows) == 1 else jax.lax.scan(one, state, rows)[0]
        layout = shardings(state, mesh)
        return jax.lax.with_sharding_constraint(state, layout), state.sums.means()

    return jax.jit(training_step, donate_argnums=0, compiler_options=compiler_options())


def steps_per_call(config: TrainingConfig) -> int:
    """As given; else 1 on the CPU and 5 elsewhere."""
    if config.steps_per_call is not None:
        return config.steps_per_call
    return 1 if jax.default_backend() == "cpu" else 5
