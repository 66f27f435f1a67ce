"""The command `fit_grid`."""

import argparse
from typing import Any

from experiments.commands.arguments import add_model, new_command, positive
from experiments.commands.opening import open_trained


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "fit_grid", _run, "fit the times of a solver's steps to a model")
    add_model(parser)
    parser.add_argument("--solver", help="a deterministic one of `scoresde solvers`; default adams")
    parser.add_argument("--steps", type=positive, required=True, help="steps of the grid")
    parser.add_argument("--name", required=True, help="for --grid=fitted:NAME afterwards")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.sampling.grid_fitting import fit

    by_field = {
        "sampling.solver": options.solver or "adams",
        "sampling.num_steps": options.steps,
        "sampling.batch_size": options.batch,
    }
    trained = open_trained(options, overrides, by_field, "sampling")
    print(fit(trained, options.name, options.seed))
