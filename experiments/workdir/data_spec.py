"""What is known of an experiment's data without opening them: data.json of its workdir.

A model outlives its data: a workdir that was copied or imported knows the shape and the grey levels
of an example, its classes and their names, and the units of vectors, which is all that sampling
takes. A run that goes on, and a likelihood, take the data
that the model was trained on: those of the same digest (`data.digests` says what it covers).
"""

import dataclasses
import functools
import json
from typing import Any

import numpy as np

from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Reader, Split, absolute, codec_of, digest
from experiments.data.experiment_split import split_of
from experiments.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What is known of a training split: its shape, its grey levels, where it is.

    Args:
      shape: of one example.
      levels: number of grey levels; None for continuous data.
      num: of examples; 0 where nobody has counted them.
      num_classes: 0 without labels.
      class_names: of the classes in their order; () where they have none.
      cond_mean, cond_std: of the vectors that stand in for labels; () for none.
      place: the source, with an absolute path; "" where nobody has said.
      digest: of the source's content; "" where nobody has read it.
    """

    shape: tuple[int, ...]
    levels: int | None
    num: int = 0
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    cond_mean: tuple[float, ...] = ()
    cond_std: tuple[float, ...] = ()
    place: str = ""
    digest: str = ""

    @classmethod
    def of(cls, data: Split) -> "DataSpec":
        """The spec of a split that was opened.

        Raises:
          UserError, OSError: the data cannot be read.
        """
        return cls(
            shape=data.shape,
            levels=data.codec.levels,
            num=data.num,
            num_classes=data.num_classes,
            class_names=data.class_names,
            cond_mean=data.cond_mean,
            cond_std=data.cond_std,
            place=absolute(data.source),
            digest=digest(data),
        )

    @classmethod
    def from_json(cls, text: str, where: object) -> "DataSpec":
        """The spec that `as_json` wrote.

        Args:
          text: JSON.
          where: the file, for the message.

        Raises:
          UserError: it is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            tuples = {n: tuple(v) for n, v in values.items() if isinstance(v, list)}
            return cls(**values | tuples | {"shape": tuple(map(int, values["shape"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{where}: holds no facts of a data set ({error})") from error

    def as_json(self) -> str:
        """The spec as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    def same_data(self, other: "DataSpec") -> bool:
        """Whether the data are the same, wherever they are now.

        Without a digest, as in a data.json of before there were any, whatever is known is compared.
        """
        if self.digest and other.digest:
            return self.digest == other.digest
        sizes = self.num == other.num or 0 in (self.num, other.num)
        alike = (self.shape, self.levels, self.place) == (other.shape, other.levels, other.place)
        return alike and sizes

    def __str__(self) -> str:
        """The spec in a few words, for messages."""
        known = [f"{self.num} examples"] if self.num else []
        known += [f"shape {self.shape}"]
        known += [f"{self.levels} levels"] if self.levels else []
        known += [f"digest {self.digest[:8]}"] if self.digest else []
        return f"{self.place} ({', '.join(known)})"

    def split(self, experiment: Experiment) -> Split:
        """The experiment's training split, whose source is opened when an example is read."""
        return Split(
            reader=_Opens(experiment, self.num),
            shape=self.shape,
            codec=codec_of(self.levels, experiment.data.centered),
            num_classes=self.num_classes,
            class_names=self.class_names,
            cond_mean=self.cond_mean,
            cond_std=self.cond_std,
            source=experiment.data.source,
            name="train",
        )


@dataclasses.dataclass(frozen=True)
class _Opens(Reader):
    """Reads the training split of an experiment, which it opens for that."""

    experiment: Experiment
    num: int

    def __len__(self) -> int:
        return self.num

    @functools.cached_property
    def _opened(self) -> Reader:
        return split_of(self.experiment, "train").reader

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        return self._opened.read(rows, places)

    def load(self) -> Batch:
        return self._opened.load()
