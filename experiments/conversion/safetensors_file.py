"""Our own file of a model: parameters as float32 tensors called by path, and all that they mean.

The metadata are texts: `scoresde_format` (1), `config` and `data` in JSON, `step`, and in
`parameters` which they are: "raw", "ema" or the name of another average. Other projects read the
tensors with the package safetensors. Reading runs no code of the file's.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from ml_collections import ConfigDict

from experiments.config_schema.resolve import resolve
from experiments.config_schema.sections import Experiment
from experiments.conversion.imported import Imported
from experiments.errors import UserError
from experiments.runtime.atomic_files import file_at_once
from experiments.state.trees import flatten, unflatten
from experiments.workdir.data_spec import DataSpec

FORMAT = "1"


def write(
    path: pathlib.Path,
    params: Any,
    experiment: Experiment,
    data: DataSpec,
    *,
    step: int,
    parameters: str,
) -> None:
    """Write parameters and what they mean as one file, whole or not at all.

    Args:
      path: of the file.
      params: the parameters.
      experiment: what they are of.
      data: facts of its data.
      step: updates done.
      parameters: "raw", "ema" or an average's name.
    """
    metadata = {
        "scoresde_format": FORMAT,
        "config": json.dumps(dataclasses.asdict(experiment)),
        "data": data.as_json(),
        "step": str(step),
        "parameters": parameters,
    }
    tensors = {
        name: np.ascontiguousarray(leaf, np.float32) for name, leaf in flatten(params).items()
    }
    # `save_file` makes files that nobody else may read.
    with file_at_once(path) as file:
        file.write(safetensors.numpy.save(tensors, metadata))


def read(path: pathlib.Path) -> Imported:
    """Read a file that `write` has written.

    Raises:
      UserError: no such file, or it is damaged or of something else.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            if metadata.get("scoresde_format") != FORMAT:
                raise UserError(
                    f"{path}: has scoresde_format {metadata.get('scoresde_format')}, takes "
                    f"{FORMAT}: a file of `scoresde export`"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config, step = json.loads(metadata["config"]), int(metadata["step"])
        facts = metadata["data"]
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: is damaged, or no safetensors file ({error})") from error
    return Imported(
        fields=_fields(resolve(ConfigDict(config))),
        params=unflatten(tensors),
        averages=None,
        step=step,
        data=DataSpec.from_json(facts, path),
    )


def _fields(experiment: Experiment) -> dict[str, Any]:
    """Every field of an experiment by its path."""
    fields: dict[str, Any] = {}
    for section in dataclasses.fields(experiment):
        value = getattr(experiment, section.name)
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                fields[f"{section.name}.{field.name}"] = getattr(value, field.name)
        else:
            fields[section.name] = value
    return fields
