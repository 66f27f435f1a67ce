"""Distances and nearest neighbours."""

import numpy as np

from experiments.evaluation.metrics import distances
from experiments.evaluation.metrics.distances import (
    neighbours,
    neighbours_within,
    squared_distances,
    tiles,
)


def test_distances_far_from_zero(monkeypatch):
    """Of float32 features at 10⁴ deviations from zero, in pieces: nothing cancels.

    Each square is a sum of 3 · 3 products that are rounded at ε |x|², |x| some 10 about the mean.
    """
    monkeypatch.setattr(distances, "_ROWS", 7)
    monkeypatch.setattr(distances, "_COLUMNS", 5)
    rng = np.random.default_rng(0)
    x, y = ((1e4 + rng.normal(size=(n, 3))).astype(np.float32) for n in (20, 16))
    found = np.full((20, 16), np.nan)
    for rows, columns in tiles(20, 16):
        found[rows, columns] = squared_distances(x[rows], y[columns], y.mean(axis=0))
    exact = np.sum((x[:, None].astype(np.float64) - y) ** 2, axis=-1)
    np.testing.assert_allclose(found, exact, atol=9 * 100 * 2.3e-16)
    for k in (1, 3):
        far, rows = neighbours(x, y, k)
        np.testing.assert_array_equal(rows, np.argsort(exact, axis=1)[:, :k])
        np.testing.assert_allclose(far**2, np.sort(exact, axis=1)[:, :k], rtol=1e-7)


def test_no_neighbour_of_its_own():
    """Among itself an example is not counted; a second copy of it is."""
    far, rows = neighbours_within(np.array([[0.0], [1.0], [1.0], [3.0]]), 2)
    np.testing.assert_array_equal(far, [[1, 1], [0, 1], [0, 1], [2, 2]])
    assert rows[1, 0] == 2
    assert rows[2, 0] == 1
