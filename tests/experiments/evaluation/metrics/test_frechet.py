"""The Fréchet distance: against SciPy's matrix root, and its error bars against simulations."""

import numpy as np
import pytest
from scipy import linalg, stats

from experiments.errors import UserError
from experiments.evaluation.metrics.frechet import FrechetDistance, Target, distances_by_class
from experiments.evaluation.metrics.metric import asked
from experiments.evaluation.sets import Examples, Moments

DIM, NUM = 4, 200
FACTOR = np.tril(0.3 + 0.1 * np.arange(16).reshape(4, 4)) / 2
SHIFT = np.array([1.5, 0.0, -1.0, 0.5])


def moments(mean, covariance):
    return Moments(mean=np.asarray(mean), covariance=covariance, num=10**6)


TARGET = moments(np.zeros(DIM), np.eye(DIM) + 0.5)
TRUTH = Target.of(TARGET).distance(moments(SHIFT, FACTOR @ FACTOR.T))


def drawn(seed, num=NUM):
    noise = np.random.default_rng(seed).normal(size=(num, DIM))
    return Examples(features=(SHIFT + noise @ FACTOR.T).astype(np.float32))


def test_by_the_root_of_a_matrix():
    """Of covariances that do not commute: the published formula, root of a product and all."""
    ours, theirs = FACTOR @ FACTOR.T, TARGET.covariance
    root = linalg.sqrtm(ours @ theirs)
    expected = SHIFT @ SHIFT + np.trace(ours + theirs - 2 * root.real)
    np.testing.assert_allclose(TRUTH, expected, rtol=1e-13)


def test_of_gaussians_on_planes():
    """Singular, diagonal covariances: squares of the differences of deviations."""
    ours, theirs = np.array([2.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 3.0, 0.0])
    found = Target.of(moments(np.zeros(4), np.diag(theirs**2)))
    distance = found.distance(moments(np.ones(4), np.diag(ours**2)))
    np.testing.assert_allclose(distance, 4 + np.sum((ours - theirs) ** 2), rtol=1e-14)
    features = np.random.default_rng(0).normal(size=(50, 4)) * ours
    influence = found.influence(Moments.of(features), features)
    assert np.isfinite(influence).all()


def test_covariances_are_unbiased():
    """Two points apart by 2 have variance 2: as far as nothing from a Gaussian that has it."""
    pair = np.array([[0.0], [2.0]], np.float32)
    found = FrechetDistance().measure(Examples(features=pair), moments([1.0], np.array([[2.0]])))
    np.testing.assert_allclose(found["fd"].value, 0, atol=1e-15)


def test_error_bars_cover_what_they_say():
    """Of 400 sets: FD's interval what such sets have on average, FD∞'s the distance itself.

    FD of 200 examples is high by several of its standard errors in 20. Coverage of 400 sets has a
    standard error of 1.1 %; a normal law's interval of a skewed number may lack 2 %.
    """
    metric, found = FrechetDistance(bootstrap=0), []
    for seed in range(400):
        numbers = metric.measure(drawn(seed), TARGET, seed=seed)
        found.append([(e.value, e.low, e.high) for e in (numbers["fd"], numbers["fd_infinity"])])
    values, low, high = np.moveaxis(np.asarray(found), 2, 0)
    for i, truth in enumerate([values[:, 0].mean(), TRUTH]):
        assert 0.91 < np.mean((low[:, i] < truth) & (truth < high[:, i])) <= 0.99
    bias = values.mean(axis=0) - TRUTH
    error = values.std(axis=0) / 20
    assert bias[0] > 5 * error[0]
    assert abs(bias[1]) < 3 * error[1]


def test_the_bootstrap_agrees_with_the_influence():
    """Their standard errors, where both hold; 400 replicates tell one to 3.5 %."""
    examples = drawn(7, 2000)
    found = [
        FrechetDistance(bootstrap=replicates, sizes=0).measure(examples, TARGET)["fd"]
        for replicates in (400, 0)
    ]
    assert found[0].value == found[1].value
    np.testing.assert_allclose(found[0].standard_error, found[1].standard_error, rtol=0.12)
    np.testing.assert_allclose(found[0].low, found[1].low, atol=0.4 * found[1].standard_error)
    assert found[0].details["interval"] == "bootstrap, 400 replicates"


def test_by_class():
    """Each class against its own; a class that one set lacks, or has one of, does not count."""
    ours, theirs = drawn(0, 120), drawn(1, 150)
    labels = np.arange(120) % 4
    labels[labels == 3] = np.where(np.arange(30) == 0, 3, 2)
    ours = Examples(features=ours.features, labels=labels)
    theirs = Examples(features=theirs.features, labels=np.arange(150) % 5)
    found = FrechetDistance(bootstrap=0, sizes=0).measure(ours, theirs)["fd_by_class"]
    by_class = found.details["by_class"]
    assert list(by_class) == [0, 1, 2]
    two = [Moments.of(e.features[e.labels == 2]) for e in (ours, theirs)]
    np.testing.assert_allclose(by_class[2], Target.of(two[1]).distance(two[0]), rtol=1e-12)
    np.testing.assert_allclose(found.value, np.mean(list(by_class.values())), rtol=1e-12)


def test_classes_that_are_left_out():
    """Of the first the one set has two of class 0 and the other two of class 1."""
    one, other = (
        Examples(features=np.zeros((3, DIM), np.float32), labels=np.array(labels))
        for labels in ([0, 0, 1], [0, 1, 1])
    )
    found = FrechetDistance(sizes=0).measure(one, other)
    assert set(found) == {"fd"}
    why = "left out: no class has two examples in both sets"
    assert found["fd"].details["fd_by_class"] == why
    wide = Examples(features=np.zeros((4, 4000), np.float32), labels=np.array([0, 0, 1, 1]))
    why = "left out: 2 classes of 4000 dimensions take too long"
    assert distances_by_class(wide, wide) == why


def test_a_small_reference_leaves_no_error_bars():
    """Of the extrapolation neither, which is there all the same."""
    found = FrechetDistance(bootstrap=0).measure(drawn(0, 100), Moments.of(drawn(1, 4).features))
    assert found["fd"].details["rank_deficient"] is True
    for name in ("fd", "fd_infinity"):
        assert (found[name].standard_error, found[name].low, found[name].high) == (None,) * 3
    sizes, distances = (found["fd_infinity"].details[k] for k in ("sizes", "distances"))
    line = stats.linregress(1 / np.array(sizes), distances)
    assert found["fd_infinity"].value == pytest.approx(line.intercept, rel=1e-12)


@pytest.mark.parametrize("num", [4, 5])
def test_few_examples_are_flagged(num):
    """N ≤ D: a singular covariance, and no error bars; FD∞ takes more."""
    found = FrechetDistance().measure(drawn(0, num), TARGET)["fd"]
    assert found.details["rank_deficient"] is (num == 4)
    assert (found.standard_error is None) is (num == 4)
    assert found.details["fd_infinity"] == "left out: takes 16 examples or more"


def test_too_few_sizes():
    with pytest.raises(UserError, match=r"--metrics: fd: .*sizes: got 5, takes 0, or 10 or more"):
        asked("fd:sizes=5")
