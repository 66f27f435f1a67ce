"""What is asked of samples: metrics of their features, and bits/dim of the model."""

import dataclasses
import math
from typing import Any

from experiments.config_schema.choice import check_fields, parse, split_choices
from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.features.own import source_digest
from experiments.evaluation.metrics import Metric, asked, metrics
from experiments.evaluation.metrics.metric import LABELS, PROBABILITIES
from sde_lib import ranged
from sde_lib.registry import unknown_name

BITS = "bpd"
"""The name of what asks the model, not its samples."""

_MAX_CHANNELS = 4
"""Examples [H, W, C] with more channels are no images, but points."""

_MAX_PIXELS = 4096
"""Of more a covariance takes more samples than are usual, and minutes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitsPerDim:
    """Bits/dim of the test split, as `scoresde likelihood` measures them.

    Args:
      limit: the first so many examples; None for all.
    """

    limit: int | None = ranged(None, low=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """The metrics that are asked for, by the words that ask for each, and bits/dim.

    Args:
      metrics: of features.
      bits: None where they are not asked for.
    """

    metrics: dict[str, Metric]
    bits: BitsPerDim | None = None

    @classmethod
    def of(cls, text: str, flag: str = "--metrics") -> "Question":
        """What a flag asks for.

        Args:
          text: choices after each other, as "fd,prdc:k=3,bpd:limit=1000".
          flag: by which it was given.

        Raises:
          UserError: as of `metrics.asked`.
        """
        of_features, bits = [], None
        for choice in split_choices(text, flag):
            name, fields = parse(choice)
            if name == BITS:
                check_fields(fields, BitsPerDim, f"{flag}: {BITS}")
                bits = BitsPerDim(**fields)
                continue
            if ":" not in name and name not in list(metrics):
                raise UserError(f"{flag}: {unknown_name('metric', name, [*metrics, BITS])}")
            of_features.append(choice)
        found = asked(",".join(of_features), flag) if of_features or not bits else {}
        return cls(metrics=found, bits=bits)

    def uses(self, what: str) -> bool:
        """Whether some metric has numbers of it."""
        return any(what in metric.needs | metric.wants for metric in self.metrics.values())

    def check(self, **there: bool) -> None:
        """Stop metrics that need what there will not be, before anything is drawn.

        Args:
          there: as of `Metric.check`.

        Raises:
          UserError: the first that does.
        """
        for metric in self.metrics.values():
            metric.check(**there)

    def check_num(self, num: int, field: str = "--num") -> None:
        """Stop metrics of more samples than there will be.

        Args:
          num: how many there will be.
          field: that says so.

        Raises:
          UserError: the first that takes more.
        """
        for choice, metric in self.metrics.items():
            if num < metric.least:
                raise UserError(f"{field}: got {num}, takes {metric.least} or more with {choice}")

    def check_reference(self, num: int) -> None:
        """Stop metrics of more reference examples than there are.

        Args:
          num: how many there are.

        Raises:
          UserError: the first that takes more.
        """
        for choice, metric in self.metrics.items():
            if num < metric.least_reference:
                raise UserError(
                    f"--metrics: {choice}: got {num} reference examples, takes "
                    f"{metric.least_reference} or more"
                )

    def check_dim(self, dim: int, field: str = "--features") -> None:
        """Stop metrics of fewer features than an example has.

        Args:
          dim: how many it has.
          field: that says so.

        Raises:
          UserError: the first that takes fewer.
        """
        for choice, metric in self.metrics.items():
            if metric.widest is not None and dim > metric.widest:
                raise UserError(
                    f"{field}: got {dim} features, takes at most {metric.widest} with {choice}, "
                    "as of pca"
                )

    def check_classes(self, has: int, takes: int, field: str = "--features") -> None:
        """Stop metrics that compare the data's labels with other classes.

        Args:
          has: classes of which the features have probabilities.
          takes: classes of the data.
          field: that calls the features.

        Raises:
          UserError: the first that does.
        """
        for choice, metric in self.metrics.items():
            if {LABELS, PROBABILITIES} <= metric.needs and has != takes:
                raise UserError(
                    f"{field}: got {has} classes, takes the data's {takes} with {choice}, as of "
                    "classifier"
                )

    def asks_for(self, name: str) -> bool:
        """Whether a metric of this name is among them."""
        return any(parse(choice)[0] == name for choice in self.metrics)

    @property
    def protocol(self) -> dict[str, Any]:
        """The metrics with all their fields; of one's own with a digest of the source, too."""
        return {choice: _facts(choice, metric) for choice, metric in self.metrics.items()}


def _facts(choice: str, metric: Metric) -> str | list[str]:
    if parse(choice)[0] in list(metrics):
        return repr(metric)
    return [repr(metric), source_digest(type(metric), f"--metrics: {choice}")]


def are_images(data: Split) -> bool:
    """Whether examples are [H, W, C], of grey levels or continuous."""
    return len(data.shape) == 3 and data.shape[-1] <= _MAX_CHANNELS


def default_features(data: Split) -> str:
    """The features of data for which nobody has named others: needs no file and no network."""
    has_levels = data.codec.bin_width is not None
    if are_images(data) and has_levels and data.num_classes > 1:
        return "classifier"
    return "pixels" if math.prod(data.shape) <= _MAX_PIXELS else "pca"


def default_metrics(data: Split, num_classes: int, *, labelled: bool, examples: bool) -> str:
    """The metrics where nobody has named others.

    Args:
      data: whose values the samples have.
      num_classes: of which the features give probabilities; 0 for none.
      labelled: whether samples have labels.
      examples: whether they are compared with examples, not with statistics alone.
    """
    if not examples:
        return "fd"
    if not are_images(data):
        return "sw2,mmd,c2st"
    names = ["fd", "kd", "prdc"]
    names += ["is"] if num_classes else []
    names += ["accuracy"] if labelled and 0 < num_classes == data.num_classes else []
    return ",".join(names)
