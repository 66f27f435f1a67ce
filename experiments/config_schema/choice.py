"""Choices with fields of their own: NAME, NAME:field=value,…, module:Class:field=value."""

import ast
from collections.abc import Callable
from typing import Any

from experiments.errors import UserError, as_user_error
from sde_lib import declared
from sde_lib.registry import unknown_name


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Split a choice into its name and its fields, whose values are Python literals or words."""
    name, separator, fields = text.rpartition(":")
    if not separator or "=" not in fields:
        return text, {}
    pairs = (field.partition("=") for field in fields.split(","))
    return name, {key.strip(): literal(value.strip()) for key, _, value in pairs}


def with_fields(text: str, **fields: Any) -> str:
    """A choice with further fields, which take the place of those that it has: of `parse`."""
    name, given = parse(text)
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in (given | fields).items())


def fields_of(make: Callable) -> list[str]:
    """Names of the fields of a dataclass, or of a function's keyword-only arguments."""
    return list(declared(make))


def check_fields(given: dict[str, Any], make: Callable, path: str) -> None:
    """Check that fields exist and that their values have the right type and range.

    Raises:
      UserError: the first such field.
    """
    known = declared(make)
    for name, value in given.items():
        if name not in known:
            raise UserError(f"{path}: {unknown_name('field', name, list(known))}")
        with as_user_error(f"{path}: "):
            known[name].check(name, value)


def literal(text: str) -> Any:
    """A Python literal, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
