"""The command `likelihood`: bits per dimension of a whole split, with error bars.

For each example R draws of its dequantization (`dequantization`), each with probes of its own, give
−log₂ P by the ODE's density or by the variational bound. Averaged over the draws they are the
example's bits/dim; their spread, or with one draw that over the probes, is its standard error.
Draw r of example i depends on (seed, r, i) alone.

Results are written after every batch, so that a run that was killed goes on where it stopped, with
the same numbers.
"""

import dataclasses
import math
import pathlib
import sys
from functools import partial
from typing import Any

import numpy as np
from scipy.special import stdtrit
from tqdm import tqdm

from experiments.atomic import file_at_once
from experiments.data import Dataset
from experiments.errors import UserError
from experiments.estimator import Estimator

# Dimensions from which the exact divergence is slow enough to warn of.
_MANY_DIMENSIONS = 256

_FIELDS = ("draws", "probe_errors", "log_weights", "evaluations", "seconds")


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """What was measured of N examples of D dimensions by R draws each, in bits/dim.

    draws: bits/dim by draw [N, R]. probe_errors: their standard errors through the probes [N, R];
    NaN for one probe. log_weights: log p/q in nats [N, R]. evaluations: of the network [N].
    seconds: taken for each [N]. dim: D. dequantized: whether draws differ by more than probes.
    degrees_of_freedom: of probe_errors. solver_error: RMS of what a finer solution changes or None.
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
        """Of each example, [N]."""
        return self.draws.mean(axis=1)

    @property
    def standard_errors(self) -> np.ndarray:
        """Of each example through draws and probes, [N]; NaN where one draw cannot tell."""
        num = self.draws.shape[1]
        if num == 1:
            return np.full(len(self.draws), np.nan) if self.dequantized else self.probe_errors[:, 0]
        return self.draws.std(axis=1, ddof=1) / math.sqrt(num)

    def intervals(self, confidence: float = 0.95) -> np.ndarray:
        """Those that cover each example's bits/dim with this probability, [N, 2]."""
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


def evaluate(
    estimator: Estimator,
    dataset: Dataset,
    *,
    limit: int | None = None,
    parts: pathlib.Path | None = None,
) -> Likelihood:
    """Measure the first `limit` examples of a data set, all by default; none is dropped.

    Args:
      estimator: measures a batch.
      dataset: the examples; the last batch is filled up and cut.
      limit: how many.
      parts: a folder for the results of each batch; those that are there are not measured again.

    Raises:
      UserError: no log-density is finite.
    """
    config = estimator.config
    num = dataset.num if limit is None else min(limit, dataset.num)
    size, dim = config.batch_size, math.prod(dataset.shape)
    _warn_of_exact(estimator, dataset, num)
    batches: list[dict] = []
    bar = tqdm(total=num, unit="example", disable=None)
    with bar:
        for first in range(0, num, size):
            measure = partial(estimator.batch, dataset, np.arange(first, first + size))
            kept = min(size, num - first)
            whole = _stored(parts, first, measure)
            batches.append({name: values[:kept] for name, values in whole.items()})
            so_far = np.concatenate([batch["draws"].mean(axis=1) for batch in batches])
            if np.isfinite(so_far).any():
                mean = Mean(so_far[np.isfinite(so_far)])
                bar.set_postfix_str(f"{mean.mean:.3f} ± {mean.standard_error:.3f}", refresh=False)
            bar.update(kept)
    joined = {name: np.concatenate([batch[name] for batch in batches]) for name in _FIELDS}
    checks = config.check_solver and config.estimator == "ode"
    result = Likelihood(
        **joined,
        dim=dim,
        dequantized=dataset.levels is not None,
        degrees_of_freedom=estimator.degrees_of_freedom,
        solver_error=_solver_error(estimator, dataset, batches[0]) if checks else None,
    )
    _warn_of_not_finite(result, dataset)
    return result


def _stored(parts: pathlib.Path | None, first: int, measure: Any) -> dict[str, np.ndarray]:
    """What `measure` returns, from its file in `parts` where there is one."""
    if parts is None:
        return measure()
    path = parts / f"{first}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return dict(stored)
    result = measure()
    with file_at_once(path) as file:
        np.savez(file, **result)
    return result


def _solver_error(estimator: Estimator, dataset: Dataset, coarse: dict) -> float | None:
    """RMS over the first batch of what twice the steps, or a tenth of the tolerance, change.

    None where nothing is finite.
    """
    size = estimator.config.batch_size
    fine = estimator.batch(dataset, np.arange(size), finer=True)["draws"][: len(coarse["draws"])]
    change = fine - coarse["draws"]
    change = change[np.isfinite(change)]
    return float(np.sqrt(np.mean(change**2))) if change.size else None


def _warn_of_exact(estimator: Estimator, dataset: Dataset, num: int) -> None:
    """Say how long it will take where it will take long."""
    config, dim = estimator.config, math.prod(dataset.shape)
    if config.divergence != "exact" or config.estimator != "ode" or dim < _MANY_DIMENSIONS:
        return
    hours = estimator.exact_hours(dataset, num)
    print(
        f"likelihood.divergence: 'exact' takes {dim} products an evaluation, about {hours:.1f} "
        "hours in all; 'hutchinson' takes likelihood.probes",
        file=sys.stderr,
    )


def _warn_of_not_finite(result: Likelihood, dataset: Dataset) -> None:
    """Say which examples have no finite density.

    Raises:
      UserError: all of them.
    """
    bad = np.flatnonzero(~result.finite)
    given = sum(not np.isfinite(dataset.values[row]).all() for row in bad)
    if len(bad) and len(bad) == len(result.draws):
        takes = "takes more likelihood.num_steps, or a larger likelihood.rtol"
        if given:
            takes = f"the examples are not in {given} of them"
        raise UserError(f"likelihood: none of {len(bad)} log-densities is finite; {takes}")
    if len(bad):
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        print(
            f"likelihood: {len(bad)} of {len(result.draws)} log-densities are not finite and not "
            f"in the mean: examples {shown}" + f"; {given} are not themselves" * bool(given),
            file=sys.stderr,
        )
