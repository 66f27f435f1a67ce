"""A workdir: one experiment on disk, self-describing.

config.json           the resolved config
checkpoints/STEP/     training states
metrics.jsonl         a line of metrics each `training.log_every` steps
tensorboard/          the same, for TensorBoard
samples/              image grids and arrays
likelihood/           log-densities
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

from ml_collections import ConfigDict

from experiments.config import Experiment, resolve, to_config
from experiments.errors import UserError

# What may change between two runs of one experiment without making it another.
_FREE = {
    "training.num_steps",
    "training.log_every",
    "training.save_every",
    "training.sample_every",
    "training.keep",
    "training.steps_per_call",
}
_FREE_SECTIONS = ("sampling.", "likelihood.")


class Workdir:
    """Paths of an experiment's files, and its config.

    Args:
      path: the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> pathlib.Path:
        """The file of metrics."""
        return self.path / "metrics.jsonl"

    def folder(self, name: str) -> pathlib.Path:
        """A sub-folder, made if missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def claim(self, experiment: Experiment) -> None:
        """Make the folder hold `experiment`, new or to be continued.

        Raises:
          UserError: it holds another experiment, or files of something else.
          OSError: it cannot be written.
        """
        if self._config.is_file():
            self._check_same(experiment)
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(
                f"--workdir: {self.path} holds something else than an experiment (no config.json), "
                "takes a new or empty folder or one of this experiment"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self._config, json.dumps(dataclasses.asdict(experiment), indent=2) + "\n")

    def load(self) -> ConfigDict:
        """The experiment's config.

        Raises:
          UserError: the folder holds no experiment, or its config is damaged.
        """
        return to_config(self._read())

    @property
    def _config(self) -> pathlib.Path:
        return self.path / "config.json"

    def _read(self) -> Experiment:
        if not self._config.is_file():
            raise UserError(f"--workdir: {self.path} holds no experiment (no config.json)")
        try:
            return resolve(ConfigDict(json.loads(self._config.read_text())))
        except json.JSONDecodeError as error:
            raise UserError(f"{self._config}: not valid JSON ({error})") from error

    def _check_same(self, experiment: Experiment) -> None:
        there, here = (
            _flatten(dataclasses.asdict(self._read())),
            _flatten(dataclasses.asdict(experiment)),
        )
        for name in here:
            free = name in _FREE or name.startswith(_FREE_SECTIONS)
            # A falling learning rate knows the last step: more steps are another run.
            if name == "training.num_steps" and experiment.training.schedule != "constant":
                free = False
            if not free and there.get(name) != here[name]:
                raise UserError(
                    f"--workdir: {self.path} holds another experiment, with {name} = "
                    f"{there.get(name)!r}, not {here[name]!r}; takes a folder of its own"
                )


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and name != "args":
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
