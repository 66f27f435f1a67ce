"""From the names in a config to the entries of registries, and from its fields to objects."""

import dataclasses
from typing import Any

from experiments.errors import UserError, as_user_error, blaming
from sde_lib import Registry, declared
from sde_lib.registry import unknown_name


def lookup(registry: Registry, name: str, path: str) -> Any:
    """The entry of a registry, or an error that names the field.

    Raises:
      UserError: no such entry.
    """
    with as_user_error(f"{path}: "):
        return registry[name]


def one_of(value: str, choices: Any, path: str, kind: str = "value") -> None:
    """Stop a value that is not among the choices.

    Raises:
      UserError: it is not.
    """
    if value not in choices:
        raise UserError(f"{path}: {unknown_name(kind, value, list(choices))}")


def construct(cls: Any, config: Any, section: str, **renamed: Any) -> Any:
    """Make an object of a class from a section of the config.

    Args:
      cls: the class; it gets the fields that it declares, but for those that are None.
      config: the section; all fields of its `args` must be the class's.
      section: its name, for messages.
      **renamed: fields that replace the section's.

    Raises:
      UserError: an unknown field in `args`, a value of another type or out of range, or whatever
        a user's own class raises.
    """
    known = {name: t for name, t in declared(cls).items() if name not in ("parent", "name")}
    given = {**dataclasses.asdict(config), **renamed}
    args = given.pop("args", {})
    # What the section says of a field of its own holds for every class that has it.
    theirs = declared(type(config))
    for name, value in args.items():
        path = f"{section}.args.{name}"
        if name not in known:
            raise UserError(unknown_name(f"field of {cls.__name__}", path, sorted(known)))
        with as_user_error():
            known[name].check(path, value)
            theirs.get(name, known[name]).check(path, value)
    taken = {k: v for k, v in given.items() if k in known and v is not None}
    for name, value in taken.items():
        with as_user_error():
            known[name].check(f"{section}.{name}", value)
    # JSON has lists for tuples, and a network must be hashable.
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in args.items()}
    with blaming(f"{section}: {cls.__name__}"), as_user_error(f"{section}."):
        return cls(**taken | args)


def validated(cls: Any, fields: dict[str, Any], path: str) -> Any:
    """An object of a class with `validate`, valid.

    Raises:
      UserError: it is not, or its class raises something else; names the field `path`.
    """
    with blaming(f"{path}: {cls.__name__}"), as_user_error(f"{path}: "):
        built = cls(**fields)
        built.validate()
    return built
