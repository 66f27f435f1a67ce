"""Metrics as others compute them: what `metric_twins` compares.

    python metric_packages.py SETS.npz OUT.json

It imports nothing of this project, so that it can run under a Python of its own, with
torch-fidelity, clean-fid and prdc. SETS.npz has, by the name of a pair of sets, NAME/generated
[N, D], NAME/reference [N, D] and NAME/logits [N, K]; OUT.json gets the numbers of each, their
seconds, and the versions of the packages.
"""

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from cleanfid import fid
from prdc import compute_prdc
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

PACKAGES = ("torch-fidelity", "clean-fid", "prdc", "torch", "scipy", "numpy")


def frechet(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], float]]:
    """What computes the Fréchet distance of features [N, D], by package."""
    tensors = [torch.from_numpy(z) for z in (x, y)]
    moments = [f(z) for z in (x, y) for f in (lambda a: a.mean(axis=0), lambda a: np.cov(a.T))]

    def by_torch_fidelity() -> float:
        statistics = [metric_fid.fid_features_to_statistics(z) for z in tensors]
        return metric_fid.fid_statistics_to_metric(*statistics, False)[metric_fid.KEY_METRIC_FID]

    return {
        "torch-fidelity": by_torch_fidelity,
        "clean-fid": lambda: float(fid.frechet_distance(*moments)),
    }


def numbers(x: np.ndarray, y: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """All numbers of a pair of sets: generated and reference features, logits of the generated."""
    ours, theirs = torch.from_numpy(x), torch.from_numpy(y)
    whole = {"kid_subsets": 1, "kid_subset_size": len(x), "verbose": False}
    subsets = {"kid_subsets": 20, "kid_subset_size": len(x) // 4, "verbose": False}
    kid = metric_kid.kid_features_to_metric(ours, theirs, **whole)
    several = metric_kid.kid_features_to_metric(ours, theirs, **subsets)
    scores = metric_isc.isc_features_to_metric(torch.from_numpy(logits), 10, shuffle=False)
    precise = metric_prc.prc_features_to_metric(
        ours, theirs, prc_neighborhood=3, prc_batch_size=10000, save_cpu_ram=False, verbose=False
    )
    return {
        "fd": {name: compute() for name, compute in frechet(x, y).items()},
        "kd": {
            "torch-fidelity": kid[metric_kid.KEY_METRIC_KID_MEAN],
            "clean-fid": fid.kernel_distance(x, y, num_subsets=1, max_subset_size=len(x)),
        },
        "kd_subsets": {"torch-fidelity": several[metric_kid.KEY_METRIC_KID_MEAN]},
        "kd_subsets_deviation": {"torch-fidelity": several[metric_kid.KEY_METRIC_KID_STD]},
        "is": {"torch-fidelity": scores[metric_isc.KEY_METRIC_ISC_MEAN]},
        "is_deviation": {"torch-fidelity": scores[metric_isc.KEY_METRIC_ISC_STD]},
        "precision": {"torch-fidelity": precise[metric_prc.KEY_METRIC_PRECISION]},
        "recall": {"torch-fidelity": precise[metric_prc.KEY_METRIC_RECALL]},
    } | {
        f"{name}_k5": {"prdc": float(value)}
        for name, value in compute_prdc(y, x, nearest_k=5).items()
    }


def main() -> None:
    """Read the sets, write the numbers."""
    sets, out = sys.argv[1:]
    found: dict[str, Any] = {"numbers": {}, "seconds": {}}
    with np.load(sets) as file:
        pairs = sorted({key.partition("/")[0] for key in file.files})
        for name in pairs:
            given: Mapping[str, np.ndarray] = {
                key.partition("/")[2]: file[key].astype(np.float64)
                for key in file.files
                if key.partition("/")[0] == name
            }
            if "logits" in given:
                found["numbers"][name] = numbers(
                    given["generated"], given["reference"], given["logits"]
                )
                continue
            found["numbers"][name] = {"fd": {}}
            for package, compute in frechet(given["generated"], given["reference"]).items():
                start = time.perf_counter()
                found["numbers"][name]["fd"][package] = compute()
                found["seconds"][package] = round(time.perf_counter() - start, 2)
    found["versions"] = {name: importlib.metadata.version(name) for name in PACKAGES}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
