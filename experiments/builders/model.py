"""From a checked experiment to the objects that compute.

A class is called by the fields that it declares; a section may hold fields of others (β for VP next
to σ for VE), so that one config serves an ablation over SDEs.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.config_schema.lookup import construct, lookup
from experiments.config_schema.sde_defaults import TRAINING_NOISE_TO_SIGNAL
from experiments.config_schema.sections import Experiment, ModelConfig, SDEConfig
from experiments.errors import UserError, as_user_error, blaming
from models import Parameterization, ScoreModel, networks, parameterizations
from sde_lib import SDE, declared, sdes


def build_sde(config: SDEConfig) -> SDE:
    """The SDE of a config, validated.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    cls = lookup(sdes, config.name, "sde.name")
    built = construct(cls, config, "sde")
    with blaming(f"sde.name: {config.name}"), as_user_error("sde."):
        built.validate()
    return built


def build_network(
    config: ModelConfig, *, training: bool = False, divergence: bool = False
) -> nn.Module:
    """The network of a config, computed as suits the platform.

    Fused attention is for GPUs, and has no derivative forwards; nor has the gradient that makes
    Winograd's convolutions, on CPUs, fast in training.

    Args:
      config: the section.
      training: whether gradients by the parameters are needed.
      divergence: whether derivatives forwards are.

    Raises:
      UserError: an unknown name, field or choice.
    """
    cls = lookup(networks, config.name, "model.name")
    platform = jax.default_backend()
    attention, convolution = config.attention, config.convolution
    if attention == "cudnn" and (divergence or platform != "gpu"):
        attention = "xla"
    if convolution is None and platform == "cpu":
        convolution = "winograd_vjp" if training else "winograd"
    config = dataclasses.replace(config, attention=attention, convolution=convolution)
    return construct(cls, config, "model")


def build_model(experiment: Experiment, process: SDE, net: nn.Module, params: Any) -> ScoreModel:
    """The network with its parameters, its SDE and its meaning."""
    return ScoreModel(
        network=net,
        params=params,
        sde=process,
        parameterization=build_parameterization(
            str(experiment.model.parameterization), experiment.data.std
        ),
        conditioning=str(experiment.model.conditioning),
    )


def build_parameterization(name: str, data_std: float) -> Parameterization:
    """The parameterization of a name, with the data's standard deviation where it has that field.

    Raises:
      UserError: an unknown name.
    """
    cls = lookup(parameterizations, name, "model.parameterization")
    with blaming(f"model.parameterization: {name}"):
        return cls(**({"data_std": data_std} if "data_std" in declared(cls) else {}))


def check_unconditional(config: ModelConfig) -> None:
    """Stop a network that takes a class or an embedding; they are for programs of one's own.

    Raises:
      UserError: it takes one.
    """
    for name in ("num_classes", "cond_dim"):
        value = config.args.get(name, getattr(config, name))
        if value:
            raise UserError(f"model.{name}: got {value}, takes 0: no command gives conditions")


def check_attention(net: nn.Module, shape: tuple[int, ...]) -> None:
    """Stop attention at heights that the images, halved between levels, never have.

    Args:
      net: the network.
      shape: of one example, which the network takes.

    Raises:
      UserError: there is such a height.
    """
    if not (hasattr(net, "attn_resolutions") and hasattr(net, "ch_mult")):
        return
    heights = [shape[0] >> level for level in range(len(net.ch_mult))]
    for height in net.attn_resolutions:
        if height not in heights:
            takes = ", ".join(map(str, heights))
            raise UserError(
                f"model.attn_resolutions: got {height}, takes heights that {shape[0]}-pixel images "
                f"have at the levels of model.ch_mult: {takes}"
            )


def t_min_of(given: float | None, noise_to_signal: float, process: SDE) -> float:
    """A time as given, else where σ/α is so much."""
    if given is not None:
        return given
    return float(
        jax.jit(lambda n: process.time_of_noise_to_signal(n))(jnp.asarray(noise_to_signal))
    )


def training_t_min(experiment: Experiment, process: SDE) -> float:
    """Where training's times start: as given, else where σ/α is small enough."""
    return t_min_of(experiment.training.t_min, TRAINING_NOISE_TO_SIGNAL, process)
