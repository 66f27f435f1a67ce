"""The networks by name, what they return, and the check of a field that has choices."""

import dataclasses

import flax.linen as nn

from sde_lib.registry import Registry, unknown_name

networks = Registry("model", nn.Module)


def outputs(network: type[nn.Module] | nn.Module) -> str:
    """What a network returns: "states", of x's shape, or "logits" [B, num_classes].

    That of logits has them as the attribute `outputs` of its class.
    """
    return "logits" if getattr(network, "outputs", None) == "logits" else "states"


def check_choices(network: nn.Module) -> None:
    """Stop a field that declares its choices, as `ranged(…, choices=…)`, and has another value.

    Raises:
      ValueError: one line with the field, what it got and what it takes.
    """
    for field in dataclasses.fields(network):
        bounds = field.metadata.get("range")
        if bounds is not None and bounds.choices is not None:
            check_choice(field.name, getattr(network, field.name), bounds.choices)


def check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    """Stop a field whose value is not among `choices`.

    Raises:
      ValueError: one line with the field, what it got and what it takes.
    """
    if value not in choices:
        raise ValueError(unknown_name(field, str(value), list(choices)))
