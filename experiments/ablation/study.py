"""An Optuna study: a setting is asked for once the numbers of those before are told.

The sampler is the tree-structured Parzen estimator. What it asks for follows from its seed and from
what it was told, so that no database is kept: a study that goes on is a new one, which asks for and
is told all that study.json holds, and then asks for what the other would have.

References: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; Akiba et al. 2019,
"Optuna: A Next-generation Hyperparameter Optimization Framework".
"""

import dataclasses
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.ablation import quantities, record
from experiments.ablation.cell import Cell, Reader, name_of
from experiments.ablation.folder import AblationFolder
from experiments.ablation.grid import Setting
from experiments.ablation.plan import duration
from experiments.ablation.question import Question
from experiments.ablation.space import Space
from experiments.config_schema.choice import parse
from experiments.errors import UserError
from experiments.workdir.folder import flat


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """A setting that a study has asked for, and has not been told of.

    Args:
      handle: Optuna's own.
      setting: the values of the axes.
      cells: at all seeds; none where the values do not go together.
      error: why they do not; None where they do.
    """

    handle: Any
    setting: Setting
    cells: Sequence[Cell]
    error: str | None


class Study:
    """Asks for the cells of an ablation, and is told their numbers.

    It is told the mean over seeds of the first metric; a trial with a seed that has no finite
    number of it has failed. A setting that is asked for again has the same cells.

    Args:
      question: what is asked.
      folder: the ablation's; what its study was told before is told again. Nothing is written.

    Raises:
      UserError: the question is wrong, Optuna is not installed, or is of a version that asks for
        other settings, or the folder's cells are of other code.
    """

    def __init__(self, question: Question, folder: AblationFolder):
        question.check()
        self.cells: list[Cell] = []
        self._question, self._folder = question, folder
        self._metric, lower = _objective(question)
        self._reader = Reader(question)
        self._space = Space.of(question, self._reader.is_int)
        self._optuna = _optuna()
        self._study = self._optuna.create_study(
            direction="minimize" if lower else "maximize",
            sampler=self._optuna.samplers.TPESampler(seed=question.seed or 0),
        )
        self._better = min if lower else max
        self._about = {"optuna": self._optuna.__version__, "metric": self._metric}
        self._distributions = self._space.distributions()
        self._baseline = self._space.baseline(lambda some: flat(self._reader.experiment(some)))
        self._study.enqueue_trial(self._baseline)
        self._by_result: dict[str, Cell] = {}
        self._finished: list[Mapping[str, Any]] = []
        self._trial = self._ask()
        # Read first: other processes may ask for more meanwhile.
        before = folder.cells if folder.is_there else ()
        for finished in folder.study.get("trials", [])[: question.study]:
            self._accept(finished)
        if not self._by_result.keys() >= {cell.result for cell in before}:
            raise UserError(
                f"--workdir: {folder.path} has a study by other code, whose cells are not these; "
                "takes a folder of its own"
            )

    def single_changes(self) -> list[Cell]:
        """A cell for each value that an axis may take: in the baseline, at the first seed.

        Raises:
          UserError: a value is no value of its field.
        """
        settings = self._space.single_changes(self._baseline)
        return [self._reader.cells(setting)[0] for setting in settings]

    def run(self, run_cells: Callable[[Sequence[Cell]], None]) -> None:
        """Ask, run and tell until all trials have been told.

        Args:
          run_cells: runs those of all cells that are to be run.

        Raises:
          OSError: the folder cannot be written.
        """
        while True:
            record.grow(self._folder, self.cells)
            run_cells(self.cells)
            if self._trial is None:
                return
            print(self._tell(self._trial), flush=True)

    def best(self) -> str:
        """The best trial in a line."""
        done = [trial for trial in self._finished if trial["value"] is not None]
        if not done:
            return f"study: none of {len(self._finished)} trials has a number"
        best = self._better(done, key=lambda trial: trial["value"])
        return (
            f"study: best of {len(self._finished)} trials is {name_of(best['setting'])}, with "
            f"{quantities.label(self._metric)} {best['value']:.6g}"
        )

    def outlook(self, seconds: float) -> str:
        """What is still to be asked for, in a line.

        Args:
          seconds: that the cells which are left of this trial take.
        """
        num, left = self._question.study or 0, (self._question.study or 0) - len(self._finished)
        return (
            f"study: {num - left} of {num} trials were told. Below is the next; those after it are "
            f"asked for as numbers come, and all take about {duration(left * seconds)}, if each "
            "takes the same\n"
        )

    def _ask(self) -> Trial | None:
        """The next trial; None where there were enough."""
        if len(self._finished) == self._question.study:
            return None
        handle = self._study.ask(self._distributions)
        setting, error, found = self._space.setting(handle.params), None, list[Cell]()
        try:
            found = self._reader.cells(setting)
        except UserError as wrong:
            error = str(wrong)
        cells = []
        for cell in found:
            if cell.record.result not in self._by_result:
                self._by_result[cell.record.result] = cell
                self.cells.append(cell)
            cells.append(self._by_result[cell.record.result])
        return Trial(handle=handle, setting=setting, cells=cells, error=error)

    def _tell(self, trial: Trial) -> str:
        """Tell of a trial whose cells have been run; what has been told, in a line."""
        found = {"setting": trial.setting, "value": self._value(trial)}
        finished = record.tell(self._folder, len(self._finished), found, self._about)
        self._accept(finished)
        value = finished["value"]
        what = f"{quantities.label(self._metric)} {value:.6g}" if value is not None else "failed"
        if trial.error is not None:
            what += f": {trial.error}"
        trials = f"{len(self._finished)} of {self._question.study}"
        return f"trial {trials}: {name_of(trial.setting)}: {what}"

    def _value(self, trial: Trial) -> float | None:
        """The mean of the metric over a trial's seeds; None where one has no finite number."""
        results = [self._folder.result(cell.record) for cell in trial.cells]
        numbers = [result["metrics"].get(self._metric, {}).get("value") for result in results]
        if not numbers or any(n is None or not math.isfinite(n) for n in numbers):
            return None
        return math.fsum(numbers) / len(numbers)

    def _accept(self, finished: Mapping[str, Any]) -> None:
        """Tell Optuna of the trial that it has asked for, and ask for the next.

        Raises:
          UserError: the folder's study had asked for another setting.
        """
        assert self._trial is not None
        if finished["setting"] != self._trial.setting:
            raise UserError(
                f"--study: {self._folder.path} has a study by Optuna "
                f"{self._folder.study['optuna']}, takes that version to go on: "
                f"{self._optuna.__version__} asks for other settings"
            )
        if finished["value"] is None:
            self._study.tell(self._trial.handle, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(self._trial.handle, finished["value"])
        self._finished.append(finished)
        self._trial = self._ask()


def _objective(question: Question) -> tuple[str, bool]:
    """The name of the number that is told, and whether less of it is better.

    Raises:
      UserError: the first metric has no number of which less or more is better.
    """
    asked = quantities.names(question)[0]
    lower = quantities.lower_is_better(asked)
    if lower is None:
        raise UserError(
            f"--study: got {asked} first of --metrics, takes one first of which less or more is "
            "better, as bpd or fd"
        )
    return parse(asked)[0], lower


def _optuna() -> Any:
    """Optuna, which says nothing itself.

    Raises:
      UserError: it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UserError("--study: takes Optuna; pip install 'scoresde[search]'")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
