"""What samples are conditioned on: classes by name or number, or a vector."""

from collections.abc import Sequence

import numpy as np

from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.errors import UserError
from sde_lib import Condition
from sde_lib.registry import unknown_name

ALL = "all"
"""The word for every class, in their order."""


def condition_of(
    experiment: Experiment,
    data: Split,
    num: int,
    *,
    classes: Sequence[int] | None = None,
    vector: Sequence[float] | None = None,
    each: int = 1,
) -> Condition | None:
    """What `num` samples of a model are conditioned on; None for an unconditional one.

    Sample i has class i mod C of C classes, so that it does not depend on how many there are.

    Args:
      experiment: whose model it is, with what of it follows from its data.
      data: the split that it was trained on.
      num: how many samples.
      classes: their numbers; None: all that the model knows.
      vector: in the units of the data, for every sample; None: that of their mean.
      each: so many samples after each other have one class, as a row of interpolated ones.
    """
    if not experiment.model.conditional:
        return None
    if data.cond_dim:
        given = np.zeros(data.cond_dim, np.float32)
        if vector is not None:
            given = data.standardised(np.asarray(vector))
        return Condition(vector=np.tile(given, (num, 1)))
    labels = range(data.num_classes) if classes is None else classes
    rows = np.resize(np.asarray(labels, np.int32), -(-num // each))
    return Condition(label=np.repeat(rows, each)[:num])


def parse_classes(text: str | None, experiment: Experiment, data: Split) -> list[int] | None:
    """The classes that a flag names, by number or by name; None where it names all, or none is set.

    Args:
      text: "3", "cat,dog" or "all".
      experiment, data: as of `condition_of`.

    Raises:
      UserError: the model takes no classes, or there is no such class.
    """
    if text is None:
        return None
    if not experiment.model.conditional or data.cond_dim:
        raise UserError(
            f"--classes: got {text!r}, takes a model of classes: this one was trained without "
            "--config.model.conditional=True on labels"
        )
    if text == ALL:
        return None
    return [_class_number(word.strip(), data) for word in text.split(",")]


def _class_number(word: str, data: Split) -> int:
    """The number of a class.

    Raises:
      UserError: there is none of that name or number.
    """
    if word in data.class_names:
        return data.class_names.index(word)
    if word.isdecimal():
        if int(word) < data.num_classes:
            return int(word)
        raise UserError(f"--classes: got {word}, takes 0 to {data.num_classes - 1}")
    if data.class_names:
        raise UserError(f"--classes: {unknown_name('class', word, [*data.class_names, ALL])}")
    raise UserError(
        f"--classes: got {word!r}, takes numbers from 0 to {data.num_classes - 1}, or {ALL}: the "
        "classes have no names"
    )


def parse_vector(text: str | None, experiment: Experiment, data: Split) -> list[float] | None:
    """The vector that a flag gives; None where it does not.

    Args:
      text: numbers with commas between.
      experiment, data: as of `condition_of`.

    Raises:
      UserError: the model takes none, or one of another width; or it is no vector.
    """
    if text is None:
        return None
    if not experiment.model.conditional or not data.cond_dim:
        raise UserError(f"--cond: got {text!r}, takes a model that was trained with data.cond")
    try:
        vector = [float(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"--cond: got {text!r}, takes numbers with commas between") from None
    if len(vector) != data.cond_dim or not np.isfinite(vector).all():
        raise UserError(f"--cond: got {text}, takes {data.cond_dim} finite numbers")
    return vector


def check_guidance(experiment: Experiment) -> None:
    """Stop a guidance that the model has no null for.

    Raises:
      UserError: it is unconditional, or was trained without dropping conditions.
    """
    scale = experiment.sampling.guidance
    if scale == 1:
        return
    if not experiment.model.conditional:
        raise UserError(f"sampling.guidance: got {scale:g}, takes 1 with an unconditional model")
    if experiment.training.cond_dropout == 0:
        raise UserError(
            f"sampling.guidance: got {scale:g}, takes 1: the model has no null; train with "
            "training.cond_dropout above 0"
        )
