"""A trained classifier that guides the samples of a trained model."""

import dataclasses
import math
from typing import Any

from experiments.errors import UserError
from experiments.workdir.trained_classifier import TrainedClassifier
from experiments.workdir.trained_model import TrainedModel
from samplers import ClassifierGuidance
from sde_lib import SDE, Model


@dataclasses.dataclass(frozen=True)
class ClassifierGuide:
    """Guidance by a trained classifier, and its scale.

    Args:
      trained: the classifier.
      scale: what its gradient is multiplied by.
      conditional: whether the model gets the labels too.
    """

    trained: TrainedClassifier
    scale: float
    conditional: bool

    @classmethod
    def of(cls, path: str, scale: float, guided: TrainedModel) -> "ClassifierGuide":
        """The classifier of a workdir, as a guide of a model.

        Args:
          path: the workdir of the classifier.
          scale: what its gradient is multiplied by.
          guided: the model.

        Raises:
          UserError: it is no classifier, or not of the model's data; the scale is not finite.
        """
        if not math.isfinite(scale):
            raise UserError(f"--classifier_scale: got {scale}, takes a finite number")
        divergence = guided.experiment.sampling.log_prob
        trained = TrainedClassifier.open(path, guided.mesh, divergence=divergence)
        check_fits(trained, guided)
        return cls(trained, scale, guided.experiment.model.conditional)

    def __call__(self, model: Model, sde: SDE) -> Model:
        """The model, guided, on states of an SDE."""
        return ClassifierGuidance(
            model=model,
            sde=sde,
            log_prob=self.trained.log_prob(sde),
            scale=self.scale,
            conditional=self.conditional,
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """What samples follow from beside the model."""
        return {"classifier": self.trained.protocol, "classifier_scale": self.scale}


def check_fits(trained: TrainedClassifier, guided: TrainedModel) -> None:
    """Stop a classifier of other examples, or of other classes, than the model's.

    Raises:
      UserError: it is.
    """
    ours, theirs = guided.train, trained.train
    differing = [
        ("examples of shape", theirs.shape, ours.shape),
        ("values as", theirs.codec, ours.codec),
    ]
    if guided.experiment.model.conditional:
        differing += [
            ("vectors of width", theirs.cond_dim, ours.cond_dim),
            ("classes", theirs.num_classes, ours.num_classes),
        ]
        if theirs.class_names and ours.class_names:
            differing += [("classes by names", theirs.class_names, ours.class_names)]
    for what, has, takes in differing:
        if has != takes:
            raise UserError(
                f"--classifier: {trained.workdir.path} has {what} {has}, takes {takes}, the model's"
            )
