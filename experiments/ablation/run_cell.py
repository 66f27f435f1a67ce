"""Runs one cell: trains its model where that is not trained, samples, measures, records."""

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh

from experiments.ablation import quantities
from experiments.ablation.cell import Cell
from experiments.ablation.folder import AblationFolder
from experiments.ablation.measure import Report, measured
from experiments.ablation.question import Question
from experiments.errors import UserError, first_line
from experiments.runtime.atomic_files import write_atomically
from experiments.runtime.versions import versions
from experiments.training.shared import Shared
from experiments.training.train import train
from experiments.workdir.folder import Workdir, flat
from experiments.workdir.results import as_json
from experiments.workdir.run_lock import HeldError, hold
from experiments.workdir.trained_model import TrainedModel


class StoppedError(Exception):
    """A signal has asked a cell's training to end; it is saved. The text says at which step."""


@dataclasses.dataclass
class CellRunner:
    """Runs the cells of an ablation, one at a time.

    Args:
      question: what is asked.
      folder: the ablation's.
      mesh: the devices.
      about: goes into the pictures' metadata.
      debug: an error of a cell ends the process, instead of being recorded.
    """

    question: Question
    folder: AblationFolder
    mesh: Mesh
    about: dict[str, str]
    debug: bool = False

    def __post_init__(self) -> None:
        self._shared, self._failed = Shared(), dict[str, str]()
        self._opened: tuple[str, TrainedModel] | None = None

    def run(self, cell: Cell, is_left: Callable[[Cell], bool]) -> Report | None:
        """Run a cell, and record what it has given, or why nothing.

        Args:
          cell: the cell.
          is_left: whether it is to be run; asked again once no other process can run it.

        Returns:
          What was recorded; None where another process has run it meanwhile.

        Raises:
          HeldError: another process runs it, or trains its model.
          StoppedError: a signal has asked for it; nothing is recorded.
          OSError: the result cannot be written.
        """
        with self._lock(cell.record.digest):
            if not is_left(cell):
                return None
            report: Report = {
                "protocol": self._protocol(cell),
                "metrics": {},
                "evaluations": None,
                "seconds": {},
                "error": None,
                "samples": None,
                "evaluation": None,
                "likelihood": None,
            }
            try:
                seconds = self._train(cell)
                about = self.about | {"cell": cell.name, "seed": str(cell.seed)}
                report |= measured(
                    cell, self.question, self._open(cell), self.folder, about, self._shared
                )
                report["seconds"] = {"train": round(seconds, 2)} | report["seconds"]
            except (StoppedError, HeldError):
                raise
            # Whatever a user's own code, or the compiler, raises: the other cells go on.
            except Exception as error:
                if self.debug:
                    raise
                report["error"] = _line(error)
            self._record(cell, report)
            return report

    def is_trained(self, cell: Cell) -> bool:
        """Whether the cell's model is at its last step."""
        checkpoints = Workdir(self._workdir(cell)).checkpoints
        last = str(cell.experiment.training.num_steps)
        return cell.trained or (checkpoints / last).is_dir()

    def _train(self, cell: Cell) -> float:
        """Train a cell's model to its end; the seconds that it took."""
        model = cell.record.workdir
        if model in self._failed:
            raise UserError(self._failed[model])
        if self.is_trained(cell):
            return 0.0
        start = time.perf_counter()
        with self._lock(pathlib.PurePosixPath(model).name):
            try:
                ended = train(
                    cell.experiment,
                    Workdir(self._workdir(cell)),
                    self.mesh,
                    shared=self._shared,
                )
            except UserError as error:
                self._failed[model] = str(error)
                raise
        if not ended.finished:
            raise StoppedError(ended.stopped)
        return time.perf_counter() - start

    def _open(self, cell: Cell) -> TrainedModel:
        """The cell's model; that of the cell before, if it is the same."""
        model = cell.record.workdir
        if self._opened is None or self._opened[0] != model:
            self._opened = model, TrainedModel.open(self._workdir(cell), [], self.mesh)
        return self._opened[1]

    def _workdir(self, cell: Cell) -> pathlib.Path:
        return self.folder.file(cell.record.workdir)

    def _lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        return hold(self.folder.lock(name))

    def _protocol(self, cell: Cell) -> dict[str, Any]:
        """All that a cell's numbers follow from."""
        question = self.question
        return {
            "cell": dict(cell.record.values),
            "seed": cell.seed,
            "metrics": quantities.names(question),
            "features": question.features,
            "num": question.num or cell.experiment.sampling.num,
            "limit": question.limit,
            "experiment": flat(cell.experiment),
            "versions": versions(),
        }

    def _record(self, cell: Cell, report: Report) -> None:
        file = self.folder.file(cell.record.result)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(report), indent=2, ensure_ascii=False)
        write_atomically(file, text + "\n")


def _line(error: Exception) -> str:
    """What a cell's error says, in one line."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {first_line(error)}"
