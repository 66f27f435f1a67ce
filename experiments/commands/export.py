"""The command `export`."""

import argparse
import pathlib
from typing import Any

from experiments.commands.arguments import add_parameters, add_workdir, new_command
from experiments.errors import UserError
from experiments.paths import command, expand, make_folder


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    help_line = "write a workdir's parameters as one file"
    parser = new_command(commands, "export", _run, help_line, overrides=False)
    add_workdir(parser)
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="new file, *.safetensors, or new folder"
    )
    parser.add_argument(
        "--to",
        default="safetensors",
        choices=("safetensors", "diffusers"),
        help="diffusers: the folder of a UNet2DModel; default: safetensors, with the config",
    )
    add_parameters(parser)


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.conversion.diffusers import export
    from experiments.runtime import devices
    from experiments.workdir.trained_model import TrainedModel

    if overrides:
        raise UserError(
            f"unknown argument {overrides[0]!r}; takes --workdir, --output, --to, --raw, --ema, "
            "--average"
        )
    output = expand(options.output)
    if options.to == "safetensors" and output.suffix != ".safetensors":
        raise UserError(f"--output: got {output}, takes a name that ends in .safetensors")
    if output.exists():
        raise UserError(f"--output: {output} exists, takes a new name")
    devices.start()
    mesh = devices.make_mesh(1)
    trained = TrainedModel.open(options.workdir, [], mesh, raw=options.raw, average=options.average)
    make_folder(output.parent, "--output")
    back = [f"--from={options.to}", str(output), "--workdir=DIR"]
    if options.to == "diffusers":
        export.write(output, trained.model.params, trained.experiment, trained.train.shape)
        back += export.flags(trained.experiment)
    else:
        _write_safetensors(output, trained)
    print(
        f"exported the parameters ({trained.parameters}) of step {trained.step} with their config"
        f"\n{output}\n"
        f"back: {command('import', *back)}"
    )


def _write_safetensors(output: pathlib.Path, trained: Any) -> None:
    import dataclasses

    from experiments.config_schema.resolve import resolve
    from experiments.conversion import safetensors_file
    from experiments.workdir.data_spec import DataSpec

    given = resolve(trained.workdir.load())
    training = dataclasses.replace(given.training, learn_sde=())
    spec = trained.workdir.data_spec or DataSpec.of(trained.train)
    safetensors_file.write(
        output,
        trained.model.params,
        # As it was given, and without the place of the data, which is of this machine; an SDE that
        # was learned is one of those numbers.
        dataclasses.replace(given, sde=trained.experiment.sde, training=training),
        dataclasses.replace(spec, place=""),
        step=trained.step,
        parameters=trained.parameters,
    )
