"""Precision, recall, density and coverage: whether samples are likely, and whether all are there.

B_k(z) is the ball about z that reaches to the k-th nearest other example of its set. Of generated
examples g_1 … g_N and reference examples r_1 … r_M,

    precision = fraction of g that lie in some B_k(r)                             (1)
    recall    = fraction of r that lie in some B_k(g)                             (2)
    density   = 1/(k N) Σ_g |{r: g ∈ B_k(r)}|                                     (3)
    coverage  = fraction of r with some g in B_k(r)                               (4)

Where both sets are of the same law, E density = 1 and

    E coverage = 1 − Π_{i=1…k} (M − i)/(N + M − i)                                (5)

for the distances of N generated and M − 1 other reference examples are in random order: (4) fails
where the k nearest of them are all of the reference. Precision and recall have no such value; they
depend on the law.

Intervals take what is counted for independent: exact of (1), of generated examples. Reference
examples that are neighbours share who covers them, so that those of (2) and (4) are too narrow, in
few dimensions up to 1.5 times.

References: Kynkäänniemi et al. 2019, eqs. 1, 2 (precision, recall); Naeem et al. 2020, eqs. 4–8.
"""

import dataclasses
import math

import numpy as np

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.distances import neighbours_within, squared_distances, tiles
from experiments.evaluation.metrics.intervals import student_interval, wilson
from experiments.evaluation.metrics.metric import Metric, metrics
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged


@metrics.register("prdc")
@dataclasses.dataclass(frozen=True, kw_only=True)
class PRDC(Metric):
    """`precision`, `recall`, `density` and `coverage`, eqs. 1–4 of `prdc`.

    Args:
      k: of precision and recall.
      k_density: of density and coverage.
    """

    k: int = ranged(3, low=1)
    k_density: int = ranged(5, low=1)

    @property
    def least(self) -> int:
        """One more than the neighbours of an example."""
        return max(self.k, self.k_density) + 1

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """The four, with the values of equal laws in the details of `density` and `coverage`."""
        assert isinstance(reference, Examples)
        balls = self._balls(generated.features, reference.features)
        density = student_interval(balls.holding / self.k_density)
        null = {"k": self.k_density, "of_equal_sets": 1.0}
        expected = expected_coverage(generated.num, reference.num, self.k_density)
        coverage = wilson(int(balls.covered.sum()), reference.num)
        return {
            "precision": _fraction(balls.precise, {"k": self.k}),
            "recall": _fraction(balls.recalled, {"k": self.k}),
            "density": dataclasses.replace(density, details=null),
            "coverage": dataclasses.replace(coverage, details=null | {"of_equal_sets": expected}),
        }

    def _balls(self, generated: np.ndarray, reference: np.ndarray) -> "_Balls":
        """Who lies in whose ball, by all distances."""
        most = max(self.k, self.k_density)
        reach = neighbours_within(reference, most)[0] ** 2
        narrow, wide = reach[:, self.k - 1], reach[:, self.k_density - 1]
        own = neighbours_within(generated, self.k)[0][:, -1] ** 2
        balls = _Balls.empty(len(generated), len(reference))
        origin = reference.mean(axis=0, dtype=np.float64)
        for rows, columns in tiles(len(generated), len(reference)):
            squares = squared_distances(generated[rows], reference[columns], origin)
            within = squares <= wide[columns]
            balls.holding[rows] += np.count_nonzero(within, axis=1)
            balls.covered[columns] |= within.any(axis=0)
            balls.precise[rows] |= (squares <= narrow[columns]).any(axis=1)
            balls.recalled[columns] |= (squares <= own[rows, None]).any(axis=0)
        return balls


@dataclasses.dataclass(frozen=True)
class _Balls:
    """Of N generated and M reference examples, who lies in whose ball.

    Args:
      precise: bool [N], in a reference ball.
      recalled: bool [M], in a generated ball.
      holding: int [N], how many reference balls hold it.
      covered: bool [M], whose ball holds a generated example.
    """

    precise: np.ndarray
    recalled: np.ndarray
    holding: np.ndarray
    covered: np.ndarray

    @classmethod
    def empty(cls, num: int, num_reference: int) -> "_Balls":
        """None in any."""
        no, none = np.zeros(num, dtype=bool), np.zeros(num_reference, dtype=bool)
        return cls(no, none, np.zeros(num, dtype=np.int64), none.copy())


def expected_coverage(num: int, num_reference: int, k: int) -> float:
    """E coverage of N generated examples of the law of M reference ones, eq. 5."""
    return 1 - math.prod((num_reference - i) / (num + num_reference - i) for i in range(1, k + 1))


def _fraction(hits: np.ndarray, details: dict) -> Estimate:
    return dataclasses.replace(wilson(int(hits.sum()), len(hits)), details=details)
