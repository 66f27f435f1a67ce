"""What a report is of: cells with their runs, read from an ablation's folder or from a workdir.

A cell is one setting, with a run for each seed. A workdir has a cell for each of its results.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.ablation.folder import AblationFolder, CellRecord
from experiments.errors import UserError

_MAX_RESULTS = 20
"""The newest of each kind that a workdir's report shows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One cell at one seed.

    Args:
      seed: of the training and of all draws.
      workdir: of its model.
      metrics: by name {"value": …, "standard_error": …}.
      evaluations: network calls a sample, in the mean; None where nothing was drawn.
      error: the line of what stopped it; None where nothing did.
      samples, evaluation, likelihood: the files of its results; None where there are none.
      seconds: by what they were spent on.
      is_done: whether it has ended, well or not.
    """

    seed: int
    workdir: pathlib.Path
    metrics: Mapping[str, Any]
    evaluations: float | None = None
    error: str | None = None
    samples: pathlib.Path | None = None
    evaluation: pathlib.Path | None = None
    likelihood: pathlib.Path | None = None
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    is_done: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting of the axes.

    Args:
      number: its place in the study, from 0, the baseline's.
      name: what tells it from the others.
      values: by axis.
      runs: one a seed.
    """

    number: int
    name: str
    values: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def label(self) -> str:
        """The name as a line that can be broken."""
        return named(self.values) or self.name

    @property
    def errors(self) -> list[str]:
        """The lines of the runs that failed."""
        return [f"seed {run.seed}: {run.error}" for run in self.runs if run.error]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """All that a report shows.

    Args:
      path: the folder.
      cells: the baseline first.
      table: as `ablation.table_files` writes it; of a workdir, its results alike.
      about: command, versions, hardware, times.
      is_ablation: whether it is of an ablation.
    """

    path: pathlib.Path
    cells: tuple[Cell, ...]
    table: Mapping[str, Any]
    about: Mapping[str, Any]
    is_ablation: bool

    @property
    def axes(self) -> list[str]:
        """The fields in which cells differ, in the order of the first cells that have them."""
        return list(dict.fromkeys(axis for cell in self.cells for axis in cell.values))

    def sharing(self, key: Callable[[Run], Any]) -> list[tuple[list[Cell], list[Any]]]:
        """Cells whose runs have the same keys, each group with those keys; without None."""
        groups: dict[tuple, list[Cell]] = {}
        for cell in self.cells:
            keys = dict.fromkeys(key(run) for run in cell.runs)
            keys.pop(None, None)
            if keys:
                groups.setdefault(tuple(keys), []).append(cell)
        return [(cells, list(keys)) for keys, cells in groups.items()]

    @property
    def runs(self) -> list[Run]:
        """Of all cells."""
        return [run for cell in self.cells for run in cell.runs]


def common(cells: Sequence[Cell]) -> str:
    """What cells have in common, as one line; the name of a single one."""
    first, *others = cells
    if not others:
        return first.label
    shared = {
        axis: value
        for axis, value in first.values.items()
        if all(cell.values.get(axis) == value for cell in others)
    }
    return named(shared) or "all of them"


def named(values: Mapping[str, Any]) -> str:
    """Fields and values as one line."""
    return ", ".join(f"{axis}={value}" for axis, value in values.items())


def read(path: pathlib.Path) -> Study:
    """Read an ablation's folder or a workdir.

    Raises:
      UserError: it is neither, or its files are damaged.
    """
    folder = AblationFolder(path)
    if folder.is_there:
        return _ablation(folder)
    if (path / "config.json").is_file():
        return _workdir(path)
    raise UserError(
        f"report: got {path}, takes the folder of an ablation (ablation.toml) or a workdir "
        "(config.json)"
    )


def _ablation(folder: AblationFolder) -> Study:
    results = folder.results
    by_name: dict[str, list[CellRecord]] = {}
    for record in folder.cells:
        by_name.setdefault(record.name, []).append(record)
    cells = tuple(
        Cell(
            number=number,
            name=name,
            values=records[0].values,
            runs=tuple(_run(folder, record, results.get(record.digest)) for record in records),
        )
        for number, (name, records) in enumerate(by_name.items())
    )
    return Study(
        path=folder.path, cells=cells, table=folder.table(), about=folder.about, is_ablation=True
    )


def _run(folder: AblationFolder, record: CellRecord, result: dict[str, Any] | None) -> Run:
    found = result or {}
    files = {
        name: folder.file(found[name])
        for name in ("samples", "evaluation", "likelihood")
        if found.get(name)
    }
    return Run(
        seed=record.seed,
        workdir=folder.file(record.workdir),
        metrics=found.get("metrics") or {},
        evaluations=found.get("evaluations"),
        error=found.get("error"),
        seconds=found.get("seconds") or {},
        is_done=result is not None,
        **files,
    )


def _workdir(path: pathlib.Path) -> Study:
    """A cell for each result of a workdir, the newest first; one without any for its training."""
    runs = [run for kind in (_evaluations, _likelihoods, _samples) for run in kind(path)]
    runs = runs or [("training", Run(seed=0, workdir=path, metrics={}))]
    cells = tuple(
        Cell(number=number, name=name, values={}, runs=(run,))
        for number, (name, run) in enumerate(runs)
    )
    return Study(path=path, cells=cells, table={}, about={}, is_ablation=False)


def _evaluations(path: pathlib.Path) -> list[tuple[str, Run]]:
    return [
        (
            file.stem,
            Run(
                seed=0,
                workdir=path,
                metrics={k: x for k, x in report["metrics"].items() if isinstance(x, dict)},
                evaluations=report.get("evaluations_mean"),
                # It has drawn its samples, and shows the first.
                samples=file if file.with_name(f"{file.stem}.png").is_file() else None,
                evaluation=file,
            ),
        )
        for file, report in _reports(path / "evaluation")
        if isinstance(report.get("metrics"), dict)
    ]


def _likelihoods(path: pathlib.Path) -> list[tuple[str, Run]]:
    found = []
    for file, report in _reports(path / "likelihood"):
        if "bits_per_dim" in report:
            value = {
                "value": report["bits_per_dim"],
                "standard_error": report.get("standard_error"),
            }
            run = Run(seed=0, workdir=path, metrics={"bits/dim": value}, likelihood=file)
            found.append((file.stem, run))
    return found


def _samples(path: pathlib.Path) -> list[tuple[str, Run]]:
    return [
        (
            file.stem,
            Run(
                seed=0,
                workdir=path,
                metrics={},
                evaluations=report.get("evaluations_mean"),
                samples=file.with_name(f"{file.stem}.npz"),
            ),
        )
        for file, report in _reports(path / "samples")
        if "protocol" in report
    ]


def _reports(folder: pathlib.Path) -> list[tuple[pathlib.Path, dict[str, Any]]]:
    """The JSON files of results, the newest first."""
    files = sorted(folder.glob("*.json"), key=lambda file: -file.stat().st_mtime)
    found = []
    for file in files[:_MAX_RESULTS]:
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(report, dict):
            found.append((file, report))
    return found
