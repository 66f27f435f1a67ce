"""A data set on disk: its facts at once, its examples when they are read."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from experiments.data.dataset import Dataset, load, make_request
from sde_lib.registry import Registry


class Batch(NamedTuple):
    """Some examples.

    Args:
      values: uint8 [B, H, W, C], or float32 [B, D] where the data are continuous.
      labels: int32 [B], or None.
    """

    values: np.ndarray
    labels: np.ndarray | None


class Reader(Protocol):
    """Reads examples of a pool; worker processes get a pickled copy."""

    def __call__(self, rows: np.ndarray, places: np.ndarray | None) -> Batch:
        """The examples of rows [B] of the pool, cropped at `places` [B, 2] or in the centre."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class LazyDataset:
    """One split of a data set, the same examples in the same order as those of `load`.

    Args:
      reader: reads the examples of the pool that the split is part of.
      rows: int [N], the rows of the pool that are the split.
      shape: of one example.
      levels: number of grey levels (256 for 8-bit images); None for continuous data.
      source: the source's name, as given to `open_lazy`.
      split: "train" or "test".
      num_classes: of the whole source; 0 without labels.
      crops: whether reading crops and resizes, so that the place of the crop can be chosen.
    """

    reader: Reader
    rows: np.ndarray
    shape: tuple[int, ...]
    levels: int | None
    source: str
    split: str
    num_classes: int
    crops: bool

    @property
    def num(self) -> int:
        """The number of examples."""
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """The size of all the examples when they are decoded."""
        itemsize = 4 if self.levels is None else 1
        return self.num * math.prod(self.shape) * itemsize

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        """Some examples of the split.

        Args:
          rows: int [B], each 0..num-1.
          places: float [B, 2] in [0, 1), where between the left and the right (the top and the
            bottom) the square that is kept lies; None keeps the central one.

        Raises:
          UserError: an example is missing, damaged, or not like the others.
        """
        return self.reader(self.rows[rows], places)


# From a `Request` to a `LazyDataset`.
lazy_sources = Registry("data source", Callable)


def open_lazy(source: str, split: str, **options: Any) -> LazyDataset:
    """One split of the data set called `source`, not yet read; the arguments are those of `load`.

    Images of folders, of .npz shards and of TFDS are read when they are asked for. Any other source
    is loaded into the host's memory.

    Raises:
      UserError: no such source, split or file; or its content is not what the source takes.
    """
    request = make_request(source, split, **options)
    prefix = source.partition(":")[0]
    if prefix in list(lazy_sources):
        return lazy_sources[prefix](request)
    return in_memory(load(source, split, **options))


def in_memory(dataset: Dataset) -> LazyDataset:
    """A loaded split as a lazy one."""
    return LazyDataset(
        reader=_ArrayReader(dataset.values, dataset.labels),
        rows=np.arange(dataset.num),
        shape=dataset.shape,
        levels=dataset.levels,
        source=dataset.source,
        split=dataset.split,
        num_classes=dataset.num_classes,
        crops=False,
    )


@dataclasses.dataclass(frozen=True)
class _ArrayReader:
    """Reads arrays in memory."""

    values: np.ndarray
    labels: np.ndarray | None

    def __call__(self, rows: np.ndarray, places: np.ndarray | None) -> Batch:
        return Batch(self.values[rows], None if self.labels is None else self.labels[rows])
