"""`--config=FILE` and `--config.a.b=value`: ml_collections' flags, with errors of one line."""

import importlib.resources
import importlib.util
import inspect
import pathlib
import re

from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments.config_schema.choice import literal
from experiments.config_schema.named_sections import field_paths
from experiments.config_schema.resolve import resolve
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError
from experiments.paths import expand
from sde_lib.ranges import type_name
from sde_lib.registry import unknown_name

_FREE = re.compile(
    r"--config\.((?:sde|model)\.args|training\.optimizer_args)\.(\w+)=(.*)", re.DOTALL
)


def load_experiment(
    config: str | ConfigDict, overrides: list[str], *, is_draft: bool = False
) -> Experiment:
    """The checked experiment of a config and of what the command line says of it.

    Args:
      config: a file or a name, as of `load_config`; or what one returned.
      overrides: `--config.SECTION.FIELD=VALUE`.
      is_draft: whether the network may be named later, so that fields of others are left out.

    Raises:
      UserError: no such config, or a wrong field, type or value in it or in an override.
    """
    loaded = load_config(config) if isinstance(config, str) else config
    return resolve(override(loaded, overrides, is_draft=is_draft))


def load_config(path: str) -> ConfigDict:
    """What `get_config()` of a config file returns.

    Args:
      path: a file, or the name of one that comes with the package ("digits"); text after a colon is
        handed to `get_config`.

    Raises:
      UserError: no such file, or no ConfigDict from it.
    """
    name, _, argument = path.partition(":")
    file = _find(name)
    spec = importlib.util.spec_from_file_location("experiment_config", file)
    if spec is None or spec.loader is None:
        raise UserError(f"--config: got {file}, takes a Python file (.py) with get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if argument and not inspect.signature(module.get_config).parameters:
            raise UserError(
                f"--config: got {path!r}, takes {name!r}, which has no words to choose by"
            )
        config = module.get_config(argument) if argument else module.get_config()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--config: {file}: {type(error).__name__}: {error}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: {file}: got {type(config).__name__} from get_config(), takes ConfigDict"
        )
    return config


def override(config: ConfigDict, arguments: list[str], *, is_draft: bool = False) -> ConfigDict:
    """The config with `--config.a.b=value` arguments applied.

    Args:
      config: as `load_config` returns it.
      arguments: of those of one field the last counts.
      is_draft: as of `load_experiment`.

    Raises:
      UserError: an argument that is no override, an unknown field, or a value of another type.
    """
    known = _paths(config) if is_draft else _known(config, arguments)
    # One of a field: the parser would join tuples.
    plain: dict[str, str] = {}
    for argument in arguments:
        free = _FREE.fullmatch(argument)
        if free:
            with config.unlocked():
                config[free[1]].update({free[2]: literal(free[3])})
            continue
        _check_known(config, argument, known)
        plain[argument.partition("=")[0].replace("--noconfig.", "--config.")] = argument
    for field in [field for field, argument in plain.items() if argument == f"{field}=None"]:
        del plain[field]
        _clear(config, field.removeprefix("--config."))
    values = flags.FlagValues()
    argv = ["scoresde", *plain.values()]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    try:
        values(argv)
    except flags.Error as error:
        raise UserError(_one_line(error, list(plain.values()), config)) from error
    return values.config


def _find(name: str) -> pathlib.Path:
    packaged = pathlib.Path(str(importlib.resources.files("experiments"))) / "configs"
    candidates = [expand(name), packaged / name, packaged / f"{name}.py"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = sorted(path.stem for path in packaged.glob("*.py") if path.stem[0] != "_")
    raise UserError(f"--config: {unknown_name('config file', name, known)}")


def _known(config: ConfigDict, arguments: list[str]) -> list[str]:
    """Paths of the fields that arguments may set: of networks, those of the one that is named."""
    given = [a.partition("=") for a in arguments if re.match(r"--(no)?config\.model\.", a)]
    paths = _paths(config)
    if not given or "model" not in config:
        return paths
    names = [value for name, _, value in given if name == "--config.model.name"]
    named = field_paths("model", {"name": [config.model.name, *names][-1]})
    others = [path for path in paths if not path.startswith("model.")]
    return others + [path for path in named if path in paths or ".args." in path]


def _check_known(config: ConfigDict, argument: str, known: list[str]) -> None:
    match = re.match(r"--(?:no)?config\.([\w.]+)", argument)
    if not match:
        raise UserError(f"unknown argument {argument!r}; takes --config.SECTION.FIELD=VALUE")
    path = match[1]
    if path not in known:
        if path in config and isinstance(config[path], ConfigDict):
            fields = ", ".join(k for k in known if k.startswith(f"{path}."))
            raise UserError(
                f"config field {path!r}: is a section, takes one of its fields: {fields}"
            )
        near = unknown_name("config field", path, known).split(" Known:")[0]
        section = path.split(".")[0] + "."
        siblings = [k for k in known if k.startswith(section)] or sorted(config.keys())
        raise UserError(f"{near} Known: {', '.join(siblings)}")
    if argument.startswith("--no") and ("=" in argument or _kind(config, path) is not bool):
        raise UserError(f"{path}: got {argument!r}, takes --config.{path}=VALUE")


def _paths(config: ConfigDict, prefix: str = "") -> list[str]:
    paths = []
    for name in config:
        if config.get_type(name) is ConfigDict:
            paths += _paths(config[name], f"{prefix}{name}.")
        else:
            paths.append(prefix + name)
    return paths


def _one_line(error: Exception, arguments: list[str], config: ConfigDict) -> str:
    """ml_collections' message with the field, what it got and what it takes."""
    for argument in arguments:
        if argument in str(error):
            path, _, text = argument.removeprefix("--config.").partition("=")
            return f"{path}: got {text!r}, takes {type_name(_kind(config, path))}"
    return " ".join(str(error).split())


def _kind(config: ConfigDict, path: str) -> type:
    section, _, name = path.rpartition(".")
    return (_section(config, section) if section else config).get_type(name)


def _clear(config: ConfigDict, path: str) -> None:
    """Make a field None, which the parser takes for a text; `resolve` says where it must not be."""
    section, _, name = path.rpartition(".")
    node = _section(config, section) if section else config
    with node.unlocked(), node.ignore_type():
        node[name] = None


def _section(config: ConfigDict, path: str) -> ConfigDict:
    for name in path.split("."):
        config = config[name]
    return config
