"""Where results go: benchmarks/results/NAME.json, and marked places of the README and the docs."""

import importlib.metadata
import json
import os
import pathlib
import platform
import re
from typing import Any

import jax

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def machine(*packages: str) -> dict[str, Any]:
    """Versions and hardware.

    Args:
      packages: whose versions matter besides JAX's.
    """
    return {
        "jax": jax.__version__,
        **{name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": os.cpu_count(),
    }


def here(name: str) -> str:
    """The result's name on this platform: NAME on the CPU, NAME_gpu elsewhere."""
    return name if jax.default_backend() == "cpu" else f"{name}_gpu"


def read(name: str) -> dict[str, Any]:
    """A result as it was last written; {} if it never was."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result whose parts have machines of their own."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path)


def save(name: str, result: dict[str, Any]) -> None:
    """Write a result with versions and hardware."""
    write(name, result | machine())


def pages() -> list[pathlib.Path]:
    """The files that may say what was measured: the README and the pages of the docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def into_pages(mark: str, text: str) -> None:
    """Replace what stands between <!--MARK--> and <!--/MARK-->, on every page that has the mark."""
    pattern = rf"(<!--{mark}-->).*?(<!--/{mark}-->)"
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = re.sub(pattern, lambda m: m[1] + text + m[2], before, flags=re.DOTALL)
        if after != before:
            page.write_text(after, encoding="utf-8")
