"""The versions of what computes."""

import importlib.metadata
import platform


def versions() -> dict[str, str]:
    """Of what computes: a newer one may round differently."""
    packages = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy")}
    return {"python": platform.python_version()} | packages
