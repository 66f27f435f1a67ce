"""An ablation's folder: what was asked, which cells there are, what each has given.

ablation.toml       the question
cells.json          the cells in order, the baseline first
study.json          of a study: the settings that it asked for, and what it was told of each
models/HASH/        workdirs, shared by cells that differ in sampling or likelihood alone
fine/HASH.npz       fine solutions, with which samples of the same latents are compared
results/HASH.json   what a cell has given, or why it has given nothing
table.csv, table.md, table.tex, table.json
about.json          command line, versions, hardware, when it was begun and ended
command.txt         the command line
.locks/             held by the processes that run cells
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.errors import UserError
from experiments.paths import expand


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellRecord:
    """A cell as cells.json has it: one setting of the axes, at one seed.

    Args:
      name: the values of the axes, "sde.name=vp,training.learning_rate=0.001"; the same at all
        seeds.
      seed: of the training and of all draws.
      values: by field, as JSON has them.
      workdir: of its model, relative to the ablation's folder, or absolute.
      result: of its numbers, relative to the ablation's folder.
    """

    name: str
    seed: int
    values: Mapping[str, Any]
    workdir: str
    result: str

    @property
    def digest(self) -> str:
        """What `--cell` calls it."""
        return pathlib.PurePosixPath(self.result).stem


@dataclasses.dataclass(frozen=True)
class AblationFolder:
    """Reads the folder of an ablation, whole or on the way.

    Args:
      path: the folder.
    """

    path: pathlib.Path

    @classmethod
    def of(cls, path: str | os.PathLike) -> "AblationFolder":
        """The folder at a path as people write it."""
        return cls(expand(path))

    @property
    def question(self) -> pathlib.Path:
        """The file of what was asked."""
        return self.path / "ablation.toml"

    @property
    def is_there(self) -> bool:
        """Whether it holds an ablation."""
        return self.question.is_file()

    @property
    def cells(self) -> tuple[CellRecord, ...]:
        """The cells in order, the baseline first.

        Raises:
          UserError: the folder holds no ablation, or its list of cells is damaged.
        """
        try:
            return tuple(CellRecord(**cell) for cell in self._read("cells.json", list))
        except TypeError as error:
            raise self._not_ours("cells.json") from error

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """By the digest of their cell what results/HASH.json holds, of the cells that have ended.

        Raises:
          UserError: as of `cells`, or a result is damaged.
        """
        return {cell.digest: self.result(cell) for cell in self._ended()}

    def check(self) -> None:
        """Stop where what it says of a cell is damaged, so that no work goes before it is told.

        Raises:
          UserError: as of `results`.
        """
        for cell in self._ended():
            self.result(cell)

    def _ended(self) -> list[CellRecord]:
        return [cell for cell in self.cells if self.file(cell.result).is_file()]

    def result(self, cell: CellRecord) -> dict[str, Any]:
        """What results/HASH.json of a cell holds.

        Raises:
          UserError: it is not there, or damaged.
        """
        return self._read(cell.result)

    @property
    def about(self) -> dict[str, Any]:
        """Command line, versions, hardware, times; {} before it has begun."""
        return self._read("about.json") if (self.path / "about.json").is_file() else {}

    @property
    def study(self) -> dict[str, Any]:
        """What study.json holds (`ablation.record.tell`); {} before a study was told anything.

        Raises:
          UserError: it is damaged.
        """
        return self._read("study.json") if (self.path / "study.json").is_file() else {}

    def table(self) -> dict[str, Any]:
        """What table.json holds (`ablation.table_files`); {} before there is a table.

        Raises:
          UserError: it is damaged.
        """
        return self._read("table.json") if (self.path / "table.json").is_file() else {}

    def lock(self, name: str) -> pathlib.Path:
        """The file of a lock, by which processes share the folder; its own folder is made."""
        folder = self.path / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def file(self, name: str) -> pathlib.Path:
        """The path of a file that a cell or a result names: relative to the folder, or absolute."""
        return self.path / name

    def _read(self, name: str, kind: type = dict) -> Any:
        """The JSON of a file, which is of this kind.

        Raises:
          UserError: it is not there, or damaged.
        """
        file = self.path / name
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"--workdir: {self.path} holds no ablation (no {name})") from error
        except ValueError as error:
            raise UserError(f"{file}: not valid JSON ({error})") from error
        if not isinstance(found, kind):
            raise self._not_ours(name)
        return found

    def _not_ours(self, name: str) -> UserError:
        return UserError(f"{self.path / name}: is not as ablate writes it")
