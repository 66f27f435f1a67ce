"""Digests of data sources: the same data have the same, other data almost surely another.

    npz            size and CRC-32 of each key that is read, which the archives keep: all of it
    folder, tfds   names and sizes of all files, and content: all of it up to LIMIT, of every k-th
                   file beyond, k = ⌈total/LIMIT⌉
    any other      values and conditions of the training split: all of them up to LIMIT, every
                   k-th beyond

Neither the place of the files nor their dates count, so data may be moved and copied.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.data.parallel import in_parallel
from experiments.data.split import Split
from sde_lib.registry import Registry

LIMIT = 2**28
"""Bytes of content that are read: a quarter of a second of hashing."""

_CHUNK = 4096
_LENGTH = 32

# From a split of a source to the digest of all its splits.
digests = Registry("data source")


def digest(data: Split) -> str:
    """The digest of the source of a training split, 32 hexadecimal digits.

    Raises:
      UserError: it cannot be read.
      OSError: a file cannot be read.
    """
    prefix = data.source.partition(":")[0]
    if prefix in list(digests):
        return digests[prefix](data)
    return _of_examples(data)


def of_facts(facts: Any) -> str:
    """The digest of a JSON value."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_LENGTH]


def of_files(root: Path, files: Sequence[Path]) -> str:
    """The digest of files, by their paths below `root`, their sizes and their content."""
    sizes = [path.stat().st_size for path in files]
    some = files[:: max(1, math.ceil(sum(sizes) / LIMIT))]
    content = in_parallel(lambda row: _of_content(some[row]), range(len(some)), "checking files")
    names = [path.relative_to(root).as_posix() for path in files]
    return of_facts([names, sizes, content])


def _of_content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(LIMIT)).hexdigest()


def _of_examples(data: Split) -> str:
    shape = [data.num, *data.shape]
    content = hashlib.sha256(json.dumps([shape, data.codec.levels, data.num_classes]).encode())
    rows = np.arange(0, data.num, max(1, math.ceil(data.nbytes / LIMIT)))
    for start in range(0, len(rows), _CHUNK):
        batch = data.read(rows[start : start + _CHUNK])
        content.update(np.ascontiguousarray(batch.values).tobytes())
        for leaf in jax.tree.leaves(batch.cond):
            content.update(np.ascontiguousarray(leaf).tobytes())
    return content.hexdigest()[:_LENGTH]
