"""Training: one compiled, donated step.

What comes at step k is a function of (seed, k) alone: the examples, their noise, their times. The
sums behind the metrics are part of the state. So a run that resumes from a checkpoint is the run
that was not interrupted, bit for bit, its metrics included.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from experiments.config_schema.sections import TrainingConfig
from experiments.data import Batch
from experiments.runtime.devices import BATCH_AXES, compiler_options
from experiments.runtime.sharding import shardings
from experiments.state import averages
from experiments.state.learned_sde import constraint, learned_numbers
from experiments.state.optimizers import make_optimizer
from experiments.state.train_state import Measured, TrainState
from experiments.training.objective import Draws, Objective
from sde_lib import adaptive_weighting


def make_gradient(
    objective: Objective, parts: int
) -> Callable[[Any, Draws, Array, Array], tuple[Array, Array, Any]]:
    """The gradient: (params, drawn, weights [B], key) → (loss, losses [B], gradient).

    A part takes every k-th example, so that a batch that is split over devices stays where it is.
    On the CPU the parts are written out one after the other: its gradients of convolutions are many
    times slower inside a loop.

    Args:
      objective: what it is the gradient of.
      parts: in how many it is computed, one after the other.
    """

    @partial(jax.value_and_grad, has_aux=True)
    def part(params: Any, drawn: Draws, weights: Array, key: Array) -> tuple[Array, Array]:
        losses = objective.losses(params, drawn, key)
        return jnp.mean(weights * losses), losses

    def split(leaf: Array) -> Array:
        return jnp.moveaxis(leaf.reshape(-1, parts, *leaf.shape[1:]), 1, 0)

    def gradient(params: Any, drawn: Draws, weights: Array, key: Array) -> tuple:
        if parts == 1:
            (value, losses), slope = part(params, drawn, weights, key)
            return value, losses, slope

        def add(total: tuple, this: tuple) -> tuple[tuple, Array]:
            drawn, weights, k = this
            (value, losses), slope = part(params, drawn, weights, jax.random.fold_in(key, k))
            return jax.tree.map(jnp.add, total, (value, slope)), losses

        zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
        each = (*jax.tree.map(split, (drawn, weights)), jnp.arange(parts))
        unroll = parts if jax.default_backend() == "cpu" else 1
        total, losses = jax.lax.scan(add, zero, each, unroll=unroll)
        value, slope = jax.tree.map(lambda leaf: leaf / parts, total)
        return value, jnp.moveaxis(losses, 0, 1).ravel(), slope

    return gradient


def make_update(
    config: TrainingConfig, objective: Objective, network: nn.Module
) -> Callable[[TrainState, Batch], TrainState]:
    """The function that makes one update: (state, raw examples [B, ...]) → state.

    A network that has a method `constrain` (params → params) has it applied to the new parameters;
    an SDE that is learned stays one.
    Where the loss, the gradient or what it makes of the parameters is not finite, the step is
    counted and the averages go on, and the rest stays.

    Args:
      config: of the training.
      objective: what the network is trained for.
      network: the network.
    """
    optimizer = make_optimizer(config)
    kept = averages.parse(averages.names(config))
    gradient = make_gradient(objective, config.accumulate)
    constrain = constraint(config, objective.sde, network)

    def update(state: TrainState, batch: Batch) -> TrainState:
        draw_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        drawn = objective.draw(draw_key, batch)
        weights = jnp.ones_like(drawn.u)
        if config.adaptive_weighting:
            weights = adaptive_weighting.weights(state.weighting, drawn.u)
        value, losses, slope = gradient(state.params, drawn, weights, dropout_key)
        updates, opt_state = optimizer.update(slope, state.opt_state, state.params)
        params = constrain(optax.apply_updates(state.params, updates), state.params)
        weighting = adaptive_weighting.update(state.weighting, drawn.u, losses)
        norms = optax.tree.norm(slope), optax.tree.norm(params)
        finite = jnp.isfinite(jnp.stack([value, *norms])).all()
        new = params, opt_state, weighting
        old = state.params, state.opt_state, state.weighting
        params, opt_state, weighting = jax.tree.map(partial(jnp.where, finite), new, old)
        skipped_in_a_row = jnp.where(finite, 0, state.in_a_row + 1)
        measured = Measured(finite, skipped_in_a_row, *norms, drawn.u, losses)
        return TrainState(
            step=state.step + 1,
            params=params,
            # Of the parameters as they are, also after a skipped update: its time has passed.
            averages=averages.update(kept, state.averages, params, state.step),
            opt_state=opt_state,
            key=state.key,
            weighting=weighting,
            in_a_row=skipped_in_a_row,
            sums=state.sums.after(measured, starts_line=state.step % config.log_every == 0),
        )

    return update


def make_train_step(
    config: TrainingConfig, objective: Objective, network: nn.Module, mesh: Mesh
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """The compiled step (state, all examples [N, ...], rows [K, B]) → (state, metrics so far).

    With None for all examples, `rows` are the examples themselves [K, B, ...]. It makes K updates,
    scanned when K > 1. The state is donated. XLA's CPU backend runs the gradients of convolutions
    many times slower inside a loop, so there K is 1. Given as a further argument, a learning rate
    takes the place of the section's, without another program.

    Args:
      config, objective, network: as of `make_update`.
      mesh: the devices, which share a batch.
    """
    layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(BATCH_AXES))

    def training_step(
        state: TrainState, examples: Batch | None, rows: Any, learning_rate: Any = None
    ) -> tuple[TrainState, dict]:
        asked = config
        if learning_rate is not None:
            asked = dataclasses.replace(config, learning_rate=learning_rate)
        update = make_update(asked, objective, network)

        def one(state: TrainState, rows: Any) -> tuple[TrainState, None]:
            batch = rows if examples is None else examples.take(rows)
            return update(state, jax.lax.with_sharding_constraint(batch, layout)), None

        num = len(jax.tree.leaves(rows)[0])
        first = jax.tree.map(lambda leaf: leaf[0], rows)
        state = one(state, first)[0] if num == 1 else jax.lax.scan(one, state, rows)[0]
        state = jax.lax.with_sharding_constraint(state, shardings(state, mesh))
        return state, state.sums.means() | learned_numbers(config, state.params)

    return jax.jit(training_step, donate_argnums=0, compiler_options=compiler_options())


def steps_per_call(config: TrainingConfig) -> int:
    """Updates that one call of the compiled step makes.

    As given; else 1 on the CPU (gradients of convolutions are slow in its loops), and 5 elsewhere,
    as in the code of Song et al. 2021 (`n_jitted_steps`).
    """
    if config.steps_per_call is not None:
        return config.steps_per_call
    return 1 if jax.default_backend() == "cpu" else 5
