"""The command line: one command of `experiments.commands`, and what becomes of its errors."""

import argparse
import importlib.util
import io
import logging
import os
import pathlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from experiments.commands import (
    demo,
    export,
    fit_grid,
    import_,
    likelihood,
    sample,
    solvers,
    status,
    train,
)
from experiments.errors import UserError

_COMMANDS = (train, status, sample, solvers, fit_grid, likelihood, import_, export, demo)
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
        _check_packages()
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


def _check_packages() -> None:
    """Stop where a file of another folder is found for a package of this one.

    Raises:
      UserError: it is.
    """
    ours = pathlib.Path(__file__).resolve().parents[1]
    for name in ("sde_lib", "samplers", "models"):
        spec = importlib.util.find_spec(name)
        found = pathlib.Path((spec and spec.origin) or ".").resolve()
        if found.parents[:2][-1] != ours:
            raise UserError(
                f"{name}: Python finds {found}, which hides the package of that name in {ours}; "
                "takes another name for it, or another folder to stand in"
            )


def _is_worse_than_an_error(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR


def _unraisable(error: Any) -> None:
    """Python's own report, but for what follows from a failed save that has been reported.

    TensorStore says that nobody waits for the rest of it, a closed file tries once more.
    """
    told = isinstance(error.exc_value, OSError)
    if not told and "Event loop is closed" not in str(error.exc_value):
        sys.__unraisablehook__(error)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scoresde", description="Score-based generative models by SDEs.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
