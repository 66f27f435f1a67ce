"""The verb: an ablation from its question to its table."""

import dataclasses
import os
import time
from collections.abc import Sequence

from jax.sharding import Mesh

from experiments.ablation import hand_out, record
from experiments.ablation.cell import Cell, cells_of
from experiments.ablation.check import Checker
from experiments.ablation.folder import AblationFolder
from experiments.ablation.plan import Planner, as_text
from experiments.ablation.question import Question
from experiments.ablation.run import Todo, run_all
from experiments.ablation.run_cell import CellRunner
from experiments.ablation.study import Study
from experiments.ablation.table_files import as_markdown, write_tables
from experiments.config_schema.sde_defaults import SAME_UNDER_EVERY_SDE
from experiments.errors import UserError
from experiments.paths import command, expand
from experiments.runtime.atomic_files import write_atomically
from experiments.workdir.folder import flat
from sde_lib.registry import unknown_name


@dataclasses.dataclass(frozen=True)
class Ablation:
    """An ablation in its folder: it can be planned, handed out, run, and finished.

    Args:
      folder: its folder.
      question: what is asked.
      cells: of the question, in order; of a study those that it has asked for, and they grow.
      mesh: the devices.
      study: what asks for the cells; None where the question says them all.
    """

    folder: AblationFolder
    question: Question
    cells: Sequence[Cell]
    mesh: Mesh
    study: Study | None = None

    @classmethod
    def of(cls, workdir: str | os.PathLike, question: Question | None, mesh: Mesh) -> "Ablation":
        """The ablation of a folder. Nothing is written.

        Args:
          workdir: the folder.
          question: what is asked; None for what the folder holds, whose cells were checked.
          mesh: the devices.

        Raises:
          UserError: a name, a type, a range or a shape of a cell is wrong, or the folder holds
            something else.
        """
        folder = AblationFolder.of(workdir)
        is_new = question is not None
        question = question or record.asked(folder)
        if question.study is not None:
            return cls._of_study(folder, question, mesh, is_new)
        if not is_new:
            return cls(folder, question, cells_of(question), mesh)
        cells = cells_of(question)
        record.check(folder, question, cells)
        Checker(question, mesh).check(cells)
        return cls(folder, question, cells, mesh)

    @classmethod
    def _of_study(
        cls, folder: AblationFolder, question: Question, mesh: Mesh, is_new: bool
    ) -> "Ablation":
        """Of a study what each axis takes is checked; how values go together shows when asked."""
        if is_new:
            record.check(folder, question, ())
        study = Study(question, folder)
        if is_new:
            Checker(question, mesh).check(study.single_changes())
        return cls(folder, question, study.cells, mesh, study)

    @property
    def note(self) -> str | None:
        """What makes the answer less than it seems, in a line; None where nothing does."""
        axis = "sde.name"
        same = all(
            flat(cell.experiment).items() >= SAME_UNDER_EVERY_SDE.items() for cell in self.cells
        )
        if axis not in [a.field for a in self.question.over] or not same:
            return None
        fields = " and ".join(f"{name} {value!r}" for name, value in SAME_UNDER_EVERY_SDE.items())
        return (
            f"{axis}: with {fields} a network learns the same under every SDE, so that loss and "
            "bits/dim hardly differ; =None for each takes what an SDE was published with"
        )

    def begin(self, argv: Sequence[str]) -> None:
        """Write what is asked.

        Args:
          argv: the command line.

        Raises:
          OSError: the folder cannot be written.
        """
        record.begin(self.folder, self.question, self.cells, command(*argv[1:]))

    def plan(self) -> str:
        """What differs between the cells that are left, and what they will cost."""
        left, planner = self.left(), Planner(self.question, self.mesh)
        costs = [planner.seconds(cell, self._runner({}).is_trained(cell)) for cell in left]
        models = len({cell.record.workdir for cell in left})
        what = f"{len(self.cells)} cells, {len(left)} to run, of {models} models\n"
        if self.study is not None:
            what += self.study.outlook(sum(cost.total for cost in costs))
        return what + as_text(left, costs, planner)

    def left(self, *, retry: bool = False) -> list[Cell]:
        """The cells that have not been run; with `retry` also those that failed."""
        todo = Todo(self.folder, retry, time.time())
        return [cell for cell in self.cells if todo.holds(cell)]

    def commands(self, *, retry: bool) -> list[str]:
        """A shell command for each cell that is left."""
        return hand_out.commands(self.folder, self.left(retry=retry), retry=retry)

    def write_slurm(self, file: str, options: Sequence[str], *, retry: bool) -> str:
        """Write a Slurm array of the cells that are left; says how it is handed in.

        Raises:
          UserError: there is none, or an option of sbatch is wrong.
          OSError: the file cannot be written.
        """
        left = self.left(retry=retry)
        if not left:
            raise UserError(f"--slurm: all {len(self.cells)} cells have been run")
        path = expand(file)
        text = hand_out.slurm(self.folder, left, options, retry=retry)
        (self.folder.path / hand_out.LOGS).mkdir(exist_ok=True)
        write_atomically(path, text)
        return f"{len(left)} cells: sbatch {path}\nthen: {self._again()}"

    def asked_for(self, digest: str | None) -> Sequence[Cell]:
        """The cell of this digest; None for all.

        Raises:
          UserError: there is no such cell.
        """
        by_digest = {cell.record.digest: cell for cell in self.cells}
        if digest is not None and digest not in by_digest:
            raise UserError(f"--cell: {unknown_name('cell', digest, list(by_digest))}")
        return self.cells if digest is None else [by_digest[digest]]

    def run(
        self, about: dict[str, str], *, cell: str | None, retry: bool, debug: bool = False
    ) -> None:
        """Run the cells that are left, or one of them.

        Args:
          about: goes into the pictures' metadata.
          cell: the digest of one; None for all.
          retry: run those that failed again.
          debug: an error of a cell ends the process.

        Raises:
          StoppedError: a signal has asked a training to end.
          UserError: there is no such cell.
        """
        cells = self.asked_for(cell)
        runner, todo = self._runner(about, debug), Todo(self.folder, retry, time.time())
        if self.study is not None:
            self.study.run(lambda asked: run_all(asked, runner, todo))
        else:
            run_all(cells, runner, todo)

    def finish(self) -> str:
        """Write the tables of what there is; the table and where it is.

        Raises:
          OSError: they cannot be written.
        """
        table = write_tables(self.folder)
        left, folder = len(self.left()), self.folder.path
        lines = [as_markdown(table)] if table.metrics else []
        lines += [self.study.best()] if self.study is not None else []
        lines.append(
            ", ".join(str(folder / f"table.{kind}") for kind in ("md", "csv", "tex", "json"))
        )
        if left:
            lines.append(f"{left} of {len(self.cells)} cells are left: {self._again()}")
        else:
            record.end(self.folder)
        return "\n".join(lines)

    def check_failed(self, cell: str | None = None) -> None:
        """Say which cells have failed.

        Args:
          cell: the digest of the one that counts; None for all.

        Raises:
          UserError: some have; names the first and why.
        """
        results = self.folder.results
        digests = [c.record.digest for c in self.cells] if cell is None else [cell]
        failed = [
            c
            for c in self.cells
            if c.record.digest in digests and results.get(c.record.digest, {}).get("error")
        ]
        if failed:
            first = failed[0]
            raise UserError(
                f"{len(failed)} of {len(self.cells)} cells failed, first {first.name}, seed "
                f"{first.seed}: {results[first.record.digest]['error']}; --retry runs them again"
            )

    def _runner(self, about: dict[str, str], debug: bool = False) -> CellRunner:
        return CellRunner(self.question, self.folder, self.mesh, about, debug)

    def _again(self) -> str:
        """The command that goes on."""
        return command("ablate", f"--workdir={self.folder.path}")
