"""The sliced Wasserstein distance in closed form, and its standard error by simulation."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.sliced_wasserstein import SlicedWasserstein, sliced
from experiments.evaluation.sets import Examples


def test_moved_and_stretched():
    """y = c + s x about 0: every slice is matched by itself, so SW₂² = |c|²/D + (1 − s)² E|x|²/D.

    Over 4000 directions in 3 dimensions the means of (θ·c)² and of (θ·x)² are known to 1.5 %.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    x -= x.mean(axis=0)
    directions = rng.normal(size=(3, 4000))
    directions /= np.linalg.norm(directions, axis=0)
    found = sliced(np.array([2.0, 0, 0]) + 1.5 * x, x, directions).value ** 2
    expected = (4 + 0.25 * np.mean(np.sum(x**2, axis=1))) / 3
    np.testing.assert_allclose(found, expected, rtol=3 * 0.015)
    assert sliced(x[::-1], x, directions).value == 0


def test_the_error_is_that_of_other_sets():
    """Of 300 sets of 150 against one reference; their deviation is known to 4 %."""
    rng = np.random.default_rng(1)
    y, directions = rng.normal(size=(150, 2)), np.eye(2)
    found = [
        sliced(0.7 + 0.6 * np.random.default_rng(i).normal(size=(150, 2)), y, directions)
        for i in range(300)
    ]
    deviation = np.std([e.value for e in found])
    np.testing.assert_allclose(np.mean([e.standard_error for e in found]), deviation, rtol=0.12)


def test_the_floor():
    """Samples of the law of the reference are at the floor; others above; sizes are equal."""
    rng = np.random.default_rng(2)
    reference = Examples(features=rng.normal(size=(1000, 2)))
    good, bad = (Examples(features=rng.normal(size=(700, 2)) * s) for s in (1, 1.5))
    found = SlicedWasserstein(projections=50).measure(good, reference)
    assert found["sw2"].details == {"examples": 500, "projections": 50}
    assert 0.5 < found["sw2"].value / found["sw2_floor"].value < 2
    worse = SlicedWasserstein(projections=50).measure(bad, reference)
    np.testing.assert_allclose(worse["sw2"].value, 0.5, atol=4 * worse["sw2"].standard_error)
    assert worse["sw2_floor"] == found["sw2_floor"]
    with pytest.raises(UserError, match="sw2: got 3 reference examples, takes 4 or more"):
        SlicedWasserstein().measure(good, reference.take(slice(3)))
