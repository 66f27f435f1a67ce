"""Features of many examples, of which a batch is in memory at a time; a folder holds

parts/FIRST.npz       of each batch, until all are there: a run that was killed goes on after them
probabilities.npy     [N, K], where the features have classes
labels.npy            int32 [N], where the examples have any
evaluations.npy       int32 [N], calls of the network that each sample took
values.npy            the first examples themselves, at most 100 of them, for pictures
features.npy          float32 [N, D], written last
"""

import pathlib
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from experiments.data import Split
from experiments.evaluation.features import Extractor
from experiments.evaluation.sets import Examples
from experiments.runtime.atomic_files import file_at_once
from experiments.workdir.results import resumed

SHOWN = 100
"""So many examples are kept for pictures: ten rows of ten are seen at a glance."""

_BATCH = 256
"""Examples of a data set that are read at a time."""

_LAST = "features"


class Portion(NamedTuple):
    """Some examples.

    Args:
      values: as the data source has them, [B, ...].
      labels: int [B]; None for none.
      evaluations: int [B], calls of the network that each took; None where nobody drew them.
    """

    values: np.ndarray
    labels: np.ndarray | None = None
    evaluations: np.ndarray | None = None


class Batches(NamedTuple):
    """Examples that come in batches, each made when it is asked for.

    Args:
      num: of all examples.
      size: of a batch; the last may have fewer.
      read: the batch that begins with an example, by that example's number.
      unit: what an example is called in the line of progress.
    """

    num: int
    size: int
    read: Callable[[int], Portion]
    unit: str = "example"

    @classmethod
    def of_split(cls, split: Split, num: int | None = None) -> "Batches":
        """The first `num` examples of a split, all by default."""
        num = split.num if num is None else num

        def read(first: int) -> Portion:
            batch = split.read(np.arange(first, min(first + _BATCH, num)))
            return Portion(batch.values, batch.labels)

        return cls(num, _BATCH, read)


class Kept(NamedTuple):
    """What has been extracted.

    Args:
      examples: their features, on disk.
      values: the first of them, at most 100, as the data source has them.
      evaluations: int [N], as of `Portion`.
    """

    examples: Examples
    values: np.ndarray
    evaluations: np.ndarray | None


def extract(batches: Batches, extractor: Extractor, folder: pathlib.Path) -> Kept:
    """Extract features into a folder, or open those that are there.

    Args:
      batches: the examples.
      extractor: from values to features.
      folder: named for all that the features follow from.

    Raises:
      UserError: as of reading examples, and of the extractor.
      OSError: the folder cannot be written.
    """
    parts = folder / "parts"
    if not (folder / f"{_LAST}.npy").is_file():
        parts.mkdir(parents=True, exist_ok=True)
        with tqdm(total=batches.num, unit=batches.unit, disable=None) as bar:
            for first in range(0, batches.num, batches.size):
                resumed(parts / f"{first}.npz", partial(_part, batches, first, extractor))
                bar.update(min(batches.size, batches.num - first))
        names = [parts / f"{first}.npz" for first in range(0, batches.num, batches.size)]
        _join(names, batches.num, folder)
    shutil.rmtree(parts, ignore_errors=True)
    return _opened(folder)


def _part(batches: Batches, first: int, extractor: Extractor) -> dict[str, np.ndarray]:
    """The arrays of a batch, by the names of their files."""
    portion = batches.read(first)
    extracted = extractor(portion.values)
    found = {
        "values": portion.values[: max(0, SHOWN - first)],
        "labels": portion.labels,
        "evaluations": portion.evaluations,
        "probabilities": extracted.probabilities,
        _LAST: extracted.features,
    }
    return {name: array for name, array in found.items() if array is not None}


def _join(parts: list[pathlib.Path], num: int, folder: pathlib.Path) -> None:
    """Write each array of all parts as one file; the features last, so that they tell of all."""
    with np.load(parts[0]) as first:
        arrays = {name: first[name][:0] for name in first.files}
    for name in sorted(arrays, key=lambda name: name == _LAST):
        like, rows = arrays[name], min(num, SHOWN) if name == "values" else num
        header = {"descr": like.dtype.str, "fortran_order": False, "shape": (rows, *like.shape[1:])}
        with file_at_once(folder / f"{name}.npy") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for path in parts:
                with np.load(path) as part:
                    file.write(np.ascontiguousarray(part[name]).tobytes())


def _opened(folder: pathlib.Path) -> Kept:
    def array(name: str, **how: Any) -> np.ndarray | None:
        path = folder / f"{name}.npy"
        return np.load(path, **how) if path.is_file() else None

    features, values = array(_LAST, mmap_mode="r"), array("values")
    assert features is not None
    assert values is not None
    examples = Examples(
        features=features,
        probabilities=array("probabilities", mmap_mode="r"),
        labels=array("labels"),
    )
    return Kept(examples, values, array("evaluations"))
