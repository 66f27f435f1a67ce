"""Where results go: benchmarks/results/NAME.json, and marked places of the README."""

import json
import os
import pathlib
import platform
import re
from typing import Any

import jax

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def save(name: str, result: dict[str, Any]) -> None:
    """Write a result with versions and hardware."""
    machine = {
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": os.cpu_count(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result | machine, indent=2) + "\n", encoding="utf-8")
    print(path)


def into_readme(mark: str, text: str) -> None:
    """Replace what stands between <!--MARK--> and <!--/MARK-->."""
    readme = ROOT / "README.md"
    pattern = rf"(<!--{mark}-->).*?(<!--/{mark}-->)"
    replaced = re.sub(
        pattern, lambda m: m[1] + text + m[2], readme.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    readme.write_text(replaced, encoding="utf-8")
