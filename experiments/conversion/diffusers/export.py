"""From a model of ours to the folder that UNet2DModel saves, where that is the same function.

    FOLDER/config.json    FOLDER/diffusion_pytorch_model.safetensors    FOLDER/scheduler_config.json

The folder is read back, and what comes back must be the model: a field that UNet2DModel has no like
of is named, and nothing stays.
"""

import dataclasses
import json
import math
import pathlib
from typing import Any

import safetensors.numpy

from experiments.builders.model import condition_size
from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.config_schema.sections import Experiment, ModelConfig
from experiments.conversion.diffusers import class_rows, folder, tensors
from experiments.conversion.diffusers.schedule import schedule_of
from experiments.conversion.diffusers.unet_of import levels_left, unet_of, with_levels
from experiments.errors import UserError
from experiments.runtime.atomic_files import folder_at_once

# Fields of a network that its function does not depend on.
_FREE = frozenset(("args", "attention", "convolution", "dtype", "fourier_scale", "init_scale"))
_FREE |= {"remat"}


def write(path: pathlib.Path, params: Any, experiment: Experiment, shape: tuple[int, ...]) -> None:
    """Write parameters, what they mean and their SDE as a folder, whole or not at all.

    A null that was trained is the last row of the class embedding.

    Args:
      path: of the new folder.
      params: the parameters.
      experiment: what they are of, with the number of classes that its data have.
      shape: of an example.

    Raises:
      UserError: no UNet2DModel is this function.
    """
    model = with_levels(experiment.model, shape)
    has_null = bool(flags(experiment))
    rows = condition_size(model, "num_classes") + int(has_null)
    config, schedule = unet_of(model, shape, rows), schedule_of(experiment)
    with folder_at_once(path) as made:
        _write_json(made / folder.CONFIG, config)
        _write_json(made / folder.SCHEDULES[-1], schedule)
        rowed = class_rows.join_null(params) if has_null else params
        named = tensors.from_params(rowed)
        (made / folder.TENSORS).write_bytes(safetensors.numpy.save(named, {"format": "pt"}))
        _check_same(made, experiment, model, shape)


def flags(experiment: Experiment) -> list[str]:
    """What `import` is to be told so that the null is not one more class."""
    classes = condition_size(experiment.model, "num_classes")
    has_null = classes > 0 and experiment.training.cond_dropout > 0
    return [f"--config.model.num_classes={classes}"] if has_null else []


def _write_json(path: pathlib.Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _check_same(
    made: pathlib.Path, experiment: Experiment, model: ModelConfig, shape: tuple[int, ...]
) -> None:
    """Stop where what was written means something else than the model.

    Raises:
      UserError: the first field that does.
    """
    try:
        fields = folder.read(made, experiment).fields
    except UserError as error:
        line = str(error).removeprefix(f"{made}/{folder.CONFIG}: ")
        raise UserError(f"--to=diffusers: UNet2DModel's {line}") from error
    back = resolve(filled(default_config(), fields))
    network = levels_left(with_levels(back.model, shape))
    for section, ours, theirs in (
        ("sde", experiment.sde, back.sde),
        ("model", levels_left(model), network),
    ):
        for field in dataclasses.fields(ours):
            if field.name not in _FREE:
                got, takes = getattr(ours, field.name), getattr(theirs, field.name, None)
                _check_alike(f"{section}.{field.name}", got, takes)
    _check_alike("data.centered", experiment.data.centered, back.data.centered)


def _check_alike(name: str, got: Any, takes: Any) -> None:
    if not _alike(got, takes):
        raise UserError(f"{name}: got {got!r}, takes {takes!r} with --to=diffusers")


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether two values of a field are one; floats up to their rounding."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in (ours, theirs)]
    return math.isclose(ours, theirs, rel_tol=1e-12) if all(numbers) else ours == theirs
