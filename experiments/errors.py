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
