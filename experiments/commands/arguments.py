"""Arguments that several commands take."""

import argparse
from collections.abc import Callable
from typing import Any

Run = Callable[[argparse.Namespace, list[str]], None]

_OVERRIDES = "--config.SECTION.FIELD=VALUE overrides any field of the config."


def new_command(
    commands: Any, name: str, run: Run, help_line: str, *, overrides: bool = True
) -> argparse.ArgumentParser:
    """A command's parser, which has --debug.

    Args:
      commands: what `add_subparsers` returned.
      name: the command's.
      run: called with the options and the arguments that are none of them.
      help_line: what it does.
      overrides: whether fields of the config are among the latter.
    """
    epilog = _OVERRIDES if overrides else None
    parser = commands.add_parser(
        name, help=help_line, description=help_line, epilog=epilog, allow_abbrev=False
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def add_workdir(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """--workdir, required where it has no default."""
    parser.add_argument(
        "--workdir", required=default is None, default=default, help="the experiment's folder"
    )


def add_devices(parser: argparse.ArgumentParser) -> None:
    """--devices."""
    parser.add_argument("--devices", type=positive, help="use the first DEVICES; default all")


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """--raw, --ema or --average."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--raw", action="store_true", help="the parameters, not their average")
    which.add_argument("--ema", dest="raw", action="store_false", help="their average, the default")
    which.add_argument("--average", metavar="NAME", help="another average, as power:0.1")


def add_model(parser: argparse.ArgumentParser) -> None:
    """What every command takes that runs a trained model."""
    add_workdir(parser)
    add_devices(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the random draws; default 0")
    parser.add_argument("--batch", type=positive, help="examples at a time")
    add_parameters(parser)


def positive(text: str) -> int:
    """An integer ≥ 1, for `type`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, takes an integer ≥ 1")
    return int(text)
