"""U-Nets of the `diffusers` library: a UNet2DModel as it saves itself, alone or in a pipeline.

    FOLDER/config.json                             FOLDER/unet/...
    FOLDER/diffusion_pytorch_model.safetensors     FOLDER/unet_ema/...    the moving average, if any
                                                   FOLDER/scheduler/scheduler_config.json

It is the same function as our `adm`, or as our `ncsnpp` where its blocks are Skip*Block2D.
"""

import dataclasses
import pathlib
from typing import Any

from experiments.builders.model import build_network, condition_size
from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.config_schema.sections import Experiment
from experiments.conversion.diffusers import class_rows, schedule, tensors, unet
from experiments.conversion.imported import Imported
from experiments.errors import UserError
from models import abstract_params

CONFIG = "config.json"
TENSORS = "diffusion_pytorch_model.safetensors"
SCHEDULES = ("scheduler/scheduler_config.json", "scheduler_config.json")


def read(folder: pathlib.Path, experiment: Experiment) -> Imported:
    """The network that a folder holds, its parameters, and what is known of its SDE and data.

    Args:
      folder: of a UNet2DModel, or of a pipeline around one.
      experiment: what was asked for; its model.num_classes tells a null from a class.

    Raises:
      UserError: no such files, a damaged one, an option that no network here has, tensors other
        than the config asks for, or another number of classes.
    """
    model, average = _model_folder(folder), folder / "unet_ema"
    config = unet.load(model / CONFIG)
    fields = unet.network_fields(config, model / CONFIG)
    written = next((folder / name for name in SCHEDULES if (folder / name).is_file()), None)
    fields |= schedule.sde_fields(written, config.time_embedding_type, config.center_input_sample)
    shapes = _shapes(config, fields, model / CONFIG)
    params, averages, step = _tensors(model, shapes), None, config.optimization_step
    if model == folder / "unet" and average.is_dir():
        averages = _tensors(average, shapes)
        step = unet.load(average / CONFIG).optimization_step
    imported = Imported(fields=fields, params=params, averages=averages, step=step)
    return _with_classes(imported, condition_size(experiment.model, "num_classes"), model / CONFIG)


def _with_classes(imported: Imported, asked: int, path: pathlib.Path) -> Imported:
    """The same, with the null apart from the classes where there is one."""
    rows = imported.fields.get("model.num_classes", 0)
    if not rows:
        return imported
    classes = class_rows.classes_of(rows, asked, path)
    fields, averages = imported.fields | {"model.num_classes": classes}, imported.averages
    if classes < rows:
        # What has a null was trained with examples that have no class.
        del fields["training.cond_dropout"]
    return dataclasses.replace(
        imported,
        fields=fields,
        params=class_rows.split_null(imported.params, classes),
        averages=None if averages is None else class_rows.split_null(averages, classes),
    )


def _model_folder(folder: pathlib.Path) -> pathlib.Path:
    for model in (folder / "unet", folder):
        if (model / CONFIG).is_file():
            return model
    raise UserError(
        f"{folder}: holds no {CONFIG}, nor unet/{CONFIG}; takes the folder of a UNet2DModel, or of "
        "its pipeline"
    )


def _tensors(model: pathlib.Path, shapes: Any) -> Any:
    path = model / TENSORS
    return tensors.to_params(tensors.read(path), shapes, path)


def _shapes(config: unet.UNetConfig, fields: dict[str, Any], path: pathlib.Path) -> Any:
    """The network's tree of parameters, as shapes.

    Raises:
      UserError: channels that heads or groups do not divide, or an image that levels do not halve.
    """
    network = build_network(resolve(filled(default_config(), fields)).model)
    height = config.height or 2 ** (config.levels - 1)
    try:
        return abstract_params(network, (height, height, config.in_channels))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
