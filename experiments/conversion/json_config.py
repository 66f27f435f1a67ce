"""A JSON object of another project as a frozen dataclass: its fields' names, types and defaults."""

import json
import pathlib
import types
import typing
from collections.abc import Container
from typing import Any, TypeVar

from experiments.errors import UserError

T = TypeVar("T")


def load(cls: type[T], path: pathlib.Path, ignored: Container[str] | None = None) -> T:
    """A dataclass from the JSON object of a file.

    Args:
      cls: the dataclass; its field `class_name` is the key "_class_name", other such keys are left
        out.
      path: the file.
      ignored: further keys that may stand there, None for any.

    Raises:
      UserError: not a JSON object, an unknown key with a value, or a value of another type.
    """
    known = typing.get_type_hints(cls)
    checked = {}
    for key, value in _object(path).items():
        name = "class_name" if key == "_class_name" else key
        if name in known:
            _check(f"{path}: {key}", value, known[name])
            checked[name] = tuple(value) if isinstance(value, list) else value
        elif ignored is not None and not (key.startswith("_") or key in ignored or value is None):
            raise UserError(f"{path}: {key}: got {value!r}, takes null: it is not known here")
    return cls(**checked)


def one_of(path: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Stop a value that is not among the choices.

    Raises:
      UserError: it is not.
    """
    if value not in choices:
        takes = " or ".join(json.dumps(choice) for choice in choices)
        raise UserError(f"{path}: got {json.dumps(value)}, takes {takes}")


def _object(path: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: got {type(value).__name__}, takes a JSON object")
    return value


def _check(path: str, value: Any, kind: Any) -> None:
    if not _fits(value, kind):
        raise UserError(f"{path}: got {json.dumps(value)}, takes {_words(kind)}")


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return any(_fits(value, k) for k in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, list) and all(_fits(v, typing.get_args(kind)[0]) for v in value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind


def _words(kind: Any) -> str:
    """A type as an error message says it."""
    if isinstance(kind, types.UnionType):
        return " or ".join(map(_words, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return f"a list, each {_words(typing.get_args(kind)[0])}"
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
    return names.get(kind, "null")
