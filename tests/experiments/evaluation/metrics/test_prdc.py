"""Precision, recall, density and coverage: by hand, and where both sets are of one law."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.prdc import PRDC, expected_coverage
from experiments.evaluation.sets import Examples


def on_a_line(*points):
    return Examples(features=np.array(points, np.float32)[:, None])


def test_by_hand():
    """On a line, k = 1: reference balls [−1, 1], [0, 2], [1, 5], [3, 13]; 0.25 lies in two of them.

    Generated balls [−11, −3], [−6.25, 0.25], [−3, 3.5]: all reference points but 8 lie in one.
    """
    found = PRDC(k=1, k_density=1).measure(on_a_line(-7, -3, 0.25), on_a_line(0, 1, 3, 8))
    values = {name: estimate.value for name, estimate in found.items()}
    assert values == {"precision": 1 / 3, "recall": 0.75, "density": 2 / 3, "coverage": 0.5}


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
    with pytest.raises(UserError, match=r"prdc: got \d \w+ examples, takes 6 or more"):
        PRDC().measure(ours, theirs)
