"""An ablation's folder as a run leaves it, made of numbers in a second: nothing is trained."""

import itertools
import json
import math
import pathlib
import statistics
from typing import Any

import numpy as np

from experiments.ablation.table import RULE
from experiments.display.pictures import image_grid, save_gif, save_png

STEPS = range(50, 1001, 50)


def write(
    folder: pathlib.Path,
    axes: dict[str, list],
    *,
    seeds: int = 3,
    kind: str = "points",
    fails: tuple[int, int] | None = None,
    extra: bool = True,
) -> pathlib.Path:
    """Write the folder.

    Args:
      folder: made here.
      axes: values by field; the cells are their product.
      seeds: runs of a cell.
      kind: of the samples, "points" or "images".
      fails: the cell and the seed of a run that has failed.
      extra: whether runs have samples and likelihoods beside their curves.
    """
    cells, results = [], {}
    settings = [
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]
    for number, values in enumerate(settings):
        for seed in range(seeds):
            name = f"{number:03d}-{seed}"
            failed = (number, seed) == fails
            workdir = folder / "models" / name
            _workdir(workdir, number, seed, values)
            found = _result(number, seed, values, failed)
            if extra and not failed:
                found |= _files(workdir, folder, number, seed, kind)
            results[name] = found
            _write(folder / "results" / f"{name}.json", found)
            cells.append(
                {
                    "name": ",".join(f"{axis}={value}" for axis, value in values.items()),
                    "seed": seed,
                    "values": values,
                    "workdir": f"models/{name}",
                    "result": f"results/{name}.json",
                }
            )
    _write(folder / "cells.json", cells)
    _write(folder / "table.json", _table(settings, results, seeds, axes))
    _write(
        folder / "about.json",
        {
            "command": "scoresde ablate --config=toy2d --workdir=runs/ablation",
            "versions": {"python": "3.11.7", "jax": "0.10.2"},
            "hardware": {"device": "cpu", "devices": 1, "cores": 2},
            "started": "2026-01-02T03:04:05+00:00",
            "ended": "2026-01-02T03:24:11+00:00",
        },
    )
    (folder / "ablation.toml").write_text('config = "toy2d"\n', encoding="utf-8")
    return folder


def _write(file: pathlib.Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def _workdir(workdir: pathlib.Path, number: int, seed: int, values: dict) -> None:
    """A config and metrics of a run."""
    config: dict[str, Any] = {"seed": seed, "sampling": {"solver": "adams"}}
    for axis, value in values.items():
        section, _, field = axis.partition(".")
        config.setdefault(section, {})[field] = value
    config.setdefault("training", {})["t_min"] = 1e-5 * (1 + number % 2)
    _write(workdir / "config.json", config)
    rng = np.random.default_rng([number, seed])
    lines = []
    for step in STEPS:
        loss = 0.1 * (1 + number % 7) + math.exp(-step / 200) + 0.02 * rng.standard_normal()
        line = {"step": step, "loss": loss}
        if step % 250 == 0:
            line["eval/sw2"] = 0.5 * math.exp(-step / 400) + 0.02 * number
        lines.append(json.dumps(line))
    (workdir / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _result(number: int, seed: int, values: dict, failed: bool) -> dict[str, Any]:
    rng = np.random.default_rng([number, seed, 1])
    steps = float(values.get("sampling.num_steps", 20))
    metrics = {
        "sw2": {"value": 0.02 + 0.9 / steps + 0.01 * (number % 5) + 0.002 * rng.standard_normal()},
        "bpd": {"value": 2.0 + 0.03 * (number % 6) + 0.01 * rng.standard_normal()},
    }
    return {
        "protocol": {"seed": seed},
        "metrics": {} if failed else {k: x | {"standard_error": 0.01} for k, x in metrics.items()},
        "evaluations": None if failed else steps + 1,
        "seconds": {} if failed else {"train": 30.5, "sample": 0.1 * steps},
        "error": "training: 20 updates in a row had no finite loss" if failed else None,
        "samples": None,
        "evaluation": None,
        "likelihood": None,
    }


def _files(
    workdir: pathlib.Path, folder: pathlib.Path, number: int, seed: int, kind: str
) -> dict[str, str]:
    """Samples, at the first seed a picture too, and likelihoods."""
    rng = np.random.default_rng([seed, 2])
    samples, bits = workdir / "samples" / "step1000.npz", workdir / "likelihood" / "test.npz"
    for file in (samples, bits):
        file.parent.mkdir(parents=True, exist_ok=True)
    latents = rng.standard_normal((400, 2))
    angles = latents[:, :1] * 3
    ring = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    points = ring + (0.03 + 0.02 * (number % 5)) * latents[:, 1:]
    if kind == "images":
        images = np.uint8(np.clip(rng.normal(128, 60, (36, 8, 8, 1)) + 9 * number, 0, 255))
        np.savez(samples, images=images)
        grid = image_grid(images)
    else:
        np.savez(samples, points=np.float32(points))
        grid = np.full((64, 64, 3), 40 * (number % 6), np.uint8)
    save_png(samples.with_suffix(".png"), grid)
    if number == 0 and seed == 0:
        save_gif(samples.with_suffix(".gif"), [grid // 4, grid // 2, grid])
        save_png(workdir / "evaluation.nearest.png", grid)
    _write(samples.with_suffix(".json"), {"protocol": {"seed": seed, "solver": "adams"}})
    np.savez(bits, bits_per_dim=2 + 0.03 * (number % 6) + 0.3 * rng.standard_normal(300))
    _write(bits.with_suffix(".json"), {"bits_per_dim": 2.0})
    return {
        "evaluation": str((workdir / "evaluation.json").relative_to(folder)),
        "samples": str(samples.relative_to(folder)),
        "likelihood": str(bits.with_suffix(".json").relative_to(folder)),
    }


def _table(settings: list[dict], results: dict, seeds: int, axes: dict) -> dict[str, Any]:
    """Means, errors, and plain differences: p is not what a table would say."""
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(settings):
        runs = [results[f"{number:03d}-{seed}"]["metrics"] for seed in range(seeds)]
        done = [run for run in runs if run]
        entries = {}
        for metric in ("sw2", "bpd"):
            found = [run[metric]["value"] for run in done]
            mean, error = statistics.fmean(found), statistics.stdev(found) / math.sqrt(len(found))
            change = mean - rows[0]["metrics"][metric]["mean"] if rows else None
            entries[metric] = {
                "mean": mean,
                "standard_error": error,
                "n": len(found),
                "difference": change,
                "low": None if change is None else change - 3 * error,
                "high": None if change is None else change + 3 * error,
                "p": None if change is None else math.exp(-abs(change) / error),
                "best": metric == "bpd" and number == 0,
            }
        name = ",".join(f"{axis}={value}" for axis, value in values.items())
        row = {"name": name, "values": values, "seeds": len(done), "failed": seeds - len(done)}
        rows.append(row | {"metrics": entries})
    return {
        "axes": list(axes),
        "baseline": rows[0]["name"],
        "metrics": {
            "sw2": {"label": "sliced Wasserstein", "lower_is_better": True},
            "bpd": {"label": "bits/dim", "lower_is_better": True},
        },
        "rule": RULE,
        "rows": rows,
    }
