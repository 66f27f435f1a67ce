"""What the command `likelihood` writes: every example's number, and the mean with its protocol.

NAME.json    the mean with its error bars, what it is a bound on, and how it was measured
NAME.npz     of each example [N]: index, bits_per_dim, standard_error, interval_95 [N, 2],
             evaluations, and with several draws importance_weighted
NAME.png     a histogram of bits_per_dim
"""

import dataclasses
import math
from typing import Any

import numpy as np

from experiments.builders.likelihood import build_integrator
from experiments.data import Split
from experiments.display.pictures import histogram, save_png
from experiments.likelihood.estimator import Estimator
from experiments.likelihood.result import Likelihood, Mean
from experiments.runtime.atomic_files import file_at_once
from experiments.workdir.results import JSON, Result, digest
from experiments.workdir.trained_model import TrainedModel

SUFFIXES = (".npz", ".png")


def protocol(
    trained: TrainedModel, estimator: Estimator, dataset: Split, **more: object
) -> dict[str, Any]:
    """Everything that the numbers follow from; of arrays, digests.

    Args:
      trained: whose model is measured.
      estimator: of its likelihoods.
      dataset: what is measured.
      more: seed, limit.
    """
    config = trained.experiment.likelihood
    conditional = trained.experiment.model.conditional
    return {
        **trained.protocol,
        **dataclasses.asdict(config),
        "integrator": repr(build_integrator(config)),
        "data": dataset.source,
        "split": dataset.name,
        "dimensions": math.prod(dataset.shape),
        "examples_digest": digest(dataset.values),
        **({"conditions_digest": digest(dataset.conditions)} if conditional else {}),
        "control_digest": digest(estimator.control),
        "t_min": estimator.t_min,
        "noise_to_signal_min": float(estimator.sde.noise_to_signal(estimator.t_min)),
        **more,
    }


def words(protocol: dict) -> str:
    """What people look for in a name, of what a protocol says."""
    how = protocol["estimator"]
    if protocol["grey_levels"] is not None:
        how += f"-{protocol['dequantization']}"
    return f"{protocol['split']}-step{protocol['step']}-{how}"


def target(protocol: dict) -> str:
    """What the bits/dim are, in words."""
    if protocol["estimator"] == "elbo":
        density = "the variational upper bound on −log₂ p of the reverse-time SDE"
    else:
        density = "−log₂ p of the probability-flow ODE"
        if protocol["divergence"] != "exact":
            density += ", estimated without bias"
    if protocol["model"].get("conditional"):
        density += ", of each example given its own condition"
    if protocol["grey_levels"] is None:
        return f"{density}; differential, of continuous data"
    return f"{density}; under {protocol['dequantization']} dequantization an upper bound on −log₂ P"


def save(measured: Likelihood, result: Result) -> None:
    """Write NAME.npz and NAME.json; then NAME.png, which may fail without taking them along."""
    bits = measured.bits_per_dim
    arrays: dict[str, Any] = {
        "index": np.arange(len(bits)),
        "bits_per_dim": bits,
        "standard_error": measured.standard_errors,
        "interval_95": measured.intervals(),
        "evaluations": measured.evaluations,
    }
    if result.protocol["repeats"] > 1:
        arrays["importance_weighted"] = measured.importance_weighted
    with file_at_once(result.file(".npz")) as file:
        np.savez_compressed(file, **arrays)
    result.record(_report(measured, result.protocol))
    save_png(result.file(".png"), histogram(bits[measured.finite], "bits/dim"))


def _report(result: Likelihood, protocol: dict) -> dict[str, Any]:
    finite = result.finite
    mean = Mean(result.bits_per_dim[finite])
    errors = result.standard_errors[finite]
    several = len(result.bits_per_dim[finite]) > 1
    report: dict[str, Any] = {
        "bits_per_dim": mean.mean,
        # One example has no spread, and JSON no NaN.
        "standard_error": mean.standard_error if several else None,
        "interval_95": mean.interval() if several else None,
        "standard_error_of_this_split": (
            float(np.sqrt(np.sum(errors**2)) / len(errors)) if np.isfinite(errors).all() else None
        ),
        "target": target(protocol),
        "solver_error": result.solver_error,
        "examples": mean.num,
        "not_finite": np.flatnonzero(~finite).tolist(),
        "evaluations_mean": float(result.evaluations.mean()),
        "evaluations_max": int(result.evaluations.max()),
        "seconds": round(float(result.seconds.sum()), 2),
    }
    if protocol["repeats"] > 1:
        weighted = Mean(result.importance_weighted[finite])
        noisy = protocol["estimator"] == "elbo" or protocol["divergence"] != "exact"
        report["importance_weighted"] = {
            "bits_per_dim": weighted.mean,
            "standard_error": weighted.standard_error if several else None,
            "kind": "estimate: the noise of log p makes it low" if noisy else "upper bound",
            "samples": protocol["repeats"],
        }
    return report


def summary(result: Result) -> str:
    """The number, what it is, and where it was written, in three lines."""
    report, protocol = result.report, result.protocol
    mean, most = report["evaluations_mean"], report["evaluations_max"]
    spread = "" if mean == most else f" ({most} at most)"
    error = report["standard_error"]
    checked = ""
    if report["solver_error"] is not None:
        checked = f", solver error {report['solver_error']:.1e} bits/dim"
    return (
        f"{protocol['split']} split, {report['examples']} examples: {report['bits_per_dim']:.4f} ± "
        f"{math.nan if error is None else error:.4f} bits/dim (standard error), {mean:.0f} network "
        f"evaluations each{spread}, {report['seconds']:.1f} s{checked}\n"
        f"{report['target']}\n"
        f"{', '.join(str(result.file(suffix)) for suffix in (JSON, *SUFFIXES))}"
    )
