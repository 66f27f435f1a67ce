"""MLflow: the workdir's `mlflow.db` and `mlartifacts`, unless MLFLOW_TRACKING_URI says otherwise.

`mlflow ui --backend-store-uri sqlite:///DIR/mlflow.db` shows them.
"""

import os
import time
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from experiments.training.trackers.tracked_run import TrackedRun

_EXPERIMENT = "scoresde"
_LONGEST = 500
"""Characters that every version of MLflow takes of a parameter."""


class MLflow:
    """A run of MLflow whose id is kept in the workdir: what resumes goes on in it."""

    package: ClassVar[str] = "mlflow"

    def __init__(self, run: TrackedRun):
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        folder = run.folder.resolve()
        given = os.environ.get("MLFLOW_TRACKING_URI")
        # A data base: MLflow has given up its store of files.
        self._client = MlflowClient(given or f"sqlite:///{folder / 'mlflow.db'}")
        self._artifacts = None if given else (folder / "mlartifacts").as_uri()
        self._metric = Metric
        self._id = run.id("mlflow") or self._begin(run)
        self._client.update_run(self._id, status="RUNNING")

    def _begin(self, run: TrackedRun) -> str:
        client, where = self._client, self._artifacts
        there = client.get_experiment_by_name(_EXPERIMENT)
        place = there.experiment_id if there else client.create_experiment(_EXPERIMENT, where)
        identity = client.create_run(place, run_name=run.name).info.run_id
        for name, value in run.config.items():
            client.log_param(identity, name, str(value)[:_LONGEST])
        return run.keep_id("mlflow", identity)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers after so many updates."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Log a picture uint8 [H, W, 3]."""
        self._client.log_image(self._id, picture, f"{name}-{step:08d}.png")

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)
