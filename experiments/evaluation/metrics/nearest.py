"""Memorisation: whether samples are copies of training examples.

Of a sample g, the nearest training example t₁ and the second nearest t₂,

    g is a copy      where |g − t₁| ≤ ⅓ |g − t₂|                                  (1)
    g is authentic   where |g − t₁| > min_{t ≠ t₁} |t₁ − t|                       (2)

A copy of an example that is twice in the data is one, too. Of D-dimensional samples of the training
law itself, (⅓)^D are copies, and as many authentic as have a nearest neighbour with a nearer one:
⅓ on a line, 0.379 in the plane, half in many dimensions; where samples cling to the training set,
fewer. Either number means something beside the same one of held-out data alone: the test set's,
against the same training set.

References: Yoon et al. 2023 (1); Alaa et al. 2022, §2.3 (2).
"""

import dataclasses

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.distances import neighbours, neighbours_within
from experiments.evaluation.metrics.intervals import wilson
from experiments.evaluation.metrics.metric import EXAMPLES, TEST, Metric, metrics
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged


@metrics.register("nearest")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Nearest(Metric):
    """The fractions `copied` and `authentic` of samples: eqs. 1, 2 of `nearest`.

    `copied_test` and `authentic_test` are those of the test set.

    Args:
      ratio: of eq. 1.
    """

    needs = frozenset({EXAMPLES, TEST})
    ratio: float = ranged(1 / 3, above=0, below=1)

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """The four fractions, with Wilson's intervals."""
        assert isinstance(reference, Examples)
        assert test is not None
        train = reference.features
        among = neighbours_within(train, 1)[0][:, 0]
        found: dict[str, Estimate] = {}
        for ending, features in {"": generated.features, "_test": test.features}.items():
            distances, rows = neighbours(features, train, 2)
            copied = distances[:, 0] <= self.ratio * distances[:, 1]
            authentic = distances[:, 0] > among[rows[:, 0]]
            found[f"copied{ending}"] = wilson(int(copied.sum()), len(copied))
            found[f"authentic{ending}"] = wilson(int(authentic.sum()), len(authentic))
        return found
