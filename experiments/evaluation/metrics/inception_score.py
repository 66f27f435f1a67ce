"""The Inception score: whether samples are of a clear class each, and of all classes together.

With p(y|x) the probabilities that a classifier gives to a sample x, and p(y) their mean,

    IS = exp E KL(p(y|x) ‖ p(y))                                                  (1)

of each of several splits; the published number is the mean over splits ± their standard deviation.
It is between 1 and the number of classes, compares with no data, and is low for few samples a
split. Which samples share a split matters, so the order is shuffled.

Reference: Salimans et al. 2016, §4.
"""

import dataclasses
import itertools

import numpy as np
from scipy.special import rel_entr

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.intervals import student_interval
from experiments.evaluation.metrics.metric import PROBABILITIES, Metric, metrics
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged


@metrics.register("is")
@dataclasses.dataclass(frozen=True, kw_only=True)
class InceptionScore(Metric):
    """The Inception score `is`, eq. 1 of `inception_score`; its splits are in the details.

    Args:
      splits: how many.
    """

    needs = frozenset({PROBABILITIES})
    splits: int = ranged(10, low=1)

    @property
    def least(self) -> int:
        """Two in each split."""
        return 2 * self.splits

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """The mean over splits with its standard error; the published ± is `standard_deviation`."""
        assert generated.probabilities is not None
        order = np.random.default_rng(seed).permutation(generated.num)
        scores = inception_scores(generated.probabilities[order], self.splits)
        details = {"splits": scores.tolist(), "standard_deviation": float(scores.std())}
        return {"is": dataclasses.replace(student_interval(scores), details=details)}


def inception_scores(probabilities: np.ndarray, splits: int) -> np.ndarray:
    """The score of each of equal parts of samples in their order, [splits], eq. 1.

    Args:
      probabilities: [N, K]; scaled to sums of 1, which float32 keeps to 1e-7 alone.
      splits: how many parts; their sizes differ by one at most.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    ends = np.arange(splits + 1) * len(probabilities) // splits
    parts = [probabilities[start:end] for start, end in itertools.pairwise(ends)]
    divergences = [rel_entr(part, part.mean(axis=0)).sum(axis=1).mean() for part in parts]
    return np.exp(divergences)
