"""From the names in a config to the entries of registries, and from its fields to objects."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from experiments.errors import UserError
from sde_lib import SDE, Registry
from sde_lib.registry import unknown_name


def lookup(registry: Registry, name: str, path: str) -> Any:
    """The entry of a registry, or an error that names the field.

    Raises:
      UserError: no such entry.
    """
    try:
        return registry[name]
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def one_of(value: str, choices: Any, path: str, kind: str = "value") -> None:
    """Stop a value that is not among the choices.

    Raises:
      UserError: it is not.
    """
    if value not in choices:
        raise UserError(f"{path}: {unknown_name(kind, value, list(choices))}")


def t_min_of(given: float | None, noise_to_signal: float, process: SDE) -> float:
    """A time as given, else where σ/α is so much."""
    if given is not None:
        return given
    return float(
        jax.jit(lambda n: process.time_of_noise_to_signal(n))(jnp.asarray(noise_to_signal))
    )


def construct(cls: Any, config: Any, section: str, **renamed: Any) -> Any:
    """cls from the fields of the section that it declares, and all of `args`."""
    declared = {
        f.name for f in dataclasses.fields(cls) if f.init and f.name not in ("parent", "name")
    }
    given = {**dataclasses.asdict(config), **renamed}
    args = given.pop("args", {})
    for name in args:
        if name not in declared:
            known = sorted(declared)
            raise UserError(
                unknown_name(f"field of {cls.__name__}", f"{section}.args.{name}", known)
            )
    chosen = {k: v for k, v in given.items() if k in declared and v is not None}
    # JSON has lists for tuples, and a network must be hashable.
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in args.items()}
    try:
        return cls(**chosen | args)
    except (TypeError, ValueError) as error:
        raise UserError(f"{section}.{error}") from error
