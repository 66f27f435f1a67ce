"""The splits of an experiment's data."""

from typing import Any

from experiments.config_schema.sections import Experiment
from experiments.data import Dataset, LazyDataset, load, open_lazy


def load_split(experiment: Experiment, split: str, source: str | None = None) -> Dataset:
    """A split, in memory; of another source, read as the experiment's are, where one is given.

    Raises:
      UserError: it cannot be loaded.
    """
    return load(source or experiment.data.source, split, **_options(experiment))


def open_split(experiment: Experiment, split: str) -> LazyDataset:
    """A split, not yet read.

    Raises:
      UserError: it cannot be opened.
    """
    return open_lazy(experiment.data.source, split, **_options(experiment))


def _options(experiment: Experiment) -> dict[str, Any]:
    config = experiment.data
    return {
        name: getattr(config, name) for name in ("image_size", "holdout", "alpha", "background")
    }
