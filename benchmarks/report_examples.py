"""Reports of ablations made of numbers, for `benchmarks/browser/report.mjs` to open.

python -m benchmarks.report_examples build/reports

They are of points, of images, of a hundred cells, and of fields and values that are markup.
"""

import pathlib
import shutil
import sys
from typing import Any

from experiments.report.page import write_report
from tests.experiments.report import example

EVIL = "</script><img src=x onerror=alert(1)>&amp;\"'$x$"
EXAMPLES: dict[str, dict[str, Any]] = {
    "points": {
        "axes": {"sde.name": ["vp", "subvp", "ve"], "training.learning_rate": [1e-3, 3e-4]},
        "fails": (3, 1),
    },
    "images": {
        "axes": {
            "sampling.solver": ["adams", "heun", "dpmpp_2m"],
            "sampling.num_steps": [6, 10, 20, 50],
        },
        "kind": "images",
        "seeds": 2,
    },
    "hundred": {
        "axes": {
            "sde.name": ["vp", "subvp", "ve", "flow", "edm"],
            "training.learning_rate": [1e-3, 3e-4, 1e-4, 3e-5, 1e-5],
            "sampling.num_steps": [6, 10, 20, 50],
        },
        "seeds": 2,
    },
    "markup": {"axes": {EVIL: [f"a{EVIL}", "b", "c"]}, "fails": (2, 0)},
}


def main(folder: pathlib.Path) -> None:
    """Write every example anew, and its report."""
    for name, how in EXAMPLES.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        print(write_report(example.write(folder / name, **how)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
