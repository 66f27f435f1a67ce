"""Files and folders that are there whole or not at all."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def file_at_once(path: pathlib.Path) -> Iterator[BinaryIO]:
    """A file that is there whole or not at all: yields what to write to, beside `path`.

    Raises:
      OSError: it cannot be written; what was at `path` is as it was.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all.

    What UTF-8 has not, half a character of a file's name that is no text, is written as \\udcXX.
    """
    with file_at_once(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def folder_at_once(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder that is there whole or not at all: yields where to build it, beside `path`.

    Raises:
      OSError: `path` is there and not an empty folder, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
