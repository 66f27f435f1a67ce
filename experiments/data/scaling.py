"""Between grey levels and model units.

The model's range [lo, hi] is [-1, 1] (`centered`) or [0, 1]. L grey levels cut it into L bins of
width

    Δ = (hi − lo) / L,         level k is the bin [lo + kΔ, lo + (k + 1)Δ).             (1)

A model gives a density p on the range; the probability of level k is its integral over bin k. With
x uniform in the bin (uniform dequantization), Jensen's inequality bounds it from below:

    log P(k) = log ∫_bin p ≥ E_x[log p(x)] + d log Δ,   d the number of dimensions,     (2)

so the bits per dimension are −(log p / d + log Δ) / ln 2, and the offset −log₂ Δ that this adds to
those of the density is log₂(L/2) in [-1, 1] and log₂ L in [0, 1]: 7 and 8 for 256 levels. A uniform
density on the range has exactly log₂ L bits per dimension in both.

The functions work on NumPy arrays, JAX arrays and tracers alike. Continuous data (levels None) are
in model units already, and their bits per dimension are those of the density.
"""

import math
from typing import Any

Array = Any  # np.ndarray or jax.Array


def bin_width(levels: int | None, centered: bool) -> float:
    """Δ of equation (1); 1 for continuous data, whose density is counted as it is."""
    if levels is None:
        return 1.0
    return (2.0 if centered else 1.0) / levels


def to_model(k: Array, levels: int | None, centered: bool, u: Array | float = 0.5) -> Array:
    """Grey levels in model units: lo + (k + u)Δ.

    Args:
      k: integers 0..levels-1, of any shape.
      levels: L; None returns k unchanged.
      centered: the range is [-1, 1], not [0, 1].
      u: the place in the bin: 0.5 is its centre; noise uniform in [0, 1), of k's shape,
        dequantizes.

    Returns:
      float32, of k's shape.
    """
    if levels is None:
        return k
    return (k.astype("float32") + u) * bin_width(levels, centered) + _low(centered)


def to_levels(x: Array, levels: int | None, centered: bool) -> Array:
    """The grey level whose bin holds x: clip(⌊(x − lo)/Δ⌋, 0, L − 1), as uint8.

    Args:
      x: floats in model units, of any shape; values outside the range get the first or last level.
      levels: L; None returns x unchanged.
      centered: the range is [-1, 1], not [0, 1].
    """
    if levels is None:
        return x
    position = (x - _low(centered)) / bin_width(levels, centered)
    # After the clip nothing is negative, so that the cast, which truncates, is the floor.
    return position.clip(0, levels - 1).astype("uint8")


def bits_per_dim(log_prob: Array, dim: int, levels: int | None, centered: bool) -> Array:
    """Bits per dimension of a density in model units, equation (2).

    Args:
      log_prob: log-density in nats, of any shape.
      dim: number of dimensions of an example.
      levels: L; None for continuous data.
      centered: the range is [-1, 1], not [0, 1].
    """
    return -(log_prob / dim + math.log(bin_width(levels, centered))) / math.log(2)


def _low(centered: bool) -> float:
    """The lower end of the model's range."""
    return -1.0 if centered else 0.0
