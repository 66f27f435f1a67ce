"""A trained classifier, opened from its workdir: what guides the samples of a model."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from jax import Array
from jax.sharding import Mesh

from experiments.builders.model import build_classifier, build_network, build_sde
from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.errors import UserError
from experiments.workdir.folder import Workdir
from experiments.workdir.restored_run import RestoredRun
from experiments.workdir.results import digest
from models import Classifier
from sde_lib import SDE, ModelUnderSDE


@dataclasses.dataclass(frozen=True)
class TrainedClassifier:
    """What guidance needs of a classifier.

    Args:
      workdir: where it is from.
      experiment: its config.
      classifier: its network with the averaged parameters of the newest checkpoint.
      step: that checkpoint's.
      train: the training split, whose source is opened when examples are read.
    """

    workdir: Workdir
    experiment: Experiment
    classifier: Classifier
    step: int
    train: Split

    @classmethod
    def open(
        cls, path: str | os.PathLike, mesh: Mesh, *, divergence: bool = False
    ) -> "TrainedClassifier":
        """The classifier of a workdir at its newest checkpoint.

        Args:
          path: the workdir.
          mesh: the devices to use.
          divergence: whether that of a model which it guides is needed.

        Raises:
          UserError: no experiment or checkpoint there, or that of a model.
        """
        try:
            run = RestoredRun.open(path, [], mesh, returns="logits")
        except UserError as error:
            cause = str(error).removeprefix("--workdir: ").removeprefix("--classifier: ")
            raise UserError(f"--classifier: {cause}") from error
        network = build_network(run.experiment.model, divergence=divergence, guidance=True)
        sde = build_sde(run.experiment.sde)
        classifier = build_classifier(run.experiment, sde, network, run.params)
        return cls(run.workdir, run.experiment, classifier, run.step, run.train)

    @property
    def protocol(self) -> dict[str, Any]:
        """What all that it guides follows from: its step, and a digest of its numbers."""
        return {
            "step": self.step,
            "digest": digest(self.classifier),
            "model": dataclasses.asdict(self.experiment.model),
            "sde": dataclasses.asdict(self.experiment.sde),
        }

    def log_prob(self, sde: SDE) -> Callable[..., Array]:
        """log p(label | x_t) of states of an SDE, (x [B, ...], t, cond) → [B], as a pytree.

        Args:
          sde: the SDE, which need not be the classifier's own.
        """
        # What it says of x_t it says of x/α at the same σ/α, as a model does.
        classifier: Any = self.classifier
        mapped: Any = ModelUnderSDE(model=classifier, trained=self.classifier.sde, sde=sde)
        return mapped
