"""The command `solvers`."""

import argparse
from typing import Any

from experiments.commands.arguments import new_command
from experiments.errors import UserError


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    new_command(commands, "solvers", _run, "what there is to sample with", overrides=False)


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.sampling.solver_table import table

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes none")
    print(table())
