"""One split of a data set: its facts at once, its examples when they are read."""

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.data.codec import Codec, codec_of
from experiments.data.parallel import in_parallel
from experiments.data.vectors import standardise
from sde_lib import Condition

_CHUNK = 32
"""Examples that a thread reads at a time: records of TFDS come faster by several."""


class Batch(NamedTuple):
    """Some examples: a pytree of arrays with one row an example.

    A field that is added here travels from the reader to the training step with the others.

    Args:
      values: uint8 [B, H, W, C] grey levels, or float32 [B, D] of continuous data.
      cond: what the examples are conditioned on, or could be; None for nothing.
    """

    values: Any
    cond: Condition | None = None

    @classmethod
    def of(cls, values: np.ndarray, labels: np.ndarray | None = None) -> "Batch":
        """A batch of examples with labels int32 [B], classes from 0, or with none."""
        return cls(values, None if labels is None else Condition(label=labels))

    @property
    def labels(self) -> Any:
        """The labels int32 [B], or None."""
        return None if self.cond is None else self.cond.label

    @property
    def vectors(self) -> Any:
        """The vectors [B, D] that stand in for labels, or None."""
        return None if self.cond is None else self.cond.vector

    def take(self, rows: Any) -> "Batch":
        """The examples of these rows."""
        return jax.tree.map(lambda leaf: leaf[rows], self)

    @classmethod
    def join(cls, parts: Sequence["Batch"]) -> "Batch":
        """One batch of several, in their order."""
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def count_classes(labels: np.ndarray | None) -> int:
    """The number of classes that labels [B] tell of; 0 without."""
    return 0 if labels is None else int(labels.max()) + 1


class Reader(abc.ABC):
    """Reads the examples of a split by number. Worker processes get a pickled copy."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abc.abstractmethod
    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        """Some of the examples; called by several threads at once.

        Args:
          rows: int [B], each 0..len(self)-1.
          places: float [B, 2] in [0, 1), given only where the split says that it `crops`: where
            between left and right (top and bottom) the square that is kept lies; None keeps the
            central one.

        Raises:
          UserError: an example is missing, damaged, or not like the others.
        """

    def load(self) -> Batch:
        """All the examples in their order, read in threads.

        Raises:
          UserError: as of `read`.
        """

        return read_in_threads(self.read, len(self))


def read_in_threads(read: Callable[[np.ndarray], Batch], num: int) -> Batch:
    """What `read` returns for the rows 0..num-1, called by several threads for some at a time."""

    def read_some(start: int) -> Batch:
        return read(np.arange(start, min(start + _CHUNK, num)))

    return Batch.join(in_parallel(read_some, range(0, num, _CHUNK), "reading images"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """One split of a data set, in memory or on disk.

    A source of data that fit into memory returns `Split.of(values, labels, levels=256)`; one of
    larger data writes a `Reader`.

    Args:
      reader: reads the examples.
      shape: of one example.
      codec: what the examples are to a model. As a source opens it, in the range [-1, 1];
        `split_of` fills in an experiment's.
      num_classes: number of classes of the whole source, which a small split may not all contain;
        0 without labels.
      class_names: of the classes in their order; () where they have none.
      cond_mean: of the training split's vectors that stand in for labels, [D]; () for none.
      cond_std: their standard deviations, by which they are standardised.
      cond_key: the source's name of the vectors, where it has several columns; `open_split` fills
        it in.
      captions: a text for each example in its order; () where there are none.
      crops: whether reading crops and resizes, so that the place of the crop can be chosen.
      source: the source's name; `open_split` fills it in.
      name: "train", "test" or "all"; `open_split` fills it in.
    """

    reader: Reader
    shape: tuple[int, ...]
    codec: Codec
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    cond_mean: tuple[float, ...] = ()
    cond_std: tuple[float, ...] = ()
    cond_key: str | None = None
    captions: tuple[str, ...] = ()
    crops: bool = False
    source: str = ""
    name: str = ""

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        levels: int | None = None,
        classes: int = 0,
        class_names: tuple[str, ...] = (),
        captions: tuple[str, ...] = (),
        vectors: np.ndarray | None = None,
        cond_mean: tuple[float, ...] = (),
        cond_std: tuple[float, ...] = (),
    ) -> "Split":
        """The split of examples that are in memory.

        Args:
          values: uint8 [N, H, W, C] grey levels 0..levels-1, or, where levels is None, float32
            [N, D].
          labels: int32 [N] classes from 0, or None.
          levels: number of grey levels; None for continuous data.
          classes: number of classes, where there may be more than the labels have.
          class_names: of the classes in their order.
          captions: a text for each example.
          vectors: [N, D], in the units of the source, that stand in for labels; or None.
          cond_mean, cond_std: those of the training split, [D].
        """
        num_classes = max(classes, len(class_names), count_classes(labels))
        examples = Batch.of(values, labels)
        if vectors is not None:
            examples = Batch(values, Condition(vector=standardise(vectors, cond_mean, cond_std)))
        return cls(
            reader=_InMemory(examples),
            shape=values.shape[1:],
            codec=codec_of(levels),
            num_classes=0 if labels is None else num_classes,
            class_names=class_names,
            cond_mean=cond_mean,
            cond_std=cond_std,
            captions=captions,
        )

    @property
    def argument(self) -> str:
        """What follows the prefix of the source's name."""
        return self.source.partition(":")[2]

    @property
    def cond_dim(self) -> int:
        """Features of the vectors that stand in for labels; 0 for none."""
        return len(self.cond_mean)

    def standardised(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors [..., D] in the units of the source as the model sees them, float32."""
        return standardise(vectors, self.cond_mean, self.cond_std)

    def standardised_as(self, other: "Split") -> "Split":
        """The split in memory, its vectors [N, D] standardised as those of another split are."""
        split = self.load()
        mean, std = other.cond_mean, other.cond_std
        if (split.cond_mean, split.cond_std) == (mean, std):
            return split
        examples = split.reader.load()
        vectors = examples.vectors * np.asarray(split.cond_std) + np.asarray(split.cond_mean)
        cond = Condition(vector=other.standardised(vectors))
        reader = _InMemory(examples._replace(cond=cond))
        return dataclasses.replace(split, reader=reader, cond_mean=mean, cond_std=std)

    @property
    def num(self) -> int:
        """The number of examples."""
        return len(self.reader)

    @property
    def nbytes(self) -> int:
        """The size of all the examples when they are decoded."""
        return self.num * math.prod(self.shape) * np.dtype(self.codec.dtype).itemsize

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        """Some of the examples; the arguments and errors are those of `Reader.read`."""
        return self.reader.read(rows, places)

    def load(self) -> "Split":
        """The same split with all its examples in memory.

        Raises:
          UserError: an example is missing, damaged, or not like the others.
        """
        batch = self.reader.load()
        loaded = dataclasses.replace(self, reader=_InMemory(batch), crops=False)
        if batch.labels is None:
            return dataclasses.replace(loaded, num_classes=0, class_names=())
        return loaded

    @property
    def values(self) -> np.ndarray:
        """The values of all the examples [N, ...]; `load` them first, or they are read now."""
        return self.reader.load().values

    @property
    def conditions(self) -> Condition | None:
        """Those of all the examples; `load` them first, or they are read now."""
        return self.reader.load().cond

    @property
    def labels(self) -> np.ndarray | None:
        """The labels of all the examples [N], or None; `load` them first, or they are read now."""
        return self.reader.load().labels


@dataclasses.dataclass(frozen=True)
class _InMemory(Reader):
    """Examples that are in memory."""

    examples: Batch

    def __len__(self) -> int:
        return len(self.examples.values)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        return self.examples.take(rows)

    def load(self) -> Batch:
        return self.examples
