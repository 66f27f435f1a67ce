"""Weights & Biases: offline, in the workdir's folder `wandb`, unless WANDB_MODE says otherwise.

`wandb sync DIR/wandb/offline-run-*` sends what has been written; WANDB_PROJECT names the project.
"""

import os
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from experiments.training.trackers.tracked_run import TrackedRun


class WandB:
    """A run of W&B by an id of the workdir's: what resumes goes on in it."""

    package: ClassVar[str] = "wandb"

    def __init__(self, run: TrackedRun):
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "scoresde"),
            id=run.own_id("wandb"),
            name=run.name,
            resume="allow",
            dir=str(run.folder),
            config=run.config,
            mode=os.environ.get("WANDB_MODE", "offline"),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers after so many updates."""
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Log a picture uint8 [H, W, 3]."""
        self._run.log({name: self._wandb.Image(picture)}, step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()
