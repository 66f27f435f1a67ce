"""What a file of another project comes to, before it is a workdir."""

from dataclasses import dataclass
from typing import Any

from experiments.workdir.data_spec import DataSpec


@dataclass(frozen=True)
class Imported:
    """What a file of another project holds.

    Args:
      fields: config fields by path ("model.nf").
      params: our network's parameters, a tree of NumPy float32 arrays.
      averages: their moving average, a tree of the same shapes, or None.
      step: number of updates done.
      data: facts of the training data, where the file holds them.
    """

    fields: dict[str, Any]
    params: Any
    averages: Any | None
    step: int
    data: DataSpec | None = None
