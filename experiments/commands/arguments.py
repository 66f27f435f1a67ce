"""Arguments that several commands take."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

Run = Callable[[argparse.Namespace, list[str]], None]

_OVERRIDES = "--config.SECTION.FIELD=VALUE overrides any field of the config."


class _Help(argparse.HelpFormatter):
    """Help that fits a screen: the usage line has what is required, the list below has the rest."""

    def __init__(self, prog: str, **more: Any):
        super().__init__(prog, max_help_position=27, **more)

    def add_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], *rest: Any, **more: Any
    ) -> None:
        """The line of usage."""
        actions = list(actions)
        words = [
            "=".join([*action.option_strings[:1], str(action.metavar or action.dest.upper())])
            for action in actions
            if action.required
        ]
        usage = " ".join(["%(prog)s", *words, "[options]"])
        super().add_usage(usage, actions, *rest, **more)


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
        name,
        help=help_line,
        description=help_line,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=_Help,
    )
    # The type of every argument that names none.
    parser.register("type", None, _given)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def _given(text: str) -> str:
    """An argument that says something: "" is what a shell makes of a variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("got '', takes a value")
    return text


def add_workdir(
    parser: argparse.ArgumentParser, default: str | None = None, *, required: bool = True
) -> None:
    """--workdir, required where it has no default and can not be left out."""
    parser.add_argument(
        "--workdir",
        required=required and default is None,
        default=default,
        metavar="DIR",
        help="folder of the experiment",
    )


def add_config(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """--config."""
    parser.add_argument(
        "--config", required=required, metavar="FILE", help="config file, or name of a packaged one"
    )


def add_devices(parser: argparse.ArgumentParser) -> None:
    """--devices."""
    parser.add_argument(
        "--devices", type=positive, metavar="N", help="use the first N devices; default: all"
    )


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """--raw, --ema or --average."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--raw", action="store_true", help="use the parameters themselves")
    which.add_argument("--ema", dest="raw", action="store_false", help="use their average; default")
    which.add_argument("--average", metavar="NAME", help="use another average: power:0.1")


def add_model(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """What every command takes that runs a trained model, which may not be required."""
    add_workdir(parser, required=required)
    add_devices(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the random draws; default: 0"
    )
    parser.add_argument("--batch", type=positive, metavar="N", help="number of examples at a time")
    add_parameters(parser)


def positive(text: str) -> int:
    """An integer ≥ 1, for `type`; JAX counts in 32 bits."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, takes an integer ≥ 1")
    if int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"got {text}, takes an integer from 1 to 2^31 - 1")
    return int(text)
