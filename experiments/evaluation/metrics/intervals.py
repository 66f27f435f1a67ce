"""Error bars: of means, of fractions, of whatever is computed of a sample, and of differences.

Of n independent values with mean m and deviation s, by Student's t with n − 1 degrees of freedom:

    m ± t s/√n                                                                    (1)

Of k successes in n trials (Wilson), with z the normal law's quantile:

    (k + z²/2 ± z √(k (n − k)/n + z²/4)) / (n + z²)                               (2)

Of a statistic T of n examples, by replicates T* of as many examples drawn with replacement:

    T + quantiles of (T* − mean T*)                                               (3)

T* varies as T does, but carries the bias of a finite n twice. So (3) covers what T is on average
over samples of this size, where for a biased T (a Fréchet distance) the quantiles of T* would not.

References: Wilson 1927; Efron & Tibshirani 1993 "An introduction to the bootstrap", ch. 13; Holm
1979 "A simple sequentially rejective multiple test procedure".
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtri, stdtr

from experiments.evaluation.estimate import Estimate
from experiments.likelihood.result import Mean

LEVEL = 0.95


def student_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of independent values with Student's interval, eq. 1.

    Args:
      values: [n]; one of them has no error bars.
      level: with which the interval covers the expectation.
    """
    mean = Mean(np.asarray(values, dtype=np.float64))
    if mean.num < 2:
        return Estimate(mean.mean)
    return Estimate(mean.mean, mean.standard_error, *mean.interval(level))


def paired_difference(
    values: Sequence[float] | np.ndarray,
    baseline: Sequence[float] | np.ndarray,
    level: float = LEVEL,
) -> Estimate:
    """The mean difference of pairs, as of runs with the same seeds, with Student's interval.

    Args:
      values, baseline: [n]; entry i of both has the same seed.
      level: of the interval.

    Returns:
      The difference; `details` has the two-sided `p_value` of none, which one pair has not.
    """
    difference = student_interval(np.asarray(values) - np.asarray(baseline), level)
    error = difference.standard_error
    if error is None:
        return difference
    if error > 0:
        p_value = 2 * float(stdtr(len(values) - 1, -abs(difference.value) / error))
    else:
        p_value = float(difference.value == 0)
    return Estimate(difference.value, error, difference.low, difference.high, {"p_value": p_value})


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The p-values of m tests, corrected so that one is below q by chance with probability ≤ q.

    The i-th smallest is multiplied by m − i + 1, is at least the one before it, and at most 1.

    Args:
      p_values: [m]; NaN stands for a test that was not made, and stays.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw)[: np.count_nonzero(~np.isnan(raw))]
    factors = len(order) - np.arange(len(order))
    corrected = np.full(raw.shape, np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * factors))
    return corrected


def wilson(successes: int, num: int, level: float = LEVEL) -> Estimate:
    """The fraction of successes in independent trials with Wilson's interval, eq. 2.

    It holds for 0 and for all of them, too, where the standard error is 0.

    Args:
      successes: k.
      num: n ≥ 1.
      level: of the interval.
    """
    fraction, z = successes / num, float(ndtri((1 + level) / 2))
    centre = successes + z**2 / 2
    half = z * math.sqrt(successes * (num - successes) / num + z**2 / 4)
    return Estimate(
        fraction,
        math.sqrt(fraction * (1 - fraction) / num),
        (centre - half) / (num + z**2),
        (centre + half) / (num + z**2),
    )


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    num: int,
    *,
    seed: int,
    replicates: int = 200,
    level: float = LEVEL,
) -> Estimate:
    """A statistic of a sample with the interval of its bootstrap, eq. 3.

    Args:
      statistic: of how often each example counts, int [n].
      num: n, the number of examples.
      seed: of the replicates.
      replicates: how many.
      level: with which the interval covers the statistic's expectation.
    """
    value = statistic(np.ones(num, dtype=np.int64))
    drawn = resampled(statistic, num, seed=seed, replicates=replicates)
    low, high = centred_interval(value, drawn, level)
    return Estimate(float(value), float(np.std(drawn, ddof=1)), float(low), float(high))


def resampled(
    statistic: Callable[[np.ndarray], np.ndarray | float], num: int, *, seed: int, replicates: int
) -> np.ndarray:
    """Replicates of a statistic, or of several, [replicates, …]; arguments as of `bootstrap`."""
    rng = np.random.default_rng(seed)
    uniform = np.full(num, 1 / num)
    return np.stack([statistic(rng.multinomial(num, uniform)) for _ in range(replicates)])


def centred_interval(
    value: np.ndarray | float, drawn: np.ndarray, level: float = LEVEL
) -> np.ndarray:
    """Low and high end, [2, …], of eq. 3: the replicates' quantiles, moved onto the value.

    Args:
      value: the statistics, […].
      drawn: their replicates, [replicates, …].
      level: of the interval.
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    return value + np.quantile(drawn - drawn.mean(axis=0), tails, axis=0)
