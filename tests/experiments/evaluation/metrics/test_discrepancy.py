"""Kernel and maximum mean discrepancies: expectations in closed form, errors by simulation."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics import discrepancy
from experiments.evaluation.metrics.discrepancy import pair_sums, pair_sums_within, variances
from experiments.evaluation.metrics.kernel_distance import KernelDistance, kernel_distance
from experiments.evaluation.metrics.metric import asked
from experiments.evaluation.metrics.mmd import MMD
from experiments.evaluation.sets import Examples

SETS, NUM, OTHER = 400, 50, 35


def pairs(shift, scale, seed):
    rng = np.random.default_rng(seed)
    for _ in range(SETS):
        yield shift + scale * rng.normal(size=(NUM, 1)), rng.normal(size=(OTHER, 1))


def check(estimates, expected, deviation):
    """No bias, and the standard errors' root mean square is the deviation.

    Of SETS pairs that one is known to 3.5 % of light tails, and to some 10 % of cubes.
    """
    values, errors = np.array([(e.value, e.standard_error) for e in estimates]).T
    assert abs(values.mean() - expected) < 3 * values.std() / SETS**0.5
    np.testing.assert_allclose(np.mean(errors**2) ** 0.5, values.std(), rtol=3 * deviation)


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0.3, 0.9)])
def test_kernel_distance_in_one_dimension(shift, scale):
    """(xy + 1)³ compares three moments: 3 Δ₁² + 3 Δ₂² + Δ₃²."""
    found = [kernel_distance(x, y) for x, y in pairs(shift, scale, 0)]
    moments = np.array([shift, shift**2 + scale**2, shift**3 + 3 * shift * scale**2])
    check(found, np.array([3, 3, 1]) @ (moments - [0, 1, 0]) ** 2, 0.1)


def test_errors_of_equal_laws():
    """All noise is that of pairs, 0 that of single examples: as the values vary.

    In the means of 400 estimates, whose squares vary by about as much as they are: 1/20 of them.
    """
    found = []
    for x, y in pairs(0, 1, 4):
        sums = pair_sums_within(x, gaussian), pair_sums_within(y, gaussian)
        across = pair_sums(x, y, gaussian)
        found.append((discrepancy.discrepancy(*sums, across).value, *variances(*sums, across)))
    values, singles, of_pairs = np.array(found).T
    np.testing.assert_allclose(of_pairs.mean(), values.var(), rtol=3 * 0.1)
    assert abs(singles.mean()) < 3 * singles.std() / SETS**0.5


def gaussian(x, y):
    return np.exp(-((x - y.T) ** 2) / (2 * 0.81))


def test_gaussian_kernel_of_gaussians():
    """E k(x, y) = h/√(h² + v) exp(−δ²/(2 (h² + v))) for a difference of law N(δ, v)."""
    metric = MMD(bandwidth=0.9, permutations=39)
    found = measured(metric, 0.8, 0.7)

    def expectation(delta, variance):
        total = 0.81 + variance
        return 0.9 / total**0.5 * np.exp(-(delta**2) / (2 * total))

    equal = expectation(0, 2 * 0.49) + expectation(0, 2)
    check(found, equal - 2 * expectation(0.8, 1.49), 0.035)
    assert np.median([e.details["p_value"] for e in found]) == 1 / 40


def test_p_values_of_equal_laws():
    """Each of 1/20 … 1 is as likely as another: mean 0.525, deviation 0.29."""
    p_values = [e.details["p_value"] for e in measured(MMD(permutations=19), 0, 1)]
    assert abs(np.mean(p_values) - 0.525) < 3 * 0.29 / SETS**0.5
    assert abs(np.mean(np.array(p_values) <= 0.05) - 0.05) < 3 * 0.05**0.5 / SETS**0.5


def measured(metric, shift, scale):
    return [
        metric.measure(Examples(features=x), Examples(features=y), seed=i)["mmd"]
        for i, (x, y) in enumerate(pairs(shift, scale, 1))
    ]


def test_in_pieces(monkeypatch):
    """As of the whole matrix."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(23, 3)), rng.normal(size=(17, 3))
    whole = kernel_distance(x, y)
    monkeypatch.setattr(discrepancy, "_SIDE", 5)
    pieces = kernel_distance(x, y)
    np.testing.assert_allclose(pieces.value, whole.value, rtol=1e-12)
    np.testing.assert_allclose(pieces.standard_error, whole.standard_error, rtol=1e-9)


def test_subsets():
    """Their mean agrees with all pairs; there are none of sets that are no larger."""
    rng = np.random.default_rng(3)
    ours, theirs = (Examples(features=0.3 * i + rng.normal(size=(80, 2))) for i in (0, 1))
    found = KernelDistance(subset_size=40).measure(ours, theirs)
    subsets = found["kd_subsets"]
    deviation = subsets.details["standard_deviation"]
    np.testing.assert_allclose(subsets.standard_error, deviation / 99**0.5, rtol=1e-12)
    assert abs(subsets.value - found["kd"].value) < 3 * subsets.standard_error
    assert list(KernelDistance(subset_size=80).measure(ours, theirs)) == ["kd"]
    alone = KernelDistance(subset_size=40, all_pairs=False).measure(ours, theirs)
    assert alone == {"kd_subsets": subsets}
    with pytest.raises(UserError, match="subsets: got 0 without all_pairs"):
        asked("kd:subsets=0,all_pairs=False")


def test_the_bandwidth_is_the_median():
    """Of distances 1, 2, 3 between reference examples; of those that differ, if half are equal."""
    generated = Examples(features=np.array([[0.0], [1.0]]))
    for points, median in [([0, 1, 3], 2), ([1, 1, 1, 1, 4], 3), ([2, 2], 1)]:
        reference = Examples(features=np.array(points, float)[:, None])
        found = MMD().measure(generated, reference)["mmd"]
        np.testing.assert_allclose(found.details["bandwidth"], median)
