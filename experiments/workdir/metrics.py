"""Metrics: a JSON line each, and what trackers make of it."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from experiments.runtime.atomic_files import write_atomically

CLOCK = ("images_per_second", "data_wait", "memory_gib")
"""What differs between two runs of the same."""


class Tracker(Protocol):
    """Where metrics and pictures go besides, as TensorBoard: `experiments.training.trackers`."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers after so many updates."""
        ...

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Take a picture uint8 [H, W, 3]."""
        ...

    def close(self) -> None:
        """Write out what is pending."""
        ...


class MetricsWriter:
    """Appends to `metrics.jsonl`, and hands on to trackers.

    A run that resumes at a step drops what an interrupted one had written beyond it. Everything is
    on disk when a call returns.

    Args:
      path: the JSON-lines file.
      step: where the run starts.
      trackers: of the same run; closed with it.
    """

    def __init__(self, path: pathlib.Path, step: int, trackers: Sequence[Tracker]):
        _truncate(path, step)
        self._file = path.open("a", encoding="utf-8")
        self._trackers = trackers

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        """One line of `values` after `step` updates: numbers, lists of numbers, or None."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        flat = _numbers(values)
        for tracker in self._trackers:
            tracker.scalars(step, flat)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Hand on a picture.

        Args:
          step: updates done.
          name: the picture's.
          picture: uint8 [H, W, 3].
        """
        for tracker in self._trackers:
            tracker.image(step, name, picture)

    def close(self) -> None:
        """Write out what is pending."""
        self._file.close()
        for tracker in self._trackers:
            tracker.close()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def as_json(value: Any) -> Any:
    """A scalar or an array as numbers, None where they are not finite."""
    value = np.asarray(value)
    if value.ndim:
        return [as_json(part) for part in value]
    return float(value) if np.isfinite(value) else None


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """The numbers that are there: part k of a list is NAME/k."""
    numbers = {}
    for name, value in values.items():
        parts = enumerate(value) if isinstance(value, list) else [(None, value)]
        for number, part in parts:
            if part is not None:
                numbers[name if number is None else f"{name}/{number}"] = part
    return numbers


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, up to one that is none: the last may be half written."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines


def _truncate(path: pathlib.Path, step: int) -> None:
    if path.is_file():
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        if text != path.read_text(encoding="utf-8"):
            write_atomically(path, text)
