"""How often a classifier gives conditional samples the class that was asked for."""

import dataclasses

import numpy as np

from experiments.errors import UserError
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.intervals import wilson
from experiments.evaluation.metrics.metric import LABELS, PROBABILITIES, TEST, Metric, metrics
from experiments.evaluation.sets import Examples, Moments


@metrics.register("accuracy")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy(Metric):
    """The label accuracy `accuracy`: the fraction of samples whose likeliest class is their label.

    A classifier errs on real examples, too: `accuracy_reference` and `accuracy_test` are the
    fractions of those that it gets right, where they have labels.
    """

    needs = frozenset({LABELS, PROBABILITIES})
    wants = frozenset({TEST})
    least = 1

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """The fractions with Wilson's intervals, and by class in their details."""
        sets = {"accuracy": generated, "accuracy_reference": reference, "accuracy_test": test}
        return {
            name: label_accuracy(given)
            for name, given in sets.items()
            if isinstance(given, Examples)
            and given.labels is not None
            and given.probabilities is not None
        }


def label_accuracy(examples: Examples) -> Estimate:
    """The fraction of examples whose likeliest class is their label.

    Raises:
      UserError: a label is no class of the classifier's.
    """
    assert examples.labels is not None
    assert examples.probabilities is not None
    labels, classes = examples.labels, examples.probabilities.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise UserError(f"metrics: accuracy: got label {wrong}, takes 0 to {classes - 1}")
    right = examples.probabilities.argmax(axis=1) == labels
    by_class = {int(c): float(right[labels == c].mean()) for c in np.unique(labels)}
    estimate = wilson(int(right.sum()), len(right))
    return dataclasses.replace(estimate, details={"by_class": by_class})
