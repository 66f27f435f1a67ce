"""The command `train`: from a config to a workdir with checkpoints, metrics and samples."""

import itertools
import math
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from experiments import build
from experiments.checkpoints import Checkpoints
from experiments.config import Experiment
from experiments.data import Dataset, load
from experiments.devices import check_batch, replicated, sharded
from experiments.errors import UserError
from experiments.metrics import MetricsWriter
from experiments.pictures import save_png
from experiments.sample import Sampler, picture
from experiments.training import (
    TrainState,
    batches,
    example_loss,
    init_state,
    make_train_step,
    steps_per_call,
)
from experiments.workdir import Workdir
from models import init_params


def train(experiment: Experiment, workdir: Workdir, mesh: Mesh) -> TrainState:
    """Train to `training.num_steps`, from the newest checkpoint where there is one.

    Raises:
      UserError: bad input, a workdir of another experiment, or a loss that is not finite.
      OSError: the workdir cannot be written.
    """
    build.check(experiment)
    config = experiment.training
    check_batch(mesh, config.batch_size, "training.batch_size")
    check_batch(mesh, experiment.sampling.batch_size, "sampling.batch_size")
    dataset = load_split(experiment, "train")
    network = build.network(experiment.model)
    _check_fit(experiment, network, dataset)
    workdir.claim(experiment)
    with Checkpoints(workdir.checkpoints, config.keep, writer=True) as checkpoints:
        state = init_state(experiment, network, dataset.shape, mesh)
        if checkpoints.latest is not None:
            state = checkpoints.restore(state)
            print(f"resuming {workdir.path} at step {int(state.step)}")
        return _Run(experiment, workdir, mesh, dataset, network, checkpoints).to_end(state)


def _check_fit(experiment: Experiment, network: Any, dataset: Dataset) -> None:
    """Trace the loss once, so that a network that cannot take the data stops before any file.

    Raises:
      UserError: it cannot.
    """
    loss = example_loss(experiment, build.sde(experiment.sde), network, dataset)

    def trace(key: jax.Array) -> jax.Array:
        return loss(init_params(key, network, dataset.shape), key, jnp.asarray(dataset.values[:2]))

    try:
        jax.eval_shape(trace, jax.random.key(0))
    # Whatever a network's layers raise when a shape, a type or a label does not suit them.
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"model.name: got {experiment.model.name!r}, which cannot take examples of shape "
            f"{dataset.shape} from {experiment.data.source} ({line})"
        ) from error


def load_split(experiment: Experiment, split: str) -> Dataset:
    """A split of the experiment's data.

    Raises:
      UserError: it cannot be loaded.
    """
    config = experiment.data
    return load(config.source, split, image_size=config.image_size, holdout=config.holdout)


class _Run:
    """One run of the loop: what it needs, and what it does every so often."""

    def __init__(
        self,
        experiment: Experiment,
        workdir: Workdir,
        mesh: Mesh,
        dataset: Dataset,
        network: Any,
        checkpoints: Checkpoints,
    ):
        self.experiment, self.workdir, self.mesh = experiment, workdir, mesh
        self.dataset, self.network, self.checkpoints = dataset, network, checkpoints
        self.sde = build.sde(experiment.sde)

    def to_end(self, state: TrainState) -> TrainState:
        """Update until `num_steps`, logging, sampling and saving on the way."""
        config, step = self.experiment.training, int(state.step)
        train_step = make_train_step(self.experiment, self.sde, self.network, self.dataset)
        values = jax.device_put(self.dataset.values, replicated(self.mesh))
        rows = batches(self.experiment.seed, self.dataset.num, config.batch_size, step)
        per_call = steps_per_call(config)
        pending: list[dict] = []
        since, at = time.perf_counter(), step
        bar = tqdm(total=config.num_steps, initial=step, unit="step", disable=None)
        folder = self.workdir.folder("tensorboard")
        with bar, MetricsWriter(self.workdir.metrics, folder, step) as writer:
            while step < config.num_steps:
                count = min(per_call, config.num_steps - step)
                block = np.stack(list(itertools.islice(rows, count)))
                block = jax.device_put(block, sharded(self.mesh, axis=1))
                state, metrics = train_step(state, values, block)
                pending.append(metrics)
                before, step = step, step + count
                last = step == config.num_steps
                save = last or _due(before, step, config.save_every)
                if save or _due(before, step, config.log_every):
                    means = _means(pending, step)
                    rate = (step - at) * config.batch_size / (time.perf_counter() - since)
                    writer.scalars(step, {**means, "images_per_second": round(rate, 1)})
                    _show(bar, step, means["loss"], rate, config.num_steps)
                    pending, since, at = [], time.perf_counter(), step
                if save:
                    self.checkpoints.save(step, state)
                if config.sample_every and _due(before, step, config.sample_every):
                    self._draw(state, step, writer)
                    since, at = time.perf_counter(), step
        return state

    def _draw(self, state: TrainState, step: int, writer: MetricsWriter) -> None:
        """A grid of samples from the averaged parameters."""
        model = build.model(self.experiment, self.sde, self.network, state.ema_params)
        sampler = Sampler(self.experiment, self.sde, model, self.dataset.shape, self.mesh)
        samples = sampler.draw(self.experiment.sampling.num, self.experiment.seed)
        drawn = picture(samples.values, self.experiment, self.dataset)
        save_png(self.workdir.folder("samples") / f"training-{step:08d}.png", drawn)
        writer.image(step, "samples", drawn)


def _due(before: int, step: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, step]."""
    return step // every > before // every


def _means(pending: list[dict], step: int) -> dict[str, float]:
    """The metrics since the last line, averaged.

    Raises:
      UserError: the loss is not finite.
    """
    stacked = jax.device_get(pending)
    means = {name: float(np.mean([m[name] for m in stacked])) for name in stacked[0]}
    if not math.isfinite(means["loss"]):
        raise UserError(
            f"training: the loss is {means['loss']} before step {step}; takes a lower "
            "training.learning_rate, or data without extreme values"
        )
    return means


def _show(bar: tqdm, step: int, loss: float, rate: float, num_steps: int) -> None:
    """Loss and images/s on the progress bar, or as lines where there is no terminal."""
    if not bar.disable:
        bar.set_postfix_str(f"loss {loss:.4f}, {rate:.0f} images/s", refresh=False)
        bar.update(step - bar.n)
    else:
        print(f"step {step}/{num_steps}: loss {loss:.4f}, {rate:.0f} images/s", file=sys.stderr)
