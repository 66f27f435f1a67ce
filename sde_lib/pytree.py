"""Frozen dataclasses that are pytrees: what SDEs, solvers, correctors and models are made of."""

import dataclasses
import functools
import typing
from collections.abc import Iterable
from typing import Any

import jax

from sde_lib.ranges import Declared, Range, declared


def static(*, default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A field that is part of the program (a name, a count), not a leaf; bounds as of `Range`.

    The default is given by keyword, which is where type checkers look for it.
    """
    return dataclasses.field(default=default, metadata={"static": True, "range": Range(**bounds)})


def number(*, default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A leaf that is a number; bounds as of `Range`."""
    return dataclasses.field(default=default, metadata={"range": Range(**bounds)})


@typing.dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field, static, number)
)
class Pytree:
    """A frozen keyword-only dataclass that is a pytree, as every subclass becomes.

    Its fields are leaves: numbers that may be swept, batched or learned without compiling again.
    Those declared `static` are part of the program.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        _register(cls)

    def __post_init__(self) -> None:
        """Check the static fields: they are never traced, as the leaves may be (`check_ranges`).

        Raises:
          ValueError: one is out of its range.
        """
        cls: Any = type(self)  # mypy takes the hash of a class for that of its objects
        for name, takes in _static_ranges(cls).items():
            takes.check(name, getattr(self, name))


@functools.cache
def _static_ranges(cls: type) -> dict[str, Declared]:
    """Of the static fields for which a range is declared."""
    statics = {field.name for field in dataclasses.fields(cls) if field.metadata.get("static")}
    known = {name: takes for name, takes in declared(cls).items() if name in statics}
    return {name: takes for name, takes in known.items() if takes.range != Range()}


def _register(cls: type) -> None:
    """Register a dataclass as a pytree whose structure holds its class.

    `jax.tree_util.register_dataclass` leaves the class out of the comparison of structures, so VP
    and sub-VP, which have the same fields, compare equal: `jit` then runs the program of the one
    for the other whenever their hashes share seven bits.
    """
    fields = dataclasses.fields(cls)
    leaves = [f.name for f in fields if not f.metadata.get("static")]
    statics = [f.name for f in fields if f.metadata.get("static")]
    keys = [jax.tree_util.GetAttrKey(name) for name in leaves]

    def flatten(tree: Any) -> tuple[list, tuple]:
        return (
            [getattr(tree, name) for name in leaves],
            (cls, *(getattr(tree, name) for name in statics)),
        )

    def flatten_with_keys(tree: Any) -> tuple[list, tuple]:
        children, structure = flatten(tree)
        return list(zip(keys, children, strict=True)), structure

    def unflatten(structure: tuple, children: Iterable) -> Any:
        # Not by the constructor, which has checked the static fields once.
        tree: Any = object.__new__(cls)
        values = (*children, *structure[1:])
        for name, value in zip((*leaves, *statics), values, strict=True):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
