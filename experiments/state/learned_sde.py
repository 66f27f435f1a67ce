"""The numbers of an SDE that are learned: their place beside the network's parameters, and back.

Where `training.learn_sde` names fields of the SDE, a run's parameters, and their averages, are

    {"model": the network's, "sde": {field: float32, a number or [K]}}                    (1)

and otherwise the network's alone.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.config_schema.lookup import construct, lookup
from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.runtime.devices import fetch
from sde_lib import SDE, Range, declared, sdes

MODEL, LEARNED = "model", "sde"


def beside(experiment: Experiment, params: Any) -> Any:
    """The first parameters of a run, eq. 1: the network's `params`, and the SDE's of the config."""
    names = experiment.training.learn_sde
    if not names:
        return params
    sde = construct(lookup(sdes, experiment.sde.name, "sde.name"), experiment.sde, "sde")
    # NumPy: among several processes an array on the devices of one would be no part of a program.
    numbers = {name: np.asarray(getattr(sde, name), np.float32) for name in names}
    return {MODEL: params, LEARNED: numbers}


def apart(sde: SDE, params: Any) -> tuple[SDE, Any]:
    """The SDE with the numbers of eq. 1, and the network's parameters."""
    return dataclasses.replace(sde, **params[LEARNED]), params[MODEL]


def settled(experiment: Experiment, params: Any) -> tuple[Experiment, Any]:
    """The experiment whose SDE has the numbers that were learned, and the network's parameters.

    Args:
      experiment: a run's.
      params: its parameters, or an average.

    Returns:
      An experiment that learns no SDE, and its parameters.
    """
    if not experiment.training.learn_sde:
        return experiment, params
    numbers = {name: _plain(fetch(value)) for name, value in params[LEARNED].items()}
    has = declared(type(experiment.sde))
    fields: dict[str, Any] = {name: value for name, value in numbers.items() if name in has}
    own = {name: value for name, value in numbers.items() if name not in has}
    section = dataclasses.replace(experiment.sde, **fields, args=experiment.sde.args | own)
    training = dataclasses.replace(experiment.training, learn_sde=())
    return dataclasses.replace(experiment, sde=section, training=training), params[MODEL]


def _plain(value: Any) -> float | tuple[float, ...]:
    """The same number, or numbers, as a config has them."""
    array = np.asarray(value)
    return tuple(map(float, array)) if array.ndim else float(array)


def learned_numbers(config: TrainingConfig, params: Any) -> dict[str, Array]:
    """The numbers that are learned, as "sde.FIELD"; none where none are."""
    return {f"sde.{name}": params[LEARNED][name] for name in config.learn_sde}


def constraint(config: TrainingConfig, sde: SDE, network: nn.Module) -> Callable[[Any, Any], Any]:
    """The function (new parameters, those before) → the new ones as they may be.

    Args:
      config: of the training.
      sde: the config's.
      network: whose method `constrain`, if it has one, applies to its parameters.
    """
    of_network = getattr(network, "constrain", lambda params: params)
    if not config.learn_sde:
        return lambda params, before: of_network(params)

    def constrain(params: Any, before: Any) -> Any:
        learned = valid_or_before(sde, params[LEARNED], before[LEARNED])
        return {MODEL: of_network(params[MODEL]), LEARNED: learned}

    return constrain


def valid_or_before(
    sde: SDE, numbers: dict[str, Array], before: dict[str, Array]
) -> dict[str, Array]:
    """The SDE's numbers after an update, or those of before it where the new ones make no SDE.

    A number that leaves its field's range stays as it was; all of them do where log-SNR is not
    finite any more, or would rise, or where FIELD_max is not above FIELD_min, which such SDEs take.

    Args:
      sde: the config's.
      numbers, before: by field.
    """
    takes = declared(type(sde))
    inside = {
        name: jnp.where(_holds(takes[name].range, value), value, before[name])
        for name, value in numbers.items()
    }
    moved = dataclasses.replace(sde, **inside)
    log_snr = moved.log_snr(jnp.linspace(1e-3, 1.0, 64))
    # An interval of its curve that is learned to be short may be flat in float32, not all of it.
    falls = (jnp.diff(log_snr) <= 0).all() & (log_snr[0] > log_snr[-1])
    valid = falls & jnp.isfinite(log_snr).all() & _in_order(moved)
    return {name: jnp.where(valid, value, before[name]) for name, value in inside.items()}


def _in_order(sde: SDE) -> Array:
    """Whether every number FIELD_max is above FIELD_min, where an SDE has such pairs."""
    names = {field.name for field in dataclasses.fields(sde)}
    pairs = [(n, f"{n[:-4]}_max") for n in names if n.endswith("_min") and f"{n[:-4]}_max" in names]
    in_order = [getattr(sde, low) < getattr(sde, high) for low, high in pairs]
    return jnp.asarray(in_order, bool).all()


def _holds(takes: Range, value: Array) -> Array:
    """Whether a traced number, or all of several, are in a range."""
    low, above = (-math.inf if bound is None else bound for bound in (takes.low, takes.above))
    high, below = (math.inf if bound is None else bound for bound in (takes.high, takes.below))
    return ((value >= low) & (value > above) & (value <= high) & (value < below)).all()
