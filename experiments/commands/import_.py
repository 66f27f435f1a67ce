"""The command `import`."""

import argparse
from typing import Any

from experiments.commands.arguments import add_config, new_command


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "import", _run, "make a workdir of published parameters")
    parser.add_argument("file", metavar="FILE", help="file to read, or folder of diffusers")
    parser.add_argument(
        "--from",
        dest="format",
        required=True,
        metavar="FORMAT",
        help="score_sde_pytorch, diffusers or safetensors (`export`)",
    )
    parser.add_argument("--workdir", required=True, metavar="DIR", help="new or empty folder")
    add_config(parser)


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.conversion.convert import import_file
    from experiments.runtime import devices
    from experiments.workdir.folder import Workdir

    devices.start()
    workdir = Workdir(options.workdir)
    print(import_file(options.format, options.file, options.config, overrides, workdir))
