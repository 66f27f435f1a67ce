"""The command `likelihood`."""

import argparse
from typing import TYPE_CHECKING, Any

from experiments.commands.arguments import add_model, new_command, positive
from experiments.commands.opening import open_trained
from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.config_schema.sections import LikelihoodConfig


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "likelihood", _run, "bits/dim of a split of the data")
    add_model(parser)
    add = parser.add_argument
    add("--split", metavar="NAME", help="split to measure: train or test")
    add("--data", metavar="SOURCE", help="measure other examples: npz:FILE or folder:DIR")
    add("--limit", type=positive, metavar="N", help="measure the first N examples only")
    add("--estimator", metavar="NAME", help="ode (the density) or elbo (a bound)")
    add("--dequantization", metavar="NAME", help="uniform or truncated_normal")
    add("--repeats", type=positive, metavar="N", help="dequantization draws per example")
    add("--divergence", metavar="NAME", help="exact or hutchinson")
    add("--probes", type=positive, metavar="N", help="number of Hutchinson probes")
    add("--solver", metavar="NAME", help="adams, bosh3, dopri5 or dop853")
    finer = parser.add_mutually_exclusive_group()
    finer.add_argument("--steps", type=positive, metavar="N", help="number of steps, for all alike")
    finer.add_argument("--rtol", type=float, help="tolerance of steps that fit each example")
    add("--classify", action="store_true", help="the likeliest class of each, by Bayes' rule")
    add("--check_solver", action="store_true", help="measure the solver's error on one batch")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.likelihood.classify import classify
    from experiments.likelihood.measure import measure

    by_field = {
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
    trained = open_trained(options, overrides, by_field, "likelihood", divergence=True)
    _check_used(options, trained.experiment.likelihood)
    dataset = trained.examples(options.data, options.split, conditions=not options.classify)
    if options.classify:
        print(classify(trained, dataset, seed=options.seed, limit=options.limit))
    else:
        print(measure(trained, dataset, seed=options.seed, limit=options.limit)[0])


def _check_used(options: argparse.Namespace, likelihood: "LikelihoodConfig") -> None:
    """Raises UserError for a flag that what is computed has no use for."""
    if likelihood.estimator == "elbo":
        for name in ("solver", "steps", "rtol", "check_solver"):
            if getattr(options, name):
                raise UserError(f"--{name}: takes --estimator=ode; 'elbo' solves no ODE")
    elif likelihood.divergence == "exact" and options.probes:
        raise UserError("--probes: takes --divergence=hutchinson; 'exact' draws none")
