"""Error bars: what they cover, against simulations and SciPy."""

import numpy as np
import pytest
from scipy import stats

from experiments.evaluation.metrics.intervals import (
    bootstrap,
    centred_interval,
    holm,
    paired_difference,
    resampled,
    student_interval,
    wilson,
)

SETS = 4000
BETWEEN = (0.93, 0.97)


def covered(low, high, truth) -> float:
    return np.mean((np.asarray(low) < truth) & (truth < np.asarray(high)))


def test_students_interval_covers():
    """95 % of means of four values; the normal law's quantile would cover 85 %."""
    sets = 3 + 2 * np.random.default_rng(0).normal(size=(SETS, 4))
    found = [student_interval(values) for values in sets]
    assert BETWEEN[0] < covered([e.low for e in found], [e.high for e in found], 3) < BETWEEN[1]
    one = found[0]
    expected = stats.t.interval(0.95, 3, sets[0].mean(), stats.sem(sets[0]))
    np.testing.assert_allclose([one.low, one.high], expected, rtol=1e-12)
    assert student_interval([2.0]).standard_error is None


def test_the_bootstrap_covers():
    """95 % of what a statistic is on average: of the squared length of a mean, |μ|² + D/n.

    Quantiles of the replicates themselves would lie D/n too high. Replicates vary as statistics of
    a mean of |μ|² + D/n do, which is 6 % more, and so cover 96 %.
    """
    num, dim, square = 40, 20, 3.75
    sets = (square / dim) ** 0.5 + np.random.default_rng(1).normal(size=(num, dim, SETS // 4))
    flat = sets.reshape(num, -1)

    def statistics(counts: np.ndarray) -> np.ndarray:
        return np.sum((counts @ flat / num).reshape(dim, -1) ** 2, axis=0)

    drawn = resampled(statistics, num, seed=2, replicates=400)
    low, high = centred_interval(statistics(np.ones(num)), drawn)
    assert BETWEEN[0] < covered(low, high, square + dim / num) < BETWEEN[1]


def test_the_bootstrap_of_a_mean():
    """Its standard error, and 95 % of the expectation."""
    sets = 0.5 + np.random.default_rng(3).normal(size=(60, SETS))
    means = resampled(lambda counts: counts @ sets / 60, 60, seed=4, replicates=400)
    low, high = centred_interval(sets.mean(axis=0), means)
    assert BETWEEN[0] < covered(low, high, 0.5) < BETWEEN[1]
    one = bootstrap(lambda counts: counts @ sets[:, 0] / 60, 60, seed=4, replicates=400)
    np.testing.assert_allclose([one.low, one.high], [low[0], high[0]], rtol=1e-12)
    np.testing.assert_allclose(one.standard_error, means[:, 0].std(ddof=1), rtol=1e-12)


@pytest.mark.parametrize(("successes", "num"), [(0, 20), (7, 20), (5000, 10000), (20, 20)])
def test_wilsons_interval_is_scipys(successes, num):
    found = wilson(successes, num)
    expected = stats.binomtest(successes, num).proportion_ci(method="wilson")
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-12, atol=1e-15)


def test_paired_differences():
    """What both of a pair share does not count; p-values are SciPy's."""
    rng = np.random.default_rng(3)
    shared, noise = 10 * rng.normal(size=6), 0.1 * rng.normal(size=6)
    found = paired_difference(shared + 0.5 + noise, shared)
    assert 0 < found.low < 0.5 < found.high
    expected = stats.ttest_rel(shared + 0.5 + noise, shared)
    np.testing.assert_allclose(found.details["p_value"], expected.pvalue, rtol=1e-9)
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).details["p_value"] == 1
    assert paired_difference([2.0, 3.0], [1.0, 2.0]).details["p_value"] == 0
    assert not paired_difference([2.0], [1.0]).details


def test_holms_correction():
    """The example of Holm's paper's kind by hand, in any order; tests not made do not count."""
    found = holm([0.03, np.nan, 0.01, 0.04, 0.005])
    np.testing.assert_allclose(found, [0.06, np.nan, 0.03, 0.06, 0.02])
    np.testing.assert_array_equal(holm([0.9, 0.8]), [1, 1])
    assert holm([]).shape == (0,)
