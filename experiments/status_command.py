"""The command `status`: its arguments, and printing the answer."""

import argparse
from typing import Any

from experiments.errors import UserError


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line.

    Args:
      commands: what `add_subparsers` returned.
    """
    help_line = "how far a run is, and what it has made"
    parser = commands.add_parser(
        "status", help=help_line, description=help_line, allow_abbrev=False
    )
    parser.add_argument("--workdir", required=True, help="the experiment's folder")
    parser.add_argument("--json", action="store_true", help="the same facts as one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    # Reading metrics takes NumPy, which `--help` does not wait for.
    from experiments.status import read_status
    from experiments.status_report import as_json, as_text

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes --workdir and --json")
    print((as_json if options.json else as_text)(read_status(options.workdir)))
