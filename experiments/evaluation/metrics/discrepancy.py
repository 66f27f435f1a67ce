"""The maximum mean discrepancy of two sets under a kernel, without bias, and its standard error.

Of x_1 … x_N, y_1 … y_M and a kernel k,

    MMD² = Σ_{i≠j} k(x_i, x_j)/(N(N−1)) + Σ_{i≠j} k(y_i, y_j)/(M(M−1)) − 2 Σ k(x_i, y_j)/(N M)  (1)

may be negative. Written as what single examples add (the first-order terms a(x), b(y)), and what is
left of pairs with mean 0 under either of them (of variances τ), all uncorrelated (Hoeffding),

    Var = 4 Var a/N + 4 Var b/M + 2 τ_xx/(N(N−1)) + 2 τ_yy/(M(M−1)) + 4 τ_xy/(N M)              (2)

Where both sets are of the same law, a = b = 0 and the τ are all of it. Sums by row have the noise
of what they sum, so

    Var(row means) = Var(first-order term) + τ/(number of summands)                             (3)

which is solved for the τ and the variances. Where noise makes the variance of the first-order terms
negative, 0 is taken: near equal laws the standard error is a quarter too large, about.

References: Gretton et al. 2012, eq. 3 (1); Serfling 1980, §5.2.1 (2).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.distances import tiles
from experiments.evaluation.metrics.intervals import LEVEL
from experiments.evaluation.sets import blocks

# From features [N, D] and [M, D] to the values of all pairs, float64 [N, M].
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Rows and columns of a piece: 32 MB of values.
_SIDE = 2048


@dataclasses.dataclass(frozen=True)
class PairSums:
    """Sums of a kernel over pairs of two sets, or of one set without an example's own pair.

    Args:
      rows: float64 [N], over the second of a pair.
      columns: float64 [M], over the first.
      squares: the sum of squares.
      within: whether it is of one set.
    """

    rows: np.ndarray
    columns: np.ndarray
    squares: float
    within: bool = False

    @classmethod
    def of_matrix(cls, matrix: np.ndarray, *, within: bool = False) -> "PairSums":
        """Of the values [N, M] of all pairs; the diagonal is 0 within a set."""
        return cls(matrix.sum(axis=1), matrix.sum(axis=0), float(np.vdot(matrix, matrix)), within)

    @property
    def pairs(self) -> int:
        """How many there are."""
        return len(self.rows) * (len(self.columns) - self.within)

    @property
    def mean(self) -> float:
        """The mean over pairs."""
        return float(self.rows.sum()) / self.pairs

    @property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """The means by row [N], and by column [M]."""
        return (
            self.rows / (len(self.columns) - self.within),
            self.columns / (len(self.rows) - self.within),
        )

    @property
    def left(self) -> float:
        """τ: the variance of what pairs are beyond their rows' and columns' terms, by eq. 3."""
        by_row, by_column = self.means
        known = np.var(by_row, ddof=1) + np.var(by_column, ddof=1)
        kept = 1 - 1 / (len(self.columns) - self.within) - 1 / (len(self.rows) - self.within)
        if kept <= 0:
            return 0.0
        return max(0.0, float(self.squares / self.pairs - self.mean**2 - known) / kept)


def pair_sums(x: np.ndarray, y: np.ndarray, kernel: Kernel) -> PairSums:
    """Sums over all pairs of features [N, D] and [M, D], a piece of the matrix at a time."""
    rows, columns, squares = np.zeros(len(x)), np.zeros(len(y)), 0.0
    for these, those in tiles(len(x), len(y)):
        values = kernel(x[these], y[those])
        rows[these] += values.sum(axis=1)
        columns[those] += values.sum(axis=0)
        squares += float(np.vdot(values, values))
    return PairSums(rows, columns, squares)


def pair_sums_within(x: np.ndarray, kernel: Kernel) -> PairSums:
    """Sums over all pairs of different examples of features [N, D]; half of them are computed."""
    rows, squares = np.zeros(len(x)), 0.0
    for these in blocks(len(x), _SIDE):
        for those in blocks(these.stop, _SIDE):
            values = kernel(x[these], x[those])
            if those.start == these.start:
                np.fill_diagonal(values, 0)
            else:
                rows[those] += values.sum(axis=0)
                squares += float(np.vdot(values, values))
            rows[these] += values.sum(axis=1)
            squares += float(np.vdot(values, values))
    return PairSums(rows, rows, squares, within=True)


def discrepancy(xx: PairSums, yy: PairSums, xy: PairSums) -> Estimate:
    """MMD² of eq. 1, with the standard error of eq. 2 and the normal law's interval.

    Args:
      xx, yy: sums within the sets.
      xy: sums over pairs of both.
    """
    value = xx.mean + yy.mean - 2 * xy.mean
    singles, pairs = variances(xx, yy, xy)
    error = (max(0.0, singles) + pairs) ** 0.5
    half = float(ndtri((1 + LEVEL) / 2)) * error
    return Estimate(value, error, value - half, value + half)


def variances(xx: PairSums, yy: PairSums, xy: PairSums) -> tuple[float, float]:
    """The parts of eq. 2 without bias: of single examples, which noise may make < 0, and of pairs.

    Arguments are those of `discrepancy`.
    """
    num, other = len(xy.rows), len(xy.columns)
    a, b = xx.means[0] - xy.means[0], yy.means[0] - xy.means[1]
    first = float(np.var(a, ddof=1)) - xx.left / (num - 1) - xy.left / other
    second = float(np.var(b, ddof=1)) - yy.left / (other - 1) - xy.left / num
    pairs = 2 * xx.left / xx.pairs + 2 * yy.left / yy.pairs + 4 * xy.left / xy.pairs
    return 4 * first / num + 4 * second / other, pairs
