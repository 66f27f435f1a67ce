"""Runs the cells of an ablation that have not been run, here or in several processes.

Every process takes the first cell that no other has, so that any number of them, on one host or on
many that share the folder, finish it together.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from experiments.ablation import quantities
from experiments.ablation.cell import Cell
from experiments.ablation.folder import AblationFolder
from experiments.ablation.measure import Report
from experiments.ablation.run_cell import CellRunner
from experiments.errors import UserError
from experiments.evaluation.estimate import Estimate
from experiments.workdir.run_lock import HeldError

_PAUSE = 1.0
"""Seconds until a process looks again where others run all that is left."""

_MEMORY = 0.9
"""The part of a GPU's memory that several processes share."""


@dataclasses.dataclass(frozen=True)
class Todo:
    """Which cells are still to be run.

    Args:
      folder: the ablation's.
      retry: whether those that failed are run again, once.
      since: when this began, in seconds of the epoch; what failed later is not run again.
    """

    folder: AblationFolder
    retry: bool
    since: float

    def holds(self, cell: Cell) -> bool:
        """Whether the cell is to be run."""
        file = self.folder.file(cell.record.result)
        if not file.is_file():
            return True
        if not self.retry or file.stat().st_mtime >= self.since:
            return False
        return self.folder.result(cell.record)["error"] is not None


def run_all(cells: Sequence[Cell], runner: CellRunner, todo: Todo) -> None:
    """Run the cells one after the other, each by itself or by another process.

    Args:
      cells: in order.
      runner: runs one.
      todo: which of them.

    Raises:
      StoppedError: a signal has asked a training to end.
      OSError: a result cannot be written.
    """
    while left := [cell for cell in cells if todo.holds(cell)]:
        if not any(_try(cell, cells, runner, todo) for cell in left):
            time.sleep(_PAUSE)


def _try(cell: Cell, cells: Sequence[Cell], runner: CellRunner, todo: Todo) -> bool:
    """Run a cell; whether it has been, here or by another process meanwhile."""
    start = time.perf_counter()
    try:
        report = runner.run(cell, todo.holds)
    except HeldError:
        return False
    if report is None:
        return True
    done = sum(not todo.holds(other) for other in cells)
    seconds = time.perf_counter() - start
    print(f"[{done}/{len(cells)}] {describe(cell, report)}, {seconds:.1f} s", flush=True)
    return True


def describe(cell: Cell, report: Report) -> str:
    """What a cell has given, in a line."""
    if report["error"] is not None:
        return f"{cell.name}, seed {cell.seed}: failed: {report['error']}"
    numbers = [
        f"{quantities.label(name)} {Estimate(**values).text()}"
        for name, values in report["metrics"].items()
        if values["value"] is not None
    ]
    return f"{cell.name}, seed {cell.seed}: {', '.join(numbers)}"


def run_jobs(arguments: Sequence[str], num: int) -> bool:
    """Run an ablation in several processes of one command.

    A signal to this process is passed on to them, who save what they train; a second ends them.

    Args:
      arguments: of `scoresde`, the same for all.
      num: how many processes.

    Returns:
      Whether no signal has ended it.

    Raises:
      UserError: a process has ended otherwise than it should.
    """
    command = [sys.executable, "-m", "experiments", *arguments]
    share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{_MEMORY / num:.3f}"}
    processes: list[subprocess.Popen] = []
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        for process in processes:
            process.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for _ in range(num):
            # In a session of their own, so that Ctrl-C comes by way of this process, once.
            process = subprocess.Popen(
                command, env=share | dict(os.environ), start_new_session=True
            )
            processes.append(process)
            if signals:  # which came while it was begun
                process.terminate()
                break
        codes = [process.wait() for process in processes]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if any(codes) and not signals:
        raise UserError(f"--jobs: processes have ended with {codes}; see what they said above")
    return not signals
