"""Experiments behind the ConfigDict that files and flags speak.

`default_config()` is the ConfigDict of the defaults in `sections`; a config file changes some of
it, flags change more, and `resolve` turns the result into an `Experiment`, once. A field that is
None in a config follows from the choice of SDE (`sde_defaults`), or is the default of the class
that its section names (`named_sections`). A wrong key, type or value stops in `resolve` with one
line.
"""

import dataclasses
import types
import typing
from typing import Any

from ml_collections import ConfigDict, config_dict

from experiments.config_schema.named_sections import (
    SECTIONS,
    registered_fields,
    section_type,
    section_values,
)
from experiments.config_schema.sde_defaults import fill
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError, as_user_error
from sde_lib import declared
from sde_lib.registry import unknown_name


def default_config() -> ConfigDict:
    """The defaults as a ConfigDict, for a config file to change.

    The sections `sde` and `model` have the fields of all registered classes, without values.
    """
    return _as_config(Experiment).lock()


def to_config(experiment: Experiment) -> ConfigDict:
    """An experiment as a locked ConfigDict, with None as a placeholder of the field's type."""
    return _as_config(Experiment, experiment).lock()


def filled(config: ConfigDict, fields: dict[str, Any]) -> ConfigDict:
    """The config with fields by path ("model.nf"), which `resolve` checks."""
    with config.unlocked(), config.ignore_type():
        for path, value in fields.items():
            *sections, name = path.split(".")
            node = config
            for section in sections:
                node = node[section]
            node[name] = ConfigDict(value) if isinstance(value, dict) else value
    return config


def resolve(config: ConfigDict) -> Experiment:
    """The checked experiment, with everything that follows from the SDE filled in.

    Raises:
      UserError: an unknown field, a wrong type, or a value out of range.
    """
    draft = _checked(Experiment, config.to_dict(), "")
    return _built(Experiment, _checked(Experiment, fill(draft), ""))


def _as_config(cls: type, section: Any = None) -> ConfigDict:
    """A section, or the defaults of its class."""
    config = ConfigDict()
    for field in dataclasses.fields(cls):
        name, kind = field.name, declared(cls)[field.name].kind
        value = _default(field) if section is None else getattr(section, name)
        if dataclasses.is_dataclass(kind):
            made = typing.cast(type, kind) if value is None else type(value)
            config[name] = _as_config(made, value)
            _add_registered(config[name], name)
        elif value is None:
            config[name] = config_dict.placeholder(_plain(kind))
        else:
            config[name] = ConfigDict(value) if isinstance(value, dict) else value
    return config


def _add_registered(config: ConfigDict, section: str) -> None:
    """Places for the fields of all classes that `sde` or `model` may name."""
    if section in SECTIONS:
        for name, (takes, default) in registered_fields(section).items():
            if name not in config:
                kind = type(default) if takes.kind is Any else takes.kind
                config[name] = config_dict.placeholder(_plain(kind))


def _checked(cls: type, values: dict, prefix: str) -> dict[str, Any]:
    """The values of a section with its defaults; None where `fill` is to say it.

    Raises:
      UserError: the first field that is unknown, of another type or out of range.
    """
    known, checked = declared(cls), {}
    for name in values:
        if name not in known:
            raise UserError(
                unknown_name("config field", prefix + name, [prefix + k for k in known])
            )
    for field in dataclasses.fields(cls):
        name, path, kind = field.name, prefix + field.name, known[field.name].kind
        value = values.get(name, {} if dataclasses.is_dataclass(kind) else _default(field))
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, dict):
                raise UserError(f"{path}: got {value!r}, takes a section of fields")
            checked[name] = _checked(*_section(kind, name, value), path + ".")
        else:
            checked[name] = _value(value, _plain(kind))
            if value is not None or not _is_decided(field):
                with as_user_error():
                    known[name].check(path, checked[name])
    return checked


def _built(cls: type, values: dict[str, Any]) -> Any:
    """A section of checked values."""
    kinds = {name: takes.kind for name, takes in declared(cls).items()}
    return cls(
        **{
            name: _built(*_section(kinds[name], name, value))
            if dataclasses.is_dataclass(kinds[name])
            else value
            for name, value in values.items()
        }
    )


def _section(kind: Any, name: str, values: dict[str, Any]) -> tuple[type, dict[str, Any]]:
    """The dataclass of a section, and the values of its fields."""
    if name not in SECTIONS:
        return kind, values
    return section_type(name, values), section_values(name, values)


def _default(field: dataclasses.Field) -> Any:
    """None for a field that follows from the SDE."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if _is_decided(field) else field.default


def _is_decided(field: dataclasses.Field) -> bool:
    """Whether the SDE decides what it is where the config does not."""
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _value(value: Any, kind: type) -> Any:
    """The value as its field's type; an integer may stand for a float, a list for a tuple."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return tuple(value) if kind is tuple and isinstance(value, list) else value


def _plain(kind: Any) -> type:
    """The type of a field, without its None and what a tuple is of."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    return typing.get_origin(kind) or kind
