"""Memorisation: fractions in closed form, and copies that are found."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.nearest import Nearest
from experiments.evaluation.sets import Examples


def uniform(num, dim, seed):
    return Examples(features=np.random.default_rng(seed).uniform(size=(num, dim)))


@pytest.mark.parametrize(("dim", "mutual"), [(1, 2 / 3), (2, 0.6215)])
def test_samples_of_the_law(dim, mutual):
    """In D dimensions (⅓)^D are copies, and authentic are all but mutual neighbours.

    The probability that a point is its nearest neighbour's nearest neighbour is 2/3 on a line and
    6π/(8π + 3√3) in the plane (Pickard 1982). Fractions vary by 0.5/√3000 with the samples, and as
    much with the training set.
    """
    num = 3000
    found = Nearest().measure(uniform(num, dim, 0), uniform(num, dim, 1), uniform(num, dim, 2))
    for ending in ("", "_test"):
        for name, expected in {"copied": 3.0**-dim, "authentic": 1 - mutual}.items():
            assert abs(found[name + ending].value - expected) < 3 * 0.5 * (2 / num) ** 0.5


def test_copies_are_found():
    """All of what is a training example but for little, or is one that is there twice."""
    train, test = uniform(200, 8, 0), uniform(100, 8, 1)
    train = Examples(features=np.concatenate([train.features, train.features[:1]]))
    noise = 1e-4 * np.random.default_rng(2).normal(size=(150, 8))
    noise[0] = 0
    found = Nearest().measure(Examples(features=train.features[:150] + noise), train, test)
    assert found["copied"].value == 1
    assert found["authentic"].value == 0
    assert found["copied_test"].value == 0
    assert found["authentic_test"].value > 0.3
    with pytest.raises(UserError, match="nearest: got no test set"):
        Nearest().measure(train, train)
