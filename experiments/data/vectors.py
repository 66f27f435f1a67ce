"""Vectors that examples are conditioned on, standardised as those of the training split are.

z = (vector − mean) / std,     mean and std over the training split, feature by feature     (1)
"""

from collections.abc import Sequence

import numpy as np


def moments(vectors: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations of vectors [N, D], feature by feature.

    Args:
      vectors: those of the training split; finite.

    Returns:
      D means, and D deviations, 1 for a feature that is constant.
    """
    std = vectors.std(axis=0, dtype=np.float64)
    # Rounding may give a constant a deviation, and a tiny one none.
    constant = (vectors.min(axis=0) == vectors.max(axis=0)) | (std == 0)
    mean = vectors.mean(axis=0, dtype=np.float64)
    return tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist())


def standardise(vectors: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Vectors [..., D] in units of the source as a model sees them, float32; eq. 1."""
    return ((vectors - np.asarray(mean)) / np.asarray(std)).astype(np.float32)
