"""What a user should know of their data, said where it is found."""

import sys
import threading

_said: set[str] = set()
_saying = threading.Lock()


def say_once(line: str) -> None:
    """A line on standard error, the first time that this process has it to say."""
    with _saying:
        if line not in _said:
            _said.add(line)
            print(line, file=sys.stderr)
