"""What is evaluated: samples of a trained model, drawn as they are asked for, or those of files."""

import dataclasses
from typing import Any

import numpy as np

from experiments.data import WHOLE, Split, open_split
from experiments.errors import UserError
from experiments.evaluation.content import content_of
from experiments.evaluation.feature_files import Batches, Portion
from experiments.sampling import files
from experiments.sampling.classifier_guide import ClassifierGuide
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.trained_model import TrainedModel
from sde_lib import Condition


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """Samples, and what they follow from.

    Args:
      batches: the samples, in values of the data.
      data: a split that has such values.
      labelled: whether each has a label.
      protocol: all that they follow from.
      words: what people look for in the name of a result.
      is_drawn: whether a model draws them.
    """

    batches: Batches
    data: Split
    labelled: bool
    protocol: dict[str, Any]
    words: str
    is_drawn: bool

    @classmethod
    def of_model(
        cls,
        trained: TrainedModel,
        *,
        num: int,
        seed: int,
        sde: str | None = None,
        guide: ClassifierGuide | None = None,
        cond: Condition | None = None,
    ) -> "Subject":
        """The samples of a trained model, as its experiment says.

        Args:
          trained: the model.
          num: how many samples.
          seed: sample i depends on (seed, i) alone.
          sde: another SDE to sample under, NAME[:field=value,…].
          guide: a classifier that guides the model.
          cond: what each is conditioned on, NumPy arrays [num, ...]; None for nothing.

        Raises:
          UserError: no such solver, corrector, grid or SDE.
        """
        sampler = BatchedSampler.of(trained, sde, guide)
        labels = None if cond is None else cond.label

        def read(first: int) -> Portion:
            drawn = sampler.batch(first, num, seed, cond=cond)
            sampler.check_finite(drawn)
            kept = None if labels is None else np.asarray(labels)[first : first + len(drawn.x)]
            values = np.asarray(trained.train.codec.decode(drawn.x))
            return Portion(values, kept, np.asarray(drawn.evaluations))

        return cls(
            batches=Batches(num, sampler.config.batch_size, read, "sample"),
            data=trained.train,
            labelled=labels is not None,
            protocol=files.protocol(sampler, trained, seed=seed, num=num, cond=cond),
            words=files.words(sampler, trained, sde, seed),
            is_drawn=True,
        )

    @classmethod
    def of_files(cls, source: str, like: Split | None, num: int | None) -> "Subject":
        """The samples of an .npz, or of a folder of images.

        Args:
          source: npz:FILE or folder:DIR.
          like: the data that they are compared with; None where only statistics of such are there.
            Labels are in its numbers; samples of a class that it has not count as unlabelled.
          num: the first so many; None for all.

        Raises:
          UserError: they cannot be read, are fewer, or are not like the data.
        """
        if source.partition(":")[0] not in ("npz", "folder"):
            raise UserError(f"--samples: got {source!r}, takes npz:FILE or folder:DIR")
        try:
            split = open_split(source, WHOLE)
        except UserError as error:
            raise UserError(f"--samples: {str(error).removeprefix('data.source: ')}") from error
        if num is not None and num > split.num:
            raise UserError(f"--num: got {num}, takes at most {split.num}, as {source} has")
        _check_like(split, like)
        content, classes = content_of(split), _classes(split, like)
        batches = Batches.of_split(split, num)

        def read(first: int) -> Portion:
            portion = batches.read(first)
            labels = None if classes is None else np.asarray(classes, np.int32)[portion.labels]
            return portion._replace(labels=labels)

        return cls(
            batches=batches._replace(read=read, unit="sample"),
            data=split,
            labelled=classes is not None,
            protocol={
                "samples": content,
                "num": split.num if num is None else num,
                "classes": classes,
            },
            words=f"samples-{content['digest'][:8]}",
            is_drawn=False,
        )


def _check_like(split: Split, like: Split | None) -> None:
    """Stop samples of another kind than the data.

    Raises:
      UserError: they have another shape, or other values.
    """
    if like is None:
        return
    if split.shape != like.shape:
        raise UserError(
            f"--samples: {split.source} has shape {split.shape}, takes {like.shape}, as "
            f"{like.source} has"
        )
    got, takes = split.codec.words, like.codec.words
    if got != takes:
        raise UserError(f"--samples: {split.source} has {got}, takes {takes}, as {like.source} has")


def _classes(split: Split, like: Split | None) -> list[int] | None:
    """The data's number of each class of the samples; None where they have labels of no such class.

    By names; what has none goes by numbers.
    """
    if not split.num_classes:
        return None
    if like is None or not like.num_classes:
        return list(range(split.num_classes))
    theirs = list(like.class_names or map(str, range(like.num_classes)))
    ours = list(split.class_names or theirs[: split.num_classes])
    if len(ours) < split.num_classes or not set(ours) <= set(theirs):
        return None
    return [theirs.index(name) for name in ours]
