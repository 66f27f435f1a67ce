"""What a file of another project holds, in the terms of this one."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Imported:
    """A network with its parameters.

    Args:
      fields: config fields by path ("model.nf").
      params: a tree of float32 NumPy arrays, as of our network.
      averages: the same for the moving average, or None.
      step: updates done.
    """

    fields: dict[str, Any]
    params: Any
    averages: Any | None
    step: int
