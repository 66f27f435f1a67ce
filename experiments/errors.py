"""The one error that the command line reports without a traceback."""


class UserError(ValueError):
    """Bad input: one line that names the field or file, what it got and what it takes.

    The command line prints it and exits with 2; `--debug` shows the traceback too.
    """
