"""Trackio: a local data base in TRACKIO_DIR, by default the workdir's folder `trackio`.

`TRACKIO_DIR=DIR/trackio trackio show` shows it; TRACKIO_PROJECT names the project.
"""

import os
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from experiments.training.trackers.tracked_run import TrackedRun


class Trackio:
    """A run of Trackio, whose name has an id of the workdir's: what resumes goes on in it."""

    package: ClassVar[str] = "trackio"

    def __init__(self, run: TrackedRun):
        # It is read when the package is imported.
        os.environ.setdefault("TRACKIO_DIR", str(run.folder.resolve() / "trackio"))
        import trackio

        self._trackio = trackio
        trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "scoresde"),
            name=f"{run.name}-{run.own_id('trackio')}",
            resume="allow",
            config=run.config,
            embed=False,
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers after so many updates."""
        self._trackio.log(dict(values), step=step)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Log a picture uint8 [H, W, 3]."""
        self._trackio.log({name: self._trackio.Image(picture)}, step=step)

    def close(self) -> None:
        """End the run."""
        self._trackio.finish()
