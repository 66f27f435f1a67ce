"""The command `likelihood`: bits per dimension of a whole split, with error bars.

For each example R draws of its dequantization (`dequantization`), each with probes of its own, give
−log₂ P by the ODE's density or by the variational bound. Averaged over the draws they are the
example's bits/dim; their spread, or with one draw that over the probes, is its standard error.
Draw r of example i depends on (seed, r, i) alone.

Results are written after every batch, so that a run that was killed goes on where it stopped, with
the same numbers.
"""

import math
import pathlib
import shutil
import sys
from functools import partial

import numpy as np
from tqdm import tqdm

from experiments.data import Split
from experiments.errors import UserError
from experiments.likelihood.estimator import Estimator
from experiments.likelihood.report import SUFFIXES, protocol, save, summary, words
from experiments.likelihood.result import Likelihood, Mean
from experiments.workdir.results import JSON, Result, resumed
from experiments.workdir.trained_model import TrainedModel

# Dimensions from which the exact divergence is slow enough to warn of.
_MANY_DIMENSIONS = 256

_FIELDS = ("draws", "probe_errors", "log_weights", "evaluations", "seconds")


def measure(
    trained: TrainedModel, dataset: Split, *, seed: int = 0, limit: int | None = None
) -> tuple[str, pathlib.Path]:
    """Measure and write, or find what was measured by the same protocol before.

    Args:
      trained: the experiment.
      dataset: the examples.
      seed: of the draws.
      limit: only so many examples.

    Returns:
      What was found and where it is in three lines, and the JSON's path.

    Raises:
      UserError: nothing finite came out, or it cannot be written.
    """
    estimator = Estimator(
        trained.experiment, trained.sde, trained.model, trained.train, seed, trained.mesh
    )
    facts = protocol(trained, estimator, dataset, seed=seed, limit=limit)
    folder = trained.workdir.path / "likelihood"
    result = Result.named(folder, words(facts), facts)
    before = result.is_there(*SUFFIXES)
    if not before:
        parts = trained.workdir.folder(f"likelihood/{result.path.name}.parts")
        save(measure_dataset(estimator, dataset, limit=limit, parts=parts), result)
        shutil.rmtree(parts)
    note = "measured before, by the same protocol; --seed makes other draws\n" if before else ""
    return note + summary(result), result.file(JSON)


def measure_dataset(
    estimator: Estimator,
    dataset: Split,
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
            batch = partial(estimator.batch, dataset, np.arange(first, first + size))
            kept = min(size, num - first)
            whole = batch() if parts is None else resumed(parts / f"{first}.npz", batch)
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
        dequantized=dataset.codec.bin_width is not None,
        degrees_of_freedom=estimator.degrees_of_freedom,
        solver_error=_solver_error(estimator, dataset, batches[0]) if checks else None,
    )
    _warn_of_not_finite(result, dataset)
    return result


def _solver_error(estimator: Estimator, dataset: Split, coarse: dict) -> float | None:
    """RMS over the first batch of what twice the steps, or a tenth of the tolerance, change.

    None where nothing is finite.
    """
    size = estimator.config.batch_size
    fine = estimator.batch(dataset, np.arange(size), finer=True)["draws"][: len(coarse["draws"])]
    change = fine - coarse["draws"]
    change = change[np.isfinite(change)]
    return float(np.sqrt(np.mean(change**2))) if change.size else None


def _warn_of_exact(estimator: Estimator, dataset: Split, num: int) -> None:
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


def _warn_of_not_finite(result: Likelihood, dataset: Split) -> None:
    """Say which examples have no finite density.

    Raises:
      UserError: all of them.
    """
    bad = np.flatnonzero(~result.finite)
    given = sum(not np.isfinite(dataset.values[row]).all() for row in bad)
    if len(bad) and len(bad) == len(result.draws):
        takes = "takes more likelihood.num_steps, or a larger likelihood.rtol"
        if given == len(bad):
            takes = "nor is any of the examples"
        raise UserError(f"likelihood: none of {len(bad)} log-densities is finite; {takes}")
    if len(bad):
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        print(
            f"likelihood: {len(bad)} of {len(result.draws)} log-densities are not finite and not "
            f"in the mean: examples {shown}" + f"; {given} are not themselves" * bool(given),
            file=sys.stderr,
        )
