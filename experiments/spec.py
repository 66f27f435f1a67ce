"""Choices with fields of their own: NAME, NAME:field=value,…, module:Class:field=value."""

import ast
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from experiments.errors import UserError
from sde_lib.registry import unknown_name


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the fields of a choice; values are Python literals or words."""
    name, separator, fields = text.rpartition(":")
    if not separator or "=" not in fields:
        return text, {}
    pairs = (field.partition("=") for field in fields.split(","))
    return name, {key.strip(): literal(value.strip()) for key, _, value in pairs}


def fields_of(make: Callable) -> list[str]:
    """What may be given: the fields of a dataclass, or a function's keyword-only arguments."""
    if dataclasses.is_dataclass(make):
        return [field.name for field in dataclasses.fields(make) if field.init]
    return [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def check_fields(given: dict[str, Any], make: Callable, path: str) -> None:
    """Stop a field that there is not.

    Raises:
      UserError: the first such field.
    """
    known = fields_of(make)
    for name in given:
        if name not in known:
            raise UserError(f"{path}: {unknown_name('field', name, known)}")


def literal(text: str) -> Any:
    """A Python literal, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
