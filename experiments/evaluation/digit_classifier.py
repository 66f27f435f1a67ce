"""A classifier of the real digits, to say whether generated ones are recognised."""

import dataclasses

import numpy as np

from experiments.data import Split


@dataclasses.dataclass(frozen=True)
class Recognition:
    """How a classifier sees some digits.

    Args:
      confident: fraction of the digits to whose likeliest class it gives more than 0.9.
      counts: int [10], how often it sees each class.
    """

    confident: float
    counts: np.ndarray


class DigitClassifier:
    """A perceptron that has been fitted to the real training digits.

    Args:
      train, test: the real digits, with labels.

    Attributes:
      test_accuracy: fraction of the real test split that it gets right.
      of_real: how it sees these.
    """

    def __init__(self, train: Split, test: Split):
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        self._network = MLPClassifier((128,), max_iter=400, random_state=0)
        # Of products so small threads wait for each other: on a busy machine 20 times as long.
        with threadpool_limits(1):
            self._network.fit(_features(train.values), train.labels)
        predicted = self._network.predict(_features(test.values))
        self.test_accuracy = float(np.mean(predicted == test.labels))
        self.of_real = self.recognise(test.values)

    def recognise(self, samples: np.ndarray) -> Recognition:
        """Show it samples: grey levels uint8 [N, 8, 8, 1]."""
        probabilities = self._network.predict_proba(_features(samples))
        return Recognition(
            confident=float(np.mean(probabilities.max(axis=1) > 0.9)),
            counts=np.bincount(probabilities.argmax(axis=1), minlength=10),
        )


def _features(values: np.ndarray) -> np.ndarray:
    """Grey levels 0 … 16 as numbers in [0, 1], [N, 64]."""
    return values.reshape(len(values), -1) / 16.0
