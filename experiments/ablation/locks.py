"""Locks by which processes share an ablation: each takes what no other has."""

import contextlib
import pathlib
import time
from collections.abc import Iterator

from experiments.workdir.run_lock import HeldError, hold

_PAUSE = 0.5
"""Seconds between two looks at a lock that another process holds."""


@contextlib.contextmanager
def waiting(path: pathlib.Path) -> Iterator[None]:
    """Hold a lock, once no other process does.

    Raises:
      OSError: the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(hold(path))
                break
            except HeldError:
                time.sleep(_PAUSE)
        yield
