"""Paths as people write them, and commands as a shell reads them."""

import os
import pathlib
import shlex

from experiments.errors import UserError


def expand(path: str | os.PathLike) -> pathlib.Path:
    """A path with `~` and `~USER` as the home folder they stand for.

    A shell expands them at the beginning of a word, not in `--workdir=~/run` nor in a config.

    Raises:
      UserError: nobody has that name.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: {error}; takes ./~… for such a folder") from error


def name_of_files(path: str, flag: str) -> pathlib.Path:
    """A path that files are named by, each with a suffix of its own.

    Args:
      path: as people write it.
      flag: by which it was given.

    Raises:
      UserError: it is that of a folder.
    """
    named = expand(path)
    if named.name in ("", "..") or path.endswith(os.sep):
        raise UserError(f"{flag}: got {path!r}, takes a name for files")
    return named


def make_folder(folder: pathlib.Path, flag: str) -> None:
    """Make a folder, and those above it, where it is missing.

    Raises:
      UserError: it cannot be made, as below a file; names the flag that it is of.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{flag}: {folder} cannot be made ({error.strerror}), takes a folder that can be"
        ) from error


def command(*words: object) -> str:
    """A `scoresde` command that a shell reads as these words."""
    return shlex.join(["scoresde", *map(str, words)])


def no_experiment(path: pathlib.Path) -> UserError:
    """The error for a folder that is taken for a workdir and is none; names those in it."""
    files = [*path.glob("*/config.json"), *path.glob("*/*/config.json")]
    found = sorted(file.parent for file in files)
    below = f"; takes one of those in it, {', '.join(map(str, found[:3]))}" if found else ""
    more = ", …" if len(found) > 3 else ""
    return UserError(f"--workdir: {path} holds no experiment (no config.json){below}{more}")
