"""Sets of features and their moments."""

import numpy as np
import pytest

from experiments.evaluation.sets import Examples, Moments, RunningMoments


def test_moments_of_batches_are_those_of_the_whole(tmp_path):
    """Chan's update in batches of any size, of a file on disk, far from zero.

    At 10⁴ deviations from zero, sums of squares would lose 8 of 16 digits, and 6 remain here: each
    entry is a sum of 500 terms with a rounding of 10⁴ ε each.
    """
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 1e4).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    running = RunningMoments(4)
    for part in np.split(np.load(tmp_path / "features.npy", mmap_mode="r"), [1, 8, 300]):
        running.add(part)
    exact = np.cov(features.astype(np.longdouble) - 10000, rowvar=False)
    for moments in running.moments(), Moments.of(features):
        assert moments.num == 500
        np.testing.assert_allclose(moments.mean, features.mean(axis=0, dtype=float), rtol=1e-14)
        np.testing.assert_allclose(moments.covariance, exact, atol=500**0.5 * 1e4 * 2.3e-16)


def test_what_is_added_is_counted():
    """One example has no covariance."""
    running = RunningMoments(3)
    running.add(np.ones((1, 3)))
    with pytest.raises(ValueError, match="got 1 examples, takes 2"):
        running.moments()


def test_rows_of_a_set():
    """Every array goes along, None stays None."""
    examples = Examples(features=np.arange(8.0).reshape(4, 2), labels=np.array([3, 2, 1, 0]))
    taken = examples.take(np.array([2, 0]))
    assert taken.num == 2
    assert taken.dim == 2
    assert taken.probabilities is None
    np.testing.assert_array_equal(taken.labels, [1, 3])
    np.testing.assert_array_equal(taken.features, [[4, 5], [0, 1]])
