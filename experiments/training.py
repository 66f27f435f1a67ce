"""Training: one compiled, donated step, and the loop around it.

What comes at step k is a function of (seed, k) alone: the examples, their noise, their times. So a
run that resumes from a checkpoint is the run that was not interrupted, bit for bit.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from experiments import build
from experiments.config import Experiment, TrainingConfig
from experiments.data import Dataset, to_model
from experiments.devices import replicated
from experiments.schedules import schedules
from models import init_params
from sde_lib import SDE, Pytree, denoising_loss, time_samplers
from sde_lib.time_sampling import independent, low_discrepancy


class TrainState(Pytree):
    """All that a run needs to go on.

    Args:
      step: updates done.
      params: of the network.
      ema_params: their moving average, which sampling uses.
      opt_state: of the optimizer.
      key: typed key of the run; step k draws from fold_in(key, k).
    """

    step: Array
    params: Any
    ema_params: Any
    opt_state: Any
    key: Array


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam with a clipped gradient, a linear warm-up and a schedule."""
    schedule = schedules[config.schedule]

    def learning_rate(count: Array) -> Array:
        warmup = jnp.minimum((count + 1) / max(config.warmup, 1), 1.0)
        return config.learning_rate * warmup * schedule(count / config.num_steps)

    return optax.chain(
        optax.clip_by_global_norm(config.grad_clip),
        optax.adam(learning_rate, b1=config.beta1, eps=config.adam_eps),
    )


def init_state(
    experiment: Experiment, network: nn.Module, shape: tuple[int, ...], mesh: Mesh
) -> TrainState:
    """The state before the first step, a copy on every device.

    Args:
      experiment: the experiment.
      network: its network.
      shape: of one example.
      mesh: the devices.
    """
    init_key, run_key = jax.random.split(jax.random.key(experiment.seed))
    params = init_params(init_key, network, shape)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy: a donated state must not hold one buffer twice.
        ema_params=jax.tree.map(jnp.copy, params),
        opt_state=make_optimizer(experiment.training).init(params),
        key=run_key,
    )
    return jax.device_put(state, replicated(mesh))


def ema_decay(config: TrainingConfig, step: Array) -> Array:
    """min(d, (1 + k)/(10 + k)): the average forgets the initial parameters quickly."""
    assert config.ema_decay is not None  # resolved
    return jnp.minimum(config.ema_decay, (1.0 + step) / (10.0 + step))


def example_loss(
    experiment: Experiment, sde: SDE, network: nn.Module, dataset: Dataset
) -> Callable[[Any, Array, Array], Array]:
    """The loss (params, key, raw values [B, ...]) → mean over the batch, as the config has it."""
    config = experiment.training
    t_min = build.training_t_min(experiment, sde)
    spread = low_discrepancy if config.low_discrepancy else independent
    sample_times = time_samplers[str(config.times)]

    def loss(params: Any, key: Array, values: Array) -> Array:
        time_key, noise_key, data_key, dropout_key = jax.random.split(key, 4)
        data = prepare(experiment, dataset, data_key, values)
        t, importance = sample_times(sde, spread(time_key, len(data)), t_min)
        model = partial(build.model(experiment, sde, network, params), dropout_key=dropout_key)
        losses = denoising_loss(
            sde,
            model,
            data,
            t,
            jax.random.normal(noise_key, data.shape),
            weighting=str(config.weighting),
            data_std=experiment.data.std,
        )
        return jnp.mean(importance * losses)

    return loss


def prepare(experiment: Experiment, dataset: Dataset, key: Array, values: Array) -> Array:
    """Raw values [B, ...] in model units: dequantized and flipped at random where asked for."""
    config = experiment.data
    noise_key, flip_key = jax.random.split(key)
    if dataset.levels is None:
        return values
    if config.flip:
        mirror = jax.random.bernoulli(flip_key, shape=(len(values), 1, 1, 1))
        values = jnp.where(mirror, values[:, :, ::-1], values)
    u = jax.random.uniform(noise_key, values.shape) if config.dequantization else 0.5
    return to_model(values, dataset.levels, bool(config.centered), u)


def make_train_step(
    experiment: Experiment, sde: SDE, network: nn.Module, dataset: Dataset
) -> Callable[[TrainState, Array, Array], tuple[TrainState, dict[str, Array]]]:
    """The compiled step (state, all values [N, ...], rows [K, B]) → (state, mean metrics).

    It makes K updates, scanned when K > 1. The state is donated. XLA's CPU backend runs the
    gradients of convolutions many times slower inside a loop, so there K is 1.
    """
    config = experiment.training
    optimizer = make_optimizer(config)
    loss = example_loss(experiment, sde, network, dataset)

    def update(state: TrainState, values: Array, rows: Array) -> tuple[TrainState, dict]:
        key = jax.random.fold_in(state.key, state.step)
        value, gradient = jax.value_and_grad(loss)(state.params, key, values[rows])
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = ema_decay(config, state.step)
        new_state = TrainState(
            step=state.step + 1,
            params=params,
            ema_params=optax.incremental_update(params, state.ema_params, 1 - decay),
            opt_state=opt_state,
            key=state.key,
        )
        return new_state, {"loss": value, "grad_norm": optax.tree.norm(gradient)}

    def step(state: TrainState, values: Array, rows: Array) -> tuple[TrainState, dict]:
        if len(rows) == 1:
            return update(state, values, rows[0])
        state, metrics = jax.lax.scan(lambda s, r: update(s, values, r), state, rows)
        return state, jax.tree.map(jnp.mean, metrics)

    return jax.jit(step, donate_argnums=0)


def batches(seed: int, num: int, batch_size: int, start: int) -> Iterator[np.ndarray]:
    """The rows of each batch from step `start` on, [B]: a new permutation for every epoch.

    An endless stream of permutations is cut into batches; what a step gets depends on (seed, step).
    """
    epoch, order = -1, np.empty(0, int)
    position = start * batch_size
    while True:
        parts, needed = [], batch_size
        while needed:
            if epoch != position // num:
                epoch = position // num
                order = np.random.default_rng([seed, epoch]).permutation(num)
            part = order[position % num :][:needed]
            parts.append(part)
            position, needed = position + len(part), needed - len(part)
        yield np.concatenate(parts)


def steps_per_call(config: TrainingConfig) -> int:
    """As given; else 1 on the CPU and 5 elsewhere."""
    if config.steps_per_call is not None:
        return config.steps_per_call
    return 1 if jax.default_backend() == "cpu" else 5
