"""The versions of what computes."""

import importlib.metadata
import platform


def versions() -> dict[str, str]:
    """Versions by name, of Python and of the packages that compute: a newer one may round apart."""
    packages = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy")}
    return {"python": platform.python_version()} | packages
