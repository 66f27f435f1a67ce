"""A classifier of the real digits, to say whether generated ones are recognised."""

import dataclasses

import numpy as np

from experiments.data import Split


@dataclasses.dataclass(frozen=True)
class Recognition:
    """How a classifier sees some digits.

    Args:
      test_accuracy: fraction of the real test split that it gets right.
      confident: fraction of the digits to whose likeliest class it gives more than 0.9.
      confident_real: the same fraction of the real test split.
      counts: int [10], how often it sees each class.
    """

    test_accuracy: float
    confident: float
    confident_real: float
    counts: np.ndarray


def recognise(samples: np.ndarray, train: Split, test: Split) -> Recognition:
    """Fit a perceptron to the real training digits and show it the samples.

    Args:
      samples: grey levels uint8 [N, 8, 8, 1].
      train, test: the real digits, with labels.
    """
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    classifier = MLPClassifier((128,), max_iter=400, random_state=0)
    # Of products so small threads wait for each other: on a busy machine 20 times as long.
    with threadpool_limits(1):
        classifier.fit(_features(train.values), train.labels)
    probabilities = classifier.predict_proba(_features(samples))
    real = classifier.predict_proba(_features(test.values))
    return Recognition(
        test_accuracy=float(np.mean(real.argmax(axis=1) == test.labels)),
        confident=float(np.mean(probabilities.max(axis=1) > 0.9)),
        confident_real=float(np.mean(real.max(axis=1) > 0.9)),
        counts=np.bincount(probabilities.argmax(axis=1), minlength=10),
    )


def _features(values: np.ndarray) -> np.ndarray:
    """Grey levels 0 … 16 as numbers in [0, 1], [N, 64]."""
    return values.reshape(len(values), -1) / 16.0
