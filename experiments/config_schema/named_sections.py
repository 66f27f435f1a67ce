"""The sections `sde` and `model`: a name, and the fields of the class that it calls.

Fields, types, ranges and defaults are declared on the class alone. A config may hold fields of
other registered classes as well (σ of VE next to β of VP), so that one file serves an ablation;
they are left out. A user's own class, as "module:Class", has those of its fields that registered
classes have too, and the rest in `args`.
"""

import dataclasses
import functools
from typing import Any

from experiments.config_schema.lookup import lookup
from experiments.config_schema.sections import ModelConfig, SDEConfig
from experiments.errors import UserError, as_user_error
from models import networks
from sde_lib import Registry, declared, sdes
from sde_lib.ranges import Declared
from sde_lib.registry import unknown_name

SECTIONS: dict[str, tuple[Any, Registry]] = {
    "sde": (SDEConfig, sdes),
    "model": (ModelConfig, networks),
}

# None in the config follows from model.conditioning, from data.centered, from the platform.
_FOLLOWS = ("embedding", "center_input", "convolution")


def _fields_of(cls: Any) -> dict[str, tuple[Declared, Any]]:
    """What a class declares and its defaults, but for what Flax adds to every module."""
    takes = declared(cls)
    return {
        field.name: (takes[field.name], field.default)
        for field in dataclasses.fields(cls)
        if field.name in takes and field.name not in ("parent", "name")
    }


def registered_fields(section: str) -> dict[str, tuple[Declared, Any]]:
    """Every field that some registered class has, and one of its defaults.

    Args:
      section: "sde" or "model".
    """
    found: dict[str, tuple[Declared, Any]] = {}
    registry = SECTIONS[section][1]
    for cls in map(registry.__getitem__, registry):
        for name, field in _fields_of(cls).items():
            found.setdefault(name, field)
    return found


def section_type(section: str, values: dict[str, Any]) -> type:
    """The section's dataclass, with the fields of the class that it names.

    Args:
      section: "sde" or "model".
      values: of its fields.

    Raises:
      UserError: there is no such class.
    """
    return _typed(section, _called(section, values), ":" in _name(section, values))


def field_paths(section: str, values: dict[str, Any]) -> list[str]:
    """Paths of the fields that a config may give: "model.nf", of a user's own class "model.args.k".

    Raises:
      UserError: there is no such class.
    """
    has = [name for name in declared(section_type(section, values)) if name != "args"]
    own = [name for name in _fields_of(_called(section, values)) if name not in has]
    return [f"{section}.{name}" for name in has] + [f"{section}.args.{name}" for name in own]


def section_values(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values of the fields that `section_type` has.

    None stands for a default. `args` of a registered class, where configs of before had the fields
    that no other class shares, become fields.

    Raises:
      UserError: there is no such class, or it has no such field.
    """
    cls, has = _called(section, values), declared(section_type(section, values))
    base, registered = declared(SECTIONS[section][0]), registered_fields(section)
    args = values.get("args") or {}
    if ":" not in _name(section, values) and isinstance(args, dict):
        values = {**values, **_unpacked(section, cls, args), "args": {}}
    for name in values:
        if name not in has and name not in registered:
            known = field_paths(section, values)
            raise UserError(unknown_name(f"field of {cls.__name__}", f"{section}.{name}", known))
    return {
        name: value
        for name, value in values.items()
        if name in base or (name in has and value is not None)
    }


def _unpacked(section: str, cls: type, args: dict[str, Any]) -> dict[str, Any]:
    """The fields that `args` gives.

    Raises:
      UserError: one that the class has not, or of another type or out of range.
    """
    has = {name: takes for name, (takes, _) in _fields_of(cls).items()}
    given = {}
    for name, value in args.items():
        path = f"{section}.args.{name}"
        if name not in has:
            raise UserError(unknown_name(f"field of {cls.__name__}", path, sorted(has)))
        # ADM's head_dim of one head of all, which was None once.
        given[name] = 0 if value is None and has[name].kind is int else value
        with as_user_error():
            has[name].check(path, given[name])
    return given


@functools.cache
def _typed(section: str, cls: type, is_own: bool) -> type:
    base = SECTIONS[section][0]
    shared, fields = registered_fields(section), []
    for name, (takes, default) in _fields_of(cls).items():
        if is_own and name not in shared:
            continue
        if is_own or name in _FOLLOWS:
            kind, bounds = shared[name][0]
            takes, default = Declared(kind | None, bounds), None
        metadata = {"range": takes.range}
        fields.append((name, takes.kind, dataclasses.field(default=default, metadata=metadata)))
    # Worker processes get experiments pickled, which finds no class that was made like this.
    reduce = {"__reduce__": lambda self: (_rebuilt, (section, dataclasses.asdict(self)))}
    return dataclasses.make_dataclass(
        base.__name__, fields, bases=(base,), namespace=reduce, frozen=True, kw_only=True
    )


def _rebuilt(section: str, values: dict[str, Any]) -> Any:
    return section_type(section, values)(**values)


def _called(section: str, values: dict[str, Any]) -> type:
    return lookup(SECTIONS[section][1], _name(section, values), f"{section}.name")


def _name(section: str, values: dict[str, Any]) -> str:
    """As given, or the default.

    Raises:
      UserError: it is no text.
    """
    base = SECTIONS[section][0]
    default = next(field.default for field in dataclasses.fields(base) if field.name == "name")
    name = values.get("name", default)
    with as_user_error():
        declared(base)["name"].check(f"{section}.name", name)
    return name
