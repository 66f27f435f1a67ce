"""What a question is answered from: features, the reference and the test set, as far as needed."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.against import Against
from experiments.evaluation.content import content_of
from experiments.evaluation.feature_files import Batches, extract
from experiments.evaluation.features import Extractor, build_features
from experiments.evaluation.metrics.metric import TEST
from experiments.evaluation.question import Question, default_features, default_metrics
from experiments.evaluation.reference import read_reference
from experiments.evaluation.sets import Examples, Moments
from experiments.workdir.results import Result, digest

_SEED = 0
"""Of what is random in features, whatever the samples': those of two seeds are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A question, and what its answer takes besides samples.

    Args:
      question: what is asked for.
      against: what samples are compared with.
      extractor: from values to features.
      folder: where features are kept.
      statistics: those of the reference, where it is a file.
      classes: examples of other classes are left out; None leaves none out.
    """

    question: Question
    against: Against
    extractor: Extractor
    folder: pathlib.Path
    statistics: Moments | None = None
    classes: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        question: Question | None,
        against: Against,
        data: Split,
        features: str | None,
        folder: pathlib.Path,
        *,
        labelled: bool,
        classes: Sequence[int] | None = None,
        flag: str = "--features",
    ) -> "Comparison":
        """Open the features, and check that they and the data have what the question needs.

        Args:
          question: what is asked for; None: what suits.
          against: what samples are compared with.
          data: whose values the samples have, where there are only statistics of such.
          features: NAME[:field=value,…]; None: what suits.
          folder: where features are kept, and what is made for them.
          labelled: whether samples have labels.
          classes: of the samples, where they are some of the data's; None for all.
          flag: by which the features were given.

        Raises:
          UserError: the question needs what there will not be, or the features cannot be opened.
        """
        data = data if against.train is None else against.train
        there = {
            "examples": against.reference is not None,
            "labels": labelled,
            "test": against.test is not None and against.reference is not against.test,
        }
        if question is not None:
            # What needs probabilities is told when the features are open.
            question.check(probabilities=True, **there)
        if classes is not None and against.reference is None:
            raise UserError("--classes: takes a data set as the reference, not its statistics")
        extractor = extractor_of(against, data, features, folder, flag)
        if question is None:
            suits = default_metrics(
                data, extractor.num_classes, labelled=labelled, examples=there["examples"]
            )
            question = Question.of(suits)
        question.check(probabilities=bool(extractor.num_classes), **there)
        question.check_dim(extractor.dim, flag)
        question.check_classes(extractor.num_classes, data.num_classes, flag)
        statistics = None
        if against.statistics is not None:
            statistics = read_reference(against.statistics, extractor)
        return cls(
            question=question,
            against=against,
            extractor=extractor,
            folder=folder,
            statistics=statistics,
            classes=None if classes is None else tuple(sorted(set(classes))),
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """All that the numbers follow from besides the samples and the seed."""
        if self.statistics is None:
            assert self.against.reference is not None
            reference = content_of(self.against.reference)
        else:
            moments = self.statistics
            reference = {
                "statistics": str(self.against.statistics),
                "num": moments.num,
                "digest": digest([moments.mean, moments.covariance]),
            }
        if self.classes is not None:
            reference["classes"] = self.classes
        test = self._test_split
        return {
            "metrics": self.question.protocol,
            "features": self.extractor.protocol,
            "reference": reference,
            **({} if test is None else {"test": content_of(test)}),
        }

    def extract(self) -> None:
        """Make the features of the data that are not there yet.

        Raises:
          UserError: a metric takes more examples of them.
        """
        for split in (self.against.reference, self._test_split):
            if split is not None:
                self._whole(split)
        if self.against.reference is not None:
            self.question.check_reference(self.num)

    @functools.cached_property
    def reference(self) -> Examples | Moments:
        """What samples are compared with; features are extracted where nobody has."""
        if self.statistics is not None:
            return self.statistics
        assert self.against.reference is not None
        return self._features_of(self.against.reference)

    @functools.cached_property
    def test(self) -> Examples | None:
        """The test set, where the question has use for it and it has examples of the classes."""
        if self._test_split is None:
            return None
        found = self._features_of(self._test_split)
        return found if found.num else None

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The rows of the reference's split that are compared with: those of the classes."""
        assert self.against.reference is not None
        return self._rows(self._whole(self.against.reference))

    @property
    def num(self) -> int:
        """Examples of the reference's split that are compared with."""
        assert self.against.reference is not None
        return self.against.reference.num if self.classes is None else len(self.rows)

    def place(self, protocol: dict[str, Any], words: str) -> pathlib.Path:
        """The folder of features of examples.

        Args:
          protocol: all that the examples follow from.
          words: what people look for in its name.
        """
        return _place(self.folder, self.extractor, protocol, words)

    @property
    def _test_split(self) -> Split | None:
        """The test split, where the question has use for it and it is not the reference."""
        test = self.against.test if self.question.uses(TEST) else None
        return None if test is self.against.reference else test

    def _rows(self, whole: Examples) -> np.ndarray:
        if self.classes is None or whole.labels is None:
            return np.arange(whole.num)
        return np.flatnonzero(np.isin(whole.labels, self.classes))

    def _features_of(self, split: Split) -> Examples:
        """The features of a split, but for classes that are left out."""
        whole = self._whole(split)
        return whole if self.classes is None else whole.take(self._rows(whole))

    def _whole(self, split: Split) -> Examples:
        return features_of_split(split, self.extractor, self.folder)


def extractor_of(
    against: Against,
    data: Split,
    features: str | None,
    folder: pathlib.Path,
    flag: str = "--features",
) -> Extractor:
    """The features by name, opened for the data that samples are compared with.

    Args:
      against, data, features, folder, flag: as of `Comparison.of`.

    Raises:
      UserError: they cannot be opened.
    """
    made_for = data if against.train is None else against.train
    named = build_features(features or default_features(made_for), flag)
    return named.open(made_for, folder, _SEED, test=against.test)


def features_of_split(split: Split, extractor: Extractor, folder: pathlib.Path) -> Examples:
    """The features of all examples of a split, extracted where nobody has.

    Args:
      split: the examples.
      extractor: from values to features.
      folder: where they are kept.
    """
    words = f"{split.name}-{extractor.protocol['name']}"
    place = _place(folder, extractor, content_of(split), words)
    return extract(Batches.of_split(split), extractor, place).examples


def _place(
    folder: pathlib.Path, extractor: Extractor, protocol: dict[str, Any], words: str
) -> pathlib.Path:
    """The folder of features of examples that follow from a protocol."""
    facts = {"features": extractor.protocol, "examples": protocol}
    return Result.named(folder, words, facts).path
