"""Features without a network: the values themselves, and their principal components.

With x the values of an example as one vector, grey levels from 0 to 1, m the mean of the training
examples and V the D axes of their largest variance,

    pixels   x                                                                           (1)
    pca      Vᵀ (x − m)                                                                  (2)
"""

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from experiments.data import Codec, Split
from experiments.errors import UserError
from experiments.evaluation.features.extractor import Extracted, Features, check_shape, features
from experiments.evaluation.features.kept import kept
from experiments.workdir.results import digest
from sde_lib import ranged

_FIT_BYTES = 2**30
"""Of the examples that the axes are fitted to: 87,381 of 32×32×3, 1,365 of 256×256×3."""


@features.register("pixels")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Pixels(Features):
    """The values themselves: grey levels from 0 to 1, or the coordinates of points."""

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> "Flat":
        return Flat(train.codec, train.shape)


@dataclasses.dataclass(frozen=True)
class Flat:
    """Eq. 1 of `pixels`: each example as one vector.

    Args:
      codec: of the data.
      shape: of one example.
    """

    codec: Codec
    shape: tuple[int, ...]
    num_classes = 0

    @property
    def dim(self) -> int:
        """The numbers of an example."""
        return math.prod(self.shape)

    @property
    def protocol(self) -> dict[str, Any]:
        """The name alone."""
        return {"name": "pixels"}

    def __call__(self, values: np.ndarray) -> Extracted:
        check_shape(values, self.shape)
        return Extracted(self.codec.intensities(values).reshape(len(values), -1))


@features.register("pca")
@dataclasses.dataclass(frozen=True, kw_only=True)
class PCA(Features):
    """The principal components of the values, of the axes of the training examples.

    Where the training split is larger than 1 GiB in float32, the axes are those of every k-th
    example.

    Args:
      dim: number of components.
    """

    dim: int = ranged(64, low=1)

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> "Projection":
        flat = Flat(train.codec, train.shape)
        every = max(1, math.ceil(4 * flat.dim * train.num / _FIT_BYTES))
        rows = np.arange(0, train.num, every)
        most = min(flat.dim, len(rows))
        if self.dim > most:
            raise UserError(
                f"--features: pca: dim: got {self.dim}, takes at most {most}, of {len(rows)} "
                f"examples of {flat.dim} numbers"
            )
        facts = {"name": "pca", "dim": self.dim, "seed": seed}
        axes = kept(folder, facts, train, lambda: _fitted(flat, train, rows, self.dim, seed))
        return Projection(flat, axes["mean"], axes["axes"])


def _fitted(
    flat: Flat, train: Split, rows: np.ndarray, dim: int, seed: int
) -> dict[str, np.ndarray]:
    from sklearn.decomposition import PCA as Decomposition

    fitted = Decomposition(dim, random_state=seed).fit(flat(train.read(rows).values).features)
    return {
        "mean": fitted.mean_.astype(np.float32),
        "axes": fitted.components_.astype(np.float32),
    }


@dataclasses.dataclass(frozen=True)
class Projection:
    """Eq. 2 of `pixels`.

    Args:
      flat: x.
      mean: m, float32 [N].
      axes: Vᵀ, float32 [D, N].
    """

    flat: Flat
    mean: np.ndarray
    axes: np.ndarray
    num_classes = 0

    @property
    def dim(self) -> int:
        """The number of components."""
        return len(self.axes)

    @property
    def protocol(self) -> dict[str, Any]:
        """The number of components, and a digest of the axes."""
        return {"name": "pca", "dim": self.dim, "digest": digest([self.mean, self.axes])}

    def __call__(self, values: np.ndarray) -> Extracted:
        return Extracted((self.flat(values).features - self.mean) @ self.axes.T)
