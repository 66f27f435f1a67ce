"""Trackers: where metrics and pictures go beside metrics.jsonl, by name.

A package adds one by an entry point of the group `scoresde.trackers`, whose name is what
`training.trackers` calls it: a class with `package`, called with a `TrackedRun`, that has the
methods of `workdir.metrics.Tracker`. metrics.jsonl stays the truth: a tracker that fails while a
model trains is left out, with one line.
"""

import importlib.metadata
import importlib.util
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.errors import UserError, blaming, first_line
from experiments.training.trackers.tracked_run import TrackedRun
from experiments.workdir.folder import flattened
from experiments.workdir.metrics import Tracker
from sde_lib.registry import unknown_name

_GROUP, _FIELD, _ROOM = "scoresde.trackers", "training.trackers", "experiments.training.trackers"
_OURS = {
    "tensorboard": f"{_ROOM}.tensorboard:TensorBoard",
    "wandb": f"{_ROOM}.wandb:WandB",
    "mlflow": f"{_ROOM}.mlflow:MLflow",
    "trackio": f"{_ROOM}.trackio:Trackio",
}
_MUST = "tensorboard"
"""The one whose files are the workdir's own: where they cannot be written, the run stops."""


def check_trackers(names: Sequence[str]) -> None:
    """Stop before a run whose trackers are not there.

    Raises:
      UserError: an unknown one, or one whose package is not installed.
    """
    for name in names:
        package = _load(name).package
        if importlib.util.find_spec(package) is None:
            extra = f"'scoresde[{name}]'" if name in _OURS else package
            raise UserError(f"{_FIELD}: {name!r} is not installed; takes pip install {extra}")


def open_trackers(names: Sequence[str], folder: pathlib.Path, step: int) -> list[Tracker]:
    """The trackers of a run that starts at a step.

    Args:
      names: of `training.trackers`.
      folder: the workdir, with its config.
      step: updates done before.

    Raises:
      UserError: one cannot be opened.
    """
    config = flattened(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    run = TrackedRun(folder=folder, step=step, config=config)
    opened: list[Tracker] = []
    for name in names:
        if name == _MUST:
            opened.append(_load(name)(run))
            continue
        with blaming(f"{_FIELD}: {name}"):
            opened.append(_Forgiven(name, _load(name)(run)))
    return opened


def _load(name: str) -> Any:
    """The class of a name.

    Raises:
      UserError: no such tracker, or its module cannot be imported.
    """
    others = {point.name: point for point in importlib.metadata.entry_points(group=_GROUP)}
    if name in _OURS:
        others[name] = importlib.metadata.EntryPoint(name, _OURS[name], _GROUP)
    if name not in others:
        raise UserError(f"{_FIELD}: {unknown_name('tracker', name, [*_OURS, *others])}")
    with blaming(f"{_FIELD}: {name}"):
        return others[name].load()


class _Forgiven:
    """A tracker that is left out from its first error on."""

    def __init__(self, name: str, tracker: Tracker):
        self._name, self._tracker = name, tracker
        self._failed = False

    def _do(self, method: Callable[..., None], *arguments: Any) -> None:
        if not self._failed:
            try:
                method(*arguments)
            except Exception as error:
                self._failed = True
                said = f"{type(error).__name__}: {first_line(error)}"
                line = f"{_FIELD}: {self._name} is left out ({said}); see metrics.jsonl"
                print(line, file=sys.stderr)

    def scalars(self, step: int, values: Any) -> None:
        self._do(self._tracker.scalars, step, values)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self._do(self._tracker.image, step, name, picture)

    def close(self) -> None:
        self._do(self._tracker.close)
