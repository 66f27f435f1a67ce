"""What the values of a data set are to a model, and a model's numbers as values.

The model's range [lo, hi] is [-1, 1] (`centered`) or [0, 1]. L grey levels cut it into L bins of
width

    Δ = (hi − lo) / L,         level k is the bin [lo + kΔ, lo + (k + 1)Δ).             (1)

A model gives a density p on the range, and level k the integral of p over its bin as probability;
`dequantization` bounds it. In bits/dim that is −log₂ Δ more than the density has: log₂(L/2) in
[-1, 1] and log₂ L in [0, 1], for 256 levels 7 and 8.

Codecs take NumPy arrays, JAX arrays and tracers alike.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np

Array = Any  # np.ndarray or jax.Array


class Codec(abc.ABC):
    """What values are to the model."""

    dtype: ClassVar[type[np.generic]]
    """Of values."""

    levels: int | None
    """Number of grey levels; None for continuous values."""

    @property
    @abc.abstractmethod
    def bin_width(self) -> float | None:
        """The width, in model units, of the bin that a value stands for; None: continuous."""

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What values are, whatever the model's range."""

    @abc.abstractmethod
    def encode(self, values: Array, u: Array | float = 0.5) -> Array:
        """Values of any shape in model units, float32.

        Args:
          values: of `dtype`.
          u: the place in a value's bin: 0.5 is its centre; noise uniform in [0, 1), of the values'
            shape, dequantizes.
        """

    @abc.abstractmethod
    def decode(self, x: Array) -> Array:
        """The values whose bins hold x, floats in model units."""

    @abc.abstractmethod
    def arrays(self, x: Array) -> dict[str, Any]:
        """What a .npz file says of examples x, in model units, by its keys."""

    @abc.abstractmethod
    def intensities(self, values: Array) -> Array:
        """Values as numbers that no model's range has a part in, float32: grey levels in [0, 1]."""

    @abc.abstractmethod
    def brightness(self, values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
        """Values as pictures show them, uint8 from 0 for black to 255 for white.

        Continuous ones are seen against the reference, by default themselves.
        """


@dataclasses.dataclass(frozen=True)
class PixelCodec(Codec):
    """Grey levels uint8 as bins of the model's range; eq. 1 of this module.

    Args:
      levels: L, the number of grey levels.
      centered: the model's range is [-1, 1], not [0, 1].
    """

    dtype = np.uint8
    levels: int
    centered: bool = True

    @property
    def bin_width(self) -> float:
        """Δ."""
        return (2.0 if self.centered else 1.0) / self.levels

    @property
    def words(self) -> str:
        """As "256 grey levels"."""
        return f"{self.levels} grey levels"

    def encode(self, values: Array, u: Array | float = 0.5) -> Array:
        """lo + (k + u)Δ."""
        return (values.astype("float32") + u) * self.bin_width + self._low

    def decode(self, x: Array) -> Array:
        """clip(⌊(x − lo)/Δ⌋, 0, L − 1): beyond the range it is the first or the last level."""
        position = (x - self._low) / self.bin_width
        # After the clip nothing is negative, so that the cast, which truncates, is the floor.
        return position.clip(0, self.levels - 1).astype("uint8")

    def arrays(self, x: Array) -> dict[str, Any]:
        """`images` and `levels`, as the source `npz:FILE` takes them."""
        return {"images": np.asarray(self.decode(x)), "levels": np.asarray(self.levels)}

    def brightness(self, values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
        """The first level is black and the last white."""
        return (values.astype(np.float32) * 255 / (self.levels - 1)).round().astype(np.uint8)

    def intensities(self, values: Array) -> Array:
        """k / (L − 1): the first level is 0 and the last 1."""
        return values.astype("float32") / (self.levels - 1)

    @property
    def _low(self) -> float:
        return -1.0 if self.centered else 0.0


@dataclasses.dataclass(frozen=True)
class ContinuousCodec(Codec):
    """Continuous values, float32, which are in model units already."""

    dtype = np.float32
    levels = None
    bin_width = None

    @property
    def words(self) -> str:
        """That they are any numbers."""
        return "continuous values"

    def encode(self, values: Array, u: Array | float = 0.5) -> Array:
        """The values as they are."""
        return values

    def decode(self, x: Array) -> Array:
        """x as it is."""
        return x

    def arrays(self, x: Array) -> dict[str, Any]:
        """`points`."""
        return {"points": x}

    def intensities(self, values: Array) -> Array:
        """The values as they are."""
        return values

    def brightness(self, values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
        """Black where the reference is least, and white where it is largest."""
        reference = values if reference is None else reference
        low, high = float(reference.min()), float(reference.max())
        scaled = (values.astype(np.float64) - low) / ((high - low) or 1.0)
        return (scaled.clip(0, 1) * 255).round().astype(np.uint8)


def codec_of(levels: int | None, centered: bool = True) -> Codec:
    """The codec of so many grey levels, in [-1, 1] or [0, 1]; None: of continuous values."""
    return ContinuousCodec() if levels is None else PixelCodec(levels, centered)
