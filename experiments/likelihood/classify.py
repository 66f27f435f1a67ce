"""Classes of examples by Bayes' rule over a conditional model's densities.

    p(c | x) = p(x | c) p(c) / Σ_c' p(x | c') p(c'),   p(c) = 1/C                              (1)

All classes are measured with the same draws of dequantization and probes, whose noise is then
common to them and drops out of (1) for the most part.

Reference: Song et al. 2021, App. I.1; Li et al. 2023, "Your diffusion model is secretly a zero-shot
classifier".
"""

import math
import shutil
from functools import partial
from typing import Any

import numpy as np
from scipy.special import log_softmax
from tqdm import tqdm

from experiments.data import Split
from experiments.errors import UserError
from experiments.likelihood.estimator import Estimator
from experiments.likelihood.report import protocol, words
from experiments.likelihood.result import Mean
from experiments.runtime.atomic_files import file_at_once
from experiments.workdir.results import JSON, Result, resumed
from experiments.workdir.trained_model import TrainedModel
from sde_lib import Condition


def classify(
    trained: TrainedModel, dataset: Split, *, seed: int = 0, limit: int | None = None
) -> str:
    """Measure every example under every class and write what is likeliest, unless it is there.

    Args:
      trained: a model of classes.
      dataset: the examples.
      seed: of the draws.
      limit: only so many examples.

    Returns:
      What was found and where it is, in two lines.

    Raises:
      UserError: the model is not of classes.
    """
    if not trained.experiment.model.conditional or trained.train.cond_dim:
        raise UserError("--classify: takes a model of classes, trained with model.conditional")
    estimator = Estimator(
        trained.experiment, trained.sde, trained.model, trained.train, seed, trained.mesh
    )
    facts = protocol(trained, estimator, dataset, seed=seed, limit=limit, classify=True)
    result = Result.named(trained.workdir.path / "likelihood", f"classify-{words(facts)}", facts)
    if not result.is_there(".npz"):
        parts = trained.workdir.folder(f"likelihood/{result.path.name}.parts")
        num = dataset.num if limit is None else min(limit, dataset.num)
        _save(
            _log_probs(estimator, dataset, trained.train.num_classes, num, parts), dataset, result
        )
        shutil.rmtree(parts)
    return _summary(result)


def _log_probs(
    estimator: Estimator, dataset: Split, num_classes: int, num: int, parts: Any
) -> np.ndarray:
    """log p(x | c) in nats of the first examples under every class, [num, C]."""
    size, nats = estimator.config.batch_size, math.prod(dataset.shape) * math.log(2)
    found = np.empty((num, num_classes))
    with tqdm(total=num * num_classes, unit="density", disable=None) as bar:
        for first in range(0, num, size):
            rows = np.arange(first, first + size)
            kept = min(size, num - first)
            for label in range(num_classes):
                cond = Condition(label=np.full(size, label, np.int32))
                measure = partial(estimator.batch, dataset, rows, cond=cond)
                batch = resumed(parts / f"{first}-{label}.npz", measure)
                found[first : first + kept, label] = -nats * batch["draws"][:kept].mean(axis=1)
                bar.update(kept)
    return found


def _save(log_probs: np.ndarray, dataset: Split, result: Result) -> None:
    """Write NAME.npz and NAME.json, of which examples without finite densities are left out.

    Raises:
      UserError: there are no others.
    """
    num, finite = len(log_probs), np.isfinite(log_probs).all(axis=1)
    if not finite.any():
        raise UserError(f"--classify: none of {num} examples has finite log-densities")
    predicted = np.where(finite, log_probs.argmax(axis=1), -1)
    arrays: dict[str, Any] = {
        "index": np.arange(num),
        "log_prob": log_probs,
        "predicted": predicted,
    }
    report: dict[str, Any] = {
        "examples": int(finite.sum()),
        "not_finite": np.flatnonzero(~finite).tolist(),
    }
    batch = dataset.read(np.arange(num))
    if batch.labels is not None:
        labels = arrays["labels"] = np.asarray(batch.labels)
        right = Mean((predicted == labels)[finite].astype(float))
        entropy = -log_softmax(log_probs, axis=1)[np.arange(num), labels][finite]
        report |= {
            "accuracy": right.mean,
            # One example has no spread, and JSON no NaN.
            "accuracy_standard_error": right.standard_error if finite.sum() > 1 else None,
            "cross_entropy_nats": float(entropy.mean()),
        }
    with file_at_once(result.file(".npz")) as file:
        np.savez_compressed(file, **arrays)
    result.record(report)


def _summary(result: Result) -> str:
    """How many are right, and where it was written."""
    report, where = result.report, f"{result.file('.npz')}, {result.file(JSON)}"
    if "accuracy" not in report:
        return f"{report['examples']} examples classified\n{where}"
    error = report["accuracy_standard_error"]
    return (
        f"{report['examples']} examples: {report['accuracy']:.1%} ± "
        f"{math.nan if error is None else error:.1%} have their own class as the likeliest; "
        f"cross-entropy {report['cross_entropy_nats']:.3f} nats\n{where}"
    )
