"""The command line: one command of `experiments.commands`, and what becomes of its errors."""

import argparse
import importlib.metadata
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from experiments.commands import (
    ablate,
    demo,
    diff,
    evaluate,
    export,
    fit_grid,
    import_,
    likelihood,
    report,
    runs,
    sample,
    solvers,
    status,
    train,
)
from experiments.errors import UserError

_COMMANDS = (
    train,
    status,
    runs,
    diff,
    sample,
    solvers,
    fit_grid,
    likelihood,
    evaluate,
    ablate,
    report,
    import_,
    export,
    demo,
)
"""As `--help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
      The exit code: 0, or 2 after one line on standard error for bad input.
    """
    _print_whatever_the_locale()
    # A user's own SDE or network is a module in the folder they stand in.
    sys.path.append(os.getcwd())
    try:
        options, overrides = _parser().parse_known_args(arguments)
    except UserError as error:
        return _refuse(error)
    if not options.debug:
        # Orbax logs the traceback of every error that it also raises, some by way of asyncio.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).addFilter(_is_worse_than_an_error)
        sys.unraisablehook = _unraisable
        # What a failed save leaves behind, once it has been reported.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    try:
        options.run(options, overrides)
    except (UserError, OSError) as error:
        if options.debug:
            raise
        return _refuse(error)
    except KeyboardInterrupt:
        print("scoresde: interrupted", file=sys.stderr)
        return 130
    return 0


def _print_whatever_the_locale() -> None:
    """Let what the terminal's encoding has not be written as \\uXXXX, not end the command."""
    for stream in (sys.stdout, sys.stderr):
        # A notebook's is no such wrapper, and takes every character.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        """Stop at arguments that are not as declared.

        Raises:
          UserError: always.
        """
        raise UserError(f"{message}; see {self.prog} --help")


def _refuse(error: Exception) -> int:
    """Say what was wrong, in one line; the exit code."""
    print(f"scoresde: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


class _Version(argparse.Action):
    """`--version`: the version of the package that is installed, looked up when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str):
        super().__init__(option_strings, dest, nargs=0, help="the version, without a command")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Print it and end.

        Raises:
          UserError: the code runs where it lies, and nothing is installed.
        """
        try:
            print(f"scoresde {importlib.metadata.version('scoresde')}")
        except importlib.metadata.PackageNotFoundError as error:
            raise UserError("--version: not installed; takes `pip install .`") from error
        parser.exit()


def _is_worse_than_an_error(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR


def _unraisable(error: Any) -> None:
    """Python's own report, but for what follows from a failed save that has been reported.

    TensorStore says that nobody waits for the rest of it, a closed file tries once more.
    """
    is_output = isinstance(error.exc_value, OSError)
    if not is_output and "Event loop is closed" not in str(error.exc_value):
        sys.__unraisablehook__(error)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scoresde", description="Score-based generative models by SDEs.", allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
