"""Training: one compiled, donated step.

What comes at step k is a function of (seed, k) alone: the examples, their noise, their times. The
sums behind the metrics are part of the state. So a run that resumes from a checkpoint is the run
that was not interrupted, bit for bit, its metrics included.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.data import Codec
from experiments.runtime.devices import BATCH_AXES, compiler_options
from experiments.runtime.sharding import shardings
from experiments.state import averages
from experiments.state.optimizers import make_optimizer
from experiments.state.train_state import Measured, TrainState
from experiments.training.objective import make_draw, make_gradient
from sde_lib import SDE, adaptive_weighting


def make_update(
    experiment: Experiment, sde: SDE, network: nn.Module, codec: Codec
) -> Callable[[TrainState, Array], TrainState]:
    """The function that makes one update: (state, raw values [B, ...]) → state.

    A network that has a method `constrain` (params → params) has it applied to the new parameters.
    Where the loss, the gradient or what it makes of the parameters is not finite, the step is
    counted and the averages go on, and the rest stays.

    Args:
      experiment: the experiment.
      sde: its SDE.
      network: its network, built for training.
      codec: of the data.
    """
    config = experiment.training
    optimizer = make_optimizer(config)
    kept = averages.parse(averages.names(config))
    draw = make_draw(experiment, sde, codec)
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
    experiment: Experiment, sde: SDE, network: nn.Module, codec: Codec, mesh: Mesh
) -> Callable[[TrainState, Array | None, Array], tuple[TrainState, dict[str, Array]]]:
    """The compiled step (state, all values [N, ...], rows [K, B]) → (state, metrics so far).

    With None for all values, `rows` are the values themselves [K, B, ...]. It makes K updates,
    scanned when K > 1. The state is donated. XLA's CPU backend runs the gradients of convolutions
    many times slower inside a loop, so there K is 1.

    Args:
      experiment, sde, network, codec: as of `make_update`.
      mesh: the devices, which share a batch.
    """
    update = make_update(experiment, sde, network, codec)
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
    """Updates that one call of the compiled step makes.

    As given; else 1 on the CPU (gradients of convolutions are slow in its loops), and 5 elsewhere,
    as in the code of Song et al. 2021 (`n_jitted_steps`).
    """
    if config.steps_per_call is not None:
        return config.steps_per_call
    return 1 if jax.default_backend() == "cpu" else 5
