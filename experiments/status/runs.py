"""The list of runs below a folder, which the command `runs` prints: a line a workdir.

Like a status it comes from files alone, and nothing here imports JAX.
"""

import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from experiments.display.columns import aligned
from experiments.display.progress_line import duration, number
from experiments.errors import UserError
from experiments.status.facts import Status, read_status

_HEADER = ("run", "SDE", "seed", "step", "loss", "bits/dim", "FD", "age")
_NUMBERS = (2, 3, 4, 5, 6, 7)
_NONE = "–"
_CONFIG = "config.json"
_FD = "fd"
"""What the Fréchet distance is called among an evaluation's metrics."""

_PARAMETERS = "parameters_digest"
"""What the protocol of samples has that a model has drawn."""


def runs(folder: pathlib.Path) -> str:
    """The runs below a folder, the one that was written last first.

    Raises:
      UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"runs: got {folder}, takes a folder")
    found = [(_written(path), path, status) for path, status in _below(folder)]
    if not found:
        return f"no runs below {folder}"
    found.sort(key=lambda run: (-run[0], run[1]))
    rows = [_line(folder, *run) for run in found]
    return aligned([_HEADER, *rows], right=_NUMBERS)


def _below(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, Status]]:
    """Workdirs and what they hold; a workdir's own folders are not looked into."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if _CONFIG in files:
            try:
                status = read_status(place)
            except (UserError, OSError):  # a config of something else, or of someone else
                continue
            folders.clear()
            yield pathlib.Path(place), status


def _written(path: pathlib.Path) -> float:
    """When it was last trained, in seconds since the epoch."""
    files = [path / name for name in ("metrics.jsonl", _CONFIG)]
    return max(file.stat().st_mtime for file in files if file.is_file())


def _line(
    folder: pathlib.Path, written: float, path: pathlib.Path, status: Status
) -> tuple[str, ...]:
    measured, fd = status.measured, _fd(path / "evaluation")
    return (
        str(path.relative_to(folder)),
        status.sde,
        str(status.seed),
        f"{status.step} of {status.num_steps}",
        _number(status.losses[-1] if status.losses else None),
        _NONE
        if measured is None
        else _with_error(measured.bits_per_dim, measured.standard_error, ".4f"),
        _NONE if fd is None else _with_error(*fd, ".4g"),
        "running" if status.running else duration(max(0.0, time.time() - written)),
    )


def _fd(folder: pathlib.Path) -> tuple[float, float | None] | None:
    """The Fréchet distance of the model's samples in the newest evaluation, its standard error."""
    for file in sorted(folder.glob("*.json"), key=lambda file: -file.stat().st_mtime):
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
            if _PARAMETERS not in report["protocol"]["samples"]:  # they were files
                continue
            found = report["metrics"][_FD]
            return float(found["value"]), found.get("standard_error")
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return None


def _with_error(value: float, error: float | None, form: str) -> str:
    return f"{value:{form}}" + ("" if error is None else f" ± {error:.2g}")


def _number(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else _NONE
