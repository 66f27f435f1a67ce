"""The command `import`."""

import argparse
from typing import Any

from experiments.commands.arguments import new_command


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "import", _run, "make a workdir of published parameters")
    parser.add_argument("file", metavar="FILE", help="what to read; a folder for diffusers")
    parser.add_argument(
        "--from",
        dest="format",
        required=True,
        metavar="FORMAT",
        help="score_sde_pytorch, diffusers, or safetensors of `export`",
    )
    parser.add_argument("--workdir", required=True, help="a new or empty folder")
    parser.add_argument("--config", help="a config file, or the name of a packaged one")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.conversion.convert import import_file
    from experiments.runtime import devices
    from experiments.workdir.folder import Workdir

    devices.start()
    workdir = Workdir(options.workdir)
    print(import_file(options.format, options.file, options.config, overrides, workdir))
