"""Whose labels, or vectors, the samples of an evaluation have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.evaluation.comparison import Comparison
from experiments.evaluation.sets import Examples, blocks
from experiments.sampling.classifier_guide import ClassifierGuide
from experiments.sampling.conditions import condition_of
from experiments.workdir.trained_classifier import TrainedClassifier
from experiments.workdir.trained_model import TrainedModel
from sde_lib import Condition

_READ = 256
"""Examples of the reference that are read at a time."""


class Labels(NamedTuple):
    """Whose labels samples have.

    Args:
      source: the trained model, or the trained classifier that guides it.
      of_one_kind: whether its classes are those of the data, as far as is known.
    """

    source: TrainedModel | TrainedClassifier
    of_one_kind: bool

    @classmethod
    def of(cls, trained: TrainedModel, guide: ClassifierGuide | None) -> "Labels":
        """The labels of a model's samples, as it is guided."""
        source = guide.trained if guide and not guide.conditional else trained
        splits = source.train, trained.train
        names = {split.class_names for split in splits if split.class_names}
        same = splits[0].num_classes == splits[1].num_classes and len(names) < 2
        return cls(source, same)

    @property
    def are_the_datas(self) -> bool:
        """Whether samples have labels, of the classes of the data."""
        has = self.source.experiment.model.conditional and not self.source.train.cond_dim
        return has and self.of_one_kind

    def conditions(
        self, comparison: Comparison, num: int, classes: Sequence[int] | None
    ) -> Condition | None:
        """What samples are conditioned on: as the examples are that they are compared with.

        Sample i has the condition of an example, in a fixed random order of all, and of classes
        that are asked for, or that the data have not, the one of number i mod C.

        Args:
          comparison: has the examples.
          num: of samples.
          classes: as of `evaluate`.
        """
        experiment, data = self.source.experiment, self.source.train
        split = comparison.against.reference if self.of_one_kind else None
        if experiment.model.conditional and classes is None and split is not None:
            # RandomState, because NumPy promises that its stream never changes between versions.
            rows = np.resize(np.random.RandomState(0).permutation(split.num), num)
            if data.cond_dim:
                # Their images are read with them, and are not to be in memory at once.
                parts = [split.read(rows[block]).vectors for block in blocks(num, _READ)]
                return Condition(vector=np.concatenate(parts))
            reference = comparison.reference
            if isinstance(reference, Examples) and reference.labels is not None:
                return Condition(label=reference.labels[rows])
        return condition_of(experiment, data, num, classes=classes)
