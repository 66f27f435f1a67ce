"""Experiments behind the ConfigDict that files and flags speak.

`default_config()` is the ConfigDict of the defaults in `sections`; a config file changes some of
it, flags change more, and `resolve` turns the result into an `Experiment`, once. A field that is
None in a config follows from the choice of SDE (`defaults`). A wrong key, type or value stops in
`resolve` with one line.
"""

import dataclasses
import types
import typing
from typing import Any

from ml_collections import ConfigDict, config_dict

from experiments.config_schema.sde_defaults import fill
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError, as_user_error
from sde_lib import declared
from sde_lib.registry import unknown_name


def default_config() -> ConfigDict:
    """The defaults as a ConfigDict, for a config file to change."""
    return to_config(Experiment())


def to_config(section: Any) -> ConfigDict:
    """A section as a locked ConfigDict, with None as a placeholder of the field's type."""
    config = ConfigDict()
    for name, kind in _types(type(section)).items():
        value = getattr(section, name)
        if dataclasses.is_dataclass(value):
            config[name] = to_config(value)
        elif value is None:
            config[name] = config_dict.placeholder(_plain(kind))
        else:
            config[name] = ConfigDict(value) if isinstance(value, dict) else value
    return config.lock()


def resolve(config: ConfigDict) -> Experiment:
    """The checked experiment, with everything that follows from the SDE filled in.

    Raises:
      UserError: an unknown field, a wrong type, or a value out of range.
    """
    checked = _section(Experiment, config.to_dict(), "")
    return _section(Experiment, fill(dataclasses.asdict(checked)), "")


def _section(cls: type, values: dict, prefix: str) -> Any:
    known = _types(cls)
    for name in values:
        if name not in known:
            raise UserError(
                unknown_name("config field", prefix + name, [prefix + k for k in known])
            )
    takes, checked = declared(cls), {}
    for name, value in values.items():
        path = prefix + name
        if dataclasses.is_dataclass(known[name]):
            if not isinstance(value, dict):
                raise UserError(f"{path}: got {value!r}, takes a section of fields")
            checked[name] = _section(typing.cast(type, known[name]), value, path + ".")
        else:
            checked[name] = _value(value, _plain(known[name]))
            with as_user_error():
                takes[name].check(path, checked[name])
    return cls(**checked)


def _value(value: Any, kind: type) -> Any:
    """The value as its field's type; an integer may stand for a float, a list for a tuple."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return tuple(value) if kind is tuple and isinstance(value, list) else value


def _types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _optional(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) and type(None) in typing.get_args(kind)


def _plain(kind: Any) -> type:
    """The type of a field, without its None and what a tuple is of."""
    if _optional(kind):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    return typing.get_origin(kind) or kind
