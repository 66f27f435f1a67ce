"""Results: files under one name, with a JSON beside them of everything that decided them.

NAME.json has the key `protocol`: all that the result follows from. NAME is a few words of it and a
digest of the whole, so that what differs has another name, and no result replaces another.
"""

import hashlib
import json
import pathlib
import re
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.errors import UserError
from experiments.runtime.array_files import UNREADABLE
from experiments.runtime.atomic_files import file_at_once, write_atomically

JSON = ".json"

# Of a name's words; file systems take 255 bytes with the rest.
_MAX_CHARACTERS = 150


class Result:
    """One result: PATH.json, and files of other suffixes beside it.

    Args:
      path: of its files, without a suffix.
      protocol: what it follows from, as JSON has it.
      flag: by which the path was given; None where the protocol has made it.
    """

    def __init__(self, path: pathlib.Path, protocol: dict[str, Any], flag: str | None = None):
        self.path, self.protocol, self._flag = path, as_json(protocol), flag

    @classmethod
    def named(cls, folder: pathlib.Path, words: str, protocol: dict[str, Any]) -> "Result":
        """A result whose name is some words and a digest of its protocol.

        Args:
          folder: of the files.
          words: what people look for in a name; what a file system may not take becomes "-".
          protocol: all that the result follows from.
        """
        words = re.sub(r"[^A-Za-z0-9_.=-]+", "-", words)[:_MAX_CHARACTERS]
        text = json.dumps(as_json(protocol), sort_keys=True)
        return cls(folder / f"{words}-{hashlib.sha256(text.encode()).hexdigest()[:8]}", protocol)

    def file(self, suffix: str) -> pathlib.Path:
        """PATH with a suffix; PATH may itself hold a dot, as in rtol0.001."""
        return self.path.with_name(self.path.name + suffix)

    @property
    def report(self) -> dict[str, Any]:
        """What NAME.json says; nothing where there is none, or no JSON of ours."""
        try:
            read = json.loads(self.file(JSON).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def is_there(self, *suffixes: str) -> bool:
        """Whether it has been made before, all files of it.

        Raises:
          UserError: files of something else have its name, or its folder cannot be written.
        """
        files = [self.file(suffix) for suffix in (JSON, *suffixes)]
        if self.report.get("protocol") == self.protocol:
            if all(file.is_file() for file in files):
                return True
        else:
            # Under a name of its own a file without the JSON is what an interrupted run left.
            for file in files if self._flag else files[:1]:
                if file.exists():
                    raise UserError(f"{self._flag or 'results'}: {file} exists, takes a new name")
        _check_writable(self.path.parent)
        return False

    def record(self, report: dict[str, Any]) -> None:
        """Write NAME.json: a report, and the protocol."""
        content = as_json(report) | {"protocol": self.protocol}
        write_atomically(self.file(JSON), json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def digest(tree: Any) -> str:
    """Twelve hexadecimal digits of the content of a pytree's leaves."""
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        content.update(f"{array.dtype}{array.shape}".encode())
        content.update(array.tobytes())
    return content.hexdigest()[:12]


def resumed(path: pathlib.Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The arrays that `make` returns; of an earlier run, where their file is there.

    Raises:
      UserError: the file that is there is damaged.
    """
    if path.is_file():
        try:
            with np.load(path) as stored:
                return dict(stored)
        except OSError:
            raise
        except UNREADABLE as error:
            raise UserError(f"{path}: is damaged; remove it, and it is made again") from error
    made = make()
    with file_at_once(path) as file:
        np.savez(file, **made)
    return made


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Values as JSON reads them back: lists for tuples, texts for objects."""
    return json.loads(json.dumps(values, default=str))


def _check_writable(folder: pathlib.Path) -> None:
    """Stop before the work whose result could not be written.

    Raises:
      UserError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}), takes a folder that can be"
        ) from error
