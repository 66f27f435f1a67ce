"""Label accuracy of conditional samples."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.accuracy import Accuracy
from experiments.evaluation.sets import Examples, Moments


def seen_as(classes, labels):
    probabilities = np.eye(3)[classes] + 0.1
    return Examples(
        features=np.zeros((len(labels), 1)), probabilities=probabilities, labels=np.array(labels)
    )


def test_the_fraction_that_is_right():
    """By class, too, and beside it what the classifier makes of real examples."""
    ours, real = seen_as([0, 0, 1, 2], [0, 1, 1, 2]), seen_as([0, 1, 2], [0, 1, 2])
    found = Accuracy().measure(ours, real, real.take(slice(2)))
    assert {name: e.value for name, e in found.items()} == {
        "accuracy": 0.75,
        "accuracy_reference": 1.0,
        "accuracy_test": 1.0,
    }
    assert found["accuracy"].details == {"by_class": {0: 1.0, 1: 0.5, 2: 1.0}}
    assert list(Accuracy().measure(ours, Moments.of(np.eye(2)[:, :1]))) == ["accuracy"]


def test_labels_of_other_classes():
    with pytest.raises(UserError, match="accuracy: got label 3, takes 0 to 2"):
        Accuracy().measure(seen_as([0, 1], [0, 3]), seen_as([0, 1], [0, 1]))
