"""Experiments of packaged configs, and their runs."""

import pathlib
from collections.abc import Sequence

from experiments.config_schema.flags import load_experiment
from experiments.runtime import devices
from experiments.training.train import train
from experiments.workdir.folder import Workdir


def train_once(config: str, overrides: Sequence[str], workdir: pathlib.Path) -> None:
    """Train what is not trained yet."""
    train(load_experiment(config, [*overrides]), Workdir(workdir), devices.make_mesh())
