"""A question as a TOML file, which says what the flags say.

    config = "toy2d"
    seeds = 3
    metrics = "bpd"
    zip = ["sde.name,model.conditioning"]

    [over]
    "sde.name" = ["vp", "subvp", "ve"]
    "training.learning_rate" = "1e-4..1e-2:log:5"

    [set]
    "training.num_steps" = 1000

A text of [over] is split as a flag's is; what a list holds is not. [set] has the fields that all
cells share, `--config.SECTION.FIELD=VALUE` of the flags.
"""

import dataclasses
import json
import pathlib
import tomllib
from typing import Any

from experiments.ablation.question import Axis, Question
from experiments.config_schema.choice import split_choices
from experiments.errors import UserError
from sde_lib.registry import unknown_name

_PLAIN = [
    f.name for f in dataclasses.fields(Question) if f.name not in ("overrides", "over", "zip")
]
_KEYS = [*_PLAIN, "zip", "over", "set"]


def read(path: pathlib.Path) -> Question:
    """The question of a file.

    Raises:
      UserError: no such file, no TOML, or a key that is none.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--spec: {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"--spec: {path}: no TOML ({error})") from error
    for key in values:
        if key not in _KEYS:
            raise UserError(f"--spec: {path}: {unknown_name('key', key, _KEYS)}")
    plain = {key: values[key] for key in _PLAIN if key in values}
    over, shared = _section(values, "over", path), _section(values, "set", path)
    zipped = values.get("zip", [])
    if not isinstance(zipped, list) or not all(isinstance(text, str) for text in zipped):
        raise UserError(f"--spec: {path}: zip: got {zipped!r}, takes texts of fields in a list")
    return Question(
        **plain,
        over=tuple(Axis(field, _items(field, value)) for field, value in over.items()),
        zip=tuple(split_choices(text, "--zip") for text in zipped),
        overrides=tuple(f"--config.{field}={_text(value)}" for field, value in shared.items()),
    )


def write(question: Question) -> str:
    """The text of a file that says a question."""
    lines = []
    for name in _PLAIN:
        value = getattr(question, name)
        if value is not None and value is not False:
            lines.append(f"{name} = {_toml(value)}")
    if question.zip:
        lines.append(f"zip = {_toml([','.join(fields) for fields in question.zip])}")
    lines += ["", "[over]"] if question.over else []
    lines += [f"{_toml(axis.field)} = {_toml(list(axis.items))}" for axis in question.over]
    lines += ["", "[set]"] if question.overrides else []
    for override in question.overrides:
        field, _, value = override.removeprefix("--config.").partition("=")
        lines.append(f"{_toml(field)} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML: of JSON's texts it takes all but one character that JSON leaves bare."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section(values: dict[str, Any], name: str, path: pathlib.Path) -> dict[str, Any]:
    section = values.get(name, {})
    if not isinstance(section, dict):
        raise UserError(f"--spec: {path}: {name}: got {section!r}, takes a table [{name}]")
    return _flat(section)


def _flat(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables in tables by paths, as `training.learning_rate = …` without quotes makes them."""
    found: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _items(field: str, value: Any) -> tuple[str, ...]:
    """The items of an axis: of a text as a flag has them, of a list one by one."""
    if isinstance(value, str):
        return split_choices(value, f"--over={field}")
    return tuple(map(_text, value if isinstance(value, list) else [value]))


def _text(value: Any) -> str:
    """A value as flags have it: a list as a tuple."""
    if isinstance(value, list):
        return str(tuple(value))
    return value if isinstance(value, str) else repr(value)
