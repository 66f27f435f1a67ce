"""Training: one compiled, donated step.

What comes at step k is a function of (seed, k) alone: the examples, their noise, their times. The
sums behind the metrics are part of the state. So a run that resumes from a checkpoint is the run
that was not interrupted, bit for bit, its metrics included.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.runtime.devices import BATCH_AXES, compiler_options
from experiments.runtime.sharding import shardings
from experiments.state import averages
from experiments.state.optimizers import make_optimizer
from experiments.state.train_state import BINS, Sums, TrainState
from experiments.training.objective import make_draw, make_gradient
from sde_lib import SDE, adaptive_weighting


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
