"""The command `train`: from a config to a workdir with checkpoints, metrics and samples.

At a step where several are due, the line of metrics is written first, then what samples are worth,
then samples, then the checkpoint: what a checkpoint has behind it is on disk, so a run that is
killed and started again makes the same files.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
from collections.abc import Callable
from typing import NamedTuple

from jax.sharding import Mesh

from experiments.builders.model import build_model, build_network, build_sde
from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.display.pictures import save_png
from experiments.errors import UserError
from experiments.runtime import processes, sharding
from experiments.runtime.devices import fetch
from experiments.runtime.stopping import Stop
from experiments.sampling.conditions import condition_of
from experiments.sampling.files import picture
from experiments.sampling.sampler import BatchedSampler
from experiments.state import averages
from experiments.state.checkpoints import Checkpoints
from experiments.state.finite import check_parameters
from experiments.state.learned_sde import settled
from experiments.state.resuming import check_network, complete
from experiments.state.snapshots import save_snapshot
from experiments.state.train_state import TrainState, abstract_state, init_state
from experiments.training.evaluation import measured
from experiments.training.input_pipeline import InputPipeline, OnDevice, Streaming, Throughput
from experiments.training.log import TrainingLog
from experiments.training.setup import Prepared, prepare
from experiments.training.shared import Shared
from experiments.training.step import make_train_step, steps_per_call
from experiments.workdir.data_spec import DataSpec
from experiments.workdir.folder import Workdir, flat
from experiments.workdir.results import Result

_MUST_AGREE = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
"""Packages of which all processes must have one version."""

_ONLY_WARMS_UP = (
    "training.warmup {0.warmup} is more than training.num_steps {0.num_steps}: the learning rate "
    "never reaches {0.learning_rate:g}"
)


class Ended(NamedTuple):
    """How a run has ended.

    Args:
      state: its last.
      finished: whether it is at `num_steps`; it was asked to stop before, if not.
    """

    state: TrainState
    finished: bool

    @property
    def stopped(self) -> str:
        """What to say of a run that was asked to stop."""
        step = int(self.state.step)
        return f"stopped and saved at step {step}; the same command goes on from there"


def train(
    experiment: Experiment,
    workdir: Workdir,
    mesh: Mesh,
    *,
    accept: tuple[str, ...] = (),
    explain_sharding: bool = False,
    shared: Shared | None = None,
) -> Ended:
    """Train to `training.num_steps`, from the newest checkpoint where there is one.

    Args:
      experiment: the experiment.
      workdir: its folder.
      mesh: the devices.
      accept: fields that may differ from those that the folder was made with.
      explain_sharding: print how the parameters lie on the devices.
      shared: data and steps that runs of this process share; a shared step has the learning rate
        as an argument, and may round otherwise than the run's own.

    Raises:
      UserError: bad input, a workdir of another experiment or in use, or updates that stay without
        a finite gradient.
      OSError: the workdir cannot be written.
    """
    versions = {name: importlib.metadata.version(name) for name in _MUST_AGREE}
    processes.check_same({f"--config.{k}": v for k, v in flat(experiment).items()} | versions)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Stop())
        processes.run_on_all(lambda: workdir.check(experiment, accept))
        located = processes.run_on_all(lambda: workdir.located(experiment, given=True))
        prepared = processes.run_on_all(lambda: prepare(located, workdir, mesh, shared))
        located, data = prepared.experiment, prepared.train_split
        spec = processes.run_on_all(lambda: DataSpec.of(data))
        processes.check_same({"data.source": [data.num, *data.shape, spec.digest]})
        processes.run_on_all(lambda: workdir.check_data(spec, accept))
        abstract = abstract_state(located, prepared.network, data.shape, mesh)
        if explain_sharding and processes.is_first():
            print(sharding.explain(abstract.params, mesh))
        held = workdir.claim(experiment, accept)
        keep, keep_every = experiment.training.keep, experiment.training.keep_every
        processes.run_on_all(lambda: processes.is_first() and stack.enter_context(held))
        checkpoints = stack.enter_context(
            Checkpoints(workdir.checkpoints, keep, keep_every, writer=True)
        )
        state = _begin(located, prepared, checkpoints, abstract, workdir, mesh)
        if processes.is_first():
            workdir.record(experiment)
            workdir.record_data_spec(spec)
        if located.training.warmup > located.training.num_steps:
            _say(_ONLY_WARMS_UP.format(located.training))
        run = _Run(workdir, mesh, prepared, checkpoints, stop, shared)
        return run.to_end(state)


def _begin(
    experiment: Experiment,
    prepared: Prepared,
    checkpoints: Checkpoints,
    abstract: TrainState,
    workdir: Workdir,
    mesh: Mesh,
) -> TrainState:
    """The newest state of the run, or its first."""
    network, shape = prepared.network, prepared.train_split.shape
    if checkpoints.latest is None:
        state = init_state(experiment, network, shape, mesh, prepared.params)
        if prepared.params is not None:
            # Whatever becomes of the other run, this one has begun here.
            checkpoints.save(0, state)
        return state
    state = checkpoints.restore(abstract)
    check_network(state, workdir.checkpoints)
    check_parameters(state.params, workdir.checkpoints / str(int(state.step)))
    state, begun = complete(experiment, network, shape, mesh, state)
    new = f"; new there: {', '.join(begun)}" if begun else ""
    _say(f"resuming {workdir.path} at step {int(state.step)}{new}")
    return state


class _Run:
    """One run of the loop: what it needs, and what it does every so often."""

    def __init__(
        self,
        workdir: Workdir,
        mesh: Mesh,
        prepared: Prepared,
        checkpoints: Checkpoints,
        stop: Stop,
        shared: Shared | None,
    ):
        self.experiment, self.config = prepared.experiment, prepared.experiment.training
        self.workdir, self.mesh, self.data = workdir, mesh, prepared.train_split
        self.network, self.objective = prepared.network, prepared.objective
        self.resident_split = prepared.resident_split
        self.checkpoints, self.stop, self.shared = checkpoints, stop, shared

    def to_end(self, state: TrainState) -> Ended:
        """Update until `num_steps`, logging, sampling and saving on the way."""
        config, step = self.config, int(state.step)
        begun, train_step = step, self._step()
        with contextlib.ExitStack() as stack:
            pipeline = self._pipeline(step)
            stack.callback(pipeline.close)
            log = stack.enter_context(
                TrainingLog(self.workdir, config, step, Throughput(step, pipeline))
            )
            while step < config.num_steps:
                count = self._count(step)
                state, metrics = train_step(state, pipeline.examples, pipeline.read(count))
                self.stop.must_save()
                step += count
                last, save = step == config.num_steps, step % config.save_every == 0
                if last or step % config.log_every == 0:
                    log.line(step, fetch(metrics))
                    _check_finite(config, int(fetch(state.sums.longest)), step)
                elif step - count == begun:
                    log.throughput.restart(step)  # until now it was compiling
                if config.evaluate_every and step % config.evaluate_every == 0:
                    self._evaluate(state, step, log)
                if config.sample_every and step % config.sample_every == 0:
                    self._draw(state, step, log)
                if last or save:
                    self._snapshot(state, step)
                stopped = self.stop.asked() and not last
                if last or save or stopped:
                    self.checkpoints.save(step, state)
                if stopped:
                    self.checkpoints.wait()
                    return Ended(state, finished=False)
        self.checkpoints.wait()
        return Ended(state, finished=True)

    def _step(self) -> Callable:
        """The compiled step, its own or shared."""
        if self.shared is not None:
            return self.shared.step(self.objective, self.mesh)
        return make_train_step(self.config, self.objective, self.network, self.mesh)

    def _pipeline(self, step: int) -> InputPipeline:
        seed, size = self.experiment.seed, self.config.batch_size
        conditional = self.experiment.model.conditional
        if self.resident_split is not None:
            return OnDevice(self.resident_split, conditional, seed, size, step, self.mesh)
        return Streaming(self.data, conditional, self.experiment.data, seed, size, step, self.mesh)

    def _count(self, step: int) -> int:
        """Updates of the next call: to the next step at which something is due.

        Those of a run that was stopped in between are the same, and so are its roundings.
        """
        config = self.config
        files = (config.log_every, config.save_every, config.sample_every, config.evaluate_every)
        every = (steps_per_call(config), *files)
        return min(config.num_steps - step, *(n - step % n for n in every if n))

    def _evaluate(self, state: TrainState, step: int, log: TrainingLog) -> None:
        """Numbers of samples from the averaged parameters."""
        try:
            values = measured(self.experiment, self.workdir, self.mesh, self.data, state)
        except UserError as error:  # of a model that has hardly begun: it may still learn
            _say(f"step {step}: {error}")
        else:
            log.numbers(step, values)
        log.throughput.restart(step)

    def _draw(self, state: TrainState, step: int, log: TrainingLog) -> None:
        """A grid of samples from the averaged parameters."""
        average = averages.names(self.config)[0]
        experiment, params = settled(self.experiment, state.averages[average])
        network = build_network(experiment.model, divergence=experiment.sampling.log_prob)
        grids, shape = self.workdir.grids, self.data.shape
        try:
            sde = build_sde(experiment.sde)
            model = build_model(experiment, sde, network, params)
            sampler = BatchedSampler(experiment, sde, model, shape, self.mesh, grids)
            num = experiment.sampling.num
            cond = condition_of(experiment, self.data, num)
            samples = sampler.draw(num, experiment.seed, cond=cond)
        except UserError as error:  # of a model that has hardly begun: it may still learn
            _say(f"step {step}: {error}")
            return
        if processes.is_first():
            drawn = picture(samples.x, self.data, None if cond is None else cond.label)
            result = self._grid(step, average)
            save_png(result.file(".png"), drawn, protocol=json.dumps(result.protocol))
            log.image(step, drawn)
        log.throughput.restart(step)

    def _grid(self, step: int, average: str) -> Result:
        """The name of a grid of samples, and all that it follows from besides the run."""
        sampling = dataclasses.asdict(self.experiment.sampling)
        protocol = {"step": step, "average": average, "seed": self.experiment.seed, **sampling}
        words = f"training-{step:08d}-{self.experiment.sampling.solver}"
        return Result.named(self.workdir.folder("samples"), words, protocol)

    def _snapshot(self, state: TrainState, step: int) -> None:
        """Keep the power-law averages, of which others are made afterwards."""
        kept = {name: a for name, a in state.averages.items() if name.startswith("power:")}
        if kept:
            kept = fetch(kept)
            if processes.is_first():
                save_snapshot(self.workdir.folder("averages"), step, kept)


def _check_finite(config: TrainingConfig, longest: int, step: int) -> None:
    """Stop a run whose updates are skipped one after the other.

    Raises:
      UserError: `max_skipped` of them, or all there are.
    """
    if longest >= min(config.max_skipped, config.num_steps):
        raise UserError(
            f"training: {longest} updates in a row before step {step} had no finite loss and "
            "gradient and were skipped; takes a lower training.learning_rate, or data without "
            "extreme values"
        )


def _say(line: str) -> None:
    if processes.is_first():
        print(line)
