"""The kernel distance: the maximum mean discrepancy under a polynomial kernel.

    k(x, y) = (x·y/D + 1)³                                                        (1)

by eq. 1 of `discrepancy`, which is without bias at any size, where the Fréchet distance is not. The
published number (KID, of Inception features) is the mean over random subsets ± their standard
deviation; the one over all pairs has less noise.

Reference: Bińkowski et al. 2018, §4.
"""

import dataclasses

import numpy as np

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.discrepancy import discrepancy, pair_sums, pair_sums_within
from experiments.evaluation.metrics.intervals import student_interval
from experiments.evaluation.metrics.metric import Metric, metrics
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged


@metrics.register("kd")
@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelDistance(Metric):
    """The kernel distance `kd` over all pairs, and `kd_subsets` as it is published.

    Args:
      subsets: how many, each drawn anew; 0: none.
      subset_size: examples of either set in a subset. Sets that are no larger have no `kd_subsets`.
      all_pairs: whether `kd` is computed; it takes D · (N + M)² operations.
    """

    subsets: int = ranged(100, low=0)
    subset_size: int = ranged(1000, low=2)
    all_pairs: bool = True

    def __post_init__(self) -> None:
        if not self.all_pairs and not self.subsets:
            raise ValueError("subsets: got 0 without all_pairs, takes 1 or more")

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """`kd` and, where the sets are larger than a subset, `kd_subsets`."""
        assert isinstance(reference, Examples)
        x, y = generated.features, reference.features
        found = {}
        if self.all_pairs or min(len(x), len(y)) <= self.subset_size:
            found["kd"] = kernel_distance(x, y)
        if self.subsets and min(len(x), len(y)) > self.subset_size:
            found["kd_subsets"] = self._by_subsets(x, y, seed)
        return found

    def _by_subsets(self, x: np.ndarray, y: np.ndarray, seed: int) -> Estimate:
        """The mean over subsets; the published ± is `standard_deviation`.

        The standard error is that of the choice of subsets, of the same examples.
        """
        rng = np.random.default_rng(seed)
        values = []
        for _ in range(self.subsets):
            rows = [np.sort(rng.choice(len(z), self.subset_size, replace=False)) for z in (x, y)]
            values.append(kernel_distance(x[rows[0]], y[rows[1]]).value)
        details = {
            "subsets": self.subsets,
            "subset_size": self.subset_size,
            "standard_deviation": float(np.std(values)),
        }
        return dataclasses.replace(student_interval(values), details=details)


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The kernel of eq. 1 of all pairs of [N, D] and [M, D], float64 [N, M]."""
    values = x.astype(np.float64) @ y.astype(np.float64).T
    values /= x.shape[1]
    values += 1
    return values * values * values


def kernel_distance(x: np.ndarray, y: np.ndarray) -> Estimate:
    """MMD² of features [N, D] and [M, D] over all pairs, with its standard error."""
    within = pair_sums_within(x, polynomial), pair_sums_within(y, polynomial)
    return discrepancy(*within, pair_sums(x, y, polynomial))
