"""The command `status`."""

import argparse
from typing import Any

from experiments.commands.arguments import add_workdir, new_command
from experiments.errors import UserError


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    help_line = "how far a run is, and what it has made"
    parser = new_command(commands, "status", _run, help_line, overrides=False)
    add_workdir(parser)
    parser.add_argument("--json", action="store_true", help="print the same facts as JSON")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    # Reading metrics takes NumPy, which `--help` does not wait for.
    from experiments.status.facts import read_status
    from experiments.status.text import as_json, as_text

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes --workdir and --json")
    print((as_json if options.json else as_text)(read_status(options.workdir)))
