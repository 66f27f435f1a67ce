"""Bits/dim of a trained experiment, from examples to files."""

import pathlib
import shutil

from experiments.data import Dataset
from experiments.estimator import Estimator
from experiments.likelihood import evaluate
from experiments.likelihood_report import file_name, protocol, save, summary
from experiments.trained import Trained


def measure(
    trained: Trained, dataset: Dataset, *, seed: int = 0, limit: int | None = None
) -> tuple[str, pathlib.Path]:
    """Measure and write; what was found and where it is in three lines, and the JSON's path.

    Args:
      trained: the experiment.
      dataset: the examples.
      seed: of the draws.
      limit: only so many examples.

    Raises:
      UserError: nothing finite came out.
    """
    estimator = Estimator(
        trained.experiment, trained.sde, trained.model, trained.train, seed, trained.mesh
    )
    facts = protocol(
        trained.experiment,
        estimator,
        dataset,
        step=trained.step,
        parameters=trained.parameters,
        seed=seed,
        limit=limit,
    )
    folder, name = trained.workdir.folder("likelihood"), file_name(facts)
    parts = trained.workdir.folder(f"likelihood/{name}.parts")
    result = evaluate(estimator, dataset, limit=limit, parts=parts)
    paths = save(result, facts, folder, name)
    shutil.rmtree(parts)
    return summary(result, facts, paths), paths[0]
