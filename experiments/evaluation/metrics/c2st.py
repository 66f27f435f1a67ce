"""The classifier two-sample test: whether a classifier tells generated examples from real ones.

Its accuracy on examples that it was not fitted to is ½ where both sets are of one law. Each fifth
is told apart by a classifier of the other four; predictions of one fold share a classifier, so that
the binomial interval is a little too narrow.

Reference: Lopez-Paz & Oquab 2017, §3.
"""

import dataclasses
import warnings

import numpy as np
from scipy.special import bdtrc

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.intervals import wilson
from experiments.evaluation.metrics.metric import Metric, metrics
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged

_FOLDS = 5

# Fewer do not train and validate a perceptron.
_FEWEST = 50


@metrics.register("c2st")
@dataclasses.dataclass(frozen=True, kw_only=True)
class C2ST(Metric):
    """The accuracy `c2st` of a perceptron that tells generated from real: 0.5 is best.

    `p_value`, in its details, is that of equal laws.

    Args:
      limit: examples of either set, at random, that are told apart.
    """

    limit: int = ranged(2000, low=_FEWEST)

    @property
    def least(self) -> int:
        """Of each set."""
        return _FEWEST

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """The accuracy over five folds, with Wilson's interval."""
        assert isinstance(reference, Examples)
        num = min(generated.num, reference.num, self.limit)
        rng = np.random.default_rng(seed)
        both = np.concatenate([e.some(num, rng) for e in (generated, reference)])
        right = _told_apart(both, np.repeat([1, 0], num), seed)
        estimate = wilson(right, 2 * num)
        details = {"p_value": float(bdtrc(right - 1, 2 * num, 0.5)), "examples": num}
        return {"c2st": dataclasses.replace(estimate, details=details)}


def _told_apart(features: np.ndarray, labels: np.ndarray, seed: int) -> int:
    """How many labels classifiers of the other folds get right."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    perceptron = MLPClassifier((64, 64), early_stopping=True, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    # Of products so small threads wait for each other.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted = cross_val_predict(
            make_pipeline(StandardScaler(), perceptron), features, labels, cv=folds
        )
    return int(np.count_nonzero(predicted == labels))
