"""TensorBoard: event files in the workdir's folder `tensorboard`."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from experiments.training.trackers.tracked_run import TrackedRun


class TensorBoard:
    """Everything is on disk when a call returns.

    TensorBoard's usual writer has a thread, which a full disk ends and its queue then waits for.
    """

    package: ClassVar[str] = "tensorboardX"

    def __init__(self, run: TrackedRun):
        folder = run.folder / "tensorboard"
        folder.mkdir(exist_ok=True)
        self._board = EventsWriter(str(folder / "events"))
        # It drops what an interrupted run had written beyond the step.
        started = SessionLog(status=SessionLog.SessionStatus.Value("START"))
        self._add(run.step + 1, session_log=started)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers after so many updates."""
        for name, value in values.items():
            self._add(step, summary=summary.scalar(name, value))
        self._board.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write a picture uint8 [H, W, 3]."""
        self._add(step, summary=summary.image(name, picture, dataformats="HWC"))
        self._board.flush()

    def close(self) -> None:
        """Write out what is pending."""
        self._board.close()

    def _add(self, step: int, **what: Any) -> None:
        self._board.write_event(Event(wall_time=time.time(), step=step, **what))
