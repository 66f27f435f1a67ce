"""Distances between the examples of two sets, and nearest neighbours, in pieces of memory.

    |x − y|² = |x|² + |y|² − 2 x·y                                                (1)

loses to rounding what |x|² and |y|² have in common. So it is taken in float64, about a point in
the middle of the data.

An example is no neighbour of its own: among itself a set is searched without it, by its number, so
that a second copy does count.
"""

from collections.abc import Iterator

import numpy as np

from experiments.evaluation.sets import blocks

# Rows and columns of a tile: 64 MB of distances, and as much of 2048 features.
_ROWS, _COLUMNS = 2048, 4096


def tiles(num: int, other: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the pieces that a matrix [num, other] is made of."""
    return ((rows, columns) for rows in blocks(num, _ROWS) for columns in blocks(other, _COLUMNS))


def squared_distances(x: np.ndarray, y: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """|x − y|² of all pairs, float64 [N, M], by eq. 1.

    Args:
      x: features [N, D].
      y: features [M, D].
      origin: [D], a point in their middle.
    """
    x, y = x - origin.astype(np.float64), y - origin.astype(np.float64)
    squares = x @ (-2 * y.T)
    squares += np.sum(x**2, axis=1)[:, None]
    squares += np.sum(y**2, axis=1)
    return np.maximum(squares, 0, out=squares)


def neighbours(
    generated: np.ndarray, reference: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest reference examples of each generated one, the nearest first.

    Args:
      generated: features [N, D].
      reference: features [M, D], M ≥ k.
      k: how many.

    Returns:
      Distances float64 [N, k], and the rows of the reference int [N, k].
    """
    return _search(reference).kneighbors(generated, n_neighbors=k)


def neighbours_within(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other examples of each, as of `neighbours`; k < N."""
    return _search(features).kneighbors(n_neighbors=k)


def _search(features: np.ndarray):
    """scikit-learn's: a tree in few dimensions, else all distances, a piece at a time."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors().fit(features)
