"""What a run needs that may be wrong, before any file is written."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from experiments.builders.check import check
from experiments.builders.model import (
    blaming_network,
    build_network,
    build_sde,
    check_attention,
    conditioned,
    example_condition,
)
from experiments.config_schema.lookup import lookup
from experiments.config_schema.resolve import resolve
from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Split, check_crop
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.runtime.devices import check_batch
from experiments.sampling.conditions import check_guidance
from experiments.state import averages
from experiments.state.finite import check_parameters
from experiments.state.learned_sde import beside
from experiments.state.train_state import abstract_state
from experiments.training import classifier, denoising  # noqa: F401 (they register themselves)
from experiments.training.evaluation import check_evaluation
from experiments.training.objective import Objective, objectives
from experiments.training.shared import Shared
from experiments.training.trackers import check_trackers
from experiments.workdir.folder import Workdir
from experiments.workdir.restored_run import begun, restore
from models import abstract_params


class Prepared(NamedTuple):
    """What a run needs that may be wrong, before any file is written.

    Args:
      experiment: the experiment, with what of its model follows from the data.
      network: the network, without parameters.
      objective: what it is trained for.
      train_split: the examples.
      resident_split: the same in memory, where they stay on the devices; None where they are
        streamed.
      params: the first parameters, where they are another run's; None for random ones.
    """

    experiment: Experiment
    network: nn.Module
    objective: Objective
    train_split: Split
    resident_split: Split | None
    params: Any


def prepare(
    experiment: Experiment, workdir: Workdir, mesh: Mesh, shared: Shared | None = None
) -> Prepared:
    """Check all that a run takes, and open its data.

    Args:
      experiment: the experiment, with absolute paths.
      workdir: its folder.
      mesh: the devices.
      shared: of runs before, whose data are not read again.

    Raises:
      UserError: bad input.
    """
    check(experiment)
    check_batches(experiment, mesh)
    data = shared or Shared()
    split, resident = data.data("training", experiment, lambda: _read(experiment))
    objective = fitting(experiment, split)
    experiment, network = objective.experiment, objective.network
    params = None
    if experiment.training.init_from is not None and not workdir.has_checkpoints:
        params = _params_of_another(experiment, network, split.shape, mesh)
    return Prepared(experiment, network, objective, split, resident, params)


def check_batches(experiment: Experiment, mesh: Mesh) -> None:
    """Stop an objective or a tracker that is not there, and batches that devices cannot share.

    Raises:
      UserError: the first such field.
    """
    config = experiment.training
    lookup(objectives, config.objective, "training.objective")
    check_trackers(config.trackers)
    check_batch(mesh, config.batch_size, "training.batch_size", config.accumulate)
    check_batch(mesh, experiment.sampling.batch_size, "sampling.batch_size")


def fitting(experiment: Experiment, split: Split) -> Objective:
    """The objective of a checked experiment, once its network and it are known to fit the data.

    Args:
      experiment: the experiment, checked.
      split: its training split, which need not be read.

    Returns:
      The objective, of the experiment with what of its model follows from the data.

    Raises:
      UserError: they do not fit.
    """
    experiment = conditioned(experiment, split)
    network = build_network(experiment.model, training=True)
    objective = make_objective(experiment, network, split)
    objective.check()
    check_evaluation(experiment, split)
    _check_fit(objective)
    check_attention(network, split.shape)
    check_guidance(experiment)
    return objective


def make_objective(experiment: Experiment, network: nn.Module, data: Split) -> Objective:
    """The objective that the section `training` names.

    Args:
      experiment: the experiment.
      network: its network, built for training.
      data: the split that it is trained on.

    Raises:
      UserError: an unknown name.
    """
    cls = lookup(objectives, experiment.training.objective, "training.objective")
    return cls(experiment, build_sde(experiment.sde), network, data)


def _read(experiment: Experiment) -> tuple[Split, Split | None]:
    """The training split; and in memory, if it is small enough to stay on the devices."""
    config = experiment.data
    cropped = config.crop != "center"
    if config.stream is False and cropped:
        raise UserError(f"data.crop: got {config.crop!r} with data.stream False, takes 'center'")
    split = split_of(experiment, "train")
    large = config.stream is None and split.nbytes > config.resident_gib * 2**30
    if config.stream or cropped or large:
        check_crop(config.crop, split)
        return split, None
    resident = split.load()
    return resident, resident


def _check_fit(objective: Objective) -> None:
    """Trace the loss once, so that a network that cannot take the data stops before any file.

    Raises:
      UserError: it cannot.
    """
    experiment, data = objective.experiment, objective.data

    def trace(params: Any, key: jax.Array) -> Any:
        values = jnp.zeros((2, *data.shape), data.codec.dtype)
        batch = Batch(values, example_condition(experiment.model, 2))
        return objective.losses(params, objective.draw(key, batch), key)

    with blaming_network(experiment, f"{data.shape} from {experiment.data.source}"):
        params = beside(experiment, abstract_params(objective.network, data.shape))
        jax.eval_shape(trace, params, seeds.key_of(0))


def _params_of_another(
    experiment: Experiment, network: nn.Module, shape: tuple[int, ...], mesh: Mesh
) -> Any:
    """The averaged parameters of the run that this one starts from.

    Raises:
      UserError: there is none, or it has another network.
    """
    other = str(experiment.training.init_from)
    try:
        theirs = resolve(Workdir(other).load())
        spec = Workdir(other).data_spec
        theirs = conditioned(theirs, spec.split(theirs)) if spec else theirs
        name = averages.names(theirs.training)[0]
        state = restore(Workdir(other), theirs, shape, mesh, [f"averages/{name}", "step"])
        first = begun(state, name)
    except UserError as error:
        raise UserError(f"training.init_from: {error}") from error
    check_parameters(first, f"training.init_from: {other}")
    learns, learnt = experiment.training.learn_sde, theirs.training.learn_sde
    if learnt and learnt != learns:
        raise UserError(
            f"training.init_from: {other} has learned its SDE's {', '.join(learnt)}, takes "
            f"training.learn_sde {learnt}"
        )
    first = first if learnt else beside(experiment, first)
    ours = abstract_state(experiment, network, shape, mesh).params
    if jax.tree.map(jnp.shape, first) != jax.tree.map(jnp.shape, ours):
        raise UserError(f"training.init_from: {other} has another network, takes one like this")
    return first
