"""A whole experiment checked before any work: every name, field and range in it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
from sde_lib import SDE, Registry, declared, time_samplers, weightings
from sde_lib.registry import unknown_name

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
    check_learned(experiment, process)
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


def check_learned(experiment: Experiment, process: SDE) -> None:
    """Stop an SDE that cannot be learned, or by what does not teach it.

    Raises:
      UserError: a field that is none, or no number; another loss than the bound at uniform times; a
        curve without ends; or a network that is given a step for the time.
    """
    training, names = experiment.training, experiment.training.learn_sde
    if not names:
        return
    _check_fields(process, names)
    takes: dict[str, Any] = {
        "objective": "denoising",
        "weighting": "likelihood",
        "times": "uniform",
    }
    for field, value in (takes | {"adaptive_weighting": False}).items():
        if (got := getattr(training, field)) != value:
            raise UserError(
                f"training.{field}: got {got!r}, takes {value!r} with training.learn_sde, which "
                "learns by the bound and by its variance at uniform times"
            )
    t_min = training_t_min(experiment, process)
    if not jnp.isfinite(process.log_snr(jnp.array([t_min, 1.0]))).all():
        raise UserError(
            f"training.learn_sde: got {names}, takes () with sde.name {experiment.sde.name!r}, "
            f"whose log-SNR is infinite at t = {t_min:g} or 1"
        )
    conditioning = conditionings.entry(experiment.model.conditioning)
    if not jax.grad(lambda t: conditioning(process, t))((1 + t_min) / 2):
        raise UserError(
            f"model.conditioning: got {experiment.model.conditioning!r}, which has no derivative "
            "by t; takes log_noise with training.learn_sde"
        )


def _check_fields(process: SDE, names: tuple[str, ...]) -> None:
    """Stop names of fields that cannot be learned.

    Raises:
      UserError: the first that is none, is given twice, or is part of the program or no number.
    """
    kinds = {name: takes.kind for name, takes in declared(type(process)).items()}
    fields = {field.name: field for field in dataclasses.fields(process)}
    takes = [
        name
        for name, field in fields.items()
        if not field.metadata.get("static")
        and kinds.get(name) is not int
        and np.asarray(getattr(process, name)).dtype.kind in "fi"
    ]
    if not takes:
        raise UserError(
            f"training.learn_sde: got {names}, takes (): {type(process).__name__} has no numbers"
        )
    for name in names:
        if name not in fields:
            what = f"field of {type(process).__name__}"
            raise UserError(f"training.learn_sde: {unknown_name(what, name, takes)}")
        if name not in takes:
            raise UserError(
                f"training.learn_sde: got {name!r}, which is no number that a gradient moves; "
                f"takes {', '.join(takes)}"
            )
        if names.count(name) > 1:
            raise UserError(f"training.learn_sde: got {name!r} twice, takes each once")


@partial(jax.jit, static_argnames=("conditioning", "std"))
def _rounding_and_conditioning(
    parameterization: Parameterization,
    conditioning: Callable[[SDE, Array], Array],
    process: SDE,
    t: Array,
    std: float,
) -> tuple[Array, Array]:
    """At times t [T]: the share that is rounding, and what the network is given for the time.

    One program for both, so that a check compiles one for each SDE.
    """
    return rounding(parameterization, process, t, std), conditioning(process, t)


def check_parameterization(experiment: Experiment, process: SDE) -> None:
    """Stop a meaning of the output, or of the time, that fails where training or sampling goes.

    Raises:
      UserError: it is not known; data or noise made of the output are rounding alone, as x/0 is; or
        what the network is given for the time is infinite.
    """
    name, conditioning = experiment.model.parameterization, experiment.model.conditioning
    std = experiment.data.std
    ends = training_t_min(experiment, process), sampling_t_min(experiment.sampling, process), 1.0
    t, where = jnp.array(ends), f"at a time from {min(ends):.3g} to 1"

    def measured(name: str) -> tuple[Array, Array]:
        parameterization, given = build_parameterization(name, std), conditionings[conditioning]
        with blaming(f"model.parameterization: {name}"):
            return _rounding_and_conditioning(parameterization, given, process, t, std)

    share, c = measured(name)
    if not (share < 1).all():
        takes = ", ".join(other for other in parameterizations if (measured(other)[0] < 1).all())
        raise UserError(
            f"model.parameterization: got {name!r}, whose data or noise sde.name "
            f"{experiment.sde.name!r} makes infinite {where}; takes {takes}"
        )
    if not jnp.isfinite(c).all():
        raise UserError(
            f"model.conditioning: got {conditioning!r}, which sde.name {experiment.sde.name!r} "
            f"makes infinite {where}; takes log_noise or time"
        )
