"""The maximum mean discrepancy under a Gaussian kernel, and a test by permutations.

    k(x, y) = exp(−|x − y|²/(2 h²))                                               (1)

by eq. 1 of `discrepancy`: squared, without bias, 0 on average where both sets are of one law, and
only there. h is the median distance between reference examples.

Were both sets of one law, who belongs to which would not matter: of P random exchanges of the
examples of both, with the observed one, the p-value is the fraction whose MMD² is as large,

    p = (1 + |{permutations with MMD² ≥ the observed one}|)/(1 + P)               (2)

Reference: Gretton et al. 2012, §§2–3, 8 (median).
"""

import dataclasses

import numpy as np

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.discrepancy import PairSums, discrepancy
from experiments.evaluation.metrics.distances import squared_distances
from experiments.evaluation.metrics.metric import Metric, metrics
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged


@metrics.register("mmd")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MMD(Metric):
    """MMD² `mmd` under a Gaussian kernel, with the `p_value` of equal laws in its details.

    Args:
      bandwidth: h; None: the median distance between reference examples.
      permutations: P.
      limit: examples of either set, at random, that are compared: memory is 32 · limit² bytes.
    """

    bandwidth: float | None = ranged(None, above=0)
    permutations: int = ranged(500, low=19)
    limit: int = ranged(2000, low=2)

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """`mmd`, its p-value and bandwidth."""
        assert isinstance(reference, Examples)
        rng = np.random.default_rng(seed)
        x, y = (e.some(self.limit, rng) for e in (generated, reference))
        pooled = np.concatenate([x, y])
        squares = squared_distances(pooled, pooled, y.mean(axis=0, dtype=np.float64))
        num = len(x)
        bandwidth = self.bandwidth or median_distance(squares[num:, num:])
        kernel = np.exp(squares / (-2 * bandwidth**2), out=squares)
        np.fill_diagonal(kernel, 0)
        estimate = discrepancy(
            PairSums.of_matrix(kernel[:num, :num], within=True),
            PairSums.of_matrix(kernel[num:, num:], within=True),
            PairSums.of_matrix(kernel[:num, num:]),
        )
        permuted = _of_permutations(kernel, num, self.permutations, rng)
        # Rounding tells apart what exchanges of equal examples leave equal.
        as_large = int(np.count_nonzero(permuted >= estimate.value - 1e-12))
        details = {
            "p_value": (1 + as_large) / (1 + self.permutations),
            "permutations": self.permutations,
            "bandwidth": bandwidth,
            "examples": [num, len(y)],
        }
        return {"mmd": dataclasses.replace(estimate, details=details)}


def median_distance(squares: np.ndarray) -> float:
    """The median distance between different examples, of the squares [N, N] of all.

    Half of them being equal, the median is of those that differ; 1 where all are equal.
    """
    between = np.sqrt(squares[np.triu_indices(len(squares), 1)])
    median = float(np.median(between))
    if median == 0 and between.any():
        median = float(np.median(between[between > 0]))
    return median or 1.0


def _of_permutations(
    kernel: np.ndarray, num: int, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """MMD² of random exchanges, [P].

    Args:
      kernel: of all pairs of both sets, 0 on the diagonal.
      num: N, the size of the first.
      permutations: P.
      rng: of the exchanges.
    """
    total = len(kernel)
    other = total - num
    first = np.arange(total)[:, None] < num
    members = rng.permuted(np.repeat(first, permutations, axis=1), axis=0).astype(np.float64)
    within = np.sum(members * (kernel @ members), axis=0)
    all_of_first = members.T @ kernel.sum(axis=0)
    across = all_of_first - within
    rest = kernel.sum() - within - 2 * across
    return within / (num * (num - 1)) + rest / (other * (other - 1)) - 2 * across / (num * other)
