"""What features of examples are: the numbers in which sets of examples are compared.

`Features` is what a name calls, with its fields; opened for a data set it is an `Extractor`, from
values to numbers. One of one's own is a subclass of `Features`, or a plain function from values to
an array [B, D], called "module:Class" and "module:function".
"""

import abc
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from experiments.data import Split
from experiments.errors import UserError
from sde_lib import Registry, check_ranges

# Classes of `Features`; a user's own may be functions as well.
features = Registry("features", Callable)


class Extracted(NamedTuple):
    """The features of some examples.

    Args:
      features: float32 [B, D].
      probabilities: of the classes, float32 [B, K]; None from features without classes.
    """

    features: np.ndarray
    probabilities: np.ndarray | None = None


class Extractor(Protocol):
    """From values to features, ready for one data set."""

    @property
    def dim(self) -> int:
        """D, how many numbers an example has."""

    @property
    def num_classes(self) -> int:
        """K, of how many classes it gives probabilities; 0 for none."""

    @property
    def protocol(self) -> dict[str, Any]:
        """All that the features follow from: name, digest of the weights, resize."""

    def __call__(self, values: np.ndarray) -> Extracted:
        """The features of B examples, whatever B is.

        Args:
          values: as the data source has them: uint8 [B, H, W, C] grey levels, or float32 [B, ...].

        Raises:
          UserError: examples that the features do not take.
        """


class Features(abc.ABC):
    """Features by name; its fields are those of --features=NAME:field=value."""

    def validate(self) -> None:
        """Stop fields that no data set would do for.

        Raises:
          ValueError: one is of another type or out of range.
        """
        check_ranges(self)

    @abc.abstractmethod
    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> Extractor:
        """The features for one data set.

        Args:
          train: the training split, whose codec and shape the examples have.
          folder: where what is made for this data set (a classifier, principal axes) is kept.
          seed: of what is random in making it.
          test: the test split, on which a classifier's accuracy is measured.

        Raises:
          UserError: the data are not what these features take, or a file of weights is not.
        """


def check_shape(values: np.ndarray, shape: tuple[int, ...]) -> None:
    """Stop examples of another shape than the training data's.

    Args:
      values: [B, ...].
      shape: of a training example.

    Raises:
      UserError: they are.
    """
    if values.shape[1:] != shape:
        raise UserError(
            f"samples: got examples of shape {values.shape[1:]}, takes {shape}, as the data have"
        )
