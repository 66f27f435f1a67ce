"""What was run: the command, versions, hardware, times; and how the configs differ."""

import dataclasses
import datetime
import json
import pathlib
from typing import Any

from experiments.display.progress_line import duration
from experiments.errors import UserError
from experiments.report.study import Cell, Study
from experiments.status.facts import read_status
from experiments.workdir.folder import flattened

_MAX_VALUES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A config field in which cells differ from the baseline.

    Args:
      field: its path.
      baseline: the baseline's value.
      others: other values, each with how many cells have it.
      is_axis: whether it was varied; another follows from one that was.
    """

    field: str
    baseline: str
    others: tuple[tuple[str, int], ...]
    is_axis: bool


def facts(study: Study) -> list[tuple[str, str]]:
    """Names and values, in the order in which they are shown."""
    about = study.about
    found = [("Folder", str(study.path))]
    if about.get("command"):
        found.append(("Command", str(about["command"])))
    if not study.is_ablation:
        found += _model(study.path)
    found.append(("Runs", _runs(study)))
    for name in ("versions", "hardware"):
        said = about.get(name)
        if said:
            words = said.items() if isinstance(said, dict) else [("", said)]
            found.append((name.capitalize(), ", ".join(f"{k} {v}".strip() for k, v in words)))
    started, ended = (_time(about.get(name)) for name in ("started", "ended"))
    if started:
        took = f", took {duration((ended - started).total_seconds())}" if ended else ""
        found.append(("Started", f"{started:%Y-%m-%d %H:%M:%S %Z}{took}"))
    spent = _spent(study)
    return [*found, ("Time of the runs", spent)] if spent else found


def differences(study: Study) -> list[Difference]:
    """Fields of the config in which the cells' first runs differ, those varied first."""
    configs = [(cell, _config(cell)) for cell in study.cells]
    configs = [(cell, config) for cell, config in configs if config]
    if len(configs) < 2:
        return []
    (_, baseline), *others = configs
    fields = dict.fromkeys(field for _, config in configs for field in config)
    found = []
    for field in fields:
        counts: dict[str, int] = {}
        for _, config in others:
            value = _text(config.get(field))
            if value != _text(baseline.get(field)):
                counts[value] = counts.get(value, 0) + 1
        if counts:
            found.append(
                Difference(
                    field=field,
                    baseline=_text(baseline.get(field)),
                    others=tuple(counts.items())[:_MAX_VALUES],
                    is_axis=field in study.axes,
                )
            )
    return sorted(found, key=lambda difference: not difference.is_axis)


def _model(path: pathlib.Path) -> list[tuple[str, str]]:
    """What a workdir has trained, and how far."""
    try:
        status = read_status(path)
    except UserError:  # a config of another time: its results are there all the same
        return []
    what = f"{status.network} ({status.parameterization}) under {status.sde} on {status.data}"
    return [("Model", what), ("Training", f"step {status.step} of {status.num_steps}")]


def _runs(study: Study) -> str:
    runs = study.runs
    failed = sum(run.error is not None for run in runs)
    waiting = sum(not run.is_done for run in runs)
    if not study.is_ablation:
        return f"{len(runs)} results"
    seeds = max((len(cell.runs) for cell in study.cells), default=0)
    words = [f"{len(study.cells)} cells × {seeds} seeds"]
    words += [f"{failed} failed"] * bool(failed) + [f"{waiting} not run yet"] * bool(waiting)
    return ", ".join(words)


def _spent(study: Study) -> str:
    total: dict[str, float] = {}
    for run in study.runs:
        for what, seconds in run.seconds.items():
            total[what] = total.get(what, 0.0) + seconds
    return ", ".join(f"{what} {duration(seconds)}" for what, seconds in total.items())


def _time(said: Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return None


def _config(cell: Cell) -> dict[str, Any]:
    """The fields of the first run's config with what the cell itself says; {} where none is."""
    fields = next((_read(run.workdir / "config.json") for run in cell.runs), {})
    # Sampling and likelihood are the cell's own where cells share a model.
    return fields | {axis: value for axis, value in cell.values.items() if fields}


def _read(file: pathlib.Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return flattened(read) if isinstance(read, dict) else {}


def _text(value: Any) -> str:
    return "–" if value is None else str(value)
