"""Experiments of packaged configs, and their runs."""

import pathlib
from collections.abc import Sequence

from experiments.config_schema import flags
from experiments.config_schema.resolve import resolve
from experiments.config_schema.sections import Experiment
from experiments.runtime import devices
from experiments.training.train import train
from experiments.workdir.folder import Workdir


def experiment_of(config: str, overrides: Sequence[str]) -> Experiment:
    """A packaged config with flags."""
    return resolve(flags.override(flags.load_config(config), overrides))


def train_once(config: str, overrides: Sequence[str], workdir: pathlib.Path) -> None:
    """Train what is not trained yet."""
    train(experiment_of(config, overrides), Workdir(workdir), devices.make_mesh())
