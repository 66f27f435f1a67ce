"""What metrics compare: sets of examples by their features, and the moments of such sets.

Moments of several batches A, B are joined without a second pass, in float64 (Chan's update):

    n = n_A + n_B,    δ = mean_B − mean_A,    mean = mean_A + δ n_B/n             (1)
    scatter = scatter_A + scatter_B + δ δᵀ n_A n_B/n                              (2)

with scatter = Σ (x − mean)(x − mean)ᵀ, so that covariance = scatter/(n − 1) is unbiased, and what
is summed never cancels against the square of a mean.

Reference: Chan, Golub & LeVeque 1983 "Algorithms for computing the sample variance", eq. 2.1.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

_BATCH = 4096
"""Examples that are held in float64 at a time."""


def blocks(num: int, size: int = _BATCH) -> Iterator[slice]:
    """The slices of at most `size` rows that cover 0 … num − 1."""
    return (slice(start, min(start + size, num)) for start in range(0, num, size))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """A set of N examples as a feature network sees them.

    Args:
      features: float32 [N, D]; may lie on disk, as `np.memmap`.
      probabilities: float32 [N, K], of the classes that the network knows; None where it knows
        none.
      labels: int [N], the classes that the data, or who asked for the samples, gave them.
    """

    features: np.ndarray
    probabilities: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def num(self) -> int:
        """N."""
        return len(self.features)

    @property
    def dim(self) -> int:
        """D."""
        return self.features.shape[1]

    def take(self, rows: np.ndarray | slice) -> "Examples":
        """The examples of these rows."""
        return Examples(
            features=self.features[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            labels=None if self.labels is None else self.labels[rows],
        )

    def some(self, limit: int, rng: np.random.Generator) -> np.ndarray:
        """Features of at most `limit` of them, at random without repeats, in their order."""
        if self.num <= limit:
            return np.asarray(self.features)
        return self.features[np.sort(rng.choice(self.num, limit, replace=False))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and unbiased covariance of the features of a set.

    Args:
      mean: float64 [D].
      covariance: float64 [D, D], of sums over N − 1.
      num: N; None where a published file does not say it.
    """

    mean: np.ndarray
    covariance: np.ndarray
    num: int | None

    @classmethod
    def of(cls, features: np.ndarray, rows: np.ndarray | None = None) -> "Moments":
        """The moments of a set, of which a batch is in memory at a time.

        Args:
          features: [N, D], N ≥ 2.
          rows: which of them; all by default.
        """
        running = RunningMoments(features.shape[1])
        for batch in blocks(len(features) if rows is None else len(rows)):
            running.add(features[batch if rows is None else rows[batch]])
        return running.moments()

    @property
    def dim(self) -> int:
        """D."""
        return len(self.mean)


class RunningMoments:
    """The moments of what has been added so far, a batch at a time.

    Args:
      dim: D.
    """

    def __init__(self, dim: int):
        self.num = 0
        self._mean, self._scatter = np.zeros(dim), np.zeros((dim, dim))

    def add(self, features: np.ndarray) -> None:
        """Add a batch [B, D], by eqs. 1 and 2 of `sets`."""
        batch = np.asarray(features, dtype=np.float64)
        mean = batch.mean(axis=0)
        centred, shift = batch - mean, mean - self._mean
        num = self.num + len(batch)
        self._scatter += centred.T @ centred
        self._scatter += np.outer(shift, shift) * (self.num * len(batch) / num)
        self._mean += shift * (len(batch) / num)
        self.num = num

    def moments(self) -> Moments:
        """The moments; of two examples at least."""
        if self.num < 2:
            raise ValueError(f"moments: got {self.num} examples, takes 2 or more")
        covariance = self._scatter / (self.num - 1)
        return Moments(mean=self._mean.copy(), covariance=covariance, num=self.num)
