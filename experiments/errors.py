"""The one error that the command line reports without a traceback."""

import contextlib
from collections.abc import Iterator


class UserError(ValueError):
    """Bad input: one line that names the field or file, what it got and what it takes.

    The command line prints it and exits with 2; `--debug` shows the traceback too.
    """


@contextlib.contextmanager
def as_user_error(prefix: str = "") -> Iterator[None]:
    """A ValueError of what knows no fields of a config as a UserError, after `prefix`."""
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{prefix}{error}") from error


@contextlib.contextmanager
def blaming(whose: str) -> Iterator[None]:
    """Whatever a user's own code raises as a UserError, after the name of that code.

    Args:
      whose: the field and the name in it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{whose}: {type(error).__name__}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Of what an error says, at most 200 characters."""
    return (str(error).strip().splitlines() or [""])[0][:200]
