"""What the command `likelihood` writes: the number with its protocol, and every example's.

NAME.json    the mean with its error bars, what it is a bound on, and how it was measured
NAME.npz     of each example [N]: index, bits_per_dim, standard_error, interval_95 [N, 2],
             evaluations, and with several draws importance_weighted
NAME.png     a histogram of bits_per_dim
"""

import dataclasses
import hashlib
import json
import math
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import build
from experiments.atomic import write_atomically
from experiments.data import Dataset
from experiments.estimator import Estimator
from experiments.likelihood import Likelihood, Mean
from experiments.pictures import histogram, save_png
from experiments.sections import Experiment


def protocol(
    experiment: Experiment, estimator: Estimator, dataset: Dataset, **more: object
) -> dict:
    """Everything that the numbers follow from; of examples and parameters, digests.

    Args:
      experiment: with the command's flags.
      estimator: of its likelihoods.
      dataset: what is measured.
      more: seed, limit, step, parameters.
    """
    return {
        **dataclasses.asdict(experiment.likelihood),
        "integrator": repr(build.integrator(experiment.likelihood)),
        "sde": dataclasses.asdict(experiment.sde),
        "data": dataset.source,
        "split": dataset.split,
        "grey_levels": dataset.levels,
        "dimensions": math.prod(dataset.shape),
        "examples_digest": _digest(dataset.values),
        "parameters_digest": _digest(estimator.model),
        "t_min": estimator.t_min,
        "noise_to_signal_min": float(estimator.sde.noise_to_signal(estimator.t_min)),
        **more,
    }


def file_name(protocol: dict) -> str:
    """Of the results, different for different protocols: a few words and a hash of the rest."""
    text = json.dumps(protocol, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    how = protocol["estimator"]
    if protocol["grey_levels"] is not None:
        how += f"-{protocol['dequantization']}"
    return f"{protocol['split']}-step{protocol['step']}-{how}-{digest[:6]}"


def _digest(tree: Any) -> str:
    """Twelve hexadecimal digits of the leaves' content."""
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        content.update(np.ascontiguousarray(leaf).tobytes())
    return content.hexdigest()[:12]


def target(protocol: dict) -> str:
    """What the bits/dim are, in words."""
    if protocol["estimator"] == "elbo":
        density = "the variational upper bound on −log₂ p of the reverse-time SDE"
    else:
        density = "−log₂ p of the probability-flow ODE"
        if protocol["divergence"] != "exact":
            density += ", estimated without bias"
    if protocol["grey_levels"] is None:
        return f"{density}; differential, of continuous data"
    return f"{density}; under {protocol['dequantization']} dequantization an upper bound on −log₂ P"


def save(
    result: Likelihood, protocol: dict, folder: pathlib.Path, name: str
) -> tuple[pathlib.Path, ...]:
    """Write NAME.json, NAME.npz and NAME.png; returns their paths."""
    bits, finite = result.bits_per_dim, result.finite
    arrays: dict[str, Any] = {
        "index": np.arange(len(bits)),
        "bits_per_dim": bits,
        "standard_error": result.standard_errors,
        "interval_95": result.intervals(),
        "evaluations": result.evaluations,
    }
    if protocol["repeats"] > 1:
        arrays["importance_weighted"] = result.importance_weighted
    paths = tuple(folder / (name + suffix) for suffix in (".json", ".npz", ".png"))
    np.savez_compressed(paths[1], **arrays)
    save_png(paths[2], histogram(bits[finite], "bits/dim"))
    report = json.dumps(_report(result, protocol), indent=2, ensure_ascii=False)
    write_atomically(paths[0], report + "\n")
    return paths


def _report(result: Likelihood, protocol: dict) -> dict:
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
    return report | {"protocol": protocol}


def summary(result: Likelihood, protocol: dict, paths: tuple[pathlib.Path, ...]) -> str:
    """The number, what it is, and where it was written, in three lines."""
    mean = Mean(result.bits_per_dim[result.finite])
    calls = result.evaluations
    spread = "" if calls.min() == calls.max() else f" ({calls.max()} at most)"
    checked = ""
    if result.solver_error is not None:
        checked = f", solver error {result.solver_error:.1e} bits/dim"
    return (
        f"{protocol['split']} split, {mean.num} examples: {mean.mean:.4f} ± "
        f"{mean.standard_error:.4f} bits/dim (standard error), {calls.mean():.0f} network "
        f"evaluations each{spread}, {result.seconds.sum():.1f} s{checked}\n"
        f"{target(protocol)}\n{', '.join(map(str, paths))}"
    )
