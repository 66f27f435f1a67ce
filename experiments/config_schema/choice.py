"""Choices with fields of their own: NAME, NAME:field=value,…, module:Class:field=value.

Commas stand between choices, and between the fields of one:

    adams,heun                      two choices
    unipc:order=2,variant=bh1,ddim  two choices: what is field=value belongs to the one before it
    (16,16),(32,32)                 two values: commas inside brackets separate nothing
    'a,b',c                         two values: nor do those inside quotes
"""

import ast
import re
from collections.abc import Callable
from typing import Any

from experiments.errors import UserError, as_user_error
from sde_lib import declared
from sde_lib.registry import unknown_name

_CLOSES = {"(": ")", "[": "]", "{": "}"}
_FIELD = re.compile(r"\w+\s*=")


def split_choices(text: str, flag: str) -> tuple[str, ...]:
    """The choices, or values, between the commas that are inside neither brackets nor quotes.

    Args:
      text: what is split.
      flag: what it is from, for the message.

    Raises:
      UserError: a bracket or a quote that does not end, or nothing between two commas.
    """
    items: list[str] = []
    item, ends = "", [""]
    for character in text:
        if character == ends[-1]:
            ends.pop()
        elif ends[-1] in ("'", '"'):
            pass
        elif character in ("'", '"'):
            ends.append(character)
        elif character in _CLOSES:
            ends.append(_CLOSES[character])
        elif character == "," and len(ends) == 1:
            items.append(item.strip())
            item = ""
            continue
        item += character
    items.append(item.strip())
    if len(ends) > 1:
        raise UserError(f"{flag}: got {text!r}, takes a {ends[-1]} at the end of what it begins")
    if not all(items):
        raise UserError(f"{flag}: got {text!r}, takes values with commas between")
    return _with_fields(items)


def _with_fields(items: list[str]) -> tuple[str, ...]:
    """The items, each with the fields that come after it."""
    joined: list[str] = []
    for item in items:
        if joined and ":" in joined[-1] and _FIELD.match(item):
            joined[-1] += f",{item}"
        else:
            joined.append(item)
    return tuple(joined)


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Split a choice into its name and its fields, whose values are Python literals or words.

    Raises:
      UserError: a field twice.
    """
    name, separator, fields = text.rpartition(":")
    if not separator or "=" not in fields:
        return text, {}
    found: dict[str, Any] = {}
    for field in fields.split(","):
        key, _, value = field.partition("=")
        if key.strip() in found:
            raise UserError(f"{text}: got {key.strip()} twice, takes each field once")
        found[key.strip()] = literal(value.strip())
    return name, found


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
