"""How far metrics are from those of published packages, and how long the Fréchet distance takes.

    python -m benchmarks.metric_twins --python=OTHER [--large] [--golden]

OTHER is a Python with the packages that `metric_packages` names.

differences   |ours − theirs| over |theirs|, of every number by package. Sets: `normal` of 64
              correlated features, `skewed` of 256 positive ones, as of a network's last layer
large         with --large: the Fréchet distance of 50,000 × 2048 features, with its error, in
              seconds of the clock, and of all cores together, which others at work on the machine
              do not change; and that of 10,000 × 2048 beside theirs

The result goes to benchmarks/results/metric_twins.json and the pages of the docs; --golden writes
the small sets and their numbers to tests/golden/metrics.npz.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time
from typing import Any

import numpy as np
from scipy.special import softmax

from benchmarks.report import ROOT, into_pages, machine, read, write
from experiments.evaluation.metrics.frechet import FrechetDistance
from experiments.evaluation.metrics.inception_score import inception_scores
from experiments.evaluation.metrics.kernel_distance import kernel_distance
from experiments.evaluation.metrics.prdc import PRDC
from experiments.evaluation.sets import Examples

Sets = dict[str, np.ndarray]

# The draws of torch-fidelity's subsets.
_SEED, _SUBSETS = 2020, 20


def pair(seed: int, num: int, dim: int, *, skewed: bool) -> Sets:
    """Two sets that differ a little, and logits of the first."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dim, dim)) / dim**0.5
    x, y = (rng.normal(size=(num, dim)) @ mix for _ in range(2))
    x = 0.9 * x + 0.1
    if skewed:
        x, y = (np.exp(0.5 * z) * (z > -1) for z in (x, y))
    return {
        "generated": x.astype(np.float32),
        "reference": y.astype(np.float32),
        "logits": 3 * rng.normal(size=(num, 20)).astype(np.float32),
    }


def ours(sets: Sets) -> dict[str, float]:
    """Our numbers, by the names of `metric_packages.numbers`."""
    x, y = sets["generated"], sets["reference"]
    examples = Examples(features=x), Examples(features=y)
    rng = np.random.RandomState(_SEED)
    subsets = [
        kernel_distance(*(z[rng.choice(len(z), len(z) // 4, replace=False)] for z in (x, y))).value
        for _ in range(_SUBSETS)
    ]
    scores = inception_scores(softmax(sets["logits"].astype(np.float64), axis=1), 10)
    prdc = PRDC(k=3).measure(*examples)
    five = PRDC(k=5, k_density=5).measure(*examples)
    return {
        "fd": FrechetDistance(sizes=0, bootstrap=0).measure(*examples)["fd"].value,
        "kd": kernel_distance(x, y).value,
        "kd_subsets": float(np.mean(subsets)),
        "kd_subsets_deviation": float(np.std(subsets)),
        "is": float(scores.mean()),
        "is_deviation": float(scores.std()),
        "precision": prdc["precision"].value,
        "recall": prdc["recall"].value,
    } | {f"{name}_k5": estimate.value for name, estimate in five.items()}


def theirs(python: str, sets: dict[str, Sets]) -> dict[str, Any]:
    """What `metric_packages` says of pairs of sets by name."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = pathlib.Path(folder, "sets.npz"), pathlib.Path(folder, "found.json")
        flat: dict[str, Any] = {
            f"{name}/{key}": array for name, arrays in sets.items() for key, array in arrays.items()
        }
        np.savez(given, **flat)
        script = pathlib.Path(__file__).with_name("metric_packages.py")
        subprocess.run([python, script, given, found], check=True)
        return json.loads(found.read_text(encoding="utf-8"))


def large(python: str) -> dict[str, Any]:
    """The Fréchet distance of as many features as are published."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((50_000, 2048), dtype=np.float32) for _ in range(2))
    x[:, ::2] *= 1.1
    metric = FrechetDistance(sizes=0)

    def timed(num: int) -> tuple[float, dict[str, float]]:
        start, used = time.perf_counter(), time.process_time()
        found = metric.measure(Examples(features=x[:num]), Examples(features=y[:num]))["fd"]
        wall, processors = time.perf_counter() - start, time.process_time() - used
        return found.value, {"ours": round(wall, 2), "ours_of_all_cores": round(processors, 2)}

    value, seconds = timed(50_000)
    some = {"generated": x[:10_000], "reference": y[:10_000]}
    (less, fewer), other = timed(10_000), theirs(python, {"large": some})
    return {
        "seconds_of_50000": seconds,
        "fd_of_50000": value,
        "seconds_of_10000": fewer | other["seconds"],
        "differences": {
            package: abs(less / number - 1)
            for package, number in other["numbers"]["large"]["fd"].items()
        },
    }


def words(result: dict[str, Any]) -> str:
    """The result in a sentence."""
    each = (
        difference
        for numbers in result["differences"].values()
        for found in numbers.values()
        for difference in found.values()
    )
    versions = result["packages"]
    names = ", ".join(
        f"{name} {versions[name]}" for name in ("torch-fidelity", "clean-fid", "prdc")
    )
    said = f"all within {max(each):.0e} of {names}, on the same features"
    if "large" in result:
        took = result["large"]["seconds_of_50000"]["ours"]
        said += f"; the Fréchet distance of 50,000 × 2048 features takes {took:.0f} s"
        said += f" on {result['cores']} cores"
    return said


def write_golden(sets: Sets, numbers: dict[str, dict[str, float]]) -> None:
    """The sets and their numbers, NAME/PACKAGE."""
    flat: dict[str, Any] = {
        f"{name}/{package}": np.float64(value)
        for name, by_package in numbers.items()
        for package, value in by_package.items()
    }
    np.savez_compressed(ROOT / "tests" / "golden" / "metrics.npz", **(flat | sets))


def main() -> None:
    """Compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="one that has the packages")
    parser.add_argument("--large", action="store_true", help="time 50,000 × 2048 features, too")
    parser.add_argument("--golden", action="store_true", help="write tests/golden/metrics.npz")
    options = parser.parse_args()
    sets = {
        "normal": pair(0, 2000, 64, skewed=False),
        "skewed": pair(1, 2000, 256, skewed=True),
        "small": pair(2, 200, 12, skewed=True),
    }
    other = theirs(options.python, sets)
    result = (
        read("metric_twins")
        | machine("scipy", "scikit-learn")
        | {
            "packages": other["versions"],
            "differences": {
                name: {
                    number: {
                        package: abs(mine[number] / value - 1) for package, value in found.items()
                    }
                    for number, found in other["numbers"][name].items()
                }
                for name, mine in ((name, ours(arrays)) for name, arrays in sets.items())
            },
        }
    )
    if options.golden:
        write_golden(sets["small"], other["numbers"]["small"])
    if options.large:
        result["large"] = large(options.python)
    write("metric_twins", result)
    into_pages("metric_twins", words(result))


if __name__ == "__main__":
    main()
