"""The Fréchet distance: how far two sets are apart as Gaussians.

With means m, n and covariances S, C of the generated and the reference features,

    FD = |m − n|² + tr S + tr C − 2 tr (C^½ S C^½)^½                              (1)

the squared Wasserstein-2 distance of N(m, S) and N(n, C). The root's trace is the sum of the roots
of the eigenvalues of a symmetric matrix: no matrix root of a product that is not symmetric, and no
imaginary part. Sums are in float64 and covariances over N − 1.

An example x changes FD by its influence, with B = I − C^½ (C^½ S C^½)^{−½} C^½,

    φ(x) = 2 (m − n)·(x − m) + (x − m)ᵀ B (x − m) − tr B S                        (2)

so that √(var φ / N) is the standard error, at the price of one more product.

FD of N examples is high by about c/N. FD∞ is where the line a + c/n through the FD of subsets of
several sizes n ends at 1/n = 0. Its standard error joins the line's and (2)'s: subsets of one set
do not show how another set would differ.

All error bars are those of the generated set: another one of the same size, the same reference.

References: Dowson & Landau 1982, eq. 4 (1); Heusel et al. 2017 (of Inception features); Chong &
Forsyth 2020 (FD∞).
"""

import dataclasses
from typing import Any

import numpy as np
from scipy.special import ndtri

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.intervals import LEVEL, bootstrap
from experiments.evaluation.metrics.metric import Metric, metrics
from experiments.evaluation.sets import Examples, Moments, blocks
from sde_lib import ranged

# Operations that a bootstrap, or the distances by class, may take: half a minute on two cores.
_MAX_OPERATIONS = 1e12

# Of 16,384 features a covariance has 2 GB, and several are in memory at once.
_WIDEST = 2**14

# Fewer sizes do not show a line.
_FEWEST_SIZES = 10


@metrics.register("fd")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FrechetDistance(Metric):
    """The Fréchet distance `fd`, its limit `fd_infinity`, and `fd_by_class`: eq. 1.

    Args:
      sizes: of subsets for FD∞, 10 or more; 0: no FD∞. It is left out of fewer than 4 D examples.
      bootstrap: replicates; where that many take too long, or for 0, errors are by eq. 2.
      by_class: whether classes are measured one by one, where both sets have labels.
    """

    needs = frozenset()
    widest = _WIDEST
    sizes: int = ranged(15, low=0)
    bootstrap: int = ranged(200, low=0)
    by_class: bool = True

    def __post_init__(self) -> None:
        if 0 < self.sizes < _FEWEST_SIZES:
            raise ValueError(f"sizes: got {self.sizes}, takes 0, or {_FEWEST_SIZES} or more")

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """`fd`, and where there can be `fd_infinity` and `fd_by_class`."""
        against = Target.of(reference)
        overall = self._overall(generated, against, seed)
        found, notes = {"fd": overall}, dict(overall.details)
        if self.sizes and generated.num >= 4 * generated.dim:
            found["fd_infinity"] = self._infinity(generated, against, overall, seed)
        elif self.sizes:
            notes["fd_infinity"] = f"left out: takes {4 * generated.dim} examples or more"
        if self.by_class and isinstance(reference, Examples):
            by_class = distances_by_class(generated, reference)
            if isinstance(by_class, Estimate):
                found["fd_by_class"] = by_class
            elif by_class:
                notes["fd_by_class"] = by_class
        return found | {"fd": dataclasses.replace(overall, details=notes)}

    def _overall(self, generated: Examples, against: "Target", seed: int) -> Estimate:
        """FD of the whole set, and its error bars."""
        num, dim = generated.num, generated.dim
        moments = Moments.of(generated.features)
        details: dict[str, Any] = {
            "examples": num,
            "reference_examples": against.moments.num,
            "dimensions": dim,
            "rank_deficient": is_rank_deficient(moments) or is_rank_deficient(against.moments),
        }
        value = against.distance(moments)
        if details["rank_deficient"]:
            return Estimate(value, details=details)
        if self.bootstrap and self.bootstrap * _operations(num, dim) <= _MAX_OPERATIONS:
            features = generated.features - moments.mean
            estimate = bootstrap(
                lambda counts: against.distance(_weighted(features, counts, moments.mean)),
                num,
                seed=seed,
                replicates=self.bootstrap,
            )
            details["interval"] = f"bootstrap, {self.bootstrap} replicates"
            return dataclasses.replace(estimate, value=value, details=details)
        influence = against.influence(moments, generated.features)
        error = float(influence.std(ddof=1)) / num**0.5
        half = float(ndtri((1 + LEVEL) / 2)) * error
        details["interval"] = "normal law, error by influence"
        return Estimate(value, error, value - half, value + half, details)

    def _infinity(
        self, generated: Examples, against: "Target", overall: Estimate, seed: int
    ) -> Estimate:
        """FD∞: the end of a line through the distances of subsets."""
        rng, num = np.random.default_rng(seed), generated.num
        sizes = np.linspace(max(num // 10, 2 * generated.dim), num, self.sizes).astype(int)
        subsets = (np.sort(rng.choice(num, size, replace=False)) for size in sizes)
        distances = [against.distance(Moments.of(generated.features, rows)) for rows in subsets]
        value, line_error = intercept(1 / sizes, np.asarray(distances))
        details = {
            "sizes": sizes.tolist(),
            "distances": distances,
            "line_standard_error": line_error,
        }
        if overall.standard_error is None:
            return Estimate(value, details=details)
        error = float(np.hypot(line_error, overall.standard_error))
        half = float(ndtri((1 + LEVEL) / 2)) * error
        return Estimate(value, error, value - half, value + half, details)


@dataclasses.dataclass(frozen=True)
class Target:
    """A reference from which many sets are measured: the root of its covariance is found once.

    Args:
      moments: of the reference.
      root: C^½, [D, D].
    """

    moments: Moments
    root: np.ndarray

    @classmethod
    def of(cls, reference: Examples | Moments) -> "Target":
        """The target that a set is, or moments are."""
        if isinstance(reference, Examples):
            reference = Moments.of(reference.features)
        values, vectors = np.linalg.eigh(reference.covariance)
        # Rounding leaves zeros a little below zero.
        return cls(reference, (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)

    def distance(self, moments: Moments) -> float:
        """FD of a set's moments, eq. 1."""
        values = np.linalg.eigvalsh(self._product(moments))
        return float(
            np.sum((moments.mean - self.moments.mean) ** 2)
            + np.trace(moments.covariance)
            + np.trace(self.moments.covariance)
            - 2 * np.sum(np.sqrt(np.maximum(values, 0)))
        )

    def influence(self, moments: Moments, features: np.ndarray) -> np.ndarray:
        """What each example changes FD by, up to a constant, [N]: eq. 2.

        Args:
          moments: of the features.
          features: [N, D].
        """
        values, vectors = np.linalg.eigh(self._product(moments))
        # Where neither set varies there is nothing to invert.
        varies = values > values[-1] * len(values) * np.finfo(float).eps
        half = (self.root @ vectors[:, varies]) / values[varies] ** 0.25
        shift = moments.mean - self.moments.mean
        found = np.empty(len(features))
        for block in blocks(len(features)):
            centred = features[block] - moments.mean
            quadratic = np.sum(centred**2, axis=1) - np.sum((centred @ half) ** 2, axis=1)
            found[block] = 2 * centred @ shift + quadratic
        return found

    def _product(self, moments: Moments) -> np.ndarray:
        """C^½ S C^½, which eigenvalues are taken of the lower half of."""
        return self.root @ moments.covariance @ self.root


def distances_by_class(generated: Examples, reference: Examples) -> Estimate | str | None:
    """FD of each class against the same class of the reference, and their mean.

    Returns:
      The mean, with the distances in `details`; why they were left out; None without labels.
    """
    if generated.labels is None or reference.labels is None:
        return None
    shared = np.intersect1d(generated.labels, reference.labels)
    rows = {int(c): [np.flatnonzero(e.labels == c) for e in (generated, reference)] for c in shared}
    rows = {c: both for c, both in rows.items() if min(map(len, both)) >= 2}
    if not rows:
        return "left out: no class has two examples in both sets"
    num = sum(len(r) for both in rows.values() for r in both) / len(rows)
    if len(rows) * _operations(num, generated.dim) > _MAX_OPERATIONS:
        return f"left out: {len(rows)} classes of {generated.dim} dimensions take too long"
    distances, deficient = {}, []
    for label, (ours, theirs) in rows.items():
        moments = Moments.of(generated.features, ours)
        target = Target.of(Moments.of(reference.features, theirs))
        distances[label] = target.distance(moments)
        if is_rank_deficient(moments) or is_rank_deficient(target.moments):
            deficient.append(label)
    details = {"by_class": distances, "rank_deficient": deficient}
    return Estimate(float(np.mean(list(distances.values()))), details=details)


def intercept(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Where the line of least squares through points [n] meets x = 0, and its standard error."""
    centred = x - x.mean()
    slope = np.sum(centred * y) / np.sum(centred**2)
    residual = y - y.mean() - slope * centred
    variance = np.sum(residual**2) / (len(x) - 2)
    error = np.sqrt(variance * (1 / len(x) + x.mean() ** 2 / np.sum(centred**2)))
    return float(y.mean() - slope * x.mean()), float(error)


def is_rank_deficient(moments: Moments) -> bool:
    """Whether a covariance of so few examples must be singular; False where nobody knows."""
    return moments.num is not None and moments.num <= moments.dim


def _operations(num: float, dim: int) -> float:
    """Multiplications and additions of one distance: a covariance, two products, eigenvalues."""
    return 2 * num * dim**2 + 12 * dim**3


def _weighted(centred: np.ndarray, counts: np.ndarray, about: np.ndarray) -> Moments:
    """The moments of examples of which each counts so often.

    Args:
      centred: float64 [N, D], the examples about a point near their mean.
      counts: int [N].
      about: that point.
    """
    num = int(counts.sum())
    mean = counts @ centred / num
    scatter = (centred * counts[:, None]).T @ centred - num * np.outer(mean, mean)
    return Moments(mean=about + mean, covariance=scatter / (num - 1), num=num)
