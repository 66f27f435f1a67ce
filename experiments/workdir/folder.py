"""A workdir: one experiment on disk, self-describing.

config.json           the resolved config
data.json             shape, grey levels and classes of its examples, known without them; where the
                      data are, and a digest of them
.lock                 held by a live run
checkpoints/STEP/     training states
checkpoints.json      a digest of the structure of each, by which parts of one are read at once
metrics.jsonl         a line of metrics each `training.log_every` steps
tensorboard/          the same, for TensorBoard; other trackers have folders of their names
trackers.json         what trackers call this run
averages/             power-law averages of the parameters, for others made afterwards
samples/              image grids and arrays
likelihood/           log-densities
evaluation/           how good samples are; features/ there, which may be removed, is made again
"""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from experiments.config_schema.resolve import resolve, to_config
from experiments.config_schema.sections import Experiment
from experiments.data import absolute, is_here
from experiments.errors import UserError
from experiments.paths import expand, make_folder, no_experiment
from experiments.runtime.atomic_files import write_atomically
from experiments.workdir.data_spec import DataSpec
from experiments.workdir.run_lock import HeldError, hold
from sde_lib.registry import unknown_name

# What may change between two runs of one experiment without making it another.
_FREE = {
    "training.num_steps",
    "training.log_every",
    "training.save_every",
    "training.sample_every",
    "training.trackers",
    "training.evaluate_every",
    "training.evaluate_metrics",
    "training.evaluate_features",
    "training.evaluate_num",
    "training.keep",
    "training.keep_every",
    "training.max_skipped",
    "training.steps_per_call",
    "data.stream",
    "data.resident_gib",
    "data.workers",
}
_FREE_SECTIONS = ("sampling.", "likelihood.")

DATA = "data"
"""What `--accept` calls the data themselves, as it calls a field by its path."""


class Workdir:
    """Paths of an experiment's files, and its config.

    Args:
      path: the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = expand(path)

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> pathlib.Path:
        """The file of metrics."""
        return self.path / "metrics.jsonl"

    @property
    def grids(self) -> pathlib.Path:
        """The folder of grids that were fitted to the model."""
        return self.path / "grids"

    def folder(self, name: str) -> pathlib.Path:
        """A sub-folder, made if missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def claim(self, experiment: Experiment, accept: Sequence[str] = ()) -> Iterator[None]:
        """Hold the folder for a run of `experiment`, new or to be continued.

        Args:
          experiment: the run's.
          accept: fields that may differ from the folder's.

        Raises:
          UserError: it holds another experiment, or files of something else, or a live run; it is
            left as it was.
          OSError: it cannot be written.
        """
        self.check(experiment, accept)
        make_folder(self.path, "--workdir")
        with self._locked():
            if not self._config.is_file():
                self.record(experiment)
            yield

    def check(self, experiment: Experiment, accept: Sequence[str] = ()) -> None:
        """Stop a run that `claim` would refuse, before anything is written.

        Raises:
          UserError: the folder holds another experiment, or files of something else.
        """
        if self._config.is_file():
            self._check_same(experiment, accept)
        elif self.path.exists() and not self._is_empty():
            raise UserError(
                f"--workdir: {self.path} holds something else than an experiment (no config.json), "
                "takes a new or empty folder or one of this experiment"
            )

    def record(self, experiment: Experiment) -> None:
        """Write the config."""
        write_atomically(self._config, json.dumps(dataclasses.asdict(experiment), indent=2) + "\n")

    @property
    def data_spec(self) -> DataSpec | None:
        """What is known of its data; None in a workdir of before there was data.json.

        Raises:
          UserError: data.json is damaged.
        """
        if not self._data_json.is_file():
            return None
        spec = DataSpec.from_json(self._data_json.read_text(encoding="utf-8"), self._data_json)
        # One of before it said so: the path is of the folder that one stands in.
        return dataclasses.replace(spec, place=spec.place or absolute(self._source))

    def record_data_spec(self, spec: DataSpec) -> None:
        """Write data.json."""
        write_atomically(self._data_json, spec.as_json() + "\n")

    def located(self, experiment: Experiment, *, given: bool = False) -> Experiment:
        """The experiment with an absolute path to its data.

        A relative path is of the folder that it was given in, which data.json remembers. Where the
        data are not there, as for a workdir that was copied, it is of the current folder.

        Args:
          experiment: of this workdir.
          given: whether its source was given just now, so that the current folder comes first.
        """
        source, spec = experiment.data.source, self.data_spec
        places = [absolute(source)]
        if spec is not None and source == self._source:
            places = [*places, spec.place] if given else [spec.place, *places]
        place = next(filter(is_here, places), places[0])
        data = dataclasses.replace(experiment.data, source=place)
        return dataclasses.replace(experiment, data=data)

    def check_data(self, spec: DataSpec, accept: Sequence[str] = ()) -> None:
        """Stop a run that would go on with other data than those it has learnt from.

        Args:
          spec: of the data that there are now.
          accept: as of `claim`; "data" takes them.

        Raises:
          UserError: they are others.
        """
        there = self.data_spec
        if there is None or not self.has_checkpoints or DATA in accept:
            return
        if not there.same_data(spec):
            raise UserError(
                f"--workdir: {self.path} holds an experiment on other data, data.source was {there}"
                f", is {spec}; takes a folder of its own, or --accept={DATA} to go on with these"
            )

    def _is_empty(self) -> bool:
        """But for what a start leaves that was killed at once."""
        left = {".lock", self._config.name + ".partial"}
        return self.path.is_dir() and {path.name for path in self.path.iterdir()} <= left

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Raises UserError where another process holds the folder."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold(self.path / ".lock"))
            except HeldError as error:
                raise UserError(
                    f"--workdir: {self.path} is in use by a run ({error}), takes another folder, "
                    "or that run's end"
                ) from error
            yield

    @property
    def has_checkpoints(self) -> bool:
        """Whether a run has got so far that another must go on from there."""
        return self.last_step is not None

    @property
    def last_step(self) -> int | None:
        """The step of the newest checkpoint; None before the first."""
        names = (path.name for path in self.checkpoints.glob("*"))
        return max((int(name) for name in names if name.isdecimal()), default=None)

    def load(self) -> ConfigDict:
        """The experiment's config.

        Raises:
          UserError: the folder holds no experiment, or its config is damaged.
        """
        return to_config(self._read())

    @property
    def _config(self) -> pathlib.Path:
        return self.path / "config.json"

    @property
    def _data_json(self) -> pathlib.Path:
        return self.path / "data.json"

    @property
    def _source(self) -> str:
        """Of the data, as it was given."""
        return self._read().data.source

    def _read(self) -> Experiment:
        if not self._config.is_file():
            raise no_experiment(self.path)
        try:
            read = json.loads(self._config.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{self._config}: not valid JSON ({error})") from error
        if not isinstance(read, dict):
            raise UserError(f"{self._config}: takes an experiment's config, sections of fields")
        return resolve(ConfigDict(read))

    def _check_same(self, experiment: Experiment, accept: Sequence[str]) -> None:
        there, here = flat(self._read()), flat(experiment)
        if not self.has_checkpoints:
            return  # nothing has been learnt from the config there
        for name in accept:
            if name not in here and name != DATA:
                raise UserError(unknown_name("config field", f"--accept={name}", [*here, DATA]))
        for name in here:
            free = name in _FREE or name.startswith(_FREE_SECTIONS)
            # Where data.json is, `check_data` knows more than the name.
            free |= name == "data.source" and self._data_json.is_file()
            # A falling learning rate knows the last step: more steps are another run.
            if name == "training.num_steps" and experiment.training.schedule != "constant":
                free = False
            if not free and name not in accept and there.get(name) != here[name]:
                # Of other shapes the checkpoints' parameters are of no use.
                shapes = ", if no parameter changes its shape" * name.startswith("model.")
                raise UserError(
                    f"--workdir: {self.path} holds another experiment, with {name} = "
                    f"{there.get(name)!r}, not {here[name]!r}; takes a folder of its own, or "
                    f"--accept={name} to go on with the new value{shapes}"
                )


def flat(experiment: Experiment) -> dict[str, Any]:
    """Every field by its path, as "training.batch_size"; JSON values."""
    return flattened(json.loads(json.dumps(dataclasses.asdict(experiment))))


def differences(a: Experiment, b: Experiment) -> dict[str, tuple[Any, Any]]:
    """By path the fields that differ, with both values; None where one has no such field."""
    ours, theirs = flat(a), flat(b)
    fields = dict.fromkeys([*ours, *theirs])
    both = {name: (ours.get(name), theirs.get(name)) for name in fields}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of a config's sections by their paths; those of `args` stay together."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and not name.endswith("args"):
            fields |= flattened(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = value
    return fields
