"""A whole experiment checked before any work: every name, field and range in it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from experiments.builders.grid import sampling_t_min
from experiments.builders.likelihood import check_likelihood
from experiments.builders.model import (
    build_network,
    build_parameterization,
    build_sde,
    training_t_min,
)
from experiments.builders.sampling import check_sampling
from experiments.config_schema.lookup import lookup, one_of
from experiments.config_schema.own_code import check_returns
from experiments.config_schema.sections import Experiment
from experiments.data import CROPS
from experiments.errors import UserError, blaming
from experiments.runtime import seeds
from experiments.state import averages
from experiments.state.optimizers import make_optimizer
from experiments.state.schedules import schedules
from models import Parameterization, conditionings, parameterizations, rounding
from sde_lib import SDE, Registry, time_samplers, weightings

_T = jax.ShapeDtypeStruct((2,), jnp.float32)


def check(experiment: Experiment) -> None:
    """Check an experiment by building all that needs no data, so that a bad name costs no work.

    Raises:
      UserError: the first name, field or value that is wrong.
    """
    seeds.check(experiment.seed)
    process = build_sde(experiment.sde)
    build_network(experiment.model)
    check_functions(experiment, process, training_t_min(experiment, process))
    check_parameterization(experiment, process)
    make_optimizer(experiment.training)
    averages.parse(averages.names(experiment.training))
    one_of(experiment.data.crop, CROPS, "data.crop")
    check_sampling(experiment, process)
    check_likelihood(experiment.likelihood)


def check_functions(experiment: Experiment, process: SDE, t_min: float) -> None:
    """Try the functions of time that a config names.

    Raises:
      UserError: an unknown one, one that raises, or one that returns something else.
    """
    training, std = experiment.training, experiment.data.std
    tried: dict[str, tuple[Registry, str, Callable, Any]] = {
        "model.conditioning": (
            conditionings,
            experiment.model.conditioning,
            lambda f, t: f(process, t),
            _T,
        ),
        "training.weighting": (
            weightings,
            training.weighting,
            lambda f, t: tuple(f(process, t, std)),
            (_T, _T),
        ),
        "training.times": (
            time_samplers,
            training.times,
            lambda f, t: tuple(f(process, t, t_min)),
            (_T, _T),
        ),
        "training.schedule": (schedules, training.schedule, lambda f, t: f(t), _T),
    }
    for path, (registry, name, call, takes) in tried.items():
        function = lookup(registry, name, path)
        check_returns(f"{path}: {name}", lambda t, f=function, c=call: c(f, t), (_T,), takes)


def check_parameterization(experiment: Experiment, process: SDE) -> None:
    """Stop a meaning of the output, or of the time, that fails where training or sampling goes.

    Raises:
      UserError: it is not known; data or noise made of the output are rounding alone, as x/0 is; or
        what the network is given for the time is infinite.
    """
    name, conditioning = experiment.model.parameterization, experiment.model.conditioning
    std = experiment.data.std
    parameterization = build_parameterization(name, std)
    ends = training_t_min(experiment, process), sampling_t_min(experiment.sampling, process), 1.0
    t, where = jnp.array(ends), f"at a time from {min(ends):.3g} to 1"

    def lost(parameterization: Parameterization) -> Array:
        return rounding(parameterization, process, t, std)

    with blaming(f"model.parameterization: {name}"):
        share, c = jax.jit(
            lambda: (lost(parameterization), conditionings[conditioning](process, t))
        )()
    if not (share < 1).all():
        others = {other: build_parameterization(other, std) for other in parameterizations}
        takes = ", ".join(other for other in others if (lost(others[other]) < 1).all())
        raise UserError(
            f"model.parameterization: got {name!r}, whose data or noise sde.name "
            f"{experiment.sde.name!r} makes infinite {where}; takes {takes}"
        )
    if not jnp.isfinite(c).all():
        raise UserError(
            f"model.conditioning: got {conditioning!r}, which sde.name {experiment.sde.name!r} "
            f"makes infinite {where}; takes log_noise or time"
        )
