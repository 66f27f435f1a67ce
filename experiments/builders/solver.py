"""From the `sampling` section to a solver on a grid and a corrector.

Each may be given fields of its own: `unipc:order=2`. What follows from the experiment (the data's
scale) is filled in unless it is given.
"""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.config_schema.choice import check_fields, fields_of, parse
from experiments.config_schema.lookup import construct, lookup, validated
from experiments.config_schema.own_code import check_returns
from experiments.config_schema.sections import SamplingConfig
from experiments.errors import as_user_error, blaming
from samplers import Corrector, Solver, correctors, sample, solvers
from sde_lib import VP, Prediction


def build_solver(config: SamplingConfig, data_std: float) -> Solver:
    """The solver on a grid of a config.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    name, given = parse(config.solver)
    cls = lookup(solvers, name, "sampling.solver")
    check_fields(given, cls, "sampling.solver")
    known = {
        "discretization": config.discretization,
        "variance": config.variance,
        "s": data_std,
    }
    fields = {key: value for key, value in known.items() if key in fields_of(cls)} | given
    return validated(cls, fields, "sampling.solver")


def build_corrector(config: SamplingConfig) -> Corrector | None:
    """The corrector of a config, or None for "none".

    Raises:
      UserError: an unknown name or field.
    """
    if config.corrector == "none":
        return None
    name, given = parse(config.corrector)
    cls = lookup(correctors, name, "sampling.corrector")
    check_fields(given, cls, "sampling.corrector")
    renamed = {"num_steps": config.corrector_steps, "norm": config.corrector_norm}
    return construct(cls, config, "sampling", **renamed | given)


def try_solver(name: str, built: Solver) -> None:
    """Plan two steps, which is where a solver looks at its fields.

    Raises:
      UserError: it takes none of them.
    """
    with blaming(f"sampling.solver: {name}"), as_user_error("sampling.solver: "):
        jax.eval_shape(lambda grid: built.plan(VP(), built.steps(VP(), grid)), jnp.ones(3))


def try_method(whose: str, solver: Solver, corrector: Corrector | None) -> None:
    """Draw two samples of three dimensions in three steps.

    Raises:
      UserError: the solver or the corrector raises, or moves a state to another shape.
    """

    def model(x: Any, t: Any, cond: Any = None) -> Prediction:
        del t, cond
        return Prediction(data=x, noise=x)

    def draw(key: Any, grid: Any) -> Any:
        predict = jax.tree_util.Partial(model)
        return sample(key, VP(), predict, (2, 3), solver=solver, corrector=corrector, grid=grid).x

    check_returns(whose, draw, (jax.random.key(0), jnp.linspace(0.9, 0.1, 4)), jnp.zeros((2, 3)))
