"""What features make for a data set is kept, and made again where the data are others."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.data import Split
from experiments.data.digests import digest, of_facts
from experiments.errors import UserError
from experiments.workdir.results import digest as digest_of_arrays
from experiments.workdir.results import resumed

_NUM = 64
"""Examples that are looked at as they are read: they tell of a crop, a size or a background."""


def kept(
    folder: pathlib.Path,
    facts: dict[str, Any],
    train: Split,
    make: Callable[[], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """The arrays that `make` returns, from folder/NAME-DIGEST.npz where they were made before.

    Args:
      folder: of the files; it is made.
      facts: JSON of what they follow from besides the data; its `name` begins the file's name.
      train: the data, whose content is in the digest.
      make: makes them.

    Raises:
      UserError: the folder cannot be written, or a file in it is damaged; as of `make`.
    """
    some = train.read(np.arange(0, train.num, max(1, train.num // _NUM)))
    whole = {**facts, "data": digest(train), "examples": digest_of_arrays(some), "num": train.num}
    path = folder / f"{facts['name']}-{of_facts(whole)[:12]}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return resumed(path, make)
    except OSError as error:
        raise UserError(f"{path}: cannot be read or written ({error.strerror})") from error
