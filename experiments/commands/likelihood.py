"""The command `likelihood`."""

import argparse
from typing import Any

from experiments.commands.arguments import add_model, new_command, positive
from experiments.commands.opening import open_trained


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "likelihood", _run, "bits/dim of a split of the data")
    add_model(parser)
    parser.add_argument("--split", help="train or test")
    parser.add_argument(
        "--data", help="other examples to score, npz:FILE or folder:DIR; all without --split"
    )
    parser.add_argument("--limit", type=positive, help="only the first LIMIT examples")
    parser.add_argument("--estimator", help="ode or elbo")
    parser.add_argument("--dequantization", help="uniform or truncated_normal")
    parser.add_argument("--repeats", type=positive, help="draws of it an example")
    parser.add_argument("--divergence", help="exact or hutchinson")
    parser.add_argument("--probes", type=positive, help="of hutchinson")
    parser.add_argument("--solver", help="adams, bosh3, dopri5 or dop853")
    finer = parser.add_mutually_exclusive_group()
    finer.add_argument("--steps", type=positive, help="this many for every example")
    finer.add_argument("--rtol", type=float, help="steps of each example's own by this tolerance")
    parser.add_argument(
        "--check_solver", action="store_true", help="measure the solver's error on a batch"
    )


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.likelihood.measure import measure

    chosen = {
        "likelihood.split": options.split,
        "likelihood.estimator": options.estimator,
        "likelihood.dequantization": options.dequantization,
        "likelihood.repeats": options.repeats,
        "likelihood.divergence": options.divergence,
        "likelihood.probes": options.probes,
        "likelihood.solver": options.solver,
        # A tolerance asked for takes the place of a number of steps in the config.
        "likelihood.num_steps": 0 if options.rtol else options.steps,
        "likelihood.rtol": options.rtol,
        "likelihood.atol": options.rtol,
        "likelihood.check_solver": options.check_solver or None,
        "likelihood.batch_size": options.batch,
    }
    trained = open_trained(options, overrides, chosen, "likelihood", divergence=True)
    dataset = trained.examples(options.data, options.split)
    print(measure(trained, dataset, seed=options.seed, limit=options.limit)[0])
