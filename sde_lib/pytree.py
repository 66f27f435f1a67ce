"""Frozen dataclasses that are pytrees: what SDEs, solvers, correctors and models are made of."""

import dataclasses
import typing
from typing import Any

import jax


def static(default: Any = dataclasses.MISSING) -> Any:
    """A field that is part of the program (a name, a count), not a leaf."""
    return dataclasses.field(default=default, metadata={"static": True})


@typing.dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field, static)
)
class Pytree:
    """Every subclass becomes a frozen keyword-only dataclass, registered as a pytree.

    Its fields are leaves: numbers that may be swept, batched or learned without compiling again.
    Those declared `static` are part of the program.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        jax.tree_util.register_dataclass(cls)
