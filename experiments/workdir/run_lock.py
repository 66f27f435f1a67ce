"""The lock that a live run holds on its workdir; the system frees it however the process ends."""

import contextlib
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import IO

import portalocker


class HeldError(Exception):
    """Another process holds the lock; says which."""


@contextlib.contextmanager
def hold(path: pathlib.Path) -> Iterator[None]:
    """Hold the lock, a file, which is made and stays.

    Raises:
      HeldError: another process does.
      OSError: the file cannot be written.
    """
    with path.open("a+", encoding="utf-8") as file:
        if not _lock(file, portalocker.LOCK_EX):
            raise HeldError(_holder(file))
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def is_held(path: pathlib.Path) -> bool:
    """Whether a process holds the lock."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        # Shared, so that two who look do not take each other for a run; closing gives it back.
        return not _lock(file, portalocker.LOCK_SH)


def _lock(file: IO[str], kind: portalocker.LockFlags) -> bool:
    """Whether it could be had at once."""
    try:
        portalocker.lock(file, kind | portalocker.LOCK_NB)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as error:  # no such locks on this file system
        raise OSError(f"{file.name}: cannot be locked ({error})") from error
    return True


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        return file.read()
    except OSError:  # Windows lets nobody read a locked file
        return "another process"
