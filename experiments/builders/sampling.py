"""From an experiment to how it is sampled: by a solver on a grid, or by a method with own steps."""

import pathlib

from experiments.builders.grid import check_grid
from experiments.builders.method import (
    AdaptiveSDEMethod,
    FlowMethod,
    GridMethod,
    OwnStepsMethod,
    SamplingMethod,
)
from experiments.builders.solver import build_corrector
from experiments.config_schema.choice import check_fields, parse
from experiments.config_schema.lookup import lookup, one_of, validated
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError
from samplers import correctors, pairs, solvers
from sde_lib import SDE, sdes

OWN_STEPS: dict[str, type[OwnStepsMethod]] = {
    "probability_flow": FlowMethod,
    "adaptive_sde": AdaptiveSDEMethod,
}
"""By name the methods that are no solver on a grid."""


def method_of(
    experiment: Experiment, sde: SDE, grids: pathlib.Path | None = None
) -> SamplingMethod:
    """The method that an experiment names. Nothing is built or checked.

    Args:
      experiment: the experiment.
      sde: the SDE to sample under.
      grids: the folder of grids that are used by name.
    """
    name = parse(experiment.sampling.solver)[0]
    return OWN_STEPS.get(name, GridMethod)(experiment, sde, grids)


def check_sampling(experiment: Experiment, sde: SDE) -> None:
    """Check the names and ranges of a sampling section.

    Raises:
      UserError: the first that is wrong.
    """
    config, method = experiment.sampling, method_of(experiment, sde)
    check_grid(config.grid)
    name = parse(config.solver)[0]
    if ":" not in name:
        one_of(name, [*solvers, *OWN_STEPS], "sampling.solver", "solver")
    if config.corrector != "none":
        name = parse(config.corrector)[0]
        if ":" not in name:
            one_of(name, ["none", *correctors], "sampling.corrector", "corrector")
        build_corrector(config)
    method.check()
    one_of(config.tableau, ("adams", *pairs()), "sampling.tableau", "integrator")
    if config.solver == config.corrector == "none":
        raise UserError("sampling.solver: got 'none' with corrector 'none', takes one of the two")
    if config.log_prob and not method.has_density:
        takes = " or ".join(repr(name) for name, kind in OWN_STEPS.items() if kind.has_density)
        raise UserError(f"sampling.log_prob: got True, takes solver {takes}, not {config.solver!r}")


def named_sde(spec: str) -> SDE:
    """An SDE from NAME[:field=value,…].

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    name, given = parse(spec)
    cls = lookup(sdes, name, "--sde")
    check_fields(given, cls, "--sde")
    return validated(cls, given, "--sde")
