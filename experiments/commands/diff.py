"""The command `diff`."""

import argparse
from typing import TYPE_CHECKING, Any

from experiments.commands.arguments import new_command
from experiments.errors import UserError
from experiments.paths import expand

if TYPE_CHECKING:
    from experiments.config_schema.sections import Experiment


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    help_line = "the config fields in which two runs, or a run and a config, differ"
    parser = new_command(commands, "diff", _run, help_line, overrides=False)
    for name in ("A", "B"):
        parser.add_argument(name, help="a workdir, a config file, or a packaged config's name")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.display.columns import aligned
    from experiments.workdir.folder import differences

    if overrides:
        raise UserError(f"unknown argument {overrides[0]!r}; takes A and B")
    found = differences(_experiment(options.A), _experiment(options.B))
    rows = [(name, *map(_text, values)) for name, values in found.items()]
    print(aligned([("field", options.A, options.B), *rows]) if rows else "no difference")


def _experiment(name: str) -> "Experiment":
    """What a workdir was trained with, or what a config says.

    Raises:
      UserError: it is neither.
    """
    from experiments.config_schema.flags import load_experiment
    from experiments.config_schema.resolve import resolve
    from experiments.workdir.folder import Workdir

    if expand(name).is_dir():
        return resolve(Workdir(name).load())
    try:
        return load_experiment(name, [])
    except UserError as error:
        raise UserError(f"diff: {name} is no workdir, and {error}") from error


def _text(value: Any) -> str:
    return "–" if value is None else str(value)
