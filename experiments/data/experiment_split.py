"""The splits of an experiment's data."""

import dataclasses

from experiments.config_schema.sections import Experiment
from experiments.data import Split, codec_of, open_split


def split_of(experiment: Experiment, name: str, source: str | None = None) -> Split:
    """A split, not yet read.

    Args:
      experiment: the experiment.
      name: "train" or "test"; or "all", where the source has it.
      source: another source, to be read as the experiment's is.

    Raises:
      UserError: it cannot be opened.
    """
    config = experiment.data
    opened = open_split(
        source or config.source,
        name,
        image_size=config.image_size,
        holdout=config.holdout,
        alpha=config.alpha,
        background=config.background,
        cond=config.cond,
    )
    codec = codec_of(opened.codec.levels, config.centered)
    return dataclasses.replace(opened, codec=codec)
