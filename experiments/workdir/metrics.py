"""Metrics: a JSON line and a TensorBoard scalar each."""

import json
import pathlib
import time
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from experiments.runtime.atomic_files import write_atomically

CLOCK = ("images_per_second", "data_wait", "memory_gib")
"""What differs between two runs of the same."""


class MetricsWriter:
    """Appends to `metrics.jsonl` and to TensorBoard's event files.

    A run that resumes at a step drops what an interrupted one had written beyond it. Everything is
    on disk when a call returns: TensorBoard's usual writer has a thread, which a full disk ends and
    its queue then waits for.

    Args:
      path: the JSON-lines file.
      tensorboard: the folder of event files.
      step: where the run starts.
    """

    def __init__(self, path: pathlib.Path, tensorboard: pathlib.Path, step: int):
        _truncate(path, step)
        self._file = path.open("a", encoding="utf-8")
        self._board = EventsWriter(str(tensorboard / "events"))
        started = SessionLog(status=SessionLog.SessionStatus.Value("START"))
        self._add(step + 1, session_log=started)

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        """One line of `values` after `step` updates: numbers, lists of numbers, or None."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            parts = enumerate(value) if isinstance(value, list) else [(None, value)]
            for number, part in parts:
                if part is not None:
                    label = name if number is None else f"{name}/{number}"
                    self._add(step, summary=summary.scalar(label, part))
        self._board.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write a picture for TensorBoard.

        Args:
          step: updates done.
          name: the picture's.
          picture: uint8 [H, W, 3].
        """
        self._add(step, summary=summary.image(name, picture, dataformats="HWC"))
        self._board.flush()

    def _add(self, step: int, **what: Any) -> None:
        self._board.write_event(Event(wall_time=time.time(), step=step, **what))

    def close(self) -> None:
        """Write out what is pending."""
        self._file.close()
        self._board.close()

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


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a half-written last line is left out."""
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _truncate(path: pathlib.Path, step: int) -> None:
    if path.is_file():
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        if text != path.read_text(encoding="utf-8"):
            write_atomically(path, text)
