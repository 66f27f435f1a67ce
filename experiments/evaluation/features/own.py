"""A user's own features: a function from values to an array [B, D]."""

import dataclasses
import hashlib
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.data import Split
from experiments.errors import UserError, blaming
from experiments.evaluation.features.extractor import Extracted, Features, check_shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(Features):
    """A function from values, as the data source has them, to one row of numbers an example.

    Args:
      name: "module:function".
      function: the function.
      fields: what it is called with besides, as keywords.
    """

    name: str
    function: Callable
    fields: dict[str, Any]

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> "OwnExtractor":
        values = train.read(np.arange(min(2, train.num))).values
        whose = f"--features: {self.name}"
        dim = _numbers(self, whose, values).shape[1]
        protocol = {
            "name": self.name,
            "source": source_digest(self.function, whose),
            "fields": self.fields,
        }
        return OwnExtractor(self, train.shape, dim, protocol)


@dataclasses.dataclass(frozen=True)
class OwnExtractor:
    """A user's function, whose results are checked.

    Args:
      own: the function.
      shape: of a training example.
      dim: numbers that it has given for an example.
      protocol: its name, its fields, and a digest of its module's source.
    """

    own: Own
    shape: tuple[int, ...]
    dim: int
    protocol: dict[str, Any]
    num_classes = 0

    def __call__(self, values: np.ndarray) -> Extracted:
        check_shape(values, self.shape)
        whose = f"--features: {self.own.name}"
        numbers = _numbers(self.own, whose, values)
        if numbers.shape[1] != self.dim:
            raise UserError(
                f"{whose}: returned {numbers.shape[1]} numbers an example, takes {self.dim} as of "
                "the first"
            )
        return Extracted(numbers)


def _numbers(own: Own, whose: str, values: np.ndarray) -> np.ndarray:
    """What the function makes of values, float32 [B, D].

    Raises:
      UserError: it raises, or returns something else.
    """
    with blaming(whose):
        numbers = np.asarray(own.function(values, **own.fields), np.float32)
    if numbers.ndim != 2 or len(numbers) != len(values) or not numbers.size:
        raise UserError(
            f"{whose}: returned shape {numbers.shape}, takes ({len(values)}, D) of {len(values)} "
            "examples"
        )
    return numbers


def source_digest(function: Callable, whose: str) -> str:
    """A digest of the source of the module that a function or a class is from.

    Raises:
      UserError: its module has no file.
    """
    module = sys.modules.get(getattr(function, "__module__", ""))
    file = getattr(module, "__file__", None)
    if file is None:
        raise UserError(f"{whose}: got what has no source, takes one of a Python file")
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()[:12]
