"""Bits/dim of a trained experiment, from examples to files."""

import pathlib
import shutil

from experiments.data import Dataset
from experiments.estimator import Estimator
from experiments.likelihood import evaluate
from experiments.likelihood_report import SUFFIXES, protocol, save, summary, words
from experiments.results import JSON, Result
from experiments.trained import Trained


def measure(
    trained: Trained, dataset: Dataset, *, seed: int = 0, limit: int | None = None
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
        save(evaluate(estimator, dataset, limit=limit, parts=parts), result)
        shutil.rmtree(parts)
    told = "measured before, by the same protocol; --seed makes other draws\n" if before else ""
    return told + summary(result), result.file(JSON)
