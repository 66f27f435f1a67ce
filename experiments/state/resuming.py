"""Going on from a checkpoint of other fields: what fits is kept, what is new begins there."""

import dataclasses
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from experiments.config_schema.sections import Experiment
from experiments.errors import UserError
from experiments.state.train_state import TrainState, init_state
from experiments.state.trees import flatten


def is_whole(tree: Any) -> bool:
    """Whether a checkpoint had all of it; `Checkpoints.restore` leaves the rest abstract."""
    return not any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))


def check_network(state: TrainState, where: pathlib.Path) -> None:
    """Stop parameters of another network than the config's.

    Args:
      state: from `Checkpoints.restore`.
      where: it is from.

    Raises:
      UserError: the checkpoint has no such parameters.
    """
    if not is_whole(state.params):
        name, leaf = max(flatten(state.params).items(), key=lambda item: len(item[1].shape))
        raise UserError(
            f"{where}: holds the parameters of another network, not those of the config with "
            f"{name} of shape {leaf.shape}; takes the network it was trained with"
        )


def complete(
    experiment: Experiment,
    network: nn.Module,
    shape: tuple[int, ...],
    mesh: Mesh,
    state: TrainState,
) -> tuple[TrainState, list[str]]:
    """A restored state with what the checkpoint lacks begun anew.

    An average that is new begins at the parameters as they are. So does the optimizer, without the
    moments of the one before; its learning rate is that of the step.

    Args:
      experiment, network, shape, mesh: as of `init_state`.
      state: from `Checkpoints.restore`, with parameters.

    Returns:
      The state, and the names of what begins.
    """
    if is_whole(state):
        return state, []
    fresh = init_state(experiment, network, shape, mesh, state.params)
    fresh = dataclasses.replace(fresh, opt_state=_at_step(fresh.opt_state, state.step))
    kept = {name: _either(tree, fresh.averages[name]) for name, tree in state.averages.items()}
    fields = {name: _either(tree, getattr(fresh, name)) for name, tree in vars(state).items()}
    named = {f"average {name}": tree for name, tree in state.averages.items()}
    begun = [
        name
        for name, tree in (vars(state) | named).items()
        if name != "averages" and not is_whole(tree)
    ]
    return TrainState(**fields | {"averages": kept}), begun


def _either(restored: Any, fresh: Any) -> Any:
    return restored if is_whole(restored) else fresh


def _at_step(opt_state: Any, step: jax.Array) -> Any:
    """An optimizer's state whose schedules have counted `step` updates."""

    def is_schedule(path: tuple, _: Any) -> bool:
        return any(getattr(key, "tuple_name", None) == "ScaleByScheduleState" for key in path)

    advanced = optax.tree_utils.tree_set(opt_state, is_schedule, count=step)
    # Each has its own: a donated buffer is held once.
    return jax.tree.map(lambda leaf: jnp.array(leaf) if leaf is step else leaf, advanced)
