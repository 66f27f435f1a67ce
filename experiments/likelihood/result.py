"""What a likelihood measurement found: bits/dim by example and draw, and their error bars."""

import dataclasses
import math

import numpy as np
from scipy.special import stdtrit


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """What was measured of N examples of D dimensions by R draws each, in bits/dim.

    Args:
      draws: float [N, R], bits/dim by draw.
      probe_errors: float [N, R], their standard errors through the probes; NaN for one probe.
      log_weights: float [N, R], log p/q in nats.
      evaluations: int [N], calls of the network.
      seconds: float [N], time taken for each.
      dim: D.
      dequantized: whether draws differ by more than their probes.
      degrees_of_freedom: of `probe_errors`, in Student's t.
      solver_error: root mean square of what a finer solution changes, in bits/dim; None where
        nobody has looked.
    """

    draws: np.ndarray
    probe_errors: np.ndarray
    log_weights: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray
    dim: int
    dequantized: bool
    degrees_of_freedom: int
    solver_error: float | None = None

    @property
    def bits_per_dim(self) -> np.ndarray:
        """Bits/dim of each example, [N]."""
        return self.draws.mean(axis=1)

    @property
    def standard_errors(self) -> np.ndarray:
        """Errors of each example's bits/dim, [N]; NaN where one draw cannot tell."""
        num = self.draws.shape[1]
        if num == 1:
            return np.full(len(self.draws), np.nan) if self.dequantized else self.probe_errors[:, 0]
        return self.draws.std(axis=1, ddof=1) / math.sqrt(num)

    def intervals(self, confidence: float = 0.95) -> np.ndarray:
        """Intervals that cover each example's bits/dim with this probability, [N, 2]."""
        num = self.draws.shape[1]
        half = student(self.degrees_of_freedom if num == 1 else num - 1, confidence)
        bounds = np.array([-half, half])
        return self.bits_per_dim[:, None] + bounds * self.standard_errors[:, None]

    @property
    def importance_weighted(self) -> np.ndarray:
        """The R-sample bound (eq. 2 of `dequantization`) of each example, [N]."""
        top = self.log_weights.max(axis=1, keepdims=True)
        mean = np.mean(np.exp(self.log_weights - top), axis=1)
        return -(top[:, 0] + np.log(mean)) / self.dim / math.log(2)

    @property
    def finite(self) -> np.ndarray:
        """Which examples have a finite density, [N]."""
        return np.isfinite(self.draws).all(axis=1)


class Mean:
    """The mean of a sample and its error bars, by Student's t.

    Args:
      values: [N], finite.
    """

    def __init__(self, values: np.ndarray):
        self.num, self.mean = len(values), float(np.mean(values))
        spread = float(np.std(values, ddof=1)) if self.num > 1 else math.nan
        self.standard_error = spread / math.sqrt(self.num)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval that covers the expectation with this probability."""
        half = student(self.num - 1, confidence) * self.standard_error
        return self.mean - half, self.mean + half


def student(degrees_of_freedom: int, confidence: float) -> float:
    """How many standard errors the half of an interval is, by Student's t."""
    return float(stdtrit(max(degrees_of_freedom, 1), (1 + confidence) / 2))
