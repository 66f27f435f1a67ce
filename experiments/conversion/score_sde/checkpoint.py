"""Checkpoints of score_sde_pytorch: `ddpm` and `ncsnpp`, with every option of theirs.

A file holds `model`, the tensors by name, `ema`, whose `shadow_params` are those that are trained,
in the same order without names, and `step`. The frozen frequencies of a Fourier embedding are in
`model` alone. Of the optimizer's state nothing is taken.
"""

import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.builders.model import build_network
from experiments.config_schema.sections import Experiment, ModelConfig
from experiments.conversion.imported import Imported
from experiments.conversion.score_sde.inference import FROZEN, infer, unused
from experiments.conversion.score_sde.layout import Leaf, Shape, layout
from experiments.conversion.torch_names import plain_name
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.runtime import torch_file
from experiments.state.trees import unflatten
from experiments.workdir.data_spec import DataSpec
from models.networks.ncsnpp import NCSNpp

Tensors = dict[str, np.ndarray]


def read(path: pathlib.Path, experiment: Experiment) -> Imported:
    """The parameters of a checkpoint file, for the network of an experiment.

    Raises:
      UserError: the file is damaged or of something else, or its tensors do not fit the network.
    """
    content = torch_file.load(path)
    try:
        model, shadow = content["model"], content["ema"]["shadow_params"]
        step = int(content["step"])
        tensors = {str(name): np.asarray(tensor, np.float32) for name, tensor in model.items()}
        averages = [np.asarray(tensor, np.float32) for tensor in shadow]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path}: is no checkpoint of score_sde_pytorch, takes one with `model`, `ema` and "
            f"`step` ({type(error).__name__}: {error})"
        ) from error
    try:
        return convert(tensors, averages, step, experiment)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def convert(
    model: Tensors, shadow: Sequence[np.ndarray], step: int, experiment: Experiment
) -> Imported:
    """The parameters of a checkpoint, for the network of an experiment.

    Args:
      model: the tensors by name, in their order.
      shadow: the moving averages of those that are trained, in the same order.
      step: updates done.
      experiment: whose network it is, and where the size of an image may be from.

    Raises:
      UserError: the tensors do not fit the network, or nothing tells the size of an image.
    """
    named = {plain_name(name): tensor for name, tensor in model.items()}
    named.pop("sigmas", None)
    net, shapes = _network(experiment.model), {name: t.shape for name, t in named.items()}
    channels = _channels(shapes)
    size = _size(experiment, net, shapes, channels)
    leaves, ours = layout(net, channels, size)
    if own := set(ours) - {leaf.ours for leaf in leaves}:
        # As of num_classes and of cond_dim.
        raise UserError(f"model: the config's network has {min(own)}, which none published has")
    if problem := _problem(shapes, leaves, ours):
        raise UserError(f"{problem}; {_advice(shapes, experiment.model, size)}")
    averaged = _with_names(named, shadow)
    return Imported(
        fields={},
        params=_tree(named, leaves, ours),
        averages=_tree(averaged, leaves, ours),
        step=step,
        data=DataSpec(shape=(size, size, channels), levels=256),
    )


def _network(config: ModelConfig) -> NCSNpp:
    net = build_network(config)
    if not isinstance(net, NCSNpp):
        raise UserError(f"model.name: got {config.name!r}, takes 'ncsnpp' for what was published")
    return net


def _channels(shapes: dict[str, Shape]) -> int:
    """Of the image, which the first convolution takes.

    Raises:
      UserError: there is none.
    """
    for name, shape in shapes.items():
        if name.endswith(".weight") and len(shape) == 4:
            return shape[1]
    raise UserError("holds no convolution, takes a checkpoint of ddpm or ncsnpp")


def _size(experiment: Experiment, net: NCSNpp, shapes: dict[str, Shape], channels: int) -> int:
    """The side of an image: as the config says, as the data are, or as attention places it.

    Raises:
      UserError: nothing tells.
    """
    data, resolutions = experiment.data, net.attn_resolutions
    if data.image_size is not None:
        return data.image_size
    try:
        shape = split_of(experiment, "train").shape
        if len(shape) == 3 and shape[2] == channels:
            return shape[0]
    except UserError:
        pass  # the data are not here
    structure = infer(shapes)
    if structure and structure.attention and resolutions:
        return max(resolutions) << min(structure.attention)
    raise UserError(
        f"data.image_size: got None, takes the side of an image, which neither the tensors tell "
        f"nor {data.source}, which is not here"
    )


def _advice(shapes: dict[str, Shape], config: ModelConfig, size: int) -> str:
    """What to change in the config, if the tensors tell."""
    structure = infer(shapes)
    if structure is None:
        return "these are not the tensors of any ddpm or ncsnpp"
    changes = []
    for name, value in structure.fields_for(size).items():
        if getattr(config, name) != value:
            changes.append(f"--config.model.{name}={str(value).replace(' ', '')}")
    return f"they fit with {shlex.join(changes)}"


def _problem(shapes: dict[str, Shape], leaves: list[Leaf], ours: dict[str, Shape]) -> str | None:
    """The first tensor that is not as the config has it: missing, of another shape, or too many."""
    wanted = {name: leaf.their_shape(ours[leaf.ours]) for leaf in leaves for name in leaf.theirs}
    for name, shape in wanted.items():
        if name not in shapes:
            return f"has no {name}, the config takes one of shape {shape}"
        if shapes[name] != shape:
            return f"{name} has shape {shapes[name]}, the config takes {shape}"
    for name, shape in shapes.items():
        if name not in wanted and name not in unused(shapes):
            return f"holds {name} of shape {shape}, for which the config has no place"
    return None


def _with_names(tensors: Tensors, shadow: Sequence[np.ndarray]) -> Tensors:
    """The moving averages by name.

    Raises:
      UserError: their number or shapes are not those of the tensors.
    """
    trained = [name for name in tensors if name != FROZEN]
    got, takes = [a.shape for a in shadow], [tensors[name].shape for name in trained]
    if got != takes:
        raise UserError(
            f"ema: holds {len(got)} tensors, takes {len(takes)} of the shapes of the model's"
        )
    frozen = {FROZEN: tensors[FROZEN]} if FROZEN in tensors else {}
    return frozen | dict(zip(trained, shadow, strict=True))


def _tree(tensors: Tensors, leaves: list[Leaf], ours: dict[str, Shape]) -> Any:
    """Our parameters."""
    return unflatten(
        {
            leaf.ours: leaf.our_array([tensors[name] for name in leaf.theirs], ours[leaf.ours])
            for leaf in leaves
        }
    )
