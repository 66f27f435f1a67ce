"""The command `scoresde`, also as `python -m scoresde`, and the version of what is installed.

It stands beside the four packages, not in one of them, so that it can say when a folder of
somebody else's is found in their place, whichever of them it hides.
"""

import importlib.metadata
import importlib.util
import pathlib
import sys
from collections.abc import Sequence

_ROOT = pathlib.Path(__file__).absolute().parent
_PACKAGES = ("sde_lib", "samplers", "models", "experiments")


def __getattr__(name: str) -> str:
    """`scoresde.__version__`, that of setup.cfg; looked up late, for what is not installed."""
    if name == "__version__":
        return importlib.metadata.version("scoresde")
    raise AttributeError(f"module 'scoresde' has no attribute {name!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, unless Python finds another package in the place of one of ours.

    Args:
      arguments: what follows `scoresde`; None for those of the process.

    Returns:
      The exit code: 0, or 2 after one line on standard error for bad input.
    """
    # Python asks an editable install last of all: later than a folder that is searched for
    # a user's own modules, unless ours is among the folders too.
    sys.path.append(str(_ROOT))
    for name in _PACKAGES:
        found = _place(name)
        if found is None or not found.samefile(_ROOT / name):
            print(
                f"scoresde: {name}: Python finds {found}, which hides the package of that name in "
                f"{_ROOT}; takes another name for it, or another folder to stand in",
                file=sys.stderr,
            )
            return 2

    from experiments.cli import main as run

    return run(arguments)


def _place(name: str) -> pathlib.Path | None:
    """The folder or file that `import name` takes, None where there is none."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return pathlib.Path(folders[0] if folders else str(spec.origin)).absolute()


if __name__ == "__main__":
    sys.exit(main())
