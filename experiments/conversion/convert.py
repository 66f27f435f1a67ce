"""From a file of another project to a workdir that every command opens."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments.builders.check import check
from experiments.builders.model import (
    blaming_network,
    build_network,
    check_attention,
    condition_size,
    conditioned,
)
from experiments.config_schema.flags import load_config, load_experiment
from experiments.config_schema.lookup import lookup
from experiments.config_schema.resolve import default_config, filled
from experiments.config_schema.sections import Experiment
from experiments.conversion.formats import Format, formats
from experiments.conversion.imported import Imported
from experiments.data import absolute
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.paths import command, expand, make_folder
from experiments.runtime.atomic_files import folder_at_once
from experiments.state.checkpoints import Checkpoints
from experiments.state.finite import check_parameters
from experiments.state.train_state import state_from
from experiments.state.trees import flatten
from experiments.workdir.data_spec import DataSpec
from experiments.workdir.folder import Workdir
from models import abstract_params

_CHANNELS = (3, 1, 4, 2)
"""Of images, the usual ones first."""


def import_file(
    name: str, path: str, config: str | None, overrides: list[str], workdir: Workdir
) -> str:
    """Make a workdir of a file; what was made and where, in three lines.

    A field is as the override says, else as the file does, else as the config.

    Args:
      name: of the format.
      path: the file or folder.
      config: a config file, or the name of a packaged one.
      overrides: `--config.SECTION.FIELD=VALUE`.
      workdir: new, or an empty folder.

    Raises:
      UserError: bad input; nothing was written.
      OSError: the workdir cannot be written.
    """
    form: Format = lookup(formats, name, "--from")
    base = _base(name, form, config)
    if workdir.path.exists() and (workdir.path.is_file() or any(workdir.path.iterdir())):
        raise UserError(f"--workdir: {workdir.path} is not empty, takes a new or empty folder")
    file = expand(path)
    if not file.exists():
        raise UserError(f"{path}: no such file")
    asked = load_experiment(base(), overrides, is_draft=form.config != "needed")
    imported = form.read(file, asked)
    experiment = load_experiment(filled(base(), imported.fields), overrides)
    check(experiment)
    if experiment.training.learn_sde:
        raise UserError(
            f"training.learn_sde: got {experiment.training.learn_sde}, takes () of what is "
            "imported; a run with --config.training.init_from may learn its SDE"
        )
    spec, note = _data_spec(path, experiment, imported)
    known = conditioned(experiment, spec.split(experiment))
    _check_params(path, known, spec, imported)
    check_attention(build_network(known.model), spec.shape)
    _write(workdir, experiment, spec, imported)
    return _summary(path, imported, spec, workdir) + note


def _base(name: str, form: Format, config: str | None) -> Callable[[], ConfigDict]:
    """Makes the config that the file's fields and the overrides change.

    Raises:
      UserError: none was given where one is needed, or one where the file has its own.
    """
    if config is None and form.config == "needed":
        raise UserError(f"--config: takes the config of what was published, for --from={name}")
    if config is not None and form.config == "none":
        raise UserError(f"--config: got {config!r}, takes none for --from={name}, which holds it")
    return default_config if config is None else lambda: load_config(config)


def _data_spec(path: str, experiment: Experiment, imported: Imported) -> tuple[DataSpec, str]:
    """Those of the data where they are here and such as the network takes, else of the file.

    Returns:
      The spec, and what to say where the data are not here.

    Raises:
      UserError: nothing tells the shape of an example.
    """
    source = experiment.data.source
    spec = imported.data or _of_image(path, experiment, imported)
    spec = dataclasses.replace(spec, place=absolute(source))
    try:
        here = DataSpec.of(split_of(experiment, "train"))
    except UserError as error:
        return spec, f"\nit can sample; likelihood and training take the data ({error})"
    if here.shape != spec.shape:
        return spec, (
            f"\nit can sample; likelihood and training take other data than {source}, whose "
            f"examples have shape {here.shape}, not {spec.shape}"
        )
    if experiment.model.conditional and _conditions(here) != _conditions(spec):
        has, takes = _words(here), _words(spec)
        differs = f"{has}, not {takes}" if has != takes else f"{has} in other units"
        return spec, (
            f"\nit can sample; likelihood and training take other data than {source}, which has "
            f"{differs}"
        )
    if spec.digest and spec.digest != here.digest:
        return spec, f"\nit can sample; likelihood and training take {spec}, not what is there now"
    return here, ""


def _conditions(spec: DataSpec) -> tuple[Any, ...]:
    """Of a split: how many classes, or in what units its vectors are."""
    return spec.num_classes, spec.cond_mean, spec.cond_std


def _words(spec: DataSpec) -> str:
    """What a split has for a model to be conditioned on."""
    if spec.cond_mean:
        return f"vectors of {len(spec.cond_mean)} numbers"
    return f"{spec.num_classes or 'no'} classes"


def _of_image(path: str, experiment: Experiment, imported: Imported) -> DataSpec:
    """8-bit images of data.image_size, with as many channels as the parameters are for.

    Their conditions are those of the network; vectors are as it is given them.

    Raises:
      UserError: no such number, or no size.
    """
    size = experiment.data.image_size
    if size is None:
        raise UserError(f"data.image_size: got None, takes that of {path}")
    got, classes = _shapes(imported.params), condition_size(experiment.model, "num_classes")
    width = condition_size(experiment.model, "cond_dim")
    mean, std = (0.0,) * width, (1.0,) * width
    shapes = [(size, size, channels) for channels in _CHANNELS]
    shape = next((s for s in shapes if _expected(experiment, s) == got), shapes[0])
    return DataSpec(shape=shape, levels=256, num_classes=classes, cond_mean=mean, cond_std=std)


def _shapes(params: Any) -> dict[str, tuple[int, ...]]:
    return {name: jnp.shape(leaf) for name, leaf in flatten(params).items()}


def _expected(experiment: Experiment, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the network's parameters by path.

    Raises:
      UserError: the network cannot take such examples.
    """
    network = build_network(experiment.model)
    with blaming_network(experiment, str(shape)):
        params = abstract_params(network, shape)
    return _shapes(params)


def _check_params(path: str, experiment: Experiment, spec: DataSpec, imported: Imported) -> None:
    """Stop parameters of another network than the config's.

    Raises:
      UserError: the first difference.
    """
    if not 0 <= imported.step < 2**31:
        raise UserError(f"{path}: is of step {imported.step}, takes a number of updates")
    takes = _expected(experiment, spec.shape)
    for tree in (imported.params, imported.averages):
        check_parameters(tree, path)
        got = takes if tree is None else _shapes(tree)
        for name in [*takes, *got]:
            if got.get(name) != takes.get(name):
                raise UserError(
                    f"{path}: {name} has shape {got.get(name)}, the config's network takes "
                    f"{takes.get(name)}"
                )


def _write(workdir: Workdir, experiment: Experiment, spec: DataSpec, imported: Imported) -> None:
    averages = imported.params if imported.averages is None else imported.averages
    params = jax.tree.map(jnp.float32, imported.params)
    state = state_from(experiment, params, averages, imported.step)
    path = workdir.path.resolve()
    make_folder(path.parent, "--workdir")
    with folder_at_once(path) as folder:
        made = Workdir(folder)
        made.record(experiment)
        made.record_data_spec(spec)
        with Checkpoints(made.checkpoints, writer=True) as checkpoints:
            checkpoints.save(imported.step, state)


def _summary(path: str, imported: Imported, spec: DataSpec, workdir: Workdir) -> str:
    num = sum(leaf.size for leaf in jax.tree.leaves(imported.params))
    average = "" if imported.averages is None else " and their moving average"
    shape = " × ".join(map(str, spec.shape))
    return (
        f"imported {num:,} parameters{average} of step {imported.step} from {path}, for examples "
        f"{shape}; the optimizer starts afresh\n{workdir.path}\n"
        f"next: {command('sample', f'--workdir={workdir.path}')}"
    )
