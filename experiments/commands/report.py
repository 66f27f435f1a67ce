"""The command `report`."""

import argparse
from typing import Any

from experiments.commands.arguments import new_command
from experiments.errors import UserError
from experiments.paths import expand


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    help_line = "one HTML page of an ablation or a workdir: table, curves, samples"
    parser = new_command(commands, "report", _run, help_line, overrides=False)
    parser.add_argument("folder", metavar="DIR", help="an ablation's folder, or a workdir")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    # Drawing takes matplotlib, which `--help` does not wait for.
    from experiments.report.page import write_report

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes DIR")
    print(write_report(expand(options.folder)))
