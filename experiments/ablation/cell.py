"""The cells of an ablation: each an experiment at a seed, and what it shares with others."""

import dataclasses
import functools
import hashlib
import json
from typing import Any

from ml_collections import ConfigDict

from experiments.ablation.folder import CellRecord
from experiments.ablation.grid import Setting, settings
from experiments.ablation.question import CONFIG, Question
from experiments.ablation.values import unquoted
from experiments.config_schema.choice import literal
from experiments.config_schema.flags import load_config, load_experiment
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError
from experiments.paths import expand
from experiments.runtime import seeds
from experiments.workdir.folder import Workdir, flat

_AFTER_TRAINING = ("sampling.", "likelihood.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting of the axes, at one seed.

    Args:
      record: what cells.json says of it.
      experiment: as it is trained, sampled and measured.
      trained: whether its model is there before, `Question.model`.
    """

    record: CellRecord
    experiment: Experiment
    trained: bool

    @property
    def name(self) -> str:
        """The values of the axes."""
        return self.record.name

    @property
    def seed(self) -> int:
        """Of the training and of all draws."""
        return self.record.seed

    def samples_digest(self, num: int) -> str:
        """Of all that its samples follow from.

        Args:
          num: how many there are.
        """
        sampling = dataclasses.asdict(self.experiment.sampling)
        return _digest([self.record.workdir, sampling, self.seed, num])


def cells_of(question: Question) -> list[Cell]:
    """The cells of a question in order: the baseline at all seeds, then the next setting.

    Raises:
      UserError: a field that there is not, a value of another type or out of range, or two cells
        that are the same; names the cell.
    """
    question.check()
    reader = Reader(question)
    cells: list[Cell] = []
    names: dict[str, str] = {}
    for setting in settings(question, reader.is_int):
        for cell in reader.cells(setting):
            if (other := names.setdefault(cell.record.result, cell.name)) != cell.name:
                raise UserError(
                    f"--over: {cell.name} is the same experiment as {other}, takes each once"
                )
            cells.append(cell)
    return cells


def name_of(setting: Setting) -> str:
    """A setting in words."""
    return ",".join(f"{field}={value}" for field, value in setting.items()) or "baseline"


class Reader:
    """Reads the experiments of a question's settings.

    Args:
      question: the question, checked.
    """

    def __init__(self, question: Question):
        self._question = question

    @functools.cached_property
    def _base(self) -> Any:
        """The config whose fields say what the axes take."""
        if self._question.model is not None:
            return Workdir(self._question.model).load()
        if self._question.config is not None:
            return load_config(self._question.config)
        first = next(axis for axis in self._question.over if axis.field == CONFIG)
        return load_config(unquoted(first.items[0]))

    def is_int(self, field: str) -> bool:
        """Whether a field takes integers; no where there is no such field."""
        found = self._base
        *sections, name = field.split(".")
        for section in sections:
            found = found.get(section) if isinstance(found, ConfigDict) else None
        return isinstance(found, ConfigDict) and name in found and found.get_type(name) is int

    def cells(self, setting: Setting) -> list[Cell]:
        """The cells of a setting, at all seeds.

        Raises:
          UserError: as of `experiment`, or a seed is out of range.
        """
        question, experiment = self._question, self.experiment(setting)
        first = experiment.seed if question.seed is None else question.seed
        return [
            _cell(question, setting, experiment, seeds.check(seed, "--seed"))
            for seed in range(first, first + question.seeds)
        ]

    def experiment(self, setting: Setting) -> Experiment:
        """The experiment of a setting.

        Raises:
          UserError: it is none; names the setting.
        """
        given = dict(setting)
        config = given.pop(CONFIG, self._question.config)
        overrides = [*self._question.overrides]
        overrides += [f"--config.{field}={value}" for field, value in given.items()]
        overrides += self._without_corrector(setting)
        try:
            if self._question.model is not None:
                self._check_after_training(overrides)
                return load_experiment(Workdir(self._question.model).load(), overrides)
            assert config is not None
            return load_experiment(config, overrides)
        except UserError as error:
            raise UserError(f"{name_of(setting)}: {error}") from error

    def _without_corrector(self, setting: Setting) -> list[str]:
        """A solver asked for is meant as it is, as of `scoresde sample --solver`."""
        said = [*(f"--config.{field}=" for field in setting), *self._question.overrides]
        if "sampling.solver" not in setting:
            return []
        if any(text.startswith("--config.sampling.corrector=") for text in said):
            return []
        return ["--config.sampling.corrector=none"]

    def _check_after_training(self, overrides: list[str]) -> None:
        """Raises UserError where a field would have to be trained for."""
        for override in overrides:
            field = override.removeprefix("--config.").partition("=")[0]
            if not field.startswith(_AFTER_TRAINING):
                raise UserError(
                    f"{field}: takes --config=NAME, which trains; --model={self._question.model} "
                    "is trained, and takes sampling.* and likelihood.*"
                )


def _cell(question: Question, setting: Setting, experiment: Experiment, seed: int) -> Cell:
    if question.model is None:
        experiment = dataclasses.replace(experiment, seed=seed)
        learnt = {k: v for k, v in flat(experiment).items() if not k.startswith(_AFTER_TRAINING)}
        workdir = f"models/{_digest(learnt)}"
    else:
        workdir = str(expand(question.model).absolute())
    # What was measured of a model at another step is none of its results.
    step = None if question.model is None else Workdir(workdir).last_step
    facts = [workdir, step, flat(experiment), seed, question.num, question.limit]
    found = flat(experiment)
    values = {field: found.get(field, literal(value)) for field, value in setting.items()}
    record = CellRecord(
        name=name_of(setting),
        seed=seed,
        values=json.loads(json.dumps(values)),
        workdir=workdir,
        result=f"results/{_digest([*facts, question.metrics, question.features])}.json",
    )
    return Cell(record=record, experiment=experiment, trained=question.model is not None)


def _digest(facts: Any) -> str:
    """Twelve hexadecimal digits of a JSON value."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
