"""From a checked experiment to the objects that compute.

A class is called by the fields that it declares; a section may hold fields of others (β for VP next
to σ for VE), so that one config serves an ablation over SDEs.
"""

import dataclasses
import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from experiments import averages, seeds
from experiments.data import CROPS
from experiments.defaults import TRAINING_NOISE_TO_SIGNAL
from experiments.dequantization import Levels, dequantizations, noise_to_signal_min
from experiments.errors import UserError, as_user_error, blaming
from experiments.named import construct, lookup, one_of, t_min_of
from experiments.optimizers import make_optimizer
from experiments.own_code import check_functions
from experiments.sections import Experiment, LikelihoodConfig, ModelConfig, SDEConfig
from experiments.solver_choice import check_sampling, sampling_t_min
from models import ScoreModel, conditionings, networks, parameterizations, rounding
from samplers import (
    REPLICATES,
    Adams,
    FixedAdams,
    FixedRungeKutta,
    Integrator,
    RungeKutta,
    probe_kinds,
    tableaux,
)
from sde_lib import SDE, sdes

# Beyond it rounding in float32 decides which steps are accepted.
_LEAST_RTOL = 1e-6


def sde(config: SDEConfig) -> SDE:
    """The SDE of a config, validated.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    cls = lookup(sdes, config.name, "sde.name")
    built = construct(cls, config, "sde")
    with blaming(f"sde.name: {config.name}"), as_user_error("sde."):
        built.validate()
    return built


def network(config: ModelConfig, *, training: bool = False, divergence: bool = False) -> nn.Module:
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


def model(experiment: Experiment, process: SDE, net: nn.Module, params: Any) -> ScoreModel:
    """The network with its parameters, its SDE and its meaning."""
    return ScoreModel(
        network=net,
        params=params,
        sde=process,
        parameterization=str(experiment.model.parameterization),
        conditioning=str(experiment.model.conditioning),
        data_std=experiment.data.std,
    )


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


def integrator(config: LikelihoodConfig, *, finer: bool = False) -> Integrator:
    """The integrator of a likelihood config.

    Args:
      config: the section.
      finer: with twice the steps, or a tenth of the tolerances.
    """
    if config.num_steps:
        steps = config.num_steps * (1 + finer)
        if config.solver == "adams":
            return FixedAdams(num_steps=steps, grading=config.grading)
        return FixedRungeKutta(tableau=config.solver, num_steps=steps)
    rtol, atol = config.rtol, config.atol
    if finer:
        rtol, atol = max(rtol / 10, _LEAST_RTOL / 10), max(atol / 10, _LEAST_RTOL / 10)
    if config.solver == "adams":
        return Adams(rtol=rtol, atol=atol)
    return RungeKutta(tableau=config.solver, rtol=rtol, atol=atol)


def likelihood_t_min(config: LikelihoodConfig, process: SDE, levels: Levels | None) -> float:
    """Where the flow of a likelihood starts: at the σ/α given, else what the dequantization takes.

    An SDE that never has so little noise starts at t = 0, and says so where the value was given.

    Raises:
      UserError: σ/α is never so large.
    """
    asked = config.noise_to_signal_min
    if asked is None:
        asked = noise_to_signal_min(config.dequantization, levels)
    most = float(process.noise_to_signal(1.0))
    if asked >= most:
        raise UserError(
            f"likelihood.noise_to_signal_min: got {asked:g}, takes less than {most:g}, σ/α at t = 1"
        )
    t_min = t_min_of(None, asked, process)
    got = float(process.noise_to_signal(t_min))
    if config.noise_to_signal_min is not None and got > 1.01 * asked:
        print(
            f"likelihood.noise_to_signal_min: got {asked:g}, below σ/α = {got:g} at t = 0, which "
            "is used",
            file=sys.stderr,
        )
    return t_min


def training_t_min(experiment: Experiment, process: SDE) -> float:
    """Where training's times start: as given, else where σ/α is small enough."""
    return t_min_of(experiment.training.t_min, TRAINING_NOISE_TO_SIGNAL, process)


def check(experiment: Experiment) -> None:
    """Build what can be built without data, so that a bad name stops before any work.

    Raises:
      UserError: the first name, field or value that is wrong.
    """
    seeds.check(experiment.seed)
    process = sde(experiment.sde)
    network(experiment.model)
    check_functions(experiment, process, training_t_min(experiment, process))
    check_parameterization(experiment, process)
    make_optimizer(experiment.training)
    averages.parse(averages.names(experiment.training))
    one_of(experiment.data.crop, CROPS, "data.crop")
    check_sampling(experiment.sampling, experiment.data.std)
    check_likelihood(experiment.likelihood)


def check_parameterization(experiment: Experiment, process: SDE) -> None:
    """Stop a meaning of the output, or of the time, that fails where training or sampling goes.

    Raises:
      UserError: it is not known; data or noise made of the output are rounding alone, as x/0 is; or
        what the network is told of the time is infinite.
    """
    name, told = str(experiment.model.parameterization), str(experiment.model.conditioning)
    lookup(parameterizations, name, "model.parameterization")
    ends = training_t_min(experiment, process), sampling_t_min(experiment.sampling, process), 1.0
    t, where = jnp.array(ends), f"at a time from {min(ends):.3g} to 1"

    def lost(name: str) -> Array:
        return rounding(name, process, t, experiment.data.std)

    with blaming(f"model.parameterization: {name}"):
        share, c = jax.jit(lambda: (lost(name), conditionings[told](process, t)))()
    if not (share < 1).all():
        takes = ", ".join(other for other in parameterizations if (lost(other) < 1).all())
        raise UserError(
            f"model.parameterization: got {name!r}, whose data or noise sde.name "
            f"{experiment.sde.name!r} makes infinite {where}; takes {takes}"
        )
    if not jnp.isfinite(c).all():
        raise UserError(
            f"model.conditioning: got {told!r}, which sde.name {experiment.sde.name!r} makes "
            f"infinite {where}; takes log_noise or time"
        )


def check_likelihood(config: LikelihoodConfig) -> None:
    """The names and ranges of a likelihood config.

    Raises:
      UserError: the first that is wrong.
    """
    one_of(config.solver, ("adams", *tableaux), "likelihood.solver", "solver")
    lookup(probe_kinds, config.probe_kind, "likelihood.probe_kind")
    lookup(dequantizations, config.dequantization, "likelihood.dequantization")
    if not config.num_steps and config.rtol < _LEAST_RTOL:
        raise UserError(
            f"likelihood.rtol: got {config.rtol:g}, takes {_LEAST_RTOL:g} or more: float32 has no "
            "more digits"
        )
    if config.num_times % REPLICATES:
        raise UserError(
            f"likelihood.num_times: got {config.num_times}, takes a multiple of {REPLICATES}"
        )
    if config.estimator == "elbo" and config.dequantization != "uniform":
        raise UserError(
            f"likelihood.dequantization: got {config.dequantization!r}, takes 'uniform' with "
            "estimator 'elbo', whose data are not states at t_min"
        )
