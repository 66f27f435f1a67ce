"""Experiments of packaged configs, and their runs."""

import pathlib
from collections.abc import Sequence

from experiments import devices, flags
from experiments.config import resolve
from experiments.sections import Experiment
from experiments.train import train
from experiments.workdir import Workdir


def experiment_of(config: str, overrides: Sequence[str]) -> Experiment:
    """A packaged config with flags."""
    return resolve(flags.override(flags.load_config(config), overrides))


def train_once(config: str, overrides: Sequence[str], workdir: pathlib.Path) -> None:
    """Train what is not trained yet."""
    train(experiment_of(config, overrides), Workdir(workdir), devices.make_mesh())
