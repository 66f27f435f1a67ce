"""The command `runs`."""

import argparse
from typing import Any

from experiments.commands.arguments import new_command
from experiments.errors import UserError
from experiments.paths import expand


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    help_line = "the runs below a folder: SDE, step, loss, bits/dim, FD, age"
    parser = new_command(commands, "runs", _run, help_line, overrides=False)
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="default: here")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    # Reading metrics takes NumPy, which `--help` does not wait for.
    from experiments.status.runs import runs

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes DIR")
    print(runs(expand(options.folder)))
