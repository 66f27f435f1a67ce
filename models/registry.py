"""The score networks by name, and the check of a field that takes one of a few words."""

import flax.linen as nn

from sde_lib.registry import Registry, unknown_name

networks = Registry("model", nn.Module)


def check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    """Stop a field whose value is not among `choices`.

    Raises:
      ValueError: one line with the field, what it got and what it takes.
    """
    if value not in choices:
        raise ValueError(unknown_name(field, str(value), list(choices)))
