"""A run as its workdir has it: its experiment, its data, and the parameters of a checkpoint."""

import os
from collections.abc import Collection
from typing import Any, NamedTuple

from jax.sharding import Mesh

from experiments.builders.check import check
from experiments.builders.model import build_network, conditioned
from experiments.config_schema.flags import load_experiment
from experiments.config_schema.lookup import lookup
from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.state import averages
from experiments.state.checkpoints import Checkpoints
from experiments.state.finite import check_parameters
from experiments.state.learned_sde import settled
from experiments.state.resuming import check_network, is_whole
from experiments.state.snapshots import load_snapshots, reconstruct
from experiments.state.train_state import TrainState, abstract_state
from experiments.workdir.folder import Workdir
from models import networks, outputs
from sde_lib.registry import unknown_name

_OF_ANOTHER_KIND = {
    "states": "--workdir: {path} is of a classifier, takes that of a model; --classifier={path} "
    "guides a model's samples",
    "logits": "--classifier: {path} is of a model, takes that of a classifier, such as "
    "--config=digits:classifier trains",
}
"""What to say where the network does not return what it is to."""


class RestoredRun(NamedTuple):
    """What is made of the files of a workdir.

    Args:
      workdir: where it is from.
      experiment: its config, with this command's flags; the section `sde` has what was learned.
      train: the training split, whose source is opened when examples are read.
      step: of its newest checkpoint.
      params: of the network, at that checkpoint.
      parameters: which of them: "raw", "ema" for their first average, or another's name.
    """

    workdir: Workdir
    experiment: Experiment
    train: Split
    step: int
    params: Any
    parameters: str

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        overrides: list[str],
        mesh: Mesh,
        *,
        returns: str = "states",
        raw: bool = False,
        average: str | None = None,
    ) -> "RestoredRun":
        """The run at its newest checkpoint.

        Args:
          path, overrides, mesh, raw, average: as of `TrainedModel.open`.
          returns: what its network returns, as `models.outputs` says.

        Raises:
          UserError: no experiment, checkpoint or average there, another kind of network, or a bad
            override.
        """
        workdir = Workdir(path)
        experiment = workdir.located(load_experiment(workdir.load(), overrides))
        if outputs(lookup(networks, experiment.model.name, "model.name")) != returns:
            raise UserError(_OF_ANOTHER_KIND[returns].format(path=workdir.path))
        check(experiment)
        spec = workdir.data_spec
        train = spec.split(experiment) if spec else split_of(experiment, "train")
        experiment = conditioned(experiment, train)
        part = "params" if raw else _part(experiment, average)
        state = restore(workdir, experiment, train.shape, mesh, ("step", part))
        params = state.params if raw else _averaged(workdir, experiment, state, average)
        parameters = "raw" if raw else average or "ema"
        check_parameters(params, f"{workdir.checkpoints / str(state.step)} ({parameters})")
        experiment, params = settled(experiment, params)
        return cls(workdir, experiment, train, int(state.step), params, parameters)


def restore(
    workdir: Workdir,
    experiment: Experiment,
    shape: tuple[int, ...],
    mesh: Mesh,
    parts: Collection[str] | None = None,
) -> TrainState:
    """The newest state of a workdir that can be read.

    Args:
      workdir: its folder.
      experiment: its config.
      shape: of one example.
      mesh: the devices to lay it out on.
      parts: which to read; None for all: as of `Checkpoints.restore`.

    Raises:
      UserError: there is none, or it is of another network.
    """
    network = build_network(experiment.model)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        state = checkpoints.restore(abstract_state(experiment, network, shape, mesh), parts)
    check_network(state, workdir.checkpoints)
    return state


def begun(state: TrainState, name: str) -> Any:
    """The parameters of an average that a run keeps.

    Raises:
      UserError: it was asked for after this state was saved.
    """
    average = state.averages[name]
    if not is_whole(average):
        raise UserError(
            f"--average: got {name}, which begins after the checkpoint of step {int(state.step)}; "
            "takes --raw, or a later checkpoint"
        )
    return average


def _part(experiment: Experiment, average: str | None) -> str:
    """What of a state an average is made of, by default the first."""
    kept = averages.names(experiment.training)
    name = kept[0] if average is None else average
    return f"averages/{name}" if name in kept else "params"


def _averaged(
    workdir: Workdir, experiment: Experiment, state: TrainState, average: str | None
) -> Any:
    """The parameters of an average, by default the first.

    Raises:
      UserError: there is none of that name.
    """
    kept = averages.names(experiment.training)
    name = kept[0] if average is None else average
    if name in kept:
        return begun(state, name)
    if not name.startswith("power:"):
        raise UserError(f"--average: {unknown_name('average', name, list(kept))}")
    averages.parse([name])
    folder = workdir.path / "averages"
    steps = [s.step for s in load_snapshots(folder) if s.step <= int(state.step)]
    if not steps:
        raise UserError(f"--average: got {name}, takes one of {kept} before the first snapshot")
    return reconstruct(folder, float(name.removeprefix("power:")), steps[-1], state.params)
