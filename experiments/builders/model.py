"""From a checked experiment to the objects that compute.

The sections `sde` and `model` hold the fields of the class that they name
(`config_schema.named_sections`).
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.config_schema.lookup import construct, lookup
from experiments.config_schema.sde_defaults import TRAINING_NOISE_TO_SIGNAL
from experiments.config_schema.sections import Experiment, ModelConfig, SDEConfig
from experiments.data import Split
from experiments.errors import UserError, as_user_error, blaming, first_line
from models import Classifier, Parameterization, ScoreModel, networks, outputs, parameterizations
from sde_lib import SDE, Condition, declared, sdes


def build_sde(config: SDEConfig) -> SDE:
    """Build the SDE of the section `sde`, with its numbers checked.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    cls = lookup(sdes, config.name, "sde.name")
    built = construct(cls, config, "sde")
    with blaming(f"sde.name: {config.name}"), as_user_error("sde."):
        built.validate()
    return built


@contextlib.contextmanager
def blaming_network(experiment: Experiment, examples: str) -> Iterator[None]:
    """What a network's layers raise when a shape or a label does not suit them, as a UserError.

    Args:
      experiment: has the network's name.
      examples: their shape, and where they are from.
    """
    try:
        yield
    # A layer, also one of a user's own, may raise anything.
    except Exception as error:
        raise UserError(
            f"model.name: got {experiment.model.name!r}, which cannot take examples of shape "
            f"{examples} ({first_line(error) or type(error).__name__})"
        ) from error


def build_network(
    config: ModelConfig,
    *,
    training: bool = False,
    divergence: bool = False,
    guidance: bool = False,
) -> nn.Module:
    """Build the network of the section `model`, computed as suits the platform.

    Fused attention is for GPUs and has no forward-mode derivative. Neither have the convolutions
    "winograd_vjp" and "loop_vjp", whose gradients are fast on CPUs.

    Args:
      config: the section.
      training: whether gradients by the parameters are needed.
      divergence: whether forward-mode derivatives are needed.
      guidance: whether gradients by the states are needed, inside a loop; without `divergence`.

    Raises:
      UserError: an unknown name, field or choice.
    """
    cls = lookup(networks, config.name, "model.name")
    platform, suited = jax.default_backend(), {}
    if getattr(config, "attention", "xla") == "cudnn" and (divergence or platform != "gpu"):
        suited["attention"] = "xla"
    if getattr(config, "convolution", "xla") is None and platform == "cpu":
        for_gradients = "loop_vjp" if guidance and not divergence else "winograd"
        suited["convolution"] = "winograd_vjp" if training else for_gradients
    return construct(cls, config, "model", **suited)


def build_model(experiment: Experiment, process: SDE, net: nn.Module, params: Any) -> ScoreModel:
    """Build the model that samplers and losses call: network, parameters, SDE and meaning."""
    return ScoreModel(
        network=net,
        params=params,
        sde=process,
        parameterization=build_parameterization(
            experiment.model.parameterization, experiment.data.std
        ),
        conditioning=experiment.model.conditioning,
    )


def build_classifier(
    experiment: Experiment, process: SDE, net: nn.Module, params: Any
) -> Classifier:
    """Build the classifier that losses and guidance call: network, parameters and SDE."""
    return Classifier(
        network=net,
        params=params,
        sde=process,
        conditioning=experiment.model.conditioning,
        data_std=experiment.data.std,
    )


def build_parameterization(name: str, data_std: float) -> Parameterization:
    """The parameterization of a name, with the data's standard deviation where it has that field.

    Raises:
      UserError: an unknown name.
    """
    cls = lookup(parameterizations, name, "model.parameterization")
    with blaming(f"model.parameterization: {name}"):
        return cls(**({"data_std": data_std} if "data_std" in declared(cls) else {}))


def conditioned(experiment: Experiment, data: Split) -> Experiment:
    """The experiment with the classes, or the width of the vectors, that its data have.

    Args:
      experiment: the experiment.
      data: one of its splits.

    Raises:
      UserError: a condition of an unconditional model; or one that the data do not have, or the
        network does not take.
    """
    model = experiment.model
    given = {name: condition_size(model, name) for name in ("num_classes", "cond_dim")}
    if not model.conditional:
        for name, value in given.items():
            if value:
                raise UserError(f"model.{name}: got {value}, takes 0 unless model.conditional")
        if experiment.data.cond is not None:
            cond = experiment.data.cond
            raise UserError(f"data.cond: got {cond!r}, takes None unless model.conditional")
        return experiment
    name, has = ("cond_dim", data.cond_dim) if data.cond_dim else ("num_classes", data.num_classes)
    what = "vectors of" if data.cond_dim else "labels below"
    if not has:
        raise UserError(
            f"model.conditional: got True, takes False: {data.source} has neither labels nor "
            "data.cond"
        )
    fits = given[name] >= has if name == "num_classes" else given[name] == has
    if given[name] and not fits:
        raise UserError(f"model.{name}: got {given[name]}, {data.source} has {what} {has}")
    fields: dict[str, Any] = {name: given[name] or has}
    if name in declared(type(model)):
        return dataclasses.replace(experiment, model=dataclasses.replace(model, **fields))
    kind = "vectors" if data.cond_dim else "labels"
    raise UserError(
        f"model.conditional: got True with {kind} from {data.source}, takes False: "
        f"{model.name} has no field {name}"
    )


def condition_size(config: ModelConfig, name: str) -> int:
    """A network's "num_classes" or "cond_dim" in its section; 0 where it has no such field."""
    return config.args.get(name, getattr(config, name, None)) or 0


def example_condition(config: ModelConfig, num: int) -> Condition | None:
    """A condition of `num` examples as the network of the section takes it; None if it does not."""
    if condition_size(config, "num_classes"):
        return Condition(label=jnp.zeros(num, jnp.int32))
    if width := condition_size(config, "cond_dim"):
        return Condition(vector=jnp.zeros((num, width)))
    return None


def check_outputs(config: ModelConfig, takes: str, field: str) -> None:
    """Stop a network that returns something else than what it is used for.

    Args:
      config: the section `model`.
      takes: what it is to return, "states" or "logits".
      field: what asks for that, for the message.

    Raises:
      UserError: it does not.
    """
    got = outputs(lookup(networks, config.name, "model.name"))
    if got != takes:
        fitting = [name for name in networks if outputs(networks[name]) == takes]
        raise UserError(
            f"model.name: got {config.name!r}, which returns {got}; {field} takes one of {takes}: "
            f"{', '.join(fitting)}, or one of your own"
        )


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
    """The time that was given, else the time at which σ/α has this value."""
    return float(process.time_of_noise_to_signal(noise_to_signal)) if given is None else given


def training_t_min(experiment: Experiment, process: SDE) -> float:
    """The first time of training: as given, else where σ/α is TRAINING_NOISE_TO_SIGNAL."""
    return t_min_of(experiment.training.t_min, TRAINING_NOISE_TO_SIGNAL, process)
