"""The Inception score in closed form."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.inception_score import InceptionScore, inception_scores
from experiments.evaluation.sets import Examples


def sure(labels, classes=4):
    return np.eye(classes, dtype=np.float32)[labels]


def of(probabilities):
    return Examples(features=np.zeros((len(probabilities), 1)), probabilities=probabilities)


def test_between_one_and_the_number_of_classes():
    """Sure and even: the classes; sure of one: 1; unsure: 1. Half sure of two of them by hand."""
    even = np.arange(40) % 4
    np.testing.assert_allclose(inception_scores(sure(even), 2), 4, rtol=1e-12)
    np.testing.assert_allclose(inception_scores(sure(0 * even), 3), 1, rtol=1e-12)
    np.testing.assert_allclose(inception_scores(np.full((9, 4), 0.3), 1), 1, rtol=1e-12)
    one_sure = np.array([[1, 0], [0.5, 0.5]])  # divergences log 4/3 and half of it
    np.testing.assert_allclose(inception_scores(one_sure, 1), (4 / 3) ** 0.75, rtol=1e-12)
    skewed = np.array([[0.75, 0.25], [0.25, 0.75]])
    expected = 2 * 0.75**0.75 * 0.25**0.25
    np.testing.assert_allclose(inception_scores(skewed, 1), expected, rtol=1e-12)


def test_splits():
    """Sorted samples are shuffled first; the mean, both deviations, and parts of 40, 41 rows."""
    found = InceptionScore(splits=3).measure(
        of(sure(np.sort(np.arange(122) % 4))), of(sure([0, 1]))
    )
    score = found["is"]
    assert score.value > 3.5
    parts = np.asarray(score.details["splits"])
    np.testing.assert_allclose(score.value, parts.mean())
    np.testing.assert_allclose(score.details["standard_deviation"], parts.std())
    np.testing.assert_allclose(score.standard_error, parts.std(ddof=1) / 3**0.5)
    unshuffled = inception_scores(sure(np.repeat([0, 1, 2], [40, 41, 41])), 3)
    np.testing.assert_allclose(unshuffled, 1)


def test_what_it_takes():
    with pytest.raises(UserError, match="is: got 12 generated examples, takes 20 or more"):
        InceptionScore().measure(of(sure(np.zeros(12, int))), of(sure([0, 1])))
    without = Examples(features=np.zeros((30, 1)))
    with pytest.raises(UserError, match="is: got features without probabilities of classes"):
        InceptionScore().measure(without, without)
