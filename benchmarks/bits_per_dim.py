"""Bits/dim of trained models under every SDE and dequantization, as a table for the docs.

    python -m benchmarks.bits_per_dim --cifar10=FILE.npz [--runs=runs/bits_per_dim] [--limit=128]

Trains what is not trained yet in RUNS (digits: about three minutes a model on 2 CPU cores;
CIFAR-10, `cifar10:vp,small` for 200 steps: about five) and measures the test split of the
digits and the first LIMIT test images of CIFAR-10. FILE.npz has images and test_images. The table
shows how much the choices matter on equal terms, not what well-trained models reach.
"""

import argparse
import json
import pathlib
from typing import Any

from benchmarks.report import into_pages, save
from benchmarks.runs import train_once
from experiments.likelihood.measure import measure
from experiments.runtime import devices
from experiments.workdir.trained_model import TrainedModel

SDES = ("vp", "subvp", "ve")
DEQUANTIZATIONS = ("uniform", "truncated_normal")


def main() -> None:
    """Train, measure, write the result and the docs' table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar10", required=True, help="an .npz with images and test_images")
    parser.add_argument("--runs", default="runs/bits_per_dim")
    parser.add_argument("--limit", type=int, default=128, help="images of CIFAR-10")
    options = parser.parse_args()
    devices.start()
    rows = []
    for name, config, overrides, limit in (
        ("digits", "digits", [], None),
        (
            "CIFAR-10",
            "cifar10:vp,small",
            [f"--config.data.source=npz:{options.cifar10}", "--config.training.num_steps=200"],
            options.limit,
        ),
    ):
        for sde in SDES:
            workdir = pathlib.Path(options.runs, f"{name.lower().replace('-', '')}_{sde}")
            train_once(config, [*overrides, f"--config.sde.name={sde}"], workdir)
            for dequantization in DEQUANTIZATIONS:
                rows.append({"data": name, "sde": sde} | report(workdir, dequantization, limit))
                save("bits_per_dim", {"rows": rows})
    into_pages("bits_per_dim", table(rows))


def report(workdir: pathlib.Path, dequantization: str, limit: int | None) -> dict[str, Any]:
    """The report of one likelihood run."""
    overrides = [
        f"--config.likelihood.dequantization={dequantization}",
        "--config.likelihood.check_solver=True",
        "--config.likelihood.batch_size=64",
    ]
    trained = TrainedModel.open(workdir, overrides, devices.make_mesh())
    text, path = measure(trained, trained.dataset("test"), limit=limit)
    print(text)
    return {"dequantization": dequantization} | json.loads(path.read_text(encoding="utf-8"))


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown: data by row, SDE and dequantization by column."""
    lines = [
        "",
        "| data, SDE | uniform | truncated normal | σ/α at t_min | images | solver error |",
        "|---|---|---|---|---|---|",
    ]
    for data, sde in dict.fromkeys((row["data"], row["sde"]) for row in rows):
        pair = {
            row["dequantization"]: row for row in rows if (row["data"], row["sde"]) == (data, sde)
        }
        both = [pair[name] for name in DEQUANTIZATIONS]
        numbers = " | ".join(
            f"{row['bits_per_dim']:.3f} ± {row['standard_error']:.3f}" for row in both
        )
        starts = ", ".join(f"{row['protocol']['noise_to_signal_min']:.2g}" for row in both)
        errors = ", ".join(f"{row['solver_error']:.0e}" for row in both)
        lines.append(f"| {data}, {sde} | {numbers} | {starts} | {both[0]['examples']} | {errors} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
