"""The command `export`: its arguments, and running it."""

import argparse
import pathlib
from typing import Any

from experiments.errors import UserError


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line.

    Args:
      commands: what `add_subparsers` returned.
    """
    help_line = "write a workdir's parameters as one file"
    parser = commands.add_parser(
        "export", help=help_line, description=help_line, allow_abbrev=False
    )
    parser.add_argument("--workdir", required=True, help="the experiment's folder")
    parser.add_argument("--output", required=True, help="FILE.safetensors, a new one")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--raw", action="store_true", help="the parameters, not their average")
    which.add_argument("--ema", dest="raw", action="store_false", help="their average, the default")
    which.add_argument("--average", metavar="NAME", help="another average, as power:0.1")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments import devices
    from experiments.data_facts import DataFacts
    from experiments.interchange import safetensors_file
    from experiments.trained import Trained

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes --workdir, --output, --average")
    output = pathlib.Path(options.output)
    if output.suffix != ".safetensors":
        raise UserError(f"--output: got {output}, takes a name that ends in .safetensors")
    if output.exists():
        raise UserError(f"--output: {output} exists, takes a new name")
    devices.start()
    mesh = devices.make_mesh(1)
    trained = Trained.open(options.workdir, [], mesh, raw=options.raw, average=options.average)
    output.parent.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(
        output,
        trained.model.params,
        trained.experiment,
        trained.workdir.facts or DataFacts.of(trained.train),
        step=trained.step,
        parameters=trained.parameters,
    )
    print(
        f"exported the parameters ({trained.parameters}) of step {trained.step} with their config"
        f"\n{output}\nback: scoresde import --from=safetensors {output} --workdir=DIR"
    )
