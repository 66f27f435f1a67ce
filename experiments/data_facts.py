"""What is known of an experiment's data without opening them: data.json of its workdir.

A model outlives its data: a workdir that was copied or imported knows the shape and the grey levels
of an example, which is all that sampling takes.
"""

import dataclasses
import functools
import json
from typing import Any

import numpy as np

from experiments.data import Batch, LazyDataset
from experiments.errors import UserError
from experiments.sections import Experiment
from experiments.splits import open_split


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Facts of a training split.

    Args:
      shape: of one example.
      levels: number of grey levels; None for continuous data.
      num: of examples; 0 where nobody has counted them.
      num_classes: 0 without labels.
    """

    shape: tuple[int, ...]
    levels: int | None
    num: int = 0
    num_classes: int = 0

    @classmethod
    def of(cls, data: LazyDataset) -> "DataFacts":
        """Those of a split that was opened."""
        return cls(shape=data.shape, levels=data.levels, num=data.num, num_classes=data.num_classes)

    @classmethod
    def from_json(cls, text: str, where: object) -> "DataFacts":
        """What `as_json` wrote.

        Args:
          text: JSON.
          where: the file, for the message.

        Raises:
          UserError: it is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            return cls(**values | {"shape": tuple(map(int, values["shape"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{where}: holds no facts of a data set ({error})") from error

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    def split(self, experiment: Experiment) -> LazyDataset:
        """The experiment's training split, whose source is opened when an example is read."""
        return LazyDataset(
            reader=_Opens(experiment),
            rows=np.arange(self.num),
            shape=self.shape,
            levels=self.levels,
            source=experiment.data.source,
            split="train",
            num_classes=self.num_classes,
            crops=False,
        )


@dataclasses.dataclass(frozen=True)
class _Opens:
    """Reads examples of the training split of an experiment."""

    experiment: Experiment

    @functools.cached_property
    def _opened(self) -> LazyDataset:
        return open_split(self.experiment, "train")

    def __call__(self, rows: np.ndarray, places: np.ndarray | None) -> Batch:
        return self._opened.read(rows, places)
