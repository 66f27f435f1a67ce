"""What a file of another project comes to, before it is a workdir."""

from dataclasses import dataclass
from typing import Any

from experiments.workdir.data_spec import DataSpec


@dataclass(frozen=True)
class Imported:
    """What a file of another project holds.

    Args:
      fields: config fields by path ("model.nf").
      params: tree of NumPy float32 arrays of our network.
      averages: the same for the moving average, or None.
      step: updates done.
      data: facts of its data, where the file tells them.
    """

    fields: dict[str, Any]
    params: Any
    averages: Any | None
    step: int
    data: DataSpec | None = None
