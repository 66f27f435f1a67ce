"""The splits of an experiment's data."""

from experiments.data import Dataset, LazyDataset, load, open_lazy
from experiments.sections import Experiment


def load_split(experiment: Experiment, split: str) -> Dataset:
    """A split, in memory.

    Raises:
      UserError: it cannot be loaded.
    """
    config = experiment.data
    return load(config.source, split, image_size=config.image_size, holdout=config.holdout)


def open_split(experiment: Experiment, split: str) -> LazyDataset:
    """A split, not yet read.

    Raises:
      UserError: it cannot be opened.
    """
    config = experiment.data
    return open_lazy(config.source, split, image_size=config.image_size, holdout=config.holdout)
