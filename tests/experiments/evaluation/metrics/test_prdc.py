"""Precision, recall, density and coverage: by hand, and where both sets are of one law."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.prdc import PRDC, expected_coverage
from experiments.evaluation.sets import Examples


def on_a_line(*points):
    return Examples(features=np.array(points, np.float32)[:, None])


def test_by_hand():
    """On a line, k = 1: reference balls [−1, 1], [0, 2], [1, 5]; generated ones reach 1.5, 1.5, 6.

    0.5 lies in two reference balls, −1 in one, −7 in none. The generated balls are [−1, 2],
    [−2.5, 0.5] and [−13, −1]: 0 and 1 are in one, 3 in none. The balls of 0 and 1 hold 0.5, that
    of 3 holds nothing.
    """
    found = PRDC(k=1, k_density=1).measure(on_a_line(0.5, -1, -7), on_a_line(0, 1, 3))
    values = {name: estimate.value for name, estimate in found.items()}
    assert values == {"precision": 2 / 3, "recall": 2 / 3, "density": 1.0, "coverage": 2 / 3}


def test_equal_laws():
    """Density 1 and coverage by its closed form, within 2 standard errors of 60 pairs of sets.

    An example that were its own neighbour would make density 2/3 of it.
    """
    metric, num, num_reference = PRDC(k=2, k_density=3), 60, 90
    found, expected = [], expected_coverage(num, num_reference, 3)
    for seed in range(100, 160):
        rng = np.random.default_rng(seed)
        ours, theirs = (
            Examples(features=rng.normal(size=(n, 4)).astype(np.float32))
            for n in (num, num_reference)
        )
        measured = metric.measure(ours, theirs)
        found.append([measured[name].value for name in ("density", "coverage")])
    assert measured["coverage"].details == {"k": 3, "of_equal_sets": expected}
    values = np.asarray(found)
    error = values.std(axis=0, ddof=1) / 60**0.5
    assert (np.abs(values.mean(axis=0) - [1, expected]) < 2 * error).all()
    assert (error < 0.02).all()


def test_coverage_of_many():
    """1 − 2^−k of equal sizes: 0.969 at k = 5."""
    np.testing.assert_allclose(expected_coverage(10**7, 10**7, 5), 1 - 2**-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [(5, 9), (9, 5)])
def test_more_neighbours_than_there_are(sizes):
    ours, theirs = (on_a_line(*range(n)) for n in sizes)
    with pytest.raises(UserError, match=r"got k = 5 of \d generated and \d reference examples"):
        PRDC().measure(ours, theirs)
